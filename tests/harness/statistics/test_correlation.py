import numpy as np
import pytest
from cdr_eval.harness.statistics import correlation
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

pytestmark = pytest.mark.filterwarnings("error")
SCIPY = {"pearson": stats.pearsonr, "spearman": stats.spearmanr, "kendall": stats.kendalltau}
small = st.integers(-3, 3)


def expected(method, x, y):
    if len(set(x)) < 2 or len(set(y)) < 2:
        return np.nan
    return SCIPY[method](x, y)[0]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(small, small, st.integers(0, 3)), min_size=1, max_size=15))
def test_weighted_correlations_are_scipys_on_the_repeated_data(rows):
    x, y, weight = (np.array(column, dtype=float) for column in zip(*rows, strict=True))
    repeated = np.repeat(np.arange(len(x)), weight.astype(int))
    codes = correlation.ordinal_codes(x), correlation.ordinal_codes(y[None])
    found = {
        "pearson": correlation.pearson_resampled(x, y[None], weight[None]),
        "spearman": correlation.spearman_resampled(*codes, weight[None]),
        "kendall": correlation.kendall_resampled(*codes, weight[None]),
    }
    for method, value in found.items():
        wanted = expected(method, x[repeated], y[repeated])
        assert np.allclose(value, wanted, atol=1e-9, equal_nan=True), method


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(small, small, st.booleans()), min_size=1, max_size=15))
def test_correlations_among_chosen_rows_are_scipys_on_those_rows(rows):
    x, y = (np.array(column, dtype=float) for column in list(zip(*rows, strict=True))[:2])
    chosen = np.array([row[2] for row in rows])
    codes = correlation.ordinal_codes(x)[None], correlation.ordinal_codes(y)[None]
    found = {
        "pearson": correlation.pearson_permuted(x[None], y[None], chosen[None]),
        "spearman": correlation.spearman_permuted(*codes, chosen[None]),
        "kendall": correlation.kendall_permuted(*codes, chosen[None]),
    }
    for method, value in found.items():
        wanted = expected(method, x[chosen], y[chosen])
        assert np.allclose(value, wanted, atol=1e-9, equal_nan=True), method


def test_pearson_survives_a_large_offset():
    rng = np.random.default_rng(0)
    x, y = 1e6 + rng.normal(size=50), 0.5 + 1e-4 * rng.normal(size=50)
    found = correlation.pearson_resampled(x, y[None], np.ones((1, 50)))[0, 0]
    assert np.isclose(found, stats.pearsonr(x, y)[0], atol=1e-7)
    assert np.isclose(correlation.pearson_rows(x[None], y[None], np.ones((1, 50)))[0], found)


def test_an_undefined_resample_leaves_the_others_as_they_are():
    rng = np.random.default_rng(0)
    x, y, weights = rng.normal(size=(3, 20)), rng.normal(size=(3, 20)), np.ones((3, 20))
    wanted = [stats.pearsonr(*rows)[0] for rows in zip(x, y, strict=True)]
    y[1, 4] = np.nan
    assert np.allclose(correlation.pearson_rows(x, y, weights), [wanted[0], np.nan, wanted[2]], equal_nan=True)


def test_gaps_that_differ_by_rounding_are_ties():
    assert (correlation.ordinal_codes(np.array([0.1 + 0.2, 0.3, -0.0, 0.0])) == [1, 1, 0, 0]).all()
