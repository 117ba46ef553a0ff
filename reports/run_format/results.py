"""The run directory: plain files that say everything a run found, written whole or not at all."""

import errno
import json
import os
import uuid
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import Any

import pandas as pd

from ...errors import UserError
from .checksums import write_sums
from .frames import Stream, make_frame, stream_table, whole, write_table
from .hidden_folder import hidden_folder
from .out_folder import check_out
from .reading import Run, read_run
from .run_info import RunInfo
from .tables import TABLES, PairRow

_SHOWN = 20
"""Rewards that a notebook shows of a run."""


@dataclass(frozen=True, slots=True, repr=False)
class RunResult:
    """What a run found."""

    run: dict[str, Any]
    """The content of run.json."""
    tables: Mapping[str, pd.DataFrame | Stream]
    """File stem → table, as the schema has it; a large one as a function that makes its frames one by one."""
    files: Mapping[str, str] = field(default_factory=dict[str, str])
    """File name → YAML of the rewards that the run made, as `--reward` takes them."""

    def __repr__(self) -> str:
        pairs, task = self.run["pairs"], self.run["task"]
        whom = f"{pairs[0]['strong']} over {pairs[0]['weak']}" if len(pairs) == 1 else f"{len(pairs)} pairs"
        what = f"{len(self.run['variants'])} variants" if len(self.run["variants"]) != 1 else self.run["variants"][0]
        return f"RunResult({self.run['kind']}: {whom}, {what}, on {task['items']:,} items of {task['name']})"

    def _repr_html_(self) -> str:
        """What a notebook shows: the overall accuracies, the highest first."""
        shown = self.accuracy[self.accuracy["scope"] == "overall"].sort_values("accuracy", ascending=False)
        columns = ["strong", "weak", "variant", "n", "accuracy", "ci_low", "ci_high"]
        percent: Any = dict.fromkeys(columns[4:], _percent)
        more = f"<p>and {len(shown) - _SHOWN} more rewards</p>" if len(shown) > _SHOWN else ""
        table = shown[columns].head(_SHOWN).to_html(index=False, formatters=percent, border=0)
        return f"<p>{escape(repr(self))}; accuracy in per cent, with 95% intervals</p>{table}{more}"

    def __reduce__(self) -> tuple[type["RunResult"], tuple[object, ...]]:
        """What is pickled, for another process, holds every table as a frame: streams hang on this one's files."""
        return RunResult, (self.run, {stem: whole(stem, table) for stem, table in self.tables.items()}, self.files)

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
        """Whether some checkpoint gave log-probabilities that are not finite, or could not be loaded."""
        return bool(self.run["counts"]["non_finite"] or self.run.get("left_out"))

    @property
    def unscored(self) -> bool:
        """Whether some reward of a checkpoint has not scored a single item."""
        overall = self.accuracy[(self.accuracy["scope"] == "overall") & (self.accuracy["strong"] != "")]
        return bool((overall["n"] == 0).any())

    @classmethod
    def load(cls, path: Path | str) -> "RunResult":
        """Read a run directory back; items, margins and rewards stay on disk until asked for. Raises UserError."""
        folder = Path(path)
        run = read_run(folder)
        tables: dict[str, pd.DataFrame | Stream] = {}
        for stem, table in TABLES.items():
            if (folder / table.file).exists():
                tables[stem] = _loaded(run, stem) if table.suffix == "csv" else stream_table(folder / table.file)
        found = {file.name: file.read_text(encoding="utf-8") for file in sorted(folder.glob("*.yaml"))}
        return cls(json.loads((folder / "run.json").read_text(encoding="utf-8")), tables, found)

    def save(
        self, out: Path | str, add_reports: Callable[[Path], object] = lambda _: None, *, overwrite: bool = False
    ) -> Path:
        """Write the run directory, replacing an earlier run of the same question there; `overwrite` replaces any run.

        One that has a checkpoint which this run had to leave out is not replaced.
        `add_reports` writes more files into the folder that it is given. Everything is written beside `out` first and
        then renamed, so that a failure leaves the earlier run. Raises UserError where it cannot be written, and
        TypeError or pydantic's ValidationError where the run does not fit the schema.
        """
        out = Path(out)
        check_out(out, self.run.get("asked", {}), self.run.get("left_out", {}), overwrite=overwrite)
        try:
            with hidden_folder(out) as hidden:
                made = hidden / "run"
                made.mkdir()
                self._write(made)
                add_reports(made)
                _sync(made)
                _exchange(made, out, hidden)
        except OSError as error:
            raise _unwritable(out, error) from error
        except UserError as error:  # of reports, which know the hidden folder alone
            if isinstance(error.__cause__, OSError):
                raise _unwritable(out, error.__cause__) from error
            raise
        return out

    def _write(self, folder: Path) -> None:
        RunInfo.model_validate(self.run, extra="forbid")
        text = json.dumps(self.run, indent=2, ensure_ascii=False, allow_nan=False)
        (folder / "run.json").write_text(text + "\n", encoding="utf-8")
        for stem, table in self.tables.items():
            write_table(stem, table, folder)
        write_sums(folder, list(folder.iterdir()))
        for name, text in self.files.items():
            (folder / name).write_text(text, encoding="utf-8", newline="\n")


def _percent(share: float) -> str:
    return f"{100 * share:.1f}"


def _unwritable(out: Path, error: OSError) -> UserError:
    return UserError(
        f"The run cannot be written to {out} ({error.strerror or error}); free space there or pass another "
        "folder with --out, and run the same command again: every score is kept."
    )


def _loaded(run: Run, stem: str) -> pd.DataFrame:
    """A CSV table as it was written: the gaps of a pair are columns again."""
    rows = [[value for _, value in row] for row in run.table(stem)]
    if stem == "pairs" and run.pairs:
        place = list(PairRow.model_fields).index("gaps")
        rows = [[*row[:place], *row[place].values(), *row[place + 1 :]] for row in rows]
        return make_frame(stem, rows, list(run.pairs[0].gaps))
    return make_frame(stem, rows)


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
