"""Data sets and checkpoints through the real client libraries, from a server on this machine."""

import io
import json
import os
import random
import socket
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Thread
from typing import Any

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.hub_server import Hub, running_hub

CODE = """
import json, sys
from cdr_eval.errors import UserError
from cdr_eval.tasks.catalog import load_task
answers = []
for spec in sys.argv[1:]:
    try:
        task = load_task(spec)
        answers.append([item.responses[0][:20] for item in task.items])
    except UserError as error:
        answers.append(str(error))
print(json.dumps(answers))
"""
CHECKPOINT = """
import sys
from cdr_eval.errors import UserError
from cdr_eval.model_registry import checkpoint_files
from cdr_eval.model_registry.schema import Checkpoint
name, _, revision = sys.argv[1].partition("@")
try:
    found = checkpoint_files.localise(Checkpoint(name="x", model=name, label="x", revision=revision or None))
    print(found.weights, found.max_length)
except UserError as error:
    print(error)
"""


@pytest.fixture
def hub() -> Generator[Hub]:
    with running_hub() as hub:
        yield hub


def parquet(*responses: str) -> bytes:
    raw = io.BytesIO()
    rows = [{"prompt": f"q{n}", "chosen": response, "rejected": "no"} for n, response in enumerate(responses)]
    pq.write_table(pa.Table.from_pylist(rows), raw)
    return raw.getvalue()


