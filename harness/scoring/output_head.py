"""From hidden states to the log-probabilities of given tokens, without ever holding all logits."""

import math
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import PreTrainedModel

from .model_facts import text_config

_CHUNK_ELEMENTS = {"cpu": 2**23, "cuda": 2**27, "mps": 2**25}
"""Logits that are held at a time, by device type: what stays in a CPU's caches, what keeps a GPU busy."""


_FACTORS = ("logit_scale", "lm_head_multiplier", "output_multiplier")
"""What logits are multiplied by: of Cohere, Falcon-H1, Muse."""
_DIVISORS = ("logits_scaling", "logits_mup_width_multiplier")
"""What they are divided by: of Granite, Inkling."""


def _scale(config: Any) -> float:
    """What a model does to all logits alike; HyperCLOVAX multiplies by what Granite divides by."""
    factors, divisors = _FACTORS, _DIVISORS
    if str(config.model_type).startswith("hyperclovax"):
        factors, divisors = (*_FACTORS, "logits_scaling"), ()
    above, below = (math.prod(getattr(config, name, None) or 1.0 for name in names) for names in (factors, divisors))
    return above / below


class OutputHead:
    """A causal language model's output projection and what it does to the logits afterwards.

    Raises ValueError where the model has no output embedding.
    """

    def __init__(self, model: PreTrainedModel) -> None:
        projection: torch.nn.Module | None = getattr(model, "get_output_embeddings")()  # noqa: B009
        if projection is None:
            raise ValueError("it has no output projection")
        config = text_config(model)
        self._projection = projection
        self._softcap: float | None = getattr(config, "final_logit_softcapping", None)
        """Gemma 2: logits -> c tanh(logits / c)."""
        self._scale = _scale(config)
        self._chunk = max(16, _CHUNK_ELEMENTS.get(model.device.type, 2**25) // config.vocab_size)

    def log_probs(self, hidden: Tensor, rows: NDArray[np.int64], targets: NDArray[np.int64]) -> Tensor:
        """log softmax(logits[rows])[targets] in float32, on the model's device.

        `hidden` (tokens, width), `rows` (scored,) ascending indices of tokens, `targets` (scored,) token ids.
        A row that predicts several targets (where responses part) is projected once.
        """
        distinct, index = np.unique(rows, return_inverse=True)
        hidden = hidden[torch.as_tensor(distinct).to(hidden.device, non_blocking=True)]
        on_device = torch.as_tensor(np.stack([index, targets])).to(hidden.device, non_blocking=True)
        log_probs = torch.empty(len(targets), dtype=torch.float32, device=hidden.device)
        for start in range(0, len(distinct), self._chunk):
            low, high = np.searchsorted(index, [start, start + self._chunk])
            picked, wanted = on_device[:, low:high]
            log_probs[low:high] = self._of_chunk(hidden[start : start + self._chunk], picked - start, wanted)
        return log_probs

    def _of_chunk(self, hidden: Tensor, picked: Tensor, wanted: Tensor) -> Tensor:
        """The same of one chunk; all that is large is freed before the next one, or the allocator leaves holes."""
        logits = self._logits(hidden)
        chosen = torch.log_softmax(logits, dim=-1)[picked.to(logits.device), wanted.to(logits.device)]
        return chosen.to(hidden.device)

    def _logits(self, hidden: Tensor) -> Tensor:
        logits: Tensor = self._projection(hidden)
        if self._scale != 1.0:
            logits = logits * self._scale
        if self._softcap is not None:
            logits = torch.tanh(logits / self._softcap) * self._softcap
        return logits.float()
