"""Faster linear layers on x86 CPUs, at the same precision.

In float32 torch multiplies matrices with MKL, which on CPUs of other makers than its own leaves half of their vector
width unused. oneDNN, also a part of torch, goes by what the CPU can do: on AMD's AVX-512 cores it is twice as fast.
`torch.backends.mkldnn.enabled = False` turns it off, as elsewhere in torch.
"""

import platform
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch.overrides import TorchFunctionMode
from transformers import PreTrainedModel


class _OneDnnLinear(TorchFunctionMode):
    """Sends `torch.nn.functional.linear` to oneDNN and leaves every other function alone."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        if func is torch.nn.functional.linear and not kwargs and len(args) == 3:
            states, weight, bias = args
            if not (type(states) is torch.Tensor and is_plain(weight)):
                return func(*args)
            return torch.ops.mkldnn._linear_pointwise(states, weight, bias, "none", [], "")
        return func(*args, **(kwargs or {}))


def fast_linear(device: torch.device, dtype: torch.dtype) -> AbstractContextManager[Any]:
    """A context in which linear layers of that device and type run as fast as torch can make them."""
    return _OneDnnLinear() if _helps(device, dtype) else nullcontext()


def is_plain(weight: Any) -> bool:
    """Whether a weight is a float32 tensor on the CPU: not quantised, not spread over processes, not offloaded."""
    plain = type(weight) in {torch.Tensor, torch.nn.Parameter} and type(weight.data) is torch.Tensor
    return plain and weight.device.type == "cpu" and weight.dtype == torch.float32


def lay_out_weights(model: PreTrainedModel) -> None:
    """Store the weights of a model's linear layers as oneDNN reads them fastest, column by column; none changes."""
    if not _helps(model.device, model.dtype):
        return
    embedding: torch.nn.Module = getattr(model, "get_input_embeddings")()  # noqa: B009
    tied = {id(parameter) for parameter in embedding.parameters()}  # an embedding is read by rows
    for module in model.modules():
        if isinstance(module, torch.nn.Linear) and id(module.weight) not in tied and is_plain(module.weight):
            module.weight.data = module.weight.data.t().contiguous().t()


def _helps(device: torch.device, dtype: torch.dtype) -> bool:
    x86 = platform.machine().lower() in {"x86_64", "amd64"}
    onednn: Any = torch.backends.mkldnn  # by its older name
    return device.type == "cpu" and dtype == torch.float32 and x86 and onednn.is_available() and bool(onednn.enabled)
