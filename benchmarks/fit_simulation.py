"""Do intervals of fits and estimates cover? python -m benchmarks.fit_simulation > benchmarks/results/fit_simulation.md

Worlds in which the truth is known, with 12 and 24 checkpoints and 100 to 3,000 items; they are those of the tests
(tests/harness/fitting/score_worlds.py). `--share 0.2` makes a fifth of the runs, `--study fits` only some of them.
"""

import argparse
from collections.abc import Callable, Iterator
from typing import Final

import numpy as np
from cdr_eval.harness.fitting.agreement import agreement, disjoint, votes
from cdr_eval.harness.fitting.bradley_terry import fit, folds_of, ridge, standardised
from cdr_eval.harness.fitting.compared import Compared
from cdr_eval.harness.fitting.cross_fitting import DIFFERENCE, learning_curve
from cdr_eval.harness.statistics.arrays import Floats
from cdr_eval.harness.statistics.credits import credit
from cdr_eval.harness.statistics.resampling import Bootstrap, mean_intervals

from benchmarks.gap_simulation import percent
from tests.harness.fitting.score_worlds import World, all_pairs, contrasts

CHECKPOINTS: Final = (12, 24)
ITEMS: Final = (100, 300, 1000, 3000)
RUNS: Final = {100: 200, 300: 200, 1000: 100, 3000: 40}
ESTIMATES: Final = {12: 60, 24: 20}
"""Runs of the study of estimates, each of as many pairs as there are."""
RESAMPLES: Final = 100
FRESH: Final = 20_000
"""Items that say what a fit is truly worth."""
HYPOTHESES: Final = (
    "H1: where the model holds, intervals of unlabelled estimates cover within 3 points of 95%, but for 100 items.",
    "H2: where all quality differences are equally large, they do not: the estimates are then too low.",
    "H3: intervals of out-of-fold accuracy cover the accuracy of the fit on all labels within 3 points of 95%.",
    "H4: intervals of coefficients cover the ridge's own optimum within 3 points of 95%, and from 300 items on.",
    "H5: intervals of the fit's lead over the pair chosen on the same 100 labels cover within 3 points of 95%.",
)
"""Written down before any of it was run."""


