"""The formats that rows lie in, packed or not, folders of shards, and what a reader may hold in memory."""

import csv
import gzip
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from cdr_eval.errors import UserError
from cdr_eval.tasks.item import Item
from cdr_eval.tasks.reading.items import read_plain
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

FUZZ = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
ROWS = [
    {
        "id": n,
        "prompt": f"Name river {n},\nplease.",
        "responses": [f"a{n}", 'b "quoted", \t', "c"],
        "scores": [3, 1, 2.5],
    }
    for n in range(7)
]


def flat(delimiter: str) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        with path.open("w", newline="", encoding="utf-8") as file:
            out = csv.writer(file, delimiter=delimiter)
            out.writerow(ROWS[0])
            out.writerows([json.dumps(v) if isinstance(v, list) else v for v in row.values()] for row in ROWS)

    return write


WRITERS: dict[str, Callable[[Path], Any]] = {
    ".jsonl": lambda path: path.write_text("".join(json.dumps(row) + "\n" for row in ROWS)),
    ".json": lambda path: path.write_text(json.dumps(ROWS)),
    ".parquet": lambda path: pq.write_table(pa.Table.from_pylist(ROWS), path, row_group_size=3),
    ".csv": flat(","),
    ".tsv": flat("\t"),
}


def expected() -> list[Item]:
    return [
        Item(str(row["id"]), "all", ({"role": "user", "content": row["prompt"]},), tuple(row["responses"]), (3, 1, 2.5))
        for row in ROWS
    ]


def pack(path: Path, packing: str) -> Path:
    packed = path.with_name(path.name + packing)
    if packing == ".gz":
        packed.write_bytes(gzip.compress(path.read_bytes()))
    else:
        with pa.output_stream(packed, compression="zstd") as out:
            out.write(path.read_bytes())
    path.unlink()
    return packed


@pytest.mark.parametrize("packing", ["", ".gz", ".zst"])
@pytest.mark.parametrize("suffix", WRITERS)
def test_every_format_packed_or_not_gives_the_same_items(tmp_path: Path, suffix: str, packing: str) -> None:
    path = tmp_path / f"p{suffix}"
    WRITERS[suffix](path)
    path = pack(path, packing) if packing else path
    assert list(read_plain(str(path))) == expected()


@pytest.mark.parametrize("packing", [".gz", ".zst"])
@pytest.mark.parametrize("keep", [0, 0.5, 0.9])
def test_a_packed_file_that_is_cut_off_is_refused(tmp_path: Path, packing: str, keep: float) -> None:
    path = tmp_path / "p.jsonl"
    path.write_text(
        "".join(json.dumps({"prompt": f"{n * n}", "chosen": f"{n}", "rejected": "x"}) + "\n" for n in range(9999))
    )
    path = pack(path, packing)
    path.write_bytes(path.read_bytes()[: int(keep * path.stat().st_size)])
    with pytest.raises(UserError) as error:
        list(read_plain(str(path)))
    assert "p.jsonl" in str(error.value)


def test_a_folder_of_shards_in_the_order_of_their_names(tmp_path: Path) -> None:
    for shard in (1, 0):
        rows = [{k: v for k, v in row.items() if k != "id"} for row in ROWS[4 * shard : 4 * shard + 4]]
        pq.write_table(pa.Table.from_pylist(rows), tmp_path / f"train-0000{shard}-of-00002.parquet")
    items = list(read_plain(str(tmp_path)))
    assert [item.id for item in items] == ["1", "2", "3", "4", "5", "6", "7"]
    assert [item.responses for item in items] == [item.responses for item in expected()]
    pq.write_table(pa.Table.from_pylist(ROWS[:2]), tmp_path / "test-00000-of-00001.parquet")
    assert len(list(read_plain(f"{tmp_path}:test"))) == 2
    assert len(list(read_plain(f"{tmp_path}:train"))) == 7
    for spec in (str(tmp_path), f"{tmp_path}:dev"):
        with pytest.raises(UserError, match=r"has the splits test, train: name one, as in .*:test\."):
            read_plain(spec)
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="holds no data file"):
        list(read_plain(str(tmp_path / "empty")))


def test_folders_that_save_to_disk_wrote(tmp_path: Path) -> None:
    import datasets

    whole: Any = datasets.Dataset.from_list(ROWS)
    whole.save_to_disk(tmp_path / "one", num_shards=3)
    assert list(read_plain(str(tmp_path / "one"))) == expected()
    datasets.DatasetDict({"train": whole, "test": whole.select(range(2))}).save_to_disk(tmp_path / "two")
    assert list(read_plain(f"{tmp_path / 'two'}:train")) == expected()
    assert list(read_plain(f"{tmp_path / 'two'}:test")) == expected()[:2]
    with pytest.raises(UserError, match="has the splits test, train: name one"):
        read_plain(str(tmp_path / "two"))


def test_a_large_file_is_not_held_in_memory(tmp_path: Path) -> None:
    path = tmp_path / "p.jsonl"
    text = "river " * 2000
    with path.open("w") as file:
        for n in range(20_000):
            file.write(json.dumps({"prompt": f"{n}", "chosen": text, "rejected": "x"}) + "\n")
    code = f"""
import resource
from cdr_eval.tasks.catalog import load_task
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
assert len(load_task({str(path)!r}).items) == 20_000
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert float(done.stdout) < 200, "MiB, for a file of 240"


def read_or_sentence(path: Path) -> None:
    try:
        items = list(read_plain(str(path)))
    except UserError as error:
        assert "\n" not in str(error)
        return
    assert items


@FUZZ
@given(st.sampled_from([f"p{s}{p}" for s in WRITERS for p in ("", ".gz", ".zst")]), st.binary(max_size=300))
def test_any_bytes_in_any_format_give_items_or_a_sentence(tmp_path: Path, name: str, content: bytes) -> None:
    path = tmp_path / name
    path.write_bytes(gzip.compress(content) if name.endswith(".gz") and len(content) % 2 else content)
    read_or_sentence(path)


@FUZZ
@given(st.sampled_from([",", "\t"]), st.text(max_size=80))
def test_any_text_in_a_table_gives_items_or_a_sentence(tmp_path: Path, delimiter: str, body: str) -> None:
    path = tmp_path / ("p.csv" if delimiter == "," else "p.tsv")
    path.write_text(f"prompt{delimiter}chosen{delimiter}rejected\n{body}", encoding="utf-8", errors="replace")
    read_or_sentence(path)
