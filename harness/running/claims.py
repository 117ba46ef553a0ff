"""Claims: which of several processes over one store scores which checkpoint.

A claim is a file that only one process can create. Its owner appends a byte to it every few seconds; another process
takes the claim over once the owner's process is gone from this machine, or once the file has not changed for some
minutes of the other's own time. No two clocks are ever compared. Should a living owner lose its claim (a suspended
machine), some scores are computed twice, which the store does not mind.
"""

import json
import os
import platform
import threading
import time
import uuid
from contextlib import suppress
from pathlib import Path
from typing import Any

from ...errors import UserError

BEAT_SECONDS = 10.0
"""How often an owner shows that it lives."""
DEAD_SECONDS = 180.0
"""How long a claim may stay unchanged; longer than network file systems cache what they were asked."""
_SUFFIX = ".claim"


class Claim:
    """A claim that this process holds, until `close`."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self._path = path
        self._descriptor = descriptor
        self._released = threading.Event()
        self._heart = threading.Thread(target=self._beat, daemon=True)
        self._heart.start()

    def held(self) -> bool:
        """Whether the claim is still this process's: nobody took it over or removed it."""
        try:
            return os.path.samestat(os.fstat(self._descriptor), self._path.stat())
        except OSError:
            return False

    def close(self) -> None:
        """Let others have it."""
        self._released.set()
        self._heart.join()
        if self.held():
            self._path.unlink(missing_ok=True)
        os.close(self._descriptor)

    def _beat(self) -> None:
        while not self._released.wait(BEAT_SECONDS):
            with suppress(OSError):  # a full disk must not end the run; at worst the claim is taken over
                _append(self._descriptor, b".")


class Claims:
    """The claims on the checkpoints of a score store, as one process sees them."""

    def __init__(self, store: Path) -> None:
        self._folder = store / "claims"
        self._seen: dict[str, tuple[bytes | None, float]] = {}
        """Name → what the claim held when it last changed, and when this process saw that."""

    def take(self, name: str) -> Claim | None:
        """Claim `name`; None where another living process has it. UserError where the store cannot be written."""
        path = self._folder / f"{name}{_SUFFIX}"
        try:
            if self._is_dead(path):
                path.unlink(missing_ok=True)
            self._folder.mkdir(exist_ok=True)
            descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666)
            try:
                owner = {**_THIS_MACHINE, "pid": os.getpid(), "token": uuid.uuid4().hex}
                _append(descriptor, json.dumps(owner).encode())
            except OSError:
                os.close(descriptor)
                path.unlink()
                raise
        except FileExistsError:
            return None
        except OSError as error:
            raise UserError(
                f"The folder {self._folder} cannot be written ({error.strerror}), so no scores can be added to the "
                "store; free space there or pass another --store and run the same command again."
            ) from error
        return Claim(path, descriptor)

    def owner(self, name: str) -> str:
        """Who holds a claim, in words."""
        try:
            owner = _owner((self._folder / f"{name}{_SUFFIX}").read_bytes())
        except OSError:
            owner = {}
        return f"process {owner['pid']} on {owner['host']}" if owner else "another process"

    def living(self) -> list[str]:
        """The names of the claims whose owners may be alive."""
        paths = sorted(self._folder.glob(f"*{_SUFFIX}"))
        return [path.stem for path in paths if not self._is_dead(path)]

    def _is_dead(self, path: Path) -> bool:
        try:
            content = path.read_bytes()
        except OSError:
            return False  # released meanwhile
        owner = _owner(content)
        if owner and _THIS_MACHINE.items() <= owner.items() and not _process_exists(owner["pid"]):
            return True
        now = time.monotonic()
        before, since = self._seen.get(path.stem, (None, now))
        self._seen[path.stem] = (content, since if content == before else now)
        return content == before and now - since > DEAD_SECONDS


def _owner(content: bytes) -> dict[str, Any]:
    """What a claim says of its owner; empty where it does not say it yet, or in words of another version."""
    try:
        owner: Any = json.loads(content.partition(b"}")[0] + b"}")
        return {"host": str(owner["host"]), "machine": str(owner["machine"]), "pid": int(owner["pid"])}
    except (ValueError, KeyError, TypeError):
        return {}


def _process_exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        return True
    return True


def _machine() -> str:
    """What tells machines apart within which process ids mean the same: this boot, and this container."""
    with suppress(OSError):
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot} {Path('/proc/self/ns/pid').readlink()}"
    return hex(uuid.getnode())


def _append(descriptor: int, content: bytes) -> None:
    os.write(descriptor, content)
    os.fsync(descriptor)


_THIS_MACHINE = {"host": platform.node(), "machine": _machine()}
