"""Sampled responses on disk: append-only parts while sampling goes on, and one file in the prompts' order after it.

Beside OUT stands the folder OUT.parts: settings.json, and for each process that samples a file of lines
`position <tab> row`. A line counts once its newline is written, so that a killed process loses the block in flight.
"""

import fcntl
import json
import os
import shutil
import uuid
from collections import Counter
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import IO, Any

from ...errors import UserError

SUFFIXES = (".jsonl", ".parquet")
Place = tuple[Path, int, int]
"""File, offset and length of a row."""


class ResponseParts:
    """The parts of one output file.

    Args:
        out: the file that will hold all rows.
        settings: everything that decides what the rows are.

    Raises UserError where the parts are of other settings, or the folder cannot be written.
    """

    def __init__(self, out: Path, settings: Mapping[str, Any]) -> None:
        self.out = out
        self.folder = out.with_name(f"{out.name}.parts")
        self._settings = marker = self.folder / "settings.json"
        text = json.dumps(settings, indent=1, sort_keys=True) + "\n"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            if not marker.exists():
                _write(marker, text.encode())
            found = marker.read_text(encoding="utf-8")
        except OSError as error:
            raise _cannot_write(self.folder, error) from error
        if found != text:
            known: dict[str, Any] = json.loads(found)
            differs = sorted(key for key in {*known, *settings} if known.get(key) != settings.get(key))
            raise UserError(
                f"{self.folder} holds responses of another run, which differs in {', '.join(differs)}: "
                "pass another --out, or remove that folder."
            )

    def places(self) -> dict[int, Place]:
        """Where the row of each position is; a line without its end is no row."""
        found: dict[int, Place] = {}
        for path in sorted(self.folder.glob("*.jsonl")):
            offset = 0
            with path.open("rb") as stream:
                for line in stream:
                    head, _, row = line.partition(b"\t")
                    if line.endswith(b"\n") and head.isdigit():
                        found.setdefault(int(head), (path, offset + len(head) + 1, len(row)))
                    offset += len(line)
        return found

    @contextmanager
    def writer(self, name: str) -> Generator["PartWriter"]:
        """Append to the part of this name; UserError where another process does."""
        path = self.folder / f"{name}.jsonl"
        try:
            with path.open("a+b") as stream:
                try:
                    fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    raise UserError(f"Another process is writing {path}: wait for it, or pass another --out.") from None
                _drop_torn_line(stream)
                yield PartWriter(stream)
        except OSError as error:
            raise _cannot_write(self.folder, error) from error

    @contextmanager
    def alone(self) -> Generator[None]:
        """While no other process is in here; the one that was has merged the parts where they are gone."""
        try:
            stream = self._settings.open("r+b")
        except FileNotFoundError:
            yield
            return
        with stream:
            fcntl.flock(stream, fcntl.LOCK_EX)
            yield

    def finish_reasons(self, positions: Sequence[int]) -> Counter[str]:
        """How often each finish reason occurs in the rows."""
        places = self.places()
        rows: Iterator[Any] = (json.loads(_row(places[position])) for position in positions)
        return Counter(response["finish_reason"] for row in rows for response in row["responses"])

    def merge(self, positions: Sequence[int], record: Path, text: str) -> None:
        """Write `text` to `record`, all rows to `out` in the order of their positions, and remove the parts.

        In this order, so that a kill in between leaves no `out` without its record.
        """
        places = self.places()
        rows = (_row(places[position]) for position in positions)
        temporary = self.out.with_name(f".{uuid.uuid4().hex}{self.out.suffix}")
        try:
            (_write_parquet if self.out.suffix == ".parquet" else _write_jsonl)(temporary, rows)
            _write(record, text.encode())
            _put(temporary, self.out)
        except OSError as error:
            raise _cannot_write(self.out, error) from error
        finally:
            temporary.unlink(missing_ok=True)
        shutil.rmtree(self.folder, ignore_errors=True)


class PartWriter:
    """Appends rows to one part."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream

    def append(self, rows: Mapping[int, Mapping[str, Any]]) -> None:
        """Write the rows by their position, and wait for the disk."""
        lines = [f"{position}\t{json.dumps(row, ensure_ascii=False)}\n" for position, row in rows.items()]
        self._stream.write("".join(lines).encode())
        self._stream.flush()
        os.fsync(self._stream.fileno())


def _drop_torn_line(stream: IO[bytes]) -> None:
    """Cut what follows the last newline: a killed process left it."""
    end = stream.seek(0, os.SEEK_END)
    keep = end
    while keep > 0:
        start = max(0, keep - 2**16)
        stream.seek(start)
        found = stream.read(keep - start).rfind(b"\n")
        if found >= 0:
            keep = start + found + 1
            break
        keep = start
    if keep < end:
        stream.truncate(keep)
    stream.seek(0, os.SEEK_END)


def _row(place: Place) -> bytes:
    path, offset, length = place
    with path.open("rb") as stream:
        stream.seek(offset)
        return stream.read(length)


def _write(path: Path, content: bytes) -> None:
    temporary = path.with_name(f".{uuid.uuid4().hex}.tmp")
    try:
        temporary.write_bytes(content)
        _put(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def _put(temporary: Path, path: Path) -> None:
    """Give a file its name once all of it is on the disk."""
    with temporary.open("rb") as stream:
        os.fsync(stream.fileno())
    temporary.replace(path)


def _write_jsonl(path: Path, rows: Iterator[bytes]) -> None:
    with path.open("wb") as stream:
        stream.writelines(rows)


def _write_parquet(path: Path, rows: Iterator[bytes]) -> None:
    pa: Any = import_module("pyarrow")
    parquet: Any = import_module("pyarrow.parquet")
    turn = pa.struct([("role", pa.string()), ("content", pa.string())])
    response = pa.struct([("text", pa.string()), ("finish_reason", pa.string()), ("tokens", pa.int32())])
    schema = pa.schema(
        [
            ("id", pa.string()),
            ("prompt", pa.list_(turn)),
            ("responses", pa.list_(response)),
            ("subset", pa.string()),
            ("problem", pa.string()),
        ]
    )
    with parquet.ParquetWriter(path, schema) as writer:
        batch: list[Any] = []
        for row in rows:
            batch.append(json.loads(row))
            if len(batch) == 1000:
                writer.write_table(pa.Table.from_pylist(batch, schema=schema))
                batch = []
        writer.write_table(pa.Table.from_pylist(batch, schema=schema))


def _cannot_write(path: Path, error: OSError) -> UserError:
    return UserError(
        f"{path} cannot be written ({error.strerror or error}); free space there or pass another --out, and run the "
        "same command again, which keeps every response written so far."
    )
