"""Reading a run directory: everything that reports know comes from here."""

import csv
import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from pydantic import JsonValue, ValidationError
from pydantic_core import from_json

from ...errors import UserError
from .checksums import check_sums
from .run_records import (
    FORMAT,
    AccuracyRow,
    CalibrationRow,
    ChainRow,
    CheckpointInfo,
    ComparisonRow,
    ConfidenceRow,
    EffectRow,
    FixedRow,
    GapStatistic,
    LengthRow,
    PairRow,
    RecommendationRow,
    Record,
    RunInfo,
    SaturationRow,
    SelectionRow,
)

R = TypeVar("R", bound=Record)
GAP_PREFIX = "gap_"


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

    def checkpoint(self, name: str) -> CheckpointInfo:
        """The checkpoint called `name`; read_run has made sure that there is one."""
        return next(c for c in self.info.checkpoints if c.name == name)


def read_run(path: Path) -> Run:
    """Read and check a run directory.

    Raises:
        UserError: not a run directory, a newer format, or a file that is missing or damaged.
    """
    if not path.is_dir():
        raise UserError(f"{path} is not a folder: pass the folder that `cdr-eval pair` or `cdr-eval grid` wrote.")
    check_sums(path)
    info = _read_info(path / "run.json")
    grid = info.kind == "grid"
    run = Run(
        path=path,
        info=info,
        accuracy=_read_table(path / "accuracy.csv", AccuracyRow, required=True),
        comparisons=_read_table(path / "comparisons.csv", ComparisonRow),
        pairs=_read_table(path / "pairs.csv", PairRow, required=grid, shape=_collect_gaps),
        gap_analysis=_read_table(path / "gap_analysis.csv", GapStatistic),
        gap_fixed=_read_table(path / "gap_fixed.csv", FixedRow),
        effects=_read_table(path / "effects.csv", EffectRow),
        chain=_read_table(path / "chain.csv", ChainRow),
        saturation=_read_table(path / "saturation.csv", SaturationRow),
        recommendation=_read_table(path / "recommendation.csv", RecommendationRow),
        selection=_read_table(path / "selection.csv", SelectionRow),
        calibration=_read_table(path / "calibration.csv", CalibrationRow),
        confidence=_read_table(path / "confidence.csv", ConfidenceRow),
        length=_read_table(path / "length.csv", LengthRow),
    )
    _check_names(run)
    return run


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
    if data.get("format") != FORMAT:
        raise UserError(
            f"{path} has format {str(data.get('format'))[:40]!r}, this version reads format {FORMAT}: "
            "use the cdr-eval version that wrote the run, or run it again."
        )
    try:
        info = RunInfo.model_validate(data)
    except ValidationError as error:
        raise _damaged(path, _first_problem(error)) from error
    names = [c.name for c in info.checkpoints]
    if len(set(names)) != len(names):
        raise _damaged(path, "a checkpoint is listed twice")
    return info


def _first_problem(error: ValidationError) -> str:
    problem = error.errors(include_url=False)[0]
    where = ".".join(str(part)[:40] for part in problem["loc"])
    return f"{where}: {problem['msg']}" if where else problem["msg"]


def _same(row: dict[str, str]) -> dict[str, object]:
    return dict(row)


def _collect_gaps(row: dict[str, str]) -> dict[str, object]:
    """Columns gap_<benchmark> become one mapping."""
    gaps = {key.removeprefix(GAP_PREFIX): value for key, value in row.items() if key.startswith(GAP_PREFIX)}
    return {**row, "gaps": gaps}


def _read_table(
    path: Path,
    record: type[R],
    *,
    required: bool = False,
    shape: Callable[[dict[str, str]], dict[str, object]] = _same,
) -> tuple[R, ...]:
    if not required and not path.exists():
        return ()
    text = _read_text(path)
    try:
        return tuple(record.model_validate(shape(row)) for row in _rows(path, text))
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
    known = {c.name for c in run.info.checkpoints} | {""}
    tables: Sequence[tuple[str, Iterator[str]]] = (
        ("run.json", (n for p in run.info.pairs for n in (p.strong, p.weak))),
        ("accuracy.csv", (n for r in run.accuracy for n in (r.strong, r.weak))),
        ("comparisons.csv", (n for r in run.comparisons for n in (r.strong_a, r.weak_a, r.strong_b, r.weak_b))),
        ("pairs.csv", (n for r in run.pairs for n in (r.strong, r.weak))),
        ("gap_fixed.csv", (r.checkpoint for r in run.gap_fixed)),
        ("effects.csv", (r.checkpoint for r in run.effects)),
        ("chain.csv", (n for r in run.chain for n in (r.checkpoint, r.reference, r.weak))),
        ("recommendation.csv", (n for r in run.recommendation for n in (r.strong, r.weak))),
        ("selection.csv", (n for r in run.selection for n in (r.strong, r.weak))),
        ("calibration.csv", (n for r in run.calibration for n in (r.strong, r.weak))),
        ("confidence.csv", (n for r in run.confidence for n in (r.strong, r.weak))),
        ("length.csv", (n for r in run.length for n in (r.strong, r.weak))),
    )
    for file, names in tables:
        stranger = next((name for name in names if name not in known), None)
        if stranger is not None:
            raise _damaged(run.path / file, f"it names the checkpoint {stranger[:80]!r}, which run.json does not list")
    keys = [(r.strong, r.weak, r.variant, r.scope, r.name) for r in run.accuracy]
    if len(set(keys)) != len(keys):
        raise _damaged(run.path / "accuracy.csv", "a score is listed twice")
