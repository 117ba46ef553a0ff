from dataclasses import replace

import numpy as np
import pytest
from cdr_eval.harness.fitting.bradley_terry import (
    coefficient_interval,
    fit,
    folds_of,
    likeliest_scale,
    ridge,
    standardised,
)
from cdr_eval.harness.fitting.compared import FOLDS, compared, unlabelled
from cdr_eval.harness.statistics.credits import Responses
from scipy.special import expit
from sklearn.linear_model import LogisticRegression

from tests.harness.fitting.score_worlds import labelled, one_an_item

TRUTH = np.array([1.0, -0.4, 0.0, -0.6])


def drawn(items: int, seed: int = 0):
    rng = np.random.default_rng(seed)
    return labelled(rng.normal(size=(items, 4)) + 2 * rng.normal(size=(items, 1)), TRUTH, rng)


def responses(counts: list[int], grades: list[float]) -> Responses:
    n = len(counts)
    return Responses(np.array(counts), np.array(grades), np.zeros(len(grades), np.intp), ("",) * n, ("",) * n, {})


@pytest.mark.parametrize("strength", [1.0, 0.03, 1e-4])
def test_the_ridge_is_the_optimum_that_scikit_learn_finds_for_each_comparison_told_both_ways_round(strength: float):
    data, weight = drawn(300), np.random.default_rng(1).uniform(0.1, 2.0, 300)
    z, _ = standardised(data.difference, weight)
    ours = ridge(z, weight, strength, np.zeros(4))
    theirs = LogisticRegression(C=1 / (strength * weight.sum()), fit_intercept=False, tol=1e-12, max_iter=10_000)
    theirs.fit(np.concatenate([z, -z]), np.repeat([1, 0], 300), np.tile(weight / 2, 2))
    assert ours == pytest.approx(theirs.coef_[0], abs=2e-5)


def test_a_fit_changes_neither_with_the_unit_of_all_scores_nor_with_what_all_checkpoints_say_alike():
    data = drawn(200)
    plain = fit(data, 0)
    scaled = fit(replace(data, difference=1000 * data.difference), 0)
    assert 1000 * scaled.coefficients == pytest.approx(plain.coefficients, rel=1e-9)
    assert scaled.strength == plain.strength
    common = 50 * np.random.default_rng(3).normal(size=(200, 1))
    assert fit(replace(data, difference=data.difference + common), 0).coefficients == pytest.approx(
        plain.coefficients, rel=1e-8
    )
    assert plain.coefficients.sum() == pytest.approx(0, abs=1e-12)


def test_the_coefficients_of_a_world_come_back_and_its_logits_are_probabilities():
    found, fresh = fit(drawn(4000), 0), np.random.default_rng(9)
    assert found.coefficients == pytest.approx(TRUTH, abs=0.2)
    difference = fresh.normal(size=(200_000, 4))
    right = fresh.random(len(difference)) < expit(difference @ TRUTH)
    told = expit(difference @ found.coefficients)
    for low in (0.1, 0.3, 0.5, 0.7):
        inside = (told > low) & (told < low + 0.2)
        assert right[inside].mean() == pytest.approx(told[inside].mean(), abs=0.03)


