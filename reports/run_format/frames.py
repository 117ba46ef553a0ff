"""Data frames held to the schema, as they are written: a frame of other columns or types is a programming error."""

# pyright: reportUnknownMemberType=false
# (the stubs of pandas and pyarrow leave methods half typed)

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from .columns import GAP_PREFIX, Column, Kind, inert
from .tables import TABLES, TableFormat

Stream = Callable[[], Iterable[pd.DataFrame]]
"""Makes a table's frames, one after the other, whenever it is called."""

_ARROW: Final[Mapping[Kind, pa.DataType]] = {
    "text": pa.string(),
    "name": pa.dictionary(pa.int32(), pa.string()),
    "count": pa.int32(),
    "number": pa.float64(),
    "truth": pa.bool_(),
}
_PANDAS: Final[Mapping[Kind, str]] = {"number": "float64", "gaps": "float64", "count": "int64", "truth": "bool"}


def declared_columns(stem: str, benchmarks: Sequence[str] = ()) -> list[Column]:
    """A table's columns in their order; `pairs` has one for the gap on each benchmark."""
    return [
        replace(column, name=name)
        for column in TABLES[stem].columns
        for name in ([GAP_PREFIX + b for b in benchmarks] if column.unit.kind == "gaps" else [column.name])
    ]


def make_frame(stem: str, rows: Sequence[Sequence[object]], benchmarks: Sequence[str] = ()) -> pd.DataFrame:
    """A table of rows in the schema's order of columns, of its types also where there are no rows."""
    columns = declared_columns(stem, benchmarks)
    frame = pd.DataFrame(rows, columns=pd.Index([column.name for column in columns]))
    return frame.astype({column.name: _PANDAS.get(column.unit.kind, "str") for column in columns})


def whole(stem: str, table: pd.DataFrame | Stream) -> pd.DataFrame:
    """All of a table in one frame of its own: what is done to it does not change the table."""
    if isinstance(table, pd.DataFrame):
        return table.copy()
    parts = [_arrow(TABLES[stem], frame) for frame in _frames(stem, table)]
    return pa.concat_tables(parts).unify_dictionaries().to_pandas()


def arrow_schema(stem: str) -> pa.Schema:
    """The types of a Parquet table."""
    return pa.schema([(column.name, _ARROW[column.unit.kind]) for column in TABLES[stem].columns])


def write_table(stem: str, table: pd.DataFrame | Stream, folder: Path) -> Path:
    """Write a table frame by frame, each one checked. Raises TypeError for a table that the schema does not have so."""
    if stem not in TABLES:
        raise TypeError(f"the schema of the run directory declares no table {stem!r}")
    path = folder / TABLES[stem].file
    if TABLES[stem].suffix == "parquet":
        with pq.ParquetWriter(path, arrow_schema(stem)) as writer:
            for frame in _frames(stem, table):
                writer.write_table(_arrow(TABLES[stem], frame))
    else:
        with path.open("w", encoding="utf-8", newline="") as stream:
            for number, frame in enumerate(_frames(stem, table)):
                _check(TABLES[stem], frame)
                text = frame.select_dtypes(exclude=["number", "bool"]).columns
                safe = frame.assign(**{name: frame[name].map(inert) for name in text})
                safe.to_csv(stream, index=False, header=number == 0, lineterminator="\n")
    return path


def stream_table(file: Path) -> Stream:
    """A Parquet table, one row group after the other."""

    def frames() -> Iterator[pd.DataFrame]:
        parquet = pq.ParquetFile(file)
        for number in range(parquet.num_row_groups):
            yield parquet.read_row_group(number).to_pandas()

    return frames


def _frames(stem: str, table: pd.DataFrame | Stream) -> Iterator[pd.DataFrame]:
    """A table's frames, at least one."""
    frames = iter((table,) if isinstance(table, pd.DataFrame) else table())
    yield next(frames, make_frame(stem, ()))
    yield from frames


def _arrow(table: TableFormat, frame: pd.DataFrame) -> pa.Table:
    _check(table, frame)
    return pa.Table.from_pandas(frame, schema=arrow_schema(table.stem), preserve_index=False)


def _check(table: TableFormat, frame: pd.DataFrame) -> None:
    found = [str(name) for name in frame.columns]
    gaps = [name.removeprefix(GAP_PREFIX) for name in found if name.startswith(GAP_PREFIX)]
    declared = declared_columns(table.stem, gaps)
    if found != [column.name for column in declared]:
        raise TypeError(f"{table.file} is to have the columns {[c.name for c in declared]} and not {found}")
    for column in declared:
        if len(frame) and not _holds(frame[column.name], column.unit.kind):
            raise TypeError(
                f"{table.file}: {column.name} is to hold {column.unit.text}, not {frame[column.name].dtype}"
            )


def _holds(values: "pd.Series[Any]", kind: Kind) -> bool:
    """Whether a column, not empty, is of a kind."""
    of = values.cat.categories if isinstance(values.dtype, pd.CategoricalDtype) else values
    if kind in {"text", "name"}:
        return pd.api.types.infer_dtype(of, skipna=False) in {"string", "empty"}
    kinds = {"count": "iu", "truth": "b"}.get(kind, "f")
    return values.dtype.kind in kinds
