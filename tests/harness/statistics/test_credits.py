"""Every rule against loops over items that are written from its definition, and by hand."""

from itertools import combinations, permutations
from math import comb, tanh

import numpy as np
import pytest
from cdr_eval.harness.statistics import credits as rules
from cdr_eval.harness.statistics.credits import Level, Responses, credit
from hypothesis import given, settings
from hypothesis import strategies as st

pytestmark = pytest.mark.filterwarnings("error")
GRADES = st.lists(
    st.lists(st.sampled_from([0.0, 0.5, 1.0, np.nan]), min_size=2, max_size=5).filter(lambda g: len(set(known(g))) > 1),
    min_size=1,
    max_size=5,
)
SEEDS = st.integers(0, 2**32)


def known(grades):
    return [g for g in grades if not np.isnan(g)]


def responses_of(grades, **more):
    counts = [len(g) for g in grades]
    values = {
        "styles": np.concatenate([np.arange(n) for n in counts]),
        "groups": ("",) * len(counts),
        "roles": ("",) * len(counts),
        "pairs": {},
    }
    return Responses(np.array(counts), np.concatenate([np.array(g, float) for g in grades]), **{**values, **more})


def rewards_of(responses, seed, rows=3):
    """Few values, so that many tie; some unscored."""
    rng = np.random.default_rng(seed)
    rewards = rng.choice([-1.0, 0.0, 2.0, 2.5], size=(rows, len(responses.grades)))
    rewards[0, rng.random(rewards.shape[1]) < 0.1] = np.nan
    return rewards


def split(rewards, grades):
    """Each item's rewards, as lists."""
    ends = np.cumsum([len(g) for g in grades])[:-1]
    return [part.tolist() for part in np.split(rewards, ends)]


def expected(rule, rewards, grades):
    """`rule(rewards, grades)` of each row and item with its graded responses only; NaN where one is unscored."""
    result = np.full((len(rewards), len(grades)), np.nan)
    for row, flat in enumerate(rewards):
        for item, (r, g) in enumerate(zip(split(flat, grades), grades, strict=True)):
            kept = [(a, b) for a, b in zip(r, g, strict=True) if not np.isnan(b)]
            if not any(np.isnan(a) for a, _ in kept):
                result[row, item] = rule([a for a, _ in kept], [b for _, b in kept])
    return result


def best(rewards, grades):
    top = [g for r, g in zip(rewards, grades, strict=True) if r == max(rewards)]
    return top.count(max(grades)) / len(top)


def better_and_worse(rewards, grades):
    return [(rewards[i], rewards[j]) for i, j in permutations(range(len(grades)), 2) if grades[i] > grades[j]]


def pairwise(tie):
    def rule(rewards, grades):
        return np.mean([1.0 if a > b else tie if a == b else 0.0 for a, b in better_and_worse(rewards, grades)])

    return rule


def strict(tie):
    def rule(rewards, grades):
        right = min(r for r, g in zip(rewards, grades, strict=True) if g == max(grades))
        wrong = max(r for r, g in zip(rewards, grades, strict=True) if g != max(grades))
        return 1.0 if right > wrong else tie if right == wrong else 0.0

    return rule


def best_of(k):
    def rule(rewards, grades):
        drawn = list(combinations(range(len(grades)), min(k or len(grades), len(grades))))
        chosen = 0.0
        for some in drawn:
            top = max(rewards[i] for i in some)
            chosen += np.mean([grades[i] for i in some if rewards[i] == top])
        return chosen / len(drawn)

    return rule


def test_a_tie_counts_one_half_and_an_unscored_item_nothing():
    margin = np.array([3.0, 1e-300, 0.0, -0.0, -1e-300, -3.0, np.nan, np.inf, -np.inf])
    assert np.array_equal(credit(margin), [1, 1, 0.5, 0.5, 0, 0, np.nan, 1, 0], equal_nan=True)
    assert np.array_equal(credit(margin, 0.0), [1, 1, 0, 0, 0, 0, np.nan, 1, 0], equal_nan=True)


@settings(max_examples=60, deadline=None)
@given(GRADES, SEEDS, st.sampled_from([0.0, 0.5, 1.0]))
def test_rules_are_those_of_plain_loops(grades, seed, tie):
    responses = responses_of(grades)
    rewards = rewards_of(responses, seed)
    for found, rule in (
        (rules.best(rewards, responses), best),
        (rules.pairwise(rewards, responses, tie), pairwise(tie)),
        (rules.strict(rewards, responses, tie), strict(tie)),
    ):
        assert np.allclose(found, expected(rule, rewards, grades), equal_nan=True)


