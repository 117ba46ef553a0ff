"""A full disk, a read-only folder and a kill, in processes of their own: no scores are lost and none half-written."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from cdr_eval.harness.running.store import ScoreStore

PRELUDE = """
import os, sys, resource, signal
from pathlib import Path
from cdr_eval.errors import UserError
from cdr_eval.harness.running.store import ScoreStore
folder = Path(sys.argv[1])
def write(store, first, count):
    keys = [number.to_bytes(16, "big") for number in range(first, first + count)]
    store.append(keys, [float(n) for n in range(count)], [1] * count, "m")
def unprivileged():
    if os.geteuid() == 0:
        os.seteuid(65534)
"""


def run(script: str, folder: Path) -> list[str]:
    command = [sys.executable, "-c", PRELUDE + script, str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.fixture
def open_to_all() -> Iterator[Path]:
    """A folder that users other than root reach too: root may write everywhere, so the scripts give it up."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield folder
        folder.chmod(0o755)


def names(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.iterdir())


def test_no_space_for_a_chunk(tmp_path: Path):
    # A limit on file sizes fails a write midway, as a full disk does.
    script = """
store = ScoreStore(folder)
write(store, 0, 10)
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (8192, 8192))
try:
    write(store, 10, 100_000)
except UserError as error:
    print(error)
print(len(store), store.lookup([(50).to_bytes(16, "big")])[1].any())
write(store, 200_000, 1)
"""
    sentence, after = run(script, tmp_path)
    assert "free space there or pass another --store" in sentence
    assert "keeps every score written so far" in sentence
    assert after == "10 False"
    assert sorted(Path(name).suffix for name in names(tmp_path)) == ["", ".parquet", ".parquet"]
    store = ScoreStore(tmp_path)
    assert len(store) == 11
    assert store.damaged == []


def test_no_space_for_a_new_store(tmp_path: Path):
    script = """
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
try:
    ScoreStore(folder)
except UserError as error:
    print(error)
"""
    (sentence,) = run(script, tmp_path / "new")
    assert "pass another with --store" in sentence
    assert names(tmp_path / "new") == []


def test_a_read_only_store_can_be_read_but_not_written(open_to_all: Path):
    script = """
write(ScoreStore(folder), 0, 10)
damaged = folder / ("0" * 32 + ".parquet")
damaged.write_bytes(b"damaged")
folder.chmod(0o555)
unprivileged()
store = ScoreStore(folder)
print(len(store), store.damaged == [damaged.name])
try:
    write(store, 10, 10)
except UserError as error:
    print(error)
"""
    after, sentence = run(script, open_to_all)
    assert after == "10 True"
    assert "pass another --store" in sentence


def test_a_chunk_that_may_not_be_read(open_to_all: Path):
    script = """
write(ScoreStore(folder), 0, 10)
[chunk] = folder.glob("*.parquet")
chunk.chmod(0)
unprivileged()
try:
    ScoreStore(folder)
except UserError as error:
    print(error)
"""
    (sentence,) = run(script, open_to_all)
    assert "mend its permissions or pass another folder with --store" in sentence


def test_a_new_store_in_a_read_only_folder(open_to_all: Path):
    script = """
folder.chmod(0o555)
unprivileged()
try:
    ScoreStore(folder / "new")
except UserError as error:
    print(error)
"""
    (sentence,) = run(script, open_to_all)
    assert "cannot be written" in sentence
    assert names(open_to_all) == []


def test_a_killed_writer_leaves_whole_chunks_only(tmp_path: Path):
    script = """
store = ScoreStore(folder)
for number in range(10**6):
    write(store, number * 50_000, 50_000)
"""
    command = [sys.executable, "-c", PRELUDE + script, str(tmp_path)]
    with subprocess.Popen(command) as writer:
        deadline = time.monotonic() + 60
        while len(list(tmp_path.glob("*.parquet"))) < 3 and time.monotonic() < deadline:
            time.sleep(0.01)
        os.kill(writer.pid, signal.SIGKILL)
    store = ScoreStore(tmp_path)
    chunks = len(list(tmp_path.glob("*.parquet")))
    assert chunks >= 3
    assert store.damaged == []
    assert len(store) == 50_000 * chunks
