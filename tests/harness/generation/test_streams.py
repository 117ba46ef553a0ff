"""A sample's random numbers are its own."""

import numpy as np
from cdr_eval.harness.generation.streams import uniforms
from scipy.stats import kstest


def test_numbers_depend_on_seed_prompt_and_index_alone():
    together = uniforms(3, "p", range(8), 50)
    assert np.array_equal(together[5:6, :20], uniforms(3, "p", [5], 20))
    others = [uniforms(4, "p", [0], 50), uniforms(3, "q", [0], 50), together[1:2]]
    assert not any(np.isclose(other, together[:1]).any() for other in others)


def test_numbers_are_uniform_and_uncorrelated():
    table = uniforms(0, "prompt", range(200), 200)
    assert table.min() >= 0 and table.max() < 1
    assert kstest(table.ravel(), "uniform").pvalue > 0.001
    correlations = np.corrcoef(table) - np.eye(200)
    assert abs(correlations).max() < 6 / np.sqrt(200)