@settings(max_examples=60, deadline=None)
@given(GRADES, SEEDS, st.integers(0, 6))
def test_best_of_k_is_the_mean_over_all_draws_of_k(grades, seed, k):
    responses = responses_of(grades)
    rewards = rewards_of(responses, seed)
    tied_once = np.where(np.isnan(rewards), np.nan, rewards + 0.01 * np.arange(rewards.shape[1]))
    found = rules.best_of(tied_once, responses, k)
    assert np.allclose(found, expected(best_of(k), tied_once, grades), equal_nan=True)
    tied = rules.best_of(rewards, responses, k)
    assert np.allclose(tied, expected(averaged_over_orders(k), rewards, grades), equal_nan=True)


def averaged_over_orders(k):
    """Ties broken in every way, equally often."""

    def rule(rewards, grades):
        found = []
        for order in permutations(range(len(rewards))):
            broken = [r + 1e-6 * place for r, place in zip(rewards, order, strict=True)]
            found.append(best_of(k)(broken, grades))
        return np.mean(found)

    return rule


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 30), SEEDS)
def test_of_a_chosen_and_a_rejected_response_every_rule_is_the_sign_of_the_margin(items, seed):
    responses = responses_of([[1.0, 0.0]] * items)
    rewards = rewards_of(responses, seed)
    margin = rewards[:, ::2] - rewards[:, 1::2]
    assert np.array_equal(rules.margins(rewards, responses), margin, equal_nan=True)
    for found in (
        rules.best(rewards, responses),
        rules.pairwise(rewards, responses, 0.5),
        rules.strict(rewards, responses, 0.5),
        rules.best_of(rewards, responses, 2),
    ):
        assert np.array_equal(found, credit(margin), equal_nan=True)
    for chance in (rules.best_chance, rules.pairwise_chance, rules.strict_chance, rules.best_of_chance):
        assert (chance(responses) == 0.5).all()


@settings(max_examples=40, deadline=None)
@given(GRADES)
def test_chance_is_the_mean_over_all_orders(grades):
    for item in grades:
        responses = responses_of([item])
        orders = np.array(list(permutations(range(len(item)))), dtype=float)
        for found, chance in (
            (rules.best(orders, responses), rules.best_chance),
            (rules.pairwise(orders, responses, 0.0), rules.pairwise_chance),
            (rules.strict(orders, responses, 0.0), rules.strict_chance),
            (rules.best_of(orders, responses, 2), rules.best_of_chance),
        ):
            assert np.isclose(found.mean(), chance(responses)[0])


@settings(max_examples=40, deadline=None)
@given(GRADES, SEEDS)
def test_the_order_of_responses_changes_nothing(grades, seed):
    responses = responses_of(grades)
    rewards = rewards_of(responses, seed)
    rng = np.random.default_rng(seed)
    place = np.concatenate([s + rng.permutation(len(g)) for s, g in zip(responses.starts, grades, strict=True)])
    other = Responses(
        responses.counts, responses.grades[place], responses.styles[place], responses.groups, responses.roles, {}
    )
    for rule in (
        rules.best,
        rules.margins,
        lambda r, x: rules.strict(r, x, 0.5),
        lambda r, x: rules.pairwise(r, x, 0.5),
        lambda r, x: rules.matrix(r, x, "hard", 0.0),
        lambda r, x: rules.best_of(r, x, 3),
    ):
        assert np.allclose(rule(rewards, responses), rule(rewards[:, place], other), equal_nan=True)


def test_only_the_listed_comparisons_count_and_an_unscored_response_outside_them_does_not_matter():
    responses = responses_of([[1.0, 0.0, 1.0, 0.0], [0.0, 1.0]], pairs={0: ((0, 1), (3, 2), (0, 2))})
    rewards = np.array([[3.0, 1.0, 2.0, 5.0, 0.0, 1.0], [np.nan, 1, 1, 1, 1, 1]])
    assert np.array_equal(rules.pairwise(rewards, responses, 0.5), [[0.5, 1.0], [np.nan, 0.5]], equal_nan=True)
    apart = responses_of([[1.0, 0.0, 1.0, 0.0]], pairs={0: ((0, 1),)})
    assert rules.pairwise(np.array([[3.0, 1.0, np.nan, 0.0]]), apart, 0.5)[0, 0] == 1


