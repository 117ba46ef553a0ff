"""Finding tasks by name, file and dataset, and listing them."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from cdr_eval.errors import UserError
from cdr_eval.tasks.benchmarks.schema import benchmarks
from cdr_eval.tasks.catalog import load_task, missing_subsets, task_list
from cdr_eval.tasks.criteria import DEFAULT_CRITERIA

SECTIONS = benchmarks()["rewardbench"].task_sections
ROW = {"prompt": "q", "chosen": "a", "rejected": "b"}


def write(path: Path, *rows: dict[str, str]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def test_a_file_with_rewardbench_subsets_gets_its_sections(tmp_path: Path) -> None:
    rows = [ROW | {"subset": "math-prm"}, ROW | {"subset": "donotanswer"}]
    task = load_task(write(tmp_path / "mine.jsonl", *rows))
    assert task.name == "mine"
    assert task.sections == SECTIONS
    assert task.section_of("math-prm") == "Reasoning"
    assert len(missing_subsets(task)) == 21
    assert task.criteria == DEFAULT_CRITERIA


def test_any_other_file_has_no_sections(tmp_path: Path) -> None:
    path = write(tmp_path / "mine.v2.jsonl", ROW | {"subset": "math-prm"}, ROW | {"subset": "other"})
    task = load_task(path)
    assert (task.name, task.source, task.sections) == ("mine.v2", path, ())
    assert missing_subsets(task) == []
    assert task.section_of("math-prm") is None


@pytest.mark.parametrize("revision", ["main", "refs/pr/1"])
def test_a_dataset_gives_its_name_to_the_task(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, revision: str) -> None:
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "org" / "pairs" / "data").mkdir(parents=True)
    write(tmp_path / "org" / "pairs" / "data" / "train.jsonl", ROW)
    task = load_task(f"org/pairs:train@{revision}")
    assert (task.name, task.source) == ("pairs", f"org/pairs:train@{revision}")


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        (
            "rewardbnch",
            "There is no task 'rewardbnch': use rewardbench or rewardbench-2 or m-rewardbench, or the path of a"
            " preference file.",
        ),
        ("mini-lab", "There is no task 'mini-lab': use minilab, or the path of a preference file."),
        ("xyz", "There is no task 'xyz': use a name that `cdr-eval tasks` lists, or the path of a preference file."),
        ("xyz.jsonl", "There is no file xyz.jsonl: check the path."),
    ],
)
def test_an_unknown_task_is_told_the_nearest_names(name: str, sentence: str) -> None:
    with pytest.raises(UserError) as error:
        load_task(name)
    assert str(error.value) == sentence


def test_the_list_of_tasks_is_what_load_task_gives() -> None:
    tasks = {info.name: info for info in task_list()}
    assert set(tasks) == {"minilab", *benchmarks()}
    minilab = load_task("minilab")
    assert tasks["minilab"].items == len(minilab.items)
    assert tasks["minilab"].sections == minilab.sections
    assert set(tasks["minilab"].subsets) == {item.subset for item in minilab.items}
    assert len(tasks["rewardbench"].subsets) == 23


def test_listing_tasks_imports_no_heavy_library() -> None:
    code = """
import sys
from cdr_eval.tasks.catalog import task_list
from cdr_eval.tasks.criteria import DEFAULT_CRITERIA, load_criteria
task_list(), load_criteria(DEFAULT_CRITERIA)
heavy = {"torch", "transformers", "datasets", "lm_eval", "pandas", "pyarrow", "scipy"} & sys.modules.keys()
sys.exit(f"imported {heavy}" if heavy else 0)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
