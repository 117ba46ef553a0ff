"""`cdr-eval store`: tells what is there, changes nothing it need not, and loses no score."""

import threading
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from cdr_eval.errors import UserError
from cdr_eval.harness.cli.store import store
from cdr_eval.harness.running.claims import Claims
from cdr_eval.harness.running.store import ScoreStore
from cdr_eval.harness.running.store_upkeep import check_store, compact_store, store_contents
from click.testing import CliRunner, Result


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(store, [str(argument) for argument in arguments])


def key(number: int) -> bytes:
    return number.to_bytes(16, "big")


def filled(folder: Path, chunks: int = 6, size: int = 5) -> dict[bytes, float]:
    """A store of some chunks of two checkpoints; returns its scores."""
    opened = ScoreStore(folder)
    found: dict[bytes, float] = {}
    for chunk in range(chunks):
        keys = [key(chunk * size + i) for i in range(size)]
        values = [-1.5 * (chunk * size + i) for i in range(size)]
        opened.append(keys, values, [3] * size, "even" if chunk % 2 == 0 else "[b]odd")
        found |= dict(zip(keys, values, strict=True))
    return found


def everything(folder: Path, expected: dict[bytes, float]) -> None:
    values, found = ScoreStore(folder).lookup(list(expected))
    assert found.all()
    assert np.array_equal(values, list(expected.values()), equal_nan=True)


def files(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def test_check_says_what_is_there(tmp_path: Path):
    filled(tmp_path)
    result = run("check", "--store", tmp_path)
    assert (result.exit_code, result.output) == (0, f"{tmp_path}: 30 scores in 6 chunks.\n")


def test_check_names_damage_and_changes_nothing(tmp_path: Path):
    filled(tmp_path)
    chunk = sorted(tmp_path.glob("*.parquet"))[2]
    chunk.write_bytes(chunk.read_bytes()[:-1])
    (tmp_path / ".1.tmp").write_bytes(b"PAR1")
    before = files(tmp_path)
    result = run("check", "--store", tmp_path)
    assert result.exit_code == 2
    assert "25 scores in 5 chunks" in result.output
    assert f"Damaged: {chunk}" in result.output
    assert "1 unfinished file of killed runs" in result.output
    assert files(tmp_path) == before


def test_check_tells_who_scores(tmp_path: Path):
    filled(tmp_path)
    claim = Claims(tmp_path).take("weights")
    assert claim is not None
    assert check_store(tmp_path).claims == (Claims(tmp_path).owner("weights"),)
    claim.close()
    assert check_store(tmp_path).claims == ()


@pytest.mark.parametrize("command", ["check", "compact", "show"])
def test_what_is_no_store_is_left_alone(tmp_path: Path, command: str):
    result = run(command, "--store", tmp_path / "none")
    assert isinstance(result.exception, UserError)
    assert "is no score store" in str(result.exception)
    assert list(tmp_path.iterdir()) == []


def test_show_counts_by_checkpoint(tmp_path: Path):
    filled(tmp_path)
    size = sum(chunk.stat().st_size for chunk in tmp_path.glob("*.parquet"))
    rows = store_contents(tmp_path)
    assert [(row.checkpoint, row.scores, row.tokens) for row in rows] == [("[b]odd", 15, 45), ("even", 15, 45)]
    assert sum(row.bytes for row in rows) == size
    output = run("show", "--store", tmp_path).output
    assert "[b]odd" in output
    assert f"{size:,}" in output


def test_compact_keeps_every_score_and_leaves_one_chunk_a_checkpoint(tmp_path: Path):
    expected = filled(tmp_path)
    (tmp_path / ".1.tmp").write_bytes(b"PAR1")
    assert run("compact", "--store", tmp_path).output == f"{tmp_path}: 6 chunks before, 2 now.\n"
    everything(tmp_path, expected)
    assert len(list(tmp_path.glob("*.parquet"))) == 2
    assert list(tmp_path.glob(".*")) == []
    before = files(tmp_path)
    assert compact_store(tmp_path) == (2, 2)
    assert files(tmp_path) == before


def test_compact_keeps_each_score_once_and_the_bits_of_the_one_in_use(tmp_path: Path):
    first, second = ScoreStore(tmp_path), ScoreStore(tmp_path)
    first.append([key(1), key(2)], [-1.0, float("nan")], [1, 1], "m")
    second.append([key(1), key(3)], [np.nextafter(-1.0, 0), -3.0], [1, 1], "m")
    before, _ = ScoreStore(tmp_path).lookup([key(1), key(2), key(3)])
    compact_store(tmp_path)
    assert len(ScoreStore(tmp_path)) == 3
    after, found = ScoreStore(tmp_path).lookup([key(1), key(2), key(3)])
    assert found.all()
    assert np.array_equal(before, after, equal_nan=True)


def test_compact_sets_damage_aside(tmp_path: Path):
    filled(tmp_path)
    chunk = sorted(tmp_path.glob("*.parquet"))[0]
    chunk.write_bytes(b"damaged")
    compact_store(tmp_path)
    assert (tmp_path / "damaged" / chunk.name).read_bytes() == b"damaged"
    assert len(ScoreStore(tmp_path)) == 25


def test_compact_leaves_a_living_runs_temporary_files(tmp_path: Path):
    filled(tmp_path)
    (tmp_path / ".1.tmp").write_bytes(b"PAR1")
    claim = Claims(tmp_path).take("weights")
    assert claim is not None
    compact_store(tmp_path)
    assert (tmp_path / ".1.tmp").exists()
    claim.close()


def test_two_do_not_compact_at_once(tmp_path: Path):
    filled(tmp_path)
    claim = Claims(tmp_path).take("compact")
    assert claim is not None
    with pytest.raises(UserError, match="wait until it is done"):
        compact_store(tmp_path)
    claim.close()


def test_writers_and_readers_while_the_store_is_compacted_again_and_again(tmp_path: Path):
    expected = filled(tmp_path)
    stop = threading.Event()
    faults: list[str] = []

    def read() -> None:
        opened = ScoreStore(tmp_path)
        while not stop.is_set():
            for reader in (opened, ScoreStore(tmp_path)):
                reader.refresh()
                if not reader.lookup(list(expected))[1].all() or reader.damaged:
                    faults.append("a score was missing")

    readers = [threading.Thread(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()
    writer = ScoreStore(tmp_path)
    late: dict[bytes, float] = {}
    for number in range(1000, 1030):
        writer.append([key(number)], [float(number)], [1], "late")
        late[key(number)] = float(number)
        if number % 3 == 0:
            compact_store(tmp_path)
    stop.set()
    for reader in readers:
        reader.join()
    assert faults == []
    everything(tmp_path, expected | late)


def test_the_columns_stay_as_they_are(tmp_path: Path):
    filled(tmp_path)
    compact_store(tmp_path)
    for chunk in tmp_path.glob("*.parquet"):
        assert pq.read_schema(chunk).names == ["key", "logprob", "tokens", "checkpoint"]
