"""From a loss and rows to a TRL trainer that is ready to train."""

import os
from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any

from transformers import PreTrainedModel, PreTrainedTokenizerBase, PrinterCallback

from .losses import Loss


def preference_trainer(
    loss: Loss,
    arguments: Mapping[str, Any],
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    rows: Sequence[Mapping[str, Any]],
    *,
    reference: PreTrainedModel | None = None,
    gamma: float | None = None,
    peft_config: Any = None,
    callbacks: Sequence[Any] = (),
) -> Any:
    """TRL's trainer of a loss.

    Args:
        loss: one of `LOSSES`; those of the DPO trainer read a column `weight` of the rows (without it: 1).
        arguments: TRL's training arguments; `loss.settings` comes on top.
        rows: pairs {"prompt", "chosen", "rejected"} as texts or as turns; for KTO {"prompt", "completion", "label"},
            which are read in this order in every epoch.
        reference: the model that log-ratios are against; not for reference-free losses, nor for adapters.
        gamma: SimPO's target margin; None for every other loss.
    """
    os.environ.setdefault("TRL_EXPERIMENTAL_SILENCE", "1")
    module = import_module(loss.module)
    config = getattr(module, f"{loss.trainer}Config")(**arguments, **loss.settings)
    if loss.weighted:
        weighted = import_module(".weighted", __package__)
        simpo: Any = weighted.SimPOTrainer
        trainer_class = weighted.WeightedDPOTrainer if gamma is None else type("SimPO", (simpo,), {"gamma": gamma})
        rows = [{"weight": 1.0, **row} for row in rows]
    else:
        trainer_class = getattr(module, f"{loss.trainer}Trainer")
    trainer: Any = trainer_class(
        model=model,
        args=config,
        train_dataset=dataset_of(rows),
        processing_class=tokenizer,
        callbacks=list(callbacks),
        **({"ref_model": reference} if loss.has_reference else {}),
        **({"peft_config": peft_config} if peft_config is not None else {}),
    )
    trainer.remove_callback(PrinterCallback)
    return trainer


def unpaired(pairs: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """KTO's view of pairs: each response alone, with whether it is wanted."""
    return [
        {"prompt": pair["prompt"], "completion": pair[side], "label": side == "chosen"}
        for pair in pairs
        for side in ("chosen", "rejected")
    ]


def dataset_of(rows: Sequence[Mapping[str, Any]]) -> Any:
    """The rows as a data set of the hub's library, without its progress bars."""
    datasets: Any = import_module("datasets")
    datasets.disable_progress_bars()
    return datasets.Dataset.from_list(list(rows))