def test_matrix_of_three_styles_by_hand():
    # chosen in the styles 0, 1, 2, then rejected in the styles 0, 1, 2
    responses = responses_of([[1, 1, 1, 0, 0, 0]], styles=np.array([0, 1, 2, 0, 1, 2]))
    chosen, rejected = np.array([1.0, 3.0, 2.0]), np.array([0.0, 2.0, 2.0])
    wins = (chosen[:, None] > rejected).astype(float)
    rewards = np.concatenate([chosen, rejected])[None]
    hard, normal, easy = np.triu(wins, 1).sum() / 3, wins.diagonal().mean(), np.tril(wins, -1).sum() / 3
    wanted_at: list[tuple[Level, float]] = [
        ("hard", hard),
        ("normal", normal),
        ("easy", easy),
        ("", (hard + normal + easy) / 3),
        *((f"{i}>{j}", float(wins[i, j])) for i in range(3) for j in range(3)),
    ]
    for level, wanted in wanted_at:
        assert np.isclose(rules.matrix(rewards, responses, level, 0.0)[0, 0], wanted)


def official_ties(items):
    """RewardBench 2's score of the whole subset; items: (group, role, right, wrong)."""
    gap = {(g, role): min(right) - max(wrong) for g, role, right, wrong in items}
    groups = sorted({g for g, *_ in items})
    spread = {g: max(right) - min(right) for g, role, right, _ in items if role == "tied"}
    hard = {g: min(gap[g, "ref"], gap[g, "tied"]) for g in groups}
    near = [tanh(hard[g] / spread[g] - 1) if spread[g] else np.sign(hard[g]) for g in groups]
    return (
        0.3 * np.mean([gap[g, "tied"] > 0 for g in groups])
        + 0.3 * np.mean([gap[g, "ref"] > 0 for g in groups])
        + 0.2 * np.mean([gap[g, "tied"] > spread[g] for g in groups])
        + 0.2 * np.mean([hard[g] > spread[g] for g in groups])
        + 0.01 * np.mean(near)
    )


@pytest.mark.parametrize("seed", range(20))
def test_the_mean_of_the_ties_credits_is_the_official_score_of_the_subset(seed):
    rng = np.random.default_rng(seed)
    grades, groups, roles, items, rewards = [], [], [], [], []
    for group in rng.permutation(12):
        for role in rng.permutation(["ref", "tied"]):
            right, wrong = (1 if role == "ref" else int(rng.integers(2, 6))), int(rng.integers(1, 6))
            scores = rng.normal(size=right + wrong) + np.repeat([2.0 * (seed % 3), 0.0], [right, wrong])
            scores = np.round(scores, 1 - seed % 2)
            grades.append([1.0] * right + [0.0] * wrong)
            groups.append(str(group))
            roles.append(str(role))
            items.append((str(group), str(role), scores[:right].tolist(), scores[right:].tolist()))
            rewards.append(scores)
    responses = responses_of(grades, groups=tuple(groups), roles=tuple(roles))
    found = rules.ties(np.concatenate(rewards)[None], responses)[0]
    assert np.isclose(found.mean(), official_ties(items))
    by_group = {g: {c for c, h in zip(found, groups, strict=True) if h == g} for g in groups}
    assert all(len(values) == 1 for values in by_group.values())


def test_an_unscored_response_leaves_both_items_of_its_group_without_credit():
    responses = responses_of([[1, 0], [1, 1, 0], [1, 0], [1, 1, 0]], groups=tuple("aabb"), roles=("ref", "tied") * 2)
    rewards = np.array([[2.0, 1, 3, 3, 1, np.nan, 1, 3, 3, 1]])
    found = rules.ties(rewards, responses)[0]
    assert np.isnan(found[2:]).all() and np.allclose(found[:2], 1 + 0.01)
    assert 0.1 < rules.ties_chance(responses)[0] < 0.5


def test_items_that_a_rule_cannot_credit_are_named():
    responses = responses_of(
        [[1, 0], [1, 1], [np.nan, 1], [0.5, 2]], groups=("a", "a", "b", ""), roles=("ref", "tied") * 2
    )
    assert rules.without_comparison(responses).tolist() == [False, True, True, False]
    assert rules.out_of_range(responses).tolist() == [False, False, False, True]
    assert rules.without_partner(responses).tolist() == [False, False, True, True]
    assert rules.without_comparison(responses, "normal").all()
    with pytest.raises(ValueError, match="from 0 to 1"):
        rules.best_of(np.zeros((1, 8)), responses, 1)


def test_characters_of_acceptable_and_other_responses_are_means():
    responses = responses_of([[1, 0, 1], [np.nan, 0, 2]])
    right, wrong = rules.mean_chars(np.array([10, 1, 20, 99, 5, 7]), responses)
    assert right.tolist() == [15, 7] and wrong.tolist() == [1, 5]


def test_strict_chance_of_many_responses_is_one_over_the_binomial():
    responses = responses_of([[1] * 20 + [0] * 30, [1] + [0] * 9])
    assert np.allclose(rules.strict_chance(responses), [1 / comb(50, 20), 0.1])
