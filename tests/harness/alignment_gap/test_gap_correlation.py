from dataclasses import replace
from itertools import permutations

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
)
from cdr_eval.harness.alignment_gap.gap_correlation import (
    METHODS,
    correlate,
    correlation_difference,
    fixed_correlations,
    mean_fixed_correlation,
    noise_split,
    permuted_correlations,
    resampled_correlations,
    sizes_shuffled,
)
from scipy import stats

pytestmark = pytest.mark.filterwarnings("error")
SCIPY = (stats.pearsonr, stats.spearmanr, stats.kendalltau)


def grid(sizes=(5, 4), seed=0, effect=0.05, scopes=2):
    """All ordered pairs but self-pairs; accuracies antisymmetric, as those of a density ratio are."""
    rng = np.random.default_rng(seed)
    family = np.repeat(np.arange(len(sizes)), sizes)
    n = len(family)
    score = np.round(rng.normal(10, 5, n), 1)
    noise = rng.normal(size=(scopes, n, n))
    gap = score[:, None] - score
    matrix = 1 / (1 + np.exp(-effect * gap - 0.3 * (noise - noise.swapaxes(1, 2))))
    strong, weak = np.nonzero((family[:, None] == family) & ~np.eye(n, dtype=bool))
    return Pairs(family, score, strong, weak, matrix[:, strong, weak], np.full(len(matrix), 0.5))


def chosen_of(pairs):
    gap = pairs.gaps(pairs.score)
    chosen = pairs.chosen(gap)
    return gap[chosen], pairs.accuracy[:, chosen]


@pytest.mark.parametrize("name", PAIR_SETS)
def test_correlations_and_naive_p_values_are_scipys(name):
    pairs = pair_set(grid(), name)
    rng = np.random.default_rng(0)
    permuted, exact = checkpoint_permutations(pairs.family, 50, rng)
    found = correlate(pairs, permuted, exact)
    gap, accuracy = chosen_of(pairs)
    for m, test in enumerate(SCIPY):
        for s in range(2):
            value, p = test(gap, accuracy[s])
            assert np.isclose(found.value[m, s], value) and np.isclose(found.p_naive[m, s], p)


@pytest.mark.parametrize("name", PAIR_SETS)
def test_the_exact_permutation_p_is_that_of_a_plain_loop(name):
    pairs = pair_set(grid((5,), scopes=1, seed=3), name)
    permuted, exact = checkpoint_permutations(pairs.family, 1000, np.random.default_rng(0))
    found = correlate(pairs, permuted, exact)
    assert exact and len(permuted) == 120
    for m, test in enumerate(SCIPY):
        extreme = 0
        for order in permutations(range(5)):
            score = pairs.score[list(order)]
            gap = score[pairs.strong] - score[pairs.weak]
            kept = gap > 1e-9 if name == POSITIVE else np.ones(len(gap), dtype=bool)
            extreme += abs(test(gap[kept], pairs.accuracy[0, kept])[0]) >= abs(found.value[m, 0]) - 1e-9
        assert np.isclose(found.p_permutation[m, 0], extreme / 120)


def test_resampled_correlations_are_those_of_the_pairs_of_a_drawn_sample():
    pairs = pair_set(grid(), POSITIVE)
    counts = checkpoint_draws(pairs.family, 30, np.random.default_rng(1))
    found = resampled_correlations(pairs, counts)
    position = {(i, j): p for p, (i, j) in enumerate(zip(pairs.strong, pairs.weak, strict=True))}
    for r, drawn in enumerate(counts):
        sample = np.repeat(np.arange(9), drawn)
        met = [position[i, j] for i in sample for j in sample if (i, j) in position]
        gap = pairs.gaps(pairs.score)[met]
        kept = np.array(met)[gap > 0]
        gap = pairs.gaps(pairs.score)[kept]
        for m, test in enumerate(SCIPY):
            accuracy = pairs.accuracy[1, kept]
            wanted = test(gap, accuracy)[0] if len(set(gap)) > 1 and len(set(accuracy)) > 1 else np.nan
            assert np.isclose(found[m, r, 1], wanted, equal_nan=True)


