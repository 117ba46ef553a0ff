"""A run killed anywhere continues to the results of one that was not."""

import random
import shutil
from pathlib import Path

from cdr_eval.harness.running.store import ScoreStore
from cdr_eval.reports.run_format.reading import read_run

from tests.faults.rounds import KILLED, Rounds, different, rows, scores

AT_ONCE = 4


def test_killed_at_every_step_that_writes_to_the_store(grid: Rounds, tmp_path: Path):
    few = ("--limit", "4")
    assert grid.one(grid.job(tmp_path / "clean", None, *few))[0] == 0
    clean = scores(tmp_path / "clean")
    step = 0
    codes: list[int] = []
    while 0 not in codes:
        steps = range(step + 1, step + 1 + AT_ONCE)
        step += AT_ONCE
        stores = [tmp_path / str(k) for k in steps]
        asked = zip(steps, stores, strict=True)
        jobs = [grid.job(store, None, *few, kill_at=k, under=[str(store)]) for k, store in asked]
        codes = [code for code, _ in grid.all(jobs)]
        assert set(codes) <= {0, KILLED}
        left = [scores(store) for store in stores]
        assert all(part.items() <= clean.items() for part in left)
        assert all(code == 0 for code, _ in grid.all([grid.job(store, None, *few) for store in stores]))
        for store in stores:
            assert scores(store) == clean
            assert rows(store) == len(clean)
            assert ScoreStore(store).damaged == []
    assert step > 3 * 6, "a claim and some chunks for each of three checkpoints"


def test_killed_at_random_times_over_and_over(grid: Rounds, tmp_path: Path):
    times = random.Random(0)
    store, out = tmp_path / "store", tmp_path / "run"
    for _ in range(8):
        grid.one(grid.job(store, out, kill_after=times.uniform(0.05, 1.5)))
    code, output = grid.one(grid.job(store, out))
    assert code == 0, output
    assert scores(store) == scores(grid.clean_store)
    assert different(out, grid.clean) == []


def test_killed_at_steps_that_write_the_run_directory(grid: Rounds, tmp_path: Path):
    """There is the earlier run, or the new one, or for one step none: never half of one."""
    out, before = tmp_path / "run", tmp_path / "before"
    for folder in (out, before):
        assert grid.one(grid.job(grid.clean_store, folder, "--seed", "7"))[0] == 0
    assert different(before, grid.clean)
    step, last = 1, False
    while not last:
        under = [str(out), str(tmp_path / ".run-")]
        code, said = grid.one(grid.job(grid.clean_store, out, "--overwrite", kill_at=step, under=under))
        assert code in {0, KILLED}, said
        last = code == 0
        if not last and out.exists():
            read_run(out)
            assert [] in (different(out, before), different(out, grid.clean))
        step += 1 + step // 3
    assert different(out, grid.clean) == []
    assert list(tmp_path.glob(".run-*")) == [], "what the killed ones left is gone"
    assert step > 40


def test_compacting_killed_at_every_step(grid: Rounds, tmp_path: Path):
    clean = scores(grid.clean_store)
    step = 0
    codes: list[int] = []
    while 0 not in codes:
        steps = range(step + 1, step + 1 + AT_ONCE)
        step += AT_ONCE
        stores = [Path(shutil.copytree(grid.clean_store, tmp_path / str(k))) for k in steps]
        commands = [["store", "compact", "--store", str(store)] for store in stores]
        jobs = [grid.command(argv, kill_at=k, under=[argv[-1]]) for k, argv in zip(steps, commands, strict=True)]
        codes = [code for code, _ in grid.all(jobs)]
        assert all(scores(store) == clean for store in stores)
        assert all(code == 0 for code, _ in grid.all([grid.command(argv) for argv in commands]))
        for store in stores:
            assert scores(store) == clean
            assert rows(store) == len(clean)
            assert len(list(store.glob("*.parquet"))) == 3
            assert list(store.glob(".*")) == []
    assert step > 12
