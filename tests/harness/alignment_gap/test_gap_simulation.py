"""Small simulation studies; benchmarks/gap_simulation.py holds the larger ones."""

import numpy as np
import pytest
from cdr_eval.harness.alignment_gap.checkpoint_pairs import (
    ALL_ORDERED,
    NO_SELF,
    PAIR_SETS,
    POSITIVE,
    Pairs,
    checkpoint_draws,
    checkpoint_permutations,
    pair_set,
    pair_weights,
)
from cdr_eval.harness.alignment_gap.gap_correlation import (
    correlate,
    naive_p_values,
    permutation_p_value,
    permuted_correlations,
)
from cdr_eval.harness.alignment_gap.pair_effects import empirical_logit, pair_effects
from cdr_eval.harness.alignment_gap.saturation import curve_at, saturation
from cdr_eval.harness.statistics.intervals import percentile_interval

from tests.harness.alignment_gap.simulated_pairs import World, observed, simulated_pairs, true_correlations

pytestmark = pytest.mark.filterwarnings("error")


def monte_carlo(rate, runs, errors=3.0):
    """Three standard errors of a rate over so many runs."""
    return errors * np.sqrt(rate * (1 - rate) / runs)


def test_without_an_effect_the_naive_test_rejects_far_too_often_and_the_permutation_test_at_its_rate():
    rng = np.random.default_rng(1)
    world, runs = World(relevance=0.0), 150
    rejected = {name: np.zeros((2, 3)) for name in PAIR_SETS}
    for _ in range(runs):
        pairs = simulated_pairs(world, rng)
        permuted, exact = checkpoint_permutations(pairs.family, 99, rng)
        for name in PAIR_SETS:
            chosen = pair_set(pairs, name)
            value = observed(chosen)[:, None]
            p = permutation_p_value(value, permuted_correlations(chosen, permuted).swapaxes(0, 1), exact)
            rejected[name][0] += naive_p_values(chosen, value)[:, 0] <= 0.05
            rejected[name][1] += p[:, 0] <= 0.05
    for name in PAIR_SETS:
        naive, permutation = rejected[name] / runs
        assert (np.abs(permutation - 0.05) < monte_carlo(0.05, runs)).all(), name
        assert (naive > (0.12 if name == POSITIVE else 0.4)).all(), name
    assert (rejected[ALL_ORDERED][0] >= rejected[NO_SELF][0]).all()


@pytest.mark.parametrize("world", [World(), World(families=(11,), relevance=0.5)])
def test_with_a_known_effect_intervals_cover_at_their_rate(world):
    rng = np.random.default_rng(2)
    runs = 150
    for name in (NO_SELF, POSITIVE):
        truth = true_correlations(world, name == POSITIVE, rng, pairs=50_000)
        covered = np.zeros(3)
        for _ in range(runs):
            pairs = pair_set(simulated_pairs(world, rng), name)
            permuted, exact = checkpoint_permutations(pairs.family, 1, rng)
            found = correlate(pairs, permuted, exact)
            covered += (found.low[:, 0] <= truth) & (truth <= found.high[:, 0])
        assert (np.abs(covered / runs - 0.95) < 0.03 + monte_carlo(0.95, runs, errors=2)).all(), name


def test_a_known_knee_is_recovered():
    rng = np.random.default_rng(3)
    family = np.repeat([0, 1], [11, 10])
    estimates, covered = [], []
    for _ in range(60):
        score = rng.uniform(0, 25, 21)
        strong, weak = np.nonzero((family[:, None] == family) & (score[:, None] > score))
        gap = score[strong] - score[weak]
        accuracy = curve_at(gap, np.asarray(0.85), np.asarray(8.0), 0.5) + 0.02 * rng.normal(size=len(gap))
        pairs = Pairs(family, score, strong, weak, accuracy[None], np.array([0.5]))
        (fit,) = saturation(gap, pairs.accuracy, pairs.chance, pair_weights(pairs, checkpoint_draws(family, 300, rng)))
        estimates.append(fit.gap_at_90)
        covered.append(fit.gap_at_90_low <= 8 <= fit.gap_at_90_high)
    assert abs(np.median(estimates) - 8) < 0.3
    assert np.mean(covered) > 0.95 - 0.03 - monte_carlo(0.95, 60)


def test_known_strong_and_weak_effects_are_covered():
    rng = np.random.default_rng(4)
    strong, weak = np.nonzero(1 - np.eye(9))
    effects = [values - values.mean() for values in rng.normal(0, 0.6, size=(2, 9))]
    probability = 1 / (1 + np.exp(-effects[0][strong] - effects[1][weak]))
    covered = []
    for _ in range(150):
        accuracy = rng.binomial(800, probability) / 800
        again = rng.binomial(800, accuracy, size=(300, len(strong))) / 800
        drawn = pair_effects(strong, weak, empirical_logit(again, 800))
        for around, truth in zip((drawn.strong, drawn.weak), effects, strict=True):
            low, high = percentile_interval(around)
            covered.append((low <= truth) & (truth <= high))
    assert abs(np.mean(covered) - 0.95) < 0.03
