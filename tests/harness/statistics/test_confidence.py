import numpy as np
import pytest
from cdr_eval.harness.statistics.confidence import (
    FRACTIONS,
    calibration,
    folds_of,
    inverse_temperature,
    selection_area,
    selection_curve,
    share,
)
from cdr_eval.harness.statistics.credits import credit
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats
from scipy.special import expit
from sklearn.calibration import calibration_curve
from sklearn.linear_model import LogisticRegression

from tests.harness.statistics.drawn_items import multiplicities

pytestmark = pytest.mark.filterwarnings("error")


def margins(n=600, tau=3.0, seed=0):
    """Margins that are right with probability σ(|margin| / tau)."""
    rng = np.random.default_rng(seed)
    size = rng.exponential(5, n)
    return np.where(rng.uniform(size=n) < expit(size / tau), size, -size)


def alone(n):
    return np.arange(n)


def test_temperature_is_that_of_scikit_learns_logistic_regression():
    margin = margins()
    both = np.concatenate([margin, -margin])[:, None]
    label = np.repeat([1, 0], len(margin))
    model = LogisticRegression(C=np.inf, fit_intercept=False, tol=1e-10).fit(both, label)
    assert np.isclose(inverse_temperature(margin), model.coef_[0, 0], rtol=1e-4)


def test_a_known_temperature_is_recovered_out_of_fold_and_the_reward_is_calibrated():
    margin = margins(6000)
    fold = folds_of(alone(6000), np.random.default_rng(0))
    found = calibration(margin, alone(6000), fold)
    assert found.temperature.low < 3 < found.temperature.high
    assert found.error.value < 2 * found.error_if_calibrated
    assert sum(b.n for b in found.bins) == 6000


def test_bins_are_scikit_learns_and_the_error_is_their_weighted_distance():
    margin = margins(400, seed=3)
    # one fold that no item is in: every item's temperature is fitted on the other 4 folds
    fold = folds_of(alone(400), np.random.default_rng(0))
    found = calibration(margin, alone(400), fold)
    confidence = np.empty(400)
    for k in range(5):
        confidence[fold == k] = expit(np.abs(margin[fold == k]) * inverse_temperature(margin[fold != k]))
    accuracy, mean = calibration_curve(margin > 0, confidence, n_bins=20)
    assert np.allclose([b.accuracy.value for b in found.bins], accuracy)
    assert np.allclose([b.confidence for b in found.bins], mean)
    distance = sum(b.n * abs(a - c) for b, a, c in zip(found.bins, accuracy, mean, strict=True)) / 400
    assert np.isclose(found.error.value, distance)


def test_error_if_calibrated_is_what_calibrated_rewards_show():
    errors, expected = [], []
    for seed in range(60):
        margin = margins(500, seed=seed)
        found = calibration(margin, alone(500), folds_of(alone(500), np.random.default_rng(seed)))
        errors.append(found.error.value)
        expected.append(found.error_if_calibrated)
    assert np.isclose(np.mean(errors), np.mean(expected), rtol=0.15)


def test_selection_curve_is_that_of_a_plain_loop_and_ends_at_the_accuracy():
    margin = margins(200)
    order = sorted(range(200), key=lambda i: -abs(margin[i]))
    points = selection_curve(margin, credit(margin), alone(200))
    for point in points:
        top = order[: point.n]
        assert point.n == round(point.fraction * 200)
        assert np.isclose(point.accuracy.value, np.mean(margin[top] > 0))
        assert point.accuracy.low <= point.accuracy.value <= point.accuracy.high
    assert points[-1].fraction == 1 and np.isclose(points[-1].accuracy.value, (margin > 0).mean())


def test_area_is_the_mean_over_all_cuts_and_its_error_that_of_the_bootstrap():
    margin, cluster = margins(400), np.arange(400) // 2
    found = selection_area(margin, credit(margin), cluster)
    order = np.argsort(-np.abs(margin))
    right = (margin[order] > 0).astype(float)
    assert np.isclose(found.value, np.mean([right[:k].mean() for k in range(1, 401)]))
    weights = multiplicities(cluster, ["all"] * 400, 3000, 0)[:, order]
    total = weights.cumsum(axis=1)
    top = (weights * right).cumsum(axis=1) / np.maximum(total, 1)
    areas = (top * weights).sum(axis=1) / weights.sum(axis=1)
    assert np.isclose((found.high - found.low) / (2 * 1.96), areas.std(), rtol=0.1)


