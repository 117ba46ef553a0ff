"""What a user of `--executor` can mend is one sentence, before any cluster is started."""

import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from cdr_eval.errors import UserError
from cdr_eval.harness.executors import open_executor
from cdr_eval.harness.options import Options
from cdr_eval.harness.running import ray_cluster
from cdr_eval.harness.running.ray_cluster import Ask, machine_problem, versions
from cdr_eval.harness.scoring.load_options import LoadOptions

from tests.scale.conftest import Machines

LOAD = LoadOptions("cpu", "float32", False, False)


def refused(executor: str, **options) -> str:
    with pytest.raises(UserError) as error, open_executor(Options(executor=executor, **options)) as opened:
        opened()
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize("name", ["Ray", "ray:", "ray:host", "ray://host:1", "dask", "ray:host:port", ""])
def test_executors_that_there_are_not(name: str):
    assert refused(name).startswith(f"There is no executor {name!r}; use ray or ray:HOST:PORT")


def test_an_address_where_nobody_listens():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    assert refused(f"ray:127.0.0.1:{port}") == (
        f"No Ray cluster answers at 127.0.0.1:{port}; start one with `ray start --head`, or check the address."
    )


def test_an_address_where_somebody_else_listens(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(ray_cluster, "CONNECT_SECONDS", 3.0)
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        started = time.monotonic()
        assert "No Ray cluster answers at" in refused(f"ray:127.0.0.1:{other.getsockname()[1]}")
        assert time.monotonic() - started < 30


def test_without_ray_the_extra_is_named(tmp_path: Path):
    (tmp_path / "ray.py").write_text("raise ImportError('as if it were not installed')")
    command = [sys.executable, "-m", "cdr_eval.harness", "pair", "--strong", "minilab-sft", "--weak", "minilab-base"]
    path = f"{tmp_path}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"
    done = subprocess.run(
        [*command, "--executor", "ray"],
        env=os.environ | {"PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr == "Error: --executor ray needs Ray: install it with pip install 'cdr-eval[ray]'.\n"


def test_another_version_on_a_machine_is_a_sentence():
    assert machine_problem(versions(), LOAD) is None
    told = machine_problem({**versions(), "torch": "1.0"}, LOAD) or ""
    assert f"has torch {versions()['torch']} instead of 1.0: install the same versions" in told


def test_a_device_that_a_machine_lacks_is_a_sentence():
    told = machine_problem(versions(), LoadOptions("cuda:7", "bfloat16", False, False)) or ""
    assert "This machine has no device 'cuda:7'" in told


def test_what_workers_need_in_words():
    assert [str(Ask(1, 0)), str(Ask(4, 0)), str(Ask(1, 1))] == ["a CPU", "4 CPUs", "a GPU"]


@pytest.mark.ray
def test_a_device_of_this_machine_alone_is_refused(machines: Machines):
    assert refused(machines.executor, device="mps") == (
        "--device mps is one of this machine's: with --executor ray pass cpu or cuda."
    )


@pytest.mark.ray
@pytest.mark.parametrize(("threads", "need"), [("64", "64 CPUs")])
def test_what_no_machine_has_is_said_at_once(machines: Machines, tmp_path: Path, threads: str, need: str):
    command = [sys.executable, "-m", "cdr_eval.harness", "pair", "--strong", "minilab-sft", "--weak", "minilab-base"]
    more = ["--executor", machines.executor, "--limit", "4", "--store", str(tmp_path), "--variants", "vanilla"]
    environment = os.environ | {"OMP_NUM_THREADS": threads}
    done = subprocess.run([*command, *more, "--quiet"], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith(f"Error: No machine of the Ray cluster has {need}: ")
