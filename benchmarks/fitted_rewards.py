"""What fits and estimates save: python -m benchmarks.fitted_rewards > benchmarks/results/fitted_rewards.md

--family and --store choose other checkpoints and another store; --real FILE is the negative control, preference
data that the checkpoints do not understand; without the file that study is left out, which is said.
"""

import argparse
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final

import numpy as np
from cdr_eval.harness.comparisons import grid_of
from cdr_eval.harness.fitting.agreement import Agreement, agreement, disjoint, one_factor, votes
from cdr_eval.harness.fitting.bradley_terry import STRENGTHS, fit, folds_of, out_of_fold, path, standardised
from cdr_eval.harness.fitting.compared import Compared, compared
from cdr_eval.harness.fitting.controls import MOST_EXPLAINED, Control, control
from cdr_eval.harness.fitting.cross_fitting import DIFFERENCE, FITTED, PAIR, best_pair, drawn_items, learning_curve
from cdr_eval.harness.fitting.sparse import forward_order, terms_of
from cdr_eval.harness.options import Options
from cdr_eval.harness.question import ask
from cdr_eval.harness.session import open_session
from cdr_eval.harness.statistics.arrays import Estimate, Floats, Mask
from cdr_eval.harness.statistics.credits import credit
from cdr_eval.harness.tables.rules import responses_of
from cdr_eval.harness.tables.text_features import text_features
from cdr_eval.harness.term_scores import scored_terms, term_question
from cdr_eval.model_registry.registry import load_registry
from cdr_eval.tasks.conditioning import IDENTITY
from cdr_eval.tasks.task import Task
from scipy.stats import spearmanr

from benchmarks.gap_simulation import table
from tests.harness.fitting.score_worlds import World, all_pairs, contrasts

REAL: Final = Path("/work/shared/data/rewardbench_rebuilt.jsonl")
REAL_ITEMS: Final = 400
SIZES: Final = (50, 100, 200, 400)
SPLITS: Final = 30
TEN: Final = 10
FEW: Final = 4
"""Checkpoints of the sparse fit in the table of what is saved."""
Maker = Callable[[Compared], Floats]
"""Makes coefficients (K,) of labelled comparisons."""
VERDICTS: dict[str, str] = {}
"""What came of each hypothesis."""
HYPOTHESES: Final = (
    "H1: fitted on 100 labels, all checkpoints beat the pair that is best on the same labels; the interval excludes 0.",
    "H2: fitted on 50 labels they are no worse than the pair that is best on all labels.",
    "H3: estimates without labels order the pairs better than the gap does, overall and in most sections.",
    "H4: their mean absolute error is below that of a line through the gap which has seen all labels.",
    "H5: on real texts that the checkpoints do not understand nothing is recommended, and a feature is named.",
    "H6: planted biases of length, sample order and position are refused; an honest world is not.",
    "H7: a wrong preference that all share, of no feature that is looked at, is not noticed.",
)
"""Written down before this was run, after a trial on 12 checkpoints of which H1, H3 and H5 were known."""


@dataclass(frozen=True, eq=False)
class Table:
    """A scored and labelled task."""

    task: Task
    names: tuple[str, ...]
    data: Compared
    """The better response first."""
    gap: Floats
    """(P,) of each unordered pair."""
    features: dict[str, Floats]
    """(C,) differences."""

    @cached_property
    def subsets(self) -> list[str]:
        """(C,) of each comparison."""
        return [self.task.items.subsets[item] for item in self.data.item.tolist()]

    def sections(self) -> Iterator[tuple[str, Mask]]:
        """All comparisons, then those of each section with 50 or more."""
        yield "overall", np.ones(len(self.data.item), dtype=np.bool_)
        for section in self.task.sections:
            inside = np.array([subset in section.counts for subset in self.subsets])
            if inside.sum() >= 50:
                yield section.name, inside


