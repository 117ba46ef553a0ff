"""How many tokens fit into a forward pass, and recognising that they did not."""

import torch
from transformers import PreTrainedModel

from .model_facts import text_config

_CPU_TOKENS = 2048
"""On a CPU larger passes are no faster."""
_MOST_TOKENS = 16384
"""More do not make a GPU any busier."""
_LEAST_TOKENS = 256
_MASK_CONTEXT = 2048
"""Length of context for which attention masks are allowed for."""


def default_batch_tokens(model: PreTrainedModel) -> int:
    """Tokens whose activations take about a quarter of the memory that is free on the model's device."""
    free = free_bytes(model.device)
    if free is None:
        return _CPU_TOKENS
    config = text_config(model)
    width = int(config.hidden_size)
    inner = int(getattr(config, "intermediate_size", None) or 4 * width)
    per_token = (32 * width + 4 * inner + _MASK_CONTEXT) * model.dtype.itemsize
    return max(_LEAST_TOKENS, min(_MOST_TOKENS, free // 4 // per_token))


def is_out_of_memory(error: BaseException) -> bool:
    """Whether a smaller batch may succeed: CUDA's and MPS's error, or the CPU allocator's RuntimeError."""
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    message = str(error).lower()
    return isinstance(error, RuntimeError) and ("can't allocate memory" in message or "out of memory" in message)


def free_bytes(device: torch.device) -> int | None:
    """Free memory of an accelerator; None on a CPU."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    if device.type == "mps":
        return torch.mps.recommended_max_memory() - torch.mps.driver_allocated_memory()
    return None
