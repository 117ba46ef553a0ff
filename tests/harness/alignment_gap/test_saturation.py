from functools import partial

import numpy as np
import pytest
from cdr_eval.harness.alignment_gap.saturation import curve_at, isotonic, saturating_fit, saturation
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import curve_fit
from sklearn.isotonic import IsotonicRegression

HALF = np.array([0.5])
pytestmark = pytest.mark.filterwarnings("error")


def simulated(at_90=8.0, asymptote=0.85, noise=0.01, pairs=60, seed=0, chance=0.5):
    rng = np.random.default_rng(seed)
    gap = rng.uniform(0.5, 25, pairs)
    return gap, curve_at(gap, np.asarray(asymptote), np.asarray(at_90), chance) + noise * rng.normal(size=pairs)


def draws(pairs, resamples=400, seed=1):
    rng = np.random.default_rng(seed)
    return rng.multinomial(pairs, np.full(pairs, 1 / pairs), size=resamples).astype(float)


@pytest.mark.parametrize("chance", [0.5, 0.25])
def test_least_squares_fit_is_that_of_scipys_curve_fit(chance):
    gap, accuracy = simulated(noise=0.02, chance=chance)
    wanted, _ = curve_fit(partial(curve_at, chance=chance), gap, accuracy, p0=(0.8, 5.0))
    asymptote, reached = saturating_fit(gap, accuracy[None], np.array([chance]), np.ones((1, len(gap))))
    assert np.isclose(asymptote[0, 0], wanted[0], atol=1e-3)
    assert np.isclose(reached[0, 0], wanted[1], rtol=0.01)


def test_weights_repeat_pairs():
    gap, accuracy = simulated(noise=0.03)
    weights = draws(len(gap), 3)
    for w in weights:
        again = np.repeat(np.arange(len(gap)), w.astype(int))
        # the same grid of scales: append the extreme gaps with no weight
        ends = [gap.argmin(), gap.argmax()]
        rows = np.append(again, ends)
        weight = np.append(np.ones(len(again)), [0.0, 0.0])
        one = saturating_fit(gap, accuracy[None], HALF, w[None])
        two = saturating_fit(gap[rows], accuracy[None, rows], HALF, weight[None])
        assert np.allclose(one, two)


@pytest.mark.parametrize("chance", [0.5, 0.25])
def test_a_known_knee_is_recovered_within_its_interval(chance):
    gap, accuracy = simulated(chance=chance)
    (fit,) = saturation(gap, accuracy[None], np.array([chance]), draws(len(gap)))
    assert fit.identifiable
    assert fit.gap_at_90_low < 8 < fit.gap_at_90_high < 12
    assert fit.asymptote_low < 0.85 < fit.asymptote_high
    assert ((fit.low <= fit.fitted + 1e-9) & (fit.fitted <= fit.high + 1e-9)).mean() > 0.9


@pytest.mark.parametrize(
    "accuracy_of",
    [
        lambda gap: 0.5 + 0.01 * gap,  # a straight line: still rising at the largest gap
        lambda gap: np.full_like(gap, 0.5),  # no gain over chance
        lambda gap: 0.5 - 0.01 * gap,  # falling
        lambda gap: np.full_like(gap, 0.8),  # already there at the smallest gap
        np.ones_like,
    ],
)
def test_what_the_data_cannot_tell_is_not_identifiable(accuracy_of):
    gap = np.random.default_rng(0).uniform(1, 20, 40)
    noise = 0.005 * np.random.default_rng(1).normal(size=40)
    (fit,) = saturation(gap, np.clip(accuracy_of(gap) + noise, 0, 1)[None], HALF, draws(40))
    assert not fit.identifiable
    assert np.isnan(fit.gap_at_90) and np.isnan(fit.asymptote)
    assert np.isfinite(fit.fitted).all() and np.isfinite(fit.low).all()


def test_three_gaps_are_too_few_for_a_curve():
    assert saturation(np.array([1.0, 2, 2, 3]), np.full((1, 4), 0.6), HALF, np.ones((5, 4))) == []
    assert saturation(np.empty(0), np.empty((1, 0)), HALF, np.ones((5, 0))) == []


@given(st.lists(st.tuples(st.integers(1, 8), st.floats(0, 1)), min_size=1, max_size=30))
def test_isotonic_is_scikit_learns(points):
    gap, accuracy = (np.array(column, dtype=float) for column in zip(*points, strict=True))
    wanted = IsotonicRegression().fit(gap, accuracy).predict(gap)
    assert np.allclose(isotonic(gap, accuracy), wanted)
