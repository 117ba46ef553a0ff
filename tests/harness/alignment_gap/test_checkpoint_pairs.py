from dataclasses import replace
from itertools import product
from math import factorial

import numpy as np
import pytest
from cdr_eval.harness.alignment_gap.checkpoint_pairs import (
    ALL_ORDERED,
    NO_SELF,
    POSITIVE,
    Pairs,
    checkpoint_draws,
    checkpoint_permutations,
    pair_set,
    pair_weights,
    restrict,
)

pytestmark = pytest.mark.filterwarnings("error")


def family_pairs(sizes=(4, 3), seed=0):
    rng = np.random.default_rng(seed)
    family = np.repeat(np.arange(len(sizes)), sizes)
    strong, weak = np.nonzero((family[:, None] == family) & ~np.eye(len(family), dtype=bool))
    score = np.round(rng.normal(10, 5, len(family)), 1)
    half = rng.uniform(size=(len(family), len(family)))
    accuracy = 0.5 + 0.4 * (half - half.T)
    return Pairs(family, score, strong, weak, accuracy[strong, weak][None], np.array([0.5]))


def test_the_three_sets_have_the_sizes_of_the_paper():
    pairs = family_pairs((11, 10))
    assert len(pair_set(pairs, ALL_ORDERED).strong) == 221
    assert len(pair_set(pairs, NO_SELF).strong) == 200
    positive = pair_set(pairs, POSITIVE)
    gaps = positive.gaps(positive.score)
    ties = sum(abs(pairs.score[i] - pairs.score[j]) < 1e-9 for i, j in zip(pairs.strong, pairs.weak, strict=True))
    assert positive.chosen(gaps).sum() == (200 - ties) / 2


@pytest.mark.parametrize("chance", [0.5, 0.25])
def test_self_pairs_have_the_accuracy_of_chance_whatever_was_scored(chance):
    pairs = replace(family_pairs(), chance=np.array([chance]))
    selves = np.arange(len(pairs.score))
    scored = Pairs(
        pairs.family,
        pairs.score,
        np.append(pairs.strong, selves),
        np.append(pairs.weak, selves),
        np.hstack([pairs.accuracy, np.full((1, len(selves)), 0.3)]),
        pairs.chance,
    )
    for given in (pairs, scored):
        whole = pair_set(given, ALL_ORDERED)
        assert (whole.accuracy[0, whole.strong == whole.weak] == chance).all()
        assert len(whole.strong) == 16 + 9


@pytest.mark.parametrize("name", [ALL_ORDERED, NO_SELF, POSITIVE])
def test_pair_weights_count_the_pairs_of_a_drawn_sample_of_checkpoints(name):
    pairs = pair_set(family_pairs(), name)
    counts = checkpoint_draws(pairs.family, 50, np.random.default_rng(1))
    gap = pairs.gaps(pairs.score)
    for drawn, weights in zip(counts, pair_weights(pairs, counts), strict=True):
        sample = np.repeat(np.arange(len(drawn)), drawn)
        copies = [(a, b) for a, b in product(range(len(sample)), repeat=2)]
        for p, (i, j) in enumerate(zip(pairs.strong, pairs.weak, strict=True)):
            met = sum(sample[a] == i and sample[b] == j and (a == b) == (i == j) for a, b in copies)
            assert weights[p] == (met if name != POSITIVE or gap[p] > 0 else 0)


def test_draws_keep_families_at_their_size():
    family = np.array([0, 1, 0, 1, 1])
    counts = checkpoint_draws(family, 200, np.random.default_rng(0))
    assert (counts[:, family == 0].sum(axis=1) == 2).all()
    assert (counts[:, family == 1].sum(axis=1) == 3).all()


def test_few_permutations_are_all_enumerated_once_and_stay_within_families():
    family = np.array([1, 0, 1, 0, 1])
    permuted, exact = checkpoint_permutations(family, 100, np.random.default_rng(0))
    assert exact and len(permuted) == factorial(2) * factorial(3)
    assert len({tuple(row) for row in permuted.tolist()}) == len(permuted)
    assert (permuted[0] == np.arange(5)).all()
    assert (family[permuted] == family).all()


def test_many_permutations_are_drawn_at_random_within_families():
    family = np.repeat([0, 1], [8, 3])
    permuted, exact = checkpoint_permutations(family, 500, np.random.default_rng(0))
    assert not exact and permuted.shape == (500, 11)
    assert (family[permuted] == family).all()
    assert (np.sort(permuted, axis=1) == np.arange(11)).all()


def test_permuted_gap_codes_order_as_the_permuted_gaps():
    pairs = family_pairs()
    permuted, _ = checkpoint_permutations(pairs.family, 5, np.random.default_rng(0))
    for codes, gaps in zip(pairs.gap_codes(permuted), pairs.gaps(pairs.score[permuted]), strict=True):
        order = np.argsort(codes, kind="stable")
        assert (np.diff(gaps[order]) > -1e-9).all()


def test_restrict_renumbers_checkpoints():
    pairs = family_pairs()
    keep = np.array([True, False, True, True, True, True, False])
    left = restrict(pairs, keep)
    assert len(left.strong) == 6 + 2
    before = keep[pairs.strong] & keep[pairs.weak]
    assert np.allclose(left.gaps(left.score), pairs.gaps(pairs.score)[before])
