"""The README's commands: each exists with its options, and those that take no minutes run as they stand there."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import click
import pytest
from cdr_eval.harness.cli.main import cli
from cdr_eval.model_registry.registry import load_registry
from cdr_eval.tasks.minilab.world import load_minilab, preference_items

README = Path(__file__).parents[1] / "README.md"
TEXT = README.read_text(encoding="utf-8")
COMMANDS = [
    line.strip().removeprefix("$ ").partition("  #")[0].strip()
    for line in TEXT.splitlines()
    if re.match(r"    (\$ )?cdr-eval ", line)
]
"""Those that stand on a line of their own."""
SHOWN = [line.partition("  #")[0].strip() for line in TEXT.splitlines() if line.startswith("cdr-eval ")]
"""Those of a block of several, for checkpoints and servers that stand for the reader's own."""
INLINE = re.findall(r"`(cdr-eval [^`]+)`", TEXT)
NEEDS_HUB = "mistral-zephyr"
"""Checkpoints of 14 GB each."""
SLOW = ("cdr-eval sample", "cdr-eval annotat", "cdr-eval tune", "cdr-eval tasks runs/")
"""Minutes of sampling and training: they run on less, in a folder for each part of the README."""
LESS = {r"-n \d+": "-n 4", r"--limit \d+": "--limit 12", r"check bt minilab$": "check bt minilab --limit 60"}

FEWER = {"cdr-eval grid --ignore-labels": ["--limit", "60", "--resamples", "200"]}
"""Minutes over all pairs of the shipped family."""


def test_what_stands_between_the_lines_is_a_command() -> None:
    for command in INLINE:
        name = command.split()[1]
        assert cli.get_command(None, name) is not None, command  # type: ignore[arg-type]
    assert len(COMMANDS) >= 11


@pytest.mark.parametrize("command", [*COMMANDS, *SHOWN])
def test_every_option_of_a_command_is_one(command: str) -> None:
    found: click.Command = cli
    rest, context = command.split()[1:], click.Context(cli)
    while isinstance(found, click.Group):
        name, *rest = rest
        following = found.get_command(context, name)
        assert following is not None, name
        found = following
    found.make_context(found.name, rest)


def environment(folder: Path) -> dict[str, str]:
    """The user's, with an empty cache and no network."""
    return {**os.environ, "HF_HUB_OFFLINE": "1", "XDG_CACHE_HOME": str(folder / "cache"), "COLUMNS": "100"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files that the README speaks of."""
    folder = tmp_path_factory.mktemp("readme")
    items = list(load_minilab().items)[::16]
    rows = [
        {"id": i.id, "prompt": i.prompt[-1]["content"], "chosen": i.responses[0], "rejected": i.responses[1]}
        for i in items
    ]
    (folder / "mine.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    (yaml_text,) = re.findall(r"```yaml\n(sources: .*?)```", TEXT, flags=re.DOTALL)
    (folder / "mine.yaml").write_text(
        yaml_text.replace("our chain, ", "our chain, default_task: minilab, "), encoding="utf-8"
    )
    for mine, shipped in {"my-base": "base", "my-sft": "sft", "my-dpo": "dpo-3"}.items():
        shutil.copytree(load_registry().find(f"minilab-{shipped}").model, folder / mine)
    return folder


@pytest.mark.parametrize("command", [c for c in COMMANDS if not c.startswith(SLOW)])
def test_a_command_runs_as_it_stands(command: str, folder: Path) -> None:
    program = [sys.executable, "-m", "cdr_eval.harness", *command.split()[1:], *FEWER.get(command, ())]
    done = subprocess.run(
        program, capture_output=True, text=True, timeout=600, check=False, cwd=folder, env=environment(folder)
    )
    if NEEDS_HUB in command:
        assert done.returncode == 2
        assert "is not in the local hub cache" in done.stderr
        return
    assert done.returncode == 0, done.stderr
    found = re.search(r"All of it, with figures: (\S+)/leaderboard\.md", " ".join(done.stdout.split()))
    assert found is not None, done.stdout
    assert (folder / found[1] / "report.html").is_file()


PARTS = [
    [command for command in COMMANDS if command.startswith(SLOW) and command in part]
    for part in TEXT.split("\n## ")
    if re.search(r"^    (\$ )?cdr-eval sample", part, flags=re.MULTILINE)
]


@pytest.mark.parametrize("commands", PARTS, ids=lambda commands: commands[-1].split()[1])
def test_sampling_labelling_and_training_run_one_after_another_on_less(commands: list[str], tmp_path: Path) -> None:
    items = preference_items("train", seed=0, share=0.05)
    rows = [
        {"prompt": i.prompt[-1]["content"], "chosen": i.responses[0], "rejected": i.responses[1], "weight": k / 99}
        for k, i in enumerate(items)
    ]
    (tmp_path / "pairs.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    for command in commands:
        if command.startswith("cdr-eval tune"):
            pytest.importorskip("trl")
        small = command
        for much, less in LESS.items():
            small = re.sub(much, less, small)
        done = subprocess.run(
            [sys.executable, "-m", "cdr_eval.harness", *small.split()[1:]],
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
            cwd=tmp_path,
            env=environment(tmp_path),
        )
        assert done.returncode == 0, f"{small}: {done.stderr}"
        assert done.stdout.strip(), small


def test_the_python_of_the_readme_runs(folder: Path) -> None:
    (code,) = re.findall(r"```python\n(from cdr_eval\.harness import Options.*?)```", TEXT, flags=re.DOTALL)
    done = subprocess.run(
        [sys.executable, "-c", code + "print(list(result.accuracy))"],
        capture_output=True,
        text=True,
        check=True,
        cwd=folder,
        env=environment(folder),
    )
    named = re.findall(r"# a DataFrame: (.*)", code)[0].split(", ")
    assert set(named) <= set(eval(done.stdout.strip().splitlines()[-1]))


def test_links_and_pictures_lead_somewhere() -> None:
    titles = re.findall(r"^#+ (.*)$", TEXT, re.MULTILINE)
    headings = {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}
    for target in re.findall(r"\]\(([^)\s]+)\)", TEXT):
        if target.startswith("#"):
            assert target[1:] in headings, target
        elif "://" not in target:
            assert (README.parent / target).exists(), target
