"""What one checkpoint answered, gathered part by part."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ...tasks.conditioning import Conditioning
from .parts import Part, RenderedPart

FAULTS = ("truncated", "unscored", "non_finite", "no_end_of_turn")


@dataclass(slots=True, eq=False)
class Answers:
    """Log-probabilities of n items with R responses, NaN where there is none or it is not finite."""

    items: int
    responses: int
    labels: int
    """Of the router."""
    scores: dict[Conditioning, NDArray[np.float64]] = field(
        default_factory=dict[Conditioning, "NDArray[np.float64]"], init=False
    )
    """(R,) for each conditioning."""
    tokens: NDArray[np.int32] = field(init=False)
    """(R,) tokens of each response itself, which a judge's answer does not tell; 0 where there are none."""
    routing: NDArray[np.float64] = field(init=False)
    """(n, labels) of the router's labels."""
    faults: dict[str, NDArray[np.bool_]] = field(init=False)
    """(n,) for each of FAULTS: the items that show it under some conditioning."""

    def __post_init__(self) -> None:
        self.tokens = np.zeros(self.responses, dtype=np.int32)
        self.routing = np.full((self.items, self.labels), np.nan)
        self.faults = {kind: np.zeros(self.items, dtype=bool) for kind in FAULTS}

    def take(self, part: Part, rendered: RenderedPart, values: NDArray[np.float64], mean: bool) -> None:
        """Add a part's answers: `values` (C,), one a conversation; with `mean`, each per scored token.

        A response that a conditioning asks about several times (a judge's questions) gets the mean.
        """
        fits = rendered.lengths > 0
        self._count(rendered, fits, np.isfinite(values))
        finite = np.where(np.isfinite(values), values, np.nan)
        if part.asked is None:
            self.routing[rendered.items, rendered.places] = finite
            return
        if mean:
            finite = finite / np.maximum(rendered.lengths, 1)
        into = self.scores.setdefault(part.asked, np.full(self.responses, np.nan))
        first = np.flatnonzero(np.diff(rendered.places, prepend=-1))
        asked = np.diff(first, append=len(finite))
        if not part.asked.kind.startswith("judge"):  # there the label is scored
            self.tokens[rendered.places[first]] = rendered.lengths[first]
        into[rendered.places[first]] = np.add.reduceat(finite, first) / asked

    def _count(self, rendered: RenderedPart, fits: NDArray[np.bool_], finite: NDArray[np.bool_]) -> None:
        found = (rendered.truncated & fits, ~fits, fits & ~finite, ~rendered.end_of_turn)
        for kind, which in zip(FAULTS, found, strict=True):
            self.faults[kind][rendered.items[which]] = True

    @property
    def counts(self) -> dict[str, int]:
        """How many items show each fault."""
        return {kind: int(found.sum()) for kind, found in self.faults.items()}
