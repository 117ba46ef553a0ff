"""How many tokens fit into a forward pass, and recognising that they did not."""

from typing import Any

import torch
from transformers import PreTrainedModel

from .model_facts import text_config

_CPU_TOKENS = 2048
"""On a CPU larger passes are no faster."""
_MOST_TOKENS = 16384
"""More do not make a GPU any busier."""
_LEAST_TOKENS = 256
_NO_MEMORY = ("can't allocate memory", "out of memory", "status_alloc_failed")
_MASK_CONTEXT = 2048
"""Length of context for which attention masks are allowed for."""


def default_batch_tokens(model: PreTrainedModel) -> int:
    """Tokens whose activations take about a quarter of the memory that is free on the model's device.

    Processes that share a model agree on the fewest.
    """
    own = _own_batch_tokens(model)
    if processes(model) == 1:
        return own
    all_of_them = [own] * processes(model)
    distributed: Any = torch.distributed
    distributed.all_gather_object(all_of_them, own)
    return min(all_of_them)


def processes(model: PreTrainedModel) -> int:
    """Processes that the model's weights are spread over, which must do the same passes."""
    return int(getattr(model, "tp_size", None) or 1)


def may_halve(model: PreTrainedModel, error: BaseException) -> bool:
    """Whether a pass may be tried again in halves: memory ran out, and no other process waits in the same pass."""
    return is_out_of_memory(error) and processes(model) == 1


def offloaded(model: PreTrainedModel) -> float:
    """Share of a model's weights that lie in memory or on the disk and are brought to the device in every pass."""
    sizes = [(parameter.numel(), parameter.is_meta) for parameter in model.parameters()]
    return sum(size for size, away in sizes if away) / max(1, sum(size for size, _ in sizes))


def _own_batch_tokens(model: PreTrainedModel) -> int:
    free = free_bytes(model.device)
    if free is None:
        return _CPU_TOKENS
    config = text_config(model)
    width = int(config.hidden_size)
    inner = int(getattr(config, "intermediate_size", None) or 4 * width)
    per_token = (32 * width + 4 * inner + _MASK_CONTEXT) * model.dtype.itemsize
    return max(_LEAST_TOKENS, min(_MOST_TOKENS, free // 4 // per_token))


def is_out_of_memory(error: BaseException) -> bool:
    """Whether a smaller batch may succeed: CUDA's and MPS's error, or a RuntimeError of CPU, cuBLAS or cuDNN."""
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    message = str(error).lower()
    return isinstance(error, RuntimeError) and any(words in message for words in _NO_MEMORY)


def out_of_memory(what: str) -> str:
    """The sentence for memory that ran out, however little was asked at a time."""
    return (
        f"Memory runs out with {what}, however short the passes: pass a smaller --max-length, a --dtype of half the "
        "size, or another --device."
    )


def free_bytes(device: torch.device) -> int | None:
    """Free memory of an accelerator; None on a CPU."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    if device.type == "mps":
        return torch.mps.recommended_max_memory() - torch.mps.driver_allocated_memory()
    return None
