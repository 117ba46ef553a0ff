"""Whether the files of a run directory are still those that the run wrote."""

import hashlib
from pathlib import Path

from ...errors import UserError

CHECKSUMS = "SHA256SUMS"


def check_sums(run: Path) -> None:
    """Compare run.json and the tables with the run's checksums, where it has them; UserError names what differs."""
    sums = run / CHECKSUMS
    if not sums.exists():
        return
    try:
        lines = sums.read_text(encoding="utf-8", errors="replace").splitlines()
        expected = {name: digest for digest, _, name in (line.partition("  ") for line in lines)}
        tables = [file for pattern in ("run.json", "*.csv", "*.parquet") for file in run.glob(pattern)]
        found = {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in tables}
    except OSError as error:
        raise UserError(f"{run} cannot be read ({error.strerror}): check the permissions of its files.") from error
    changed = sorted(name for name in expected.keys() | found.keys() if expected.get(name) != found.get(name))
    if changed:
        raise UserError(
            f"{run / changed[0]} is not what the run wrote: run the same `cdr-eval` command again to rebuild it from "
            f"the store, or delete {CHECKSUMS} to report it as it is."
        )
