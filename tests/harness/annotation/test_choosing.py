"""The choice rules on random prompts, against what each rule says of the pairs that it makes."""

import numpy as np
import pytest
from cdr_eval.errors import UserError
from cdr_eval.harness.annotation.choosing import (
    CUT,
    EQUAL_REWARDS,
    EQUAL_TEXTS,
    NOT_CONFIDENT,
    UNSCORED,
    Choice,
    Pool,
    Rule,
    choose_pairs,
    most_confident,
)

RULES: tuple[Rule, ...] = ("best-random", "best-worst", "best-quantile", "all-pairs")


def pool(prompts: int = 200, seed: int = 0) -> Pool:
    """Prompts of 2 to 9 responses with rewards that often tie, some unscored, cut or repeated."""
    rng = np.random.default_rng(seed)
    counts = rng.integers(2, 10, prompts)
    total = int(counts.sum())
    rewards = rng.integers(0, 6, total).astype(float)
    rewards[rng.random(total) < 0.05] = np.nan
    return Pool(
        [f"p{k}" for k in range(prompts)],
        np.concatenate([[0], np.cumsum(counts)]),
        rewards,
        rng.integers(1, 40, total).astype(float),
        rng.random(total) < 0.9,
        rng.random(total) < 0.1,
    )


def usable(of: Pool, prompt: int) -> set[int]:
    places = range(int(of.offsets[prompt]), int(of.offsets[prompt + 1]))
    return {k for k in places if of.distinct[k] and not of.cut[k] and not np.isnan(of.rewards[k])}


@pytest.mark.parametrize("rule", RULES)
def test_pairs_are_of_usable_responses_and_the_chosen_has_the_higher_reward(rule: Rule):
    of = pool()
    pairs = choose_pairs(of, Choice(rule))
    assert len(pairs.item) > 100
    for item, chosen, rejected, margin in zip(pairs.item, pairs.chosen, pairs.rejected, pairs.margin, strict=True):
        inside = usable(of, item)
        assert {chosen, rejected} <= inside
        assert margin == of.rewards[chosen] - of.rewards[rejected] > 0
        if rule != "all-pairs":
            assert of.rewards[chosen] == max(of.rewards[k] for k in inside)
        if rule == "best-worst":
            assert of.rewards[rejected] == min(of.rewards[k] for k in inside)
        if rule == "best-quantile":
            aim = np.quantile([of.rewards[k] for k in inside], 0.25)
            below = [of.rewards[k] for k in inside if of.rewards[k] < of.rewards[chosen]]
            assert abs(of.rewards[rejected] - aim) == min(abs(r - aim) for r in below)


def test_every_two_of_unequal_reward_are_a_pair_of_all_pairs():
    of = pool(60)
    pairs = choose_pairs(of, Choice("all-pairs"))
    found = set(zip(pairs.chosen.tolist(), pairs.rejected.tolist(), strict=True))
    expected = {
        (a, b) for p in range(60) for a in usable(of, p) for b in usable(of, p) if of.rewards[a] > of.rewards[b]
    }
    assert found == expected


def test_the_band_holds_the_rejected_near_the_chosen_and_is_left_aside_only_where_nothing_lies_within():
    of = pool()
    pairs = choose_pairs(of, Choice(band=(0.8, 1.25)))
    outside = 0
    for item, chosen, rejected in zip(pairs.item, pairs.chosen, pairs.rejected, strict=True):
        others = [k for k in usable(of, item) if of.rewards[k] < of.rewards[chosen]]
        within = [k for k in others if 0.8 <= of.lengths[k] / of.lengths[chosen] <= 1.25]
        assert rejected in (within or others)
        outside += not within
    assert pairs.band_dropped == outside > 0


