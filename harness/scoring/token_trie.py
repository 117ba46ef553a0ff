"""The token trie of a set of scoring requests, laid out as one row of tokens.

Sorted by their tokens, each request shares its longest prefix with the one before it, and adds a *branch*: the tokens
after that prefix. The branches one after another are the trie in depth-first order. Every token of the trie appears
once, and the ancestors of any token are found in a few contiguous ranges of the row before it.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .protocol import ScoringRequest

Ranges = tuple[tuple[int, int], ...]
"""Half-open ranges of rows, in the order of the path that they spell from the root."""


@dataclass(frozen=True, slots=True)
class Branch:
    """The tokens that one request adds to the trie: rows [start, stop)."""

    start: int
    stop: int
    ancestors: Ranges
    """The rows of the path from the root to the branch's first token."""

    def path(self, row: int) -> Ranges:
        """The rows from the root up to `row`, which is excluded and lies in [start, stop]."""
        return _joined(self.ancestors, (self.start, row))


@dataclass(frozen=True, slots=True)
class TokenTrie:
    """All tokens that must be computed, each once, and where the scored tokens are predicted."""

    token_ids: NDArray[np.int64]
    """(rows,) The trie's tokens in depth-first order."""
    positions: NDArray[np.int64]
    """(rows,) Distance of each token from the root: its position in the sequence that a model reads."""
    branches: tuple[Branch, ...]
    """Non-empty, in row order; they cover all rows."""
    read_rows: NDArray[np.int64]
    """(scored tokens,) The row whose output predicts each scored token, ascending."""
    read_targets: NDArray[np.int64]
    """(scored tokens,) The scored token's id."""
    read_requests: NDArray[np.int64]
    """(scored tokens,) The request that it belongs to."""


def model_input(request: ScoringRequest) -> tuple[int, ...]:
    """The tokens a model must read: all before the last scored one, which is only predicted."""
    return request.token_ids[: request.scored[-1]] if request.scored else ()


def count_tokens(requests: Sequence[ScoringRequest]) -> tuple[int, int]:
    """Tokens that a model computes for the requests: (each shared prefix once, every request on its own)."""
    inputs = sorted(model_input(request) for request in requests)
    separate = sum(len(tokens) for tokens in inputs)
    shared = sum(common_prefix(one, other) for one, other in itertools.pairwise(inputs))
    return separate - shared, separate


def build_trie(requests: Sequence[ScoringRequest]) -> TokenTrie:
    """Lay the requests' trie out; the result does not depend on the order of the requests, their indices apart."""
    inputs = [model_input(request) for request in requests]
    order = sorted(
        range(len(requests)), key=lambda index: (inputs[index], requests[index].token_ids, requests[index].scored)
    )
    tokens: list[int] = []
    positions: list[int] = []
    branches: list[Branch] = []
    reads: list[NDArray[np.int64]] = []
    path: Ranges = ()
    previous: tuple[int, ...] = ()
    for index in order:
        current = inputs[index]
        depth = common_prefix(previous, current)
        branch = Branch(len(tokens), len(tokens) + len(current) - depth, _truncated(path, depth))
        if branch.start < branch.stop:
            branches.append(branch)
            tokens.extend(current[depth:])
            positions.extend(range(depth, len(current)))
        path = branch.path(branch.stop)
        previous = current
        reads.append(_reads(requests[index], index, path))
    read = np.concatenate(reads, axis=1) if reads else np.empty((3, 0), dtype=np.int64)
    read = read[:, np.argsort(read[0], kind="stable")]
    return TokenTrie(np.array(tokens, dtype=np.int64), np.array(positions, dtype=np.int64), tuple(branches), *read)


def _reads(request: ScoringRequest, index: int, path: Ranges) -> NDArray[np.int64]:
    """(3, scored tokens): predicting row, token id and request of each scored token."""
    rows = np.concatenate([np.arange(start, stop) for start, stop in path] or [np.empty(0, dtype=np.int64)])
    scored = np.array(request.scored, dtype=np.int64)
    targets = np.array([request.token_ids[position] for position in request.scored], dtype=np.int64)
    return np.stack([rows[scored - 1], targets, np.full(len(scored), index, dtype=np.int64)])


def common_prefix(one: tuple[int, ...], other: tuple[int, ...]) -> int:
    """Length of the longest common prefix, by bisection on tuple slices (compared at C speed)."""
    low, high = 0, min(len(one), len(other))
    while low < high:
        middle = (low + high + 1) // 2
        if one[low:middle] == other[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low


def _truncated(path: Ranges, depth: int) -> Ranges:
    """The first `depth` rows of a path."""
    kept: list[tuple[int, int]] = []
    for start, stop in path:
        if depth <= 0:
            break
        kept.append((start, min(stop, start + depth)))
        depth -= stop - start
    return tuple(kept)


def _joined(path: Ranges, last: tuple[int, int]) -> Ranges:
    """A path and one more range, as one range with the path's end where they touch."""
    if last[0] == last[1]:
        return path
    if path and path[-1][1] == last[0]:
        return (*path[:-1], (path[-1][0], last[1]))
    return (*path, last)
