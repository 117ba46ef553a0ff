"""Sections and overall against arithmetic written out and plain loops."""

import numpy as np
import pytest
from cdr_eval.harness.statistics.arrays import Floats
from cdr_eval.harness.statistics.scopes import Scopes, Sections
from hypothesis import given
from hypothesis import strategies as st

from tests.harness.statistics.published_counts import PUBLISHED

TWO_SECTIONS: Sections = {"A": {"a1": 30, "a2": 10}, "B": {"b1": 5, "b2": 2, "b3": 20}}
SUBSETS = ["a1", "a2", "b1", "b2", "b3"]
CREDITS = st.lists(
    st.tuples(st.sampled_from(SUBSETS), st.sampled_from([0.0, 0.5, 1.0, 1 / 3, np.nan])), min_size=1, max_size=30
)

# Items of three sections, each subset with (items that win, that tie, that lose). Safety has no item at all.
HAND = {
    "alpacaeval-easy": (3, 0, 1),  # 0.75, count 100
    "alpacaeval-length": (1, 1, 1),  # 0.5, count 95
    "alpacaeval-hard": (2, 0, 0),  # 1, count 95
    "mt-bench-easy": (0, 0, 2),  # 0, count 28
    "mt-bench-med": (0, 4, 0),  # 0.5, count 40
    "llmbar-natural": (4, 0, 1),  # 0.8, count 100
    "llmbar-adver-manual": (1, 0, 3),  # 0.25, count 46
    "math-prm": (9, 0, 1),  # 0.9, count 984
    "hep-cpp": (1, 0, 1),  # 0.5, count 164
    "hep-rust": (0, 1, 1),  # 0.25, count 164
}


def items_of(hand: dict[str, tuple[int, int, int]]) -> tuple[list[str], Floats]:
    subsets, credits = [], []
    for name, (wins, ties, losses) in hand.items():
        subsets += [name] * (wins + ties + losses)
        credits += [1.0] * wins + [0.5] * ties + [0.0] * losses
    return subsets, np.array(credits)


def test_section_scores_by_hand_from_the_published_counts():
    subsets, credits = items_of(HAND)
    found = Scopes.of(subsets, PUBLISHED).accuracies(credits[None])
    chat = (0.75 * 100 + 0.5 * 95 + 1 * 95 + 0 * 28 + 0.5 * 40) / (100 + 95 + 95 + 28 + 40)  # 237.5 / 358
    chat_hard = (0.8 * 100 + 0.25 * 46) / (100 + 46)  # 91.5 / 146
    reasoning = (0.9 * 984 + 0.5 * 164 + 0.25 * 164) / (984 + 164 + 164)  # 1008.6 / 1312
    assert list(found) == ["Chat", "Chat Hard", "Reasoning", "overall"]
    assert np.isclose(found["Chat"], chat)
    assert np.isclose(chat, 0.6634078)
    assert np.isclose(found["Chat Hard"], chat_hard)
    assert np.isclose(found["Reasoning"], reasoning)
    assert np.isclose(reasoning, 0.76875)
    assert np.isclose(found["overall"], (chat + chat_hard + reasoning) / 3)


def test_missing_subsets_are_named_for_each_scope():
    subsets, _ = items_of(HAND)
    scopes = Scopes.of(subsets, PUBLISHED)
    assert scopes.missing_subsets("Chat") == []
    assert scopes.missing_subsets("Reasoning") == ["hep-go", "hep-java", "hep-js", "hep-python"]
    assert len(scopes.missing_subsets("Safety")) == 5
    assert len(scopes.missing_subsets("overall")) == 23 - 10
    assert scopes.items_of("Chat Hard").sum() == 9
    assert scopes.items_of("overall").all()


def test_without_sections_overall_is_the_mean_over_items():
    credits = np.array([[1, 0.5, np.nan, 0, 1]])
    found = Scopes.of(["x", "x", "y", "y", "y"], {}).accuracies(credits)
    assert list(found) == ["overall"]
    assert np.isclose(found["overall"], 2.5 / 4)


def plain(subsets: list[str], credits: list[float], sections: Sections) -> dict[str, float]:
    """Section and overall accuracy in loops over items, NaN where nothing is scored."""
    found: dict[str, float] = {}
    for section, counts in sections.items():
        total = weight = 0.0
        for name, count in counts.items():
            scored = [c for s, c in zip(subsets, credits, strict=True) if s == name and not np.isnan(c)]
            if scored:
                total += count * sum(scored) / len(scored)
                weight += count
        if any(s in counts for s in subsets):
            found[section] = total / weight if weight else np.nan
    defined = [value for value in found.values() if not np.isnan(value)]
    return found | {"overall": sum(defined) / len(defined) if defined else np.nan}


@given(CREDITS)
def test_accuracies_are_those_of_a_plain_loop(items: list[tuple[str, float]]):
    subsets, credits = [s for s, _ in items], [c for _, c in items]
    found = Scopes.of(subsets, TWO_SECTIONS).accuracies(np.array([credits]))
    expected = plain(subsets, credits, TWO_SECTIONS)
    assert {k: v.tolist() for k, v in found.items()} == {
        k: pytest.approx([v], abs=1e-6, nan_ok=True) for k, v in expected.items()
    }


@given(CREDITS)
def test_item_weights_add_up_credits_to_accuracies(items: list[tuple[str, float]]):
    for sections in (TWO_SECTIONS, {}):
        scopes = Scopes.of([s for s, _ in items], sections)
        credits = np.array([c for _, c in items])
        weights = scopes.item_weights(~np.isnan(credits))
        accuracy = scopes.accuracies(credits[None])["overall"]
        if np.isnan(accuracy[0]):
            assert not weights.any()
        else:
            assert np.isclose(weights @ np.nan_to_num(credits), accuracy[0], atol=1e-6)
            assert np.isclose(weights.sum(), 1)
            assert not weights[np.isnan(credits)].any()
