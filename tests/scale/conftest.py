"""A Ray cluster of a head and two machines, each a CPU, all on this one; `-m "not ray"` leaves its tests out."""

import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread, current_thread, main_thread
from typing import Any

import psutil
import pytest

from tests.faults.rounds import scores

os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "RAY_DEDUP_LOGS_SKIP_REGEX": "."}
MEMORY = 80 * 2**20
CHECKS = {"health_check_initial_delay_ms": 0, "health_check_period_ms": 500, "health_check_failure_threshold": 3}


class Machines:
    """The cluster and its machines."""

    def __init__(self, cluster: Any) -> None:
        self._cluster = cluster
        self.executor = f"ray:{cluster.address}"
        self.nodes: list[Any] = []

    def add(self, cpus: int = 1, **how: Any) -> Any:
        """One more machine."""
        self._cluster._shutdown_at_exit = current_thread() is main_thread()  # Ray sets signals, which only that one may
        node = self._cluster.add_node(num_cpus=cpus, object_store_memory=MEMORY, include_dashboard=False, **how)
        self.nodes.append(node)
        return node

    def lose(self, node: Any) -> None:
        """Its processes are killed, as a machine that loses power."""
        self.nodes.remove(node)
        self._cluster.remove_node(node, allow_graceful=False)


@pytest.fixture(scope="session")
def all_machines() -> Iterator[Machines]:
    cluster_utils = pytest.importorskip("ray.cluster_utils")
    Path("/tmp/ray").mkdir(exist_ok=True)  # where Ray writes a cluster's address, wherever the rest of it lives
    with tempfile.TemporaryDirectory(prefix="r", dir="/tmp") as name:  # paths of sockets must be short
        head: dict[str, Any] = {"num_cpus": 0, "include_dashboard": False, "object_store_memory": MEMORY}
        cluster = cluster_utils.Cluster(
            initialize_head=True, head_node_args={**head, "temp_dir": name, "_system_config": CHECKS}
        )
        yield Machines(cluster)
        cluster.shutdown()


@pytest.fixture
def machines(all_machines: Machines) -> Machines:
    """Two machines besides the head."""
    while len(all_machines.nodes) > 2:
        all_machines.lose(all_machines.nodes[-1])
    while len(all_machines.nodes) < 2:
        all_machines.add()
    return all_machines


def ray_processes(of: str = "") -> list[psutil.Process]:
    """Processes of Ray, its workers too, whose command lines hold a text."""
    found: list[psutil.Process] = []
    for process in psutil.process_iter(["cmdline"]):
        line = " ".join(process.info["cmdline"] or [])
        if of in line and any(word in line for word in ("raylet", "gcs_server", "ray::", "ray/_private")):
            found.append(process)
    return found


def workers() -> list[psutil.Process]:
    """The processes that score, in whatever cluster this process has started."""
    mine = {process.pid for process in psutil.Process().children(recursive=True)}
    lines = ((process, " ".join(process.info["cmdline"] or [])) for process in psutil.process_iter(["cmdline"]))
    return [process for process, line in lines if process.pid in mine and line.startswith("ray::Worker")]


@contextmanager
def once_scoring(store: Path, then: Callable[[], object]) -> Iterator[list[int]]:
    """Do something as soon as the store has a score; yields how many it had then."""
    had: list[int] = []

    def wait() -> None:
        while not list(store.glob("*.parquet")):
            time.sleep(0.01)
        stored = len(scores(store))
        then()
        had.append(stored)

    thread = Thread(target=wait, daemon=True)
    thread.start()
    yield had
    thread.join(timeout=60)
    assert had, "what was to be done while it scored did not succeed"
