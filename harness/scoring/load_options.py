"""How checkpoints are loaded; nothing is loaded here, so that a run answered by the store needs no model library."""

import re
import sys
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec

from ...errors import UserError

_DEVICE = re.compile(r"auto|cpu|mps|cuda(:\d+)?")


@dataclass(frozen=True, slots=True)
class LoadOptions:
    """How checkpoints are loaded and run."""

    device: str
    dtype: str
    trust_remote_code: bool
    allow_pickle: bool
    tensor_parallel: int = 1
    """Processes that a model's weights are spread over."""
    offload: bool = False
    """Layers lie on this machine's GPUs, and those that do not fit in memory or on the disk."""
    quantise: str | None = None
    """"int8": weights of linear layers are rounded to 8 bits while loading."""

    @property
    def numbers(self) -> str:
        """What a model computes with; a part of every score's key."""
        return self.dtype + (f"+torchao-{self.quantise}wo2" if self.quantise else "")


def check_device(device: str) -> None:
    """Raise UserError for what is no name of a device on any machine."""
    if not _DEVICE.fullmatch(device):
        raise UserError(f"There is no device {device!r}; use --device cpu, cuda, cuda:1, mps or auto.")


def check_quantise(quantise: str | None) -> None:
    """Raise UserError where weights are to be rounded while loading, and the library that does it is missing."""
    if quantise is not None and find_spec("torchao") is None:
        raise UserError("--quantise int8 needs torchao: pip install 'cdr-eval[torchao]'.")


def load_options(
    device: str, dtype: str, trust_remote_code: bool, allow_pickle: bool, quantise: str | None = None
) -> LoadOptions:
    """Resolve "auto": the best device there is; float32 on a CPU, half precision on an accelerator.

    Raises UserError for a device that this machine lacks.
    """
    check_device(device)
    there = ["cpu"] if device == "cpu" else _devices()
    if device == "auto":
        device = next(name for name in ("cuda", "mps", "cpu") if name in there)
    if device not in there:
        raise UserError(f"This machine has no device {device!r}; use --device {' or '.join(there)}.")
    if dtype == "auto":
        dtype = "float32" if device == "cpu" else _half_precision(device)
    return LoadOptions(device, dtype, trust_remote_code, allow_pickle, quantise=quantise)


def _devices() -> list[str]:
    """The devices of this machine."""
    if sys.platform != "darwin" and version("torch").endswith("+cpu"):  # built for processors: no need to import it
        return ["cpu"]
    import torch

    found = ["cpu", *(f"cuda:{index}" for index in range(torch.cuda.device_count()))]
    found += ["cuda"] if torch.cuda.is_available() else []
    return [*found, "mps"] if torch.backends.mps.is_available() else found


def _half_precision(device: str) -> str:
    import torch

    real = device.startswith("cuda") and torch.cuda.is_bf16_supported(including_emulation=False)
    return "bfloat16" if real else "float16"


def cannot_load(problem: str, error: Exception) -> UserError:
    """What a library said about a checkpoint, as one sentence."""
    reason = " ".join(str(error).split()) or type(error).__name__
    hint = (
        "; it ships code of its own, which runs only with --trust-remote-code" if "trust_remote_code" in reason else ""
    )
    return UserError(f"{problem}: {reason[:300]}{hint}")
