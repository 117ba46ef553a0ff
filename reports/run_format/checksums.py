"""Whether the files of a run directory are still those that the run wrote."""

import hashlib
from collections.abc import Iterable
from pathlib import Path

from ...errors import UserError

CHECKSUMS = "SHA256SUMS"
"""As `sha256sum` writes and checks them, so that a damaged file is never reported as if it were a result."""


def write_sums(folder: Path, files: Iterable[Path]) -> None:
    """Write the checksums of the files."""
    lines = [f"{_digest(file)}  {file.name}\n" for file in sorted(files)]
    (folder / CHECKSUMS).write_text("".join(lines), encoding="utf-8")


def check_sums(run: Path) -> None:
    """Compare run.json and the tables with the run's checksums, where it has them; UserError names what differs."""
    sums = run / CHECKSUMS
    if not sums.exists():
        return
    try:
        lines = sums.read_text(encoding="utf-8", errors="replace").splitlines()
        expected = {name: digest for digest, _, name in (line.partition("  ") for line in lines)}
        tables = [file for pattern in ("run.json", "*.csv", "*.parquet") for file in run.glob(pattern)]
        found = {file.name: _digest(file) for file in tables}
    except OSError as error:
        raise UserError(f"{run} cannot be read ({error.strerror}): check the permissions of its files.") from error
    changed = sorted(name for name in expected.keys() | found.keys() if expected.get(name) != found.get(name))
    if changed:
        raise UserError(
            f"{run / changed[0]} is not what the run wrote: run the same `cdr-eval` command again to rebuild it from "
            f"the store, or delete {CHECKSUMS} to report it as it is."
        )


def _digest(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
