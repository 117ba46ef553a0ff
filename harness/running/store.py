"""The score store: content-addressed, append-only Parquet chunks that any process can add to.

A chunk's file name is the hash of its bytes, so damage of any kind is seen when it is read. A chunk is written under a
temporary name and renamed, so that a killed run loses at most the chunk in flight.
"""

import errno
import hashlib
import itertools
import json
import os
import uuid
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet
from numpy.typing import NDArray

from ...errors import UserError

pq: Any = pyarrow.parquet  # partly untyped

FORMAT = "1"
_MARKER = "FORMAT"
_REPORTS = "scorers"
_NO_POSITION = np.array([-1], dtype="<i4").tobytes()
_KEY = np.dtype("S16")
"""numpy ignores zero bytes at a string's end, which is no loss where all strings are equally long."""
SCHEMA = pa.schema(
    [("key", pa.binary(16)), ("logprob", pa.float64()), ("tokens", pa.int32()), ("checkpoint", pa.string())]
)


class ScoreKeys:
    """Makes the keys of one checkpoint's scores: hashes of everything that can change a score."""

    def __init__(self, weights: str, dtype: str, scorer: str) -> None:
        self._checkpoint = hashlib.blake2b("\0".join((FORMAT, weights, dtype, scorer)).encode(), digest_size=16)
        self.identity = self._checkpoint.hexdigest()
        """Of checkpoint, precision and scorer: what a scorer's report is filed under."""

    def keys(self, token_ids: NDArray[np.int32], scored: NDArray[np.bool_], offsets: NDArray[np.int64]) -> list[bytes]:
        """The keys of n requests, 16 bytes each, from their tokens and the positions of the scored ones.

        Args:
            token_ids: (T,), those of one request after another.
            scored: (T,), whether a token is scored.
            offsets: (n + 1,), where each request's tokens start.
        """
        places = np.flatnonzero(scored)
        ends = np.searchsorted(places, offsets)
        within = places - np.repeat(offsets[:-1], np.diff(ends))
        tokens, positions = token_ids.astype("<i4", copy=False).tobytes(), within.astype("<i4").tobytes()
        spans = zip(*(itertools.pairwise((4 * starts).tolist()) for starts in (offsets, ends)), strict=True)
        return [self._key(tokens[a:b], positions[c:d]) for (a, b), (c, d) in spans]

    def _key(self, tokens: bytes, positions: bytes) -> bytes:
        state = self._checkpoint.copy()
        state.update(tokens)
        state.update(_NO_POSITION + positions)
        return state.digest()


_Run = tuple[NDArray[np.bytes_], NDArray[np.float64]]
"""Keys in order with their log-probabilities."""


@dataclass(slots=True)
class ScorerReport:
    """What the scorer of a checkpoint had to say."""

    notes: list[str] = field(default_factory=list[str])
    """Sentences that whoever reads the results must see, such as a fallback."""
    trial: dict[str, Any] = field(default_factory=dict[str, Any])
    """Figures of how the scorer was checked against a plain pass."""

    def joined(self, later: "ScorerReport") -> "ScorerReport":
        """Every note of both once, and the later trial that there is."""
        return ScorerReport(list(dict.fromkeys([*self.notes, *later.notes])), later.trial or self.trial)


