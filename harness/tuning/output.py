"""What a tuning run leaves: the checkpoint, its training log, and a registry file that makes it known."""

import csv
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
import yaml
from transformers import AutoModelForCausalLM, PreTrainedTokenizerBase

from ...model_registry.registry import Registry
from ...model_registry.schema import Checkpoint

LOG_COLUMNS = {
    "step": "step",
    "epoch": "epoch",
    "loss": "loss",
    "reward_margin": "rewards/margins",
    "reward_accuracy": "rewards/accuracies",
    "logp_chosen": "logps/chosen",
    "logp_rejected": "logps/rejected",
    "weight": "weight",
    "grad_norm": "grad_norm",
    "learning_rate": "learning_rate",
}
"""Column of training_log.csv to the trainer's own name."""


def save_model(trainer: Any, tokenizer: PreTrainedTokenizerBase, start: Path, out: Path, dtype: torch.dtype) -> None:
    """Write the checkpoint to `out/model`, with adapters besides to `out/adapter`; call it on every process."""
    sharded = trainer.is_deepspeed_enabled or trainer.is_fsdp_enabled
    adapters = hasattr(trainer.accelerator.unwrap_model(trainer.model), "peft_config")
    folder = out / "model"
    if adapters or sharded:
        trainer.save_model(str(out / "adapter" if adapters else folder))
    if trainer.args.process_index != 0:
        return
    if adapters:
        peft: Any = import_module("peft")
        auto: Any = AutoModelForCausalLM
        base = auto.from_pretrained(start, dtype=torch.float32)
        merged = peft.PeftModel.from_pretrained(base, out / "adapter").merge_and_unload()
        merged.to(dtype).save_pretrained(folder)
    elif not sharded:
        trainer.accelerator.unwrap_model(trainer.model).to(dtype).save_pretrained(folder)
    hf: Any = tokenizer
    hf.save_pretrained(folder)


def write_log(path: Path, history: Sequence[Mapping[str, Any]]) -> None:
    """training_log.csv: one row a logged step."""
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(LOG_COLUMNS)
        for entry in history:
            if "loss" in entry:
                writer.writerow([entry.get(key, "") for key in LOG_COLUMNS.values()])


def write_registry(
    path: Path, name: str, start: Checkpoint, registry: Registry, objective: str, parameters: int
) -> None:
    """registry.yaml: the tuned checkpoint, in the family of the one that it was tuned from."""
    tuned = {
        "name": name,
        "model": "./model",
        "label": name,
        **({"base": start.base} if start.base else {}),
        "stage": "preference",
        "objective": objective,
        "trained_from": start.name,
        "parameters": parameters,
    }
    families = registry.families_of(start.name)
    checkpoints: list[dict[str, Any]] = [tuned]
    if families:
        family: dict[str, Any] = {"name": families[0].name, "members": [name]}
    else:
        checkpoints.insert(0, start.model_dump(exclude_none=True, exclude_defaults=True, mode="json"))
        family = {"name": f"{start.name}-tuned", "description": f"Tuned from {start.name}"}
        family["members"] = [start.name, name]
    text = yaml.safe_dump({"families": [family], "checkpoints": checkpoints}, sort_keys=False, allow_unicode=True)
    path.write_text(f"# Written by `cdr-eval tune`.\n{text}", encoding="utf-8")
