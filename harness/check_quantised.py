"""The check of quantised weights: some items scored with the full weights too, and how many margins change sign."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from ..errors import UserError
from ..model_registry.registry import Registry
from ..tasks.task import limited
from .comparisons import Comparison
from .options import Options
from .question import Question
from .rewards import reward_rows

if TYPE_CHECKING:
    import pandas as pd

    from .statistics.arrays import Floats
    from .tables.sample import Label


@dataclass(frozen=True, slots=True)
class FullWeights:
    """The checkpoints whose weights were quantised, by the names of those that are compared."""

    comparisons: tuple[Comparison, ...]
    names: Mapping[str, str]
    """Compared checkpoint → the one with its full weights."""


def full_weights(comparisons: Sequence[Comparison], registry: Registry, options: Options) -> FullWeights:
    """What a check scores besides. Raises UserError where no checkpoint is known to be another's quantised weights."""
    checkpoints = [checkpoint for comparison in comparisons for checkpoint in comparison.checkpoints]
    full = {c.name: registry.find(c.quantised_from) if c.quantised_from else c for c in checkpoints}
    if options.quantise is None and all(name == checkpoint.name for name, checkpoint in full.items()):
        raise UserError(
            "--check-quantised needs full weights to compare with: pass --quantise, or name them in a registry file as "
            "a checkpoint's quantised_from."
        )
    compared: list[Comparison] = []
    for comparison in comparisons:
        members = {full[c.name].name: full[c.name] for c in comparison.checkpoints}
        pairs = dict.fromkeys((full[strong].name, full[weak].name) for strong, weak in comparison.pairs)
        compared.append(Comparison(tuple(members.values()), tuple(pairs), comparison.family))
    return FullWeights(tuple(compared), {name: checkpoint.name for name, checkpoint in full.items()})


def rounding_table(
    labels: "Sequence[Label]",
    rewards: "Floats",
    question: Question,
    full: FullWeights,
    registry: Registry,
    options: Options,
) -> "pd.DataFrame":
    """A row for each reward (rows, R) of the run: its margins against those of the full weights, on some items.

    The items are those that `limit` would take; a pair of one checkpoint with itself, or of two with the same
    full weights, is left out.
    """
    import pandas as pd

    from .running.scoring_run import score
    from .session import open_session
    from .statistics.flips import flips
    from .tables.sample import Sample

    asked = replace(question, task=limited(question.task, options.check_quantised, options.seed))
    session = open_session(asked, full.comparisons, registry, replace(options, quantise=None))
    scored = score(session.groups, session.router, session.planner, session.runner)
    known, exact = reward_rows(scored, asked)
    exact = Sample.of(asked.task, options.resamples, options.seed).margins(exact)
    whole = Sample.of(question.task, options.resamples, options.seed).margins(rewards)
    place = {item: number for number, item in enumerate(question.task.items.ids)}
    items = np.array([place[item] for item in asked.task.items.ids])
    row_of = {label: row for row, label in enumerate(known)}
    rows: list[dict[str, object]] = []
    for row, (strong, weak, variant) in enumerate(labels):
        pair = full.names.get(strong, strong), full.names.get(weak, weak)
        same = row_of.get((*pair, variant))
        if same is not None and pair[0] != pair[1]:
            names = {"strong": strong, "weak": weak, "variant": variant}
            rows.append({**names, **asdict(flips(whole[row][items], exact[same]))})
    return pd.DataFrame(rows, columns=pd.Index(COLUMNS))


COLUMNS = ("strong", "weak", "variant", "n", "flipped", "ci_low", "ci_high", "predicted", "noise", "spread")
