"""Tuning a checkpoint on preference data: the steps in order, and the Python API."""

import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ..errors import UserError
from ..model_registry.checkpoint_files import find_checkpoint
from ..model_registry.registry import Registry, load_registry
from .options import Options
from .progress import progress_bar
from .scoring.load_options import LoadOptions
from .tuning.losses import LOSSES, require_training
from .tuning.opening import Start, open_start, saved_dtype, start_settings
from .tuning.pairs import PreferenceRows, read_preferences
from .tuning.run_folder import begin, finished, versions, write_json
from .tuning.settings import Training, processes

RUN = "run.json"
LOG = "training_log.csv"


@dataclass(frozen=True, slots=True)
class Tuned:
    """A finished training run."""

    out: Path
    record: dict[str, Any]
    """run.json, or an annotator's annotator.json."""


def tune(
    data: str,
    *,
    model: str,
    out: Path,
    training: Training | None = None,
    weights: str | None = None,
    registry: Sequence[Path] = (),
    options: Options | None = None,
) -> Tuned:
    """Tune a checkpoint on preference data; the result is a checkpoint of a registry file at once.

    Into `out`: model/ (and adapter/ with LoRA), training_log.csv, registry.yaml, run.json. A run that was stopped goes
    on from its newest checkpoint when it is called again.

    Args:
        data: a file, hub dataset or folder of preference data (`read_preferences`).
        weights: the column that each pair's loss is multiplied by; None weighs all alike.

    Raises UserError for everything that the caller can mend.
    """
    training, options = training or Training(), options or Options()
    loss = LOSSES[training.loss]
    if weights is not None and not loss.weighted:
        able = ", ".join(name for name, one in LOSSES.items() if one.weighted)
        raise UserError(f"The loss {training.loss} takes no weights: leave --weights out, or use one of {able}.")
    require_training(lora=training.lora is not None)
    training.batches(processes())
    known = load_registry(registry)
    find_checkpoint(model, known)
    rows = read_preferences(data, weights, normalise=training.normalise_weights)
    if not rows.paired and training.loss != "kto":
        raise UserError(f"{data} holds single answers with labels, which --loss kto alone can use; pass it or pairs.")
    start = open_start(model, known, options)
    asked = {"data": rows.content_hash, "model": model, "weights": weights, **asdict(training)}
    settings = asked | start_settings(start[0])
    done = finished(out, RUN, settings)
    if done is not None:
        return Tuned(out, done)
    return _tune(data, rows, start, out, training, settings, known, options)


def _tune(
    data: str,
    rows: PreferenceRows,
    start: Start,
    out: Path,
    training: Training,
    settings: Mapping[str, Any],
    known: Registry,
    options: Options,
) -> Tuned:
    started = time.monotonic()
    group, tokenizer, local = start
    # All that a user can mend in names and files is said before torch is imported.
    from .tuning.output import save_model, write_log, write_registry
    from .tuning.training import check_optimizer, fitting_rows

    check_optimizer(training.optimizer)
    kept, long = fitting_rows(rows.rows, start, training)
    trainer, parameters = _trained(kept, start, out, training, settings, options)
    tokenizer.chat_template = group.members[0].renderer.template  # as its start has it: the two are compared
    save_model(trainer, tokenizer, local.path, out, saved_dtype(local))
    record: dict[str, Any] = {
        "format": 1,
        "kind": "tune",
        "settings": dict(settings),
        "beta": training.effective_beta,
        "data": {
            "source": data,
            "content_hash": rows.content_hash,
            "rows": len(rows.rows),
            "too_long": long,
            "mean_weight": rows.mean_weight,
        },
        "start": {"name": local.name, "model": local.checkpoint.model, "weights": local.weights},
        "template_source": group.template_source,
        "processes": processes(),
        "steps": trainer.state.global_step,
        "parameters": parameters,
        "versions": versions(training),
        "notes": [*rows.notes, *group.notes],
        "seconds": round(time.monotonic() - started, 1),
    }
    if trainer.args.process_index == 0:
        write_log(out / LOG, trainer.state.log_history)
        write_registry(out / "registry.yaml", out.resolve().name, local.checkpoint, known, training.loss, parameters)
        write_json(out / RUN, record)
        shutil.rmtree(out / "checkpoints", ignore_errors=True)
    return Tuned(out, record)


def _trained(
    rows: Sequence[dict[str, Any]],
    start: Start,
    out: Path,
    training: Training,
    settings: Mapping[str, Any],
    options: Options,
) -> tuple[Any, int]:
    """The trainer after training on the rows, and the model's number of parameters without adapters."""
    from .scoring.inference import fit_threads
    from .scoring.loading import load_model
    from .tuning.training import Place, hushed, train

    _, tokenizer, local = start
    load = LoadOptions("cpu", "float32", options.trust_remote_code, options.allow_pickle)
    network: Any = load_model(local.path, load)
    has_reference = LOSSES[training.loss].has_reference and training.lora is None
    reference: Any = load_model(local.path, load) if has_reference else None
    parameters = int(network.num_parameters())
    begin(out, settings)
    with progress_bar(options.quiet) as progress, hushed(), fit_threads(network):
        place = Place(out / "checkpoints", options.device, progress, f"{training.loss} on {local.name}")
        return train(training, network, reference, tokenizer, rows, place), parameters
