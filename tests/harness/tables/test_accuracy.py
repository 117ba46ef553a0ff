"""The tables of accuracy and of paired comparisons."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from cdr_eval.errors import UserError
from cdr_eval.harness.rules import check_rules
from cdr_eval.harness.statistics.arrays import Floats
from cdr_eval.harness.statistics.intervals import wilson
from cdr_eval.harness.tables.accuracy import ACCURACY_COLUMNS, COMPARISON_COLUMNS, accuracy_table, comparison_table
from cdr_eval.harness.tables.sample import Label, Sample
from cdr_eval.tasks.item import Item, Turn
from cdr_eval.tasks.items import Items
from cdr_eval.tasks.task import Rule, Section, Task
from scipy import stats

from tests.harness.statistics.published_counts import HEP, PUBLISHED

scipy_stats: Any = stats  # its stubs know few of the ways to call it
Sections = tuple[Section, ...]
SECTIONS = tuple(Section(name, counts) for name, counts in PUBLISHED.items())
LABEL: Label = ("s", "w", "vanilla")


def asked(name: str) -> tuple[Turn, ...]:
    return (Turn(role="user", content=f"{name}?"),)


def item(name: str, subset: str, chosen: int, rejected: int, problem: str | None = None) -> Item:
    """An item whose responses have these numbers of characters."""
    return Item.preference(
        name, subset, (Turn(role="user", content=f"{name}?"),), "c" * chosen, "r" * rejected, problem
    )


def sample_of(items: list[Item], sections: Sections = SECTIONS, resamples: int = 2000) -> Sample:
    return Sample.of(Task("task", "", Items(items), sections, Path()), resamples, 0)


def flat(margins: Floats) -> Floats:
    """Rewards of chosen and rejected, flat, that have these margins (rows, items)."""
    return np.stack([margins, np.zeros_like(margins)], axis=2).reshape(len(margins), -1)


def table_of(items: list[Item], margins: list[float], sections: Sections = SECTIONS) -> pd.DataFrame:
    return accuracy_table([LABEL], flat(np.array([margins])), sample_of(items, sections))


def row(table: pd.DataFrame, scope: str, name: str, variant: str = "vanilla") -> dict[Any, Any]:
    found = table[(table["scope"] == scope) & (table["name"] == name) & (table["variant"] == variant)]
    assert len(found) == 1
    return found.iloc[0].to_dict()


ITEMS = [
    item("1", "llmbar-natural", 10, 5),
    item("2", "llmbar-natural", 5, 10),
    item("3", "llmbar-natural", 10, 5),
    item("4", "donotanswer", 7, 7),
    item("5", "donotanswer", 5, 10),
    item("6", "hep-cpp", 20, 10, "p1"),
    item("7", "hep-js", 20, 10, "p1"),
    item("8", "hep-js", 10, 20, "p2"),
]
MARGINS = [2.0, 0.0, -1.0, 3.0, float("nan"), 1.0, -1.0, 1.0]


def test_every_subset_section_and_the_whole_have_one_row():
    table = table_of(ITEMS, MARGINS)
    assert table.columns.tolist() == ACCURACY_COLUMNS
    own = table[table["variant"] == "vanilla"]
    assert [tuple(r) for r in own[["scope", "name"]].to_numpy()] == [
        *(("subset", name) for name in ("llmbar-natural", "donotanswer", "hep-cpp", "hep-js")),
        *(("section", name) for name in ("Chat Hard", "Safety", "Reasoning")),
        ("overall", "overall"),
        *(("length", name) for name in ("chosen longer", "chosen shorter", "prefers longer")),
    ]


def test_accuracies_ties_and_counts_by_hand():
    table = table_of(ITEMS, MARGINS)
    natural = row(table, "subset", "llmbar-natural")
    assert (natural["n"], natural["ties"], natural["accuracy"]) == (3, 1, 0.5)
    assert (natural["ci_low"], natural["ci_high"]) == wilson(0.5, 3)
    assert row(table, "subset", "donotanswer")["accuracy"] == 1
    assert row(table, "subset", "hep-js")["accuracy"] == 0.5
    reasoning = row(table, "section", "Reasoning")
    assert reasoning["accuracy"] == pytest.approx((1 * 164 + 0.5 * 164) / 328)
    overall = row(table, "overall", "overall")
    assert overall["accuracy"] == pytest.approx((0.5 + 1 + 0.75) / 3)
    assert (overall["n"], overall["ties"]) == (7, 1)


def test_equal_prompts_widen_every_interval_as_a_problem_of_their_name_does():
    rng = np.random.default_rng(0)
    margins: list[float] = (np.repeat(rng.normal(size=20), 10) + 0.3 * rng.normal(size=200)).tolist()
    apart = [item(str(n), "s", 10, 5) for n in range(200)]
    alike = [replace(one, prompt=asked(str(n // 10))) for n, one in enumerate(apart)]
    named = [replace(one, problem=one.prompt[0]["content"]) for one in alike]
    tables = [table_of(items, margins, ()) for items in (apart, alike, named)]
    for scope, name in (("subset", "s"), ("overall", "overall"), ("length", "prefers longer")):
        narrow, wide, told = (row(table, scope, name) for table in tables)
        assert wide["ci_high"] - wide["ci_low"] > 2 * (narrow["ci_high"] - narrow["ci_low"])
        assert (wide["ci_low"], wide["ci_high"]) == pytest.approx((told["ci_low"], told["ci_high"]), abs=0.02)


def test_missing_subsets_and_unscored_items_are_noted():
    table = table_of(ITEMS, MARGINS)
    assert row(table, "subset", "llmbar-natural")["note"] == "33.3% if a tie is lost"
    assert row(table, "subset", "donotanswer")["note"] == "1 item unscored"
    safety = row(table, "section", "Safety")["note"]
    assert str(safety).startswith("without the subsets refusals-dangerous, refusals-offensive, xstest-should-refuse")
    assert "1 item unscored" in str(safety)
    assert "math-prm, hep-go" in str(row(table, "section", "Reasoning")["note"])
    overall = str(row(table, "overall", "overall")["note"])
    missing = {name for section in SECTIONS for name in section.counts} - {i.subset for i in ITEMS}
    assert all(name in overall for name in missing)
    assert "1 item unscored" in overall


def test_a_whole_task_has_no_notes():
    items = [item(f"{s}-{k}", s, 5 + k % 3, 6) for section in SECTIONS for s in section.counts for k in range(6)]
    table = table_of(items, [(-1.0) ** k for k in range(len(items))])
    assert (table["note"] == "").all()


def test_length_is_watched():
    table = table_of(ITEMS, MARGINS)
    longer = row(table, "length", "chosen longer")  # items 1, 3, 6, 7
    assert (longer["n"], longer["accuracy"]) == (4, 0.5)
    shorter = row(table, "length", "chosen shorter")  # items 2 (a tie), 8; 5 is unscored
    assert (shorter["n"], shorter["ties"], shorter["accuracy"]) == (2, 1, 0.75)
    prefers = row(table, "length", "prefers longer")  # 1, 6 and half of 2; equal lengths do not count
    assert (prefers["n"], prefers["accuracy"]) == (6, 2.5 / 6)


def test_length_baselines_are_scored_on_the_same_items():
    table = table_of(ITEMS, MARGINS)
    baseline = table[(table["strong"] == "") & (table["weak"] == "")]
    assert set(baseline["variant"]) == {"longer response", "shorter response"}
    assert row(table, "subset", "llmbar-natural", "longer response")["accuracy"] == pytest.approx(2 / 3)
    assert row(table, "subset", "donotanswer", "longer response")["accuracy"] == 0.25  # equal lengths tie
    sections = [row(table, "section", name, "longer response")["accuracy"] for name in ("Chat Hard", "Safety")]
    assert sections == [pytest.approx(2 / 3), 0.25]
    for r in baseline[baseline["variant"] == "longer response"].to_dict("records"):
        other = row(table, r["scope"], r["name"], "shorter response")
        assert r["accuracy"] + other["accuracy"] == pytest.approx(1)


def test_a_subset_that_is_wholly_unscored_is_left_out_of_its_section():
    items = [item("1", "hep-cpp", 1, 2), item("2", "hep-js", 1, 2), item("3", "donotanswer", 1, 2)]
    table = table_of(items, [1.0, float("nan"), float("nan")])
    assert row(table, "section", "Reasoning")["accuracy"] == 1
    assert np.isnan(row(table, "section", "Safety")["accuracy"])
    assert row(table, "overall", "overall")["accuracy"] == 1
    assert row(table, "subset", "hep-js")["n"] == 0
    assert np.isnan(row(table, "subset", "hep-js")["accuracy"])


def test_nothing_scored_at_all_is_nan_and_no_warning():
    table = table_of(ITEMS, [float("nan")] * 8)
    own = table[table["variant"] == "vanilla"]
    assert own["accuracy"].isna().all()
    assert own["ci_low"].isna().all()
    assert (own["n"] == 0).all()


def test_a_file_without_sections_has_subsets_and_the_whole():
    items = [item("1", "x", 1, 2), item("2", "x", 2, 1), item("3", "y", 3, 1), item("4", "y", 3, 1)]
    table = table_of(items, [1.0, 0.0, 1.0, 1.0], sections=())
    assert set(table["scope"]) == {"subset", "overall", "length"}
    overall = row(table, "overall", "overall")
    assert (overall["accuracy"], overall["n"]) == (0.875, 4)


def test_intervals_hold_problems_together():
    rng = np.random.default_rng(1)
    items = [item(f"{s}-{k}", s, 1, 2) for s in HEP for k in range(164)]
    shared = [item(f"{s}-{k}", s, 1, 2, str(k)) for s in HEP for k in range(164)]
    by_problem = rng.choice([-1.0, 1.0], size=164)
    margins = flat(np.tile(by_problem, 6)[None])
    clustered = accuracy_table([LABEL], margins, sample_of(shared))
    apart = accuracy_table([LABEL], margins, sample_of(items))
    widths = [r["ci_high"] - r["ci_low"] for r in (row(t, "section", "Reasoning") for t in (clustered, apart))]
    assert widths[0] / widths[1] == pytest.approx(6**0.5, rel=0.1)
    share = float((by_problem > 0).mean())
    assert widths[0] == pytest.approx(2 * 1.96 * (share * (1 - share) / 164) ** 0.5, rel=0.1)


def test_subsets_and_lengths_count_problems_rather_than_their_items():
    """12 pairs of each of 80 problems in one subset, as MT-Bench has: that subset is then all there is."""
    rng = np.random.default_rng(2)
    items = [item(f"{p}-{k}", "x", 2, 1, str(p)) for p in range(80) for k in range(12)]
    right = rng.random((80, 12)) < rng.beta(1, 1, 80)[:, None]
    table = accuracy_table([LABEL], flat(np.where(right, 1.0, -1.0).reshape(1, -1)), sample_of(items, ()))
    whole = row(table, "overall", "overall")
    for scope, name in (("subset", "x"), ("length", "chosen longer"), ("length", "prefers longer")):
        found = row(table, scope, name)
        assert found["ci_low"] == pytest.approx(whole["ci_low"], abs=0.01)
        assert found["ci_high"] == pytest.approx(whole["ci_high"], abs=0.01)


def test_a_subset_whose_items_agree_has_the_interval_of_its_problems():
    table = table_of([item(str(k), "x", 1, 2, str(k % 3)) for k in range(12)], [1.0] * 12, ())
    found = row(table, "subset", "x")
    assert (found["n"], found["ci_low"], found["ci_high"]) == (12, *wilson(1, 3))


def compare(a: Floats, b: Floats, items: list[Item], sections: Sections = ()) -> dict[Any, Any]:
    labels: list[Label] = [("s", "w", "cdr-safety"), ("s", "w", "vanilla")]
    sample = sample_of(items, sections, 20_000)
    table = comparison_table(labels, flat(np.stack([a, b])), [(0, 1)], sample)
    assert table.columns.tolist() == COMPARISON_COLUMNS
    assert table.iloc[0, :6].tolist() == ["s", "w", "cdr-safety", "s", "w", "vanilla"]
    return table.iloc[0].to_dict()


def test_paired_differences_against_scipy():
    rng = np.random.default_rng(3)
    items = [item(str(k), "all", 1, 2) for k in range(14)]
    a, b = rng.choice([-1.0, 1, 1, 1], size=14), rng.choice([-1.0, 0, 1], size=14)
    a[0] = b[1] = np.nan  # those two items count for neither
    found = compare(a, b, items)
    wins = [(np.sign(x[2:]) + 1) / 2 for x in (a, b)]
    exact = scipy_stats.permutation_test(
        wins,
        lambda x, y, axis: (x - y).mean(axis=axis),
        permutation_type="samples",
        vectorized=True,
        n_resamples=10**9,
    )
    assert found["n"] == 12
    assert found["difference"] == pytest.approx(exact.statistic)
    assert found["p_value"] == pytest.approx(exact.pvalue, abs=0.015)
    bootstrap = scipy_stats.bootstrap(
        wins, lambda x, y, axis: (x - y).mean(axis=axis), paired=True, method="percentile"
    )
    assert found["ci_low"] == pytest.approx(bootstrap.confidence_interval.low, abs=0.09)
    assert found["ci_high"] == pytest.approx(bootstrap.confidence_interval.high, abs=0.09)


def test_a_comparison_of_sections_weighs_items_as_the_overall_score_does():
    a = np.array(MARGINS)
    b = np.array([1.0, 1.0, 1.0, -1.0, 1.0, -1.0, -1.0, -1.0])
    found = compare(a, b, ITEMS, SECTIONS)
    # Chat Hard 0.5 − 1, Safety 1 − 0 (item 5 is left out of both), Reasoning 0.75 − 0
    assert found["difference"] == pytest.approx((-0.5 + 1 + 0.75) / 3)
    assert found["n"] == 7


def test_equal_margins_do_not_differ_and_swapped_ones_differ_the_other_way():
    margins, others = np.array(MARGINS), -np.array(MARGINS)
    same = compare(margins, margins * 5, ITEMS, SECTIONS)
    assert (same["difference"], same["ci_low"], same["ci_high"], same["p_value"]) == (0, 0, 0, 1)
    there, back = compare(margins, others, ITEMS, SECTIONS), compare(others, margins, ITEMS, SECTIONS)
    assert there["difference"] == pytest.approx(-back["difference"])
    assert there["ci_low"] == pytest.approx(-back["ci_high"])


def test_nothing_scored_by_both_has_no_difference():
    a = np.array([1.0, np.nan])
    items = [item("1", "all", 1, 2), item("2", "all", 1, 2)]
    found = compare(a, a[::-1].copy(), items)
    assert found["n"] == 0
    assert np.isnan(found["difference"])
    assert np.isnan(found["ci_low"])
    assert np.isnan(found["p_value"])


FOUR = (1.0, 0.0, 0.0, 0.0)


def graded(name: str, subset: str, grades: tuple[float, ...], **more: Any) -> Item:
    """An item with these grades; responses have 1, 2, 3, ... characters."""
    return Item(name, subset, asked(name), tuple("r" * (k + 1) for k in range(len(grades))), grades, **more)


def test_a_rule_of_its_own_for_each_section_with_its_own_chance():
    items = [graded("1", "facts", FOUR), graded("2", "facts", FOUR), graded("3", "pairs", (2.0, 1.0, 0.0))]
    sections = (Section("Best", {"facts": 1}), Section("Pairs", {"pairs": 1}, Rule("pairwise")))
    sample = Sample.of(Task("task", "", Items(items), sections, Path()), 200, 0)
    rewards = np.array([[4.0, 1, 2, 3, 3, 3, 3, 3, 5, 6, 4]])
    table = accuracy_table([LABEL], rewards, sample)
    best, pairs, overall = (
        row(table, "section", "Best"),
        row(table, "section", "Pairs"),
        row(table, "overall", "overall"),
    )
    assert (best["n"], best["ties"], best["accuracy"], best["chance"]) == (2, 1, (1 + 0.25) / 2, 0.25)
    assert (pairs["accuracy"], pairs["chance"]) == (2 / 3, 0.5)
    assert overall["chance"] == (0.25 + 0.5) / 2
    assert best["note"].endswith("50.0% if a tie is lost")
    assert row(table, "subset", "facts")["chance"] == 0.25
    # the longest response is the last: right in no comparison but by being worst where it is graded worst
    assert row(table, "section", "Best", "shorter response")["accuracy"] == 1
    assert row(table, "section", "Pairs", "longer response")["accuracy"] == 0


def test_a_level_is_an_overall_accuracy_by_its_own_rule():
    styles = (0, 1, 2, 0, 1, 2)
    items = [graded(str(k), "abcd"[k % 4], (1, 1, 1, 0, 0, 0), styles=styles) for k in range(12)]
    sections = tuple(Section(name.upper(), {name: 1}, Rule("matrix", tie=0.0)) for name in "abcd")
    levels = {level.title(): Rule("matrix", level, tie=0.0) for level in ("easy", "normal", "hard")}
    task = Task("task", "", Items(items), sections, Path(), levels=levels)
    check_rules(task)
    rewards = np.tile([1.0, 3, 2, 0, 2, 2], 12)[None] + np.repeat(np.arange(12.0), 6)
    table = accuracy_table([LABEL], rewards, Sample.of(task, 50, 0))
    found = {level: row(table, "level", level) for level in levels}
    assert [found[level]["accuracy"] for level in levels] == pytest.approx([2 / 3, 2 / 3, 1 / 3])
    assert all(r["chance"] == 0.5 and r["n"] == 12 for r in found.values())
    assert [found[level]["ties"] for level in levels] == [12, 12, 0]
    assert row(table, "overall", "overall")["accuracy"] == pytest.approx((2 / 3 + 2 / 3 + 1 / 3) / 3)


def test_rows_in_portions_give_the_same_tables(monkeypatch: pytest.MonkeyPatch):
    rng = np.random.default_rng(0)
    labels: list[Label] = [("s", "w", f"variant {k}") for k in range(5)]
    rewards = rng.normal(size=(5, 16))
    pairs = [(k, 0) for k in range(1, 5)]
    whole = (
        accuracy_table(labels, rewards, sample_of(ITEMS)),
        comparison_table(labels, rewards, pairs, sample_of(ITEMS)),
    )
    monkeypatch.setattr("cdr_eval.harness.statistics.resampling.BYTES_AT_ONCE", 1)
    monkeypatch.setattr("cdr_eval.harness.tables.sample.VALUES_AT_ONCE", 1)
    pd.testing.assert_frame_equal(accuracy_table(labels, rewards, sample_of(ITEMS)), whole[0])
    pd.testing.assert_frame_equal(comparison_table(labels, rewards, pairs, sample_of(ITEMS)), whole[1])


def test_items_that_a_rule_cannot_credit_are_refused_in_one_sentence():
    def refused(rule: Rule, *items: Item) -> str:
        with pytest.raises(UserError) as error:
            check_rules(Task("the task", "", Items(items), (), Path(), rule))
        return str(error.value)

    equal = graded("same", "x", (1.0, 1.0))
    fine = graded("fine", "x", (1.0, 0.0))
    assert "'same' of the task has no two responses with unequal grades" in refused(Rule("best"), fine, equal)
    assert "and 1 more such items" in refused(Rule("pairwise"), equal, fine, graded("none", "x", ()))
    assert "from 0 to 1" in refused(Rule("best-of"), fine, graded("high", "x", (3.0, 1.0)))
    assert "ref and tied" in refused(Rule("ties"), graded("alone", "x", (1.0, 0.0), group="a", role="ref"))
    assert "at the level hard" in refused(Rule("matrix", "hard"), graded("plain", "x", (1.0, 0.0), styles=(1, 1)))
