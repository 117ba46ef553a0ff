"""Simulation studies of the gap statistics: python -m benchmarks.gap_simulation > benchmarks/results/gap_simulation.md

Worlds in which the truth is known: do the tests reject at their rate, do the intervals cover, are a knee and effects
recovered? The worlds are those of the test suite's smaller studies (tests/harness/alignment_gap/simulated_pairs.py).
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Final

import numpy as np
from cdr_eval.harness.alignment_gap.checkpoint_pairs import (
    NO_SELF,
    PAIR_SETS,
    POSITIVE,
    Pairs,
    checkpoint_draws,
    checkpoint_permutations,
    leave_one_out,
    pair_set,
    pair_weights,
)
from cdr_eval.harness.alignment_gap.gap_correlation import (
    METHODS,
    correlation_difference,
    naive_p_values,
    permutation_p_value,
    permuted_correlations,
    resampled_correlations,
)
from cdr_eval.harness.alignment_gap.pair_effects import empirical_logit, pair_effects
from cdr_eval.harness.alignment_gap.saturation import curve_at, saturation
from cdr_eval.harness.statistics.arrays import Floats
from cdr_eval.harness.statistics.intervals import percentile_interval
from numpy.typing import NDArray

from benchmarks.interval_constructions import CONSTRUCTIONS, Drawn
from tests.harness.alignment_gap.simulated_pairs import World, observed, simulated_pairs, true_correlations

NULL_RUNS: Final = 1000
RUNS: Final = 1000
DRAWS: Final = 800
WORLD: Final = World()
WORLDS: Final = {
    "11 + 10, strong effect": World(relevance=0.95, pair_noise=0.1),
    "11 + 10, middling effect": WORLD,
    "11 + 10, weak effect": World(relevance=0.5),
    "11 + 10, no effect": World(relevance=0.0),
    "11 + 10, noisy pairs": World(pair_noise=0.5, items=300),
    "one family of 11": World(families=(11,)),
    "one family of 6": World(families=(6,)),
}


def main() -> None:
    """Print every study as Markdown."""
    print("# Simulation studies of the alignment-gap statistics\n")
    print("Made by `OMP_NUM_THREADS=1 python -m benchmarks.gap_simulation`; every study has its own seed.")
    print("World: score and skill of a checkpoint are noisy views of its quality; the logit of a pair's accuracy is")
    print("the difference of skills plus pair noise, antisymmetric; accuracies come from finitely many items.")
    for study in (null_study, coverage_study, difference_study, knee_study, effects_study):
        print()
        for line in study():
            print(line, flush=True)


def table(head: list[str], rows: list[list[str]]) -> Iterator[str]:
    """A Markdown table."""
    yield "| " + " | ".join(head) + " |"
    yield "|" + "---|" * len(head)
    yield from ("| " + " | ".join(row) + " |" for row in rows)


def percent(share: float) -> str:
    """A share as a per cent."""
    return f"{100 * share:.1f}%"


def null_study() -> Iterator[str]:
    """How often the naive and the permutation test reject at 5% where there is no effect."""
    worlds = {
        "families of 11 and 10": (World(relevance=0.0), 399),
        "one family of 5": (World((5,), relevance=0.0), 399),
    }
    yield "## No true effect: share of tests that reject at 5%\n"
    error = 100 * np.sqrt(0.05 * 0.95 / NULL_RUNS)
    yield f"{NULL_RUNS} simulated grids each; Monte Carlo standard error of a true 5%: {error:.1f} points."
    yield "One family of 5 has 120 permutations, all enumerated; the other world draws 399.\n"
    rows: list[list[str]] = []
    for label, (world, limit) in worlds.items():
        rejected = np.zeros((2, len(PAIR_SETS), len(METHODS)))
        rng = np.random.default_rng(1)
        for _ in range(NULL_RUNS):
            pairs = simulated_pairs(world, rng)
            permuted, exact = checkpoint_permutations(pairs.family, limit, rng)
            for k, name in enumerate(PAIR_SETS):
                chosen = pair_set(pairs, name)
                value = observed(chosen)[:, None]
                p = permutation_p_value(value, permuted_correlations(chosen, permuted).swapaxes(0, 1), exact)
                rejected[0, k] += naive_p_values(chosen, value)[:, 0] <= 0.05
                rejected[1, k] += p[:, 0] <= 0.05
        for k, name in enumerate(PAIR_SETS):
            for m, method in enumerate(METHODS):
                naive, permutation = rejected[:, k, m] / NULL_RUNS
                rows.append([label, name, method, percent(float(naive)), percent(float(permutation))])
    yield from table(["world", "pair set", "correlation", "naive test", "permutation test"], rows)


def coverage_study() -> Iterator[str]:
    """How often each construction of an interval covers the true correlation."""
    yield "## Coverage of nominal 95% intervals of the correlation\n"
    error = 100 * np.sqrt(0.05 * 0.95 / RUNS)
    yield f"{RUNS} simulated grids a world, {DRAWS} resamples of checkpoints; Monte Carlo standard error {error:.1f}"
    yield "points. Truth: the correlation over 300,000 pairs, each of two new checkpoints. The program uses"
    yield "the last.\n"
    rows: list[list[str]] = []
    near = np.zeros(len(CONSTRUCTIONS), dtype=int)
    for label, world in WORLDS.items():
        covered = np.zeros((2, len(CONSTRUCTIONS), len(METHODS)))
        rng = np.random.default_rng(2)
        truths = [true_correlations(world, name == POSITIVE, rng) for name in (NO_SELF, POSITIVE)]
        for _ in range(RUNS):
            pairs = simulated_pairs(world, rng)
            counts = checkpoint_draws(pairs.family, DRAWS, rng)
            for k, name in enumerate((NO_SELF, POSITIVE)):
                drawn = drawn_correlations(pair_set(pairs, name), counts)
                for c, construction in enumerate(CONSTRUCTIONS.values()):
                    low, high = construction(drawn)
                    covered[k, c] += (low <= truths[k]) & (truths[k] <= high)
        near += (np.abs(covered - 0.95 * RUNS) <= 0.03 * RUNS).sum(axis=(0, 2))
        for k, name in enumerate((NO_SELF, POSITIVE)):
            for m, method in enumerate(METHODS):
                shares = [percent(float(share)) for share in covered[k, :, m] / RUNS]
                rows.append([label, name, method, f"{truths[k][m]:.2f}", *shares])
    yield from table(["world", "pair set", "correlation", "truth", *CONSTRUCTIONS], rows)
    told = "; ".join(f"{name}: {count}" for name, count in zip(CONSTRUCTIONS, near.tolist(), strict=True))
    yield f"\nRows within 3 points of 95%, of {len(rows)}: {told}."


def drawn_correlations(pairs: Pairs, counts: NDArray[np.int64]) -> Drawn:
    """The three correlations of a set of pairs with bootstrap and jackknife over checkpoints."""
    left_out = resampled_correlations(pairs, leave_one_out(len(pairs.score)))[:, :, 0].T
    return Drawn(observed(pairs), resampled_correlations(pairs, counts)[:, :, 0].T, left_out, pairs.freedom)


def difference_study() -> Iterator[str]:
    """Coverage of the interval of a difference of two benchmarks' correlations."""
    yield "## Which benchmark predicts better: coverage of the interval of the difference (Pearson, jackknife, t)\n"
    yield "The second benchmark is the first with noise added, in standard deviations of the first.\n"
    rows: list[list[str]] = []
    for noise in (0.3, 0.5, 1.0):
        for name in (NO_SELF, POSITIVE):
            rng = np.random.default_rng(3)
            # noise of one benchmark beside the other is a loss of reliability: 8 points are one sd of the score
            other = replace(WORLD, reliability=WORLD.reliability / (1 + noise**2))
            truths = [true_correlations(world, name == POSITIVE, rng)[0] for world in (WORLD, other)]
            truth = float(truths[0] - truths[1])
            covered = 0
            for _ in range(RUNS):
                pairs = pair_set(simulated_pairs(WORLD, rng), name)
                other = pairs.score + noise * 8 * rng.normal(size=len(pairs.score))
                found = correlation_difference(pairs, other)
                covered += bool(found.low[0] <= truth <= found.high[0])
            rows.append([f"{noise:.1f} sd", name, f"{truth:.3f}", percent(covered / RUNS)])
    yield from table(["noise added", "pair set", "true difference", "coverage"], rows)


