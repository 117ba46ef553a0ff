"""The iterative-DPO question: is a checkpoint's own reference its best weak model, or is a weaker one better?"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..statistics.arrays import Floats
from ..statistics.intervals import paired_p_value, percentile_interval


@dataclass(frozen=True, slots=True)
class ChainLink:
    """A checkpoint over an ancestor of its reference, beside the same checkpoint over its reference."""

    checkpoint: int
    reference: int
    weak: int
    """The reference itself, or an ancestor of it."""


def chain_links(trained_from: Sequence[int | None]) -> list[ChainLink]:
    """Each checkpoint with its reference, then with each ancestor of the reference.

    `trained_from` holds the number of the checkpoint that each one was trained from. A checkpoint whose
    reference has no ancestor poses no question and is left out.
    """
    links: list[ChainLink] = []
    for checkpoint in range(len(trained_from)):
        line = _ancestors(checkpoint, trained_from)
        if len(line) > 1:
            links += [ChainLink(checkpoint, line[0], weak) for weak in line]
    return links


def paired_difference(first: Floats, second: Floats, drawn: Floats, drawn_second: Floats, units: Floats) -> Floats:
    """first - second (S,) with 95% ends and p, (4, S), from the same item resamples of both, (R, S).

    `units` (S,) are the clusters of items that both rest on.
    """
    value, resampled = first - second, drawn - drawn_second
    low, high = percentile_interval(resampled)
    return np.stack([value, low, high, paired_p_value(value, resampled, units)])


def _ancestors(checkpoint: int, trained_from: Sequence[int | None]) -> list[int]:
    """The checkpoint's reference, the reference's reference and so on; a circle is cut."""
    line: list[int] = []
    parent = trained_from[checkpoint]
    while parent is not None and parent != checkpoint and parent not in line:
        line.append(parent)
        parent = trained_from[parent]
    return line
