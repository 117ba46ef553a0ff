"""Scoring along a token tree: every token that requests share is computed once, and nothing is padded."""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import PreTrainedModel

from .packing import TrieSlice
from .protocol import ScoringRequest
from .token_trie import build_trie
from .tree_passes import TreePasses


class TreeScorer:
    """Scores requests along their token trie, `batch_tokens` tokens a forward pass."""

    kind = "tree"
    shares_prefixes = True

    def __init__(self, model: PreTrainedModel, batch_tokens: int) -> None:
        self._passes = TreePasses(model, batch_tokens)

    @property
    def batch_tokens(self) -> int:
        """Tokens of a pass; halved when memory runs out."""
        return self._passes.batch_tokens

    def score(self, requests: Sequence[ScoringRequest]) -> Iterator[tuple[list[int], NDArray[np.float64]]]:
        """Yield (indices, summed log-probabilities); each is summed in the order of its tokens."""
        trie = build_trie(requests)
        sums = np.zeros(len(requests))
        last_rows = np.full(len(requests), -1)
        np.maximum.at(last_rows, trie.read_requests, trie.read_rows)
        unscored = np.flatnonzero(last_rows < 0)
        if len(unscored):
            yield unscored.tolist(), sums[unscored]
        for layout, log_probs in _one_ahead(self._passes.run(trie)):
            np.add.at(sums, trie.read_requests[layout.reads], log_probs().double().numpy())
            finished = np.flatnonzero((last_rows >= layout.start) & (last_rows < layout.stop))
            if len(finished):
                yield finished.tolist(), sums[finished]


def _one_ahead(passes: Iterator[tuple[TrieSlice, Tensor]]) -> Iterator[tuple[TrieSlice, Callable[[], Tensor]]]:
    """Start each pass before the results of the one before are waited for: keeps a GPU busy."""
    waiting: tuple[TrieSlice, Callable[[], Tensor]] | None = None
    for layout, log_probs in passes:
        arrival = _to_host(log_probs)
        if waiting is not None:
            yield waiting
        waiting = layout, arrival
    if waiting is not None:
        yield waiting


def _to_host(values: Tensor) -> Callable[[], Tensor]:
    """Start copying to the CPU; the function returned waits for the copy, but for no pass that was started since."""
    if values.device.type != "cuda":
        return values.cpu
    host = values.to("cpu", non_blocking=True)
    copied = torch.cuda.current_stream(values.device).record_event()  # the process's own device may be another

    def wait() -> Tensor:
        copied.synchronize()
        return host

    return wait
