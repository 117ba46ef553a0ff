"""A limit takes of every subset its share, the same items for one seed, in their order."""

from collections import Counter
from pathlib import Path

import pytest
from cdr_eval.errors import UserError
from cdr_eval.tasks.item import Item, Turn
from cdr_eval.tasks.items import Items
from cdr_eval.tasks.task import Task, limited
from hypothesis import given
from hypothesis import strategies as st


def task_of(subsets: list[str], groups: list[str | None] | None = None) -> Task:
    """A task whose items lie in these subsets, and groups, one after another."""
    turns = (Turn(role="user", content="Why?"),)
    items = [
        Item(f"i{n}", subset, turns, ("Yes.", "No."), (1.0, 0.0), group=groups[n] if groups else None)
        for n, subset in enumerate(subsets)
    ]
    return Task("made", "", Items(items), (), Path())


def test_two_alternating_subsets_give_half_each():
    part = limited(task_of(["a", "b"] * 50), 10, seed=0)
    assert Counter(part.items.subsets) == {"a": 5, "b": 5}


@given(st.lists(st.sampled_from("abc"), min_size=1, max_size=60), st.integers(1, 60), st.integers(0, 3))
def test_each_subset_keeps_its_share_to_within_one_item(subsets: list[str], limit: int, seed: int):
    part = limited(task_of(subsets), limit, seed)
    assert len(part.items) == min(limit, len(subsets))
    taken = Counter(part.items.subsets)
    for subset, count in Counter(subsets).items():
        assert abs(taken[subset] - len(part.items) * count / len(subsets)) < 1
    numbers = [int(name[1:]) for name in part.items.ids]
    assert numbers == sorted(set(numbers))


@given(st.integers(2, 59), st.integers(0, 3))
def test_groups_stay_whole(limit: int, seed: int):
    groups = [None] * 20 + [str(n % 20) for n in range(40)]
    part = limited(task_of(["a"] * 20 + ["b"] * 40, groups), limit, seed)
    assert limit - 1 <= len(part.items) <= limit
    assert set(Counter(group for group in part.items.groups if group).values()) <= {2}


def test_a_limit_below_the_size_of_a_group_is_refused():
    with pytest.raises(UserError, match="those of a group stay together; pass more"):
        limited(task_of(["a"] * 4, ["x", "x", "y", "y"]), 1, 0)


def test_a_seed_decides_on_the_items():
    whole = task_of(["a"] * 100)
    first, again, other = (limited(whole, 10, seed).items.ids for seed in (0, 0, 1))
    assert first == again != other


@pytest.mark.parametrize("limit", [0, -3])
def test_a_limit_below_one_is_refused(limit: int):
    with pytest.raises(UserError, match=f"limit of {limit} leaves no item; pass 1 or more"):
        limited(task_of(["a"]), limit, 0)
