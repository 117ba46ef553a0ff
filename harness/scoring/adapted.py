"""A base model in memory and the adapter on top of it, which comes off again; it is never merged into the base."""

from importlib import import_module
from typing import Any

import safetensors.torch
import torch
from transformers import PreTrainedModel

from ...errors import UserError
from ...model_registry.adapters import Adapter
from .memory import is_out_of_memory

_NAME = "scored"
"""The name by which peft knows an adapter; its parameters have it in theirs."""


def put_on(model: PreTrainedModel, adapter: Adapter) -> None:
    """Put an adapter beside the layers of its base, as peft does: in float32, whatever the base is in.

    Raises UserError where the adapter's tensors and the places for them differ.
    """
    peft: Any = import_module("peft")
    tuners: Any = import_module("peft.tuners.tuners_utils")
    files: Any = safetensors.torch  # partly untyped
    weights = _own(files.load_file(adapter.weights), model, adapter)
    try:
        config = peft.PeftConfig.from_pretrained(str(adapter.folder))
        unknown = [key for key in adapter.settings_in_force if not hasattr(config, key)]
        if unknown:
            raise ValueError(f"this version of peft does not know its setting {unknown[0]}; update peft")
        config.inference_mode = True
        peft.inject_adapter_in_model(config, model, _NAME)
        tuners.cast_adapter_dtype(model, _NAME)
        found = peft.set_peft_model_state_dict(model, weights, _NAME)
    except Exception as error:
        if is_out_of_memory(error):
            raise
        reason = " ".join(str(error).split())[:300]
        raise UserError(f"The adapter in {adapter.folder} cannot be put on its base: {reason}") from error
    missing = sorted(name for name in found.missing_keys if f".{_NAME}" in name)
    unexpected = sorted(found.unexpected_keys)
    for problem, names in (("lacks", missing), ("holds what its base has no place for:", unexpected)):
        if names:
            more = f" and {len(names) - 1} more" if len(names) > 1 else ""
            raise UserError(
                f"The adapter in {adapter.folder} {problem} {names[0]}{more}; restore the folder from where it came, "
                "or name the checkpoint that it was trained on."
            )
    model.eval()


def take_off(model: PreTrainedModel) -> None:
    """Put the base's own layers back, the very modules that were there; nothing happens where no adapter is on."""
    if not hasattr(model, "peft_config"):
        return
    layer: Any = import_module("peft.tuners.tuners_utils").BaseTunerLayer
    network: Any = model
    for name, module in list(network.named_modules()):
        if isinstance(module, layer) and not name.endswith(".base_layer"):  # whose wrapper is in the list, too
            network.set_submodule(name, module.get_base_layer())
    del model.peft_config


def _own(weights: dict[str, torch.Tensor], model: PreTrainedModel, adapter: Adapter) -> dict[str, torch.Tensor]:
    """An adapter's tensors by the names of the base's modules, less copies of the base's, which peft saves at times.

    Raises UserError where the file would change weights of the base.
    """
    named = {name.removeprefix("base_model.model."): tensor for name, tensor in weights.items()}
    base = model.state_dict()
    own: dict[str, torch.Tensor] = {}
    for name, tensor in named.items():
        there = base.get(name.replace(".base_layer.", "."))
        if there is None:
            own[name] = tensor
        elif there.shape != tensor.shape or not torch.equal(there, tensor.to(there)):
            raise UserError(
                f"The adapter in {adapter.folder} holds other weights of its base: {name}; merge it into its base and "
                "pass the folder of the merged model."
            )
    return own
