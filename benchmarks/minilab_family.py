"""Does the alignment gap predict accuracy? The minilab's family, whose scores fill the range, on the paper's claim.

    cdr-eval grid --ignore-labels --out RUN
    python -m benchmarks.minilab_family RUN > benchmarks/results/minilab_family.md

Everything is read from the tables of the grid's run directory; two of its figures are copied beside the page.
"""

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np
from cdr_eval.harness.statistics.arrays import Floats
from cdr_eval.reports.run_format.evaluation_tables import ChainRow, GapStatistic, RecommendationRow
from cdr_eval.reports.run_format.reading import Run, read_run
from scipy.stats import rankdata

RESULTS: Final = Path(__file__).parent / "results"
HYPOTHESES: Final = (
    "H1: over pairs turned to a positive gap, accuracy rises with the gap: Pearson above 0, permutation p below 0.05.",
    "H2: the curve saturates: an asymptote is identified.",
    "H3: strong and weak add up: together they explain 90% or more of the variance of the logits of accuracy.",
    "H4: the gap chooses well: the pair with the widest gap is within 3 points of the best pair.",
    "H5: preference training that costs score breaks the trend: over its own start, such a checkpoint has a negative "
    "gap and still an accuracy above 50%.",
    "H6: a second seed of the chain changes no pair's accuracy by more than 3 points.",
)
"""Written down before the grid was run on the family."""
FIGURES: Final = {"gap-minilab-judge": "minilab_family_gap", "heatmap-minilab-vanilla": "minilab_family_heatmap"}
FAMILY, OVERALL, SECOND = "minilab", "overall", "b"
JUDGES: Final = {"minilab_judge": "greedy", "minilab_judge_sampled": "sampled"}
"""Benchmarks of the registry, and how the page calls them."""


def statistic(run: Run, pairs: str, name: str, judge: str) -> GapStatistic:
    """One row of gap_analysis.csv."""
    wanted = (pairs, FAMILY, OVERALL, judge, name)
    return next(
        row for row in run.gap_analysis if wanted == (row.pair_set, row.family, row.scope, row.benchmark, row.statistic)
    )


def sure(number: float | None) -> float:
    """A cell that a grid of the minilab fills; NaN where it is empty."""
    return float("nan") if number is None else number


def interval(row: ChainRow | RecommendationRow) -> str:
    """An accuracy in per cent with its interval."""
    value, low, high = (100 * sure(number) for number in (row.accuracy, row.ci_low, row.ci_high))
    return f"{value:.1f} [{low:.1f}, {high:.1f}]"


def shown(row: GapStatistic, scale: float = 1, places: int = 2) -> str:
    """A value with its interval."""
    value, low, high = (scale * sure(number) for number in (row.value, row.ci_low, row.ci_high))
    return f"{value:.{places}f} [{low:.{places}f}, {high:.{places}f}]"


def ranked(run: Run) -> list[RecommendationRow]:
    """The pairs from the most accurate down, overall."""
    return [row for row in run.recommendation if row.scope == OVERALL]


def gaps(run: Run, judge: str) -> dict[tuple[str, str], float]:
    """Each pair's gap in a judge's score, self-pairs left out."""
    return {(row.strong, row.weak): sure(row.gaps[judge]) for row in run.pairs if row.strong != row.weak}


def verdict(holds: bool) -> str:
    """Of a hypothesis."""
    return "holds" if holds else "does not hold"


