"""One training run on TRL: model and rows in, trained model out; continued from its newest checkpoint."""

import json
import math
import warnings
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from difflib import get_close_matches
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.progress import Progress
from transformers import PreTrainedModel, PreTrainedTokenizerBase
from transformers.training_args import OptimizerNames
from transformers.utils import logging

from ...errors import UserError
from ...tasks.item import Turn
from ..scoring.memory import is_out_of_memory
from .callbacks import ProgressBar, StopAtNonFinite
from .losses import LOSSES
from .opening import Start
from .settings import Lora, Training, processes
from .trainers import preference_trainer, unpaired


@dataclass(frozen=True, slots=True)
class Place:
    """Where a run trains and where it keeps its checkpoints."""

    checkpoints: Path
    device: str
    """"cpu", or "auto" for what the launcher gives."""
    progress: Progress
    name: str


def train(
    training: Training,
    model: PreTrainedModel,
    reference: PreTrainedModel | None,
    tokenizer: PreTrainedTokenizerBase,
    rows: Sequence[dict[str, Any]],
    place: Place,
) -> Any:
    """Train on the rows, from the newest checkpoint if there is one; returns the trainer.

    `reference` is None for reference-free losses and for adapters. Raises UserError where numbers stop to be finite.
    """
    loss = LOSSES[training.loss]
    beta = training.effective_beta
    if training.loss == "kto":
        rows = _kto_rows(rows, training.seed)
    elif not loss.weighted:
        rows = [{key: value for key, value in row.items() if key != "weight"} for row in rows]
    arguments = common_arguments(training, len(rows), place) | {"beta": beta, "max_length": training.max_length}
    if training.loss == "robust-dpo":
        arguments["label_smoothing"] = training.label_noise
    trainer = preference_trainer(
        loss,
        arguments,
        model,
        tokenizer,
        rows,
        reference=reference,
        gamma=training.gamma_ratio * beta if training.loss == "simpo" else None,
        peft_config=None if training.lora is None else lora_config(training.lora, "CAUSAL_LM"),
        callbacks=[ProgressBar(place.progress, place.name), StopAtNonFinite()],
    )
    run_trainer(trainer, place.checkpoints)
    return trainer


def _kto_rows(rows: Sequence[dict[str, Any]], seed: int) -> list[dict[str, Any]]:
    """Single answers in an order drawn by the seed: TRL reads them as they stand, each beside a neighbour's answer."""
    single = list(rows) if "label" in rows[0] else unpaired(rows)
    return [single[place] for place in np.random.default_rng(seed).permutation(len(single))]


def run_trainer(trainer: Any, checkpoints: Path) -> None:
    """Train to the end, from the newest checkpoint if there is one. Raises UserError where memory runs out."""
    try:
        trainer.train(resume_from_checkpoint=newest_checkpoint(checkpoints))
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        raise UserError(
            f"Memory ran out with {trainer.args.per_device_train_batch_size} rows at once: pass a smaller "
            "--micro-batch, or --lora, and a new --out."
        ) from error


@contextmanager
def hushed() -> Generator[None]:
    """Silences what the libraries say of each other: names that are about to be dropped, heads that are to be new."""
    before = logging.get_verbosity()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        logging.set_verbosity_error()
        try:
            yield
        finally:
            logging.set_verbosity(before)


def check_optimizer(name: str) -> None:
    """Raise UserError for an optimizer that transformers does not know."""
    known = [optimizer.value for optimizer in OptimizerNames]
    if name not in known:
        near = get_close_matches(name, known, n=3, cutoff=0.4) or [Training().optimizer]
        raise UserError(f"There is no optimizer {name!r}; did you mean {', '.join(near)}?")


