"""The run directory: plain files that say everything a run found, written whole or not at all."""

# pyright: reportUnknownMemberType=false
# (pyarrow's stubs leave its methods half typed)

import errno
import json
import os
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq

from ...errors import UserError
from .checksums import write_sums
from .frames import Stream, make_frame, whole, write_table
from .hidden_folder import hidden_folder
from .reading import Run, read_run
from .run_info import RunInfo
from .tables import TABLES, PairRow


@dataclass(frozen=True, slots=True)
class RunResult:
    """What a run found."""

    run: dict[str, Any]
    """The content of run.json."""
    tables: Mapping[str, pd.DataFrame | Stream]
    """File stem → table, as the schema has it; a large one as a function that makes its frames one by one."""

    def table(self, stem: str) -> pd.DataFrame:
        """All of a table; one that the run did not write is empty."""
        return whole(stem, self.tables[stem]) if stem in self.tables else make_frame(stem, ())

    @property
    def accuracy(self) -> pd.DataFrame:
        """Tidy accuracies: strong, weak, variant, scope, name, n, ties, accuracy, chance, ci_low, ci_high, note."""
        return self.table("accuracy")

    @property
    def margins(self) -> pd.DataFrame:
        """Tidy margins: strong, weak, variant, item, margin (NaN for an unscored item)."""
        return self.table("margins")

    @property
    def rewards(self) -> pd.DataFrame:
        """Tidy rewards: item, response (from 0), strong, weak, variant, reward (NaN for an unscored response)."""
        return self.table("rewards")

    @property
    def incomplete(self) -> bool:
        """Whether some checkpoint gave log-probabilities that are not finite."""
        return bool(self.run["counts"]["non_finite"])

    @classmethod
    def load(cls, path: Path | str) -> "RunResult":
        """Read a run directory back; items, margins and rewards stay on disk until asked for. Raises UserError."""
        folder = Path(path)
        run = read_run(folder)
        tables: dict[str, pd.DataFrame | Stream] = {}
        for stem, table in TABLES.items():
            if (folder / table.file).exists():
                tables[stem] = _loaded(run, stem) if table.suffix == "csv" else _stream(folder / table.file)
        return cls(json.loads((folder / "run.json").read_text(encoding="utf-8")), tables)

    def save(self, out: Path, add_reports: Callable[[Path], object] = lambda _: None) -> Path:
        """Write the run directory, replacing an earlier run's there.

        `add_reports` writes more files into the folder that it is given. Everything is written beside `out` first and
        then renamed, so that a failure leaves the earlier run. Raises UserError where it cannot be written, and
        TypeError or pydantic's ValidationError where the run does not fit the schema.
        """
        check_out(out)
        try:
            with hidden_folder(out) as hidden:
                made = hidden / "run"
                made.mkdir()
                self._write(made)
                add_reports(made)
                _sync(made)
                _exchange(made, out, hidden)
        except OSError as error:
            raise UserError(
                f"The run cannot be written to {out} ({error.strerror or error}); free space there or pass another "
                "folder with --out, and run the same command again: every score is kept."
            ) from error
        return out

    def _write(self, folder: Path) -> None:
        RunInfo.model_validate(self.run, extra="forbid")
        text = json.dumps(self.run, indent=2, ensure_ascii=False, allow_nan=False)
        (folder / "run.json").write_text(text + "\n", encoding="utf-8")
        for stem, table in self.tables.items():
            write_table(stem, table, folder)
        write_sums(folder, list(folder.iterdir()))


def check_out(out: Path) -> None:
    """Refuse a folder that holds anything but an earlier run; raises UserError."""
    if out.exists() and not (out / "run.json").is_file() and (not out.is_dir() or any(out.iterdir())):
        raise UserError(f"{out} exists and is not a run directory, so it is not overwritten; pass another with --out.")


def _loaded(run: Run, stem: str) -> pd.DataFrame:
    """A CSV table as it was written: the gaps of a pair are columns again."""
    rows = [[value for _, value in row] for row in run.table(stem)]
    if stem == "pairs" and run.pairs:
        place = list(PairRow.model_fields).index("gaps")
        rows = [[*row[:place], *row[place].values(), *row[place + 1 :]] for row in rows]
        return make_frame(stem, rows, list(run.pairs[0].gaps))
    return make_frame(stem, rows)


def _stream(file: Path) -> Stream:
    def frames() -> Iterator[pd.DataFrame]:
        parquet = pq.ParquetFile(file)
        for number in range(parquet.num_row_groups):
            yield parquet.read_row_group(number).to_pandas()

    return frames


def _sync(folder: Path) -> None:
    """Have every file on disk before the folder takes its name."""
    for file in folder.rglob("*"):
        if file.is_file():
            with file.open("rb") as stream:
                os.fsync(stream.fileno())


def _exchange(made: Path, out: Path, hidden: Path) -> None:
    """Put `made` in the place of `out`, which other processes may be doing too: the last one stays."""
    while True:
        earlier = hidden / uuid.uuid4().hex
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
