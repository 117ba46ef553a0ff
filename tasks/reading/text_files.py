"""Rows of JSONL, JSON, CSV and TSV."""

import csv
import io
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from pydantic_core import from_json

from ...errors import UserError
from .notes import RowError, not_utf8

MAX_LINE_BYTES = 16 * 2**20
"""Longest line of a JSONL file, and largest cell of a table as text."""
MAX_JSON_BYTES = 256 * 2**20
"""Largest JSON file, which has to be read as a whole."""


def jsonl_rows(path: Path, file: IO[bytes]) -> Iterator[tuple[int, Any]]:
    """Line number and value, or what is wrong with the line; blank lines are passed over."""
    number = 0
    while line := file.readline(MAX_LINE_BYTES + 1):
        number += 1
        if len(line) > MAX_LINE_BYTES:
            raise UserError(
                f"{path}, line {number}: the line is longer than {MAX_LINE_BYTES:,} bytes; put one row on a line."
            )
        if line.strip():
            yield number, _parse(line)


def json_rows(path: Path, file: IO[bytes]) -> Iterator[Any]:
    """The entries of a JSON list."""
    raw = file.read(MAX_JSON_BYTES + 1)
    if len(raw) > MAX_JSON_BYTES:
        raise UserError(f"{path} is larger than {MAX_JSON_BYTES:,} bytes: convert it to JSONL or Parquet.")
    rows = _parse(raw)
    if isinstance(rows, RowError):
        raise UserError(f"{path}: {rows}.")
    if type(rows) is not list:
        raise UserError(f"{path} must hold a list of rows, [{{...}}, {{...}}]: rewrite it, or name it .jsonl.")
    yield from rows  # pyright: ignore[reportUnknownVariableType]


def csv_rows(path: Path, file: IO[bytes], delimiter: str) -> Iterator[Any]:
    """Rows under the names of the first line; empty cells are null, and whole numbers in `id` are numbers."""
    csv.field_size_limit(MAX_LINE_BYTES)
    text = io.TextIOWrapper(file, encoding="utf-8-sig", newline="")
    reader = csv.reader(text, delimiter=delimiter, strict=True)
    names: list[str] | None = None
    try:
        for cells in reader:
            if names is None:
                names = [cell.strip() for cell in cells]
            elif len(cells) != len(names):
                if cells:
                    yield RowError("wrong type", f"the row has {len(cells)} cells under {len(names)} names; mend it")
            else:
                row: dict[str, Any] = {name: cell or None for name, cell in zip(names, cells, strict=True)}
                if (number := row.get("id")) and number.isdecimal() and len(number) < 19:
                    row["id"] = int(number)
                yield row
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: the text is not UTF-8; save the file as UTF-8.") from error
    except csv.Error as error:
        raise UserError(
            f"{path}, line {reader.line_num}: this is not valid CSV ({error}); mend or remove it."
        ) from error


def _parse(raw: bytes) -> Any:
    """The value of a JSON text, or the fault that it has."""
    try:
        return from_json(raw.decode("utf-8-sig"))
    except UnicodeDecodeError:
        return not_utf8()
    except ValueError as error:
        return RowError("no JSON", f"this is not valid JSON ({error}); mend or remove it")
