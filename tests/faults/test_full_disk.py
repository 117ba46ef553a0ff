"""No space left: a sentence, nothing half-written, nothing deleted, and the next run continues.

A limit on the size of files fails a write midway, as a full disk does.
"""

from pathlib import Path

import pytest

from tests.faults.rounds import Rounds, different, scores


@pytest.mark.parametrize("largest_file", [0, 50, 1000])
def test_no_space_for_scores(grid: Rounds, tmp_path: Path, largest_file: int):
    store = tmp_path / "store"
    assert grid.one(grid.command([*grid.grid, "--store", str(store), "--shard", "1/3"]))[0] == 0
    before = scores(store)
    code, output = grid.one(grid.job(store, None, largest_file=largest_file))
    assert code == 2
    assert "File too large" in output
    assert "pass another --store and run the same command again" in output
    assert scores(store) == before
    assert [*store.glob(".*"), *(store / "claims").iterdir()] == []
    assert grid.one(grid.job(store, None))[0] == 0
    assert scores(store) == scores(grid.clean_store)


@pytest.mark.parametrize("largest_file", [2_000, 40_000])
def test_no_space_for_the_run_directory(grid: Rounds, tmp_path: Path, largest_file: int):
    out = tmp_path / "run"
    assert grid.one(grid.job(grid.clean_store, out))[0] == 0
    earlier = {str(file): file.read_bytes() for file in out.rglob("*") if file.is_file()}
    code, output = grid.one(grid.job(grid.clean_store, out, largest_file=largest_file))
    assert code == 2
    assert output.startswith("Error: ")
    assert f"The run cannot be written to {out} (File too large)" in output
    assert [path.name for path in tmp_path.iterdir()] == ["run"]
    assert {str(file): file.read_bytes() for file in out.rglob("*") if file.is_file()} == earlier
    assert grid.one(grid.job(grid.clean_store, out))[0] == 0
    assert different(out, grid.clean) == []
