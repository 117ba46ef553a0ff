"""Scoring with a carried state: a shared prefix is computed once, then each continuation from a copy of its state.

The state is transformers' own cache: keys and values of attention layers, recurrent and convolution states of others.
So it serves models that can't be scored along a token tree: hybrids, state-space models, attention biased by place.
"""

import copy
import inspect
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import PreTrainedModel

from .cpu_linear import fast_linear
from .inference import inference
from .memory import may_halve
from .model_facts import decoder
from .output_head import OutputHead
from .padded_batches import batch_size
from .protocol import ScoringRequest
from .token_trie import common_prefix, model_input

_WORTH = 32
"""Fewest tokens that sharing a prefix must save: a pass of its own costs as much as some tokens."""
_FEWEST = 2
"""Tokens of a pass that continues a state: for one alone some architectures compute something else (Zamba 2)."""
_CONTEXT = 8
"""A batch of continuations may have this many times `batch_tokens` tokens of copied state."""

Pass = tuple[Tensor, Any]
"""Hidden states (sequences, tokens, width), and the cache after them."""


class CarriedStateScorer:
    """Scores requests prefix by prefix, `batch_tokens` tokens a forward pass (halved on out-of-memory)."""

    kind = "state"
    shares_prefixes = True

    def __init__(self, model: PreTrainedModel, batch_tokens: int) -> None:
        self._model = model
        self._decoder = decoder(model)
        self._head = OutputHead(model)
        accepted = inspect.signature(self._decoder.forward).parameters
        self._cache_name = "cache_params" if "cache_params" in accepted else "past_key_values"
        self._takes_positions = "position_ids" in accepted
        self.batch_tokens = batch_tokens
        """Tokens of a pass, padding included."""

    def score(self, requests: Sequence[ScoringRequest]) -> Iterator[tuple[list[int], NDArray[np.float64]]]:
        """Yield (indices, summed log-probabilities) as continuations finish."""
        walk = _Walk(requests)
        unscored = [index for index, tokens in enumerate(walk.inputs) if not tokens]
        if unscored:
            yield unscored, walk.sums[unscored]
        for finished in self._walk(walk, [index for index in walk.order if walk.inputs[index]], 0, None):
            yield finished, walk.sums[finished]

    def _walk(self, walk: "_Walk", members: list[int], depth: int, cache: Any) -> Iterator[list[int]]:
        """Score members, in order, whose first `depth` tokens are in the cache; yields those that are finished."""
        single: list[int] = []
        for group, shared in walk.clusters(members, depth, depth):
            if shared == depth:
                single += group
                continue
            extended = self._extend(walk, group, depth, shared, cache)
            finished = [index for index in group if len(walk.inputs[index]) == shared]
            if finished:
                yield finished
            yield from self._walk(
                walk, [index for index in group if len(walk.inputs[index]) > shared], shared, extended
            )
        single.sort(key=lambda index: len(walk.inputs[index]))
        while single:
            count = batch_size((len(walk.inputs[index]) - depth for index in single), self.batch_tokens)
            count = min(count, max(1, _CONTEXT * self.batch_tokens // len(walk.inputs[single[count - 1]])))
            try:
                self._continue(walk, single[:count], depth, cache)
            except (RuntimeError, MemoryError) as error:
                if self.batch_tokens == 1 or not may_halve(self._model, error):
                    raise
                self.batch_tokens //= 2
                continue
            yield single[:count]
            del single[:count]

    def _extend(self, walk: "_Walk", group: list[int], depth: int, shared: int, cache: Any) -> Any:
        """Compute the group's common tokens [depth, shared) once; returns the state after them."""
        tokens = torch.tensor(walk.inputs[group[0]][depth:shared])[None]
        state = _copies(cache, 1)
        start = 0
        while start < shared - depth:
            left = shared - depth - start
            size = min(left, self.batch_tokens)
            if left - size == 1 and size > _FEWEST:
                size -= 1  # so that no single token is left for the last pass
            part = tokens[:, start : start + size]
            try:
                hidden, after = self._forward(part, depth + start, _copies(state, 1), keep=True)
            except (RuntimeError, MemoryError) as error:
                if self.batch_tokens == 1 or not may_halve(self._model, error):
                    raise
                self.batch_tokens //= 2
                continue
            first = depth + start
            self._read(walk, hidden[0], [(index, 0, first, first + part.shape[1]) for index in group])
            state, start = after, start + part.shape[1]
        return state

    def _continue(self, walk: "_Walk", batch: list[int], depth: int, cache: Any) -> None:
        """Compute what is left of each sequence from a copy of the state."""
        rest = [torch.tensor(walk.inputs[index][depth:]) for index in batch]
        tokens = torch.nn.utils.rnn.pad_sequence(rest, batch_first=True)
        tokens = torch.nn.functional.pad(tokens, (0, max(0, _FEWEST - tokens.shape[1])))
        hidden, _ = self._forward(tokens, depth, _copies(cache, len(batch)), keep=False)
        width = tokens.shape[1]
        reads = [(index, row * width, depth, depth + width) for row, index in enumerate(batch)]
        self._read(walk, hidden.flatten(0, 1), reads)

    def _forward(self, tokens: Tensor, depth: int, cache: Any, *, keep: bool) -> Pass:
        """Run tokens (sequences, length) on after `depth` tokens whose state is in the cache.

        Padding on the right needs no mask: no token sees what comes after it, and the padding's state is not kept.
        """
        device = self._model.device
        options: dict[str, Any] = {} if cache is None else {self._cache_name: cache}
        if self._takes_positions:
            options["position_ids"] = torch.arange(depth, depth + tokens.shape[1], device=device)[None]
        with inference(self._model), fast_linear(device, self._model.dtype):
            output: Any = self._decoder(input_ids=tokens.to(device), use_cache=keep or cache is not None, **options)
        return output.last_hidden_state, output[self._cache_name] if keep else None

    def _read(self, walk: "_Walk", hidden: Tensor, spans: list[tuple[int, int, int, int]]) -> None:
        """Add the log-probabilities that rows predict: of each span (request, first row, its place, place after)."""
        reads = [walk.reads(index, row, first, stop) for index, row, first, stop in spans]
        rows, targets, owners = np.concatenate(reads, axis=1)
        if len(rows):
            order = np.argsort(rows, kind="stable")
            with inference(self._model), fast_linear(self._model.device, self._model.dtype):
                values = self._head.log_probs(hidden, rows[order], targets[order]).cpu().double().numpy()
            np.add.at(walk.sums, owners[order], values)


class _Walk:
    """Requests in an order in which shared prefixes lie together, and their sums so far."""

    def __init__(self, requests: Sequence[ScoringRequest]) -> None:
        self._requests = requests
        self.inputs = [model_input(request) for request in requests]
        self.order = sorted(
            range(len(requests)),
            key=lambda index: (self.inputs[index], requests[index].token_ids, requests[index].scored),
        )
        self.sums = np.zeros(len(requests))

    def clusters(self, members: list[int], depth: int, known: int) -> Iterator[tuple[list[int], int]]:
        """Groups whose common prefix is worth a pass after `depth` tokens, with its length; others with `depth`.

        The members, in order, share `known` tokens.
        """
        start = 0
        while start < len(members):
            first = self.inputs[members[start]]
            stop = start + 1
            while stop < len(members) and self.inputs[members[stop]][known : known + 1] == first[known : known + 1]:
                stop += 1
            group, start = members[start:stop], stop
            shared = common_prefix(first, self.inputs[group[-1]])
            if len(group) == 1 or len(first) == known:
                yield group, depth
            elif shared - depth >= (_FEWEST if depth else 1) and (shared - depth) * (len(group) - 1) >= _WORTH:
                yield group, shared
            else:
                yield from self.clusters(group, depth, shared)

    def reads(self, index: int, row: int, first: int, stop: int) -> NDArray[np.int64]:
        """(3, tokens): row, token id and request of what the places [first, stop) predict; `first` lies in `row`."""
        request = self._requests[index]
        scored = np.array(request.scored, dtype=np.int64)
        scored = scored[(scored > first) & (scored <= stop)]
        targets = np.array([request.token_ids[position] for position in scored.tolist()], dtype=np.int64)
        return np.stack([row + scored - 1 - first, targets, np.full(len(scored), index)])


def _copies(cache: Any, count: int) -> Any:
    """The state of one sequence, `count` times, sharing nothing with the original."""
    if cache is None:
        return None
    with torch.inference_mode():
        copied = copy.deepcopy(cache)
        if count > 1:
            copied.reorder_cache(torch.zeros(count, dtype=torch.long))
    return copied
