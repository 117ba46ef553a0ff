"""The scripts of docs/scale, run as far as one machine without a scheduler can."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from cdr_eval.errors import UserError
from cdr_eval.harness.executors import open_executor
from cdr_eval.harness.options import Options

from tests.faults.rounds import rows, scores, small_grid
from tests.scale.conftest import ray_processes

pytestmark = pytest.mark.ray
SCRIPTS = Path(__file__).parents[2] / "docs" / "scale"


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A grid's arguments; `cdr-eval` in the scripts is this version."""
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "cdr-eval").write_text(f'#!/bin/sh\nexec {sys.executable} -m cdr_eval.harness "$@"\n')
    (folder / "cdr-eval").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    return [*small_grid(tmp_path), "--store", str(tmp_path / "store"), "--device", "cpu"]


def run_of(out: Path) -> dict[str, object]:
    return json.loads((out / "run.json").read_text(encoding="utf-8"))


def test_the_tasks_of_a_slurm_array_fill_one_store(command: list[str], tmp_path: Path):
    tasks = [
        subprocess.Popen(
            [SCRIPTS / "slurm_array.sh", *command],
            env=os.environ | {"SLURM_ARRAY_TASK_ID": str(task), "SLURM_ARRAY_TASK_COUNT": "2"},
        )
        for task in (1, 2)
    ]
    assert [task.wait(timeout=200) for task in tasks] == [0, 0]
    assert rows(tmp_path / "store") == len(scores(tmp_path / "store")) == 60
    subprocess.run(["cdr-eval", *command, "--out", str(tmp_path / "run")], check=True)
    assert run_of(tmp_path / "run")["responses_scored"] == {}


def refused(executor: str) -> str:
    with pytest.raises(UserError) as error, open_executor(Options(executor=executor)) as opened:
        opened()
    return str(error.value)


def test_a_cluster_made_by_ray_start_asks_for_its_token_and_ends_with_its_scripts(
    command: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    with socket.socket() as free:
        free.bind(("", 0))
        port = str(free.getsockname()[1])
    address = f"{pytest.importorskip('ray').util.get_node_ip_address()}:{port}"
    monkeypatch.setenv("RAY_AUTH_TOKEN", "0" * 64)
    machines = [subprocess.Popen([SCRIPTS / "ray_head.sh", port], stdout=subprocess.DEVNULL)]
    try:
        until = time.monotonic() + 60
        while "asks for its token" not in refused(f"ray:{address}") and time.monotonic() < until:
            time.sleep(0.2)
        monkeypatch.setenv("RAY_AUTH_MODE", "token")
        machines.append(subprocess.Popen([SCRIPTS / "ray_worker.sh", address, "1"], stdout=subprocess.DEVNULL))
        out = tmp_path / "run"
        done = subprocess.run(
            ["cdr-eval", *command, "--out", str(out), "--executor", f"ray:{address}"],
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.returncode, done.stdout.strip(), done.stderr) == (0, str(out), "")
        assert str(run_of(out)["scoring"]).count("Ray, ") == 1
        assert len(scores(tmp_path / "store")) == 60
    finally:
        for machine in reversed(machines):
            machine.send_signal(signal.SIGTERM)
            machine.wait(timeout=60)
    assert ray_processes(address) == []
