"""Scores of checkpoints under conditionings, as the table that any linear combination is algebra over."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from ..model_registry.schema import Checkpoint, Family
from ..tasks.conditioning import Conditioning
from ..tasks.variants import Term, Variant
from .comparisons import Comparison
from .question import Question
from .statistics.arrays import Floats

if TYPE_CHECKING:
    from .running.scoring_run import GroupScores
    from .session import Session


@dataclass(frozen=True, slots=True)
class TermScores:
    """A table of K terms."""

    terms: tuple[tuple[str, Conditioning], ...]
    """(K,) checkpoint and conditioning."""
    scores: Floats
    """(K, R) NaN where unscored."""


def term_question(question: Question, conditionings: Sequence[Conditioning]) -> Question:
    """A question that asks every strong checkpoint for its log-probabilities under some conditionings."""
    terms = tuple(Term(1.0, "strong", conditioning) for conditioning in dict.fromkeys(conditionings))
    return replace(question, variants=(Variant("terms", terms, "Σ L_s(y|c)"),))


def each_alone(checkpoints: Sequence[Checkpoint], family: Family | None) -> Comparison:
    """The comparison in which every checkpoint is strong."""
    return Comparison(tuple(checkpoints), tuple((c.name, c.name) for c in checkpoints), family)


def scored_terms(
    session: "Session", terms: Sequence[tuple[str, Conditioning]]
) -> "tuple[TermScores, list[GroupScores]]":
    """Score what the store lacks of the session's question, and lay out the terms asked for."""
    from .running.scoring_run import score

    found = score(session.groups, session.router, session.planner, session.runner)
    by_name = {name: scores for group in found for name, scores in group.scores.items()}
    return TermScores(tuple(terms), np.stack([by_name[name][asked] for name, asked in terms])), found
