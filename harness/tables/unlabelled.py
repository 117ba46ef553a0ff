"""A grid without labels: every pair's accuracy from how pairs agree, and what else could make them agree."""

from collections import Counter
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import pandas as pd

from ...errors import UserError
from ...reports.run_format.frames import make_frame
from ...reports.run_format.run_info import MEAN_FILE, MEAN_PAIRS
from ...tasks.conditioning import IDENTITY
from ..alignment_gap.recommend import recommend
from ..fitted import fitted_terms
from ..fitted_file import FITTED_FORMAT, FittedFile
from ..fitting.agreement import Agreement, agreement, disjoint, identified, sign_p_value
from ..fitting.compared import Compared, unlabelled
from ..fitting.controls import MOST_EXPLAINED, control
from ..question import Question, has_labels
from ..rules import responses_of
from ..statistics.arrays import Codes, Floats, Mask
from ..statistics.credits import credit
from .analysis import analysed_variant
from .run_record import RunFacts, main_benchmarks, used_scores
from .sample import Label
from .text_features import text_features

LEAST_EXPLAINED: Final = 0.5
"""Of the votes' correlations: with less, one factor is no account of them."""
LEAST_SCORED: Final = 10
"""Checkpoints with a score: of fewer, one family's scores set the sign wrongly too often, however clearly."""
MOST_DOUBTED: Final = 0.05
"""The sign's p-value; with a larger one everything may be upside down."""
LEAST_ITEMS: Final = 20


def unlabelled_tables(
    facts: RunFacts, labels: Sequence[Label], rewards: Floats
) -> tuple[dict[str, Any], dict[str, pd.DataFrame], dict[str, str]]:
    """Of rewards (rows, R): what run.json says of the estimates, tables `unlabelled` and `controls`, and MEAN_FILE.

    Raises UserError for a grid whose accuracies agreement does not identify.
    """
    variant = analysed_variant(labels)
    rows = _once(labels, variant)
    strong, weak = _ends(labels, rows)
    apart = disjoint(strong, weak)
    data = _compared(facts, rewards[rows])
    _check_identified(apart)
    _check_scored(data, facts)
    voted = np.sign(data.difference)
    score, benchmark = _scores(facts, labels, rows)
    options, gap = facts.options, score[strong] - score[weak]
    found = agreement(voted, data.weight, data.cluster, apart, gap, options.resamples, options.seed)
    doubt = sign_p_value(found.accuracy, strong, weak, score, options.seed)
    controls = _controls(facts, data, voted, apart, found)
    refused = _refused(found, controls, benchmark, int((~np.isnan(score)).sum()), doubt)
    table = _pairs_table(facts, [labels[row] for row in rows], data, found)
    mean = _mean(facts, table) if variant == "vanilla" and not refused else None
    info = {
        "variant": variant,
        "items": len(np.unique(data.item)),
        "comparisons": len(data.item),
        "ties": int((voted == 0).sum()),
        "explained": found.explained,
        "benchmark": benchmark,
        "sign_p": doubt,
        "refused": refused,
        "mean_checkpoints": len(mean.checkpoints) if mean else 0,
        "resamples": len(found.resampled),
    }
    return info, {"unlabelled": table, "controls": controls}, {MEAN_FILE: mean.text()} if mean else {}


def _once(labels: Sequence[Label], variant: str | None) -> list[int]:
    """The row of each unordered pair of two checkpoints."""
    found: dict[frozenset[str], int] = {}
    for row, (strong, weak, name) in enumerate(labels):
        if name == variant and weak and strong != weak:
            found.setdefault(frozenset((strong, weak)), row)
    return list(found.values())


def _names(labels: Sequence[Label], rows: Sequence[int]) -> list[str]:
    return list(dict.fromkeys(name for row in rows for name in labels[row][:2]))


def _ends(labels: Sequence[Label], rows: Sequence[int]) -> tuple[Codes, Codes]:
    names = {name: number for number, name in enumerate(_names(labels, rows))}
    ends = np.array([[names[name] for name in labels[row][:2]] for row in rows], dtype=np.intp).reshape(-1, 2)
    return ends[:, 0], ends[:, 1]


def _compared(facts: RunFacts, rewards: Floats) -> Compared:
    items = facts.question.task.items
    clusters = np.unique(np.array(items.clusters), return_inverse=True)[1].astype(np.intp)
    return unlabelled(rewards, responses_of(items), clusters, facts.options.seed)[0]


def check_estimable(question: Question, pairs: Sequence[tuple[str, str]]) -> None:
    """Raise UserError where agreement cannot say anything of a question's variants or items, or of (strong, weak)."""
    task, variants = question.task, question.variants
    if not any(variant.uses_weak for variant in variants):
        raise UserError(
            "Without labels accuracies are estimated from how pairs of checkpoints agree, and no variant of "
            f"{', '.join(variant.name for variant in variants)} takes both: pass one that does with --variants, such "
            "as vanilla."
        )
    labels = [(strong, weak, "") for strong, weak in pairs]
    _check_identified(disjoint(*_ends(labels, _once(labels, ""))))
    if len(task.items) < LEAST_ITEMS:
        raise UserError(
            f"{task.name} has {len(task.items)} items here, and an estimate without labels takes {LEAST_ITEMS}: pass "
            "more items."
        )


