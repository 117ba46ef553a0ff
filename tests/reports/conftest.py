"""Run directories that the program itself wrote: runs over the minilab, made once and copied for each test."""

import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from cdr_eval.harness import Options, RunResult, evaluate_grid, evaluate_pair
from cdr_eval.model_registry.registry import load_registry

from tests.harness.statistics.published_counts import PUBLISHED
from tests.reports.browsers import open_browser

MINILAB = "minilab"
HOSTILE: tuple[str, ...] = (
    "<script>alert(1)",
    "=cmd|' C calc'!A0",
    "a|b`c`[x](y) # heading",
    "..%2F..%2Fetc%2Fpasswd",
    "$frac{1}{0}$",
    "-1+1",
    "'quoted\" & <img src=x onerror=alert(2)>",
    "--><svg onload=alert(3)>",
    "名前 " + "x" * 200,
)
"""Names of checkpoints that try to break out of every format, as a registry may have them."""
HOSTILE_FOLDERS = ("a|b`c` # heading", "=cmd()")
"""Names of folders."""
HERMES = ("Nous-Hermes-2-Mistral-7B-DPO", "OpenHermes-2.5-Mistral-7B")
"""The paper's pair; the weights here are the minilab's."""


def registry_of(names: Mapping[str, str], family: str, benchmark: str = "my_bench") -> dict[str, Any]:
    """A registry file's content: the minilab's checkpoints (values) under other names (keys), as a family."""
    minilab = load_registry()
    template = minilab.family(MINILAB)
    scores = {name: {s.source: s.value for s in minilab.find(name).scores} for name in names.values()}
    return {
        "sources": {"mine": {"title": "My measurements, 2026"}},
        "families": [
            {
                "name": family,
                "description": "the minilab under other names",
                "members": list(names),
                "chat_template": template.chat_template,
                "end_of_turn": template.end_of_turn,
                "default_task": MINILAB,
                "default_benchmark": benchmark,
            }
        ],
        "checkpoints": [
            {
                "name": name,
                "label": name,
                "model": minilab.find(real).model,
                "scores": [{"benchmark": benchmark, "value": next(iter(scores[real].values()), 50), "source": "mine"}],
            }
            for name, real in names.items()
        ],
    }


