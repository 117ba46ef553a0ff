"""The Markdown reports: read by eye once and kept as golden files, and checked number by number against the tables.

After a change that is meant to change them, write the golden files anew and read the difference:

    CDR_EVAL_REGENERATE_GOLDEN=1 python -m pytest tests/reports/test_leaderboard.py && git diff tests/reports/golden
"""

import csv
import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from cdr_eval.reports.document import Picture
from cdr_eval.reports.leaderboard import leaderboard
from cdr_eval.reports.markdown import render_markdown
from cdr_eval.reports.run_format.reading import read_run

GOLDEN = Path(__file__).parent / "golden"
PICTURES = (
    Picture("accuracy", "accuracy", "Accuracy"),
    Picture("heatmap", "heatmap-x", "Heatmap"),
    Picture("gap", "gap-x", "Gap"),
    Picture("chain", "chain-x", "Chain"),
    Picture("confidence", "selection", "Selection"),
)


def report_of(path: Path) -> str:
    return render_markdown(leaderboard(read_run(path), PICTURES))


@pytest.mark.parametrize("name", ["pair", "pair-paper", "grid-12", "grid-hostile"])
def test_golden(make_run: Callable[[str], Path], name: str) -> None:
    report = report_of(make_run(name))
    golden = GOLDEN / f"{name}.md"
    if os.environ.get("CDR_EVAL_REGENERATE_GOLDEN"):
        golden.parent.mkdir(exist_ok=True)
        golden.write_text(report, encoding="utf-8", newline="\n")
    assert report == golden.read_text(encoding="utf-8")


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


def test_pair_table_holds_every_accuracy_with_interval_and_n(make_run: Callable[[str], Path]) -> None:
    path = make_run("pair")
    header, _, *rows = rows_below(report_of(path), "Accuracy")
    assert header[1] == "Chat (n = 223)"
    assert header[5] == "Overall (n = 1,667)"
    for column, (scope, name) in enumerate([("section", "Chat"), ("section", "Chat Hard"), ("section", "Safety")], 1):
        expected = {variant: text for (_, _, variant), text in accuracies(path, scope, name).items()}
        for row in rows:
            assert row[column] == expected[row[0].removesuffix(" (strong alone)")]


def test_n_moves_into_the_cells_where_rows_differ(make_run: Callable[[str], Path]) -> None:
    path = make_run("pair")
    text = (path / "accuracy.csv").read_text(encoding="utf-8")
    old = "vanilla,overall,overall,1667,"
    (path / "accuracy.csv").write_text(text.replace(old, "vanilla,overall,overall,1660,"), encoding="utf-8")
    header, _, first, second, *_ = rows_below(report_of(path), "Accuracy")
    assert header[5] == "Overall"
    assert first[5].endswith("(n = 1,660)")
    assert second[5].endswith("(n = 1,667)")


def test_the_papers_pair_stands_beside_the_printed_rows(make_run: Callable[[str], Path]) -> None:
    report = report_of(make_run("pair-paper"))
    rows = {row[0]: row for row in rows_below(report, "Accuracy")}
    assert rows["vanilla, as published"][1:6] == ["92.2", "60.5", "82.4", "73.8", "77.2"]
    assert rows["cdr-safety, as published"][1:6] == ["88.3", "61.8", "91.0", "87.7", "82.5"]
    assert "The paper prints 82.5 as overall; the mean of its four printed sections is 82.2." in report
    assert "as published" not in report_of(make_run("pair"))


def test_grid_is_ranked_and_leaves_self_pairs_out(make_run: Callable[[str], Path]) -> None:
    path = make_run("grid-12")
    report = report_of(path)
    header, _, *rows = rows_below(report, "Leaderboard")
    overall = accuracies(path, "overall", "overall")
    best = sorted((p for p in overall if p[0] and p[0] != p[1]), key=lambda p: -float(overall[p].split()[0]))
    assert [row[0] for row in rows] == [str(rank) for rank in range(1, 16)]
    assert [float(row[-1].split()[0]) for row in rows] == [float(overall[pair].split()[0]) for pair in best[:15]]
    assert header[3] == "Gap (arena_hard)"
    assert "12 rewards of a checkpoint over itself tie on every item (50%) and are not ranked." in report


def test_gap_table_labels_both_p_values_and_says_not_identifiable(make_run: Callable[[str], Path]) -> None:
    report = report_of(make_run("grid-12"))
    header, _, *rows = rows_below(report, "Alignment gap and accuracy")
    assert header[-2:] == ["p (permutation)", "p (naive)"]
    assert header[4:6] == ["Pairs (n)", "Checkpoints (n)"]
    assert {row[2] for row in rows} == {"all ordered", "ordered, no self", "positive gap"}
    saturation = rows_below(report, "Where more gap stops helping")
    assert saturation[2][-2:] == ["83.0 [78.0, 90.0]", "9.40 [6.00, 15.0]"]
    assert saturation[3][-2:] == ["not identifiable", "not identifiable"]


def test_methods_paragraph_names_what_a_reader_needs(make_run: Callable[[str], Path]) -> None:
    methods = report_of(make_run("grid-12")).split("## Methods")[1]
    for fact in ("12 checkpoints", "1,667 preference items", "seed 0", "10,000 bootstrap", "torch: 2.13.0", "vanilla"):
        assert fact in methods
    assert "leaving out one checkpoint at a time" in methods
    assert "The naive p-values" in methods


def test_every_note_of_the_run_is_shown(make_run: Callable[[str], Path]) -> None:
    assert "- 2 of 23 subsets are missing from the task file." in report_of(make_run("pair"))