def correlation_lines(run: Run) -> Iterator[str]:
    """H1 for both scores, and the sizes-shuffled part of the ordered pairs' correlation."""
    yield "## Gap and accuracy\n"
    yield "| score | pairs | n | Pearson | p | Spearman | p | verdict on H1 |\n|---|---|---|---|---|---|---|---|"
    for judge, name in JUDGES.items():
        for pairs in ("ordered, no self", "positive gap"):
            count, pearson, spearman = (statistic(run, pairs, s, judge) for s in ("n_pairs", "pearson", "spearman"))
            p = [sure(row.p_permutation) for row in (pearson, spearman)]
            holds = sure(pearson.value) > 0 and p[0] < 0.05
            yield (
                f"| {name} | {pairs} | {sure(count.value):.0f} | {shown(pearson)} | {p[0]:.4f} | "
                f"{shown(spearman)} | {p[1]:.4f} | {verdict(holds) if pairs[0] == 'p' else ''} |"
            )
    yield "\nIntervals over checkpoints (jackknife), p from permuting the checkpoints' scores.\n"
    yield f"![Accuracy against the gap in the greedy score]({FIGURES['gap-minilab-judge']}.svg)\n"
    yield f"![Overall accuracy, strong by weak]({FIGURES['heatmap-minilab-vanilla']}.svg)\n"


def shape_lines(run: Run) -> Iterator[str]:
    """H2 and H3."""
    yield "## Saturation and the additive model\n"
    for judge, name in JUDGES.items():
        found = statistic(run, "positive gap", "identifiable", judge).value == 1
        asymptote, reached = (statistic(run, "positive gap", s, judge) for s in ("asymptote", "gap_at_90"))
        said = f"{shown(asymptote, 100, 1)}%, 90% of the gain at a gap of {shown(reached, 1, 1)} points"
        yield f"- H2, {name} score, {verdict(found)}: {said if found else 'the gaps that there are show no bend'}."
    strong, weak, rest = (
        statistic(run, "positive gap", f"{part}_share", "minilab_judge") for part in ("strong", "weak", "left_over")
    )
    holds = sure(strong.value) + sure(weak.value) >= 0.9
    yield (
        f"- H3 {verdict(holds)}: of the variance of the logits over positive gaps strong "
        f"explains {shown(strong, 100, 1)}%, weak {shown(weak, 100, 1)}%, and {shown(rest, 100, 1)}% are left over.\n"
    )


def choice_lines(run: Run) -> Iterator[str]:
    """H4: what is picked by the gap, beside the best in hindsight."""
    rows = ranked(run)
    place = {(row.strong, row.weak): row for row in rows}
    yield "## Which pair?\n"
    yield "| chosen by | strong | weak | accuracy | less than the best | rank |\n|---|---|---|---|---|---|"
    picks = {"hindsight": (rows[0].strong, rows[0].weak)}
    for judge, name in JUDGES.items():
        found = gaps(run, judge)
        picks[f"widest {name} gap"] = max(found, key=found.__getitem__)
    estimates = {(row.strong, row.weak): sure(row.estimate) for row in run.unlabelled}
    picks["highest estimate without labels"] = max(estimates, key=estimates.__getitem__)
    for name, pair in picks.items():
        row = place[pair]
        lost = 100 * sure(row.difference_from_best)
        yield f"| {name} | {pair[0]} | {pair[1]} | {interval(row)} | {lost:+.1f} | {row.rank} of {len(rows)} |"
    lost = 100 * sure(place[picks["widest greedy gap"]].difference_from_best)
    yield f"\nH4 {verdict(lost >= -3)} (greedy score).\n"
    accuracy: Floats = rankdata([sure(row.accuracy) for row in rows])
    for judge, name in JUDGES.items():
        gap: Floats = rankdata([gaps(run, judge)[row.strong, row.weak] for row in rows])
        yield f"Spearman of gap and accuracy over all ordered pairs, {name}: {np.corrcoef(gap, accuracy)[0, 1]:.2f}.\n"
    estimated: Floats = rankdata([estimates[row.strong, row.weak] for row in rows])
    yield f"Spearman of the estimate without labels and accuracy: {np.corrcoef(estimated, accuracy)[0, 1]:.2f}.\n"
    yield "What few labels buy on the same scores: [fitted_rewards](fitted_rewards.md).\n"


def own_references(run: Run) -> list[ChainRow]:
    """Every checkpoint whose start has a start, over that start."""
    return [row for row in run.chain if row.scope == OVERALL and row.relation == "own reference"]