def _check_identified(apart: Mask) -> None:
    if not identified(apart):
        raise UserError(
            "Without labels accuracies are estimated from pairs that share no checkpoint, which takes five checkpoints "
            "of one family at least: pass more with --models or --family."
        )


def _check_scored(data: Compared, facts: RunFacts) -> None:
    if len(np.unique(data.item)) < LEAST_ITEMS:
        raise UserError(
            f"Only {len(np.unique(data.item))} items of {facts.question.task.name} have two responses that all pairs "
            f"score, and an estimate without labels takes {LEAST_ITEMS}: pass more items."
        )


def _scores(facts: RunFacts, labels: Sequence[Label], rows: Sequence[int]) -> tuple[Floats, str]:
    """Each checkpoint's score on the main benchmark, NaN where unknown; no benchmark where they do not differ."""
    benchmark = main_benchmarks(facts)[0]
    found = used_scores(facts)
    score = np.array(
        [found[name][benchmark].value if benchmark in found[name] else np.nan for name in _names(labels, rows)]
    )
    return score, benchmark if len(np.unique(score[~np.isnan(score)])) > 1 else ""


def _controls(facts: RunFacts, data: Compared, voted: Floats, apart: Any, found: Agreement) -> pd.DataFrame:
    task = facts.question.task
    tokens = next(iter(facts.scored[0].tokens.values()))
    rows: list[list[object]] = []
    for name, values in text_features(task.items, tokens.astype(np.intp), ordered=not has_labels(task)).items():
        told = control(voted, data.weight, values[data.first] - values[data.second], apart, found.accuracy)
        rows.append([name, told.n, told.explained, told.correlation])
    return make_frame("controls", sorted(rows, key=lambda row: -float(str(row[2]))))


def _refused(found: Agreement, controls: pd.DataFrame, benchmark: str, known: int, doubt: float) -> str:
    """Why the estimates are not to be used, as a clause; empty where nothing speaks against them."""
    first = controls.iloc[0]
    if float(first["explained"]) > MOST_EXPLAINED:
        return (
            f"the pairs agree on a feature of the texts: {first['control']} alone explains "
            f"{100 * float(first['explained']):.0f}% of their agreement"
        )
    if not benchmark:
        return "no checkpoint has a benchmark score, so that nothing says whether the pairs agree on good or on bad"
    if known < LEAST_SCORED:
        return (
            f"scores of {known} checkpoints are too few to say whether the pairs agree on good or on bad, which takes "
            f"{LEAST_SCORED}"
        )
    if doubt >= MOST_DOUBTED:
        return (
            f"whether the pairs agree on good or on bad is not settled: scores on {benchmark} dealt to the checkpoints "
            f"at random would say it as clearly (p = {doubt:.2f})"
        )
    if found.explained < LEAST_EXPLAINED:
        return f"one factor explains only {100 * found.explained:.0f}% of how the pairs' votes correlate"
    return ""


def _pairs_table(facts: RunFacts, labels: Sequence[Label], data: Compared, found: Agreement) -> pd.DataFrame:
    """Both directions of each pair, the highest estimate first."""
    low, high = found.interval
    truth = _truth(facts.question.task.items.grades, data)
    both = [(s, w, v) for s, w, v in labels] + [(w, s, v) for s, w, v in labels]
    estimate, resampled = (np.concatenate([each, 1 - each], axis=-1) for each in (found.accuracy, found.resampled))
    ends = np.concatenate([low, 1 - high]), np.concatenate([high, 1 - low])
    known = np.concatenate([truth, 1 - truth])
    size = {m.local.name: m.local.parameters for g in facts.scored for m in g.group.members}
    sizes = {name: np.nan if number is None else float(number) for name, number in size.items()}
    parameters = np.array([sizes[s] + sizes[w] for s, w, _ in both])
    units = np.full(len(both), len(np.unique(data.cluster)))
    order = recommend(estimate, resampled, parameters, units)
    n, numbers = len(np.unique(data.item)), 100 * np.stack([estimate, *ends, known], axis=1)
    rows: list[list[object]] = []
    for rank, pair in enumerate(order.order.tolist()):
        marks = bool(order.tied[rank]), bool(order.cheapest[rank])
        rows.append([*both[pair], n, *numbers[pair].tolist(), *marks])
    return make_frame("unlabelled", rows)


def _mean(facts: RunFacts, table: pd.DataFrame) -> FittedFile | None:
    """The mean of the pairs of highest estimate as a reward, None where they cancel."""
    chosen = table.head(MEAN_PAIRS)
    count = Counter(chosen["strong"].tolist())
    count.subtract(chosen["weak"].tolist())
    terms = fitted_terms(facts.scored, (((name, IDENTITY), n / len(chosen)) for name, n in count.items()))
    if not terms:
        return None
    return FittedFile(
        format=FITTED_FORMAT,
        name=f"mean of {len(chosen)} pairs",
        task=facts.question.task.name,
        labels=0,
        mean_per_token=facts.options.mean,
        criteria="",
        terms=terms,
        problems="",
    )


def _truth(grades: Floats, data: Compared) -> Floats:
    """How often each pair prefers the response of higher grade (P,), over the same comparisons; NaN without grades."""
    sign = np.sign(grades[data.first] - grades[data.second])
    known = np.abs(sign) == 1
    if not known.any():
        return np.full_like(data.difference[0], np.nan)
    right = credit(data.difference[known] * sign[known, None])
    return np.asarray(np.average(right, axis=0, weights=data.weight[known]), dtype=np.float64)
