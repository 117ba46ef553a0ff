"""The Markdown reports of real runs, checked against the files that they are made from."""

import csv
import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from cdr_eval.reports.leaderboard import leaderboard
from cdr_eval.reports.markdown import render_markdown
from cdr_eval.reports.run_format.reading import read_run
from cdr_eval.reports.summary import summary

from tests.reports.conftest import rewrite

EVERY_RUN = ("pair", "paper", "plain", "hostile_pair", "unscored", "unscored_grid", "single", "couple", "grid")


def report_of(path: Path) -> str:
    return render_markdown(leaderboard(read_run(path), ()))


def rows_below(report: str, heading: str) -> list[list[str]]:
    """Cells of the first table below a heading, without bold marks and footnotes."""
    lines = report.split(f"\n## {heading}\n", 1)[1].splitlines()
    table: list[str] = []
    for line in lines:
        if line.startswith("|"):
            table.append(line)
        elif table:
            break
    clean = [re.sub(r"<sup>[\d, ]*</sup>|\*", "", line).replace("\u00a0", " ") for line in table]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in clean]


def accuracies(path: Path, scope: str, name: str) -> dict[tuple[str, str, str], str]:
    """Cells as they should read, worked out from accuracy.csv alone."""
    with (path / "accuracy.csv").open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if (row["scope"], row["name"]) == (scope, name)]
    return {
        (r["strong"], r["weak"], r["variant"]): (
            f"{float(r['accuracy']) * 100:.1f} [{float(r['ci_low']) * 100:.1f}, {float(r['ci_high']) * 100:.1f}]"
        )
        for r in rows
    }


@pytest.mark.parametrize("name", EVERY_RUN)
def test_every_run_has_a_report_and_a_summary_that_say_nothing_odd(make_run: Callable[[str], Path], name: str) -> None:
    path = make_run(name)
    report = report_of(path)
    assert report.startswith("# ")
    for odd in ("nan", "None |", "1 items ", "1 rewards", "1 to 0", " 0 rewards", "inf,"):
        assert odd not in report, odd
    tables = [line for line in report.splitlines() if line.startswith("|")]
    headings = [tables[i - 1] for i, line in enumerate(tables) if line.startswith("| :--") and i]
    assert all(tables[i + 2 : i + 3] for i, line in enumerate(tables) if line in headings), "a table without rows"
    assert len(render_markdown(summary(path))) <= len(report)


def test_pair_table_holds_every_accuracy_with_interval_and_n(make_run: Callable[[str], Path]) -> None:
    path = make_run("pair")
    header, _, *rows = rows_below(report_of(path), "Accuracy")
    assert header[1] == "Chat (n = 24)"
    assert header[5] == "Overall (n = 96)"
    for column, (scope, name) in enumerate([("section", "Chat"), ("section", "Chat Hard"), ("section", "Safety")], 1):
        expected = {variant: text for (_, _, variant), text in accuracies(path, scope, name).items()}
        assert len(rows) == 17
        for row in rows:
            assert row[column] == expected[row[0].removesuffix(" (strong alone)")]


def test_n_moves_into_the_cells_where_rows_differ(make_run: Callable[[str], Path]) -> None:
    path = make_run("pair")
    rewrite(path / "accuracy.csv", "vanilla,overall,overall,96,", "vanilla,overall,overall,90,")
    header, _, first, second, *_ = rows_below(report_of(path), "Accuracy")
    assert header[5] == "Overall"
    assert first[5].endswith("(n = 90)")
    assert second[5].endswith("(n = 96)")


def test_the_papers_pair_stands_beside_the_printed_rows(make_run: Callable[[str], Path]) -> None:
    report = report_of(make_run("paper"))
    rows = {row[0]: row for row in rows_below(report, "Accuracy")}
    assert rows["vanilla, as published"][1:6] == ["92.2", "60.5", "82.4", "73.8", "77.2"]
    assert rows["cdr-safety, as published"][1:6] == ["88.3", "61.8", "91.0", "87.7", "82.5"]
    assert rows["generative reward, as published"][1:5] == ["53.0", "49.5", "48.3", "52.1"]
    assert rows["generative reward, as published"][5].startswith("50.0")
    assert "The paper prints 82.5 as overall; the mean of its four printed sections is 82.2." in report
    assert "as published" not in report_of(make_run("pair"))
    path = make_run("paper")
    rewrite(path / "run.json", '"hep-rust"', '"zho_Hans/hep-rust"')
    assert "as published" not in report_of(path), "another benchmark with sections of these names"


