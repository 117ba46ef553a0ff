"""Reading a run directory: everything that reports know comes from here."""

import csv
import io
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import JsonValue, ValidationError
from pydantic_core import from_json

from ...errors import UserError
from .checksums import check_sums
from .columns import GAP_PREFIX, Record
from .run_info import RUN_FORMAT, CheckpointInfo, RunInfo
from .tables import (
    TABLES,
    AccuracyRow,
    BestOfRow,
    CalibrationRow,
    ChainRow,
    CoefficientRow,
    ComparisonRow,
    ConfidenceRow,
    ControlRow,
    CurveRow,
    EffectRow,
    FixedRow,
    GapStatistic,
    LeftOutRow,
    LengthRow,
    PairRow,
    RecommendationRow,
    RoundingRow,
    SaturationRow,
    SelectionRow,
    SparseRow,
    StatisticRow,
    TableFormat,
    UnlabelledRow,
)


@dataclass(frozen=True, slots=True)
class Run:
    """A run directory in memory; a table that the run did not write is empty."""

    path: Path
    info: RunInfo
    accuracy: tuple[AccuracyRow, ...]
    comparisons: tuple[ComparisonRow, ...]
    pairs: tuple[PairRow, ...]
    gap_analysis: tuple[GapStatistic, ...]
    gap_fixed: tuple[FixedRow, ...]
    effects: tuple[EffectRow, ...]
    chain: tuple[ChainRow, ...]
    saturation: tuple[SaturationRow, ...]
    recommendation: tuple[RecommendationRow, ...]
    selection: tuple[SelectionRow, ...]
    calibration: tuple[CalibrationRow, ...]
    confidence: tuple[ConfidenceRow, ...]
    length: tuple[LengthRow, ...]
    best_of: tuple[BestOfRow, ...]
    coefficients: tuple[CoefficientRow, ...]
    sparse_path: tuple[SparseRow, ...]
    learning_curve: tuple[CurveRow, ...]
    unlabelled: tuple[UnlabelledRow, ...]
    controls: tuple[ControlRow, ...]
    statistics: tuple[StatisticRow, ...]
    rounding: tuple[RoundingRow, ...]
    left_out: tuple[LeftOutRow, ...]

    def table(self, stem: str) -> tuple[Record, ...]:
        """The rows of a CSV table."""
        return getattr(self, stem)

    def checkpoint(self, name: str) -> CheckpointInfo:
        """The checkpoint called `name`; read_run has made sure that there is one."""
        return next(c for c in self.info.checkpoints if c.name == name)


def read_run(path: Path) -> Run:
    """Read and check a run directory.

    Raises:
        UserError: not a run directory, a newer format, or a file that is missing or damaged.
    """
    _check_folder(path)
    check_sums(path)
    info = _read_info(path / "run.json")
    tables: dict[str, Any] = {
        stem: _read_table(path, table, required=info.kind in table.required)
        for stem, table in TABLES.items()
        if table.suffix == "csv"
    }
    run = Run(path=path, info=info, **tables)
    _check_names(run)
    return run


def read_info(path: Path) -> RunInfo:
    """run.json of a run directory alone: what a command looks at before it imports what reads tables.

    Raises UserError as `read_run` does.
    """
    _check_folder(path)
    return _read_info(path / "run.json")


def _check_folder(path: Path) -> None:
    if not path.is_dir():
        raise UserError(f"{path} is not a folder: pass the folder that `cdr-eval pair`, `grid` or `annotate` wrote.")


def _damaged(path: Path, why: str) -> UserError:
    return UserError(f"{path} is damaged ({why}): run the same `cdr-eval` command again to rebuild it from the store.")


def _read_text(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8")
    except FileNotFoundError:
        raise UserError(
            f"{path} is missing: pass the folder of a finished run, or run the same command again to complete it."
        ) from None
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}): check the file's permissions.") from error
    except UnicodeDecodeError as error:
        raise _damaged(path, "it is not UTF-8") from error