def knee_study() -> Iterator[str]:
    """Recovery of the gap at which accuracy saturates."""
    yield "## Saturation: recovery of a known knee\n"
    yield "21 checkpoints in families of 11 and 10, accuracy a saturating function of the gap (asymptote 0.85) plus"
    yield f"noise of checkpoints and pairs; gaps reach about 25 points. {RUNS} grids a row, {DRAWS} resamples.\n"
    rows: list[list[str]] = []
    for at_90 in (3.0, 6.0, 10.0, 20.0, 60.0):
        for noise in (0.01, 0.03):
            rng = np.random.default_rng(4)
            found = [knee_of(at_90, noise, rng) for _ in range(RUNS)]
            told = np.array([fit for fit in found if not np.isnan(fit[0])]).reshape(-1, 5)
            known = len(told) / RUNS
            cells = ["", "", "", ""]
            if len(told):
                quartiles = np.quantile(told[:, 0], (0.25, 0.5, 0.75))
                inside = ((told[:, 1] <= at_90) & (at_90 <= told[:, 2])).mean()
                top = ((told[:, 3] <= 0.85) & (told[:, 4] >= 0.85)).mean()
                cells = [f"{quartiles[1]:.1f}", f"{quartiles[0]:.1f} to {quartiles[2]:.1f}"]
                cells += [percent(float(inside)), percent(float(top))]
            rows.append([f"{at_90:.0f}", f"{noise:.2f}", percent(known), *cells])
    head = ["true gap at 90%", "noise (sd)", "called identifiable", "median estimate", "middle half"]
    yield from table([*head, "interval covers the knee", "interval covers the asymptote"], rows)


