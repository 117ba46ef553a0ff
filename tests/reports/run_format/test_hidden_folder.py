"""What a killed process leaves beside its results goes with the next success, and no living one's folder does."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from cdr_eval.reports.run_format.hidden_folder import hidden_folder

WRITER = """
import sys, time
from pathlib import Path
from cdr_eval.reports.run_format.hidden_folder import hidden_folder

with hidden_folder(Path(sys.argv[1])) as folder:
    (folder / "earlier").mkdir()
    print(folder, flush=True)
    time.sleep(120)
"""


def start_writer(target: Path) -> tuple[subprocess.Popen[str], Path]:
    """A process that is making something for `target`, and its hidden folder."""
    process = subprocess.Popen([sys.executable, "-c", WRITER, str(target)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    return process, Path(process.stdout.readline().strip())


def test_a_killed_processs_folder_is_removed_and_a_living_ones_stays(tmp_path: Path):
    target = tmp_path / "run[1]*"
    (killed, left), (living, kept) = start_writer(target), start_writer(target)
    other, others = start_writer(tmp_path / "run[1]*-2")
    try:
        for process in (killed, other):
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
        assert left.is_dir()
        with pytest.raises(ValueError, match="fails"), hidden_folder(target):
            raise ValueError("fails")
        assert left.is_dir(), "the earlier run may lie in it, so that a failure leaves it"
        with hidden_folder(target) as folder:
            assert folder.is_dir()
        assert sorted(tmp_path.iterdir()) == sorted([kept, others]), "another target's is not touched"
    finally:
        living.kill()
        living.wait()


def test_two_folders_of_one_process_do_not_remove_each_other(tmp_path: Path):
    with hidden_folder(tmp_path / "run") as outer:
        with hidden_folder(tmp_path / "run") as inner:
            assert inner != outer
        assert outer.is_dir()
        assert not inner.exists()
    assert list(tmp_path.iterdir()) == []
