"""Names of the arrays that statistics take and give, a number with its interval, and work in portions."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits  # pyright: ignore[reportMissingTypeStubs]

Floats = NDArray[np.float64]
Codes = NDArray[np.intp]
"""Labels as whole numbers: items, clusters, subsets, checkpoints."""
Mask = NDArray[np.bool_]

_limits: Any = threadpool_limits


def one_thread() -> Any:
    """A context for thin products of matrices: handing them to several threads costs more than it saves, and on a
    machine at work many times as much.
    """
    return _limits(limits=1, user_api="blas")


@dataclass(frozen=True, slots=True)
class Estimate:
    """A number with its interval."""

    value: float
    low: float
    high: float


def chunks(rows: int, size: int) -> Iterator[slice]:
    """Slices of at most `size` rows, one at least, that cover `rows`."""
    yield from (slice(start, min(start + max(size, 1), rows)) for start in range(0, rows, max(size, 1)))
