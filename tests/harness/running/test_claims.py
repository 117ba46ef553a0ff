"""Claims: one owner at a time, and a dead owner's claim is taken over without comparing clocks."""

import json
import os
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from cdr_eval.errors import UserError
from cdr_eval.harness.running import claims
from cdr_eval.harness.running.claims import Claim, Claims

HOLD = """
import sys
from pathlib import Path
from cdr_eval.harness.running.claims import Claims
claim = Claims(Path(sys.argv[1])).take("m")
print(claim is not None, flush=True)
sys.stdin.read()
"""


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(claims, "BEAT_SECONDS", 0.05)
    monkeypatch.setattr(claims, "DEAD_SECONDS", 0.5)


def path_of(folder: Path) -> Path:
    return folder / "claims" / "m.claim"


def test_one_owner_at_a_time(tmp_path: Path):
    first, second = Claims(tmp_path), Claims(tmp_path)
    claim = first.take("m")
    assert claim is not None
    assert claim.held()
    assert second.take("m") is None
    assert first.take("m") is None
    other = second.take("another")
    assert other is not None
    assert second.owner("m") == f"process {os.getpid()} on {os.uname().nodename}"
    assert first.living() == ["another", "m"]
    claim.close()
    again = second.take("m")
    assert again is not None
    again.close()
    other.close()
    assert list((tmp_path / "claims").iterdir()) == []


def test_of_many_that_claim_at_once_one_gets_it(tmp_path: Path):
    with ThreadPoolExecutor(8) as pool:
        for name in map(str, range(30)):
            taken = [c for c in pool.map(lambda _, name=name: Claims(tmp_path).take(name), range(8)) if c]
            assert len(taken) == 1
            taken[0].close()


def test_a_claim_is_free_at_once_when_its_process_is_gone_from_this_machine(tmp_path: Path):
    command = [sys.executable, "-c", HOLD, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout
        assert owner.stdout.readline() == "True\n"
        assert Claims(tmp_path).take("m") is None
        owner.kill()
    assert path_of(tmp_path).exists()
    claim = Claims(tmp_path).take("m")
    assert claim is not None
    claim.close()


@pytest.mark.parametrize(
    "content", [b"", b"\xff\x00{", b'{"host": 3}', b'{"host": "h", "machine": "m", "pid": 1}...', b"{}"]
)
def test_an_unchanged_claim_of_whomever_is_taken_over_after_a_while(quick: None, tmp_path: Path, content: bytes):
    (tmp_path / "claims").mkdir()
    path_of(tmp_path).write_bytes(content)
    os.utime(path_of(tmp_path), (10, 10))  # however old it looks
    waiting = Claims(tmp_path)
    assert waiting.take("m") is None
    assert waiting.take("m") is None
    assert waiting.owner("m") in ("another process", "process 1 on h")
    time.sleep(0.6)
    claim = waiting.take("m")
    assert claim is not None
    claim.close()


def test_a_beating_claim_is_never_taken_over(quick: None, tmp_path: Path):
    claim = Claims(tmp_path).take("m")
    assert claim is not None
    text = path_of(tmp_path).read_text(encoding="utf-8")
    elsewhere = json.loads(text.partition("}")[0] + "}") | {"machine": "another"}
    waiting = Claims(tmp_path)
    assert elsewhere["pid"] == os.getpid()
    deadline = time.monotonic() + 1.5
    while time.monotonic() < deadline:
        assert waiting.take("m") is None
        time.sleep(0.05)
    claim.close()


def test_an_owner_that_lost_its_claim_knows_and_leaves_the_others_alone(tmp_path: Path):
    claim = Claims(tmp_path).take("m")
    assert isinstance(claim, Claim)
    path_of(tmp_path).unlink()
    assert not claim.held()
    other = Claims(tmp_path).take("m")
    assert other is not None
    claim.close()
    assert other.held()
    other.close()


def test_a_store_that_cannot_be_written(tmp_path: Path):
    with tempfile.NamedTemporaryFile() as file, pytest.raises(UserError, match="free space there or pass another"):
        Claims(Path(file.name)).take("m")
