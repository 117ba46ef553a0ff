"""Accuracies, intervals and tests against SciPy, statsmodels, plain loops and arithmetic written out."""

from typing import Any

import numpy as np
import pytest
from cdr_eval.harness.statistics.metrics import Floats, Scopes, credit, intervals, sign_flip_test, wilson
from cdr_eval.harness.statistics.resampling import resample_weights
from cdr_eval.tasks.rewardbench import SECTIONS
from cdr_eval.tasks.task import Section
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import ArrayLike
from scipy import stats
from statsmodels.stats.proportion import proportion_confint

scipy_stats: Any = stats  # its stubs know few of the ways to call it
TWO_SECTIONS = (Section("A", {"a1": 30, "a2": 10}), Section("B", {"b1": 5, "b2": 2, "b3": 20}))
SUBSETS = ["a1", "a2", "b1", "b2", "b3"]
CREDITS = st.lists(
    st.tuples(st.sampled_from(SUBSETS), st.sampled_from([0.0, 0.5, 1.0, np.nan])), min_size=1, max_size=30
)


def test_a_tie_counts_one_half_and_an_unscored_item_nothing():
    margin = np.array([3.0, 1e-300, 0.0, -0.0, -1e-300, -3.0, np.nan, np.inf, -np.inf])
    expected = [1, 1, 0.5, 0.5, 0, 0, np.nan, 1, 0]
    assert np.array_equal(credit(margin), expected, equal_nan=True)


@pytest.mark.parametrize("n", [1, 2, 37, 984])
@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.93, 1.0])
@pytest.mark.parametrize("level", [0.8, 0.95, 0.99])
def test_wilson_against_statsmodels(n: int, share: float, level: float):
    wins = round(share * n * 2) / 2  # half a win is a tie
    expected: Any = proportion_confint(wins, n, alpha=1 - level, method="wilson")
    assert np.allclose(wilson(wins / n, n, level), np.clip(expected, 0, 1), atol=1e-12)


def test_wilson_against_scipy():
    for wins, n in ((0, 7), (3, 7), (7, 7), (81, 100)):
        expected = stats.binomtest(wins, n).proportion_ci(method="wilson")
        assert np.allclose(wilson(wins / n, n), (expected.low, expected.high), atol=1e-12)
    assert np.isnan(wilson(float("nan"), 0)).all()


def test_intervals_are_percentiles_of_the_resamples_that_are_defined():
    draws = np.random.default_rng(0).normal(size=(3, 999))
    low, high = intervals(draws)
    assert np.allclose(low, np.percentile(draws, 2.5, axis=1))
    assert np.allclose(high, np.percentile(draws, 97.5, axis=1))
    draws[0, :500] = np.nan
    draws[1] = np.nan
    low, high = intervals(draws, level=0.9)
    assert np.allclose([low[0], high[0]], np.percentile(draws[0, 500:], [5, 95]))
    assert np.isnan([low[1], high[1]]).all()
    assert np.allclose([low[2], high[2]], np.percentile(draws[2], [5, 95]))


@pytest.mark.parametrize("seed", range(4))
def test_sign_flips_against_scipys_exact_permutation_test(seed: int):
    rng = np.random.default_rng(seed)
    a = rng.choice([0, 0.5, 1], size=11, p=[0.2, 0.1, 0.7])
    b = rng.choice([0, 0.5, 1], size=11)

    def difference(x: Floats, y: Floats, axis: int) -> Floats:
        return (x - y).mean(axis=axis)

    exact: Any = scipy_stats.permutation_test(
        (a, b), difference, permutation_type="samples", vectorized=True, n_resamples=10**9
    )
    observed, p_value = sign_flip_test((a - b) / 11, np.arange(11), 100_000, rng)
    assert np.isclose(observed, exact.statistic)
    assert np.isclose(p_value, exact.pvalue, atol=0.008)


def test_sign_flips_of_clusters_are_those_of_their_sums():
    rng = np.random.default_rng(5)
    clusters = np.repeat(np.arange(8), 4)
    differences = rng.choice([-1, 0, 1], size=32, p=[0.2, 0.2, 0.6]) / 32
    sums = [differences[clusters == c].sum() for c in range(8)]
    totals = [abs(np.dot(sums, 1 - 2 * ((m >> np.arange(8)) & 1))) for m in range(256)]
    exact = np.mean(np.array(totals) >= abs(np.sum(sums)) - 1e-12)
    observed, p_value = sign_flip_test(differences, clusters.astype(str), 100_000, rng)
    assert np.isclose(observed, differences.sum())
    assert np.isclose(p_value, exact, atol=0.008)


def test_no_difference_has_p_one_and_no_p_is_zero():
    rng = np.random.default_rng(6)
    assert sign_flip_test(np.zeros(20), np.arange(20), 999, rng) == (0.0, 1.0)
    _, p_value = sign_flip_test(np.full(60, 1 / 60), np.arange(60), 999, rng)
    assert p_value == 1 / 1000


def test_p_values_are_uniform_where_there_is_no_difference():
    rng = np.random.default_rng(7)
    p_values = [sign_flip_test(rng.choice([-1.0, 0, 1], size=40) / 40, np.arange(40), 400, rng)[1] for _ in range(300)]
    rejected = np.mean(np.array(p_values) <= 0.1)
    assert 0.05 < rejected < 0.15


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
    found = Scopes(np.array(subsets), SECTIONS).accuracies(credits[None])
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


