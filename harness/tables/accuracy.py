"""Tables of reward accuracy and of paired comparisons: labels over arrays."""

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd

from ..statistics.arrays import Codes, Floats, Mask, chunks
from ..statistics.confidence import share
from ..statistics.credits import best_chance, credit
from ..statistics.intervals import percentile_interval
from ..statistics.sign_flips import sign_flip_test
from .sample import Credits, Label, Sample

ACCURACY_COLUMNS = [
    *("strong", "weak", "variant", "scope", "name"),
    *("n", "ties", "accuracy", "chance", "ci_low", "ci_high", "note"),
]
COMPARISON_COLUMNS = [
    *("strong_a", "weak_a", "variant_a", "strong_b", "weak_b", "variant_b"),
    *("n", "difference", "ci_low", "ci_high", "p_value"),
]
Row = list[object]


def accuracy_table(labels: Sequence[Label], rewards: Floats, sample: Sample) -> pd.DataFrame:
    """Accuracy of every row of rewards (rows, R) in every subset, section, overall, by level and by length.

    Subset and length intervals are Wilson's at the n that clusters leave; those of sections, overall and levels are
    percentiles of the item bootstrap. `chance` is the same mean of what the items' rules give a random order. Two more
    rewards, with empty names, are the numbers of characters.
    """
    rows = _reward_rows(labels, rewards, sample, by_length=True)
    names = ("longer response", "shorter response")
    lengths = np.array([[1.0], [-1.0]]) * sample.chars.astype(np.float64)
    baselines = _reward_rows([("", "", name) for name in names], lengths, sample, by_length=False)
    rows += [row for name in names for row in baselines if row[2] == name]
    return pd.DataFrame(rows, columns=pd.Index(ACCURACY_COLUMNS))


