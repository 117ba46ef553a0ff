import numpy as np
import pytest
from cdr_eval.harness.alignment_gap.chain import ChainLink, chain_links, paired_difference
from cdr_eval.harness.alignment_gap.objective_factor import LIKELIHOOD_LIKE, REFERENCE_BASED
from cdr_eval.harness.alignment_gap.recommend import recommend
from cdr_eval.harness.tuning.losses import LOSSES
from cdr_eval.model_registry.registry import load_registry

from tests.harness.statistics.drawn_items import multiplicities

pytestmark = pytest.mark.filterwarnings("error")


def test_links_of_a_chain_go_from_the_reference_to_its_ancestors():
    # base <- sft <- dpo <- iter1, and a checkpoint beside the chain
    links = chain_links([None, 0, 1, 2, None])
    assert links == [
        ChainLink(2, 1, 1),
        ChainLink(2, 1, 0),
        ChainLink(3, 2, 2),
        ChainLink(3, 2, 1),
        ChainLink(3, 2, 0),
    ]


def test_a_circle_of_references_ends():
    assert chain_links([1, 0]) == chain_links([0]) == []
    assert len(chain_links([1, 2, 0])) == 6


def bootstrapped(credit, resamples=4000):
    items = credit.shape[1]
    weights = multiplicities(np.arange(items), ["all"] * items, resamples, 0)
    return credit.mean(axis=1), (weights @ credit.T / credit.shape[1]).astype(float)


def test_paired_difference_has_the_standard_error_of_the_differences():
    rng = np.random.default_rng(0)
    shared = rng.uniform(size=500)
    credit = np.stack([shared + 0.1 * rng.uniform(size=500) < t for t in (0.8, 0.75)]).astype(float)
    value, drawn = bootstrapped(credit)
    found = paired_difference(value[:1], value[1:], drawn[:, :1], drawn[:, 1:], np.array([500]))
    error = (credit[0] - credit[1]).std() / np.sqrt(500)
    assert np.isclose(found[0, 0], value[0] - value[1])
    assert np.isclose(found[2, 0] - found[1, 0], 2 * 1.96 * error, rtol=0.06)


def test_recommendation_ranks_ties_and_names_the_cheapest_of_the_tied():
    rng = np.random.default_rng(1)
    rates = np.array([0.5, 0.8, 0.803, 0.6, 0.799])
    credit = (rng.uniform(size=(5, 2000)) < rates[:, None]).astype(float)
    value, drawn = bootstrapped(credit)
    found = recommend(value, drawn, np.array([1.0, 14.0, 16.0, 2.0, 8.0]), np.full(5, 2000.0))
    assert (np.diff(value[found.order]) <= 0).all()
    assert set(found.order[found.tied]) == {1, 2, 4}
    assert found.order[found.cheapest].tolist() == [4]
    assert found.difference[0] == 0 and found.p_value[0] == 1


def test_equal_cost_goes_to_the_more_accurate_and_unknown_cost_is_never_the_cheapest():
    value, drawn = (
        np.array([0.7, 0.71, 0.72]),
        np.tile([0.7, 0.71, 0.72], (50, 1)) + np.random.default_rng(0).normal(0, 0.1, (50, 3)),
    )
    found = recommend(value, drawn, np.array([5.0, 5.0, np.nan]), np.full(3, 100.0))
    assert found.tied.all() and found.order[found.cheapest].tolist() == [1]
    assert not recommend(value, drawn, np.full(3, np.nan), np.full(3, 100.0)).cheapest.any()


def test_of_equal_pairs_one_is_hardly_ever_called_worse_although_the_best_is_chosen_by_the_same_items():
    rng = np.random.default_rng(3)
    draws = rng.multinomial(300, np.full(300, 1 / 300), 200) / 300
    wrong = 0
    for _ in range(100):
        credit = (rng.random((20, 300)) < 0.75).astype(float)
        wrong += not recommend(credit.mean(axis=1), draws @ credit.T, np.ones(20), np.full(20, 300.0)).tied.all()
    assert wrong <= 10


def test_what_three_items_agree_on_decides_nothing_and_an_undefined_resample_does_not_either():
    value, drawn = bootstrapped(np.array([[1.0, 1.0, 1.0], [0.0, 0.0, 0.0]]))
    found = recommend(value, drawn, np.ones(2), np.full(2, 3.0))
    assert found.tied.all() and found.p_value.tolist() == [1, 0.25]
    value, drawn = np.array([0.8, 0.79]), np.random.default_rng(2).normal([0.8, 0.79], 0.05, (500, 2))
    drawn[0, 0] = np.nan
    assert recommend(value, drawn, np.ones(2), np.full(2, 100.0)).tied.all()


def test_nothing_scored_recommends_nothing():
    found = recommend(np.array([np.nan]), np.full((10, 1), np.nan), np.array([1.0]), np.zeros(1))
    assert len(found.order) == len(found.tied) == len(found.cheapest) == 0


def test_every_loss_that_can_be_trained_is_filed_by_whether_it_has_a_reference():
    """`hinge` and `robust-dpo` have one; SLiC-HF and the length-regularised R-DPO of the catalog are others."""
    assert {name for name, loss in LOSSES.items() if loss.has_reference} <= REFERENCE_BASED
    assert {name for name, loss in LOSSES.items() if not loss.has_reference} <= LIKELIHOOD_LIKE
    assert not REFERENCE_BASED & LIKELIHOOD_LIKE
    assert not {"slic-hf", "rdpo"} & set(LOSSES)
    registry = load_registry()
    preference = [c for c in registry.checkpoints.values() if c.stage == "preference"]
    assert {c.objective for c in preference} - {None} <= REFERENCE_BASED | LIKELIHOOD_LIKE