def test_interval_of_a_share_is_wilsons_without_clusters_and_wider_with_them():
    right = (np.random.default_rng(0).uniform(size=120) < 0.8).astype(float)
    found = share(right, alone(120))
    wilson = stats.binomtest(int(right.sum()), 120).proportion_ci(method="wilson")
    low, high = float(wilson.low), float(wilson.high)
    assert found.low <= low + 1e-9 and high <= found.high + 1e-9
    assert np.allclose([found.low, found.high], [low, high], atol=2e-3)
    sixfold = share(np.repeat(right, 6), np.repeat(alone(120), 6))
    assert sixfold.low < found.low and found.high < sixfold.high
    assert sixfold.high - sixfold.low < 1.02 * (found.high - found.low)


@settings(max_examples=60, deadline=None)
@given(arrays(float, st.integers(1, 30), elements=st.sampled_from([-2.0, -1.0, 0.0, 1e-12, 1.0, 1e6])))
def test_any_margins_give_an_answer(margin):
    cluster = alone(len(margin)) // 2
    points = selection_curve(margin, credit(margin), cluster)
    area = selection_area(margin, credit(margin), cluster)
    fold = folds_of(cluster, np.random.default_rng(0))
    found = calibration(margin, cluster, fold)
    assert len(points) == len(FRACTIONS) and 0 <= area.value <= 1
    assert np.isnan(found.error.low) or 0 <= found.error.low <= found.error.value <= found.error.high <= 1
    separated = (margin > 0)[np.abs(margin) > 1e-9].all() and margin.any()
    temperature = found.temperature
    assert np.isnan(temperature.value) if separated else not temperature.value < 0
    assert np.isnan(temperature.low) or 0 <= temperature.low <= temperature.value <= temperature.high


@pytest.mark.parametrize("clusters", [4, 5])
def test_with_few_clusters_there_is_no_interval_but_of_shares(clusters):
    margin, cluster = margins(100), np.arange(100) % clusters
    found = calibration(margin, cluster, folds_of(alone(100), np.random.default_rng(0)))
    for estimate in (found.temperature, found.error, selection_area(margin, credit(margin), cluster)):
        assert np.isfinite(estimate.value)
        assert np.isnan([estimate.low, estimate.high]).all() == (clusters < 5)


def test_an_area_of_a_reward_that_is_always_right_has_no_interval():
    area = selection_area(np.arange(1.0, 41), np.ones(40), alone(40))
    assert area.value == 1 and np.isnan([area.low, area.high]).all()


@pytest.mark.parametrize("clusters", [1, 2, 3, 4, 5, 7, 10])
@pytest.mark.parametrize("correlation", [0.5, 1.0])
def test_interval_of_a_share_covers_with_few_clusters(clusters, correlation):
    """Clusters of eight items, of which each takes its cluster's outcome or else one of its own."""
    rng = np.random.default_rng(clusters)
    cluster = np.repeat(np.arange(clusters), 8)
    covered = []
    for true in rng.uniform(0.5, 0.9, 600):
        own, shared = rng.random(len(cluster)) < true, (rng.random(clusters) < true)[cluster]
        found = share(np.where(rng.random(len(cluster)) < np.sqrt(correlation), shared, own).astype(float), cluster)
        covered.append(found.low <= true <= found.high)
    assert np.mean(covered) > 0.915


def test_a_reward_that_is_always_right_has_no_temperature():
    """1/τ has no largest value then: a number would be that of the cap."""
    margin = np.random.default_rng(0).normal(5, 1, 40).clip(1)
    found = calibration(margin, alone(40), folds_of(alone(40), np.random.default_rng(0)))
    assert np.isnan([found.temperature.value, found.temperature.low, found.temperature.high]).all()


def test_margins_that_say_nothing_have_infinite_temperature():
    margin = np.where(np.arange(100) % 2 == 0, 1.0, -1.0) * np.repeat(np.arange(50.0), 2)
    assert inverse_temperature(margin) == 0
    found = calibration(margin, alone(100), folds_of(alone(100), np.random.default_rng(0)))
    assert found.temperature.value == np.inf


def test_folds_keep_clusters_whole():
    cluster = np.arange(90) // 3
    fold = folds_of(cluster, np.random.default_rng(0))
    assert all(len(set(fold[cluster == c])) == 1 for c in range(30))
    assert set(fold) == set(range(5))
