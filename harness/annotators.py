"""Annotators beside the checkpoints of a run: checked before anything is loaded, then a row of rewards each."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import UserError
from ..reports.run_format.run_info import ANNOTATOR
from ..tasks.items import Items
from .tuning.overlap import check_overlap, read_record, seen


@dataclass(frozen=True, slots=True)
class AnnotatorRow:
    """An annotator that may judge the items of a run."""

    folder: Path
    info: dict[str, Any]
    """As run.json has it."""
    notes: tuple[str, ...]

    @property
    def label(self) -> tuple[str, str, str]:
        """What stands for strong, weak and variant in tables."""
        return self.info["name"], "", ANNOTATOR


def open_annotators(
    folders: Sequence[Path], items: Items, *, names: Collection[str] = (), allow_overlap: bool = False
) -> list[AnnotatorRow]:
    """The annotators of some folders; `names` are those of the run's checkpoints.

    Raises UserError for a folder without an annotator, a name that is taken, and prompts that one was trained on.
    """
    rows: list[AnnotatorRow] = []
    for folder in folders:
        record, name = read_record(folder), folder.resolve().name
        if name in {*names, *(row.info["name"] for row in rows)}:
            raise UserError(f"{folder} has the name of another model of this run: rename the folder.")
        notes = tuple(f"{name}: {note}" for note in check_overlap(record, items, allow=allow_overlap))
        info = {
            "name": name,
            "folder": str(folder),
            "base": record["base"]["name"],
            "training_pairs": record["training_pairs"],
            "overlap": int(seen(record, items).sum()),
        }
        rows.append(AnnotatorRow(folder, info, notes))
    return rows


def annotator_rewards(rows: Sequence[AnnotatorRow], items: Items, device: str) -> tuple[NDArray[np.float64], list[str]]:
    """Rewards (rows, R) of the items' responses, NaN where one is too long, and notes on how many are.

    Computed in this process, on its `device`, which may be "auto". Raises UserError where it has none such.
    """
    rewards, notes = np.empty((len(rows), len(items.chars))), [note for row in rows for note in row.notes]
    if rows:
        from .scoring.load_options import load_options
        from .tuning.annotator import load_annotator

        device = load_options(device, "float32", trust_remote_code=False, allow_pickle=False).device
        for place, row in enumerate(rows):
            rewards[place] = load_annotator(row.folder, device).rewards(items)
            unscored = int(np.isnan(rewards[place]).sum())
            if unscored:
                notes.append(f"{row.info['name']}: {unscored:,} responses are longer than it reads and unscored.")
    return rewards, notes
