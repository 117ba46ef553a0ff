"""Reading raw rows from files, folders of files and the hub, as streams and within stated limits of memory."""

import gzip
import io
import re
import shutil
import zlib
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any

from ...errors import UserError
from .hub import HUB, hub_rows
from .notes import RowError
from .tables import arrow_rows, parquet_rows
from .text_files import csv_rows, json_rows, jsonl_rows

SUFFIXES = (".jsonl", ".json", ".parquet", ".csv", ".tsv")
PACKED = (".gz", ".zst")
FOLDER_COLUMN = "@folder"
"""Asked for like a column: the name of the folder that a row's file lies in, where a folder is read."""
_SHARD = re.compile(r"(?P<split>.+?)-\d{5}-of-\d{5}.*")
Columns = dict[str, Any]
Wanted = Collection[str] | None
"""The columns to read, where the format can leave the others; None for all."""


@dataclass(frozen=True, slots=True)
class Row:
    """One row as it was read, or what is wrong with it."""

    file: str
    number: int
    """Line or row number in the file, from 1."""
    index: int
    """The same, counted on over the files of a folder."""
    columns: Columns
    unit: str = "row"
    fault: RowError | None = None

    @property
    def where(self) -> str:
        """File and line, or file and row, for messages."""
        return f"{self.file}, {self.unit} {self.number}"


def open_rows(source: str, pattern: str = "") -> Callable[[Wanted], Iterator[Row]]:
    """The rows of a source, to be read as often as needed; nothing is read before the first row is asked for.

    A source is a .jsonl, .json (a list of objects), .parquet, .csv or .tsv file, each also as .gz or .zst; a folder of
    such files (`pattern` picks among them) or one that `datasets.save_to_disk` wrote, as `FOLDER` or `FOLDER:split`; or
    a data set on the hub, `org/name`, `org/name/config`, with `:split` and `@revision` where they are needed. The
    iterators raise UserError for what cannot be read; a row that is none is yielded with its fault.
    """
    path = Path(source)
    folder, split = _folder(source)
    if _suffix(path) or path.is_file():
        return lambda wanted: _file_rows(path, wanted)
    if folder is not None:
        shards = folder_files(folder, split, pattern)
        if shards or not HUB.fullmatch(source):
            return lambda wanted: _folder_rows(folder, shards, wanted)
    if match := HUB.fullmatch(source):
        return lambda wanted: numbered(source, hub_rows(source, match, wanted))
    raise UserError(
        f"{source!r} is neither a file nor the name of a dataset on the hub: give a file that ends in"
        f" {', '.join(SUFFIXES)}, or a name like org/name:split@revision."
    )


def source_name(source: str) -> str:
    """A short name for a source: the file's name without suffix, or the dataset's without organisation."""
    path = Path(source)
    match = None if path.exists() else HUB.fullmatch(source)
    if match:
        return Path(match["name"]).name.removesuffix(Path(match["name"]).suffix)
    while path.suffix in PACKED:
        path = path.with_suffix("")
    return path.stem.partition(":")[0]


def is_source(source: str) -> bool:
    """Whether a text can be a file, a folder or a data set rather than a name."""
    path = Path(source)
    return bool(_suffix(path)) or "/" in source or path.exists() or _folder(source)[0] is not None


def folder_files(folder: Path, split: str | None, pattern: str) -> list[Path]:
    """The data files of a folder in the order of their names, or the Arrow files of one that save_to_disk wrote."""
    if (folder / "dataset_dict.json").is_file():
        splits = sorted(entry.name for entry in folder.iterdir() if (entry / "state.json").is_file())
        if split not in splits and not (split is None and len(splits) == 1):
            raise UserError(f"{folder} has the splits {', '.join(splits)}: name one, as in {folder}:{splits[0]}.")
        folder = folder / (split or splits[0])
    if (folder / "state.json").is_file():
        return sorted(folder.glob("*.arrow"))
    if not pattern and (folder / "data").is_dir() and (folder / "README.md").is_file():
        folder = folder / "data"  # as data sets of the hub lie
    files = sorted(path for path in folder.glob(pattern or "*") if _suffix(path) and path.is_file())
    of_split = {path: match["split"] for path in files if (match := _SHARD.fullmatch(path.name))}
    splits = sorted(set(of_split.values()))
    if files and (split is not None or len(splits) > 1):
        if split not in splits:
            there = ", ".join(splits) or "no names of splits"
            raise UserError(f"{folder} has the splits {there}: name one, as in {folder}:{[*splits, 'train'][0]}.")
        return [path for path in files if of_split.get(path) == split]
    return files


