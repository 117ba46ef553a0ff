"""Names of the arrays that statistics take and give, a number with its interval, and work in portions."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Codes = NDArray[np.intp]
"""Labels as whole numbers: items, clusters, subsets, checkpoints."""
Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Estimate:
    """A number with its interval."""

    value: float
    low: float
    high: float


def chunks(rows: int, size: int) -> Iterator[slice]:
    """Slices of at most `size` rows, one at least, that cover `rows`."""
    yield from (slice(start, min(start + max(size, 1), rows)) for start in range(0, rows, max(size, 1)))