def knee_of(at_90: float, noise: float, rng: np.random.Generator) -> tuple[float, float, float, float, float]:
    """The estimated gap at 90% with its interval, and the asymptote's interval, of one simulated grid."""
    family = np.repeat([0, 1], [11, 10])
    score = rng.uniform(0, 25, len(family))
    strong, weak = np.nonzero((family[:, None] == family) & (score[:, None] > score))
    gap = score[strong] - score[weak]
    luck = noise * rng.normal(size=len(family)) / np.sqrt(2)
    accuracy = curve_at(gap, np.asarray(0.85), np.asarray(at_90), 0.5) + luck[strong] - luck[weak]
    accuracy += noise * rng.normal(size=len(gap))
    pairs = Pairs(family, score, strong, weak, accuracy[None], np.array([0.5]))
    (fit,) = saturation(gap, pairs.accuracy, pairs.chance, pair_weights(pairs, checkpoint_draws(family, DRAWS, rng)))
    return fit.gap_at_90, fit.gap_at_90_low, fit.gap_at_90_high, fit.asymptote_low, fit.asymptote_high


def effects_study() -> Iterator[str]:
    """Recovery of known strong and weak effects, and coverage of their intervals over items."""
    yield "## Additive model: recovery of known effects of strong and weak\n"
    yield "11 checkpoints, logit accuracy = strong + weak exactly, binomial items;"
    yield f"{RUNS} grids, {DRAWS} item resamples.\n"
    rows: list[list[str]] = []
    for items in (100, 500, 2985):
        rng = np.random.default_rng(5)
        strong, weak = np.nonzero(1 - np.eye(11))
        true_strong, true_weak = (values - values.mean() for values in 0.6 * rng.normal(size=(2, 11)))
        probability: Floats = 1 / (1 + np.exp(-true_strong[strong] - true_weak[weak]))
        errors: list[Floats] = []
        covered: list[Floats] = []
        for _ in range(RUNS):
            accuracy: Floats = rng.binomial(items, probability) / items
            resampled: Floats = rng.binomial(items, accuracy, size=(DRAWS, len(strong))) / items
            fit = pair_effects(strong, weak, empirical_logit(accuracy, items))
            drawn = pair_effects(strong, weak, empirical_logit(resampled, items))
            for value, around, truth in ((fit.strong, drawn.strong, true_strong), (fit.weak, drawn.weak, true_weak)):
                low, high = percentile_interval(around)
                errors.append(value - truth)
                covered.append((low <= truth) & (truth <= high))
        size = float(np.sqrt(np.mean(np.square(errors))))
        rows.append([str(items), f"{size:.3f}", percent(float(np.mean(covered)))])
    yield from table(["items", "root mean square error (logits)", "coverage of 95% intervals"], rows)


if __name__ == "__main__":
    main()