def _read_info(path: Path) -> RunInfo:
    try:
        data: JsonValue = from_json(_read_text(path))
    except ValueError as error:
        raise _damaged(path, f"not JSON: {error}") from error
    if not isinstance(data, dict):
        raise _damaged(path, "it holds no JSON object")
    _check_format(path, data.get("format"))
    try:
        info = RunInfo.model_validate(data)
    except ValidationError as error:
        raise _damaged(path, _first_problem(error)) from error
    names = [c.name for c in info.checkpoints]
    if len(set(names)) != len(names):
        raise _damaged(path, "a checkpoint is listed twice")
    return info


def _check_format(path: Path, found: JsonValue) -> None:
    if found == RUN_FORMAT:
        return
    if isinstance(found, int) and found < RUN_FORMAT:
        raise UserError(
            f"{path} has format {found} of an earlier version: run the same `cdr-eval` command again, which takes "
            "every score from the store."
        )
    raise UserError(
        f"{path} has format {str(found)[:40]!r}, this version reads format {RUN_FORMAT}: use the cdr-eval version "
        "that wrote the run, or run the same command again."
    )


def _first_problem(error: ValidationError) -> str:
    problem = error.errors(include_url=False)[0]
    where = ".".join(str(part)[:40] for part in problem["loc"])
    return f"{where}: {problem['msg']}" if where else problem["msg"]


def _collect_gaps(row: dict[str, str]) -> dict[str, object]:
    """Columns gap_<benchmark> become one mapping."""
    gaps = {key.removeprefix(GAP_PREFIX): value for key, value in row.items() if key.startswith(GAP_PREFIX)}
    return {**row, "gaps": gaps}


def _read_table(folder: Path, table: TableFormat, *, required: bool) -> tuple[Record, ...]:
    path = folder / table.file
    if not required and not path.exists():
        return ()
    text = _read_text(path)
    try:
        return tuple(table.record.model_validate(_collect_gaps(row)) for row in _rows(path, text))
    except ValidationError as error:
        raise _damaged(path, _first_problem(error)) from error
    except csv.Error as error:
        raise _damaged(path, str(error)) from error


def _rows(path: Path, text: str) -> Iterator[dict[str, str]]:
    lines = csv.reader(io.StringIO(text, newline=""), strict=True)
    header = next(lines, None)
    if header is None:
        raise _damaged(path, "it is empty")
    if len(set(header)) != len(header):
        raise _damaged(path, "a column appears twice")
    for number, cells in enumerate(lines, start=2):
        if len(cells) != len(header):
            raise _damaged(path, f"row {number} has {len(cells)} cells instead of {len(header)}")
        yield dict(zip(header, cells, strict=True))


def _check_names(run: Run) -> None:
    """Every checkpoint that a table names stands in run.json, and no accuracy is given twice."""
    known = {model.name for model in (*run.info.checkpoints, *run.info.annotators, *run.info.fitted)} | {""}
    in_pairs = (name for pair in run.info.pairs for name in (pair.strong, pair.weak))
    tables: list[tuple[str, Iterable[str]]] = [("run.json", in_pairs)]
    for stem, table in TABLES.items():
        columns = [column.name for column in table.columns if column.unit.checkpoint]
        rows = run.table(stem) if table.suffix == "csv" else ()
        tables.append((table.file, {getattr(row, column) for row in rows for column in columns}))
    for file, names in tables:
        stranger = next((name for name in names if name not in known), None)
        if stranger is not None:
            raise _damaged(run.path / file, f"it names the checkpoint {stranger[:80]!r}, which run.json does not list")
    keys = [(r.strong, r.weak, r.variant, r.scope, r.name) for r in run.accuracy]
    if len(set(keys)) != len(keys):
        raise _damaged(run.path / "accuracy.csv", "a score is listed twice")
