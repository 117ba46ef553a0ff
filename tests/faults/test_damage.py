"""A byte changed in any file that a run leaves behind: scored again, rebuilt, or told; never believed."""

import random
import shutil
from pathlib import Path

from tests.faults.rounds import Rounds, different, result, scores

AT_ONCE = 4


def flip(file: Path, where: random.Random) -> None:
    """Change one bit of a file."""
    content = bytearray(file.read_bytes())
    content[where.randrange(len(content))] ^= 1 << where.randrange(8)
    file.write_bytes(content)


def test_damaged_chunks_are_set_aside_and_scored_again(grid: Rounds, tmp_path: Path):
    store = Path(shutil.copytree(grid.clean_store, tmp_path / "store"))
    chunks = sorted(store.glob("*.parquet"))
    where = random.Random(1)
    for chunk in chunks[::2]:
        flip(chunk, where)
    chunks[1].write_bytes(chunks[1].read_bytes()[:100])
    damaged = len(chunks[::2]) + 1
    code, output = grid.one(grid.command(["store", "check", "--store", str(store)]))
    assert (code, output.count("Damaged: ")) == (2, damaged)
    code, output = grid.one(grid.job(store, tmp_path / "run"))
    assert code == 0, output
    assert scores(store) == scores(grid.clean_store)
    assert len(list((store / "damaged").iterdir())) == damaged
    changed = {"leaderboard.md", "report.html", "run.json"}  # they tell of the damage
    assert set(different(tmp_path / "run", grid.clean)) == changed
    assert f"{damaged} damaged chunks" in (tmp_path / "run" / "leaderboard.md").read_text(encoding="utf-8")
    assert grid.one(grid.command(["store", "check", "--store", str(store)]))[0] == 0


def test_damage_of_the_stores_other_files(grid: Rounds, tmp_path: Path):
    store = Path(shutil.copytree(grid.clean_store, tmp_path / "store"))
    (store / "claims" / f"{'0' * 64}.claim").write_bytes(b"\xff\x00")
    (store / ".half.tmp").write_bytes(b"PAR1")
    code, output = grid.one(grid.job(store, tmp_path / "run"))
    assert code == 0, output
    assert different(tmp_path / "run", grid.clean) == []
    flip(store / "FORMAT", random.Random(2))
    code, output = grid.one(grid.job(store, tmp_path / "again"))
    assert code == 2
    assert "update cdr-eval or pass another folder with --store" in output
    assert scores(store) == scores(grid.clean_store)


def test_a_bit_changed_in_each_file_of_a_run_directory(grid: Rounds, tmp_path: Path):
    files = sorted(result(grid.clean))
    figures = [next(name for name in files if name.endswith(kind)) for kind in (".svg", ".png")]
    names = [*(name for name in files if "/" not in name), *figures]
    where = random.Random(3)
    copies: list[tuple[str, Path]] = []
    for number, name in enumerate(names):
        copy = Path(shutil.copytree(grid.clean, tmp_path / str(number)))
        flip(copy / name, where)
        copies.append((name, copy))
    told: set[str] = set()
    for start in range(0, len(copies), AT_ONCE):
        part = copies[start : start + AT_ONCE]
        ended = grid.all([grid.command(["report", str(copy)]) for _, copy in part])
        for (name, copy), (code, output) in zip(part, ended, strict=True):
            if code == 0:
                assert different(copy, grid.clean) == [], name
            else:
                assert code == 2
                assert output.startswith("Error: ")
                told.add(name)
    assert told == {
        name for name in result(grid.clean) if "/" not in name and name.endswith((".csv", ".parquet", ".json", "SUMS"))
    }