def test_the_interval_leaves_out_one_checkpoint_at_a_time():
    pairs = pair_set(grid((7, 6), scopes=1), POSITIVE)
    permuted, exact = checkpoint_permutations(pairs.family, 5, np.random.default_rng(0))
    found = correlate(pairs, permuted, exact)
    gap = pairs.gaps(pairs.score)
    z = []
    for k in range(13):
        kept = (gap > 0) & (pairs.strong != k) & (pairs.weak != k)
        z.append(np.arctanh(stats.pearsonr(gap[kept], pairs.accuracy[0, kept])[0]))
    half = stats.t.ppf(0.975, 11) * np.sqrt(12 / 13 * np.sum((np.array(z) - np.mean(z)) ** 2))
    centre = np.arctanh(found.value[0, 0])
    assert np.allclose(np.tanh([centre - half, centre + half]), [found.low[0, 0], found.high[0, 0]])


def test_random_permutations_approach_the_exact_p():
    pairs = pair_set(grid((6,), effect=0.02, seed=4), NO_SELF)
    rng = np.random.default_rng(0)
    every, _ = checkpoint_permutations(pairs.family, 720, rng)
    drawn = np.array([rng.permutation(6) for _ in range(20_000)])
    value = resampled_correlations(pairs, np.ones((1, 6), dtype=np.int64))[:, 0]
    exact, share = (
        (np.abs(permuted_correlations(pairs, permuted)) >= np.abs(value)[:, None] - 1e-9).mean(axis=1)
        for permuted in (every, drawn)
    )
    assert np.allclose(share, exact, atol=0.02)


def test_mirror_images_leave_pearson_but_not_its_naive_p_alone():
    pairs = grid((8,))
    rng = np.random.default_rng(0)
    permuted, exact = checkpoint_permutations(pairs.family, 20, rng)
    whole, apart = (correlate(pair_set(pairs, name), permuted, exact) for name in (ALL_ORDERED, NO_SELF))
    assert np.allclose(whole.value[0], apart.value[0])
    assert (whole.p_naive[0] < apart.p_naive[0]).all()


def test_sign_only_null_keeps_signs_and_sizes():
    rng = np.random.default_rng(0)
    pairs = pair_set(grid((7,), scopes=1), NO_SELF)
    sign = np.sign(pairs.gaps(pairs.score))
    only_sign = replace(pairs, accuracy=0.5 + 0.2 * sign[None])
    mean, low, high = sizes_shuffled(only_sign, 300, rng)
    observed = resampled_correlations(only_sign, np.ones((1, 7), dtype=np.int64))[:2, 0]
    # accuracy depends on the sign alone: which pair has which size cannot matter
    assert np.allclose(mean, observed) and np.allclose(low, high)


def test_sign_only_null_of_an_accuracy_that_grows_with_the_gap_falls_short_of_it():
    pairs = grid((9,), scopes=1)
    gap = pairs.gaps(pairs.score)
    linear = replace(pairs, accuracy=0.5 + 0.01 * gap[None])
    mean, _, high = sizes_shuffled(linear, 500, np.random.default_rng(0))
    assert mean[0, 0] < 0.85 and high[0, 0] < 1
    assert mean[0, 0] > 0.4


@pytest.mark.parametrize("role", ["strong", "weak"])
def test_fixed_correlations_are_scipys_over_the_other_checkpoints(role):
    pairs = grid((6,))
    fixed = fixed_correlations(pairs, 2, role)
    assert fixed is not None
    n, found = fixed
    rows = (pairs.strong if role == "strong" else pairs.weak) == 2
    assert n == rows.sum() == 5
    for m, test in enumerate(SCIPY):
        assert np.isclose(found.value[m, 1], test(pairs.gaps(pairs.score)[rows], pairs.accuracy[1, rows])[0])
    assert (found.low <= found.value + 1e-9).all() and (found.value <= found.high + 1e-9).all()


