"""Any bytes in a score store: scores, or damage that is set aside; never another error."""

import hashlib
import io
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from cdr_eval.harness.running.store import SCHEMA, ScoreStore
from hypothesis import given, settings
from hypothesis import strategies as st

KEYS = st.lists(st.binary(min_size=16, max_size=16), min_size=1, max_size=3, unique=True)


def parquet(table: pa.Table) -> bytes:
    stream = io.BytesIO()
    pq.write_table(table, stream)
    return stream.getvalue()


@st.composite
def chunks(draw: st.DrawFn) -> bytes:
    """A chunk, one with bytes changed or cut off, a Parquet file of other columns or with gaps, or any bytes."""
    kind = draw(st.sampled_from(["whole", "damaged", "foreign", "gaps", "bytes"]))
    if kind == "bytes":
        return draw(st.binary(max_size=200))
    if kind == "foreign":
        return parquet(
            pa.table(draw(st.dictionaries(st.sampled_from([*SCHEMA.names, "x"]), st.just([1, 2]), min_size=1)))
        )
    keys = draw(KEYS)
    values = draw(st.lists(st.floats(), min_size=len(keys), max_size=len(keys)))
    columns: dict[str, list[Any]] = {
        "key": [*keys],
        "logprob": values,
        "tokens": [1] * len(keys),
        "checkpoint": ["m"] * len(keys),
    }
    if kind == "gaps":
        columns[draw(st.sampled_from(SCHEMA.names))][0] = None
    content = bytearray(parquet(pa.Table.from_pydict(columns, schema=SCHEMA)))
    if kind == "damaged":
        for position in draw(st.lists(st.integers(0, len(content) - 1), min_size=1, max_size=5)):
            content[position] ^= draw(st.integers(1, 255))
        content = content[: draw(st.integers(0, len(content)))]
    return bytes(content)


@settings(deadline=None)
@given(content=chunks(), named_by_hash=st.booleans())
def test_any_bytes_are_scores_or_damage(tmp_path_factory: pytest.TempPathFactory, content: bytes, named_by_hash: bool):
    folder: Path = tmp_path_factory.getbasetemp() / hashlib.sha256(content).hexdigest()
    folder.mkdir(exist_ok=True)
    name = hashlib.blake2b(content, digest_size=16).hexdigest() if named_by_hash else "0" * 32
    chunk = folder / f"{name}.parquet"
    chunk.write_bytes(content)
    store = ScoreStore(folder)
    if store.damaged:
        assert (folder / "damaged" / chunk.name).read_bytes() == content
        assert len(store) == 0
    else:
        assert named_by_hash
        chunk.unlink()
        keys: Any = pq.read_table(io.BytesIO(content))["key"].to_pylist()
        assert store.lookup(keys)[1].all()
        assert len(np.unique(keys)) <= len(store)
