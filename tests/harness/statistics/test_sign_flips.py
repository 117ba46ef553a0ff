"""The paired test against SciPy's exact test, enumeration, and one draw of all signs at once."""

from typing import Any

import numpy as np
import pytest
from cdr_eval.harness.statistics import sign_flips
from cdr_eval.harness.statistics.arrays import Floats
from cdr_eval.harness.statistics.sign_flips import sign_flip_test
from scipy import stats

scipy_stats: Any = stats  # its stubs know few of the ways to call it


@pytest.mark.parametrize("seed", range(4))
def test_sign_flips_against_scipys_exact_permutation_test(seed: int):
    rng = np.random.default_rng(seed)
    a = rng.choice([0, 0.5, 1], size=11, p=[0.2, 0.1, 0.7])
    b = rng.choice([0, 0.5, 1], size=11)

    def difference(x: Floats, y: Floats, axis: int) -> Floats:
        return (x - y).mean(axis=axis)

    exact: Any = scipy_stats.permutation_test(
        (a, b), difference, permutation_type="samples", vectorized=True, n_resamples=10**9
    )
    observed, p_value = sign_flip_test((a - b) / 11, np.arange(11), 100_000, rng)
    assert np.isclose(observed, exact.statistic)
    assert np.isclose(p_value, exact.pvalue, atol=0.008)


def test_sign_flips_of_clusters_are_those_of_their_sums():
    rng = np.random.default_rng(5)
    clusters = np.repeat(np.arange(8), 4)
    differences = rng.choice([-1, 0, 1], size=32, p=[0.2, 0.2, 0.6]) / 32
    sums = [differences[clusters == c].sum() for c in range(8)]
    totals = [abs(np.dot(sums, 1 - 2 * ((m >> np.arange(8)) & 1))) for m in range(256)]
    exact = np.mean(np.array(totals) >= abs(np.sum(sums)) - 1e-12)
    observed, p_value = sign_flip_test(differences, clusters, 100_000, rng)
    assert np.isclose(observed, differences.sum())
    assert np.isclose(p_value, exact, atol=0.008)


def test_no_difference_has_p_one_and_no_p_is_zero():
    rng = np.random.default_rng(6)
    assert sign_flip_test(np.zeros(20), np.arange(20), 999, rng) == (0.0, 1.0)
    _, p_value = sign_flip_test(np.full(60, 1 / 60), np.arange(60), 999, rng)
    assert p_value == 1 / 1000


def test_p_values_are_uniform_where_there_is_no_difference():
    rng = np.random.default_rng(7)
    p_values = [sign_flip_test(rng.choice([-1.0, 0, 1], size=40) / 40, np.arange(40), 400, rng)[1] for _ in range(300)]
    rejected = np.mean(np.array(p_values) <= 0.1)
    assert 0.05 < rejected < 0.15


@pytest.mark.parametrize("size", [1, 3, 7, 40])
def test_portions_of_the_signs_are_those_of_one_draw(size: int, monkeypatch: pytest.MonkeyPatch):
    differences = np.random.default_rng(size).choice([-0.5, 0.5, 1.0], size=size)
    rng = np.random.default_rng(1)
    signs = rng.integers(0, 2, size=(203, size), dtype=np.int8) * 2.0 - 1
    extreme = (np.abs(signs @ differences) >= abs(differences.sum()) - 1e-6).sum()
    monkeypatch.setattr(sign_flips, "SIGNS_AT_ONCE", 50)
    streamed = np.random.default_rng(1)
    assert sign_flip_test(differences, np.arange(size), 203, streamed)[1] == (1 + extreme) / 204
    assert streamed.integers(2**40) == rng.integers(2**40)
