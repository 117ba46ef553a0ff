"""Random numbers that belong to a sample: a function of seed, prompt id and index, and of nothing else."""

import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def uniforms(seed: int, prompt: str, indices: Sequence[int], steps: int) -> NDArray[np.float64]:
    """Uniform numbers in [0, 1), of shape (indices, steps): one row a sample, one column a token.

    Philox 4x64 (Salmon et al. 2011) counts the steps under a key that is a hash of seed, prompt and index.
    """
    rows = np.empty((len(indices), steps))
    for row, index in zip(rows, indices, strict=True):
        digest = hashlib.blake2b(f"{seed}\0{index}\0{prompt}".encode(), digest_size=16).digest()
        bits = np.random.Philox(key=int.from_bytes(digest, "little")).random_raw(steps)
        row[:] = (bits >> np.uint64(11)) * 2.0**-53
    return rows
