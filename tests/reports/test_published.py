"""The printed tables against the paper's numbers, and what is recomputed from them."""

import subprocess
import sys
from pathlib import Path

import pytest
from cdr_eval.reports.markdown import render_markdown
from cdr_eval.reports.published import load_table1, load_table2, published_report

# Rows whose printed overall is not the mean of the four printed sections, with that mean worked out by hand.
DOUBTFUL = {
    "GPT-4-turbo": "85.0",
    "generative reward": "50.7",
    "vanilla, DPO over Base": "72.6",
    "cdr-safety, DPO over SFT": "82.2",
    "cdr-code-math, DPO over SFT": "82.8",
    "cdr-adaptive-router, DPO over SFT": "82.4",
}


def test_table_1_marks_the_rows_whose_overall_is_not_the_mean() -> None:
    rows = load_table1().rows
    assert len(rows) == 14
    assert {row.label: str(row.section_mean) for row in rows if row.doubt} == DOUBTFUL


def test_table_1_checksum() -> None:
    """Column sums of the paper's table, added up apart from the file."""
    rows = load_table1().rows
    sums = [str(sum(row.scores[name] for row in rows)) for name in ("Chat", "Chat Hard", "Safety", "Reasoning")]
    assert sums == ["1244.1", "906.5", "1135.1", "1140.6"]
    assert str(sum(row.overall for row in rows)) == "1106.2"


def test_table_2_is_complete() -> None:
    table = load_table2()
    assert [len(row.values) for row in table.rows] == [len(table.columns)] * 8
    assert [str(row.values[2]) for row in table.rows] == [
        *("1899", "1651", "1720", "1888"),
        *("2008", "2850", "1853", "2229"),
    ]


def test_the_report_shows_both_tables_and_the_conflicts() -> None:
    conflict = ("a|b", "arena_hard", [(1.3, "simpo", ["f", "g"]), (6.2, "paper-c1", [])])
    report = render_markdown(published_report([conflict]))
    assert "| vanilla, DPO over Base | 89.9 | 65.6 | 62.8 | 71.9 | 71.9 | 72.6 | −0.7 |" in report
    assert "| cdr-adaptive, DPO over SFT | 40.7 | 46.1 | 2229 | 37.4 | 643 | 8.0 |" in report
    assert "| a&#124;b | arena_hard | simpo | 1.3 | f, g |" in report
    assert "| a&#124;b | arena_hard | paper-c1 | 6.2 | – |" in report


def test_the_report_has_the_appendix_the_contradictions_and_what_is_not_ours() -> None:
    report = render_markdown(published_report([]))
    for told in (
        "Safety 82.3; the other sections 50 to 58",
        "overall 58 at best, of over 20 prompts tried",
        "| items of RewardBench | 2,850 (A.1) | 2,985",
        "| 60.4 (introduction) | 60.5 (Table 1) |",
        "| 7.6 points (4.2) | 8.6 points",
        "| 5.3 points (introduction) | 5.4 points",
        "| 82.3 (B.2) | 82.6",
        "RewardBench counts a tie as wrong where we count one half",
        "its router (Mixtral-8x7B-Instruct-v0.1) are not ours",
    ):
        assert told in report, told


PAPER = Path(__file__).parents[3] / "shared" / "seeds" / "001_1a1fe0d700dd3635.txt"


def test_contradictions_and_the_appendix_are_in_the_papers_own_words() -> None:
    if not PAPER.is_file():
        pytest.skip(f"{PAPER} is not there")
    text = PAPER.read_text(encoding="utf-8")
    for phrase in (
        *("consists of 2,850 prompt-chosen-rejected", "ChatHard domain from 60.4", "a 7.6-point improvement"),
        *("by 5.3 points overall", "by as much as 5.4 points", "compared with CDR of 82.3", "CDR of 82.3"),
        *("achieves 82.6 overall", "a safety score of 82.3", "only scoring between 50-58", "over 20 prompts we tried"),
        "(dpo vs. sft) | 92.2 | 60.5 | 82.4 | 73.8 | 77.2 |",
    ):
        assert phrase in text, phrase


def test_no_conflict_is_said_in_words() -> None:
    assert "The registry's sources agree on every score." in render_markdown(published_report([]))


def test_published_tables_and_markdown_need_no_heavy_library() -> None:
    """The command line must answer at once."""
    code = (
        "import sys; import cdr_eval.reports.published, cdr_eval.reports.write; "
        "print([m for m in ('altair', 'numpy', 'pandas', 'scipy', 'torch') if m in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