def scored(spec: str | None, family: str, store: Path, limit: int | None) -> Table:
    """Score a family on a task, or take what the store has."""
    registry, options = load_registry(), Options(store=store, limit=limit)
    (comparison,) = grid_of(family, (), False, registry, ())
    question = ask(spec, ("vanilla",), [comparison], registry, options)
    session = open_session(term_question(question, [IDENTITY]), [comparison], registry, options)
    names = tuple(checkpoint.name for checkpoint in comparison.checkpoints)
    found, groups = scored_terms(session, [(name, IDENTITY) for name in names])
    items = question.task.items
    clusters = np.unique(np.array(items.clusters), return_inverse=True)[1].astype(np.intp)
    data, _ = compared(found.scores, responses_of(items), clusters, 0)
    benchmark = registry.default_benchmark(family)
    used = [registry.used_scores(name, None, names).get(benchmark) for name in names]
    score = np.array([np.nan if found is None else found.value for found in used])
    strong, weak = all_pairs(len(names))
    tokens = next(iter(groups[0].tokens.values())).astype(np.intp)
    features = text_features(items, tokens, ordered=False)
    differences = {name: values[data.first] - values[data.second] for name, values in features.items()}
    return Table(question.task, names, data, score[strong] - score[weak], differences)


def main() -> None:
    """Print everything as Markdown."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--family", default="minilab")
    parser.add_argument("--store", type=Path, default=Path("benchmarks-store"))
    parser.add_argument("--real", type=Path, default=REAL)
    given = parser.parse_args()
    mine = scored(None, given.family, given.store, None)
    print("# Rewards fitted with few labels, pairs chosen with none\n")
    print(f"Made by `OMP_NUM_THREADS=1 python -m benchmarks.fitted_rewards`: {len(mine.names)} checkpoints of")
    print(f"{given.family}, {len(mine.data.item):,} items. Written down before it was run:\n")
    print("\n".join(f"- {text}" for text in HYPOTHESES))
    studies = [curve_study(mine), saved_study(mine), choice_study(mine), estimate_study(mine)]
    if given.real.exists():
        studies.append(real_study(scored(f"rewardbench:{given.real}", given.family, given.store, REAL_ITEMS)))
    else:
        VERDICTS["H5"] = f"not tried: {given.real} is not here"
    for study in (*studies, planted_study()):
        print()
        for line in study:
            print(line, flush=True)
    print("\n## What came of the hypotheses\n")
    print("\n".join(f"- {name}: {VERDICTS[name]}." for name in sorted(VERDICTS)))


def curve_study(of: Table) -> Iterator[str]:
    """The fit against the pair chosen on the same labels."""
    yield "## Fitted on few labels\n"
    yield f"{SPLITS} random splits; judged on the other items. Intervals take in the items labelled and those judged.\n"
    rows: list[list[str]] = []
    points = learning_curve(of.data, contrasts(len(of.names)), 0, SIZES, SPLITS)
    for labels in dict.fromkeys(point.labels for point in points):
        by = {point.reward: point.accuracy for point in points if point.labels == labels}
        cells = [f"{100 * e.value:.1f} [{100 * e.low:.1f}, {100 * e.high:.1f}]" for e in (by[FITTED], by[PAIR])]
        lead = by[DIFFERENCE]
        if labels == 100:
            VERDICTS["H1"] = (
                f"{_yes(lead.low > 0)}: {100 * lead.value:+.1f} [{100 * lead.low:+.1f}, {100 * lead.high:+.1f}]"
            )
        rows.append([str(labels), *cells, _points(lead)])
    yield from table(["labels", "fit (%)", "best pair on the same labels (%)", "difference (points)"], rows)


def saved_study(of: Table) -> Iterator[str]:
    """What labels and passes buy."""
    count, pairs = len(of.names), contrasts(len(of.names))
    yield "\n## Labels or passes saved\n"
    yield f"Accuracy (%) on items whose labels were not used, mean of {SPLITS} splits (all: 80% of the"
    yield "items, five folds). Without labels: on all items. A pass is one checkpoint scored on a response.\n"
    owner = np.arange(count)
    rows = [
        _saved("best pair", 2, of, lambda d: pairs[best_pair(d, pairs)]),
        _saved(
            f"sparse fit of {FEW}",
            FEW,
            of,
            lambda d: fit(d, 0, terms_of(owner, forward_order(d, owner, FEW))).coefficients,
        ),
        _saved("fit of all", count, of, lambda d: fit(d, 0).coefficients),
    ]
    rows += [[name, str(passes), f"{100 * value:.1f}", *["–"] * 4] for name, passes, value in without_labels(of)]
    yield from table(["reward", "passes", "no labels", "50 labels", "100 labels", "200 labels", "all"], rows)
    best = max(float(of.data.weight @ credit(of.data.difference @ pair)) for pair in pairs) / of.data.weight.sum()
    yield f"\nThe best of all {len(pairs)} pairs in hindsight: {100 * best:.1f}."
    yield from _equals(rows)


def _points(lead: Estimate) -> str:
    return f"{100 * lead.value:+.1f} [{100 * lead.low:+.1f}, {100 * lead.high:+.1f}]"


def _equals(rows: list[list[str]]) -> Iterator[str]:
    """In sentences: how many labels the pair takes to be as good, and what is as good without any."""
    labels = ("50", "100", "200", "all")
    pair = [float(cell) for cell in rows[0][3:]]
    for row in rows[1:3]:
        for place, cell in enumerate(row[3:6]):
            enough = next((labels[k] for k, value in enumerate(pair) if value >= float(cell)), None)
            told = f"{enough} labels" if enough else "more than there are"
            yield f"What the {row[0]} has with {labels[place]} labels ({cell}) takes the best pair {told}."
    free = [row for row in rows[3:] if float(row[2]) >= pair[1]]
    yield f"As good as the pair chosen on 100 labels, without any: {', '.join(row[0] for row in free) or 'none'}."
    fitted = float(rows[2][3])
    VERDICTS["H2"] = f"{_yes(fitted >= pair[-1])}: {fitted:.1f} with 50 labels, the pair {pair[-1]:.1f} with all"


def _yes(true: bool) -> str:
    return "yes" if true else "no"


def _saved(name: str, passes: int, of: Table, made: Maker) -> list[str]:
    values: list[float] = []
    for size in (50, 100, 200):
        drawn = [drawn_items(of.data, size, np.random.default_rng(seed)) for seed in range(SPLITS)]
        values.append(float(np.mean([_judged(of.data, train, made) for train in drawn])))
    fold = folds_of(of.data.cluster, 0)
    values.append(float(np.mean([_judged(of.data, fold != number, made) for number in np.unique(fold)])))
    return [name, str(passes), "–", *(f"{100 * value:.1f}" for value in values)]


def _judged(data: Compared, train: Mask, made: Maker) -> float:
    rest = data.of(~train)
    return float(rest.weight @ credit(rest.difference @ made(data.of(train))) / rest.weight.sum())


def without_labels(of: Table) -> list[tuple[str, int, float]]:
    """Name, passes and accuracy of what is chosen without any label."""
    found, _ = _estimated(of, np.ones(len(of.data.item), dtype=bool))
    strong, weak = all_pairs(len(of.names))
    unit = np.eye(len(of.names))
    both = np.concatenate([unit[strong] - unit[weak], unit[weak] - unit[strong]])
    estimate = np.concatenate([found.accuracy, 1 - found.accuracy])
    gap = np.nan_to_num(np.concatenate([of.gap, -of.gap]), nan=-np.inf)
    ten = both[np.argsort(-estimate)[:TEN]].mean(axis=0)

    def accuracy(reward: Floats) -> float:
        return float(of.data.weight @ credit(of.data.difference @ reward) / of.data.weight.sum())

    passes = int((ten != 0).sum())
    return [
        ("the gap's choice", 2, accuracy(both[int(gap.argmax())])),
        ("the estimate's choice", 2, accuracy(both[int(estimate.argmax())])),
        (f"mean of the {TEN} pairs of highest estimate", passes, accuracy(ten)),
    ]


def choice_study(of: Table) -> Iterator[str]:
    """Two choices of the fit, each against what it might have been."""
    yield "\n## What the fit is\n"
    yield "Coefficients that sum to zero or are free, and the strength of least loss or the strongest within one"
    yield f"standard error of it: accuracy (%) on the other items, {SPLITS} splits. The tool takes the first row, which"
    yield "was chosen by such a table of the twelve checkpoints shipped first.\n"
    rows: list[list[str]] = []
    for zero in (True, False):
        for one_error in (True, False):
            cells = [
                f"{100 * _variant(of.data, size, zero, one_error):.1f}"
                for size in (20, *SIZES)
                if 2 * size <= len(of.data.item)
            ]
            rows.append(["sum to zero" if zero else "free", "one standard error" if one_error else "least", *cells])
    yield from table(
        ["coefficients", "strength", *(f"{n} labels" for n in (20, *SIZES) if 2 * n <= len(of.data.item))], rows
    )


def _variant(data: Compared, size: int, zero: bool, one_error: bool) -> float:
    values: list[float] = []
    for seed in range(SPLITS):
        train = drawn_items(data, size, np.random.default_rng(seed))
        some, rest = data.of(train), data.of(~train)
        if zero and one_error:
            reward = fit(some, seed).coefficients
        else:
            z, _ = standardised(some.difference, some.weight)
            z = z if zero else some.difference / np.sqrt(np.mean(some.difference**2))
            losses = np.logaddexp(0, -out_of_fold(z, some.weight, folds_of(some.cluster, seed)))
            means = losses @ some.weight
            least = int(means.argmin())
            spread = losses[least].std() * np.sqrt(len(z))
            place = int(np.flatnonzero(means <= means[least] + spread)[0]) if one_error else least
            reward = path(z, some.weight, STRENGTHS[: place + 1])[-1]
            reward = reward - reward.mean() if zero else reward
        values.append(float(np.mean(credit(rest.difference @ reward))))
    return float(np.mean(values))


def _estimated(of: Table, inside: Mask) -> tuple[Agreement, Floats]:
    """Estimates (P,) of some comparisons, and the truth."""
    strong, weak = all_pairs(len(of.names))
    data = of.data.of(inside)
    voted = votes(data.difference, strong, weak)
    found = agreement(voted, data.weight, data.cluster, disjoint(strong, weak), of.gap, 2, 0)
    return found, np.asarray(credit(voted).T @ data.weight / data.weight.sum())


def estimate_study(of: Table) -> Iterator[str]:
    """Estimates against the truth, beside the gap."""
    yield "\n## Accuracy without labels\n"
    yield "Over ordered pairs; in brackets each pair once, turned to a positive gap. Product: the rule of"
    yield "Dawid and Skene and of the spectral meta-learner. The gap's error is that of a line through 50%"
    yield "which has seen all labels.\n"
    rows: list[list[str]] = []
    better: list[tuple[bool, bool]] = []
    for name, inside in of.sections():
        found, truth = _estimated(of, inside)
        product = _product(of, inside, of.gap)
        known = ~np.isnan(of.gap)
        slope = float(of.gap[known] @ (truth - 0.5)[known] / max(float(of.gap[known] @ of.gap[known]), 1e-12))
        errors = [np.abs(found.accuracy - truth).mean(), np.abs(product - truth).mean()]
        errors.append(np.abs(0.5 + slope * of.gap - truth)[known].mean())
        ranks = [_ranks(values, truth, of.gap) for values in (found.accuracy, of.gap / 1000 + 0.5)]
        spread = f"{100 * min(truth.min(), 1 - truth.max()):.0f}–{100 * max(truth.max(), 1 - truth.min()):.0f}"
        share = f"{100 * found.explained:.0f}"
        better.append((float(ranks[0].split()[0]) > float(ranks[1].split()[0]), errors[0] < errors[2]))
        rows.append([name, f"{inside.sum():,}", spread, share, *(f"{100 * float(e):.1f}" for e in errors), *ranks])
    for hypothesis, which in (("H3", 0), ("H4", 1)):
        inner = [pair[which] for pair in better[1:]]
        VERDICTS[hypothesis] = f"overall {_yes(better[0][which])}, in {sum(inner)} of {len(inner)} sections"
    head = [
        "scope",
        "items",
        "true range (%)",
        "factor explains (%)",
        "mean absolute error: estimate",
        "product",
        "gap's line",
    ]
    yield from table([*head, "Spearman: estimate", "gap"], rows)


def _product(of: Table, inside: Mask, gap: Floats) -> Floats:
    """Accuracies by E v_p v_q = (2 acc_p − 1)(2 acc_q − 1)."""
    strong, weak = all_pairs(len(of.names))
    data = of.data.of(inside)
    voted = votes(data.difference, strong, weak)
    agree = (voted.T * data.weight / data.weight.sum()) @ voted
    loadings, _ = one_factor(agree, disjoint(strong, weak))
    turned = loadings * (1 if np.nan_to_num(gap) @ loadings >= 0 else -1)
    return 0.5 + np.clip(turned, -1, 1) / 2


def _ranks(values: Floats, truth: Floats, gap: Floats) -> str:
    both = spearmanr(np.concatenate([values, 1 - values]), np.concatenate([truth, 1 - truth]), nan_policy="omit")[0]
    sign = np.where(gap < 0, -1.0, 1.0)
    once = spearmanr(sign * (values - 0.5), sign * (truth - 0.5), nan_policy="omit")[0]
    return f"{float(both):.2f} ({float(once):.2f})"


def real_study(of: Table) -> Iterator[str]:
    """The negative control."""
    yield "\n## Real texts that these checkpoints do not understand\n"
    yield f"{of.task.name}, {len(of.data.item):,} items that all score, spread evenly."
    yield f"Refused where a feature explains more than {100 * MOST_EXPLAINED:.0f}% of the agreement.\n"
    rows: list[list[str]] = []
    strong, weak = all_pairs(len(of.names))
    for name, inside in of.sections():
        found, truth = _estimated(of, inside)
        data = of.data.of(inside)
        voted, apart = votes(data.difference, strong, weak), disjoint(strong, weak)
        told = {
            feature: control(voted, data.weight, values[inside], apart, found.accuracy)
            for feature, values in of.features.items()
        }
        rows.append([name, f"{inside.sum():,}", _ranks(found.accuracy, truth, of.gap), *_verdict(told)])
    refused = [row[-1] == "refused" for row in rows]
    VERDICTS["H5"] = f"overall {_yes(refused[0])}, in {sum(refused[1:])} of {len(rows) - 1} sections"
    yield from table(["scope", "items", "Spearman with the truth", "strongest feature", "explains", "verdict"], rows)


def _verdict(told: dict[str, Control]) -> list[str]:
    feature = max(told, key=lambda name: told[name].explained)
    share = told[feature].explained
    return [feature, f"{100 * share:.0f}%", "refused" if share > MOST_EXPLAINED else "not refused"]


def planted_study() -> Iterator[str]:
    """Worlds with a planted bias: is it refused?"""
    yield "\n## Planted worlds: 12 checkpoints, 1,000 items\n"
    yield "Each checkpoint's score: loading · quality + bias · feature + noise; the feature says nothing of"
    yield "quality. Beside the planted one, a feature of noise is looked at; a shared preference that is"
    yield "no feature is not.\n"
    count = 12
    lead, rng = np.linspace(-0.8, 1.2, count), np.random.default_rng(3)
    nothing, taste = np.zeros(count), rng.permutation(np.linspace(-1.2, 1.2, count))
    worlds: list[tuple[str, World, str]] = [
        ("honest", World(lead, np.full(count, 0.8)), ""),
        ("length alone", World(nothing, np.full(count, 0.8), taste), "length"),
        ("length and quality alike", World(lead, np.full(count, 0.8), taste), "length"),
        ("a little length", World(lead, np.full(count, 0.8), 0.3 * taste), "length"),
        ("sample order", World(nothing, np.full(count, 0.8), taste), "order"),
        ("position", World(nothing, np.full(count, 0.8), taste), "position"),
        ("a wrong preference that all share", World(nothing, np.full(count, 0.8), -1.5 * lead), "hidden"),
    ]
    rows = [_planted(name, world, kind, lead, rng) for name, world, kind in worlds]
    yield from table(
        ["world", "factor explains", "Spearman with the truth", "strongest feature", "explains", "verdict"], rows
    )


def _planted(name: str, world: World, kind: str, lead: Floats, rng: np.random.Generator) -> list[str]:
    count = len(lead)
    strong, weak = all_pairs(count)
    data, feature = world.draw(1000, rng)
    difference = data.difference
    if kind in ("order", "position"):  # the feature is which comes first, or how far apart two places are
        placed = rng.choice([-1.0, 1.0], 1000) * (rng.integers(1, 8, 1000) if kind == "position" else 1.0)
        difference = difference + (placed / np.abs(placed).mean() - feature)[:, None] * world.biases
        feature = np.asarray(placed, dtype=np.float64)
    elif kind == "hidden":  # it goes against quality more often than not
        against = np.abs(feature) * rng.choice([-1.0, 1.0], 1000, p=[0.7, 0.3])
        difference = difference + (against + feature)[:, None] * world.biases * -1.0
    voted, apart, gap = votes(difference, strong, weak), disjoint(strong, weak), lead[strong] - lead[weak]
    found = agreement(voted, data.weight, data.cluster, apart, gap, 2, 0)
    truth = np.asarray(credit(voted).mean(axis=0))
    features = {"noise": rng.normal(size=1000), **({kind: feature} if kind and kind != "hidden" else {})}
    told = {what: control(voted, data.weight, values, apart, found.accuracy) for what, values in features.items()}
    error = 100 * float(np.mean(np.abs(found.accuracy - truth)))
    return [name, f"{100 * found.explained:.0f}%", f"{error:.1f}", *_verdict(told)]


if __name__ == "__main__":
    main()
