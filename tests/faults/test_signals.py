"""Ctrl-C and SIGTERM: one line, an exit code of their own, and every score kept."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.faults.rounds import Rounds, different, scores

SLOWLY = """
import sys, time
from cdr_eval.harness.running import runner, work_units
runner.CHUNK_SECONDS = 0.0
work_units.UNIT_TOKENS["cpu"] = 800
write = runner.Runner._write
def slowly(*arguments):
    write(*arguments)
    time.sleep(3.0)
runner.Runner._write = slowly
sys.argv = ["cdr-eval", *sys.argv[1:]]
from cdr_eval.harness.cli.main import main
main()
"""


@pytest.mark.parametrize(("sent", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_run_that_is_asked_to_stop(grid: Rounds, tmp_path: Path, sent: signal.Signals, code: int):
    store, out = tmp_path / "store", tmp_path / "run"
    command = [sys.executable, "-c", SLOWLY, *grid.grid, "--store", str(store), "--out", str(out)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as run:
        deadline = time.monotonic() + 90
        while not list(store.glob("*.parquet")) and time.monotonic() < deadline:
            time.sleep(0.05)
        run.send_signal(sent)
        printed, said = run.communicate(timeout=60)
    assert (run.returncode, printed) == (code, "")
    assert said.strip() == "Stopped. Run the same command again to continue; every score written so far is kept."
    kept = scores(store)
    assert kept
    assert kept.items() <= scores(grid.clean_store).items()
    assert list((store / "claims").iterdir()) == []
    assert not out.exists()
    assert grid.one(grid.job(store, out))[0] == 0
    assert different(out, grid.clean) == []
