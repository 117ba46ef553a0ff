"""Adapters from end to end: tuned here, scored as checkpoints, one load for a base and all that stand on it."""

import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cdr_eval.harness import Options, evaluate_grid, evaluate_pair
from cdr_eval.harness.comparisons import grid_of
from cdr_eval.harness.evaluate import evaluate_tasks
from cdr_eval.harness.running.store import ScoreStore, read_chunk
from cdr_eval.harness.scoring import loading
from cdr_eval.harness.tune import tune
from cdr_eval.harness.tuning.settings import Lora, Training
from cdr_eval.model_registry.registry import load_registry

from tests.adapters import save_adapter
from tests.harness.in_process import cdr_eval
from tests.harness.small_task import write_items
from tests.harness.tuning.preference_file import command, write_pairs

pytest.importorskip("peft")
pytest.importorskip("trl")


@pytest.fixture(scope="module")
def tuned(llamas: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `cdr-eval tune --lora` wrote, from sft."""
    folder = tmp_path_factory.mktemp("tuned")
    training = Training(loss="dpo", lora=Lora(4, 8, 0.0), batch=8, max_length=128, learning_rate=1e-2)
    pairs = write_pairs(folder / "pairs.jsonl")
    tune(str(pairs), model=str(llamas / "sft"), out=folder / "out", training=training, options=Options(device="cpu"))
    return folder / "out"


@pytest.fixture(scope="module")
def task(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_items(tmp_path_factory.mktemp("task") / "items.jsonl")


def options(store: Path) -> Options:
    return Options(device="cpu", store=store, resamples=100)


def keys(store: Path, checkpoint: str) -> dict[Any, Any]:
    """The store's scores of a checkpoint."""
    found: dict[Any, Any] = {}
    for chunk in store.glob("*.parquet"):
        table = read_chunk(chunk)
        assert table is not None
        rows = zip(table["key"].to_pylist(), table["logprob"].to_pylist(), table["checkpoint"].to_pylist(), strict=True)
        found |= {key: value for key, value, name in rows if name == checkpoint}
    return found


def loads(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The folders of the models that are loaded from now on."""
    loaded: list[Path] = []
    load: Any = vars(loading)["load_model"]

    def counted(path: Path, *arguments: Any) -> Any:
        loaded.append(path)
        return load(path, *arguments)

    monkeypatch.setattr(loading, "load_model", counted)
    return loaded


def test_an_adapter_that_was_tuned_here_scores_as_the_merged_model_over_its_own_base(
    llamas: Path, tuned: Path, task: Path, tmp_path: Path
) -> None:
    result = evaluate_pair(str(tuned / "adapter"), task=str(task), variants=("vanilla",), options=options(tmp_path))
    merged = evaluate_pair(
        str(tuned / "model"), str(llamas / "sft"), task=str(task), variants=("vanilla",), options=options(tmp_path)
    )
    assert [row["name"] for row in result.run["checkpoints"]] == ["adapter", "sft"]
    margins = [run.margins["margin"].to_numpy(dtype=float) for run in (result, merged)]
    assert np.abs(margins[0]).max() > 0.1
    assert np.abs(margins[0] - margins[1]).max() < 1e-3
    assert any("adapter (LoRA of rank 4) on sft" in note for note in result.run["notes"])


def test_a_grid_loads_the_base_once_and_its_scores_are_those_of_the_base_alone(
    llamas: Path, tuned: Path, task: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    others = [save_adapter(tmp_path / name, llamas / "sft", seed) for seed, name in enumerate(("one", "two"))]
    models = [str(path) for path in (others[0], llamas / "base", tuned / "adapter", llamas / "sft", others[1])]
    loaded = loads(monkeypatch)
    grid = evaluate_grid(models=models, task=str(task), options=options(tmp_path / "grid"))
    assert sorted(path.name for path in loaded) == ["base", "sft"]
    evaluate_grid(models=models[3:4], task=str(task), options=options(tmp_path / "alone"))
    alone = keys(tmp_path / "alone", "sft")
    assert alone
    assert alone == keys(tmp_path / "grid", "sft")
    loaded.clear()
    again = evaluate_grid(models=models, task=str(task), options=options(tmp_path / "grid"))
    assert loaded == []
    assert again.margins.equals(grid.margins)
    for name in ("one", "two", "adapter"):
        assert not alone.keys() & keys(tmp_path / "grid", name).keys()


def test_several_tasks_load_the_base_once(
    llamas: Path, tmp_path: Path, task: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = write_items(tmp_path / "other.jsonl", 12)
    models = [str(save_adapter(tmp_path / "one", llamas / "sft")), str(llamas / "base"), str(llamas / "sft")]
    known = load_registry()
    loaded = loads(monkeypatch)
    evaluate_tasks(
        "grid", grid_of(None, models, True, known, ()), [str(task), str(other)], ("vanilla",), known, options(tmp_path)
    )
    assert sorted(path.name for path in loaded) == ["base", "sft"]
    assert len(ScoreStore(tmp_path)) > 0


@pytest.mark.parametrize(
    ("strong", "words"),
    [("base", "base is no adapter, so it has no base of its own; pass one with --weak"), ("nowhere", "no checkpoint")],
)
def test_a_pair_without_a_weak_one_needs_an_adapter(llamas: Path, task: Path, strong: str, words: str) -> None:
    named = llamas / strong if strong == "base" else strong
    done = subprocess.run(command("pair", "--strong", named, "--task", task), check=False, capture_output=True)
    assert done.returncode == 2
    assert words in done.stderr.decode()


def test_responses_are_sampled_from_an_adapter(llamas: Path, task: Path, tmp_path: Path) -> None:
    adapter = save_adapter(tmp_path / "adapter", llamas / "sft")
    texts: list[str] = []
    for number, model in enumerate((llamas / "sft", adapter)):
        out = tmp_path / f"{number}.jsonl"
        arguments = ("sample", task, "--model", model, "-n", 2, "--limit", 2, "--max-new-tokens", 8, "--out", out)
        assert cdr_eval(*arguments, "--quiet").code == 0
        texts.append(out.read_text())
    assert texts[0] != texts[1]


def test_training_does_not_start_from_an_adapter(llamas: Path, tmp_path: Path) -> None:
    adapter, pairs = save_adapter(tmp_path / "adapter", llamas / "sft"), write_pairs(tmp_path / "pairs.jsonl")
    arguments = ("tune", pairs, "--model", adapter, "--out", tmp_path / "out")
    done = subprocess.run(command(*arguments), check=False, capture_output=True)
    assert done.returncode == 2
    assert "is an adapter; start from its base" in done.stderr.decode()
