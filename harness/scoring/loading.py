"""Loading a checkpoint's model and tokenizer from a local folder."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase
from transformers.utils import logging

from ...errors import UserError
from .checkpoint_weights import broken_file, check_loading, no_loading_report
from .memory import is_out_of_memory

logging.disable_progress_bar()  # the run's own bars show progress

_SMALL = 5_000_000
"""Parameters below which the operations of a forward pass are too short to share between CPU threads."""
_THREADS = torch.get_num_threads()
DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}


@dataclass(frozen=True, slots=True)
class LoadOptions:
    """How checkpoints are loaded and run."""

    device: str
    dtype: str
    trust_remote_code: bool
    allow_pickle: bool


def load_options(device: str, dtype: str, trust_remote_code: bool, allow_pickle: bool) -> LoadOptions:
    """Resolve "auto": the best device there is; float32 on a CPU, half precision on an accelerator.

    Raises UserError for a device that this machine lacks.
    """
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    there = ["cpu", *(f"cuda:{index}" for index in range(torch.cuda.device_count()))]
    there += ["cuda"] if torch.cuda.is_available() else []
    there += ["mps"] if torch.backends.mps.is_available() else []
    if device not in there:
        raise UserError(f"This machine has no device {device!r}; use --device {' or '.join(there)}.")
    kind = device.partition(":")[0]
    if dtype == "auto":
        bf16 = kind == "cuda" and torch.cuda.is_bf16_supported()
        dtype = "float32" if kind == "cpu" else "bfloat16" if bf16 else "float16"
    return LoadOptions(device, dtype, trust_remote_code, allow_pickle)


def load_tokenizer(path: Path, options: LoadOptions) -> PreTrainedTokenizerBase:
    """The tokenizer in a checkpoint's folder; UserError where there is none that loads."""
    auto: Any = AutoTokenizer
    try:
        return auto.from_pretrained(path, trust_remote_code=options.trust_remote_code)
    except (OSError, ValueError, KeyError) as error:
        raise UserError(_sentence(f"The tokenizer in {path} cannot be loaded", error)) from error


def load_model(path: Path, options: LoadOptions) -> PreTrainedModel:
    """The model in a checkpoint's folder, in evaluation mode, with every tensor from its files.

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
            )
        check_loading(path, found)
        return model.to(options.device).eval()
    except UserError:
        raise
    except Exception as error:
        if is_out_of_memory(error):
            raise UserError(
                f"The model in {path} does not fit into the memory of {options.device} as {options.dtype}; "
                "use another --device, or a --dtype of half the size."
            ) from error
        broken = broken_file(path)
        raise UserError(broken or _sentence(f"The model in {path} cannot be loaded", error)) from error


def fit_threads(model: PreTrainedModel) -> None:
    """Let torch use one thread for a small model: waiting for a second takes longer than the work."""
    torch.set_num_threads(1 if model.num_parameters() < _SMALL else _THREADS)


def _sentence(problem: str, error: Exception) -> str:
    reason = " ".join(str(error).split()) or type(error).__name__
    hint = (
        "; it ships code of its own, which runs only with --trust-remote-code" if "trust_remote_code" in reason else ""
    )
    return f"{problem}: {reason[:300]}{hint}"
