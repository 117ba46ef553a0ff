"""RewardBench's counts, the real rebuilt file, and the problems that the hep subsets share."""

import json
import random
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import pytest
from cdr_eval.errors import UserError
from cdr_eval.tasks.benchmarks.load import benchmark_task
from cdr_eval.tasks.benchmarks.schema import benchmarks
from cdr_eval.tasks.catalog import missing_subsets
from cdr_eval.tasks.item import Item
from cdr_eval.tasks.items import Items
from cdr_eval.tasks.task import Task

REWARDBENCH = benchmarks()["rewardbench"]
SECTIONS = REWARDBENCH.task_sections
SUBSETS = {subset for section in SECTIONS for subset in section.counts}
HEP = ["hep-cpp", "hep-go", "hep-java", "hep-js", "hep-python", "hep-rust"]


def load_rewardbench(path: str) -> Task:
    """A local copy under RewardBench's rules."""
    return benchmark_task(REWARDBENCH, path)


def write(path: Path, rows: list[dict[str, Any]]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def hep_rows(problems: int = 164, first_id: int | None = None) -> list[dict[str, Any]]:
    """Six languages by `problems` rows, numbered through from `first_id` as on the hub, or with ids like hep-cpp-0."""
    rows: list[dict[str, Any]] = []
    for language in HEP:
        for problem in range(problems):
            number = f"{language}-{problem}" if first_id is None else first_id + len(rows)
            text = f"{problem} in {language}"
            rows.append({"prompt": text, "chosen": "good", "rejected": "bad", "subset": language, "id": number})
    return rows


def problems_of(items: Items) -> dict[str, set[str]]:
    """Problem to the problem numbers that the prompts of its items name."""
    found: defaultdict[str, set[str]] = defaultdict(set)
    for item in items:
        assert item.problem is not None
        found[item.problem].add(item.prompt[0]["content"].split()[0])
    return found


def test_published_counts() -> None:
    assert {section.name: sum(section.counts.values()) for section in SECTIONS} == {
        "Chat": 358,
        "Chat Hard": 456,
        "Safety": 740,
        "Reasoning": 984 + 6 * 164,
    }
    assert len(SUBSETS) == sum(len(section.counts) for section in SECTIONS) == 23
    filtered = sum(sum(section.counts.values()) for section in SECTIONS) - 984 + 447
    assert filtered == 2985, "math-prm has 447 items"
    (source,) = REWARDBENCH.source
    assert (source.hub, source.rows, REWARDBENCH.rows) == ("allenai/reward-bench", 2985, 2985)
    assert len(source.revision or "") == 40


def test_section_weights_against_hand_computed_scores() -> None:
    chat, _, safety, reasoning = SECTIONS
    right = {
        "alpacaeval-easy": 1.0,
        "alpacaeval-length": 0.8,
        "alpacaeval-hard": 0.6,
        "mt-bench-easy": 0.5,
        "mt-bench-med": 0.1,
    }
    score = sum(right[name] * count for name, count in chat.counts.items()) / sum(chat.counts.values())
    assert score == pytest.approx((100 + 76 + 57 + 14 + 4) / 358)
    assert reasoning.counts["math-prm"] == sum(reasoning.counts[name] for name in HEP), "math and code weigh the same"
    assert safety.counts["xstest-should-respond"] / sum(safety.counts.values()) == pytest.approx(250 / 740)


def test_the_rebuilt_file(rebuilt: Path) -> None:
    task = load_rewardbench(str(rebuilt))
    assert task.name == "rewardbench_rebuilt"
    assert task.source == str(rebuilt)
    counts = Counter(item.subset for item in task.items)
    assert sum(counts.values()) == 1842
    assert sum(count for name, count in counts.items() if name.startswith("llmbar-")) == 419
    assert {name: counts[name] for name in HEP} == dict.fromkeys(HEP, 164)
    assert counts["xstest-should-refuse"] + counts["xstest-should-respond"] == 244
    assert (counts["alpacaeval-easy"], counts["alpacaeval-length"]) == (100, 95)
    assert missing_subsets(task) == [
        "alpacaeval-hard",
        "mt-bench-easy",
        "mt-bench-med",
        "mt-bench-hard",
        "refusals-dangerous",
        "refusals-offensive",
        "donotanswer",
        "math-prm",
    ]
    problems = Counter(item.problem for item in task.items if item.problem)
    assert len(problems) == 164
    assert set(problems.values()) == {6}
    assert all((item.problem is None) == (item.subset not in HEP) for item in task.items)


def test_real_items_of_a_problem_are_about_the_same_function(rebuilt: Path) -> None:
    def function(item: Item) -> str:
        code = item.prompt[0]["content"].split("`")[1]
        names = [
            name for name in code.replace("_", "").lower().split("(")[0].replace("=", " ").split() if name != "const"
        ]
        return names[-1].split(">")[-1]

    items = load_rewardbench(str(rebuilt)).items
    names: defaultdict[str, set[str]] = defaultdict(set)
    for item in items:
        if item.problem and item.subset in {"hep-python", "hep-go", "hep-java"}:
            names[item.problem].add(function(item))
    assert sum(len(found) == 1 for found in names.values()) > 150


def test_problems_from_ids_whatever_the_order(tmp_path: Path) -> None:
    rows = hep_rows()
    random.Random(0).shuffle(rows)
    task = load_rewardbench(write(tmp_path / "p.jsonl", rows[:500]))
    assert all(len(found) == 1 for found in problems_of(task.items).values())


@pytest.mark.parametrize("first_id", [1, 2001])
def test_problems_from_the_order_where_ids_are_numbered_through(tmp_path: Path, first_id: int) -> None:
    rows = hep_rows(first_id=first_id)
    task = load_rewardbench(write(tmp_path / "p.jsonl", rows))
    found = problems_of(task.items)
    assert len(found) == 164
    assert all(len(numbers) == 1 for numbers in found.values())
    assert [item.id for item in task.items[:2]] == [f"hep-cpp-{first_id}", f"hep-cpp-{first_id + 1}"]


def test_no_problem_is_guessed_for_incomplete_subsets(tmp_path: Path) -> None:
    task = load_rewardbench(write(tmp_path / "p.jsonl", hep_rows(first_id=2001)[:-1]))
    assert all(item.problem is None for item in task.items)


def test_a_problem_column_is_kept(tmp_path: Path) -> None:
    rows = [row | {"problem": "mine"} for row in hep_rows(problems=3)]
    task = load_rewardbench(write(tmp_path / "p.jsonl", rows))
    assert {item.problem for item in task.items} == {"mine"}


def test_other_subsets_are_refused(tmp_path: Path) -> None:
    row = {"prompt": "q", "chosen": "a", "rejected": "b", "subset": "hep-ada"}
    with pytest.raises(UserError, match="'hep-ada' is no subset of the benchmark"):
        load_rewardbench(write(tmp_path / "p.jsonl", [row]))