def comparison_table(
    labels: Sequence[Label], rewards: Floats, pairs: Sequence[tuple[int, int]], sample: Sample
) -> pd.DataFrame:
    """Paired comparisons of rows a and b of the rewards on the items that both scored, overall accuracy.

    The signs are drawn after the resamples, from the same generator.
    """
    rows: list[Row] = []
    signs: np.random.Generator | None = None
    bootstrap, scopes = sample.bootstrap, sample.scopes
    for some in chunks(len(pairs), bootstrap.rows_at_once(scopes) // 2):
        a, b = (sample.credits(rewards, [pair[side] for pair in pairs[some]]) for side in (0, 1))
        both = ~np.isnan(a) & ~np.isnan(b)
        rng = bootstrap.generator()
        paired = np.where(np.concatenate([both, both]), np.concatenate([a, b]), np.nan)
        resampled = bootstrap.accuracies(paired, scopes, rng)["overall"]
        low, high = percentile_interval(resampled[: len(a)] - resampled[len(a) :], axis=1)
        signs = signs or rng
        for k, pair in enumerate(pairs[some]):
            contribution = np.where(both[k], a[k] - b[k], 0.0) * scopes.item_weights(both[k])
            difference, p_value = sign_flip_test(contribution, sample.clusters, bootstrap.resamples, signs)
            if not both[k].any():
                difference = p_value = float("nan")
            numbers = (difference, float(low[k]), float(high[k]), p_value)
            rows.append([*labels[pair[0]], *labels[pair[1]], int(both[k].sum()), *numbers])
    return pd.DataFrame(rows, columns=pd.Index(COMPARISON_COLUMNS))


def _reward_rows(labels: Sequence[Label], rewards: Floats, sample: Sample, *, by_length: bool) -> list[Row]:
    """The rows of all scopes: subsets reward by reward, then each wider scope, then lengths reward by reward."""
    subset: list[Row] = []
    wider: dict[tuple[str, str], list[Row]] = {}
    length: list[Row] = []
    chance, difference = sample.chance(), sample.length_difference
    right_chance = best_chance(sample.responses)
    for some in chunks(len(labels), sample.bootstrap.rows_at_once(sample.scopes)):
        found = sample.with_ties(rewards[some])
        subset += _subset_rows(labels[some], found, chance, sample)
        scopes = list(_scope_rows(labels[some], found, chance, sample))
        for level in sample.levels:
            of_level = sample.with_ties(rewards[some], level)
            scopes += _scope_rows(labels[some], of_level, sample.chance(level), sample, level)
        for row in scopes:
            wider.setdefault((str(row[3]), str(row[4])), []).append(row)
        if by_length:
            right = credit(sample.margins(rewards[some]))
            for k, label in enumerate(labels[some]):
                length += _length_rows(
                    label, found.value[k], right[k], (chance, right_chance), difference, sample.clusters
                )
    return [*subset, *(row for rows in wider.values() for row in rows), *length]


def _subset_rows(labels: Sequence[Label], found: Credits, chance: Floats, sample: Sample) -> list[Row]:
    rows: list[Row] = []
    members = [np.flatnonzero(sample.scopes.subsets == k) for k in range(len(sample.scopes.names))]
    for k, label in enumerate(labels):
        for name, items in zip(sample.scopes.names, members, strict=True):
            values = (found.value[k, items], chance[items], found.tied[k, items], sample.clusters[items])
            rows.append(_wilson_row(label, ("subset", name), *values, found.lost[k, items]))
    return rows


def _scope_rows(
    labels: Sequence[Label], found: Credits, chance: Floats, sample: Sample, level: str | None = None
) -> Iterator[Row]:
    """Rows of the sections and overall, or of a level, which is an overall accuracy."""
    scopes, scored = sample.scopes, ~np.isnan(found.value)
    observed, lost = scopes.accuracies(found.value), scopes.accuracies(found.lost)
    by_chance = scopes.accuracies(np.where(scored, chance, np.nan))
    resampled = sample.bootstrap.accuracies(found.value, scopes, sample.bootstrap.generator())
    for name in observed if level is None else ["overall"]:
        low, high = percentile_interval(resampled[name], axis=1)
        labelled = ("level", level) if level else ("overall" if name == "overall" else "section", name)
        inside, missing = scopes.items_of(name), scopes.missing_subsets(name)
        n, ties = scored[:, inside].sum(axis=1), found.tied[:, inside].sum(axis=1)
        for k, label in enumerate(labels):
            agree = bool(low[k] == high[k]) and ties[k] < n[k]
            counts = int(n[k]), int(ties[k])
            note = _note(missing, int(inside.sum()) - counts[0], agree, _official(label, counts, lost[name][k]))
            numbers = (observed[name][k], by_chance[name][k], low[k], high[k])
            yield [*label, *labelled, *counts, *map(float, numbers), note]


def _length_rows(
    label: Label, credits: Floats, right: Floats, chances: tuple[Floats, Floats], difference: Floats, cluster: Codes
) -> Iterator[Row]:
    """Accuracy where the acceptable responses are longer, where shorter, and how often the longer kind is preferred:
    that is a matter of the margin's sign, `right`, with a chance of its own."""
    longer, shorter, tied = difference > 0, difference < 0, right == 0.5
    for name, inside in (("chosen longer", longer), ("chosen shorter", shorter)):
        values = (credits[inside], chances[0][inside], tied[inside], cluster[inside])
        yield _wilson_row(label, ("length", name), *values)
    preferred, by_chance = (np.concatenate([each[longer], 1 - each[shorter]]) for each in (right, chances[1]))
    of_both = np.concatenate([cluster[longer], cluster[shorter]])
    yield _wilson_row(label, ("length", "prefers longer"), preferred, by_chance, preferred == 0.5, of_both)


def _wilson_row(
    label: Label,
    scope: tuple[str, str],
    credits: Floats,
    chance: Floats,
    tied: Mask,
    clusters: Codes,
    lost: Floats | None = None,
) -> Row:
    scored = ~np.isnan(credits)
    n, ties = int(scored.sum()), int(tied.sum())
    official = _official(label, (n, ties), lost[scored].mean()) if lost is not None and n else ""
    note = _note([], len(credits) - n, False, official)
    if not n:
        return [*label, *scope, n, ties, *[float("nan")] * 4, note]
    found = share(credits[scored], clusters[scored])
    return [*label, *scope, n, ties, found.value, float(chance[scored].mean()), found.low, found.high, note]


def _official(label: Label, counts: tuple[int, int], lost: float) -> str:
    """What many a benchmark prints instead, where that is another number; not of baselines, nor of ties alone."""
    n, ties = counts
    return f"{100 * lost:.1f}% if a tie is lost" if label[0] and 0 < ties < n else ""


def _note(missing: Sequence[str], unscored: int, agree: bool, official: str) -> str:
    parts = [f"without the subset{'s' * (len(missing) > 1)} {', '.join(missing)}"] if missing else []
    parts += [f"{unscored:,} item{'s' if unscored > 1 else ''} unscored"] if unscored else []
    parts += ["all resamples of the items agree and so show no uncertainty"] if agree else []
    return "; ".join([*parts, *([official] if official else [])])