def common_arguments(training: Training, rows: int, place: Place) -> dict[str, Any]:
    """The training arguments that every TRL trainer takes."""
    micro, accumulation = training.batches(processes())
    steps = max(1, math.ceil(rows / training.batch * training.epochs))
    on_cpu = place.device == "cpu" or not torch.cuda.is_available()
    return {
        "output_dir": str(place.checkpoints),
        "num_train_epochs": training.epochs,
        "per_device_train_batch_size": micro,
        "gradient_accumulation_steps": accumulation,
        "learning_rate": training.learning_rate,
        "lr_scheduler_type": "cosine",
        "warmup_steps": training.warmup,
        "weight_decay": training.weight_decay,
        "optim": training.optimizer,
        "seed": training.seed,
        "use_cpu": place.device == "cpu",
        "ddp_backend": "gloo" if on_cpu and processes() > 1 else None,
        "bf16": not on_cpu and torch.cuda.is_bf16_supported(including_emulation=False),
        "activation_checkpointing": not on_cpu,
        "dataloader_pin_memory": not on_cpu,
        "save_steps": training.save_every or max(1, steps // 10),
        "save_total_limit": 2,
        "logging_steps": max(1, steps // 100),
        "logging_nan_inf_filter": False,
        "report_to": "none",
        "disable_tqdm": True,
    }


def lora_config(lora: Lora, task_type: str, **more: Any) -> Any:
    """peft's configuration of the adapters."""
    peft: Any = import_module("peft")
    return peft.LoraConfig(
        r=lora.r,
        lora_alpha=lora.alpha,
        lora_dropout=lora.dropout,
        target_modules="all-linear",
        task_type=task_type,
        **more,
    )


def newest_checkpoint(folder: Path) -> str | None:
    """The newest whole checkpoint: its state is written last, so that what a killed run left half is passed over."""

    def whole(checkpoint: Path) -> bool:
        try:
            state = json.loads((checkpoint / "trainer_state.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return False
        return f"checkpoint-{state.get('global_step')}" == checkpoint.name

    found = [checkpoint for checkpoint in folder.glob("checkpoint-*") if whole(checkpoint)]
    return str(max(found, key=lambda path: int(path.name.rpartition("-")[2]))) if found else None


def conversation_text(tokenizer: PreTrainedTokenizerBase, turns: Sequence[Turn]) -> str:
    """A conversation under the tokenizer's template; UserError where that refuses its turns."""
    hf: Any = tokenizer
    try:
        return hf.apply_chat_template(list(turns), tokenize=False)
    except Exception as error:  # a template is a program that others wrote and may raise anything
        roles = ", ".join(turn["role"] for turn in turns)
        raise UserError(
            f"The chat template refuses turns of {roles} ({error}): leave such rows out, or train with another "
            "--chat-template FILE."
        ) from error


def token_lengths(tokenizer: PreTrainedTokenizerBase, rows: Sequence[dict[str, Any]]) -> list[int]:
    """Tokens of each row's longest conversation under the tokenizer's template."""
    hf: Any = tokenizer
    lengths: list[int] = []
    for row in rows:
        answers = [row["completion"]] if "completion" in row else [row["chosen"], row["rejected"]]
        texts = [conversation_text(tokenizer, row["prompt"] + answer) for answer in answers]
        lengths.append(max(map(len, hf(texts, add_special_tokens=False, verbose=False)["input_ids"])))
    return lengths


def fitting_rows(rows: Sequence[dict[str, Any]], start: Start, training: Training) -> tuple[list[dict[str, Any]], int]:
    """The rows that are no longer than asked and than the model reads, and how many are.

    Raises UserError for rows that are rendered already, or whose turns the template refuses, and where rows are too
    long and none may be dropped.
    """
    group, tokenizer, local = start
    for number, row in enumerate(rows, start=1):
        group.members[0].renderer.check_unrendered(row["prompt"][0]["content"], f"The prompt of row {number}")
    limit = min(training.max_length, local.max_length or training.max_length)
    lengths = token_lengths(tokenizer, rows)
    kept = [row for row, length in zip(rows, lengths, strict=True) if length <= limit]
    long = len(rows) - len(kept)
    if long and not (training.drop_long and kept):
        what, mend = f"{limit:,} tokens", "raise --max-length, or pass --drop-long to leave them out"
        if limit < training.max_length:
            what, mend = f"the {limit:,} tokens that the model reads", "pass --drop-long to leave them out"
        raise UserError(
            f"{long:,} of {len(rows):,} rows are longer than {what} (the longest has {max(lengths):,}): {mend}."
        )
    return kept, long
