"""From the rewards of a run to its analyses: a pair's confidence and length, a grid's alignment gap."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from ..alignment_gap.gap_tables import analyse_grid
from ..alignment_gap.grid_data import GridData
from ..statistics.arrays import Floats
from .item_tables import ItemData, analyse_pair
from .run_record import RunFacts, ordered_benchmarks, used_scores
from .sample import Label, Sample


def pair_analyses(labels: Sequence[Label], rewards: Floats, sample: Sample, seed: int) -> dict[str, pd.DataFrame]:
    """Selection curve, calibration, confidence and length of rewards (rows, R)."""
    margins, credits = sample.margins(rewards), sample.credits(rewards)
    data = ItemData(dict(enumerate(labels)), margins, credits, sample.clusters, sample.length_difference)
    return analyse_pair(data, seed=seed)


def analysed_variant(labels: Sequence[Label]) -> str | None:
    """The variant that a grid's gap analyses are about: vanilla, or else the first that takes both checkpoints."""
    of_two = list(dict.fromkeys(variant for _, weak, variant in labels if weak))
    return "vanilla" if "vanilla" in of_two else next(iter(of_two), None)


def grid_analyses(facts: RunFacts, labels: Sequence[Label], rewards: Floats, sample: Sample) -> dict[str, pd.DataFrame]:
    """Alignment-gap analyses of the grid's pairs, and the tables of `pair_analyses` for pairs of two checkpoints.

    Empty where no variant takes both checkpoints.
    """
    variant = analysed_variant(labels)
    if variant is None:
        return {}
    local = {m.local.name: m.local for g in facts.scored for m in g.group.members}
    checkpoints = {name: found.checkpoint for name, found in local.items()}
    numbers = {name: number for number, name in enumerate(checkpoints)}
    rows = [row for row, label in enumerate(labels) if label[2] == variant]
    family = {(s, w): g.group.family for g in facts.scored for s, w in g.group.pairs}
    scores = list(used_scores(facts).values())
    data = GridData(
        variant=variant,
        checkpoints=tuple(checkpoints),
        objectives=tuple(checkpoint.objective for checkpoint in checkpoints.values()),
        trained_from=tuple(checkpoint.trained_from for checkpoint in checkpoints.values()),
        parameters=tuple(found.parameters for found in local.values()),
        scores={
            b: np.array([found[b].value if b in found else np.nan for found in scores])
            for b in ordered_benchmarks(facts)
        },
        strong=np.array([numbers[labels[row][0]] for row in rows]),
        weak=np.array([numbers[labels[row][1]] for row in rows]),
        family=tuple(family[labels[row][0], labels[row][1]] for row in rows),
        credit=sample.credits(rewards, rows),
        chance=sample.chance(),
        scopes=sample.scopes,
        bootstrap=sample.bootstrap,
    )
    analyses = analyse_grid(data, resamples=facts.options.resamples, seed=facts.options.seed)
    of_two = [row for row in rows if labels[row][0] != labels[row][1]]
    two = [labels[row] for row in of_two]
    return {**analyses, **pair_analyses(two, rewards[of_two], sample, facts.options.seed)}
