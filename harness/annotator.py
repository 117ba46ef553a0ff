"""Training a reward head and judging it on prompts that it has not seen: the steps in order, and the Python API."""

import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from ..errors import UserError
from ..model_registry.checkpoint_files import find_checkpoint
from ..model_registry.registry import load_registry
from ..tasks.catalog import load_task
from ..tasks.item import prompt_hash
from ..tasks.task import limited
from .annotators import annotator_rewards, open_annotators
from .options import Options
from .progress import progress_bar
from .rules import check_rules
from .statistics.credits import credit
from .tune import LOG, Tuned
from .tuning.losses import require_training
from .tuning.opening import Start, open_start, start_settings
from .tuning.overlap import RECORD, is_training_prompt
from .tuning.pairs import PreferenceRows, read_preferences
from .tuning.run_folder import begin, check_empty, finished, versions, write_json
from .tuning.settings import Training, processes

if TYPE_CHECKING:
    import pandas as pd

    from .tuning.annotator import Annotator

CWPO: Final = Training(epochs=5.0, learning_rate=1e-5, batch=32, warmup=0.0, max_length=1024)
"""The settings of CW-PO's annotator (arXiv 2603.04968, Table 7)."""


def train_annotator(
    labelled: str,
    *,
    model: str,
    out: Path,
    share: float = 0.3,
    training: Training | None = None,
    registry: Sequence[Path] = (),
    options: Options | None = None,
) -> Tuned:
    """Train a Bradley-Terry reward head on the pairs of a share of the prompts, and judge it on the others.

    Prompts are split by their hash, so that the same prompt falls on the same side in every data set.

    Raises UserError for everything that the caller can mend.
    """
    training, options = training or CWPO, options or Options()
    if not 0 < share <= 1:
        raise UserError("--share must be above 0 and at most 1: it is the share of prompts to train on.")
    require_training(lora=training.lora is not None)
    if processes() > 1:
        raise UserError("A reward head is trained by one process: run the command without a launcher.")
    training.batches(1)
    known = load_registry(registry)
    find_checkpoint(model, known)
    rows = read_preferences(labelled)
    if not rows.paired:
        raise UserError(f"{labelled} holds single answers; a reward head is trained on pairs of chosen and rejected.")
    start = open_start(model, known, options)
    asked = {"data": rows.content_hash, "model": model, "share": share, **asdict(training)}
    settings = asked | start_settings(start[0])
    done = finished(out, RECORD, settings)
    if done is not None:
        return Tuned(out, done)
    return _train_annotator(labelled, rows, start, out, share, training, settings, options)


@dataclass(frozen=True, slots=True)
class Checked:
    """How well an annotator does on a task."""

    record: dict[str, Any]
    """The annotator, the task, what was asked, and notes."""
    accuracy: "pd.DataFrame"
    """As a run's accuracy.csv."""
    analyses: "dict[str, pd.DataFrame]"
    """As a run's selection.csv, calibration.csv, confidence.csv and length.csv."""

    def save(self, out: Path) -> None:
        """Write check.json and the tables."""
        check_empty(out)
        out.mkdir(parents=True, exist_ok=True)
        for name, table in {"accuracy": self.accuracy, **self.analyses}.items():
            table.to_csv(out / f"{name}.csv", index=False, lineterminator="\n")
        write_json(out / "check.json", self.record)


def check_annotator(folder: Path, data: str, *, allow_overlap: bool = False, options: Options | None = None) -> Checked:
    """Accuracy, calibration and confidence of an annotator on any task; see `tasks.catalog.load_task`.

    Raises UserError for everything that the caller can mend, prompts that the annotator was trained on among it.
    """
    options = options or Options()
    task = limited(load_task(data), options.limit, options.seed)
    check_rules(task)
    rows = open_annotators([folder], task.items, allow_overlap=allow_overlap)
    from .tables.accuracy import accuracy_table
    from .tables.analysis import pair_analyses
    from .tables.sample import Sample

    rewards, notes = annotator_rewards(rows, task.items, options.device)
    labels, sample = [row.label for row in rows], Sample.of(task, options.resamples, options.seed)
    record = {
        "format": 1,
        "kind": "annotator check",
        "annotator": rows[0].info,
        "task": {"name": task.name, "source": task.source, "content_hash": task.items.content_hash},
        "items": len(task.items),
        "seed": options.seed,
        "resamples": options.resamples,
        "notes": notes,
    }
    return Checked(
        record,
        accuracy_table(labels, rewards, sample),
        pair_analyses(labels, rewards, sample, options.seed),
    )


def _train_annotator(
    labelled: str,
    rows: PreferenceRows,
    start: Start,
    out: Path,
    share: float,
    training: Training,
    settings: Mapping[str, Any],
    options: Options,
) -> Tuned:
    started = time.monotonic()
    group, tokenizer, local = start
    # All that a user can mend in names and files is said before torch is imported.
    from .tuning.annotator import Annotator, save_annotator, train_head
    from .tuning.output import write_log
    from .tuning.training import Place, check_optimizer, fitting_rows, hushed

    check_optimizer(training.optimizer)
    kept, long = fitting_rows(rows.rows, start, training)
    hashes = [prompt_hash(row["prompt"]) for row in kept]
    seen = [row for row, name in zip(kept, hashes, strict=True) if is_training_prompt(name, share)]
    held_out = [row for row, name in zip(kept, hashes, strict=True) if not is_training_prompt(name, share)]
    if not seen:
        raise UserError(f"No prompt of {labelled} falls into a share of {share}: raise --share.")
    begin(out, settings)
    with progress_bar(options.quiet) as progress, hushed():
        place = Place(out / "checkpoints", options.device, progress, f"reward head on {local.name}")
        network, log = train_head(training, local.path, tokenizer, seen, place)
    annotator = Annotator(
        {
            "format": 1,
            "kind": "annotator",
            "settings": dict(settings),
            "base": {"name": local.name, "model": local.checkpoint.model, "weights": local.weights},
            "template_source": group.template_source,
            "data": {"source": labelled, "content_hash": rows.content_hash, "rows": len(rows.rows), "too_long": long},
            "training_pairs": len(seen),
            "training_prompts": sorted(name for name in set(hashes) if is_training_prompt(name, share)),
            "versions": versions(training),
            "notes": [*rows.notes, *group.notes],
            "seconds": round(time.monotonic() - started, 1),
        },
        network,
        tokenizer,
    )
    annotator.record["held_out"] = _held_out(annotator, held_out)
    save_annotator(annotator, out)
    write_log(out / LOG, log)
    shutil.rmtree(out / "checkpoints", ignore_errors=True)
    return Tuned(out, annotator.record)


def _held_out(annotator: "Annotator", rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Accuracy and temperature on the pairs of prompts that were not trained on."""
    from .statistics import confidence

    if not rows:
        return {"pairs": 0}
    chosen, rejected = (
        annotator.scores([(row["prompt"], row[side][0]["content"]) for row in rows]) for side in ("chosen", "rejected")
    )
    margins = chosen - rejected
    problems = np.unique([prompt_hash(row["prompt"]) for row in rows], return_inverse=True)[1]
    accuracy, inverse = confidence.share(credit(margins), problems), confidence.inverse_temperature(margins)
    fitted = inverse > 0 and not confidence.separates(margins, inverse)  # else it is infinite, or only small
    return {
        "pairs": len(rows),
        "accuracy": accuracy.value,
        "ci_low": accuracy.low,
        "ci_high": accuracy.high,
        "temperature": 1 / inverse if fitted else None,
    }