def _folder(source: str) -> tuple[Path | None, str | None]:
    """A folder and the split named behind it."""
    if Path(source).is_dir():
        return Path(source), None
    name, _, split = source.rpartition(":")
    return (Path(name), split) if name and Path(name).is_dir() and "@" not in split else (None, None)


def _suffix(path: Path) -> str:
    """The format's suffix, whether packed or not; empty where it is none that is read."""
    inner = path.with_suffix("") if path.suffix in PACKED else path
    return inner.suffix if inner.suffix in SUFFIXES else ""


def _folder_rows(folder: Path, files: list[Path], wanted: Wanted) -> Iterator[Row]:
    if not files:
        raise UserError(f"{folder} holds no data file: give a folder with files that end in {', '.join(SUFFIXES)}.")
    before = 0
    for path in files:
        last = before
        for row in _file_rows(path, wanted):
            last = before + row.number
            columns = {**row.columns, FOLDER_COLUMN: path.parent.name} if wanted and FOLDER_COLUMN in wanted else None
            yield replace(row, index=last, columns=columns or row.columns)
        before = last


def _file_rows(path: Path, wanted: Wanted) -> Iterator[Row]:
    suffix = ".arrow" if path.suffix == ".arrow" else _suffix(path)
    try:
        with open_file(path) as file:
            if suffix == ".jsonl":
                yield from _lines(path, file)
            elif suffix == ".json":
                yield from numbered(str(path), json_rows(path, file))
            elif suffix in (".csv", ".tsv"):
                yield from numbered(str(path), csv_rows(path, file, "\t" if suffix == ".tsv" else ","))
            elif suffix == ".parquet":
                yield from numbered(str(path), parquet_rows(path, _seekable(path, file), wanted))
            elif suffix == ".arrow":
                yield from numbered(str(path), arrow_rows(path, file))
            else:
                raise UserError(f"{path} has an unknown suffix: convert it to one of {', '.join(SUFFIXES)}.")
    except FileNotFoundError as error:
        raise UserError(f"There is no file {path}: check the path.") from error
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise UserError(f"{path} is damaged ({error}): pack it again.") from error
    except OSError as error:
        reason = str(error.strerror or error).partition("\n")[0]
        raise UserError(f"Cannot read {path} ({reason}): check the file.") from error


def open_file(path: Path) -> IO[bytes]:
    """The file's bytes, unpacked where it is .gz or .zst."""
    if path.suffix == ".gz":
        return gzip.open(path, "rb")  # type: ignore[return-value]
    if path.suffix == ".zst":
        pyarrow: Any = import_module("pyarrow")
        return io.BufferedReader(pyarrow.input_stream(str(path), compression="zstd"))
    return path.open("rb")


def _seekable(path: Path, file: IO[bytes]) -> IO[bytes]:
    """Parquet is read from its end: a packed file is unpacked into a temporary one."""
    if path.suffix not in PACKED:
        return file
    unpacked = TemporaryFile()  # noqa: SIM115 (closed with the reader)
    shutil.copyfileobj(file, unpacked, 2**20)
    unpacked.seek(0)
    return unpacked


def _lines(path: Path, file: IO[bytes]) -> Iterator[Row]:
    for number, columns in jsonl_rows(path, file):
        yield _row(str(path), number, columns, "line")


def numbered(file: str, rows: Iterator[Any]) -> Iterator[Row]:
    """Rows by their numbers, from 1; what is no object with named columns has its fault."""
    for number, columns in enumerate(rows, start=1):
        yield _row(file, number, columns, "row")


def _row(file: str, number: int, columns: Any, unit: str) -> Row:
    if isinstance(columns, RowError):
        return Row(file, number, number, {}, unit, columns)
    if type(columns) is not dict:
        fault = RowError("wrong type", "a row must be an object with named columns, {...}")
        return Row(file, number, number, {}, unit, fault)
    return Row(file, number, number, columns, unit)  # pyright: ignore[reportUnknownArgumentType]
