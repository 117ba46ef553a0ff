"""From log-probabilities to rewards: every reward is a linear combination of checkpoints' scores."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..tasks.conditioning import Conditioning
from ..tasks.variants import Role, Route, Variant

if TYPE_CHECKING:
    from .question import Question
    from .running.scoring_run import GroupScores

Scores = NDArray[np.float64]
"""(R,) one a response, flat over all items; NaN where unscored."""


@dataclass(frozen=True, slots=True, eq=False)
class Routing:
    """A conditioning for every item."""

    choices: tuple[Conditioning, ...]
    """Distinct."""
    codes: NDArray[np.intp]
    """(n,) each item's choice."""

    def masks(self) -> dict[Conditioning, NDArray[np.bool_]]:
        """Which items go to each choice that some item has."""
        masks = {choice: self.codes == code for code, choice in enumerate(self.choices)}
        return {choice: mask for choice, mask in masks.items() if mask.any()}


Routes = Mapping[str, Routing]


def rewards(
    variant: Variant, scores: Mapping[Role, Mapping[Conditioning, Scores]], routes: Routes, owners: NDArray[np.intp]
) -> Scores:
    """Rewards of all responses, (R,): r = Σ_k a_k · L_{m_k}(y | c_k).

    The terms of each role are added up first: strong and weak then differ by sign alone, rounding included, so that
    swapping them flips every margin and a self-pair ties exactly.

    Args:
        variant: the terms (a_k, m_k, c_k).
        scores: for each role, conditioning → log-probabilities.
        routes: for each route, the conditioning of every item.
        owners: (R,) the item of each response.
    """
    by_role: dict[Role, list[Scores]] = {}
    for term in variant.terms:
        value = term.coefficient * _select(scores[term.role], term.conditioning, routes, owners)
        by_role.setdefault(term.role, []).append(value)
    return np.sum([np.sum(values, axis=0) for values in by_role.values()], axis=0)


def reward_rows(
    scored: "Sequence[GroupScores]", question: "Question"
) -> tuple[list[tuple[str, str, str]], NDArray[np.float64]]:
    """Labels and rewards (rows, R) of every pair and variant; a variant of one checkpoint comes once for each."""
    owners = question.task.items.owners
    found: dict[tuple[str, str, str], NDArray[np.float64]] = {}
    for group in scored:
        for strong, weak in group.group.pairs:
            for variant in question.variants:
                label = (strong, weak if variant.uses_weak else "", variant.name)
                if label not in found:
                    roles: Mapping[Role, Mapping[Conditioning, Scores]]
                    roles = {"strong": group.scores[strong], "weak": group.scores[weak]}
                    found[label] = rewards(variant, roles, group.routes[strong], owners)
    return list(found), np.stack(list(found.values()))


def _select(
    scores: Mapping[Conditioning, Scores], conditioning: Conditioning | Route, routes: Routes, owners: NDArray[np.intp]
) -> Scores:
    """The scores under a conditioning, or for a route under each item's own."""
    if isinstance(conditioning, Conditioning):
        return scores[conditioning]
    selected = np.full(len(owners), np.nan)
    for choice, items in routes[conditioning.name].masks().items():
        responses = items[owners]
        selected[responses] = scores[choice][responses]
    return selected
