"""Tables of reward accuracy and of paired comparisons: labels over the arrays of `metrics`."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ...tasks.preference import PreferenceItem
from ...tasks.task import Section
from ..statistics.metrics import Floats, Scopes, credit, intervals, sign_flip_test, wilson
from ..statistics.resampling import resample_weights

ACCURACY_COLUMNS = [
    *("strong", "weak", "variant", "scope", "name", "n", "ties"),
    *("accuracy", "chance", "ci_low", "ci_high", "note"),
]
COMPARISON_COLUMNS = [
    *("strong_a", "weak_a", "variant_a", "strong_b", "weak_b", "variant_b"),
    *("n", "difference", "ci_low", "ci_high", "p_value"),
]

Label = tuple[str, str, str]
"""Strong checkpoint, weak checkpoint (empty where the variant uses none), variant."""


@dataclass(frozen=True, slots=True)
class Sample:
    """The items of a task as arrays, and the resamples that all of a run's intervals share."""

    subsets: NDArray[np.str_]
    sections: tuple[Section, ...]
    clusters: NDArray[np.str_]
    """Items that share a problem share a label; they are drawn together."""
    length_difference: NDArray[np.int64]
    """Characters of the chosen response minus those of the rejected one."""
    multiplicity: NDArray[np.float32]
    """(resamples, items): how often a resample draws each item."""

    @property
    def scopes(self) -> Scopes:
        """How credits add up to sections and overall."""
        return Scopes(self.subsets, self.sections)


def draw_sample(
    items: Sequence[PreferenceItem], sections: tuple[Section, ...], resamples: int, rng: np.random.Generator
) -> Sample:
    """Arrays of the items, and bootstrap multiplicities stratified by subset and clustered by problem."""
    subsets = np.array([item.subset for item in items])
    clusters = np.array([f"problem {item.problem}" if item.problem else f"item {item.id}" for item in items])
    difference = np.array([len(item.chosen) - len(item.rejected) for item in items])
    multiplicity = resample_weights(clusters, subsets, resamples, rng)
    return Sample(subsets, sections, clusters, difference, multiplicity)


def accuracy_table(labels: Sequence[Label], margins: Floats, sample: Sample) -> pd.DataFrame:
    """Accuracy of every row of margins (rows, items) in every subset, section, overall and by length.

    Subset and length intervals are Wilson's; those of sections and overall are percentiles of the item bootstrap.
    """
    credits = credit(margins)
    rows = _subset_rows(labels, credits, sample)
    rows += _scope_rows(labels, credits, sample)
    rows += _length_rows(labels, credits, sample)
    longer = credit(sample.length_difference.astype(float))
    for name, baseline in (("longer response", longer), ("shorter response", 1 - longer)):
        label = [("", "", name)]
        rows += _subset_rows(label, baseline[None], sample) + _scope_rows(label, baseline[None], sample)
    return pd.DataFrame(rows, columns=pd.Index(ACCURACY_COLUMNS))


def comparison_table(
    labels: Sequence[Label],
    margins: Floats,
    pairs: Sequence[tuple[int, int]],
    sample: Sample,
    rng: np.random.Generator,
) -> pd.DataFrame:
    """Paired comparisons of rows a and b of the margins on the items that both scored, overall accuracy."""
    credits = credit(margins)
    rows: list[list[object]] = []
    for a, b in pairs:
        both = ~np.isnan(credits[a]) & ~np.isnan(credits[b])
        paired = np.where(both, credits[[a, b]], np.nan)
        resampled = sample.scopes.accuracies(paired, sample.multiplicity)["overall"]
        low, high = intervals(resampled[0] - resampled[1])
        weights = sample.scopes.item_weights(both)["overall"]
        contribution = np.nan_to_num(paired[0] - paired[1]) * weights
        difference, p_value = sign_flip_test(contribution, sample.clusters, len(sample.multiplicity), rng)
        if not both.any():
            difference = p_value = float("nan")
        rows.append([*labels[a], *labels[b], int(both.sum()), difference, float(low), float(high), p_value])
    return pd.DataFrame(rows, columns=pd.Index(COMPARISON_COLUMNS))


def _subset_rows(labels: Sequence[Label], credits: Floats, sample: Sample) -> list[list[object]]:
    return [
        _wilson_row(label, "subset", str(subset), row[sample.subsets == subset])
        for label, row in zip(labels, credits, strict=True)
        for subset in dict.fromkeys(sample.subsets.tolist())
    ]


def _scope_rows(labels: Sequence[Label], credits: Floats, sample: Sample) -> list[list[object]]:
    scopes = sample.scopes
    observed = scopes.accuracies(credits)
    resampled = scopes.accuracies(credits, sample.multiplicity)
    rows: list[list[object]] = []
    for name, values in observed.items():
        low, high = intervals(resampled[name])
        scope = "overall" if name == "overall" else "section"
        inside = scopes.items_of(name)
        for i, label in enumerate(labels):
            row = credits[i, inside]
            n, ties = int((~np.isnan(row)).sum()), int((row == 0.5).sum())
            note = _note(scopes.missing_subsets(name), len(row) - n, agree=bool(low[i] == high[i]) and ties < n)
            rows.append([*label, scope, name, n, ties, float(values[i]), 0.5, float(low[i]), float(high[i]), note])
    return rows


def _length_rows(labels: Sequence[Label], credits: Floats, sample: Sample) -> list[list[object]]:
    longer, shorter = sample.length_difference > 0, sample.length_difference < 0
    rows: list[list[object]] = []
    for label, row in zip(labels, credits, strict=True):
        rows.append(_wilson_row(label, "length", "chosen longer", row[longer]))
        rows.append(_wilson_row(label, "length", "chosen shorter", row[shorter]))
        preferred = np.concatenate([row[longer], 1 - row[shorter]])
        rows.append(_wilson_row(label, "length", "prefers longer", preferred))
    return rows


def _wilson_row(label: Label, scope: str, name: str, row: Floats) -> list[object]:
    scored = row[~np.isnan(row)]
    accuracy = float(scored.mean()) if len(scored) else float("nan")
    low, high = wilson(accuracy, len(scored))
    ties = int((scored == 0.5).sum())
    return [*label, scope, name, len(scored), ties, accuracy, 0.5, low, high, _note([], len(row) - len(scored))]


def _note(missing: Sequence[str], unscored: int, agree: bool = False) -> str:
    parts = [f"without the subset{'s' * (len(missing) > 1)} {', '.join(missing)}"] if missing else []
    parts += [f"{unscored} items unscored"] if unscored else []
    parts += ["all items of each subset agree, so resampling them shows no uncertainty"] if agree else []
    return "; ".join(parts)
