"""Rows of Parquet and Arrow files, by batches."""

from collections.abc import Collection, Iterator
from importlib import import_module
from pathlib import Path
from typing import IO, Any

from ...errors import UserError
from .class_labels import arrow_label_names, with_names
from .columns import top_columns

MAX_ROW_GROUP_BYTES = 2**30
"""Largest row group of a Parquet file, uncompressed."""


def parquet_rows(path: Path, file: IO[bytes], wanted: Collection[str] | None) -> Iterator[Any]:
    """The rows of a Parquet file; of the columns only those that some path in `wanted` needs, if there are any."""
    pyarrow: Any = import_module("pyarrow")
    parquet: Any = import_module("pyarrow.parquet")
    number = 0
    try:
        with parquet.ParquetFile(file) as table:
            groups = (table.metadata.row_group(index) for index in range(table.metadata.num_row_groups))
            if any(group.total_byte_size > MAX_ROW_GROUP_BYTES for group in groups):
                raise UserError(
                    f"{path} has row groups over {MAX_ROW_GROUP_BYTES:,} bytes: write it with smaller ones."
                )
            names: list[str] = table.schema_arrow.names
            columns = names if wanted is None else top_columns(wanted, names) or names
            labels = arrow_label_names(table.schema_arrow)
            for batch in table.iter_batches(batch_size=64, columns=columns):
                for row in with_names(batch.to_pylist(), labels):
                    number += 1
                    yield row
    except (pyarrow.ArrowException, ValueError, OverflowError) as error:
        reason = str(error).partition("\n")[0]
        raise UserError(f"{path} is not valid Parquet after row {number} ({reason}): write it again.") from error


def arrow_rows(path: Path, file: IO[bytes]) -> Iterator[Any]:
    """The rows of an Arrow stream, as `datasets.save_to_disk` writes them."""
    pyarrow: Any = import_module("pyarrow")
    number = 0
    try:
        with pyarrow.ipc.open_stream(file) as stream:
            labels = arrow_label_names(stream.schema)
            for batch in stream:
                for row in with_names(batch.to_pylist(), labels):
                    number += 1
                    yield row
    except (pyarrow.ArrowException, ValueError, OverflowError) as error:
        reason = str(error).partition("\n")[0]
        raise UserError(f"{path} is no valid Arrow stream after row {number} ({reason}): write it again.") from error
