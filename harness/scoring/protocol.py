"""What a scorer takes and gives."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class ScoringRequest:
    """One rendered conversation: the tokens a model reads and which of them are scored."""

    token_ids: tuple[int, ...]
    """What the model reads, BOS first; the last token is the last scored one."""
    scored: tuple[int, ...]
    """Ascending positions in `token_ids`, all > 0: the response's tokens and its end of turn."""


class Scorer(Protocol):
    """Computes L = Σ_{t in scored} log π(token_t | tokens before t) for each request."""

    kind: str
    """Part of a score's identity in the store, e.g. "reference"."""
    shares_prefixes: bool
    """Whether tokens that requests share are computed once; else each request costs all of its tokens."""
    notes: list[str]
    """Sentences that whoever reads the results must see, such as a fallback that was taken."""

    def score(self, requests: Sequence[ScoringRequest]) -> Iterator[tuple[list[int], NDArray[np.float64]]]:
        """Yield (indices into `requests`, their summed log-probabilities in nats) as batches finish.

        Each index comes exactly once, in any order. Log-softmax in float32 or better, summed in float64.
        """
        ...