def cost_lines(run: Run) -> Iterator[str]:
    """H5: checkpoints that preference training made worse by the judge."""
    gap = gaps(run, "minilab_judge")
    trained = {c.name for c in run.info.checkpoints if c.stage == "preference"}
    rows = [row for row in own_references(run) if row.checkpoint in trained and gap[row.checkpoint, row.reference] < 0]
    yield "## Where preference training cost score\n"
    yield "| checkpoint | over its start | gap | accuracy |\n|---|---|---|---|"
    for row in rows:
        yield f"| {row.checkpoint} | {row.reference} | {gap[row.checkpoint, row.reference]:+.1f} | {interval(row)} |"
    above = sum(sure(row.ci_low) > 0.5 for row in rows)
    yield f"\nH5 {verdict(above == len(rows) > 0)}: {above} of {len(rows)} are above 50%, intervals included.\n"


def seed_lines(run: Run) -> Iterator[str]:
    """H6: the chain's pairs beside those of its second seed."""
    accuracy = {(row.strong, row.weak): sure(row.accuracy) for row in run.pairs}
    chain = [f"minilab-dpo-{k}" for k in (1, 2, 3)]
    pairs = [
        ((strong, weak), (strong + SECOND, weak + SECOND if weak in chain else weak))
        for strong in chain
        for weak in ("minilab-base", "minilab-sft", *chain[: chain.index(strong)])
    ]
    yield "## The main chain with a second seed\n"
    yield "| strong | weak | first seed | second seed | difference |\n|---|---|---|---|---|"
    for first, second in pairs:
        a, b = accuracy[first], accuracy[second]
        yield f"| {first[0]} | {first[1]} | {a:.1f} | {b:.1f} | {b - a:+.1f} |"
    widest = max(abs(accuracy[first] - accuracy[second]) for first, second in pairs)
    yield f"\nH6 {verdict(widest <= 3)}: the widest difference is {widest:.1f} points.\n"


def family_lines(run: Run) -> Iterator[str]:
    """The checkpoints in the order of their scores."""
    yield "## The family\n"
    yield "| checkpoint | from | stage | objective | greedy score | sampled score |\n|---|---|---|---|---|---|"
    for c in sorted(run.info.checkpoints, key=lambda c: sure(c.scores_used["minilab_judge"])):
        start, objective = c.trained_from or "", c.objective or ""
        scores = " | ".join(f"{sure(c.scores_used[judge]):.1f}" for judge in JUDGES)
        yield f"| {c.name} | {start} | {c.stage} | {objective} | {scores} |"
    yield ""


def page(run: Run) -> Iterator[str]:
    """The page, line by line."""
    count, items = len(run.info.checkpoints), max(row.n for row in run.pairs)
    yield "# Does the alignment gap predict accuracy in the minilab?\n"
    yield "`cdr-eval grid --ignore-labels --out RUN`, then"
    yield "`python -m benchmarks.minilab_family RUN > benchmarks/results/minilab_family.md`. Written down before:\n"
    yield from (f"- {hypothesis}" for hypothesis in HYPOTHESES)
    yield f"\n{count} checkpoints, {items} test items, reward log π_strong − log π_weak without criteria. Accuracies"
    yield "in per cent, brackets are 95% intervals. The recipe was settled in sight of the judge's scores alone, and"
    yield "four checkpoints are trained so hard that it costs score: another family would give other correlations.\n"
    for lines in (correlation_lines, shape_lines, choice_lines, cost_lines, seed_lines, family_lines):
        yield from lines(run)


def main() -> None:
    """Write the page of the run directory that the command line names."""
    folder = Path(sys.argv[1])
    for name, copy in FIGURES.items():
        shutil.copy(folder / "figures" / f"{name}.svg", RESULTS / f"{copy}.svg")
    print("\n".join(page(read_run(folder))).rstrip())


if __name__ == "__main__":
    main()
