"""Models spread over two real processes: the scores of one, agreement on memory, and no hang when one is lost."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from cdr_eval.errors import UserError
from cdr_eval.harness import Options, evaluate_pair
from cdr_eval.harness.running import runner, work_units

from tests.adapters import save_adapter
from tests.faults.rounds import rows, scores, small_grid
from tests.gguf_files import write_gguf
from tests.scale.conftest import once_scoring

SPARE = """
import os
if "RANK" in os.environ:
    from cdr_eval.harness.scoring import memory
    memory._CPU_TOKENS = 128
if os.environ.get("RANK") == "1":
    import torch
    attend = torch.nn.functional.scaled_dot_product_attention
    def limited(query, *args, **kwargs):
        if query.shape[-2] > 64:
            raise MemoryError
        return attend(query, *args, **kwargs)
    torch.nn.functional.scaled_dot_product_attention = limited
"""
"""Two processes begin with 128 tokens, and one of them cannot attend from more than 64 at a time."""


@pytest.fixture(scope="module")
def pair(no_bars: None, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str, str]:
    """Two checkpoints and preferences."""
    folder = tmp_path_factory.mktemp("pair")
    command = small_grid(folder, checkpoints=2, items=40)
    models, task = command[command.index("--models") + 1], command[command.index("--task") + 1]
    return (*models.split(","), task)  # type: ignore[return-value]


def run(pair: tuple[str, str, str], store: Path, **how):
    strong, weak, task = pair
    options = Options(device="cpu", store=store, resamples=100, **how)
    return evaluate_pair(strong, weak, task=task, variants=("vanilla",), options=options)


def ranks(of: str = "cdr-ranks-") -> list[psutil.Process]:
    """The processes that share a model."""
    found = ((process, " ".join(process.info["cmdline"] or [])) for process in psutil.process_iter(["cmdline"]))
    return [process for process, line in found if "cdr_eval.harness.running.rank" in line and of in line]


def of_this_process() -> list[psutil.Process]:
    mine = {process.pid for process in psutil.Process().children(recursive=True)}
    return [
        process for process in ranks() if process.pid in mine and "torch.distributed" not in " ".join(process.cmdline())
    ]


def close(found: dict[bytes, str], expected: dict[bytes, str]) -> bool:
    """The same keys, and in float32 the same scores but for rounding."""
    return found.keys() == expected.keys() and all(
        abs(float.fromhex(value) - float.fromhex(expected[key])) < 1e-4 for key, value in found.items()
    )


def test_two_processes_give_the_scores_of_one(pair: tuple[str, str, str], tmp_path: Path):
    alone = run(pair, tmp_path / "one")
    result = run(pair, tmp_path / "two", tensor_parallel=2)
    assert close(scores(tmp_path / "two"), scores(tmp_path / "one"))
    assert rows(tmp_path / "two") == rows(tmp_path / "one") == 160
    assert result.run["scoring"]["executor"] == "each model over 2 processes"
    assert [trial["way"] for trial in result.run["trials"]] == ["tree", "tree"]
    assert result.run["notes"] == alone.run["notes"]
    assert of_this_process() == []


def test_heads_that_do_not_divide_are_refused(pair: tuple[str, str, str], tmp_path: Path):
    with pytest.raises(UserError, match=r"has 4 attention heads, which 3 processes cannot share evenly: pass a"):
        run(pair, tmp_path / "store", tensor_parallel=3)
    with pytest.raises(UserError, match=r"has 2 key-value heads, which 4 processes cannot share evenly: pass a"):
        run(pair, tmp_path / "store", tensor_parallel=4)


def test_adapters_and_gguf_files_are_refused_before_anything_is_scored(pair: tuple[str, str, str], tmp_path: Path):
    base, _, task = pair
    adapter = save_adapter(tmp_path / "adapter", Path(base))
    file = shutil.copytree(base, tmp_path / "packed") / "packed.gguf"
    write_gguf(file, Path(base))
    for strong, what in ((adapter, "an adapter"), (file, "a GGUF file")):
        with pytest.raises(UserError, match=rf"whole weights, and {strong.stem} is {what}: leave it out"):
            run((base, str(strong), task), tmp_path / "store", tensor_parallel=2)
    assert not (tmp_path / "store").exists()


@pytest.mark.parametrize(
    ("how", "told"),
    [
        ({"executor": "ray"}, "leave --executor out"),
        ({"scorer": "lm-eval:hf"}, "tell lm-eval's model itself"),
    ],
)
def test_what_does_not_go_together_is_refused(
    pair: tuple[str, str, str], tmp_path: Path, how: dict[str, str], told: str
):
    with pytest.raises(UserError, match=told):
        run(pair, tmp_path / "store", tensor_parallel=2, **how)


def test_when_one_process_runs_out_of_memory_both_go_on_with_half_the_tokens(
    pair: tuple[str, str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "sitecustomize.py").write_text(SPARE)
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
    long = tmp_path / "long.jsonl"
    text = " and then one more word" * 30
    long.write_text(f'{{"prompt": "Go on.", "chosen": "Yes{text}", "rejected": "No{text}."}}\n')
    asked = (*pair[:2], str(long))
    result = run(asked, tmp_path / "two", tensor_parallel=2)
    told = "Memory ran out at 128 tokens a forward pass; it went on with 64."
    assert [note for note in result.run["notes"] if "Memory" in note] == [f"{Path(m).name}: {told}" for m in pair[:2]]
    monkeypatch.undo()
    run(asked, tmp_path / "one-long")
    assert close(scores(tmp_path / "two"), scores(tmp_path / "one-long"))


def kill_one() -> None:
    of_this_process()[-1].kill()


def test_a_run_that_loses_a_process_ends_with_a_sentence_and_keeps_its_scores(
    pair: tuple[str, str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setitem(work_units.UNIT_TOKENS, "cpu", 100)
    monkeypatch.setattr(runner, "CHUNK_SECONDS", 0.0)
    told = r"^One of the 2 processes that share m0 was lost: it was killed \(SIGKILL\); run the same command again"
    with once_scoring(tmp_path / "two", kill_one), pytest.raises(UserError, match=told):
        run(pair, tmp_path / "two", tensor_parallel=2)
    kept = len(scores(tmp_path / "two"))
    assert 0 < kept < 160
    assert of_this_process() == []


def test_processes_end_with_a_driver_that_is_killed(pair: tuple[str, str, str], tmp_path: Path):
    strong, weak, task = pair
    (tmp_path / "t").mkdir()
    command = ["pair", "--strong", strong, "--weak", weak, "--task", task, "--store", str(tmp_path / "store")]
    driver = subprocess.Popen(
        [sys.executable, "-m", "cdr_eval.harness", *command, "--tensor-parallel", "2", "--device", "cpu", "--quiet"],
        env=os.environ | {"TMPDIR": str(tmp_path / "t")},
    )
    until = time.monotonic() + 120
    while not ranks(str(tmp_path / "t")) and time.monotonic() < until:
        time.sleep(0.1)
    assert ranks(str(tmp_path / "t"))
    driver.send_signal(signal.SIGKILL)
    driver.wait()
    while ranks(str(tmp_path / "t")) and time.monotonic() < until:
        time.sleep(0.1)
    assert ranks(str(tmp_path / "t")) == []
