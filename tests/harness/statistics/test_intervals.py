from typing import Any

import numpy as np
import pytest
from cdr_eval.harness.statistics.intervals import (
    fisher_interval,
    holm_adjusted,
    jackknife_interval,
    paired_p_value,
    percentile_interval,
    wilson,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import proportion_confint

pytestmark = pytest.mark.filterwarnings("error")


def test_jackknife_interval_of_a_mean_is_students_t_interval():
    data = np.random.default_rng(0).exponential(size=(12, 2))
    left_out = np.stack([np.delete(data, k, axis=0).mean(axis=0) for k in range(12)])
    low, high = jackknife_interval(data.mean(axis=0), left_out, 11)
    wanted = stats.ttest_1samp(data, 0).confidence_interval()
    assert np.allclose(low, wanted.low) and np.allclose(high, wanted.high)


def test_fisher_interval_is_a_jackknife_interval_on_fishers_scale_and_stays_within_one():
    r, left_out = np.array([0.5, 1.0]), np.array([[0.4, 1.0], [0.5, 1.0], [0.6, 1.0], [0.3, 1.0], [0.9, 0.9]])
    low, high = fisher_interval(r, left_out, 3)
    wanted = jackknife_interval(np.arctanh(r[:1]), np.arctanh(left_out[:, :1]), 3)
    assert np.allclose(np.arctanh([low[0], high[0]]), np.ravel(wanted))
    assert high[1] <= 1 and low[1] > -1


def test_a_perfect_correlation_that_leaving_out_never_changes_has_no_interval():
    """Spearman's rho of six and Pearson's r of a line, 1 but for rounding."""
    low, high = fisher_interval(np.array([1.0, -1.0, 0.5]), np.tile([1 - 1e-13, -1.0, 0.5], (6, 1)), 5)
    assert np.isnan(low).all() and np.isnan(high).all()


@pytest.mark.parametrize(("units", "freedom"), [(4, 3), (6, 0)])
def test_too_few_units_have_no_interval(units, freedom):
    low, high = jackknife_interval(np.array([0.3]), np.linspace(0, 1, units)[:, None], freedom)
    assert np.isnan(low).all() and np.isnan(high).all()


def test_percentiles_leave_undefined_resamples_out():
    values = np.random.default_rng(0).normal(size=(500, 2))
    values[::7, 1] = np.nan
    low, high = percentile_interval(values)
    for k in (0, 1):
        assert np.allclose([low[k], high[k]], np.nanquantile(values[:, k], [0.025, 0.975]))


def test_an_interval_with_an_undefined_part_is_undefined():
    low, high = fisher_interval(np.array([0.5, np.nan]), np.array([[0.5, 0.1]] * 5 + [[np.nan, 0.1]]), 5)
    assert np.isnan(low).all() and np.isnan(high).all()


def test_paired_p_value_is_that_of_a_z_test_and_1_for_equal_pairs():
    rng = np.random.default_rng(0)
    resampled = np.column_stack([rng.normal(0.3, 0.2, 100_000), np.zeros(100_000), np.full(100_000, 0.1)])
    p = paired_p_value(np.array([0.3, 0.0, 0.1]), resampled, np.array([500, 500, 500]))
    assert np.isclose(p[0], 2 * stats.norm.sf(1.5), rtol=0.02)
    assert p[1] == 1 and p[2] < 1e-100


@pytest.mark.parametrize("units", [2, 3, 9])
def test_few_units_that_all_agree_have_the_p_value_of_flipping_their_signs(units: int):
    wanted = stats.permutation_test((np.full(units, 0.1),), np.mean, permutation_type="samples").pvalue
    assert paired_p_value(np.array([0.1]), np.full((50, 1), 0.1), np.array([units]))[0] == pytest.approx(wanted)


def test_undefined_resamples_do_not_make_a_difference_certain():
    resampled = np.random.default_rng(0).normal(0.3, 0.2, (50_000, 2))
    resampled[::7, 0] = np.nan
    resampled[:, 1] = np.nan
    p = paired_p_value(np.array([0.3, 0.3]), resampled, np.array([500, 500]))
    assert np.isclose(p[0], 2 * stats.norm.sf(1.5), rtol=0.03) and p[1] == 1


@settings(max_examples=30, deadline=None)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=20))
def test_holm_is_statsmodels(p_values):
    adjusted = holm_adjusted(np.array(p_values))
    assert np.allclose(adjusted, np.asarray(multipletests(p_values, method="holm")[1]))


@pytest.mark.parametrize("n", [1, 2, 37, 984])
@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.93, 1.0])
@pytest.mark.parametrize("level", [0.8, 0.95, 0.99])
def test_wilson_against_statsmodels(n: int, share: float, level: float):
    wins = round(share * n * 2) / 2  # half a win is a tie
    expected: Any = proportion_confint(wins, n, alpha=1 - level, method="wilson")
    assert np.allclose(wilson(wins / n, n, level), np.clip(expected, 0, 1), atol=1e-12)


def test_wilson_against_scipy():
    for wins, n in ((0, 7), (3, 7), (7, 7), (81, 100)):
        expected = stats.binomtest(wins, n).proportion_ci(method="wilson")
        assert np.allclose(wilson(wins / n, n), (expected.low, expected.high), atol=1e-12)
    assert np.isnan(wilson(float("nan"), 0)).all()


def test_percentiles_along_the_last_axis_are_those_of_each_row():
    draws = np.random.default_rng(0).normal(size=(3, 999))
    draws[0, :500] = np.nan
    draws[1] = np.nan
    low, high = percentile_interval(draws, axis=1)
    assert np.allclose([low[0], high[0]], np.percentile(draws[0, 500:], [2.5, 97.5]))
    assert np.isnan([low[1], high[1]]).all()
    assert np.allclose([low[2], high[2]], np.percentile(draws[2], [2.5, 97.5]))
