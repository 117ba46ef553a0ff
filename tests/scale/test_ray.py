"""Scoring on a real cluster of Ray: the same bits as in one process, whatever is lost on the way."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from cdr_eval.errors import UserError
from cdr_eval.harness import Options, evaluate_grid
from cdr_eval.harness.executors import open_pool
from cdr_eval.harness.running import ray_pool, runner, work_units
from cdr_eval.harness.running.claims import Claims

from tests.adapters import save_adapter
from tests.faults.rounds import rows, scores, small_grid
from tests.gguf_files import write_gguf
from tests.harness.small_task import write_items
from tests.scale.conftest import Machines, once_scoring, ray_processes, workers

pytestmark = pytest.mark.ray
ITEMS = 100


@dataclass(frozen=True)
class Grid:
    """Three checkpoints, preferences, and every score of them from this process alone."""

    models: tuple[str, ...]
    task: str
    clean: dict[bytes, str]

    def run(self, store: Path, executor: str, models: tuple[str, ...] = ()):
        options = Options(device="cpu", store=store, resamples=100, executor=executor)
        return evaluate_grid(models=models or self.models, task=self.task, options=options)

    def command(self, store: Path, out: Path, executor: str) -> list[str]:
        given = ["--models", ",".join(self.models), "--task", self.task, "--store", str(store), "--out", str(out)]
        more = ["--executor", executor, "--device", "cpu", "--resamples", "100", "--json"]
        return [sys.executable, "-m", "cdr_eval.harness", "grid", *given, *more]


@pytest.fixture(autouse=True)
def small_units(monkeypatch: pytest.MonkeyPatch) -> None:
    """Many units, each written at once."""
    monkeypatch.setitem(work_units.UNIT_TOKENS, "cpu", 400)
    monkeypatch.setattr(runner, "CHUNK_SECONDS", 0.0)
    monkeypatch.setattr(runner, "POLL_SECONDS", 0.1)


@pytest.fixture(scope="module")
def grid(no_bars: None, tmp_path_factory: pytest.TempPathFactory) -> Grid:
    folder = tmp_path_factory.mktemp("grid")
    command = small_grid(folder, items=ITEMS)
    models, task = command[command.index("--models") + 1], command[command.index("--task") + 1]
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(work_units.UNIT_TOKENS, "cpu", 400)
        options = Options(device="cpu", store=folder / "store", resamples=100)
        evaluate_grid(models=tuple(models.split(",")), task=task, options=options)
    return Grid(tuple(models.split(",")), task, scores(folder / "store"))


def test_every_score_of_a_grid_is_that_of_one_process_and_is_computed_once(
    machines: Machines, grid: Grid, tmp_path: Path
):
    result = grid.run(tmp_path / "store", machines.executor)
    assert scores(tmp_path / "store") == grid.clean
    assert rows(tmp_path / "store") == len(grid.clean)
    assert result.run["scoring"]["executor"] == "Ray, 2 workers at most"
    assert sum(result.run["responses_scored"].values()) == len(grid.clean)
    again = grid.run(tmp_path / "store", machines.executor)
    assert again.run["responses_scored"] == {}
    assert again.run["scoring"]["executor"] == "Ray, no worker needed"


def test_adapters_and_gguf_files_are_scored_by_workers_as_by_one_process(
    machines: Machines, llamas: Path, tmp_path: Path
):
    pytest.importorskip("peft")
    pytest.importorskip("gguf")
    adapter = save_adapter(tmp_path / "adapter", llamas / "base")
    (tmp_path / "gguf").mkdir()
    file = write_gguf(tmp_path / "gguf" / "rounded.gguf", llamas / "base", "Q8_0")
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(llamas / "base" / name, file.parent)
    models, task = [str(llamas / "base"), str(adapter), str(file)], str(write_items(tmp_path / "items.jsonl"))
    ours, theirs = (
        evaluate_grid(
            models=models,
            task=task,
            options=Options(device="cpu", store=tmp_path / f"store-{k}", resamples=100, executor=executor),
        )
        for k, executor in enumerate((None, machines.executor))
    )
    assert theirs.rewards.equals(ours.rewards)
    assert theirs.rewards["reward"].nunique() > 50
    assert theirs.run["notes"] == ours.run["notes"]


def kill_a_worker() -> None:
    workers()[0].kill()


def test_a_worker_that_is_killed_costs_no_score(machines: Machines, grid: Grid, tmp_path: Path):
    store = tmp_path / "store"
    with once_scoring(store, kill_a_worker) as had:
        grid.run(store, machines.executor)
    assert 0 < had[0] < len(grid.clean)
    assert scores(store) == grid.clean
    assert rows(store) == len(grid.clean)


def test_a_machine_that_is_lost_costs_no_score(machines: Machines, grid: Grid, tmp_path: Path):
    store = tmp_path / "store"
    with once_scoring(store, lambda: machines.lose(machines.nodes[0])) as had:
        grid.run(store, machines.executor)
    assert 0 < had[0] < len(grid.clean)
    assert scores(store) == grid.clean
    assert rows(store) == len(grid.clean)


def test_a_run_whose_machines_are_all_lost_ends_with_a_sentence_and_keeps_its_scores(
    machines: Machines, grid: Grid, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(ray_pool, "LOST_SECONDS", 3.0)
    store = tmp_path / "store"

    def lose_all() -> None:
        for node in list(machines.nodes):
            machines.lose(node)

    with once_scoring(store, lose_all), pytest.raises(UserError, match=r"that has a CPU is left for 3 seconds: add"):
        grid.run(store, machines.executor)
    assert 0 < len(scores(store)) < len(grid.clean)
    assert scores(store).items() <= grid.clean.items()
    assert Claims(store).living() == []


def test_a_machine_that_comes_later_joins(machines: Machines, grid: Grid, tmp_path: Path):
    """The one that was there is lost first, so that only the new one can end the work."""
    machines.lose(machines.nodes[0])
    store = tmp_path / "store"

    def replace() -> None:
        machines.lose(machines.nodes[0])
        machines.add()

    with once_scoring(store, replace) as had:
        grid.run(store, machines.executor)
    assert 0 < had[0] < len(grid.clean)
    assert scores(store) == grid.clean


def test_two_drivers_at_once_share_cluster_and_store(machines: Machines, grid: Grid, tmp_path: Path):
    store = tmp_path / "store"
    commands = [grid.command(store, tmp_path / f"run-{k}", machines.executor) for k in range(2)]
    drivers = [subprocess.Popen(c, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for c in commands]
    ended = [driver.communicate(timeout=300) for driver in drivers]
    assert [driver.returncode for driver in drivers] == [0, 0], ended
    records = [json.loads(output)["run"] for output, _ in ended]  # Ray has written nothing between
    assert sum(sum(record["responses_scored"].values()) for record in records) == len(grid.clean)
    assert scores(store).keys() == grid.clean.keys()
    assert rows(store) == len(grid.clean)


def test_a_checkpoint_that_does_not_open_is_named_and_the_others_go_on(machines: Machines, grid: Grid, tmp_path: Path):
    broken = Path(shutil.copytree(grid.models[0], tmp_path / "broken"))
    weights = broken / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    result = grid.run(tmp_path / "store", machines.executor, (str(broken), *grid.models[1:]))
    ((name, why),) = result.run["left_out"].items()
    assert name == "broken" and "truncated" in why
    found = scores(tmp_path / "store")
    assert found.items() <= grid.clean.items()
    assert len(found) == len(grid.clean) * 2 // 3


def test_a_unit_that_kills_every_worker_is_named_and_other_jobs_go_on(machines: Machines):
    @dataclass(frozen=True)
    class Deadly:
        name: str
        deadly: int

        def here(self) -> "Deadly":
            return self

        def open(self) -> Callable[[int], int]:
            return lambda unit: unit if unit != self.deadly else os.kill(os.getpid(), signal.SIGKILL) or 0

    answers: list[tuple[str, int]] = []
    told = r"^bad: 3 workers were lost with one and the same unit, .* lower --batch-tokens"
    with (
        pytest.raises(UserError, match=told),
        open_pool(Options(device="cpu"), machines.executor) as pool,
    ):
        jobs = [(Deadly("bad", 0), iter(range(4))), (Deadly("good", -1), iter(range(9)))]
        for job, _, answer in pool.run(jobs):
            answers.append((job.name, answer))
    assert {answer for name, answer in answers if name == "good"} == set(range(9))
    assert ("bad", 0) not in answers


def test_a_machine_with_another_version_is_named(machines: Machines, grid: Grid, tmp_path: Path):
    package = Path(ray_pool.__file__).parents[2]
    other = tmp_path / "other" / "cdr_eval"
    other.mkdir(parents=True)
    for folder in ("errors", "model_registry", "tasks", "reports"):
        (other / folder).symlink_to(package / folder)
    shutil.copytree(package / "harness", other / "harness")
    with (other / "harness" / "options.py").open("a") as file:
        file.write("# of another day\n")
    machines.add(env_vars={"PYTHONPATH": str(other.parent)})
    with pytest.raises(UserError, match=r"^The machine \S+ has the source of cdr-eval \w+ instead of \w+: install"):
        grid.run(tmp_path / "store", machines.executor)


@pytest.mark.parametrize("stop", [None, signal.SIGTERM, signal.SIGKILL])
def test_a_cluster_of_our_own_ends_with_the_run_however_it_ends(
    grid: Grid, tmp_path: Path, stop: signal.Signals | None
):
    store = tmp_path / "store"
    folder = Path(f"/tmp/r{os.getpid()}{stop or 0:d}")
    environment = os.environ | {"RAY_TMPDIR": str(folder)}
    folder.mkdir()
    driver = subprocess.Popen(
        grid.command(store, tmp_path / "run", "ray"), env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    while driver.poll() is None and not list(store.glob("claims/*")):
        time.sleep(0.05)
    if stop is not None:
        assert ray_processes(str(folder))
        driver.send_signal(stop)
    _, errors = driver.communicate(timeout=200)
    assert driver.returncode == {None: 0, signal.SIGTERM: 143, signal.SIGKILL: -9}[stop], errors
    patience = time.monotonic() + 30
    while ray_processes(str(folder)) and time.monotonic() < patience:
        time.sleep(0.2)
    assert ray_processes(str(folder)) == []
    if stop is None:
        assert scores(store).keys() == grid.clean.keys()
    shutil.rmtree(folder)


def test_sampling_on_workers_writes_the_file_of_one_process(machines: Machines, tmp_path: Path):
    command = [sys.executable, "-m", "cdr_eval.harness", "sample", "minilab:train", "--model", "minilab-sft"]
    command += ["-n", "4", "--limit", "12", "--batch", "16", "--device", "cpu", "--quiet"]
    files = [tmp_path / "one.jsonl", tmp_path / "many.jsonl"]
    for file, more in zip(files, ([], ["--executor", machines.executor]), strict=True):
        subprocess.run([*command, "--out", str(file), *more], check=True)
    assert files[0].read_bytes() == files[1].read_bytes()
    records = [json.loads(file.with_suffix(".run.json").read_text()) for file in files]
    assert [record["executor"] for record in records] == ["this process", "Ray, 2 workers at most"]
