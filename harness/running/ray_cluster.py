"""Ray, started on this machine or found at an address: how many workers it has room for, and that all run one version.

Ray is told to report nothing to anybody, and prints nothing of its own.
"""

import hashlib
import os
import platform
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any

from ...errors import UserError
from ..options import Loading
from ..scoring.load_options import LoadOptions, load_options

CONNECT_SECONDS = 10.0
"""How long an address has to answer."""
_OBJECTS = 100 * 2**20
"""Bytes of shared memory for what travels on a cluster of our own: some units at a time."""
_SILENT = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_DEDUP_LOGS_SKIP_REGEX": ".", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0"}
_SAME = ("cdr-eval", "ray", "torch", "transformers")
_ROOT = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True)
class Ask:
    """What a worker needs of a machine."""

    cpus: int
    """Also the threads that it computes with on a CPU."""
    gpus: int

    def __str__(self) -> str:
        return "a GPU" if self.gpus else f"{self.cpus} CPUs" if self.cpus > 1 else "a CPU"


def import_ray() -> Any:
    """The library. Raises UserError where it is not installed."""
    os.environ |= _SILENT
    try:
        return import_module("ray")
    except ImportError as error:
        raise UserError("--executor ray needs Ray: install it with pip install 'cdr-eval[ray]'.") from error


class RayCluster:
    """A connection to Ray; a cluster of our own ends with it. Raises UserError for what a user can mend."""

    def __init__(self, address: str | None) -> None:
        self.ray = import_ray()
        if self.ray.is_initialized():
            raise UserError("This process is connected to Ray already: call ray.shutdown() first.")
        if address is not None:
            _check_answers(address)
        handler = signal.getsignal(signal.SIGTERM)
        started = {"object_store_memory": _OBJECTS} if address is None else {}
        try:
            self.ray.init(
                address=address or "local",
                include_dashboard=False if address is None else None,
                log_to_driver=False,
                logging_level="CRITICAL",
                **started,
            )
        except (OSError, RuntimeError, ValueError, self.ray.exceptions.RayError) as error:
            raise UserError(f"Ray does not start: {_line(error)}") from error
        finally:
            if threading.current_thread() is threading.main_thread():
                signal.signal(signal.SIGTERM, handler)  # Ray puts its own in the place of ours

    def close(self) -> None:
        """Leave the cluster; one of our own ends."""
        self.ray.shutdown()

    def machines(self) -> list[Mapping[str, float]]:
        """The resources of each living machine, in use or not."""
        return [node["Resources"] for node in self.ray.nodes() if node["Alive"]]

    def room(self, ask: Ask) -> int:
        """Workers that the living machines have room for, if nobody else uses them."""
        return sum(
            int(min(has.get("CPU", 0) // ask.cpus, has.get("GPU", 0) // ask.gpus if ask.gpus else 1 << 30))
            for has in self.machines()
        )


def worker_load(options: Loading, cluster: RayCluster) -> LoadOptions:
    """How workers load: on a GPU where the cluster has some, unless told otherwise. Raises UserError."""
    device, dtype = options.device, options.dtype
    if device == "auto":
        device = "cuda" if any(has.get("GPU") for has in cluster.machines()) else "cpu"
    if device not in {"cpu", "cuda"}:
        raise UserError(f"--device {device} is one of this machine's: with --executor ray pass cpu or cuda.")
    if dtype == "auto":
        dtype = "float32" if device == "cpu" else "bfloat16"
    return LoadOptions(device, dtype, options.trust_remote_code, options.allow_pickle)


def worker_ask(load: LoadOptions) -> Ask:
    """A GPU each, or on CPUs as many as OMP_NUM_THREADS says, one where it says nothing."""
    threads = os.environ.get("OMP_NUM_THREADS", "1")
    return Ask(1, 1) if load.device == "cuda" else Ask(int(threads) if threads.isdecimal() else 1, 0)


@cache
def versions() -> dict[str, str]:
    """What must be equal on all machines, for the same bits and because data travel as Python's objects."""
    source = hashlib.sha256()
    for package in ("errors", "model_registry", "tasks", "harness"):
        for file in sorted((_ROOT / package).rglob("*.py")):
            source.update(file.read_bytes())
    found = {name: version(name) for name in _SAME}
    return {"Python": platform.python_version(), **found, "the source of cdr-eval": source.hexdigest()[:12]}


def machine_problem(expected: Mapping[str, str], load: LoadOptions) -> str | None:
    """Why a worker cannot run on this machine, as a sentence; None if it can."""
    own = versions()
    differ = [name for name in expected if own.get(name) != expected[name]]
    if differ:
        told = ", ".join(f"{name} {own.get(name)} instead of {expected[name]}" for name in differ)
        return f"The machine {platform.node()} has {told}: install the same versions on all machines of the cluster."
    try:
        found = load_options(load.device, "auto", load.trust_remote_code, load.allow_pickle)
    except UserError as error:
        return f"The machine {platform.node()}: {error}"
    if load.dtype == "bfloat16" and found.dtype == "float16":
        return f"The GPUs of {platform.node()} have no bfloat16: pass --dtype float16."
    return None


def set_threads(cpus: int) -> None:
    """What Ray gave a worker is what it computes with."""
    import torch

    torch.set_num_threads(cpus)


def _check_answers(address: str) -> None:
    """Raise UserError where no Ray of this version answers; Ray itself would try for minutes."""
    host, _, port = address.rpartition(":")
    check = [sys.executable, "-m", "ray.scripts.scripts", "health-check", "--address", address]
    try:
        socket.create_connection((host, int(port)), timeout=CONNECT_SECONDS).close()
        done = subprocess.run(check, capture_output=True, timeout=CONNECT_SECONDS, check=False)
        failed, said = bool(done.returncode), done.stderr
    except subprocess.TimeoutExpired as error:
        failed, said = True, error.stderr or b""
    except (OSError, OverflowError):
        failed, said = True, b""
    if b"InvalidAuthToken" in said:
        raise UserError(
            f"The Ray cluster at {address} asks for its token: set RAY_AUTH_MODE=token, and copy ~/.ray/auth_token "
            "from its first machine."
        )
    if failed:
        other = [line for line in said.decode(errors="replace").splitlines() if "ersion" in line]
        raise UserError(
            f"The Ray cluster at {address} is another version: {' '.join(other)[:300]}"
            if other
            else f"No Ray cluster answers at {address}; start one with `ray start --head`, or check the address."
        )


def _line(error: BaseException) -> str:
    return " ".join(str(error).split())[:300]
