"""What a tuning run leaves: the checkpoint, its training log, and a registry file that makes it known."""

import csv
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
import yaml
from transformers import AutoModelForCausalLM, PreTrainedTokenizerBase
from transformers.integrations.deepspeed import unset_hf_deepspeed_config

from ...errors import UserError
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
    """Write the checkpoint to `out/model` in `dtype`, with adapters besides to `out/adapter`; call it on every process.

    Raises UserError where the launcher's configuration keeps weights that are spread over processes from being written.
    """
    sharded = trainer.is_deepspeed_enabled or trainer.is_fsdp_enabled
    adapters = hasattr(trainer.accelerator.unwrap_model(trainer.model), "peft_config")
    folder = out / "model"
    gathered = out / "adapter" if adapters else out / "checkpoints" / "gathered"
    if trainer.is_fsdp_enabled:  # else it writes nothing under FSDP2's own choice
        trainer.accelerator.state.fsdp_plugin.set_state_dict_type("FULL_STATE_DICT")
    if adapters or sharded:
        trainer.save_model(str(gathered))
    if trainer.args.process_index != 0:
        return
    if (adapters or sharded) and not any(gathered.glob("*.safetensors")):
        raise UserError(
            f"The weights were not gathered; training is kept in {trainer.args.output_dir}: let the --launch file set "
            "zero3_save_16bit_model: true, and run the command again."
        )
    unset_hf_deepspeed_config()  # a model that is opened here belongs to this process alone
    auto: Any = AutoModelForCausalLM
    if adapters:
        peft: Any = import_module("peft")
        base = auto.from_pretrained(start, dtype=torch.float32)
        trained = peft.PeftModel.from_pretrained(base, gathered).merge_and_unload()
    elif sharded:  # in the launcher's type of numbers
        trained = auto.from_pretrained(gathered, dtype=dtype)
    else:
        trained = trainer.accelerator.unwrap_model(trainer.model)
    trained.to(dtype).save_pretrained(folder)
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
