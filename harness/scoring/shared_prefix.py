"""The fast scorer: every token that requests share is computed once, and nothing is padded."""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import PreTrainedModel

from .compatibility import obstacle
from .cpu_linear import lay_out_weights
from .memory import default_batch_tokens
from .packing import TrieSlice
from .padded_batches import PaddedBatchScorer
from .protocol import ScoringRequest
from .token_trie import build_trie
from .tree_passes import TreePasses


class SharedPrefixScorer:
    """Scores requests along their token trie, `batch_tokens` tokens a forward pass (halved on out-of-memory).

    A model that can't be scored so (recurrent state, attention that transformers can't replace, an unknown output head)
    is scored in plain padded batches, and `fallback` says why.
    """

    kind = "shared-prefix"

    def __init__(self, model: PreTrainedModel, batch_tokens: int | None = None) -> None:
        tokens = batch_tokens or default_batch_tokens(model)
        self.fallback = obstacle(model)
        """Why the model is scored in plain padded batches, as a clause; None if it is not."""
        self.shares_prefixes = self.fallback is None
        self._passes = PaddedBatchScorer(model, tokens) if self.fallback else TreePasses(model, tokens)
        self.notes: list[str] = []
        """Sentences that whoever reads the results must see."""
        if self.fallback:
            self.notes.append(f"Shared prefixes are computed again for every response, because {self.fallback}.")
        else:
            lay_out_weights(model)

    def score(self, requests: Sequence[ScoringRequest]) -> Iterator[tuple[list[int], NDArray[np.float64]]]:
        """Yield (indices, summed log-probabilities) as forward passes finish.

        The same set of requests gives the same bits, in whatever order. Which requests come together, and the tokens of
        a pass, may change the last bits: a matrix product may round differently in another shape.
        """
        tokens = self._passes.batch_tokens
        if isinstance(self._passes, TreePasses):
            yield from _score_tree(self._passes, requests)
        else:
            yield from self._passes.score(requests)
        if self._passes.batch_tokens < tokens:
            self.notes.append(
                f"Memory ran out at {tokens} tokens a forward pass; it went on with {self._passes.batch_tokens}."
            )


def _score_tree(
    passes: TreePasses, requests: Sequence[ScoringRequest]
) -> Iterator[tuple[list[int], NDArray[np.float64]]]:
    """Score requests along their trie; each is summed in the order of its tokens."""
    trie = build_trie(requests)
    sums = np.zeros(len(requests))
    last_rows = np.full(len(requests), -1)
    np.maximum.at(last_rows, trie.read_requests, trie.read_rows)
    unscored = np.flatnonzero(last_rows < 0)
    if len(unscored):
        yield unscored.tolist(), sums[unscored]
    for layout, log_probs in _one_ahead(passes.run(trie)):
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
    copied = torch.cuda.Event()
    copied.record()

    def wait() -> Tensor:
        copied.synchronize()
        return host

    return wait
