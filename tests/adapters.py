"""Adapters that tests make with peft: large random weights, so that they change every prediction."""

from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

EVERY = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]


def save_adapter(folder: Path, base: Path, seed: int = 0, config: Any = None, dtype: Any = torch.float32) -> Path:
    """An adapter on `base` with random weights; by default LoRA on every linear layer but the output's."""
    import peft

    torch.manual_seed(seed)
    model: Any = AutoModelForCausalLM.from_pretrained(base, dtype=dtype)
    adapted = peft.get_peft_model(model, config or peft.LoraConfig(r=4, target_modules=EVERY, task_type="CAUSAL_LM"))
    with torch.no_grad():
        for name, parameter in adapted.named_parameters():
            if parameter.requires_grad:
                parameter.copy_(torch.randn_like(parameter) * 0.3 + ("ia3" in name))
    adapted.save_pretrained(str(folder))
    return folder


def save_with_tokenizer(folder: Path, base: Path, seed: int = 0) -> Path:
    """The same, with the base's tokenizer beside it as trainers save it."""
    save_adapter(folder, base, seed)
    AutoTokenizer.from_pretrained(base).save_pretrained(folder)
    return folder
