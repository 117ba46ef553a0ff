from dataclasses import replace

import numpy as np
import pytest
from cdr_eval.harness.fitting.bradley_terry import fit
from cdr_eval.harness.fitting.cross_fitting import (
    DIFFERENCE,
    FITTED,
    PAIR,
    Candidates,
    best_pair,
    chosen_sizes,
    drawn_items,
    learning_curve,
    out_of_fold,
    variance_of_mean,
)
from cdr_eval.harness.fitting.sparse import forward_order, sizes_enough, terms_of

from tests.harness.fitting.score_worlds import World, contrasts, labelled, one_an_item

OWNER = np.arange(5)


def test_no_item_is_judged_by_a_fit_that_has_seen_its_label():
    rng = np.random.default_rng(0)
    data = labelled(rng.normal(size=(60, 5)), np.array([2.0, -2, 0, 0, 0]), rng)
    clusters = np.arange(60)
    plain = out_of_fold(data, clusters, Candidates(OWNER, contrasts(5)), 3, 0)
    item = 17
    turned = data.difference.copy()
    turned[item] *= -1
    other = out_of_fold(one_an_item(turned), clusters, Candidates(OWNER, contrasts(5)), 3, 0)
    own = plain.fold[item]
    for before, after in ((plain.fitted, other.fitted), (plain.sparse[2], other.sparse[2]), (plain.pair, other.pair)):
        assert (before[own] == after[own]).all()
    rest = np.arange(len(plain.fitted)) != own
    assert not np.allclose(plain.fitted[rest], other.fitted[rest])


def test_the_size_that_judges_a_fold_does_not_depend_on_its_labels():
    rng = np.random.default_rng(0)
    data = one_an_item(rng.normal(size=(60, 5)) + 0.15 * np.linspace(1, -1, 5))
    candidates = Candidates(OWNER, contrasts(5))
    found = out_of_fold(data, np.arange(60), candidates, 4, 0)
    plain = chosen_sizes(data, found, candidates, 4, 0.99, 0)
    assert len(set(plain)) > 1 and set(plain) <= set(found.sparse)
    for fold in (0, 3):
        turned = np.where((found.fold == fold)[:, None], -data.difference, data.difference)
        assert chosen_sizes(one_an_item(turned), found, candidates, 4, 0.99, 0)[fold] == plain[fold]


def test_each_response_is_scored_by_its_own_fold():
    rng = np.random.default_rng(1)
    data = labelled(rng.normal(size=(50, 5)), np.array([2.0, -2, 0, 0, 0]), rng)
    found = out_of_fold(data, np.arange(50), Candidates(OWNER, contrasts(5)), 2, 0)
    scores, owners = rng.normal(size=(5, 100)), np.repeat(np.arange(50), 2)
    rewards = found.rewards(found.fitted, scores, owners)
    assert rewards[34] == pytest.approx(found.fitted[found.fold[17]] @ scores[:, 34])


def test_the_two_checkpoints_that_matter_are_taken_first_and_a_third_adds_little():
    world = World(np.array([2.0, 0.0, 0.0, 0.0, -2.0]), np.full(5, 1.0))
    data, _ = world.draw(600, np.random.default_rng(2))
    assert set(forward_order(data, OWNER, 5)[:2]) == {0, 4}
    assert len(forward_order(data, OWNER, 3)) == 3


def test_a_checkpoint_brings_all_of_its_terms():
    rng = np.random.default_rng(3)
    difference = rng.normal(size=(400, 6))
    data = labelled(difference, np.array([0.0, 0, 3, -3, 0, 0]), rng)
    owner = np.array([0, 0, 1, 1, 2, 2])
    assert 1 in forward_order(data, owner, 2)
    assert terms_of(owner, [1, 2]).tolist() == [2, 3, 4, 5]
    assert (fit(data, 0, terms_of(owner, [1])).coefficients[[0, 1, 4, 5]] == 0).all()


def test_the_best_pair_of_some_labels_is_the_one_of_highest_accuracy():
    world = World(np.array([0.0, 1.5, 0.0, 0.0, -1.5]), np.full(5, 0.7))
    data, _ = world.draw(500, np.random.default_rng(4))
    pairs = contrasts(5)
    chosen = pairs[best_pair(data, pairs)]
    assert (chosen[1], chosen[4]) == (1, -1)


def test_the_curve_rises_and_its_difference_is_that_of_its_parts():
    rng = np.random.default_rng(5)
    truth = np.array([1.0, 0.7, 0.2, -0.8, -1.1])
    data = labelled(rng.normal(size=(500, 5)), truth, rng)
    points = learning_curve(data, contrasts(5), 0, sizes=(20, 200, 400), splits=10)
    value = {(point.labels, point.reward): point.accuracy.value for point in points}
    assert {labels for labels, _ in value} == {20, 200}
    assert value[200, FITTED] > value[20, FITTED]
    assert value[200, DIFFERENCE] == pytest.approx(value[200, FITTED] - value[200, PAIR])
    assert all(point.accuracy.low < point.accuracy.value < point.accuracy.high for point in points)


@pytest.mark.parametrize(
    ("problems", "sizes"), [([20] * 5, {50}), ([1, 1, 1, 1, 100], set[int]()), ([2] * 50, {20, 50})]
)
def test_a_size_that_one_problem_fills_or_that_leaves_one_to_judge_is_not_on_the_curve(problems, sizes):
    rng = np.random.default_rng(9)
    data = labelled(rng.normal(size=(sum(problems), 5)), np.array([1.0, 0, 0, 0, -1]), rng)
    clustered = replace(data, cluster=np.repeat(np.arange(len(problems)), problems))
    points = learning_curve(clustered, contrasts(5), 0, sizes=(20, 50), splits=10)
    assert {point.labels for point in points} == sizes
    assert all(point.accuracy.low < point.accuracy.value < point.accuracy.high for point in points)


def test_the_variance_of_the_curve_takes_in_which_items_were_labelled():
    """Each item helps the reward that it labels, by a little of its own; without that part two fifths are missing."""
    rng, n, k, splits = np.random.default_rng(8), 300, 100, 20
    found: list[tuple[float, float]] = []
    for _ in range(300):
        help_, easy = rng.normal(scale=0.3, size=n), rng.normal(scale=0.3, size=n)
        labelled = rng.random((splits, n)).argsort(axis=1) < k
        credits = (labelled @ help_)[:, None] / k + easy + rng.normal(scale=0.2, size=(splits, n))
        credits[labelled] = np.nan
        variance = variance_of_mean(credits, np.ones(n), np.arange(n))
        found.append((float(np.nanmean(credits, axis=1).mean()), variance))
    value, variance = np.array(found).T
    assert variance.mean() == pytest.approx(value.var(), rel=0.2)


def test_drawn_items_come_in_whole_clusters():
    rng = np.random.default_rng(6)
    data = labelled(rng.normal(size=(90, 3)), np.array([1.0, 0, -1]), rng)
    clustered = type(data)(data.difference, data.first, data.second, data.item, data.item // 3)
    taken = drawn_items(clustered, 31, rng)
    assert taken.sum() == 33
    assert drawn_items(data, 31, rng).sum() == 31


def test_a_path_is_long_enough_where_it_has_the_share_of_the_gain():
    assert sizes_enough(np.array([0.0, 0.05, 0.099, 0.1]), 0.99) == 2
    assert sizes_enough(np.array([0.0, -0.1]), 0.99) == 1
