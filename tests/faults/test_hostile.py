"""What strangers may send (checkpoints, templates, names, data): nothing runs, escapes, or reaches a network."""

import json
import os
import pickle
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
import yaml
from markdown_it import MarkdownIt

from tests.faults.rounds import Rounds

CODE = "from pathlib import Path\nPath({marker!r}).touch()\nclass Trap:\n    pass\n"
BOMB = "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}{{ messages }}"
NAME = "<img src=x onerror=alert(1)> | **m** [x](y)"
SUBSET = "=cmd()|' /C calc'!A0"


def checkpoint(grid: Rounds, folder: Path) -> Path:
    """A copy of one of the grid's checkpoints."""
    return Path(shutil.copytree(grid.folder / "m0", folder))


def pair(grid: Rounds, folder: Path, strong: Path, *more: str) -> dict[str, Any]:
    task = str(grid.folder / "preferences.jsonl")
    where = ["--store", str(folder / "store"), "--out", str(folder / "run"), "--quiet", "--resamples", "100"]
    weak = str(grid.folder / "m1")
    return grid.command(
        ["pair", "--strong", str(strong), "--weak", weak, "--variants", "vanilla", "--task", task, *where, *more]
    )


def edit_json(file: Path, **values: object) -> None:
    file.write_text(json.dumps(json.loads(file.read_text(encoding="utf-8")) | values), encoding="utf-8")


@pytest.mark.parametrize("model_type", ["llama", "unheard-of"])
def test_code_that_a_checkpoint_ships_does_not_run(grid: Rounds, tmp_path: Path, model_type: str):
    marker = tmp_path / "ran"
    folder = checkpoint(grid, tmp_path / "trap")
    (folder / "trap.py").write_text(CODE.format(marker=str(marker)))
    auto = dict.fromkeys(("AutoConfig", "AutoModel", "AutoModelForCausalLM"), "trap.Trap")
    edit_json(folder / "config.json", auto_map=auto, model_type=model_type)
    edit_json(folder / "tokenizer_config.json", auto_map={"AutoTokenizer": ["trap.Trap", "trap.Trap"]})
    code, output = grid.one(pair(grid, tmp_path, folder))
    assert not marker.exists()
    assert code in (0, 2), output
    if code == 2:
        assert "--trust-remote-code" in output


class Trap:
    """Unpickles to a call."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.marker,)


@pytest.mark.parametrize("beside_safetensors", [True, False])
def test_pickled_weights_are_not_opened(grid: Rounds, tmp_path: Path, beside_safetensors: bool):
    marker = tmp_path / "ran"
    folder = checkpoint(grid, tmp_path / "trap")
    (folder / "pytorch_model.bin").write_bytes(pickle.dumps(Trap(marker)))
    if not beside_safetensors:
        (folder / "model.safetensors").unlink()
    code, output = grid.one(pair(grid, tmp_path, folder))
    assert not marker.exists()
    assert code == (0 if beside_safetensors else 2), output
    if code:
        assert "--allow-pickle" in output


def test_an_adapter_beside_a_model_which_would_fetch_another_model_is_refused(grid: Rounds, tmp_path: Path):
    folder = checkpoint(grid, tmp_path / "adapted")
    (folder / "adapter_config.json").write_text('{"base_model_name_or_path": "somebody/else"}')
    code, output = grid.one(pair(grid, tmp_path, folder))
    assert code == 2
    assert "holds a whole model and an adapter" in output


def test_a_template_that_never_ends(grid: Rounds, tmp_path: Path):
    (tmp_path / "bomb.jinja").write_text(BOMB)
    code, output = grid.one(pair(grid, tmp_path, grid.folder / "m0", "--chat-template", str(tmp_path / "bomb.jinja")))
    assert code == 2
    assert "takes far too long" in output


def test_a_template_out_of_its_sandbox(grid: Rounds, tmp_path: Path):
    marker = tmp_path / "ran"
    code = f"{{{{ cycler.__init__.__globals__.os.mkdir({str(marker)!r}) }}}}{{{{ messages }}}}"
    (tmp_path / "escape.jinja").write_text(code)
    job = pair(grid, tmp_path, grid.folder / "m0", "--chat-template", str(tmp_path / "escape.jinja"))
    assert grid.one(job)[0] == 2
    assert not marker.exists()


class Page(HTMLParser):
    """Collects a page's tags and their attributes."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: list[tuple[str, str | None]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes += attrs


