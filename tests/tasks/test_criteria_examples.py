"""The examples of the default criteria: code runs, numbers are right, and none is an item of RewardBench."""

import re
import shutil
import sqlite3
import subprocess
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from cdr_eval.tasks.criteria import DEFAULT_CRITERIA, Demonstration, load_criteria
from cdr_eval.tasks.reading.items import read_plain

CRITERIA = load_criteria(DEFAULT_CRITERIA)


def example(domain: str, opening: str) -> Demonstration:
    (found,) = [d for d in CRITERIA.domains[domain].demonstrations if d.query.startswith(opening)]
    return found


def code(text: str) -> str:
    found = re.search(r"```\w+\n(.*?)```", text, re.DOTALL)
    assert found is not None
    return found[1]


def run(*command: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


def test_arithmetic() -> None:
    assert Fraction(120) * Fraction(3, 4) * Fraction(9, 10) == 81
    assert Fraction(120 - 81, 120) == Fraction("0.325")
    assert 1 - Fraction(5, 6) ** 4 == Fraction(671, 1296)
    assert round(671 / 1296, 3) == 0.518
    assert [x for x in range(1, 1000) if x + x**0.5 == 6] == [4]
    assert all(x * x - 13 * x + 36 == 0 for x in (4, 9)), "the bad response's roots"
    rate = Fraction(1, 6) + Fraction(1, 4) - Fraction(1, 12)
    assert 1 / rate == 3
    assert rate * Fraction("2.7") == Fraction("0.9")
    assert divmod(17 * 60 + 40 + 2 * 60 + 35, 60) == (20, 15)


def test_python_example() -> None:
    shown = example("code-math", "Write a Python function")
    good: dict[str, Any] = {}
    bad: dict[str, Any] = {}
    exec(code(shown.good), good)
    exec(code(shown.bad), bad)
    assert [good["minutes_since_midnight"](clock) for clock in ("07:45", "00:00", "23:59")] == [465, 0, 1439]
    for clock in ("24:00", "7.45", "-1:30", "", "12:60", ":", "1:"):
        with pytest.raises(ValueError):
            good["minutes_since_midnight"](clock)
    with pytest.raises(TypeError):
        bad["minutes_since_midnight"]("07:45")


def test_sql_example() -> None:
    shown = example("code-math", "Tables customers")
    with sqlite3.connect(":memory:") as database:
        database.executescript(
            "CREATE TABLE customers(id, name); CREATE TABLE orders(id, customer_id);"
            "INSERT INTO customers VALUES (1, 'Ada'), (2, 'Bo'); INSERT INTO orders VALUES (1, 1), (2, NULL);"
        )
        assert database.execute(code(shown.good)).fetchall() == [(2, "Bo")]
        assert database.execute(code(shown.bad)).fetchall() == []


@pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed")
def test_javascript_example() -> None:
    shown = example("code-math", "JavaScript")
    calls = "console.log(JSON.stringify([chunk([1, 2, 3, 4, 5], 2), chunk([], 2)]));"
    assert run("node", "-e", code(shown.good) + calls).stdout == "[[[1,2],[3,4],[5]],[]]\n"
    assert run("node", "-e", code(shown.bad) + calls).stdout == "[[[1,2],[3,4]],[]]\n"
    assert "RangeError" in run("node", "-e", code(shown.good) + "chunk([1], 0)").stderr


@pytest.mark.skipif(shutil.which("rustc") is None, reason="rustc is not installed")
def test_rust_example(tmp_path: Path) -> None:
    shown = example("code-math", "This Rust function")
    checks = (
        "mean(&[]), None); assert_eq!(mean(&[1, 2]), Some(1.5)); assert_eq!(mean(&[i32::MAX; 2]), Some(2147483647.0)"
    )
    programs = {
        "good": code(shown.good) + "fn main() { assert_eq!(" + checks + "); }",
        "asked": shown.query.splitlines()[1] + 'fn main() { println!("{}", mean(&[])); }',
        "bad": code(shown.bad) + 'fn main() { println!("{}", mean(&[i32::MAX, 1])); }',
    }
    for name, program in programs.items():
        (tmp_path / f"{name}.rs").write_text(program)
        built = run("rustc", "-o", tmp_path / name, tmp_path / f"{name}.rs")
        assert built.returncode == 0, built.stderr
        assert (run(tmp_path / name).returncode == 0) == (name == "good")


def test_six_words_without_e() -> None:
    shown = example("chat-hard", "Describe the sea")
    assert len(shown.good.split()) == 6
    assert "e" not in shown.good.lower()
    assert len(shown.bad.split()) == 8
    assert all("e" in word.lower() for word in shown.bad.split())


def test_prose_is_not_broken_into_lines() -> None:
    for domain in CRITERIA.domains.values():
        for shown in domain.demonstrations:
            for text in (shown.query, shown.good, shown.bad, shown.why):
                assert not re.search(r"[a-z,]\n[a-z]{2,} [a-z]", re.sub(r"```.*?```", "", text, flags=re.DOTALL))


def test_no_example_is_an_item_of_the_benchmark(rebuilt: Path) -> None:
    """No run of eight words of an example's query or responses occurs in the benchmark's data."""

    def runs(text: str) -> set[tuple[str, ...]]:
        words = re.findall(r"\w+", text.lower())
        return {tuple(words[start : start + 8]) for start in range(len(words) - 7)}

    benchmark: set[tuple[str, ...]] = set()
    prompts: set[str] = set()
    for item in read_plain(str(rebuilt)):
        prompts.add(item.prompt[-1]["content"].strip().lower())
        for text in (item.prompt[-1]["content"], *item.responses):
            benchmark |= runs(text)
    for domain in CRITERIA.domains.values():
        for shown in domain.demonstrations:
            assert shown.query.lower() not in prompts
            for text in (shown.query, shown.good, shown.bad):
                assert not runs(text) & benchmark, shown.query