def test_the_draw_is_a_function_of_seed_and_prompt_alone():
    of = pool()
    whole = choose_pairs(of, Choice())
    half = np.flatnonzero(np.arange(200) % 3 == 1)
    places = np.concatenate([np.arange(of.offsets[p], of.offsets[p + 1]) for p in half])
    counts = np.diff(of.offsets)[half]
    part = choose_pairs(
        Pool(
            [of.ids[p] for p in half.tolist()],
            np.concatenate([[0], np.cumsum(counts)]),
            of.rewards[places],
            of.lengths[places],
            of.distinct[places],
            of.cut[places],
        ),
        Choice(),
    )
    of_whole = {int(i): (int(a), int(b)) for i, a, b in zip(whole.item, whole.chosen, whole.rejected, strict=True)}
    of_part = {
        int(half[i]): (int(places[a]), int(places[b]))
        for i, a, b in zip(part.item, part.chosen, part.rejected, strict=True)
    }
    assert of_part == {p: pair for p, pair in of_whole.items() if p in set(half.tolist())}
    other = choose_pairs(of, Choice(seed=1))
    assert other.rejected.tolist() != whole.rejected.tolist()


def test_the_rejected_is_uniform_over_the_band():
    n = 4_000
    rewards = np.tile([3.0, 2.0, 1.0, 0.0], n)
    of = Pool(
        [str(k) for k in range(n)],
        np.arange(n + 1) * 4,
        rewards,
        np.tile([10.0, 10.0, 12.0, 100.0], n),
        np.ones(4 * n, dtype=bool),
        np.zeros(4 * n, dtype=bool),
    )
    drawn = np.bincount(choose_pairs(of, Choice()).rejected % 4, minlength=4)
    assert drawn[[0, 3]].tolist() == [0, 0]
    assert abs(drawn[1] - n / 2) < 4 * np.sqrt(n / 4)


def test_a_tie_at_the_top_is_drawn_by_seed_and_counted():
    n = 2_000
    of = Pool(
        [str(k) for k in range(n)],
        np.arange(n + 1) * 3,
        np.tile([1.0, 1.0, 0.0], n),
        np.ones(3 * n),
        np.ones(3 * n, dtype=bool),
        np.zeros(3 * n, dtype=bool),
    )
    pairs = choose_pairs(of, Choice())
    assert pairs.ties == n
    assert set(pairs.rejected % 3) == {2}
    assert abs((pairs.chosen % 3 == 0).sum() - n / 2) < 4 * np.sqrt(n / 4)


def test_prompts_without_a_pair_say_why():
    rewards = np.array([1.0, 2.0, 1.0, np.nan, 1.0, 2.0, 5.0, 5.0])
    distinct, cut = np.ones(8, dtype=bool), np.zeros(8, dtype=bool)
    distinct[1], cut[5] = False, True
    of = Pool(list("abcd"), np.arange(5) * 2, rewards, np.ones(8), distinct, cut)
    reasons = tuple(reason.format(2) for reason in (EQUAL_TEXTS, UNSCORED, CUT, EQUAL_REWARDS))
    assert choose_pairs(of, Choice()).reasons == reasons
    kept = choose_pairs(of, Choice(keep_truncated=True))
    assert kept.reasons == (*reasons[:2], "", EQUAL_REWARDS)
    assert (kept.chosen.tolist(), kept.rejected.tolist()) == ([5], [4])
    assert choose_pairs(of, Choice(keep_truncated=True, min_distinct=3)).reasons[2] == "fewer than 3 distinct responses"


def test_the_most_confident_are_those_of_the_largest_margins():
    pairs = choose_pairs(pool(), Choice())
    kept = most_confident(pairs, 0.3)
    assert len(kept.margin) == round(0.3 * len(pairs.margin))
    assert sorted(kept.margin) == sorted(pairs.margin)[-len(kept.margin) :]
    lost = set(pairs.item.tolist()) - set(kept.item.tolist())
    assert {item for item, reason in enumerate(kept.reasons) if reason == NOT_CONFIDENT} == lost


@pytest.mark.parametrize(
    "settings", [{"quantile": 1.0}, {"band": (1.5, 2.0)}, {"band": (0.5, 0.9)}, {"min_distinct": 1}]
)
def test_settings_that_choose_nothing_are_refused(settings: dict[str, object]):
    with pytest.raises(UserError):
        Choice(**settings)  # type: ignore[arg-type]
