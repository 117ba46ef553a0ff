"""Slices of a token trie: what one forward pass computes, and what it reads from the passes before it.

A trie is computed in depth-first order, a fixed number of tokens at a time. The ancestors of a slice's tokens are in
the slice itself, or on the path from the root to the slice's first token. So the keys and values of that one path are
all that has to be carried from one pass to the next, and no token is ever computed twice or padded.
"""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .token_trie import Branch, Ranges, TokenTrie

_GATHERED = 25
"""What it costs to copy a key and its value together for a segment, counted in pairs of a query and a key."""

Piece = tuple[Branch, int, int]
"""A branch and a range of its rows."""


@dataclass(frozen=True, slots=True)
class SegmentLimits:
    """What goes into one segment, by what attention costs on a device."""

    tokens: int
    """Most queries."""
    call: int
    """What a call of attention costs besides, counted in pairs of a query and a key."""


@dataclass(frozen=True, slots=True, eq=False)
class Segment:
    """A range of a slice's rows whose queries attend in one call: to their paths and, causally, to each other.

    It is a part of one branch, or of several where it is cheaper to compute, and mask, what they do not see of each
    other than to gather the path that they share once for each.
    """

    start: int
    stop: int
    """The segment's tokens, counted from the slice's start."""
    context: Ranges
    """Where its keys lie, ancestors of its first token first and itself last, in the carried path and the slice."""
    positions: NDArray[np.int64]
    """(tokens,) of its queries; its keys have the positions 0, 1, 2, ... up to the first query, and then these."""
    path: NDArray[np.bool_] | None
    """(tokens, keys) whether a key lies on a query's path, up to itself; None where all before it do."""


@dataclass(frozen=True, slots=True)
class TrieSlice:
    """Rows [start, stop) of a trie, for one forward pass."""

    start: int
    stop: int
    carried: int
    """Length of the path before the slice's first token: keys and values carried from earlier passes."""
    segments: tuple[Segment, ...]
    carry: Ranges
    """Where the path before the next slice's first token lies, in the carried path followed by the slice."""
    reads: slice
    """Part of the trie's read_* arrays that this slice's outputs predict."""


def cut_slice(trie: TokenTrie, start: int, size: int, limits: SegmentLimits) -> TrieSlice:
    """The slice of at most `size` rows, no fewer than a segment has, that begins at row `start`.

    Slices end where segments end. So how a token's attention is computed does not depend on the slice that it is in.
    """
    carried = int(trie.positions[start])
    segments: list[Segment] = []
    stop = start
    for pieces in _together(trie, start, limits):
        if pieces[-1][2] - start > size:
            break
        stop = pieces[-1][2]
        segments.append(_segment(trie, pieces, start, carried))
    carry: Ranges = ()
    if stop < len(trie.token_ids):
        carry = _in_buffer(trie.branches[_branch_at(trie, stop)].path(stop), start, carried)
    low, high = np.searchsorted(trie.read_rows, [start, stop])
    return TrieSlice(start, stop, carried, tuple(segments), carry, slice(int(low), int(high)))


def _pieces(trie: TokenTrie, row: int, most: int) -> Iterator[Piece]:
    """From `row` on: branches with ranges of their rows that end at positions that are multiples of `most`."""
    for index in range(_branch_at(trie, row), len(trie.branches)):
        branch = trie.branches[index]
        begin = max(branch.start, row)
        while begin < branch.stop:
            end = min(begin + most - int(trie.positions[begin]) % most, branch.stop)
            yield branch, begin, end
            begin = end


def _together(trie: TokenTrie, row: int, limits: SegmentLimits) -> Iterator[list[Piece]]:
    """Runs of pieces that attend in one call: each joins the run before it where that costs less than a call more."""
    run: list[Piece] = []
    queries = keys = 0
    for branch, begin, end in _pieces(trie, row, limits.tokens):
        above, more = int(trie.positions[begin]), end - begin
        joined = (queries + more) * (keys + more) - queries * keys + _GATHERED * more
        if run and (queries + more > limits.tokens or joined > (more + _GATHERED) * (above + more) + limits.call):
            yield run
            run = []
        if not run:
            queries, keys = 0, above
        run.append((branch, begin, end))
        queries, keys = queries + more, keys + more
    if run:
        yield run


def _segment(trie: TokenTrie, pieces: Sequence[Piece], start: int, carried: int) -> Segment:
    """The segment of some pieces of a slice that begins at row `start`, after a carried path of that length."""
    (branch, begin, _), end = pieces[0], pieces[-1][2]
    above = int(trie.positions[begin])
    path: NDArray[np.bool_] | None = None
    if len(pieces) > 1:
        path = np.zeros((end - begin, above + end - begin), dtype=bool)
        for each, first, stop in pieces:
            rows = path[first - begin : stop - begin]
            for low, high in _in_buffer(each.path(first), begin, above):
                rows[:, low:high] = True
            rows[:, above + first - begin : above + stop - begin] = np.tri(stop - first, dtype=bool)
    context = _in_buffer((*branch.path(begin), (begin, end)), start, carried)
    return Segment(begin - start, end - start, context, trie.positions[begin:end], path)


def _branch_at(trie: TokenTrie, row: int) -> int:
    """Index of the branch that a row is in."""
    return bisect_right(trie.branches, row, key=lambda branch: branch.start) - 1


def _in_buffer(path: Ranges, start: int, carried: int) -> Ranges:
    """A path's place in the carried path followed by the slice.

    Rows before the slice are all on the carried path, and a path's n-th token is the carried path's n-th.
    """
    depth = sum(max(0, min(stop, start) - begin) for begin, stop in path)
    found: list[tuple[int, int]] = [(0, depth)] if depth else []
    for begin, stop in path:
        if stop > start:
            place = (carried + max(begin, start) - start, carried + stop - start)
            if found and found[-1][1] == place[0]:
                place = (found.pop()[0], place[1])
            found.append(place)
    return tuple(found)