def test_names_that_are_markup_formulas_or_paths(grid: Rounds, tmp_path: Path):
    """From a registry file and a preference file to every file of the run directory."""
    members = [
        {"name": name, "model": str(grid.folder / folder), "label": label, "stage": "sft"}
        for name, folder, label in ((NAME, "m0", "<script>alert(1)</script>"), ("..hidden", "m1", "@SUM(1)|x"))
    ]
    families = [{"name": "strangers", "description": "x", "members": [m["name"] for m in members]}]
    registry = tmp_path / "registry.yaml"
    registry.write_text(yaml.safe_dump({"checkpoints": members, "families": families}), encoding="utf-8")
    task = tmp_path / "=evil.jsonl"
    row = {"prompt": "a | b\n| --- |\n<b>", "chosen": "yes | no", "rejected": "=1+1", "subset": SUBSET}
    rows = [row | {"prompt": f"{i} {row['prompt']}", "subset": SUBSET if i % 2 else "../../up"} for i in range(8)]
    task.write_text("".join(json.dumps(r) + "\n" for r in rows), encoding="utf-8")
    work = tmp_path / "work"
    work.mkdir()
    argv = ["grid", "--registry", str(registry), "--task", str(task), "--store", str(tmp_path / "store")]
    code, output = grid.one(grid.command([*argv, "--out", str(work / "run"), "--resamples", "100", "--quiet"]))
    assert code == 0, output
    run = work / "run"
    assert [path.name for path in work.iterdir()] == ["run"]
    assert {path.name for path in tmp_path.iterdir()} == {"registry.yaml", "=evil.jsonl", "work", "store"}

    for name in ("report.html", "items.html"):
        page, text = Page(), (run / name).read_text(encoding="utf-8")
        page.feed(text)
        assert not page.tags & {"img", "b"}
        assert not [attribute for attribute, _ in page.attributes if attribute == "onerror"]
        assert "<script>alert" not in text
    parser = MarkdownIt("commonmark", {"html": True}).enable("table")
    tokens = parser.parse((run / "leaderboard.md").read_text(encoding="utf-8"))
    inline = [child for token in tokens for child in token.children or []]
    markup = "".join(token.content for token in [*tokens, *inline] if token.type.startswith("html"))
    assert set(re.findall(r"<\s*/?(\w+)", markup)) <= {"details", "summary", "sup"}
    assert not [token for token in inline if token.type == "link_open" and token.attrs.get("href") == "y"]
    shown = "".join(child.content for child in inline)
    assert SUBSET in shown
    for table in run.rglob("*.csv"):
        cells = table.read_text(encoding="utf-8").replace('"', "").replace("\n", ",").split(",")
        assert not [cell for cell in cells if cell.startswith(("=", "@"))], table


SOCKETS = """
import sys
tried = []
def watch(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto"):
        tried.append((event, str(arguments)))
sys.addaudithook(watch)
sys.argv = ["cdr-eval", *sys.argv[1:]]
from cdr_eval.harness.cli.main import main
try:
    main()
finally:
    print("TRIED", tried)
"""


@pytest.mark.parametrize("offline", [["--offline"], []])
def test_local_folders_need_no_network(grid: Rounds, tmp_path: Path, offline: list[str]):
    """Not even where nobody asked for it: the environment says nothing of an offline hub."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
    out = ["--store", str(tmp_path / "store"), "--out", str(tmp_path / "run")]
    command = [sys.executable, "-c", SOCKETS, *grid.grid, *out, *offline]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=120, env=environment | {"HF_HOME": str(tmp_path)}
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "TRIED []"