@dataclass
class ScoreStore:
    """A folder of score chunks.

    Raises UserError where the folder cannot be written or holds a newer format.
    """

    folder: Path
    damaged: list[str] = field(default_factory=list[str], init=False)
    """Chunks that were set aside in `damaged/` because their bytes do not match their name."""
    _seen: set[str] = field(default_factory=set[str], init=False)
    _runs: list[_Run] = field(default_factory=list[_Run], init=False)
    """From old to new, each at least twice as long as the next: adding n scores one by one costs n log² n."""

    def __post_init__(self) -> None:
        marker = self.folder / _MARKER
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            if not marker.exists():
                _write_atomically(marker, FORMAT.encode())
        except OSError as error:
            raise UserError(
                f"The score store {self.folder} cannot be written ({error.strerror}); pass another with --store."
            ) from error
        check_format(self.folder)
        self.refresh()

    def __len__(self) -> int:
        return sum(len(keys) for keys, _ in self._runs)

    def refresh(self) -> bool:
        """Read the chunks that were added since, by this process or another; returns whether there were any."""
        tables: list[pa.Table] = []
        vanished: set[str] = set()
        # Another process may merge chunks into a new one meanwhile, so list until there is nothing new.
        while new := [c for c in sorted(self.folder.glob("*.parquet")) if c.name not in self._seen | vanished]:
            for chunk in new:
                try:
                    table = read_chunk(chunk)
                except FileNotFoundError:
                    vanished.add(chunk.name)
                    continue
                self._seen.add(chunk.name)
                if table is None:
                    self._set_aside(chunk)
                else:
                    tables.append(table)
        if tables:
            self._extend(*tables)
        return bool(tables)

    def lookup(self, keys: Sequence[bytes]) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """The keys' log-probabilities and whether the store has them (NaN where it has not)."""
        wanted = np.array(keys, dtype=_KEY)
        values, found = np.full(len(keys), np.nan), np.zeros(len(keys), dtype=bool)
        for known, logprobs in self._runs:
            left = np.flatnonzero(~found)
            places = np.minimum(np.searchsorted(known, wanted[left]), len(known) - 1)
            here = known[places] == wanted[left]
            values[left[here]] = logprobs[places[here]]
            found[left[here]] = True
        return values, found

    def _extend(self, *tables: pa.Table) -> None:
        """Add scores to what `lookup` finds; of two scores of one key the first one counts."""
        table = pa.concat_tables(tables)
        if not table.num_rows:
            return
        column: Any = table["key"].combine_chunks()
        buffer = column.buffers()[1] or b""
        keys: NDArray[np.bytes_] = np.frombuffer(buffer, _KEY, len(column), _KEY.itemsize * column.offset)
        self._runs.append((keys, table["logprob"].to_numpy()))
        while len(self._runs) > 1 and len(self._runs[-2][0]) < 2 * len(self._runs[-1][0]):
            last, before = self._runs.pop(), self._runs.pop()
            self._runs.append((np.concatenate([before[0], last[0]]), np.concatenate([before[1], last[1]])))
        keys, logprobs = self._runs[-1]
        order = np.argsort(keys, kind="stable")
        self._runs[-1] = keys[order], logprobs[order]

    def report(self, identity: str) -> ScorerReport:
        """What the scorer of the checkpoint's scores had to say when it computed them."""
        try:
            data: Any = json.loads((self.folder / _REPORTS / f"{identity}.json").read_text(encoding="utf-8"))
            return ScorerReport([str(note) for note in data["notes"]], dict(data["trial"]))
        except (OSError, ValueError, KeyError, TypeError):
            return ScorerReport()

    def add_report(self, identity: str, report: ScorerReport) -> None:
        """Keep what a scorer had to say with its scores, for runs that find them here."""
        before = self.report(identity)
        both = before.joined(report)
        if both == before:
            return
        text = json.dumps(asdict(both))
        path = self.folder / _REPORTS / f"{identity}.json"
        try:
            path.parent.mkdir(exist_ok=True)
            _write_atomically(path, text.encode())
        except OSError as error:
            raise _unwritable(self.folder, error) from error

    def append(self, keys: Sequence[bytes], logprobs: Sequence[float], tokens: Sequence[int], checkpoint: str) -> None:
        """Write one chunk of scores and make them part of what `lookup` finds.

        Raises UserError where the disk is full or the folder read-only; nothing half-written is left as a chunk.
        """
        names = [checkpoint] * len(keys)
        columns: dict[str, Any] = {"key": keys, "logprob": logprobs, "tokens": tokens, "checkpoint": names}
        table = pa.Table.from_pydict(columns, schema=SCHEMA)
        self._seen.add(write_chunk(self.folder, table).name)
        self._extend(table)

    def _set_aside(self, chunk: Path) -> None:
        """Move a damaged chunk to `damaged/`, so that it is seen once; its scores count as missing."""
        self.damaged.append(chunk.name)
        aside = self.folder / "damaged"
        with suppress(OSError):  # the folder is read-only, or another process was faster
            aside.mkdir(exist_ok=True)
            chunk.replace(aside / chunk.name)


def check_format(folder: Path) -> None:
    """Raise UserError where a folder is no score store, or one that another version wrote."""
    try:
        found = (folder / _MARKER).read_text(encoding="utf-8", errors="replace").strip()
    except OSError as error:
        raise UserError(f"{folder} is no score store ({error.strerror}); pass another with --store.") from error
    if found != FORMAT:
        raise UserError(
            f"The score store {folder} has format {found[:20]!r} and this version reads {FORMAT!r}; "
            "update cdr-eval or pass another folder with --store."
        )


def read_chunk(chunk: Path) -> pa.Table | None:
    """A chunk's scores; None where its bytes are not those that were written.

    Raises FileNotFoundError where another process merged it or set it aside, UserError where it cannot be read.
    """
    try:
        content = chunk.read_bytes()
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ESTALE):
            raise FileNotFoundError from error
        raise UserError(
            f"{chunk} cannot be read ({error.strerror}); mend its permissions or pass another folder with --store."
        ) from error
    if _digest(content) != chunk.stem:
        return None
    try:
        # Threads of Arrow that a process outlives abort it now and then where it ends soon after.
        table: pa.Table = pq.ParquetFile(pa.BufferReader(content)).read(use_threads=False).cast(SCHEMA)
    except (pa.ArrowException, OSError, ValueError, KeyError):
        return None
    return None if any(column.null_count for column in table.columns) else table


def write_chunk(folder: Path, table: pa.Table) -> Path:
    """Write one chunk, whole or not at all, and return its path.

    Raises UserError where the folder cannot be written.
    """
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink)
    content = sink.getvalue().to_pybytes()
    chunk = folder / f"{_digest(content)}.parquet"
    try:
        _write_atomically(chunk, content)
    except OSError as error:
        raise _unwritable(folder, error) from error
    return chunk


def _unwritable(folder: Path, error: OSError) -> UserError:
    return UserError(
        f"Scores cannot be written to {folder} ({error.strerror}); free space there or pass another "
        "--store and run the same command again, which keeps every score written so far."
    )


def _digest(content: bytes) -> str:
    return hashlib.blake2b(content, digest_size=16).hexdigest()


def _write_atomically(path: Path, content: bytes) -> None:
    temporary = path.with_name(f".{uuid.uuid4().hex}.tmp")
    try:
        with temporary.open("wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(path)
        _sync_folder(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    """Make a rename outlast a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):  # some network file systems do this by themselves and refuse the call
            os.fsync(descriptor)
    finally:
        os.close(descriptor)