def test_mean_fixed_correlation_is_the_mean_of_the_fixed_ones_and_its_p_that_of_a_loop():
    pairs = grid((5,), scopes=1, seed=2)
    permuted, exact = checkpoint_permutations(pairs.family, 200, np.random.default_rng(0))
    found = mean_fixed_correlation(pairs, "weak", permuted, exact)

    def mean(score):
        gap = score[pairs.strong] - score[pairs.weak]
        of = [stats.pearsonr(gap[pairs.weak == k], pairs.accuracy[0, pairs.weak == k])[0] for k in range(5)]
        return np.mean(of)

    values = [mean(pairs.score[list(order)]) for order in permutations(range(5))]
    assert np.isclose(found.value[0], values[0])
    assert np.isclose(found.p_permutation[0], np.mean(np.abs(values) >= abs(values[0]) - 1e-9))


def test_fixed_correlation_needs_three_others():
    assert fixed_correlations(grid((3,)), 0, "weak") is None


def test_benchmark_difference_is_the_difference_of_the_two_correlations():
    pairs = pair_set(grid((8,)), POSITIVE)
    other = pairs.score + np.random.default_rng(5).normal(0, 3, 8)
    found = correlation_difference(pairs, other)
    values = []
    for score in (pairs.score, other):
        gap = score[pairs.strong] - score[pairs.weak]
        values.append(stats.pearsonr(gap[gap > 0], pairs.accuracy[0, gap > 0])[0])
    assert np.isclose(found.value[0], values[0] - values[1])
    assert found.low[0] <= found.value[0] <= found.high[0]


def test_a_benchmark_does_not_differ_from_itself():
    pairs = pair_set(grid((8,)), NO_SELF)
    found = correlation_difference(pairs, pairs.score)
    assert np.allclose([found.value, found.low, found.high], 0)


def test_noise_split_without_item_noise_is_all_checkpoints_and_with_one_sample_all_items():
    pairs = pair_set(grid((8,)), NO_SELF)
    rng = np.random.default_rng(0)
    draws = checkpoint_draws(pairs.family, 2000, rng)
    still = np.repeat(pairs.accuracy[None], 2000, axis=0).astype(np.float32)
    noisy = (still + 0.02 * rng.normal(size=still.shape)).astype(np.float32)
    from_items, from_checkpoints = noise_split(pairs, still, draws)
    assert (from_items < 1e-9).all()
    spread = np.nanvar(resampled_correlations(pairs, draws)[0], axis=0)
    assert np.allclose(from_checkpoints, spread, rtol=0.1)
    everyone = np.ones((2000, 8), dtype=np.int64)
    from_items, from_checkpoints = noise_split(pairs, noisy, everyone)
    wanted = np.var([stats.pearsonr(pairs.gaps(pairs.score), row[0])[0] for row in noisy])
    assert np.isclose(from_items[0], wanted, rtol=0.1)
    assert (from_checkpoints < 0.1 * from_items).all()


@pytest.mark.parametrize("name", PAIR_SETS)
@pytest.mark.parametrize("sizes", [(2,), (1, 1), (3,), (2, 1)])
def test_too_few_checkpoints_give_undefined_numbers_not_errors(name, sizes):
    pairs = pair_set(grid(sizes), name)
    rng = np.random.default_rng(0)
    permuted, exact = checkpoint_permutations(pairs.family, 50, rng)
    found = correlate(pairs, permuted, exact)
    assert found.value.shape == (len(METHODS), 2)
    assert (np.isnan(found.value) | (np.abs(found.value) <= 1)).all()


def test_equal_scores_and_equal_accuracies_are_undefined():
    pairs = grid((4,))
    flat = replace(pairs, accuracy=np.full_like(pairs.accuracy, 0.5))
    level = replace(pairs, score=np.full(4, 3.0))
    rng = np.random.default_rng(0)
    permuted, exact = checkpoint_permutations(pairs.family, 50, rng)
    for given in (flat, level):
        for name in PAIR_SETS:
            found = correlate(pair_set(given, name), permuted, exact)
            for numbers in (found.value, found.low, found.high, found.p_permutation, found.p_naive):
                assert np.isnan(numbers).all()