def test_chance_is_what_the_data_say_and_a_row_of_its_own_where_it_differs(make_run: Callable[[str], Path]) -> None:
    path = make_run("pair")
    assert "Chance is 50.0." in report_of(path)
    lines = (path / "accuracy.csv").read_text(encoding="utf-8").splitlines()
    place = lines[0].split(",").index("chance")
    quarter = [line.split(",") for line in lines]
    for cells in quarter[1:]:
        cells[place] = "0.2" if cells[3:5] == ["section", "Chat"] else "0.25"
    rewrite(path / "accuracy.csv", "\n".join(lines), "\n".join(",".join(cells) for cells in quarter))
    report = report_of(path)
    assert not re.search(r"[Cc]hance is 50|\bhalf of\b", report)
    assert rows_below(report, "Accuracy")[-1][:6] == ["chance", "20.0", "25.0", "25.0", "25.0", "25.0"]


def test_the_rule_is_the_tasks_and_margins_of_many_responses_are_explained(make_run: Callable[[str], Path]) -> None:
    path = make_run("pair")
    assert "margins (best reward" not in report_of(path)
    rule = json.loads((path / "run.json").read_text(encoding="utf-8"))["task"]["rule"]
    rewrite(path / "run.json", rule, "best of four")
    rewrite(path / "run.json", '"responses": 192', '"responses": 384')
    report = report_of(path)
    assert "The rule: best of four." in report
    assert "the rule: best of four." in report.split("## Methods")[1]
    assert "margins (best reward of an acceptable response minus best of the others)" in report


def test_levels_have_a_table_where_the_task_has_them(make_run: Callable[[str], Path]) -> None:
    path = make_run("pair")
    assert "## Levels" not in report_of(path)
    text = (path / "accuracy.csv").read_text(encoding="utf-8")
    chat = [line for line in text.splitlines(keepends=True) if ",section,Chat," in line]
    levels = [line.replace(",section,Chat,", f",level,{name},") for name in ("Hard", "Normal") for line in chat]
    rewrite(path / "accuracy.csv", text, text + "".join(levels))
    report = report_of(path)
    header, _, first, *_ = rows_below(report, "Levels")
    assert header[1:] == ["Hard (n = 24)", "Normal (n = 24)"]
    assert first[1] == rows_below(report, "Accuracy")[2][1]


def test_styles_have_a_table_of_their_own(make_run: Callable[[str], Path]) -> None:
    path = make_run("pair")
    rewrite(path / "run.json", '"styles": []', '"styles": ["plain", "rich"]')
    text = (path / "accuracy.csv").read_text(encoding="utf-8")
    chat = [line for line in text.splitlines(keepends=True) if ",section,Chat," in line]
    cells = [f"{a} over {b}" for a in ("plain", "rich") for b in ("plain", "rich")]
    levels = [line.replace(",section,Chat,", f",level,{cell},") for cell in cells for line in chat]
    rewrite(path / "accuracy.csv", text, text + "".join(levels))
    header, _, first, second, *_ = rows_below(report_of(path), "Levels")
    assert header[1:] == ["Acceptable", "over plain", "over rich"]
    assert (first[1], second[1]) == ("plain", "rich")
    assert first[2].startswith(rows_below(report_of(path), "Accuracy")[2][1].strip("*"))


def test_grid_is_ranked_and_leaves_self_pairs_out(make_run: Callable[[str], Path]) -> None:
    path = make_run("grid")
    report = report_of(path)
    header, _, *rows = rows_below(report, "Leaderboard")
    overall = accuracies(path, "overall", "overall")
    best = sorted((p for p in overall if p[0] and p[0] != p[1]), key=lambda p: -float(overall[p].split()[0]))
    assert [row[0] for row in rows] == [str(rank) for rank in range(1, 16)]
    assert [float(row[-1].split()[0]) for row in rows] == [float(overall[pair].split()[0]) for pair in best[:15]]
    assert header[3] == "Gap"
    assert "The gap is the score in minilab_judge of strong" in report
    assert "Left out: 22 rewards of a checkpoint over itself, a tie on every item." in report


def test_recommendation_names_the_best_counts_the_tied_and_lists_none_of_them(make_run: Callable[[str], Path]) -> None:
    path = make_run("grid")
    with (path / "recommendation.csv").open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["scope"] == "overall"]
    header, _, overall, *sections = rows_below(report_of(path), "Recommendation")
    assert overall[1] == f"{rows[0]['strong']} over {rows[0]['weak']}"
    assert overall[header.index("Tied with it")] == str(sum(row["tied"] == "True" for row in rows[1:]))
    assert overall[header.index("Best: parameters")] == "634.0 k"
    assert len(sections) == 4


