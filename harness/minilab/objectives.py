"""The family's preference objectives, as settings of the losses of `harness/tuning`."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from ..tuning.losses import LOSSES
from ..tuning.trainers import preference_trainer, unpaired
from .next_token import common_arguments, loss_log
from .progress import ProgressBar
from .recipe import Preference

_LABEL_NOISE: Final = 0.1
"""Robust DPO's share of labels thought to be wrong; here none is."""
_GAMMA_RATIO: Final = 0.25
"""SimPO's target margin as a share of beta."""


def train_preference(
    model: PreTrainedModel,
    reference: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    pairs: Sequence[Mapping[str, str]],
    objective: Preference,
    batch: int,
    seed: int,
    scratch: Path,
    progress: ProgressBar,
) -> list[dict[str, float]]:
    """Train in place on the pairs; returns the training log. `reference` stays as it is."""
    arguments: dict[str, Any] = {
        "output_dir": str(scratch),
        "num_train_epochs": objective.epochs,
        "per_device_train_batch_size": batch,
        "learning_rate": objective.learning_rate,
        "beta": objective.beta,
        "max_length": 256,
        "activation_checkpointing": False,
        **common_arguments(seed),
    }
    if objective.loss == "robust-dpo":
        arguments["label_smoothing"] = _LABEL_NOISE
    trainer = preference_trainer(
        LOSSES[objective.loss],
        arguments,
        model,
        tokenizer,
        unpaired(pairs) if objective.loss == "kto" else pairs,
        reference=reference,
        gamma=_GAMMA_RATIO * objective.beta if objective.loss == "simpo" else None,
        callbacks=[progress],
    )
    trainer.train()
    return loss_log(trainer)
