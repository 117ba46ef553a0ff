"""Folders beside the results, in which files are made before they take their place; those of killed processes go."""

import hashlib
import os
import shutil
import tempfile
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

LOCK = "lock"
"""A file in each hidden folder; who holds its lock (flock) is alive and writing."""


@contextmanager
def hidden_folder(target: Path) -> Generator[Path]:
    """A new folder on the file system of `target`, removed at the end.

    After success folders that killed processes left for the same target are removed, too: only then, since the
    earlier content of the target may lie in one of them.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    prefix = f".{target.name[:40]}-{hashlib.sha256(os.fsencode(target.name)).hexdigest()[:8]}-"
    folder, lock = _make(prefix, target.parent)
    try:
        yield folder
        for other in target.parent.glob(f"{_literal(prefix)}*"):
            if other != folder:
                _remove_dead(other)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        lock.close()


def _make(prefix: str, parent: Path) -> tuple[Path, TextIO]:
    """A folder and its lock, held; made again should another process take it for a dead one's before it is locked."""
    while True:
        folder = Path(tempfile.mkdtemp(prefix=prefix, dir=parent))
        with suppress(FileNotFoundError):
            lock = (folder / LOCK).open("w", encoding="utf-8")
            if _locked(lock, otherwise=True) and (folder / LOCK).exists():
                return folder, lock
            lock.close()


def _remove_dead(folder: Path) -> None:
    with suppress(OSError), (folder / LOCK).open("a", encoding="utf-8") as lock:
        if _locked(lock, otherwise=False):
            shutil.rmtree(folder, ignore_errors=True)


def _locked(lock: TextIO, *, otherwise: bool) -> bool:
    """Whether the lock is ours now; `otherwise` where the system or the file system has no locks."""
    try:
        import fcntl

        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except (ImportError, OSError):
        return otherwise
    return True


def _literal(text: str) -> str:
    """`text` for a glob pattern that means it literally."""
    return "".join(f"[{character}]" if character in "*?[" else character for character in text)
