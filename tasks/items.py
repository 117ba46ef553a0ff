"""The items of a task: what is small in memory, the texts in chunks that go to the disk when they grow large."""

import json
import os
from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import fields
from functools import cached_property
from operator import eq
from tempfile import TemporaryFile
from typing import IO, Any, cast, overload
from weakref import finalize

import numpy as np
from numpy.typing import NDArray

from .item import Item, content_hash, prompt_hash

CHUNK_RESPONSES = 2_048
CHUNK_CHARS = 2**22
"""A chunk ends with the item that reaches either: what is rendered and scored in one go."""
MEMORY_BYTES = 2**26
"""Texts beyond this lie on the disk, in a temporary file without a name."""
_FIELDS = [f.name for f in fields(Item)]


class Items(Sequence[Item]):
    """Read-only; n items with R responses in all, flat in the order of the items."""

    def __init__(self, items: Iterable[Item]) -> None:
        self.ids: list[str] = []
        self.subsets: list[str] = []
        self.clusters: list[str] = []
        """Items that share a label are drawn together when items are resampled: those of a problem, else of a group,
        else of equal prompts, whose label is that of the first."""
        self.groups: list[str] = []
        """Empty where an item belongs to none."""
        self.roles: list[str] = []
        self.pairs: dict[int, tuple[tuple[int, int], ...]] = {}
        """Item → the comparisons that count, where not all do."""
        self.chunks: list[range] = []
        """The items of each chunk."""
        self._memory = bytearray()
        self._file: IO[bytes] | None = None
        self._places: list[tuple[int, int]] = []
        """Where each chunk starts, and its bytes, in the file if there is one."""
        self._last: tuple[int, tuple[Item, ...]] = (-1, ())
        counts, grades, styles, chars = array("q"), array("d"), array("q"), array("q")
        chunk: list[Item] = []
        first: dict[str, str] = {}
        responses = size = 0
        for item in items:
            self._note(item, counts, grades, styles, chars)
            self.clusters.append(_cluster(item, first))
            chunk.append(item)
            responses += len(item.responses)
            size += sum(map(len, item.responses)) + len(item.responses) * sum(len(t["content"]) for t in item.prompt)
            if responses >= CHUNK_RESPONSES or size >= CHUNK_CHARS:
                self._write(chunk)
                chunk, responses, size = [], 0, 0
        if chunk:
            self._write(chunk)
        self.counts = np.array(counts, dtype=np.intp)
        """(n,) responses of each item."""
        self.offsets: NDArray[np.intp] = np.concatenate([[0], np.cumsum(self.counts)]).astype(np.intp)
        """(n + 1,) where each item's responses start."""
        self.grades: NDArray[np.float64] = np.array(grades)
        """(R,) NaN where a response has none."""
        self.styles: NDArray[np.int64] = np.array(styles, dtype=np.int64)
        """(R,) −1 where a response has none."""
        self.chars: NDArray[np.int64] = np.array(chars, dtype=np.int64)
        """(R,) characters of each response."""

    def __len__(self) -> int:
        return len(self.ids)

    @overload
    def __getitem__(self, index: int) -> Item: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Item, ...]: ...
    def __getitem__(self, index: int | slice) -> Item | tuple[Item, ...]:
        if isinstance(index, slice):
            return tuple(self[i] for i in range(*index.indices(len(self))))
        number = range(len(self))[index]
        chunk = int(np.searchsorted([c.stop for c in self.chunks], number, side="right"))
        return self.chunk(chunk)[number - self.chunks[chunk].start]

    def __iter__(self) -> Iterator[Item]:
        for number in range(len(self.chunks)):
            yield from self.chunk(number)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, (Items, tuple)):
            return False
        items = cast(Sequence[Any], other)
        return len(self) == len(items) and all(map(eq, self, items))

    __hash__ = None  # type: ignore[assignment]

    def chunk(self, number: int) -> tuple[Item, ...]:
        """The items of one chunk."""
        held, items = self._last  # read once: another thread may put its own chunk there
        if held != number:
            rows: list[list[Any]] = json.loads(self._read(number))
            items = tuple(_item(row) for row in rows)
            self._last = number, items
        return items

    def __reduce__(self) -> tuple[type["Items"], tuple[list[Item]]]:
        """Made anew from the items, since the file belongs to this process."""
        return Items, (list(self),)

    @cached_property
    def content_hash(self) -> str:
        """See `item.content_hash`."""
        return content_hash(self)

    @property
    def owners(self) -> NDArray[np.intp]:
        """(R,) the item of each response."""
        return np.repeat(np.arange(len(self)), self.counts)

    def _note(self, item: Item, counts: Any, grades: Any, styles: Any, chars: Any) -> None:
        n = len(item.responses)
        if item.pairs:
            self.pairs[len(self.ids)] = item.pairs
        self.ids.append(item.id)
        self.subsets.append(item.subset)
        self.groups.append(item.group or "")
        self.roles.append(item.role)
        counts.append(n)
        grades.extend(item.grades or [np.nan] * n)
        styles.extend(item.styles or [-1] * n)
        chars.extend(map(len, item.responses))

    def _read(self, number: int) -> bytes | bytearray:
        """A chunk as it was written, by its position: threads and forked processes share the file's offset."""
        start, size = self._places[number]
        return self._memory[start : start + size] if self._file is None else os.pread(self._file.fileno(), size, start)

    def _write(self, chunk: list[Item]) -> None:
        raw = json.dumps([[getattr(item, name) for name in _FIELDS] for item in chunk]).encode("ascii")
        start = sum(self._places[-1]) if self._places else 0
        self._places.append((start, len(raw)))
        self._memory += raw
        if self._file is None and start + len(raw) > MEMORY_BYTES:
            self._file = TemporaryFile()  # noqa: SIM115 (it lives as long as the items)
            finalize(self, self._file.close)
        if self._file is not None:
            self._file.write(self._memory)
            self._file.flush()
            self._memory.clear()
        done = self.chunks[-1].stop if self.chunks else 0
        self.chunks.append(range(done, done + len(chunk)))


def _cluster(item: Item, first: dict[str, str]) -> str:
    """The label of an item's cluster; `first` takes the id of the first item of each prompt."""
    if item.problem:
        return f"problem {item.problem}"
    if item.group:
        return f"group {item.group}"
    return f"item {first.setdefault(prompt_hash(item.prompt), item.id)}"


def _item(row: list[Any]) -> Item:
    values = dict(zip(_FIELDS, row, strict=True))
    for name in ("prompt", "responses", "grades", "styles", "finish"):
        values[name] = tuple(values[name])
    values["pairs"] = tuple((a, b) for a, b in values["pairs"])
    return Item(**values)
