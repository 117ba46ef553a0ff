"""Temperature and weights against what defines them."""

import numpy as np
import pytest
from cdr_eval.errors import UserError
from cdr_eval.harness.annotation.temperature import auto_temperature, confidence, fitted_temperature, weight_of
from scipy.special import expit


@pytest.mark.parametrize("scale", [1e-3, 1.0, 40.0, 1e6])
def test_auto_makes_the_mean_confidence_one_half(scale: float):
    margin = np.random.default_rng(0).gamma(0.7, scale, 500) + 1e-9
    found = auto_temperature(margin)
    assert np.isclose(confidence(margin, found.value).mean(), 0.5, atol=1e-9)
    assert not found.calibrated
    assert "uncalibrated" in found.source


def test_auto_of_margins_that_are_mostly_nothing_is_still_a_number():
    found = auto_temperature(np.array([1e-300, 1e-300, 1e-300, 5.0]))
    assert 0 < found.value < np.inf


def test_a_fitted_temperature_is_the_one_that_the_labels_were_drawn_with():
    rng = np.random.default_rng(0)
    size = rng.gamma(2.0, 10.0, 20_000)
    margin = np.where(rng.random(20_000) < expit(size / 25), size, -size)
    found = fitted_temperature(margin, np.arange(20_000), 0, "FILE")
    assert abs(found.value - 25) < 1.5
    assert found.calibrated and found.error is not None and found.error.value < 0.02
    assert not np.isnan(found.error.high)
    few = fitted_temperature(margin, np.arange(20_000) % 4, 0, "FILE").error
    assert few is not None and few.value < 0.02 and np.isnan([few.low, few.high]).all()


def test_labels_that_margins_say_nothing_of_are_refused():
    margin = np.array([-3.0, -2.0, 1.0, -5.0, 0.5] * 10)
    with pytest.raises(UserError, match="no more often right"):
        fitted_temperature(margin, np.arange(50), 0, "FILE")


def test_labels_that_are_all_right_are_too_few_for_a_temperature():
    margin = np.random.default_rng(0).gamma(2.0, 10.0, 6)
    with pytest.raises(UserError, match="on the 6 labelled pairs of FILE"):
        fitted_temperature(margin, np.arange(6), 0, "FILE")
    assert fitted_temperature(np.append(margin, -margin.min()), np.arange(7), 0, "FILE").value > 0


def test_weights_are_the_published_functions_of_the_margin():
    margin = np.array([0.1, 1.0, 3.0])
    assert np.allclose(weight_of("confidence", 1.0)(margin, 2.0), 2 * (1 / (1 + np.exp(-margin / 2)) - 0.5))
    assert np.allclose(weight_of("sigmoid", 1.0)(margin, 2.0), 1 / (1 + np.exp(-margin / 2)))
    assert np.allclose(weight_of("clip", 1.0)(margin, 2.0), [0.05, 0.5, 1.0])
    assert np.allclose(weight_of("clip", 0.2)(margin, 1.0), [0.02, 0.2, 0.6])
    assert weight_of("none", 1.0)(margin, 2.0).tolist() == [1, 1, 1]
