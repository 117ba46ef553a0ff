"""The family's preference objectives, as settings of the losses of `harness/tuning`."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from ..tuning.losses import LOSSES, Loss
from ..tuning.trainers import preference_trainer
from .next_token import common_arguments, loss_log
from .progress import ProgressBar
from .recipe import Objective

_OWN: Final[Mapping[str, Loss]] = {
    "rdpo": replace(LOSSES["rdpo"], settings={**LOSSES["rdpo"].settings, "label_smoothing": 0.1}),
    # The shipped weights came from TRL's CPO trainer, whose SimPO equals ours to rounding but not bit for bit.
    "simpo": Loss(
        "CPO", {"loss_type": "simpo", "cpo_alpha": 0.0, "simpo_gamma": 0.5}, "trl.experimental.cpo", has_reference=False
    ),
}


def train_preference(
    model: PreTrainedModel,
    reference: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    pairs: Sequence[Mapping[str, str]],
    objective: Objective,
    batch: int,
    seed: int,
    scratch: Path,
    progress: ProgressBar,
) -> list[dict[str, float]]:
    """Train in place on the pairs, one epoch; returns the training log. `reference` stays as it is."""
    arguments = {
        "output_dir": str(scratch),
        "num_train_epochs": 1,
        "per_device_train_batch_size": batch,
        "learning_rate": objective.learning_rate,
        "beta": objective.beta,
        "max_length": 256,
        "activation_checkpointing": False,
        **common_arguments(seed),
    }
    loss = _OWN.get(objective.loss) or LOSSES[objective.loss]
    rows = _unpaired(pairs) if objective.loss == "kto" else pairs
    trainer = preference_trainer(loss, arguments, model, tokenizer, rows, reference=reference, callbacks=[progress])
    trainer.train()
    return loss_log(trainer)


def _unpaired(pairs: Sequence[Mapping[str, str]]) -> list[dict[str, object]]:
    """KTO's view of the pairs: each response alone, with whether it is wanted."""
    return [
        {"prompt": pair["prompt"], "completion": pair[side], "label": side == "chosen"}
        for pair in pairs
        for side in ("chosen", "rejected")
    ]
