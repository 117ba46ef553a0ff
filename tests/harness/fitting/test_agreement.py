from dataclasses import replace

import numpy as np
import pytest
from cdr_eval.harness.fitting.agreement import agreement, disjoint, identified, one_factor, sign_p_value, votes
from cdr_eval.harness.fitting.controls import MOST_EXPLAINED, control
from scipy.stats import multivariate_normal

from tests.harness.fitting.score_worlds import World, all_pairs

K = 8
STRONG, WEAK = all_pairs(K)
APART = disjoint(STRONG, WEAK)
LOADINGS = np.linspace(-1.0, 1.5, K)
WORLD = World(LOADINGS, np.full(K, 0.8))


def estimated(world: World, items: int, seed: int = 0, resamples: int = 100):
    data, feature = world.draw(items, np.random.default_rng(seed))
    voted = votes(data.difference, STRONG, WEAK)
    gap = LOADINGS[STRONG] - LOADINGS[WEAK]
    return agreement(voted, data.weight, data.cluster, APART, gap, resamples, 0), voted, feature, data.weight


def test_accuracies_come_back_from_votes_alone_where_the_model_holds():
    found, voted, _, _ = estimated(WORLD, 40_000, resamples=2)
    assert found.accuracy == pytest.approx((voted.mean(axis=0) + 1) / 2, abs=0.015)
    assert found.explained > 0.99


def test_it_does_not_matter_which_response_of_each_comparison_comes_first():
    found, voted, _, weight = estimated(WORLD, 500, resamples=2)
    flipped = voted * np.random.default_rng(1).choice([-1, 1], size=(500, 1))
    gap = LOADINGS[STRONG] - LOADINGS[WEAK]
    again = agreement(flipped, weight, np.arange(500), APART, gap, 2, 0)
    assert again.accuracy == pytest.approx(found.accuracy)


def test_the_gap_sets_the_sign_and_nothing_else():
    found, voted, _, weight = estimated(WORLD, 500, resamples=2)
    gap = LOADINGS[STRONG] - LOADINGS[WEAK]
    turned = agreement(voted, weight, np.arange(500), APART, -0.1 * gap, 2, 0)
    assert turned.accuracy == pytest.approx(1 - found.accuracy)
    assert turned.resampled == pytest.approx(1 - found.resampled)


@pytest.mark.parametrize("even", [False, True])
def test_intervals_cover_whether_comparisons_are_equally_hard_or_not(even: bool):
    world = replace(WORLD, even=even)
    truth = (estimated(world, 200_000, seed=99, resamples=2)[1].mean(axis=0) + 1) / 2
    inside: list[float] = []
    for seed in range(20):
        low, high = estimated(world, 1000, seed)[0].interval
        inside.append(float(np.mean((low <= truth) & (truth <= high))))
    assert np.mean(inside) == pytest.approx(0.95, abs=0.04)


def test_scores_that_say_nothing_leave_the_sign_unsettled():
    accuracy = estimated(WORLD, 2000, resamples=2)[0].accuracy
    assert sign_p_value(accuracy, STRONG, WEAK, LOADINGS, 0) < 0.005
    assert sign_p_value(accuracy, STRONG, WEAK, -LOADINGS, 0) < 0.005
    assert sign_p_value(accuracy, STRONG, WEAK, np.append(np.full(K - 2, np.nan), [1.0, 2.0]), 0) == 1
    rng = np.random.default_rng(2)
    p = [sign_p_value(accuracy, STRONG, WEAK, rng.permutation(LOADINGS), seed) for seed in range(200)]
    assert np.mean(np.array(p) < 0.25) == pytest.approx(0.25, abs=0.1)


def test_five_checkpoints_identify_one_factor_and_four_do_not():
    assert [identified(disjoint(*all_pairs(k))) for k in (2, 3, 4, 5)] == [False, False, False, True]
    with pytest.raises(ValueError, match="too few"):
        agreement(np.ones((9, 6)), np.ones(9), np.arange(9), disjoint(*all_pairs(4)), np.ones(6), 2, 0)


def test_pairs_that_share_a_checkpoint_are_not_apart():
    strong, weak = np.array([0, 1, 2]), np.array([1, 2, 3])
    assert disjoint(strong, weak).tolist() == [[False, False, True], [False, False, False], [True, False, False]]


def test_one_factor_finds_the_product_matrix_behind_the_entries_that_it_may_see():
    loadings = np.random.default_rng(0).uniform(-0.9, 0.9, len(STRONG))
    hidden = np.where(APART, np.outer(loadings, loadings), 7.0)
    found, explained = one_factor(hidden, APART)
    assert found * np.sign(found @ loadings) == pytest.approx(loadings, abs=1e-4)
    assert explained == pytest.approx(1, abs=1e-6)


def test_agreement_of_two_pairs_is_the_orthant_probability_that_the_model_states():
    rho = 0.35
    both = multivariate_normal([0, 0], [[1, rho], [rho, 1]]).cdf([0, 0])
    assert 4 * both - 1 == pytest.approx(2 / np.pi * np.arcsin(rho), abs=1e-4)


def test_a_feature_that_pairs_vote_by_explains_them_and_others_do_not():
    biased = World(np.zeros(K), np.full(K, 0.8), biases=LOADINGS)
    found, voted, feature, weight = estimated(biased, 600, resamples=2)
    told = control(voted, weight, feature, APART, found.accuracy)
    assert told.explained > 0.7 > MOST_EXPLAINED
    assert abs(told.correlation) > 0.95
    noise = np.random.default_rng(5).normal(size=600)
    assert abs(control(voted, weight, noise, APART, found.accuracy).explained) < 0.06
    _, honest, unrelated, weight = estimated(WORLD, 600, resamples=2)
    assert control(honest, weight, unrelated, APART, found.accuracy).explained < 0.06


def test_a_feature_that_hardly_ever_differs_explains_nothing():
    _, voted, _, weight = estimated(WORLD, 100, resamples=2)
    rare = np.zeros(100)
    rare[:3] = 1
    assert control(voted, weight, rare, APART, np.full(len(STRONG), 0.6)).explained == 0
