"""`cdr-eval tasks`, as a user in a terminal of 80 columns sees it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from cdr_eval.tasks.benchmarks.schema import benchmarks

COMMAND = "from cdr_eval.harness.cli.main import main; main()"
ROW = {"prompt": "q", "responses": ["one", "two", "two"], "scores": [3, 1, 2]}
SHORT = {"prompt": "q", "responses": ["one"], "scores": [1]}
HEAVY = "torch|transformers|datasets|pandas|pyarrow|scipy"


def tasks(*arguments: object, code: str = COMMAND) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"COLUMNS": "80", "HF_HUB_OFFLINE": "1"}
    command = [sys.executable, "-c", code, "tasks", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=60, check=False)


def file(folder: Path, *rows: object) -> Path:
    path = folder / "mine.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_the_list_names_every_benchmark_with_its_licence_rule_and_chance() -> None:
    said = tasks().stdout
    assert all(name in said for name in benchmarks())
    row = next(line for line in said.splitlines() if line.startswith("rewardbench-2 "))
    assert row.split() == ["rewardbench-2", "1,865", "4", "best", "0.25", "ODC-BY"]


def test_one_benchmark_is_told_even_where_its_items_are_not_at_hand() -> None:
    done = tasks("rm-bench")
    assert done.returncode == 0
    assert "RM-Bench (rm-bench), ODC-BY" in done.stdout
    assert "safety-refuse 284" in done.stdout
    assert "a tie earns 0" in done.stdout
    assert "Its items are not at hand. The dataset THU-KEG/RM-Bench:train is not in the local hub cache" in done.stdout


def test_a_file_is_told_as_it_was_understood(tmp_path: Path) -> None:
    done = tasks(file(tmp_path, *[ROW] * 40, ROW | {"scores": [1, 1, 1]}, SHORT))
    assert done.returncode == 0, done.stderr
    said = " ".join(done.stdout.split())
    assert "responses in `responses`, grades in `scores`" in said
    assert "42 rows, 40 items, 40 of them with labels" in said
    assert "3 in 40 items; 40 stand twice in their item" in said
    assert "1 for tied label" in said
    assert "1 for one response; the first: " in said
    assert done.stdout.count("prompt      q") + done.stdout.count("prompt    q") == 3, "three examples"
    assert max(map(len, done.stdout.splitlines())) <= 80 + len(str(tmp_path))


def test_the_minilab_is_told_too() -> None:
    assert "960 items" in tasks("minilab").stdout


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["rewardbnch"], "There is no task 'rewardbnch': use rewardbench"),
        (["absent.jsonl"], "There is no file absent.jsonl: check the path."),
        (["rm-bench:absent"], "There is no file absent: check the path after rm-bench:."),
        (["absent.yaml"], "Cannot read absent.yaml"),
        (["{file}", "--columns", "question=q"], "--columns 'question=q' is not role=column"),
        (["rm-bench:{file}", "--columns", "prompt=q"], "--columns is for files of your own"),
        (["{file}", "--columns", "responses=nothing"], "there is no column `nothing`"),
        (["{bad}", "--strict"], "line 1: the row has 1 responses"),
    ],
)
def test_what_is_wrong_is_one_sentence_before_anything_heavy_is_loaded(
    tmp_path: Path, arguments: list[str], sentence: str
) -> None:
    good = file(tmp_path, ROW)
    bad = tmp_path / "bad.jsonl"
    bad.write_text(json.dumps(SHORT) + "\n")
    listed = f"print([name for name in sys.modules if re.fullmatch('{HEAVY}', name)])"
    code = f"import re, sys\n{COMMAND.removesuffix('main()')}\ntry: main()\nfinally: {listed}"
    done = tasks(*(text.format(file=good, bad=bad) for text in arguments), code=code)
    assert done.returncode == 2, done
    assert sentence in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert done.stdout.strip().endswith("[]"), "nothing heavy"
