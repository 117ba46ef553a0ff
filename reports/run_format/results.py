"""The run directory: plain files that say everything a run found, written whole or not at all."""

import errno
import hashlib
import json
import os
import tempfile
import uuid
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from ...errors import UserError

RUN_FORMAT = 1
CHECKSUMS = "SHA256SUMS"
"""As `sha256sum` writes and checks them, so that a damaged file is never reported as if it were a result."""
PARQUET_TABLES = ("items", "margins")


@dataclass(frozen=True, slots=True)
class RunResult:
    """What a run found."""

    run: dict[str, Any]
    """The content of run.json."""
    tables: dict[str, pd.DataFrame]
    """File stem → table: items, margins, accuracy, comparisons, and for a grid pairs, gap_analysis and its siblings."""

    @property
    def accuracy(self) -> pd.DataFrame:
        """Tidy accuracies: strong, weak, variant, scope, name, n, ties, accuracy, ci_low, ci_high, note."""
        return self.tables["accuracy"]

    @property
    def margins(self) -> pd.DataFrame:
        """Tidy margins: strong, weak, variant, item, margin (NaN for an unscored item)."""
        return self.tables["margins"]

    @property
    def incomplete(self) -> bool:
        """Whether some checkpoint gave log-probabilities that are not finite."""
        return bool(self.run["counts"]["non_finite"])

    def save(self, out: Path, add_reports: Callable[[Path], object] = lambda _: None) -> Path:
        """Write the run directory, replacing an earlier run's there.

        `add_reports` writes more files into the folder that it is given. Everything is written beside `out` first and
        then renamed, so that a failure leaves the earlier run. Raises UserError where it cannot be written.
        """
        check_out(out)
        try:
            out.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(prefix=f".{out.name[:40]}-", dir=out.parent) as name:
                made = Path(name) / "run"
                made.mkdir()
                self._write(made)
                add_reports(made)
                _sync(made)
                _exchange(made, out, Path(name))
        except OSError as error:
            raise UserError(
                f"The run cannot be written to {out} ({error.strerror or error}); free space there or pass another "
                "folder with --out, and run the same command again: every score is kept."
            ) from error
        return out

    def _write(self, folder: Path) -> None:
        text = json.dumps(self.run, indent=2, ensure_ascii=False, allow_nan=False)
        (folder / "run.json").write_text(text + "\n", encoding="utf-8")
        for stem, table in self.tables.items():
            if stem in PARQUET_TABLES:
                table.to_parquet(folder / f"{stem}.parquet", index=False)
            else:
                table.map(_inert).to_csv(folder / f"{stem}.csv", index=False)
        written = sorted(folder.iterdir())
        sums = [f"{hashlib.sha256(file.read_bytes()).hexdigest()}  {file.name}\n" for file in written]
        (folder / CHECKSUMS).write_text("".join(sums), encoding="utf-8")


def check_out(out: Path) -> None:
    """Refuse a folder that holds anything but an earlier run; raises UserError."""
    if out.exists() and not (out / "run.json").is_file() and (not out.is_dir() or any(out.iterdir())):
        raise UserError(f"{out} exists and is not a run directory, so it is not overwritten; pass another with --out.")


def _sync(folder: Path) -> None:
    """Have every file on disk before the folder takes its name."""
    for file in folder.rglob("*"):
        if file.is_file():
            with file.open("rb") as stream:
                os.fsync(stream.fileno())


def _exchange(made: Path, out: Path, temporary: Path) -> None:
    """Put `made` in the place of `out`, which other processes may be doing too: the last one stays."""
    while True:
        earlier = temporary / uuid.uuid4().hex
        try:
            with suppress(FileNotFoundError):
                out.rename(earlier)
            made.rename(out)
            return
        except BaseException as error:
            if isinstance(error, OSError) and error.errno in (errno.ENOTEMPTY, errno.EEXIST):
                continue
            if earlier.exists():
                earlier.rename(out)
            raise


def _inert(cell: object) -> object:
    """Names that a spreadsheet would take for a formula get an apostrophe in front; reports take it off again."""
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(("=", "+", "-", "@", "\t", "\r", "'")) else cell
