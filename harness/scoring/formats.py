"""How the weights of a checkpoint that are not plain numbers are read: GGUF files, and int8 made while loading."""

import io
from contextlib import AbstractContextManager, nullcontext, redirect_stderr
from importlib import import_module
from typing import Any

import transformers

from ...errors import UserError
from ...model_registry.checkpoint_files import LocalCheckpoint
from .load_options import LoadOptions, check_quantise


def format_arguments(local: LocalCheckpoint, load: LoadOptions) -> dict[str, Any]:
    """What `from_pretrained` is told beside the folder; nothing for a plain checkpoint that is not to be quantised.

    Raises UserError where both its files and `load` quantise, or the library is missing.
    """
    if load.tensor_parallel > 1 and (load.quantise is not None or local.quantised is not None):
        raise UserError(f"--tensor-parallel spreads plain weights only; {local.name}'s are quantised: leave it out.")
    if load.quantise is not None and local.quantised is not None:
        raise UserError(f"{local.name} is quantised already ({local.quantised}); leave --quantise out.")
    if local.gguf is not None:
        # Kept in their blocks, they would be multiplied by another kernel wherever one is installed.
        settings: Any = transformers.GgufConfig
        return {"gguf_file": local.gguf.name, "quantization_config": settings(dequantize=True)}
    if load.quantise is None:
        return {}
    check_quantise(load.quantise)
    torchao: Any = import_module("torchao.quantization")
    ao: Any = transformers.TorchAoConfig
    return {"quantization_config": ao(torchao.Int8WeightOnlyConfig(version=2))}


def quiet_bars(local: LocalCheckpoint) -> AbstractContextManager[Any]:
    """A context without the progress bar that transformers writes for a GGUF file, which has no switch."""
    return redirect_stderr(io.StringIO()) if local.gguf is not None else nullcontext()