def ask(hub: Hub | None, home: Path, code: str, *arguments: str, endpoint: str = "", **more: str) -> str:
    """The last line that the code prints; `endpoint` stands for a hub that is none."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("HF_")}
    environment |= {"HF_ENDPOINT": hub.endpoint if hub else endpoint, "HF_HOME": str(home), **more}
    environment["HF_HUB_DISABLE_TELEMETRY"] = "1"
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        capture_output=True,
        text=True,
        env=environment,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout.strip().splitlines()[-1]


def load(hub: Hub, home: Path, *specs: str) -> list[Any]:
    return json.loads(ask(hub, home, CODE, *specs))


def test_data_sets_by_split_configuration_and_revision_in_several_shards(hub: Hub, tmp_path: Path) -> None:
    plain = hub.repo("datasets", "org/plain")
    old = plain.commit(
        {
            "data/train-00000-of-00002.parquet": parquet("a", "b"),
            "data/train-00001-of-00002.parquet": parquet("c"),
            "data/test-00000-of-00001.parquet": parquet("t"),
        }
    )
    card = "---\nconfigs:\n- config_name: one\n  data_files:\n  - split: test\n    path: one/*.parquet\n"
    card += "- config_name: two\n  data_files:\n  - split: test\n    path: two/*.parquet\n---\n"
    configured = {"README.md": card.encode(), "one/x.parquet": parquet("1"), "two/x.parquet": parquet("2")}
    hub.repo("datasets", "org/configured").commit(configured)
    folders = {"train.jsonl": b'{"prompt": "q", "chosen": "main", "rejected": "no"}\n'}
    folders["preference/preference.jsonl"] = b'{"prompt": "q", "chosen": "in a folder", "rejected": "no"}\n'
    hub.repo("datasets", "org/folders").commit(folders)
    labels = datasets.Dataset.from_dict({"prompt": ["q"], "chosen": [1], "rejected": ["no"]})
    labels.cast_column("chosen", datasets.ClassLabel(names=["first", "second"])).to_parquet(named := io.BytesIO())
    hub.repo("datasets", "org/labels").commit({"data/test-00000-of-00001.parquet": named.getvalue()})
    answers = load(
        hub, tmp_path, "org/plain:train", "org/plain:test", "org/plain", "org/plain:dev", f"org/plain:test@{old}",
        "org/configured/two:test", "org/configured:test", "org/configured/three:test", "org/folders/preference:train",
        "org/labels:test",
    )  # fmt: skip
    assert answers[0] == ["a", "b", "c"]
    assert answers[1] == answers[4] == ["t"]
    assert "has the splits train, test: name one, as in org/plain:train." in answers[2]
    assert "Cannot load the dataset org/plain:dev from the hub" in answers[3]
    assert answers[5] == ["2"]
    assert "one" in answers[6]
    assert "two" in answers[6]
    assert "Cannot load the dataset org/configured/three:test" in answers[7]
    assert answers[8] == ["in a folder"]
    assert answers[9] == ["second"], "a class label is read by its name"


def test_a_revision_that_moves_and_one_that_is_pinned(hub: Hub, tmp_path: Path) -> None:
    repo = hub.repo("datasets", "org/moving")
    first = repo.commit({"data/test-00000-of-00001.parquet": parquet("old")})
    assert load(hub, tmp_path, "org/moving:test") == [["old"]]
    repo.commit({"data/test-00000-of-00001.parquet": parquet("new")})
    answers = load(hub, tmp_path, "org/moving:test", f"org/moving:test@{first}", f"org/moving:test@{'0' * 40}")
    assert answers[:2] == [["new"], ["old"]]
    assert "Cannot load the dataset org/moving:test@000" in answers[2]


def test_gated_and_missing_data_sets_are_one_sentence(hub: Hub, tmp_path: Path) -> None:
    hub.repo("datasets", "org/gated", gated=True).commit({"data/test-00000-of-00001.parquet": parquet("x")})
    gated, missing = load(hub, tmp_path, "org/gated:test", "org/missing:test")
    assert "gated" in gated
    assert "doesn't exist on the Hub" in missing
    for said in (gated, missing):
        assert "\n" not in said
        assert said.startswith("Cannot load the dataset org/")


def test_a_connection_that_drops_half_way_is_taken_up_again(hub: Hub, tmp_path: Path) -> None:
    """The client takes up again after whole pieces of 10 MiB; a smaller file it fetches anew."""
    noise = random.Random(0)
    big = [noise.randbytes(450_000).hex() for _ in range(30)]
    name = "data/test-00000-of-00001.parquet"
    hub.repo("datasets", "org/dropping").commit({name: parquet(*big)})
    hub.drop_once = {name}
    assert load(hub, tmp_path, "org/dropping:test") == [[text[:20] for text in big]]
    assert any(found == name for found, _ in hub.ranges), "the rest is asked for, not the whole again"


def test_checkpoints_by_revision_gated_missing_and_with_a_dropped_connection(hub: Hub, tmp_path: Path) -> None:
    repo, weights = hub.repo("models", "org/model"), random.Random(0).randbytes(24 * 2**20)
    config = json.dumps({"max_position_embeddings": 77}).encode()
    first = repo.commit({"config.json": config, "model.safetensors": weights, "model.bin": b"no"})
    hub.drop_once = {"model.safetensors"}
    old = ask(hub, tmp_path, CHECKPOINT, "org/model")
    assert old.endswith(" 77")
    assert any(name == "model.safetensors" for name, _ in hub.ranges)
    repo.commit({"config.json": config, "model.safetensors": b"other"})
    assert ask(hub, tmp_path, CHECKPOINT, "org/model") != old
    assert ask(hub, tmp_path, CHECKPOINT, f"org/model@{first}") == old
    hub.repo("models", "org/gated", gated=True).commit({"config.json": config, "model.safetensors": b""})
    assert "org/gated is gated; accept its terms" in ask(hub, tmp_path, CHECKPOINT, "org/gated")
    assert "The hub has no org/absent at revision main" in ask(hub, tmp_path, CHECKPOINT, "org/absent")
    assert "The hub has no org/model at revision v9" in ask(hub, tmp_path, CHECKPOINT, "org/model@v9")


@contextmanager
def silent_server() -> Generator[tuple[str, list[int]]]:
    """An address that closes every connection, and the number of those that it got, one entry each."""
    got: list[int] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            with suppress(OSError):
                while True:
                    server.accept()[0].close()
                    got.append(1)

        Thread(target=answer, daemon=True).start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}", got


def test_a_hub_that_does_not_answer_is_asked_once(tmp_path: Path) -> None:
    with silent_server() as (endpoint, got):
        (said,) = json.loads(ask(None, tmp_path, CODE, "org/plain:test", endpoint=endpoint))
    assert len(got) == 1
    assert said.startswith(
        f"The dataset org/plain:test is not in the local hub cache, and {endpoint} does not answer: "
    )


def test_offline_is_not_told_to_connect(tmp_path: Path) -> None:
    offline = {"endpoint": "http://127.0.0.1:9", "HF_HUB_OFFLINE": "1"}
    (said,) = json.loads(ask(None, tmp_path, CODE, "org/plain:test", **offline))
    assert "the network is not to be tried (--offline): use --task minilab, which needs no network" in said
    model = ask(None, tmp_path, CHECKPOINT, "org/model", **offline)
    assert "the network is not to be tried (--offline); pass the path of a local folder" in model
    assert "connect" not in said + model


def test_without_network_the_cache_answers(hub: Hub, tmp_path: Path) -> None:
    hub.repo("datasets", "org/cached").commit({"data/test-00000-of-00001.parquet": parquet("kept")})
    assert load(hub, tmp_path, "org/cached:test") == [["kept"]]
    assert json.loads(ask(None, tmp_path, CODE, "org/cached:test", endpoint="http://127.0.0.1:9")) == [["kept"]]


@pytest.mark.parametrize("told", [("--quiet",), ("--json",)])
def test_no_library_shows_a_bar_where_none_is_asked_for(hub: Hub, tmp_path: Path, told: tuple[str, ...]) -> None:
    """The folder is no checkpoint, so that the command ends once it has been downloaded."""
    files = {"config.json": b"{}", "model.safetensors": b"x" * 2**20, "tokenizer.json": b"{}"}
    hub.repo("models", "org/model").commit(files)
    pair = ("pair", "--strong", "org/model", "--weak", "org/model", "--task", "minilab", "--store", str(tmp_path / "s"))
    assert "%|" in everything(hub, tmp_path / "loud", *pair)
    quiet = everything(hub, tmp_path / "quiet", *pair, *told)
    assert "%|" not in quiet
    assert quiet.startswith("Error: ")


def everything(hub: Hub, home: Path, *arguments: str) -> str:
    """All that a command prints; commands that were run in this process may have left variables of `--quiet`."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("HF_", "TQDM_"))}
    environment |= {"HF_ENDPOINT": hub.endpoint, "HF_HOME": str(home)}
    command = [sys.executable, "-m", "cdr_eval.harness", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=120, check=False)
    return done.stderr
