"""Processes that share a model, started by torchrun; their driver takes part in no pass, so that it never hangs."""

import os
import re
import secrets
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, Listener, wait
from pathlib import Path
from typing import Any

from ...errors import UserError
from .unit_queue import Job

START_SECONDS = 300.0
"""How long ranks may take to start."""
_LOOK_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class Refused:
    """A user can mend it."""

    sentence: str


@dataclass(frozen=True, slots=True)
class OutOfMemory:
    """Memory ran out in a pass."""

    tokens: int | None
    """Most tokens of a pass; None where sequences are read one at a time, or the model was being opened."""


class RankLostError(Exception):
    """One of the processes is gone; says what it left."""


class RankGroup:
    """`count` ranks on this machine, of a GPU each or all on the CPU."""

    def __init__(self, count: int, device: str) -> None:
        self._count, self._device = count, device
        self._torchrun: subprocess.Popen[bytes] | None = None
        self._ranks: list[Connection] = []
        self._log = Path()
        self._folder: tempfile.TemporaryDirectory[str] | None = None

    def open(self, job: Job) -> OutOfMemory | None:
        """Let all ranks open a job; `OutOfMemory` where one ran out.

        Raises UserError where one cannot open it, RankLostError where one ends.
        """
        if self._torchrun is None:
            self._start()
        return self._ask((job, None))

    def answer(self, unit: Any) -> Any:
        """Rank 0's answer to a unit, or `OutOfMemory`; raises as `open` does."""
        return self._ask((None, unit))

    def close(self) -> None:
        """End all ranks."""
        for rank in self._ranks:
            rank.close()
        if self._torchrun is not None:
            _end(self._torchrun)
        if self._folder is not None:
            self._folder.cleanup()
        self._torchrun, self._ranks, self._folder = None, [], None

    def _start(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="cdr-ranks-")
        self._log = Path(self._folder.name) / "log"
        key = secrets.token_bytes(16)
        environment = os.environ | {"CDR_RANK_KEY": key.hex()}
        if self._device == "cpu":
            environment |= {"CUDA_VISIBLE_DEVICES": ""}  # transformers would take the GPUs
        address = f"{self._folder.name}/driver"
        torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={self._count}"]
        with Listener(address, "AF_UNIX", backlog=self._count, authkey=key) as listener, self._log.open("wb") as log:
            self._torchrun = subprocess.Popen(
                [*torchrun, "-m", "cdr_eval.harness.running.rank", address],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
            inner: Any = getattr(listener, "_listener")  # noqa: B009
            inner._socket.settimeout(_LOOK_SECONDS)  # a rank that died before it called must be noticed
            by_rank = dict(self._joining(listener.accept) for _ in range(self._count))
        self._ranks = [by_rank[rank] for rank in range(self._count)]

    def _joining(self, accept: Callable[[], Connection]) -> tuple[int, Connection]:
        """The next rank that calls, and its line."""
        until = time.monotonic() + START_SECONDS
        while time.monotonic() < until:
            self._check_alive()
            with suppress(TimeoutError):
                line = accept()
                return line.recv(), line
        raise RankLostError(f"the ranks did not start in {START_SECONDS:.0f} seconds")

    def _ask(self, what: tuple[Job | None, Any]) -> Any:
        answers: dict[int, Any] = {}
        try:
            for rank in self._ranks:
                rank.send(what)
            while len(answers) < self._count:
                waiting = [rank for number, rank in enumerate(self._ranks) if number not in answers]
                for line in wait(waiting, _LOOK_SECONDS):
                    number = self._ranks.index(line)  # type: ignore[arg-type]
                    answers[number] = self._ranks[number].recv()
                    if isinstance(answers[number], Refused):
                        raise UserError(answers[number].sentence)
                    if isinstance(answers[number], OutOfMemory):
                        return answers[number]
                self._check_alive()
        except (EOFError, OSError) as error:
            raise RankLostError(self._last_words()) from error
        return answers[0]

    def _check_alive(self) -> None:
        if self._torchrun is not None and self._torchrun.poll() is not None:
            raise RankLostError(self._last_words())

    def _last_words(self) -> str:
        """What the log says that a rank ended with, once torchrun has noticed."""
        with suppress(subprocess.TimeoutExpired):
            if self._torchrun is not None:
                self._torchrun.wait(10)
        lines = self._log.read_text(encoding="utf-8", errors="replace").splitlines()
        ends = [line.strip() for line in lines if re.match(r"\S*(Error|Exception)\b.*:", line.strip())]
        killed = [name for line in lines for name in re.findall(r"Signal \d+ \((SIG\w+)\)", line) if name != "SIGTERM"]
        return f"it was killed ({killed[0]})" if killed else ends[0][:300] if ends else "it ended without a word"


def _end(process: "subprocess.Popen[bytes]") -> None:
    """SIGTERM to torchrun and all its ranks, then SIGKILL."""
    for stop, patience in ((signal.SIGTERM, 5.0), (signal.SIGKILL, None)):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, stop)
        with suppress(subprocess.TimeoutExpired):
            process.wait(patience)
