import numpy as np
import pandas as pd
import pytest
import statsmodels.formula.api as smf
from cdr_eval.harness.alignment_gap.checkpoint_pairs import Pairs
from cdr_eval.harness.alignment_gap.pair_effects import (
    empirical_logit,
    factor_beside_gap,
    pair_effects,
    permuted_partial_correlations,
)

pytestmark = pytest.mark.filterwarnings("error")


def crossed(n=7, seed=0, triangle=False):
    rng = np.random.default_rng(seed)
    strong, weak = np.nonzero(np.triu(np.ones((n, n)), 1) if triangle else 1 - np.eye(n))
    return strong, weak, rng.normal(size=n), rng.normal(size=n), rng


def r_squared(formula, frame):
    return smf.ols(formula, frame).fit().rsquared


@pytest.mark.parametrize("triangle", [False, True])
def test_shares_and_fit_are_those_of_statsmodels(triangle):
    strong, weak, a, b, rng = crossed(triangle=triangle)
    logits = a[strong] - 0.5 * b[weak] + 0.3 * rng.normal(size=len(strong))
    frame = pd.DataFrame({"y": logits, "s": strong, "w": weak})
    both = r_squared("y ~ C(s) + C(w)", frame)
    alone = {role: r_squared(f"y ~ C({role})", frame) for role in "sw"}
    found = pair_effects(strong, weak, logits)
    assert np.isclose(found.shares[0], (alone["s"] + both - alone["w"]) / 2)
    assert np.isclose(found.shares[1], (alone["w"] + both - alone["s"]) / 2)
    assert np.isclose(found.shares.sum(), 1)
    model = smf.ols("y ~ C(s) + C(w)", frame).fit()
    level = model.params.filter(like="C(s)").to_numpy()
    assert np.allclose(found.strong[1:] - found.strong[0], level)


def test_known_effects_are_recovered():
    strong, weak, a, b, rng = crossed(10)
    probability = 1 / (1 + np.exp(-(0.3 + a[strong] - b[weak])))
    accuracy = rng.binomial(3000, probability) / 3000
    found = pair_effects(strong, weak, empirical_logit(accuracy, 3000))
    assert np.allclose(found.strong, a - a.mean(), atol=0.15)
    assert np.allclose(found.weak, b.mean() - b, atol=0.15)
    assert found.shares[2] < 0.02


def test_antisymmetric_accuracies_give_mirrored_effects_and_equal_shares():
    strong, weak, a, _, rng = crossed()
    noise = rng.normal(size=(7, 7))
    logits = a[strong] - a[weak] + (noise - noise.T)[strong, weak]
    found = pair_effects(strong, weak, logits)
    assert np.allclose(found.strong, -found.weak)
    assert np.isclose(found.shares[0], found.shares[1])


def test_effects_take_many_outcomes_at_once():
    strong, weak, _, _, rng = crossed(triangle=True)
    logits = rng.normal(size=(3, 2, len(strong)))
    found = pair_effects(strong, weak, logits)
    one = pair_effects(strong, weak, logits[2, 1])
    assert np.allclose(found.strong[2, 1], one.strong) and np.allclose(found.shares[2, 1], one.shares)


def test_no_spread_has_no_shares():
    strong, weak, *_ = crossed()
    assert np.isnan(pair_effects(strong, weak, np.zeros(len(strong))).shares).all()


def test_empirical_logit_is_finite_at_0_and_1_and_odd():
    values = empirical_logit(np.array([0.0, 0.3, 0.7, 1.0]), 50)
    assert np.isfinite(values).all()
    assert np.allclose(values, -values[::-1])


def test_empirical_logits_of_credits_of_ties_are_those_of_0_and_1():
    assert empirical_logit(np.array([-0.01, 1.01]), 102).tolist() == empirical_logit(np.array([0.0, 1.0]), 102).tolist()


def factored(seed=0, n=9):
    rng = np.random.default_rng(seed)
    strong, weak = np.nonzero(1 - np.eye(n))
    score, label = rng.normal(10, 4, n), np.arange(n) % 3
    logits = 0.1 * (score[strong] - score[weak]) + 0.5 * ((label[strong] == 1) * 1.0 - (label[weak] == 1))
    return strong, weak, score, label, logits + 0.2 * rng.normal(size=(2, len(strong))), rng


def test_factor_beside_gap_is_statsmodels_weighted_regression():
    strong, weak, score, label, logits, rng = factored()
    gap = score[strong] - score[weak]
    weights = rng.integers(0, 3, size=(4, len(gap))).astype(float)
    slopes, share = factor_beside_gap(gap, logits, strong, weak, label[None], weights)
    columns = {f"d{k}": (label[strong] == k) * 1.0 - (label[weak] == k) for k in (1, 2)}
    for r, w in enumerate(weights):
        frame = pd.DataFrame({"y": logits[1], "gap": gap, **columns})
        full, base = (smf.wls(f, frame, weights=w).fit() for f in ("y ~ gap + d1 + d2", "y ~ gap"))
        assert np.allclose(slopes[r, 1], full.params[["gap", "d1", "d2"]])
        assert np.isclose(share[r, 1], 1 - full.ssr / base.ssr, atol=1e-6)


def test_factor_level_that_is_not_drawn_is_undefined():
    strong, weak, score, label, logits, _ = factored()
    weights = ((label[strong] != 1) & (label[weak] != 1)).astype(float)[None]
    slopes, _ = factor_beside_gap(score[strong] - score[weak], logits, strong, weak, label[None], weights)
    assert np.isnan(slopes).all()


def test_permuted_labels_are_those_of_a_loop():
    strong, weak, score, label, logits, rng = factored()
    gap, even = score[strong] - score[weak], np.ones((1, len(strong)))
    shuffled = np.array([rng.permutation(label) for _ in range(3)])
    _, together = factor_beside_gap(gap, logits, strong, weak, shuffled, even)
    for row, labels in enumerate(shuffled):
        assert np.allclose(together[row], factor_beside_gap(gap, logits, strong, weak, labels[None], even)[1][0])


def test_observed_partial_correlation_is_that_of_the_regressions_residuals():
    strong, weak, score, label, logits, rng = factored()
    family = np.zeros(9, dtype=np.intp)
    pairs = Pairs(family, score, strong, weak, logits, np.full(len(logits), 0.5))
    other, covariate = (label == 2).astype(float)[:, None], (label == 1).astype(float)
    permuted = np.array([rng.permutation(9) for _ in range(10)])
    found = permuted_partial_correlations(pairs, logits, covariate, other, permuted)
    base = np.column_stack([np.ones(len(strong)), score[strong] - score[weak], (other[strong] - other[weak])[:, 0]])
    rest = [v - base @ np.linalg.lstsq(base, v)[0] for v in (covariate[strong] - covariate[weak], logits[0])]
    assert found.shape == (11, 2)
    assert np.isclose(found[0, 0], np.corrcoef(*rest)[0, 1])
