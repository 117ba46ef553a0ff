"""Reading run directories: what was written comes back, and any damage is a sentence."""

import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from cdr_eval.errors import UserError
from cdr_eval.reports.leaderboard import leaderboard
from cdr_eval.reports.markdown import render_markdown
from cdr_eval.reports.run_format.reading import read_run
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.reports.conftest import rewrite

RUNS = ("pair", "hostile")


@pytest.mark.parametrize("name", RUNS)
def test_every_row_comes_back(make_run: Callable[[str], Path], name: str) -> None:
    path = make_run(name)
    run = read_run(path)
    with (path / "accuracy.csv").open(encoding="utf-8", newline="") as file:
        written = list(csv.DictReader(file))
    assert len(run.accuracy) == len(written)
    for row, cells in zip(run.accuracy, written, strict=True):
        assert row.accuracy == float(cells["accuracy"])
        assert row.chance == float(cells["chance"]) == 0.5
        assert row.n == int(cells["n"])


def test_names_that_were_neutralised_for_spreadsheets_come_back(make_run: Callable[[str], Path]) -> None:
    path = make_run("hostile")
    names = {c["name"] for c in json.loads((path / "run.json").read_text(encoding="utf-8"))["checkpoints"]}
    assert "'=cmd|' C calc'!A0" in (path / "accuracy.csv").read_text(encoding="utf-8")
    assert {row.strong for row in read_run(path).accuracy} - {""} == names


def test_optional_tables_may_be_absent(make_run: Callable[[str], Path]) -> None:
    path = make_run("grid")
    for name in ("gap_analysis", "gap_fixed", "effects", "chain", "saturation", "recommendation", "selection"):
        (path / f"{name}.csv").unlink()
    (path / "SHA256SUMS").unlink()
    run = read_run(path)
    assert run.gap_analysis == run.recommendation == ()
    assert "## Leaderboard" in render_markdown(leaderboard(run, ()))


def test_a_run_without_sections_is_told(make_run: Callable[[str], Path]) -> None:
    report = render_markdown(leaderboard(read_run(make_run("plain")), ()))
    assert "| Reward | Overall (n = 8) | Ties |" in report
    assert "overall is over all items" in report


@pytest.mark.parametrize("file", ["run.json", "accuracy.csv", "pairs.csv"])
def test_a_missing_file_is_named(make_run: Callable[[str], Path], file: str) -> None:
    path = make_run("grid")
    (path / file).unlink()
    (path / "SHA256SUMS").unlink()
    with pytest.raises(UserError, match=f"{file} is missing"):
        read_run(path)


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is not a folder"):
        read_run(tmp_path / "nowhere")


def test_an_earlier_format_is_to_be_run_again_and_a_later_one_is_refused(
    make_run: Callable[[str], Path],
) -> None:
    path = make_run("pair")
    rewrite(path / "run.json", '"format": 2', '"format": 1')
    with pytest.raises(UserError, match="has format 1 of an earlier version: run the same `cdr-eval` command again"):
        read_run(path)
    rewrite(path / "run.json", '"format": 1', '"format": 3')
    with pytest.raises(UserError, match="has format '3', this version reads format 2: use the cdr-eval version"):
        read_run(path)


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        (",overall,overall,96,0,0.", ",overall,overall,96,0,7.", "accuracy"),
        (",overall,overall,96,", ",overall,overall,many,", "n: "),
        ("strong,weak,variant", "strong,weak,weak", "a column appears twice"),
        ("strong,weak,variant", "strong,weak,kind", "variant: Field required"),
        ("minilab-dpo-3,minilab-sft,vanilla", "minilab-dpo-3,nobody,vanilla", "names the checkpoint 'nobody'"),
        (",note\n", ",note,more\n", "row 2 has 12 cells instead of 13"),
    ],
)
def test_a_damaged_table_is_named_with_its_fault(make_run: Callable[[str], Path], old: str, new: str, why: str) -> None:
    path = make_run("pair")
    rewrite(path / "accuracy.csv", old, new)
    with pytest.raises(UserError, match=r"accuracy\.csv is damaged") as caught:
        read_run(path)
    assert why in str(caught.value)


def test_a_score_listed_twice_is_refused(make_run: Callable[[str], Path]) -> None:
    path = make_run("pair")
    lines = (path / "accuracy.csv").read_text(encoding="utf-8").splitlines(keepends=True)
    rewrite(path / "accuracy.csv", lines[-1], lines[-1] * 2)
    with pytest.raises(UserError, match="a score is listed twice"):
        read_run(path)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_bytes_are_a_report_or_a_sentence(
    make_run: Callable[[str], Path], tmp_path: Path, data: st.DataObject
) -> None:
    """Bytes cut, overwritten or replaced in any file: the report is written or a UserError says why not."""
    run_dir = make_run_once(make_run, tmp_path)
    file = data.draw(st.sampled_from(sorted(run_dir.iterdir())))
    content = file.read_bytes()
    start = data.draw(st.integers(0, len(content)))
    stop = data.draw(st.integers(start, min(len(content), start + 200)))
    patch = data.draw(
        st.binary(max_size=40) | st.sampled_from([b"", b"1e999", b"nan", b"-1", b'"', b"\n", b"[" * 5000])
    )
    file.write_bytes(content[:start] + patch + content[stop:])
    try:
        run = read_run(run_dir)
    except UserError as error:
        assert "\n" not in str(error)
    else:
        assert render_markdown(leaderboard(run, ())).startswith("# ")
    finally:
        file.write_bytes(content)


def make_run_once(make_run: Callable[[str], Path], folder: Path) -> Path:
    """One grid run for all examples of a property test."""
    path = folder / "source"
    if not path.exists():
        shutil.copytree(make_run("hostile"), path)
        (path / "SHA256SUMS").unlink()
    return path
