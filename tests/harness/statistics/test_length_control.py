import numpy as np
import pytest
from cdr_eval.harness.statistics.length_control import length_control
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.special import expit
from sklearn.linear_model import LogisticRegression

pytestmark = pytest.mark.filterwarnings("error")


def sample(n=800, taste=0.0, signal=0.5, seed=0):
    """Margins that follow `signal` for the chosen response and `taste` for the longer one."""
    rng = np.random.default_rng(seed)
    length = rng.normal(100, 300, n)
    return signal + taste * length / 300 + rng.normal(size=n), length, np.arange(n)


def test_partial_correlation_is_that_of_residuals_with_every_item_in_both_orders():
    margin, length, cluster = sample(taste=0.7)
    found = length_control(margin, length, cluster)
    m, d = (np.concatenate([v, -v]) for v in (margin, length))
    label = np.repeat([1.0, -1.0], len(margin))
    assert np.isclose(found.correlation.value, np.corrcoef(m, label)[0, 1])
    rest = [v - d * (v @ d) / (d @ d) for v in (m, label)]
    assert np.isclose(found.partial_correlation.value, np.corrcoef(rest[0], rest[1])[0, 1])


def test_length_controlled_accuracy_is_scikit_learns_ridge_logistic_intercept():
    margin, length, cluster = sample(taste=0.7)
    found = length_control(margin, length, cluster)
    scaled = np.tanh(length / np.sqrt((length**2).mean()))
    x = np.column_stack([np.ones_like(scaled), scaled])
    model = LogisticRegression(C=1.0, fit_intercept=False, tol=1e-10).fit(x, margin > 0)
    assert np.isclose(found.accuracy.value, expit(model.coef_[0, 0]), atol=1e-4)
    assert np.isclose(found.slope.value, model.coef_[0, 1], atol=1e-3)


def test_a_reward_that_only_likes_length_loses_its_accuracy_when_length_is_held():
    margin, length, cluster = sample(3000, taste=3.0, signal=0.0)
    found = length_control(margin, length, cluster)
    assert (margin > 0).mean() > 0.6
    assert found.accuracy.low < 0.5 < found.accuracy.high
    assert found.partial_correlation.low < 0 < found.partial_correlation.high
    assert found.slope.low > 1


def test_a_reward_without_taste_keeps_it():
    margin, length, cluster = sample(3000)
    found = length_control(margin, length, cluster)
    assert abs(found.accuracy.value - (margin > 0).mean()) < 0.02
    assert found.slope.low < 0 < found.slope.high


def test_intervals_cover_at_their_rate():
    covered = []
    for seed in range(300):
        margin, length, cluster = sample(200, taste=0.5, seed=seed)
        found = length_control(margin, length, cluster)
        covered.append(found.partial_correlation.low < TRUE_PARTIAL < found.partial_correlation.high)
    assert abs(np.mean(covered) - 0.95) < 0.045


@pytest.mark.parametrize("clusters", [4, 5])
def test_with_few_clusters_or_equal_lengths_there_is_no_interval(clusters):
    margin, length, _ = sample(100)
    found = length_control(margin, length, np.arange(100) % clusters)
    ends = [end for estimate in (found.accuracy, found.slope) for end in (estimate.low, estimate.high)]
    assert np.isnan(ends).all() == (clusters < 5)
    equal = length_control(margin, np.zeros(100), np.arange(100))
    assert equal.slope.value == 0 and np.isnan([equal.slope.low, equal.slope.high]).all()
    assert equal.accuracy.low < equal.accuracy.value < equal.accuracy.high


TRUE_PARTIAL = length_control(*sample(200_000, taste=0.5, seed=999)).partial_correlation.value


@settings(max_examples=60, deadline=None)
@given(
    arrays(float, st.integers(1, 20), elements=st.sampled_from([-1.0, 0.0, 1.0, 1e5])),
    st.sampled_from([0.0, 1.0, 1e4]),
)
def test_any_margins_give_an_answer(margin, scale):
    length = scale * np.arange(len(margin))
    found = length_control(margin, length, np.arange(len(margin)))
    assert 0 < found.accuracy.value < 1
    assert np.isnan(found.partial_correlation.value) or abs(found.partial_correlation.value) <= 1 + 1e-9