class Runs:
    """The runs by name; all share one store, so that each minilab checkpoint is scored once."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.options = Options(store=folder / "store", limit=96, resamples=60)

    def pair(self) -> RunResult:
        """The minilab's third DPO iteration over its SFT, under every variant."""
        return evaluate_pair("minilab-dpo-3", "minilab-sft", options=self.options)

    def paper(self) -> RunResult:
        """The paper's pair by name, on sections that say they have RewardBench's subsets."""
        result = self._pair_of(HERMES, ("vanilla", "cdr-safety", "judge-safety"))
        return replace(result, run={**result.run, "task": {**result.run["task"], "sections": PUBLISHED}})

    def hostile_pair(self) -> RunResult:
        """Folders and a task file whose names try to be markup and formulas."""
        task = self.folder / "=1+1|<b>.jsonl"
        rows = [{"prompt": f"{n}?", "chosen": "a" * n, "rejected": "b" * (9 - n)} for n in range(1, 9)]
        task.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        return self._pair_of(HOSTILE_FOLDERS, ("vanilla", "likelihood"), str(task))

    def tokens(self) -> RunResult:
        """The pair with what each token earned of a few items."""
        return evaluate_pair("minilab-dpo-3", "minilab-sft", options=replace(self.options, tokens=4))

    def unscored(self) -> RunResult:
        """A pair that no item fits."""
        return evaluate_pair("minilab-dpo-3", "minilab-sft", options=replace(self.options, max_length=4))

    def unscored_grid(self) -> RunResult:
        """A grid that no item fits."""
        models = ("minilab-base", "minilab-sft", "minilab-dpo-1")
        return evaluate_grid(models=models, options=replace(self.options, max_length=4))

    def plain(self) -> RunResult:
        """A task without sections, one item of which is a tie."""
        task = self.folder / "plain.jsonl"
        rows = [{"prompt": f"{n}?", "chosen": "yes" * n, "rejected": "no" * (n if n > 1 else 1)} for n in range(1, 8)]
        rows.append({"prompt": "same?", "chosen": "same", "rejected": "same "})
        task.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        return evaluate_pair("minilab-dpo-3", "minilab-sft", task=str(task), options=self.options)

    def several(self) -> RunResult:
        """Items of three responses each, two of them of equal grade."""
        task = self.folder / "several.jsonl"
        rows = [{"prompt": f"{n}?", "chosen": ["a" * n, "b" * n], "rejected": "c" * n} for n in range(1, 9)]
        task.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        return evaluate_pair(
            "minilab-dpo-3", "minilab-sft", task=str(task), variants=("vanilla",), options=self.options
        )

    def single(self) -> RunResult:
        """A grid of one checkpoint: only itself over itself."""
        return evaluate_grid(models=["minilab-sft"], options=self.options)

    def couple(self) -> RunResult:
        """A grid of two checkpoints."""
        return evaluate_grid(models=["minilab-base", "minilab-sft"], options=self.options)

    def grid(self) -> RunResult:
        """All pairs of the minilab."""
        return evaluate_grid(family=MINILAB, options=self.options)

    def families(self) -> RunResult:
        """Two families of a user's registry files under two variants, and one checkpoint without a score."""
        first = {f"mine-{n.removeprefix('minilab-')}": n for n in ("minilab-base", "minilab-sft", "minilab-dpo-1")}
        second = {f"other-{n.removeprefix('minilab-')}": n for n in ("minilab-base", "minilab-kto", "minilab-ipo")}
        contents = [registry_of(first, "mine"), registry_of(second, "other")]
        del contents[1]["checkpoints"][2]["scores"]
        files = [self._registry(f"{n}.yaml", content) for n, content in enumerate(contents)]
        return evaluate_grid(variants=("vanilla", "likelihood"), registry=files, options=self.options)

    def hostile(self) -> RunResult:
        """A family whose checkpoints, and whose own name, try to break out of every format."""
        real = [c.name for c in load_registry().members(MINILAB)]
        names = dict(zip(HOSTILE, real, strict=False))
        file = self._registry("hostile.yaml", registry_of(names, HOSTILE[0], "b|<i>$x$"))
        return evaluate_grid(registry=[file], options=self.options)

    def _registry(self, name: str, content: dict[str, Any]) -> Path:
        file = self.folder / name
        file.write_text(yaml.safe_dump(content, allow_unicode=True), encoding="utf-8")
        return file

    def _pair_of(self, names: tuple[str, str], variants: tuple[str, ...], task: str = MINILAB) -> RunResult:
        """A pair of copies of minilab folders under names of their own."""
        registry = load_registry()
        folders = [self.folder / "models" / name for name in names]
        for folder, real in zip(folders, ("minilab-dpo-3", "minilab-sft"), strict=True):
            if not folder.exists():
                shutil.copytree(registry.find(real).model, folder)
        strong, weak = map(str, folders)
        return evaluate_pair(strong, weak, task=task, variants=variants, options=self.options)


@pytest.fixture(scope="session")
def run_result(no_bars: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], RunResult]]:
    """A run by its name in `Runs`, evaluated once."""
    runs = Runs(tmp_path_factory.mktemp("minilab"))
    yield cache(lambda name: getattr(runs, name)())


@pytest.fixture(scope="session")
def make_run(run_result: Callable[[str], RunResult], tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Write a run into a folder of its own."""

    def make(name: str) -> Path:
        return run_result(name).save(tmp_path_factory.mktemp("runs") / name)

    return make


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A headless Chromium."""
    driver = open_browser(tmp_path_factory.mktemp("profile"))
    yield driver
    driver.quit()


def rewrite(path: Path, old: str, new: str) -> None:
    """Edit a file of a run, and drop the checksums that would tell."""
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")
    path.with_name("SHA256SUMS").unlink(missing_ok=True)
