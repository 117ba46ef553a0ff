"""--check-quantised on real files: a GGUF file against the model it was made from, and int8 while loading."""

import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cdr_eval.errors import UserError
from cdr_eval.harness import Options, RunResult, evaluate_grid, evaluate_pair
from transformers import AutoTokenizer

from tests.gguf_files import write_gguf
from tests.harness.small_task import write_items
from tests.harness.tuning.preference_file import command


@pytest.fixture(scope="module")
def registry(llamas: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """base, sft, and sft in four and in eight bits."""
    pytest.importorskip("gguf")
    folder = tmp_path_factory.mktemp("quantised")
    AutoTokenizer.from_pretrained(llamas / "sft").save_pretrained(folder)
    lines = ["families: [{name: one, description: x, members: [base, sft, Q4_0, Q8_0]}]", "checkpoints:"]
    lines += [f"  - {{name: {name}, label: x, model: {llamas / name}, stage: sft}}" for name in ("base", "sft")]
    for kind in ("Q4_0", "Q8_0"):
        file = write_gguf(folder / f"{kind}.gguf", llamas / "sft", kind)
        lines.append(f"  - {{name: {kind}, label: x, model: {file}, stage: sft, quantised_from: sft}}")
    (folder / "registry.yaml").write_text("\n".join(lines))
    return folder / "registry.yaml"


@pytest.fixture(scope="module")
def task(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_items(tmp_path_factory.mktemp("task") / "items.jsonl", 60)


def margins(result: RunResult, strong: str, weak: str) -> dict[str, float]:
    rows = result.margins[(result.margins["strong"] == strong) & (result.margins["weak"] == weak)]
    return dict(zip(rows["item"].astype(str), rows["margin"].astype(float), strict=True))


def test_the_table_is_that_of_the_two_runs_by_hand(registry: Path, task: Path, tmp_path: Path) -> None:
    options = Options(device="cpu", store=tmp_path / "store", resamples=100, check_quantised=40)
    grid = evaluate_grid(models=("base", "Q4_0", "Q8_0"), task=str(task), registry=(registry,), options=options)
    plain = evaluate_grid(
        models=("base", "sft"),
        task=str(task),
        registry=(registry,),
        options=Options(device="cpu", store=tmp_path / "other", resamples=100),
    )
    table = grid.table("rounding").set_index(["strong", "weak"])
    assert len(table) == 6 - 2  # of Q4_0 with Q8_0 there is only one checkpoint with full weights
    for (strong, weak), row in table.iterrows():  # pyright: ignore[reportGeneralTypeIssues]
        rounded = margins(grid, strong, weak)
        full = margins(plain, *("sft" if name[0] == "Q" else name for name in (strong, weak)))
        assert row["n"] == 40
        noise = np.std([rounded[item] - full[item] for item in full], ddof=1)
        assert 0.5 * noise < row["noise"] < 2 * noise
    noises: dict[Any, float] = table["noise"].to_dict()
    assert noises["Q8_0", "base"] < noises["Q4_0", "base"]
    assert any("(base: plain weights; Q4_0: GGUF Q4_0; Q8_0: GGUF Q8_0)" in note for note in grid.run["notes"])


def test_all_items_give_exactly_the_share_of_signs_that_change(registry: Path, task: Path, tmp_path: Path) -> None:
    options = Options(device="cpu", store=tmp_path, resamples=100, check_quantised=60)
    pair = evaluate_pair("Q4_0", "base", task=str(task), variants=("vanilla",), registry=(registry,), options=options)
    plain = replace(options, check_quantised=None)
    full = evaluate_pair("sft", "base", task=str(task), variants=("vanilla",), registry=(registry,), options=plain)
    ours, theirs = margins(pair, "Q4_0", "base"), margins(full, "sft", "base")
    (row,) = pair.table("rounding").to_dict("records")
    changed = np.mean([np.sign(ours[item]) != np.sign(theirs[item]) for item in theirs])
    assert row["flipped"] == pytest.approx(changed)
    assert row["ci_low"] <= row["flipped"] <= row["ci_high"]


def test_nothing_to_compare_with_is_said_before_anything_is_scored(registry: Path, task: Path, tmp_path: Path) -> None:
    options = Options(device="cpu", store=tmp_path / "store", check_quantised=5)
    with pytest.raises(UserError, match="--check-quantised needs full weights to compare with"):
        evaluate_pair("sft", "base", task=str(task), registry=(registry,), options=options)
    assert not (tmp_path / "store").exists()


def test_int8_while_loading_from_the_command_line_to_the_report(registry: Path, task: Path, tmp_path: Path) -> None:
    pytest.importorskip("torchao", reason="torchao is not installed")
    arguments = ("pair", "--strong", "sft", "--weak", "base", "--registry", registry, "--task", task, "--variants")
    more = (
        "vanilla",
        "--quantise",
        "int8",
        "--check-quantised",
        20,
        "--store",
        tmp_path / "s",
        "--out",
        tmp_path / "o",
    )
    subprocess.run(command(*arguments, *more, "--device", "cpu"), check=True)
    result = RunResult.load(tmp_path / "o")
    (row,) = result.table("rounding").to_dict("records")
    assert row["n"] == 20
    assert row["noise"] > 0
    assert "Quantised weights" in (tmp_path / "o" / "leaderboard.md").read_text()
    assert result.run["scoring"]["dtype"] == "float32+torchao-int8wo2"
