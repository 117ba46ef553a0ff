"""Looking after a score store: what is in it, what is damaged, and merging many small chunks into few."""

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute

from ...errors import UserError
from .claims import Claims
from .store import ScoreStore, check_format, read_chunk, write_chunk

pc: Any = pyarrow.compute  # partly untyped

MAX_ROWS = 4_000_000
"""Scores of a merged chunk at most: about 120 MB."""


@dataclass(frozen=True, slots=True)
class StoreCheck:
    """What a store holds."""

    chunks: int
    scores: int
    damaged: tuple[Path, ...]
    """Chunks whose bytes are not those that were written."""
    set_aside: int
    """Damaged chunks that earlier runs moved to `damaged/`."""
    unfinished: tuple[Path, ...]
    """Temporary files: of killed runs, or of runs that are writing at this moment."""
    claims: tuple[str, ...]
    """Who scores into the store now, in words."""


@dataclass(frozen=True, slots=True)
class CheckpointScores:
    """What a store holds of one checkpoint."""

    checkpoint: str
    scores: int
    tokens: int
    """Scored tokens."""
    bytes: int


def check_store(folder: Path) -> StoreCheck:
    """Read every chunk of a store and change nothing; raises UserError where it cannot be read."""
    check_format(folder)
    rows = {path: None if table is None else table.num_rows for path, table in _read_all(folder)}
    claims = Claims(folder)
    return StoreCheck(
        chunks=sum(count is not None for count in rows.values()),
        scores=sum(count or 0 for count in rows.values()),
        damaged=tuple(path for path, count in rows.items() if count is None),
        set_aside=len(list((folder / "damaged").glob("*"))),
        unfinished=tuple(sorted(folder.glob(".*.tmp"))),
        claims=tuple(claims.owner(name) for name in claims.living()),
    )


def store_contents(folder: Path) -> list[CheckpointScores]:
    """Scores by checkpoint, damaged chunks left out; raises UserError where the store cannot be read."""
    check_format(folder)
    found: dict[str, CheckpointScores] = {}
    for path, table in _read_all(folder):
        for name, part in _by_checkpoint(table) if table is not None else ():
            before = found.get(name, CheckpointScores(name, 0, 0, 0))
            tokens: int = pc.sum(part["tokens"]).as_py()
            size = round(path.stat().st_size * part.num_rows / table.num_rows) if table is not None else 0
            found[name] = CheckpointScores(
                name, before.scores + part.num_rows, before.tokens + tokens, before.bytes + size
            )
    return [found[name] for name in sorted(found)]


def compact_store(folder: Path) -> tuple[int, int]:
    """Merge the chunks of a store into few, safely while others read and write; returns their numbers before and after.

    A chunk is removed only after all its scores are on disk in another one. Damaged chunks are set aside first. A score
    that two chunks hold is kept once. Raises UserError where the store cannot be written.
    """
    check_format(folder)
    claims = Claims(folder)
    claim = claims.take("compact")
    if claim is None:
        raise UserError(f"{claims.owner('compact')} is compacting {folder} at this moment; wait until it is done.")
    with closing(claim):
        ScoreStore(folder)  # sets damaged chunks aside
        unfinished = sorted(folder.glob(".*.tmp"))
        tables = {path: table for path, table in _read_all(folder) if table is not None}
        merged = {write_chunk(folder, part).name for part in _merged(list(tables.values()))}
        if claims.living() != ["compact"]:
            unfinished = []  # some of them may be being written
        _remove([*(path for path in tables if path.name not in merged), *unfinished])
    return len(tables), len(merged)


def _remove(files: Sequence[Path]) -> None:
    try:
        for path in files:
            path.unlink(missing_ok=True)
    except OSError as error:
        raise UserError(
            f"{error.filename} cannot be removed ({error.strerror}), although its scores are in a merged chunk now; "
            "let its owner compact the store."
        ) from error


def _merged(tables: list[pa.Table]) -> Iterator[pa.Table]:
    """One table a checkpoint, or some where there are very many scores; the first of several scores with one key."""
    if not tables:
        return
    for _, part in _by_checkpoint(pa.concat_tables(tables)):
        keys = part["key"].combine_chunks()
        first = part.take(pc.unique(pc.index_in(keys, value_set=keys)))
        for start in range(0, first.num_rows, MAX_ROWS):
            yield first.slice(start, MAX_ROWS)


def _by_checkpoint(table: pa.Table) -> Iterator[tuple[str, pa.Table]]:
    for name in pc.unique(table["checkpoint"]).to_pylist():
        yield name, table.filter(pc.equal(table["checkpoint"], name))


def _read_all(folder: Path) -> Iterator[tuple[Path, pa.Table | None]]:
    """Every chunk and its scores, None where it is damaged."""
    for path in sorted(folder.glob("*.parquet")):
        try:
            yield path, read_chunk(path)
        except FileNotFoundError:
            continue