def main() -> None:
    """Print every study as Markdown."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--share", type=float, default=1.0)
    parser.add_argument("--study", nargs="+", choices=STUDIES, default=list(STUDIES))
    given = parser.parse_args()
    print("# Coverage of the intervals of fits and of estimates without labels\n")
    print("Made by `OMP_NUM_THREADS=1 python -m benchmarks.fit_simulation`; nominal is 95%.")
    print("World: a checkpoint's score is its loading times the quality, what all say alike, and noise of its own.")
    print(
        "The Monte Carlo standard error of a true 95% is 1.5 points with 200 runs, 3.4 with 40, 6.9 with 10; estimates"
    )
    print("are of many pairs in each run.")
    print("\nWritten down before it was run:\n")
    print("\n".join(f"- {text}" for text in HYPOTHESES))
    for name in given.study:
        print()
        for line in STUDIES[name](given.share):
            print(line, flush=True)


def heading(*names: str) -> Iterator[str]:
    """The head of a Markdown table, whose rows come as they are done."""
    yield row(*names)
    yield "|" + "---|" * len(names)


def row(*cells: object) -> str:
    """A row of it."""
    return "| " + " | ".join(map(str, cells)) + " |"


def _runs(count: int, share: float) -> int:
    return max(2, round(share * count))


def world(checkpoints: int, *, even: bool = False) -> World:
    """Loadings over a range, noise that differs."""
    return World(np.linspace(-0.8, 1.2, checkpoints), np.linspace(0.6, 1.0, checkpoints)[::-1].copy(), even=even)


def true_accuracy(of: World, checkpoints: int) -> Floats:
    """Accuracy (P,) of each pair: P(m > 0) of the better response first."""
    strong, weak = all_pairs(checkpoints)
    lead = of.loadings[strong] - of.loadings[weak]
    spread = np.sqrt(of.noise[strong] ** 2 + of.noise[weak] ** 2)
    if of.even:
        from scipy.special import ndtr

        return np.asarray(ndtr(lead / spread), dtype=np.float64)
    return 0.5 + np.arctan(lead / spread) / np.pi


def estimate_study(share: float) -> Iterator[str]:
    """Coverage, bias and size of the error of estimates without labels."""
    yield "## Estimates without labels\n"
    yield "Mean over pairs. In the second world all quality differences are equally large: the model is wrong there.\n"
    yield from heading(
        "world", "checkpoints", "items", "runs", "coverage", "bias above 50% (points)", "mean absolute error"
    )
    for even in (False, True):
        for checkpoints in CHECKPOINTS:
            for items in ITEMS:
                of, runs = world(checkpoints, even=even), _runs(ESTIMATES[checkpoints], share)
                covered, bias, error = _estimates(of, checkpoints, items, runs)
                name = "equal differences" if even else "model holds"
                numbers = [percent(covered), f"{100 * bias:+.1f}", f"{100 * error:.1f}"]
                yield row(name, checkpoints, f"{items:,}", runs, *numbers)


def _estimates(of: World, checkpoints: int, items: int, runs: int) -> tuple[float, float, float]:
    (strong, weak), truth = all_pairs(checkpoints), true_accuracy(of, checkpoints)
    apart, gap = disjoint(strong, weak), of.loadings[strong] - of.loadings[weak]
    covered, bias, error = 0.0, 0.0, 0.0
    rng = np.random.default_rng(items + checkpoints)
    for _ in range(runs):
        data, _ = of.draw(items, rng)
        found = agreement(
            votes(data.difference, strong, weak),
            data.weight,
            data.cluster,
            apart,
            gap,
            RESAMPLES,
            int(rng.integers(9999)),
        )
        low, high = found.interval
        covered += float(np.mean((low <= truth) & (truth <= high))) / runs
        above = truth > 0.5
        bias += float(np.mean((found.accuracy - truth)[above])) / runs
        error += float(np.mean(np.abs(found.accuracy - truth))) / runs
    return covered, bias, error


def fit_study(share: float) -> Iterator[str]:
    """Coverage of out-of-fold accuracy and of coefficients."""
    yield "## Fits\n"
    yield f"Accuracy: of the fit on all labels, on {FRESH:,} fresh items. Coefficients: of the ridge at the chosen"
    yield "strength on as many, times the scale that the labels gave.\n"
    yield from heading(
        "checkpoints", "items", "runs", "accuracy: coverage", "its bias (points)", "coefficients: coverage"
    )
    for checkpoints in CHECKPOINTS:
        fresh, _ = world(checkpoints).draw(FRESH, np.random.default_rng(7))
        for items in ITEMS:
            runs = _runs(RUNS[items], share)
            accuracy, lead, coefficients = _fits(checkpoints, items, runs, fresh)
            yield row(checkpoints, f"{items:,}", runs, percent(accuracy), f"{100 * lead:+.2f}", percent(coefficients))


def _fits(checkpoints: int, items: int, runs: int, fresh: Compared) -> tuple[float, float, float]:
    rng = np.random.default_rng(items * checkpoints)
    covered, lead, inside = 0.0, 0.0, 0.0
    for run in range(runs):
        data, _ = world(checkpoints).draw(items, rng)
        whole = fit(data, run)
        truth = float(np.mean(fresh.difference @ whole.coefficients > 0))
        credits = _out_of_fold(data, run)
        bootstrap = Bootstrap.of(data.cluster, np.zeros(items, dtype=np.intp), RESAMPLES * 10, run)
        ((_, value, (low, high)),) = mean_intervals(credits[None], bootstrap)
        covered += (low <= truth <= high) / runs
        lead += (value - truth) / runs
        _, size = standardised(data.difference, data.weight)
        centred = fresh.difference - fresh.difference.mean(axis=1, keepdims=True)
        target = ridge(centred / size, fresh.weight, whole.strength, np.zeros(checkpoints)) * whole.scale / size
        inside += float(np.mean((whole.low <= target) & (target <= whole.high))) / runs
    return covered, lead, inside


def _out_of_fold(data: Compared, seed: int) -> Floats:
    """Credits (C,) of each comparison by the fit on the other folds."""
    fold, credits = folds_of(data.cluster, seed), np.zeros(len(data.item))
    for number in np.unique(fold):
        out = fold == number
        credits[out] = credit(data.difference[out] @ fit(data.of(~out), seed).coefficients)
    return credits


def lead_study(share: float) -> Iterator[str]:
    """Coverage of the learning curve's difference at 100 labels."""
    yield "## The fit's lead over the pair chosen on the same 100 labels\n"
    yield "Truth: the mean over as many further tables as runs, each judged on fresh items.\n"
    yield from heading("checkpoints", "items", "runs", "true lead (points)", "mean estimate", "coverage")
    for items in (300, 1000):
        fresh, _ = world(12).draw(FRESH, np.random.default_rng(7))
        runs = _runs(RUNS[items] // 2, share)
        found = [_lead(items, seed, fresh) for seed in range(runs)]
        truth = float(np.mean([true for _, _, _, true in found]))
        covered = float(np.mean([low <= truth <= high for _, low, high, _ in found]))
        mean = float(np.mean([value for value, _, _, _ in found]))
        yield row(12, f"{items:,}", runs, f"{100 * truth:+.2f}", f"{100 * mean:+.2f}", percent(covered))


def _lead(items: int, seed: int, fresh: Compared) -> tuple[float, float, float, float]:
    rng, pairs = np.random.default_rng(10_000 + seed), contrasts(12)
    data, _ = world(12).draw(items, rng)
    (point,) = [p for p in learning_curve(data, pairs, seed, sizes=(100,)) if p.reward == DIFFERENCE]
    some, _ = world(12).draw(100, rng)
    chosen = pairs[int((credit(some.difference @ pairs.T)).mean(axis=0).argmax())]
    rewards = (fit(some, seed).coefficients, chosen)
    ours, theirs = (float(np.mean(credit(fresh.difference @ reward))) for reward in rewards)
    return point.accuracy.value, point.accuracy.low, point.accuracy.high, ours - theirs


STUDIES: Final[dict[str, Callable[[float], Iterator[str]]]] = {
    "estimates": estimate_study,
    "fits": fit_study,
    "lead": lead_study,
}


if __name__ == "__main__":
    main()
