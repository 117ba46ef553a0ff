"""Loading a checkpoint's model from a local folder."""

import atexit
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, PreTrainedModel
from transformers.distributed.configuration_utils import DistributedConfig
from transformers.utils import logging

from ...errors import UserError
from ...model_registry.weight_files import broken_file
from .checkpoint_weights import check_loading, no_loading_report
from .load_options import LoadOptions, cannot_load
from .memory import is_out_of_memory

logging.disable_progress_bar()  # the run's own bars show progress

DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}


def load_model(path: Path, options: LoadOptions, **arguments: Any) -> PreTrainedModel:
    """The model in a checkpoint's folder, in evaluation mode, with every tensor from its files.

    `arguments` are those of `from_pretrained` that its format asks for.
    Raises UserError where it does not load, naming a broken file, or the tensors that are missing, unexpected or of
    another shape.
    """
    auto: Any = AutoModelForCausalLM
    try:
        with no_loading_report():
            model, found = auto.from_pretrained(
                path,
                dtype=DTYPES[options.dtype],
                trust_remote_code=options.trust_remote_code,
                use_safetensors=not options.allow_pickle or None,
                output_loading_info=True,
                ignore_mismatched_sizes=True,  # to be refused with their names
                **{**_spread(options), **arguments},
            )
        check_loading(path, found)
        placed = getattr(model, "hf_device_map", None) is not None
        return (model if placed else model.to(options.device)).eval()
    except UserError:
        raise
    except Exception as error:
        if is_out_of_memory(error):
            raise UserError(
                f"The model in {path} does not fit into the memory of {options.device} as {options.dtype}; "
                "use another --device, or a --dtype of half the size."
            ) from error
        broken = broken_file(path)
        raise (UserError(broken) if broken else cannot_load(f"The model in {path} cannot be loaded", error)) from error


def _spread(options: LoadOptions) -> dict[str, Any]:
    """The arguments that place a model on several devices."""
    if options.offload:
        return {"device_map": "auto", "offload_folder": _offload_folder()}
    if options.tensor_parallel > 1:
        return {"distributed_config": DistributedConfig(tp_size=options.tensor_parallel)}
    # Straight onto an accelerator: host memory may be the smaller of the two.
    return {} if options.device == "cpu" else {"device_map": {"": options.device}}


@cache
def _offload_folder() -> str:
    """Where layers lie that fit nowhere else, until the process ends."""
    folder = tempfile.TemporaryDirectory(prefix="cdr-offload-")
    atexit.register(folder.cleanup)
    return folder.name
