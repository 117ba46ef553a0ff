"""What the exports of a run share: which runs and rewards they take, what they are called, how a file is written."""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from ..errors import UserError
from .run_format.frames import stream_table
from .run_format.reading import Run, read_run
from .run_format.tables import TABLES, AccuracyRow
from .scores import Reward


def run_of_rewards(run_dir: Path) -> Run:
    """The run, which has accuracies. Raises UserError for a folder that is no run, and for an annotation."""
    run = read_run(run_dir)
    if run.info.kind == "annotation":
        raise UserError(f"{run.path} is an annotation, which has no accuracies to export: pass a pair or grid run.")
    return run


def rows_of(run: Run, reward: Reward) -> Iterator[AccuracyRow]:
    """The accuracies of one reward."""
    return (row for row in run.accuracy if (row.strong, row.weak, row.variant) == reward)


def table_of(run: Run, stem: str) -> pd.DataFrame:
    """All of a Parquet table. Raises UserError for one that the run does not have."""
    path = run.path / TABLES[stem].file
    if not path.exists():
        raise UserError(f"{run.path} has no {path.name}: run the same command again.")
    return pd.concat(stream_table(path)(), ignore_index=True)


def numbers_of(run: Run, stem: str) -> Iterator[tuple[Reward, Any]]:
    """Each reward with the last column of its rows in `margins` (items,) or `rewards` (R,)."""
    frame = table_of(run, stem)
    for (strong, weak, variant), rows in frame.groupby(["strong", "weak", "variant"], observed=True, sort=False):
        yield (str(strong), str(weak), str(variant)), rows[TABLES[stem].columns[-1].name].to_numpy()


def reward_name(reward: Reward) -> str:
    """A reward in words."""
    strong, weak, variant = reward
    return f"{strong} over {weak}, {variant}" if weak else f"{strong}, {variant}"


def plain_stem(text: str) -> str:
    """A text as a part of a path that every system takes."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip("-.")[:120] or "reward"


def write_lines(path: Path, lines: Iterable[str]) -> Path:
    """Write a file of lines, with its folder. Raises UserError where that cannot be."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w", encoding="utf-8", newline="\n") as file:
            file.writelines(f"{line}\n" for line in lines)
    except OSError as error:
        raise UserError(f"{path} cannot be written ({error.strerror}): pass another folder with --out.") from error
    return path
