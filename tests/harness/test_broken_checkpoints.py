"""Broken weights: a pair says which file, a grid goes on without the checkpoint and exits 3."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from cdr_eval.errors import UserError
from cdr_eval.harness import Options, RunResult, evaluate_grid, evaluate_pair
from safetensors.torch import load_file, save_file

from tests.adapters import save_adapter
from tests.harness.in_process import cdr_eval
from tests.harness.small_task import write_items

FILE = "model.safetensors"


def reshaped(folder: Path) -> None:
    weights: dict[str, Any] = load_file(folder / FILE)
    weights["model.layers.1.mlp.up_proj.weight"] = torch.zeros(3, 3)
    save_file(weights, folder / FILE, metadata={"format": "pt"})


BREAKS: dict[str, tuple[Callable[[Path], object], str]] = {
    "truncated": (lambda folder: (folder / FILE).write_bytes((folder / FILE).read_bytes()[:-9]), "is truncated"),
    "empty": (lambda folder: (folder / FILE).write_bytes(b""), "is empty"),
    "pointer": (lambda f: (f / FILE).write_bytes(b"version https://git-lfs.github.com/spec/v1\n"), "git lfs pull"),
    "config": (lambda folder: (folder / "config.json").write_text("{"), "is no JSON object"),
    "shapes": (reshaped, "weights of other shapes than its config.json asks for"),
}


@pytest.fixture
def broken(llamas: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(llamas / "dpo", tmp_path / "broken"))


@pytest.mark.parametrize("how", BREAKS)
def test_a_grid_goes_on_without_it_and_says_so(llamas: Path, broken: Path, tmp_path: Path, how: str) -> None:
    damage, words = BREAKS[how]
    damage(broken)
    task = str(write_items(tmp_path / "items.jsonl"))
    options = Options(device="cpu", store=tmp_path / "store", resamples=100)
    models = [str(broken), str(llamas / "base"), str(llamas / "sft")]
    grid = evaluate_grid(models=models, task=task, options=options)
    assert grid.incomplete
    assert list(grid.run["left_out"]) == ["broken"]
    assert words in grid.run["left_out"]["broken"]
    assert str(broken) in grid.run["left_out"]["broken"]
    assert grid.run["notes"][0].startswith("broken was left out: ")
    whole = evaluate_grid(models=models[1:], task=task, options=options)
    assert not whole.incomplete
    assert grid.margins.equals(whole.margins)
    with pytest.raises(UserError, match=words):
        evaluate_pair(str(broken), models[1], task=task, options=options)
    with pytest.raises(UserError, match=words):
        evaluate_grid(models=models[:2], task=task, options=options)


def test_the_command_line_exits_with_3_and_writes_the_run(llamas: Path, broken: Path, tmp_path: Path) -> None:
    reshaped(broken)
    other = Path(shutil.copytree(llamas / "dpo", tmp_path / "other"))
    (other / FILE).write_bytes(b"")
    models = ",".join(map(str, (llamas / "base", broken, other, llamas / "sft")))
    task, out = write_items(tmp_path / "items.jsonl"), tmp_path / "out"
    arguments = ("grid", "--models", models, "--task", task, "--store", tmp_path / "store", "--out", out)
    done = cdr_eval(*arguments, "--resamples", 100)
    assert done.code == 3, done.err
    assert "Traceback" not in done.err
    result = RunResult.load(out)
    assert sorted(result.run["left_out"]) == ["broken", "other"]
    assert "broken was left out: " in (out / "leaderboard.md").read_text()
    shutil.copy(llamas / "dpo" / FILE, other)
    again = cdr_eval(*arguments, "--resamples", 100)
    assert again.code == 3, again.err
    assert list(RunResult.load(out).run["left_out"]) == ["broken"]
    (other / FILE).write_bytes(b"")
    before = (out / "run.json").read_bytes()
    less = cdr_eval(*arguments, "--resamples", 100)
    assert less.code == 2, less.err
    assert f"{out} holds a run of the same question with other, left out now (" in less.err
    assert (out / "run.json").read_bytes() == before


def test_a_shard_goes_on_without_it_too(llamas: Path, broken: Path, tmp_path: Path) -> None:
    reshaped(broken)
    models = ",".join(map(str, (broken, llamas / "base", llamas / "sft")))
    task, store = write_items(tmp_path / "items.jsonl"), tmp_path / "store"
    arguments = ("grid", "--models", models, "--task", task, "--store", store, "--shard", "1/1")
    done = cdr_eval(*arguments)
    assert done.code == 3, done.err
    assert "Shard 1/1 is scored (base, sft)" in done.out
    assert "Error: broken was left out: " in done.err
    options = Options(device="cpu", store=store, resamples=100)
    grid = evaluate_grid(models=[str(llamas / "base"), str(llamas / "sft")], task=str(task), options=options)
    assert grid.run["responses_scored"] == {}


def test_adapters_on_a_broken_base_go_with_it(llamas: Path, broken: Path, tmp_path: Path) -> None:
    pytest.importorskip("peft")
    adapter = save_adapter(tmp_path / "adapter", broken)
    (broken / FILE).write_bytes(b"")
    task = str(write_items(tmp_path / "items.jsonl"))
    models = [str(path) for path in (adapter, llamas / "base", broken, llamas / "sft")]
    grid = evaluate_grid(models=models, task=task, options=Options(device="cpu", store=tmp_path / "s", resamples=100))
    assert sorted(grid.run["left_out"]) == ["adapter", "broken"]
    assert all("is empty" in why for why in grid.run["left_out"].values())
    assert json.dumps(grid.run)