def test_parameters_that_only_run_json_has_are_shown(make_run: Callable[[str], Path]) -> None:
    """The registry has none, so they were counted in the files."""
    path = make_run("families")
    rewrite(path / "recommendation.csv", "633984.0", "")
    report = report_of(path)
    header, _, overall, *_ = rows_below(report, "Recommendation")
    assert overall[header.index("Best: parameters")] == "634.0 k"
    assert report.count("| 317.0 k |") == 6
    rewrite(path / "run.json", '"parameters": 316992', '"parameters": null')
    assert "Best: parameters" not in report_of(path)


def test_gap_table_labels_both_p_values(make_run: Callable[[str], Path]) -> None:
    report = report_of(make_run("grid"))
    header, _, *rows = rows_below(report, "Alignment gap and accuracy")
    assert header[-2:] == ["p (permutation)", "p (naive)"]
    assert header[4:6] == ["Pairs (n)", "Checkpoints (n)"]
    assert {row[2] for row in rows} == {"all ordered", "ordered, no self", "positive gap"}


def test_a_curve_that_cannot_be_identified_says_so(make_run: Callable[[str], Path]) -> None:
    path = make_run("grid")
    with (path / "gap_analysis.csv").open(encoding="utf-8", newline="") as file:
        known = [
            float(r["value"])
            for r in csv.DictReader(file)
            if (r["statistic"], r["scope"]) == ("identifiable", "overall")
        ]
    rows = rows_below(report_of(path), "Where more gap stops helping")[2:]
    assert [row[-1] == "not identifiable" for row in rows] == [value == 0 for value in known]


def test_two_checkpoints_have_no_correlation_and_no_heatmap(make_run: Callable[[str], Path]) -> None:
    report = report_of(make_run("couple"))
    assert "Pearson" not in report
    assert "## Alignment gap" not in report
    assert "The other pair is significantly worse." in report


def test_variants_that_are_the_same_reward_on_this_task_say_so(make_run: Callable[[str], Path]) -> None:
    """Without sections no oracle has a domain to choose."""
    others = "cdr-adaptive-oracle and cdr-adaptive-oracle-chat-hard"
    sentence = f"On this task every figure of vanilla is also that of {others}."
    assert sentence in report_of(make_run("plain"))
    assert sentence not in report_of(make_run("pair"))


def test_a_run_without_a_scored_item_says_so_and_shows_no_empty_tables(make_run: Callable[[str], Path]) -> None:
    report = report_of(make_run("unscored_grid"))
    assert "There is no pair of two checkpoints with a scored item to rank." in report
    assert "96 items have a response that does not fit and are unscored." in report
    assert "## Recommendation" not in report
    assert "## Subsets" not in report


def test_methods_paragraph_names_what_a_reader_needs(make_run: Callable[[str], Path]) -> None:
    methods = report_of(make_run("grid")).split("## Methods")[1]
    for fact in ("22 checkpoints", "96 items with 192 responses", "seed 0", "60 bootstrap", "torch: 2.", "vanilla"):
        assert fact in methods
    assert "leaving out one checkpoint at a time" in methods
    assert "The naive p-values" in methods
    assert "minilab judge (minilab_judge and minilab_judge_sampled)" in methods
    assert "items of one problem, or else of one group or prompt, are drawn together" in methods
    assert "Benchmark scores are from mine (my_bench)" in report_of(make_run("families"))


def test_sources_of_scores_are_those_that_the_run_says_and_not_guessed(make_run: Callable[[str], Path]) -> None:
    path = make_run("couple")
    said = '"minilab_judge": "minilab judge"'
    rewrite(path / "run.json", said, '"minilab_judge": "another"')
    assert "Benchmark scores are from another (minilab_judge) and minilab judge" in report_of(path)
    rewrite(path / "run.json", '"score_sources"', '"unknown_to_an_earlier_version"')
    assert "Benchmark scores are from" not in report_of(path)


def test_every_note_of_the_run_is_shown(make_run: Callable[[str], Path]) -> None:
    path = make_run("families")
    notes = read_run(path).info.notes
    assert any("other-ipo has no score on my_bench" in note for note in notes)
    shown = report_of(path).replace("\\", "")
    assert all(f"- {note}" in shown for note in notes)
