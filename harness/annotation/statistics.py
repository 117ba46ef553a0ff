"""What can be said of an annotation: agreement with labels, lengths, confidences, sample indices, other variants.

Everything is prompt by prompt: n prompts, R responses, P pairs as in `choosing`. Intervals are at 95%, over prompts.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy.stats import chi2

from ..statistics.arrays import Codes, Floats, Mask
from ..statistics.confidence import share
from ..statistics.credits import Responses, credit, pairwise
from ..statistics.resampling import Bootstrap, mean_intervals
from .choosing import Pairs

BINS: Final = 10
"""Of the confidence histogram."""
Row = tuple[str, str, str, int, float, float, float]
"""topic, statistic, name, n, value, ends of the interval."""


@dataclass(frozen=True, slots=True, eq=False)
class Annotated:
    """An annotation as arrays."""

    pairs: Pairs
    confidence: Floats
    """(P,)"""
    rewards: Floats
    """(R,)"""
    lengths: Floats
    """(R,)"""
    numbers: Codes
    """(R,) which response of its row each is."""
    first: Codes
    """(R,) the response that stands for its text."""
    usable: Mask
    """(R,) the responses that were chosen from."""
    responses: Responses
    """With the grades of the labels."""
    subsets: Sequence[str]
    """(n,)"""
    domains: Sequence[str]
    """(n,)"""
    clusters: Codes
    """(n,) prompts of one number are not independent."""
    others: Mapping[str, Floats]
    """(R,) rewards of other variants."""
    bootstrap: Bootstrap

    @property
    def best(self) -> Codes:
        """(n,) the response chosen first for each prompt, -1 where none is."""
        found = np.full(len(self.responses.counts), -1)
        order = np.argsort(self.rewards[self.pairs.chosen], kind="stable")
        found[self.pairs.item[order]] = self.pairs.chosen[order]
        return found

    @property
    def signed_margin(self) -> Floats:
        """(P,) the margins, negative where the labels prefer the rejected; NaN where they prefer neither."""
        grades = self.responses.grades
        sign = np.sign(grades[self.pairs.chosen] - grades[self.pairs.rejected])
        return np.where(sign == 0, np.nan, sign * self.pairs.margin)


def statistic_rows(data: Annotated) -> list[Row]:
    """Every row of statistics.csv."""
    rows: list[Row] = []
    if data.responses.graded.any():
        rows += [*_pair_accuracy(data), *_against_grades(data)]
    return [*rows, *_lengths(data), *_confidences(data), *_indices(data), *_domains(data), *_variants(data)]


def _pair_accuracy(data: Annotated) -> Iterator[Row]:
    """How often the labels prefer the chosen response, over the pairs of which they prefer one."""
    margin, item = data.signed_margin, data.pairs.item
    known = ~np.isnan(margin)
    subsets = np.array(data.subsets, dtype=object)[item]
    for name in ("", *dict.fromkeys(data.subsets)):
        inside = known & ((subsets == name) | (name == ""))
        if inside.any():
            found = share(credit(margin[inside]), data.clusters[item[inside]])
            yield "agreement", "accuracy", name, int(inside.sum()), found.value, found.low, found.high
    equal = int((~known).sum())
    yield "agreement", "pairs with equal or unknown grades", "", len(margin), float(equal), np.nan, np.nan


def _against_grades(data: Annotated) -> Iterator[Row]:
    """Order within prompts, and the response that was chosen, against the grades."""
    r, best = data.responses, data.best
    usable = data.usable & r.graded
    grade = np.where(usable, r.grades, -np.inf)
    most = np.maximum.reduceat(grade, r.starts)
    count = r.sums(usable)
    with np.errstate(invalid="ignore"):
        mean = r.sums(np.where(usable, r.grades, 0.0)) / count
        chance = r.sums(usable & (grade == most[r.owners])) / count
    of_best = np.where(best >= 0, r.grades[best], np.nan)
    differ = np.where(np.isnan(of_best) | (chance == 1) | (count == 0), np.nan, 1.0)
    ordered = 2 * pairwise(np.where(usable, data.rewards, np.nan)[None], _only(r, usable), 0.5)[0] - 1
    rows = {
        "Kendall's τ within prompts": ordered,
        "top-1 hit": differ * (of_best == most),
        "top-1 hit of a random response": differ * chance,
        "regret of the chosen": np.where(np.isnan(of_best), np.nan, most - of_best),
        "regret of a random response": np.where(np.isnan(of_best), np.nan, most - mean),
    }
    yield from _means("agreement", rows, data.bootstrap)


def _lengths(data: Annotated) -> Iterator[Row]:
    p, r = data.pairs, data.responses
    chosen, rejected = data.lengths[p.chosen], data.lengths[p.rejected]
    rows = {
        "chosen": _by_prompt(chosen, p.item, len(r.counts)),
        "rejected": _by_prompt(rejected, p.item, len(r.counts)),
        "chosen less rejected": _by_prompt(chosen - rejected, p.item, len(r.counts)),
        "share of pairs with the chosen longer": _by_prompt(credit(chosen - rejected), p.item, len(r.counts)),
        "correlation of reward and length within prompts": _correlations(data),
    }
    yield from _means("length", rows, data.bootstrap)


def _correlations(data: Annotated) -> Floats:
    """(n,) of reward and length over the responses of each prompt that were chosen from."""
    r = data.responses
    usable = data.usable & ~np.isnan(data.rewards)
    count = np.maximum(r.sums(usable), 1)[r.owners]
    centred: list[Floats] = []
    for values in (data.rewards, data.lengths):
        kept = np.where(usable, values, 0.0)
        centred.append(np.where(usable, kept - r.sums(kept)[r.owners] / count, 0.0))
    reward, length = centred
    with np.errstate(invalid="ignore", divide="ignore"):
        found = r.sums(reward * length) / np.sqrt(r.sums(reward**2) * r.sums(length**2))
    return np.where(np.isfinite(found), found, np.nan)


def _confidences(data: Annotated) -> Iterator[Row]:
    n = len(data.confidence)
    place = np.minimum((data.confidence * BINS).astype(int), BINS - 1)
    yield "confidence", "mean", "", n, float(data.confidence.mean()), np.nan, np.nan
    yield "confidence", "standard deviation", "", n, float(data.confidence.std()), np.nan, np.nan
    for k, count in enumerate(np.bincount(place, minlength=BINS).tolist()):
        ends = f"{k / BINS:.1f} to {(k + 1) / BINS:.1f}"
        yield "confidence", "share of pairs", ends, count, count / n, np.nan, np.nan


def _indices(data: Annotated) -> Iterator[Row]:
    """How often each place in a row gave the chosen response; a text that several hold counts in parts for each."""
    r, best = data.responses, data.best
    kept = best >= 0
    copies = np.bincount(data.first, minlength=len(data.first))
    chosen = np.zeros(len(data.first))
    chosen[best[kept]] = 1 / copies[best[kept]]
    inside = kept[r.owners]
    size = int(data.numbers.max()) + 1
    observed = np.bincount(data.numbers[inside], chosen[data.first][inside], minlength=size)
    expected = np.bincount(data.numbers[inside], (1 / r.counts)[r.owners][inside], minlength=size)
    n = int(kept.sum())
    for index, count in enumerate(observed.tolist()):
        if expected[index]:
            yield "index", "share of chosen", str(index), n, count / n, np.nan, np.nan
    possible = expected > 0
    if possible.sum() > 1:
        statistic = float((((observed - expected) ** 2)[possible] / expected[possible]).sum())
        p_value = float(chi2.sf(statistic, int(possible.sum()) - 1))
        yield "index", "p-value of equal shares", "", n, p_value, np.nan, np.nan


def _domains(data: Annotated) -> Iterator[Row]:
    n = len(data.domains)
    names, counts = np.unique(np.array(data.domains, dtype=str), return_counts=True)
    if len(names) > 1 or names[0]:
        for name, count in zip(names.tolist(), counts.tolist(), strict=True):
            yield "domain", "share of prompts", name or "none", n, count / n, np.nan, np.nan


def _variants(data: Annotated) -> Iterator[Row]:
    """Whether another variant would choose the same response: share, and Cohen's κ against choosing at random.

    Prompts of which it gives no response a reward are left out.
    """
    r, best = data.responses, data.best
    count = r.sums(data.usable)
    for name, rewards in data.others.items():
        known = np.where(data.usable, rewards, -np.inf)
        most = np.maximum.reduceat(np.where(np.isnan(known), -np.inf, known), r.starts)
        tops = known == most[r.owners]
        kept = (best >= 0) & np.isfinite(most)
        same = np.where(kept, tops[best] / np.maximum(r.sums(tops), 1), np.nan)
        rows = {"same choice": same}
        chance = float(np.mean(1 / count[kept])) if kept.any() else np.nan
        rows["κ of the choice"] = (same - chance) / (1 - chance)
        for topic, statistic, _, n, value, low, high in _means("variants", rows, data.bootstrap):
            yield topic, statistic, name, n, value, low, high


def _means(topic: str, rows: Mapping[str, Floats], bootstrap: Bootstrap) -> Iterator[Row]:
    found = mean_intervals(np.stack(list(rows.values())), bootstrap)
    for name, (n, value, (low, high)) in zip(rows, found, strict=True):
        if n:
            yield topic, name, "", n, value, low, high


def _by_prompt(values: Floats, item: Codes, n: int) -> Floats:
    """(n,) means over the pairs of each prompt, NaN where it has none."""
    with np.errstate(invalid="ignore"):
        return np.bincount(item, values, minlength=n) / np.bincount(item, minlength=n)


def _only(responses: Responses, usable: Mask) -> Responses:
    """The same with grades of those alone that were chosen from."""
    r = responses
    return Responses(r.counts, np.where(usable, r.grades, np.nan), r.styles, r.groups, r.roles, {})
