"""Writing preference data as a data set of the hub: data/{train,test}-*.parquet, prompt by prompt."""

# pyright: reportUnknownMemberType=false
# (pyarrow's stubs leave its methods half typed)

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ...tasks.items import Items
from ..statistics.arrays import Codes, Floats, Mask
from .choosing import Pairs
from .formats import Format, PairOf, Render, Row, rows_of, rows_of_pair, schema_of

ROWS_PER_FILE: Final = 100_000
ROWS_AT_ONCE: Final = 1_000


@dataclass(frozen=True, slots=True, eq=False)
class PreferenceData:
    """The rows of a data set, made when they are written."""

    items: Items
    prompt_ids: Sequence[str]
    """(n,)"""
    domains: Sequence[str]
    """(n,)"""
    rewards: Floats
    """(R,)"""
    usable: Mask
    """(R,) the responses that were chosen from."""
    pairs: Pairs
    confidence: Floats
    """(P,)"""
    weight: Floats
    """(P,)"""
    format: Format
    test: frozenset[str]
    """Prompt ids of the test split."""
    render: Render | None

    @property
    def splits(self) -> dict[str, int]:
        """Split → rows; no test split where it would be empty."""
        per_item = np.bincount(self.pairs.item, minlength=len(self.items)).tolist()
        found = {"train": 0, "test": 0}
        for name, pairs in zip(self.prompt_ids, per_item, strict=True):
            found[self._split(name)] += rows_of_pair(self.format, pairs)
        return {split: rows for split, rows in found.items() if rows}

    def rows(self) -> Iterator[tuple[str, Row]]:
        """(split, row) of every row, in the order of the prompts."""
        bounds = np.searchsorted(self.pairs.item, np.arange(len(self.items) + 1)).tolist()
        for number, item in enumerate(self.items):
            pairs = slice(bounds[number], bounds[number + 1])
            if pairs.start == pairs.stop:
                continue
            start, end = self.items.offsets[number], self.items.offsets[number + 1]
            names = {"domain": self.domains[number], "prompt_id": self.prompt_ids[number]}
            rewards: list[float] = self.rewards[start:end].tolist()
            distinct: list[int] = np.flatnonzero(self.usable[start:end]).tolist()
            of_item = self._pairs(pairs, int(start))
            for row in rows_of(self.format, item, names, rewards, distinct, of_item, self.render):
                yield self._split(self.prompt_ids[number]), row

    def write(self, folder: Path) -> None:
        """Write data/*.parquet into the folder."""
        (folder / "data").mkdir()
        with ExitStack() as stack:
            writers = {split: _Writer(folder / "data", split, rows, self.format) for split, rows in self.splits.items()}
            for writer in writers.values():
                stack.callback(writer.close)
            for split, row in self.rows():
                writers[split].add(row)

    def _split(self, prompt_id: str) -> str:
        return "test" if prompt_id in self.test else "train"

    def _pairs(self, which: slice, start: int) -> list[PairOf]:
        columns: tuple[Codes | Floats, ...] = (
            self.pairs.chosen[which] - start,
            self.pairs.rejected[which] - start,
            self.weight[which],
            self.confidence[which],
            self.pairs.margin[which],
        )
        return [PairOf(*values) for values in zip(*(column.tolist() for column in columns), strict=True)]


def test_prompts(prompt_ids: Sequence[str], count: int) -> frozenset[str]:
    """So many of the prompts for the test split, by their hash alone: the same wherever the prompts are the same."""
    ordered = sorted(set(prompt_ids), key=lambda name: sha256(f"test {name}".encode()).hexdigest())
    return frozenset(ordered[:count])


class _Writer:
    """The files of one split."""

    def __init__(self, folder: Path, split: str, rows: int, kind: Format) -> None:
        files = -(-rows // ROWS_PER_FILE)
        self._paths = [folder / f"{split}-{number:05d}-of-{files:05d}.parquet" for number in range(files)]
        self._schema = schema_of(kind)
        self._rows: list[Mapping[str, object]] = []
        self._written = 0
        self._file = pq.ParquetWriter(self._paths[0], self._schema)

    def add(self, row: Row) -> None:
        """Write a row, at once or with those that follow."""
        if self._written == ROWS_PER_FILE:
            self._file.close()
            self._paths.pop(0)
            self._file, self._written = pq.ParquetWriter(self._paths[0], self._schema), 0
        self._rows.append(row)
        if len(self._rows) == ROWS_AT_ONCE or self._written + len(self._rows) == ROWS_PER_FILE:
            self._flush()

    def close(self) -> None:
        """Write what is left."""
        if self._rows:
            self._flush()
        self._file.close()

    def _flush(self) -> None:
        self._file.write_table(pa.Table.from_pylist(self._rows, schema=self._schema))
        self._written += len(self._rows)
        self._rows = []
