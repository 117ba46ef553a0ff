"""Rows that cannot be used: left out, counted and listed; when a source is refused for them."""

import json
from pathlib import Path

import pytest
from cdr_eval.errors import UserError
from cdr_eval.tasks.catalog import load_task

ROW = {"prompt": "q", "chosen": "a", "rejected": "b"}
EQUAL = ROW | {"rejected": "a"}
EMPTY = ROW | {"chosen": " "}


def write(path: Path, *rows: object) -> str:
    path.write_text("".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows))
    return str(path)


def test_few_faulty_rows_are_left_out_with_file_and_line(tmp_path: Path) -> None:
    path = write(tmp_path / "p.jsonl", *[ROW] * 50, EQUAL, *[ROW] * 50, EQUAL, EMPTY, "{broken", *[ROW] * 50)
    task = load_task(path)
    assert len(task.items) == 150
    assert task.reading.rows == 154
    assert task.reading.reasons == {"equal responses": 2, "empty response": 1, "no JSON": 1}
    assert [(row.file, row.line, row.reason) for row in task.reading.left_out] == [
        (path, 51, "equal responses"),
        (path, 102, "equal responses"),
        (path, 103, "empty response"),
        (path, 104, "no JSON"),
    ]
    assert task.reading.left_out[0].sentence == "`chosen` and `rejected` are equal; remove the row"
    assert [item.id for item in task.items[49:52]] == ["50", "52", "53"], "an id is the line"


def test_strict_stops_at_the_first(tmp_path: Path) -> None:
    path = write(tmp_path / "p.jsonl", *[ROW] * 99, EQUAL)
    assert len(load_task(path).items) == 99
    with pytest.raises(UserError, match=r"line 100: `chosen` and `rejected` are equal; remove the row\."):
        load_task(path, strict=True)


def test_five_rows_in_a_hundred_pass_and_six_do_not(tmp_path: Path) -> None:
    assert len(load_task(write(tmp_path / "p.jsonl", *[EQUAL] * 5, *[ROW] * 95)).items) == 95
    with pytest.raises(UserError) as error:
        load_task(write(tmp_path / "p.jsonl", *[EQUAL] * 4, EMPTY, EMPTY, *[ROW] * 94))
    said = str(error.value)
    assert "line 1: `chosen` and `rejected` are equal; remove the row (4 rows have this fault)" in said
    assert "6 of 100 rows cannot be used, more than 5%" in said
    assert "--columns" in said


def test_ties_are_counted_but_are_no_sign_of_wrong_columns(tmp_path: Path) -> None:
    rows = [{"prompt": "q", "response_A": "a", "response_B": "b", "label": w} for w in ["A>B", "tie", "tie", "tie"]]
    task = load_task(write(tmp_path / "p.jsonl", *rows), strict=True)
    assert (len(task.items), task.reading.reasons) == (1, {"tied label": 3})
    with pytest.raises(UserError, match=r"holds no row that can be used: .*line 1: `label` prefers no response"):
        load_task(write(tmp_path / "p.jsonl", *rows[1:]))


def test_a_source_of_faults_is_refused_before_it_is_read_to_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cdr_eval.tasks.reading.items.CHECK_ROWS", 10)
    with pytest.raises(UserError, match="9 of 10 rows cannot be used"):
        load_task(write(tmp_path / "p.jsonl", *[EQUAL] * 1000))