def test_the_interval_is_that_of_refits_without_each_problem_in_turn():
    data = drawn(80)
    data = replace(data, cluster=data.item // 2)
    made = fit(data, 0)
    low, high = coefficient_interval(made, data)
    z, size = standardised(data.difference, data.weight)
    whole, square = ridge(z, data.weight, made.strength, np.zeros(4)), np.zeros(4)
    for cluster in range(40):
        rest = data.cluster != cluster
        square += (ridge(z[rest], data.weight[rest], made.strength, whole) - whole) ** 2
    half = 1.96 * np.sqrt(square) * made.scale / size
    assert (high - low) / 2 == pytest.approx(half, rel=0.03)
    assert (high + low) / 2 == pytest.approx(made.coefficients)


def test_intervals_of_many_coefficients_and_few_labels_cover():
    """Without the correction for leverage 89% of them do."""
    truth, fresh = np.linspace(-1, 1, 20), np.random.default_rng(99).normal(size=(5000, 20))
    right = np.where(expit(fresh @ truth) > np.random.default_rng(98).random(5000), 1, -1)[:, None] * fresh
    inside: list[float] = []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        data = labelled(rng.normal(size=(100, 20)), truth, rng)
        made, (_, size) = fit(data, seed), standardised(data.difference, data.weight)
        low, high = coefficient_interval(made, data)
        centred = (right - right.mean(axis=1, keepdims=True)) / size
        target = ridge(centred, np.ones(5000), made.strength, np.zeros(20)) * made.scale / size
        inside.append(float(np.mean((low <= target) & (target <= high))))
    assert np.mean(inside) == pytest.approx(0.95, abs=0.03)


def test_labels_that_any_strength_separates_give_a_finite_fit_that_says_so():
    difference = np.abs(np.random.default_rng(0).normal(size=(30, 1))) * np.array([[1.0, 0.0, -1.0]])
    found = fit(one_an_item(difference), 0)
    assert found.separated
    assert np.isfinite([found.coefficients, *coefficient_interval(found, one_an_item(difference))]).all()
    assert expit(difference @ found.coefficients).max() < 1


def test_a_prompt_counts_once_however_many_responses_it_has():
    rng = np.random.default_rng(0)
    scores = rng.normal(size=(3, 6))
    data, without = compared(scores, responses([2, 4], [1, 0, 3, 1, 2, 2]), np.array([0, 1]), 0)
    assert without == 0
    assert len(data.item) == 1 + 5
    assert np.bincount(data.item, data.weight) == pytest.approx([1, 1])
    assert sorted(zip(data.first.tolist(), data.second.tolist(), strict=True)) == [
        *((0, 1), (2, 3), (2, 4), (2, 5), (4, 3), (5, 3))
    ]


def test_items_without_unequal_grades_or_with_a_missing_score_are_counted():
    scores = np.ones((2, 6))
    scores[1, 5] = np.nan
    _, without = compared(scores, responses([2, 2, 2], [1, 0, 1, 1, 1, 0]), np.arange(3), 0)
    assert without == 2
    data, without = unlabelled(scores, responses([2, 2, 2], [np.nan] * 6), np.arange(3), 0)
    assert (without, list(data.first), list(data.second)) == (1, [0, 2], [1, 3])


def test_of_many_responses_a_dozen_comparisons_are_drawn_the_same_for_the_same_seed():
    scores, known = np.random.default_rng(0).normal(size=(2, 40)), responses([32, 8], list(range(40)))
    data, _ = compared(scores, known, np.arange(2), 5)
    assert np.bincount(data.item).tolist() == [12, 12]
    again, _ = compared(scores, known, np.arange(2), 5)
    assert (again.first == data.first).all()


def test_folds_keep_clusters_whole():
    cluster = np.repeat(np.arange(23), 3)
    fold = folds_of(cluster, 0)
    assert all(len(set(fold[cluster == c])) == 1 for c in range(23))
    assert len(set(fold)) == FOLDS


def test_one_cluster_and_terms_that_agree_everywhere_are_refused():
    data = drawn(30)
    with pytest.raises(ValueError, match="two clusters"):
        fit(replace(data, cluster=np.zeros(30, dtype=np.intp)), 0)
    with pytest.raises(ValueError, match="do not differ"):
        fit(replace(data, difference=np.ones((30, 4))), 0)


def test_the_scale_of_margins_that_are_logits_is_one():
    rng = np.random.default_rng(0)
    margin = 2 * rng.normal(size=20_000)
    margin = np.where(rng.random(20_000) < expit(margin), margin, -margin)
    assert likeliest_scale(margin / 5, np.ones(20_000)) == pytest.approx(5, rel=0.05)
    assert likeliest_scale(np.zeros(5), np.ones(5)) == 1
