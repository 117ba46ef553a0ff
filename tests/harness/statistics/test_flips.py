import numpy as np
import pytest
from cdr_eval.harness.statistics.flips import flips


def test_normal_margins_with_normal_noise_flip_as_often_as_predicted() -> None:
    draw = np.random.default_rng(0)
    full = draw.normal(0, 2, 200_000)
    for size in (0.05, 0.4, 2.0, 20.0):
        found = flips(full + draw.normal(0, size, full.size), full)
        assert found.noise == pytest.approx(size, rel=0.02)
        assert found.flipped == pytest.approx(found.predicted, abs=0.004)
        assert found.ci_low < found.flipped < found.ci_high


def test_unscored_items_are_left_out_and_nothing_in_common_is_no_number() -> None:
    found = flips(np.array([1.0, np.nan, -1.0, 2.0]), np.array([1.0, 1.0, 1.0, np.nan]))
    assert (found.n, found.flipped) == (2, 0.5)
    assert np.isnan(flips(np.array([np.nan]), np.array([1.0])).flipped)


def test_equal_margins_flip_never_and_are_predicted_to() -> None:
    found = flips(np.array([1.0, -2.0, 3.0]), np.array([1.0, -2.0, 3.0]))
    assert (found.flipped, found.predicted, found.noise) == (0, 0, 0)
