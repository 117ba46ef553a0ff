"""A paired test of two rewards on the same items."""

from typing import Final

import numpy as np

from .arrays import Codes, Floats, chunks, one_thread

SIGNS_AT_ONCE: Final = 2**21


def sign_flip_test(
    contributions: Floats, clusters: Codes, permutations: int, rng: np.random.Generator
) -> tuple[float, float]:
    """The sum of paired differences and its two-sided p-value.

    Under the null hypothesis the two sides are exchangeable on every item, so each cluster's difference may change its
    sign. p = (1 + #{|d*| ≥ |d|}) / (1 + permutations) (Phipson & Smyth 2010).

    Args:
        contributions: (n,), each item's weighted difference.
        clusters: (n,), items of one number change sign together.
    """
    by_cluster = np.bincount(clusters, weights=contributions)
    by_cluster = by_cluster[by_cluster != 0].astype(np.float32)
    observed, size = float(contributions.sum()), len(by_cluster)
    extreme = 0
    # signs are drawn four at a time, so that portions of a multiple of four are those of one call
    for some in chunks(permutations, max(4, SIGNS_AT_ONCE // max(size, 1) // 4 * 4)):
        signs = rng.integers(0, 2, size=(some.stop - some.start, size), dtype=np.int8).astype(np.float32) * 2 - 1
        with one_thread():
            extreme += int(np.count_nonzero(np.abs(signs @ by_cluster) >= abs(observed) - 1e-6))
    return observed, (1 + extreme) / (1 + permutations)