def test_the_published_counts_are_rewardbenchs():
    counts = {section.name: sum(section.counts.values()) for section in SECTIONS}
    assert counts == {"Chat": 358, "Chat Hard": 456, "Safety": 740, "Reasoning": 984 + 6 * 164}
    assert sum(len(section.counts) for section in SECTIONS) == 23


def test_missing_subsets_are_named_for_each_scope():
    subsets, _ = items_of(HAND)
    scopes = Scopes(np.array(subsets), SECTIONS)
    assert scopes.missing_subsets("Chat") == []
    assert scopes.missing_subsets("Reasoning") == ["hep-go", "hep-java", "hep-js", "hep-python"]
    assert len(scopes.missing_subsets("Safety")) == 5
    assert len(scopes.missing_subsets("overall")) == 23 - 10
    assert scopes.items_of("Chat Hard").sum() == 9
    assert scopes.items_of("overall").all()


def test_without_sections_overall_is_the_mean_over_items():
    credits = np.array([[1, 0.5, np.nan, 0, 1]])
    found = Scopes(np.array(["x", "x", "y", "y", "y"]), ()).accuracies(credits)
    assert list(found) == ["overall"]
    assert np.isclose(found["overall"], 2.5 / 4)


def plain(subsets: list[str], credits: list[float], sections: tuple[Section, ...]) -> dict[str, float]:
    """Section and overall accuracy in loops over items, NaN where nothing is scored."""
    found: dict[str, float] = {}
    for section in sections:
        total = weight = 0.0
        for name, count in section.counts.items():
            scored = [c for s, c in zip(subsets, credits, strict=True) if s == name and not np.isnan(c)]
            if scored:
                total += count * sum(scored) / len(scored)
                weight += count
        if any(s in section.counts for s in subsets):
            found[section.name] = total / weight if weight else np.nan
    defined = [value for value in found.values() if not np.isnan(value)]
    return found | {"overall": sum(defined) / len(defined) if defined else np.nan}


@given(CREDITS)
def test_accuracies_are_those_of_a_plain_loop(items: list[tuple[str, float]]):
    subsets, credits = [s for s, _ in items], [c for _, c in items]
    found = Scopes(np.array(subsets), TWO_SECTIONS).accuracies(np.array([credits]))
    expected = plain(subsets, credits, TWO_SECTIONS)
    assert {k: v.tolist() for k, v in found.items()} == {
        k: pytest.approx([v], abs=1e-6, nan_ok=True) for k, v in expected.items()
    }


@settings(max_examples=50)
@given(CREDITS, st.integers(0, 2**32))
def test_a_resample_scores_as_if_its_items_were_written_out(items: list[tuple[str, float]], seed: int):
    subsets, credits = [s for s, _ in items], [c for _, c in items]
    multiplicity = np.random.default_rng(seed).integers(0, 3, size=(4, len(items))).astype(np.float32)
    found = Scopes(np.array(subsets), TWO_SECTIONS).accuracies(np.array([credits]), multiplicity)
    for r, times in enumerate(multiplicity.astype(int).tolist()):
        written = [item for item, t in zip(items, times, strict=True) for _ in range(t)]
        expected = plain([s for s, _ in written], [c for _, c in written], TWO_SECTIONS)
        for name, values in found.items():
            assert values[0, r] == pytest.approx(expected.get(name, np.nan), abs=1e-6, nan_ok=True)


@given(CREDITS)
def test_item_weights_add_up_credits_to_accuracies(items: list[tuple[str, float]]):
    for sections in (TWO_SECTIONS, ()):
        scopes = Scopes(np.array([s for s, _ in items]), sections)
        credits = np.array([c for _, c in items])
        weights = scopes.item_weights(~np.isnan(credits))
        for name, accuracy in scopes.accuracies(credits[None]).items():
            if np.isnan(accuracy[0]):
                assert name not in weights or not weights[name].any()
            else:
                assert np.isclose(weights[name] @ np.nan_to_num(credits), accuracy[0], atol=1e-6)
                assert np.isclose(weights[name].sum(), 1)
                assert not weights[name][np.isnan(credits)].any()


def covered(clusters: ArrayLike, subsets: list[str], truth: float, credits: Floats, rng: np.random.Generator) -> bool:
    scopes = Scopes(np.array(subsets), (Section("S", {"x": 100, "y": 30}),))
    low, high = intervals(scopes.accuracies(credits[None], resample_weights(clusters, subsets, 300, rng))["overall"])
    return bool(low[0] <= truth <= high[0])


def test_the_bootstrap_interval_of_a_weighted_score_covers_the_truth_as_often_as_it_says():
    rng = np.random.default_rng(8)
    subsets = ["x"] * 60 + ["y"] * 90
    chances = np.where(np.array(subsets) == "x", 0.7, 0.4)
    truth = (0.7 * 100 + 0.4 * 30) / 130
    draws = (rng.random((400, 150)) < chances).astype(float)
    share = np.mean([covered(range(150), subsets, truth, credits, rng) for credits in draws])
    assert 0.91 < share < 0.98


def test_items_that_share_a_problem_need_clusters_for_that():
    rng = np.random.default_rng(9)
    subsets = ["x"] * 180
    clusters = np.repeat(np.arange(60), 3)
    draws = np.repeat((rng.random((300, 60)) < 0.6).astype(float), 3, axis=1)
    clustered = np.mean([covered(clusters, subsets, 0.6, credits, rng) for credits in draws])
    apart = np.mean([covered(range(180), subsets, 0.6, credits, rng) for credits in draws])
    assert 0.9 < clustered < 0.98
    assert apart < 0.85
