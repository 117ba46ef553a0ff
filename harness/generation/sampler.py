"""Sampling many responses to a prompt from a causal language model, each from its own uniform numbers.

A prompt is read once; its cache is repeated for its samples. A token is drawn by inverting the cumulative
distribution, in float64 and in the order of token ids, at the sample's uniform number of that step. What else is in
the batch changes logits by rounding alone, which moves a token only where a uniform number lies that close to a step.
"""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# (torch does not type what becomes of arrays and lists)

import inspect
from collections.abc import Collection, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import DynamicCache, PreTrainedModel
from transformers.cache_utils import LinearAttentionCacheLayerMixin

from ...errors import UserError
from ..scoring.inference import inference
from ..scoring.memory import is_out_of_memory
from .settings import Sampling
from .streams import uniforms

Finish = Literal["stop", "length"]


@dataclass(frozen=True, slots=True)
class TokenPrompt:
    """A prompt as the model reads it."""

    id: str
    token_ids: tuple[int, ...]
    room: int
    """Tokens that a response may have at most, its end included."""


@dataclass(frozen=True, slots=True)
class TokenSample:
    """One sampled response."""

    token_ids: tuple[int, ...]
    """The token that ends it included."""
    finish: Finish


class Sampler:
    """Draws responses from one model.

    Args:
        model: in evaluation mode, on its device.
        stop: ids of the tokens that end a response.

    Raises UserError for a model whose state cannot be copied for several samples.
    """

    def __init__(self, model: PreTrainedModel, stop: Collection[int], sampling: Sampling) -> None:
        self._model: Any = model
        if "past_key_values" not in inspect.signature(self._model.forward).parameters:
            raise _not_sampled(model)
        self._chooser = torch.device("cpu") if model.device.type == "mps" else model.device
        """Where tokens are chosen, in float64, which MPS does not have."""
        self._stop = torch.tensor(sorted(stop), device=self._chooser)
        self._sampling = sampling

    def samples(self, prompts: Sequence[TokenPrompt]) -> list[list[TokenSample]]:
        """The samples of each prompt, in order of their index; UserError for logits that are no numbers."""
        try:
            with inference(self._model):
                return self._samples(prompts)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            raise UserError(
                f"Memory ran out with {self._sampling.batch} sequences at once: pass a smaller --batch."
            ) from error

    def _samples(self, prompts: Sequence[TokenPrompt]) -> list[list[TokenSample]]:
        cache, logits, mask = self._read(prompts)
        results: list[list[TokenSample]] = [[] for _ in prompts]
        at_once = max(1, self._sampling.batch // len(prompts))
        for start in range(0, self._sampling.n, at_once):
            indices = range(start, min(start + at_once, self._sampling.n))
            last = indices.stop == self._sampling.n
            continued = self._continue(prompts, indices, cache if last else deepcopy(cache), logits, mask)
            for position, sample in enumerate(continued):
                results[position // len(indices)].append(sample)
        return results

    def _read(self, prompts: Sequence[TokenPrompt]) -> tuple[Any, torch.Tensor, torch.Tensor]:
        """Cache, next-token logits and attention mask of the prompts, padded on their left."""
        width = max(len(prompt.token_ids) for prompt in prompts)
        ids = np.zeros((len(prompts), width), dtype=np.int64)
        mask = np.zeros((len(prompts), width), dtype=np.int64)
        for row, prompt in enumerate(prompts):
            ids[row, width - len(prompt.token_ids) :] = prompt.token_ids
            mask[row, width - len(prompt.token_ids) :] = 1
        attention = torch.from_numpy(mask)
        positions = (attention.cumsum(-1) - 1).clamp(min=0)
        output = self._forward(torch.from_numpy(ids), attention, positions, logits_to_keep=1)
        if not _selectable(self._model, getattr(output, "past_key_values", None)):
            raise _not_sampled(self._model)
        return output.past_key_values, output.logits[:, -1].to(self._chooser), attention.to(self._chooser)

    def _forward(self, ids: torch.Tensor, mask: torch.Tensor, positions: torch.Tensor, **more: Any) -> Any:
        device = self._model.device
        return self._model(
            input_ids=ids.to(device),
            attention_mask=mask.to(device),
            position_ids=positions.to(device),
            use_cache=True,
            **more,
        )

    def _continue(
        self, prompts: Sequence[TokenPrompt], indices: range, cache: Any, logits: torch.Tensor, mask: torch.Tensor
    ) -> list[TokenSample]:
        """One sample for every prompt and index, the indices of a prompt together; uses the cache up."""
        each = len(indices)
        draws = torch.from_numpy(self._uniforms(prompts, indices)).to(self._chooser)
        room = torch.tensor([p.room for p in prompts], device=logits.device).repeat_interleave(each)
        logits, mask = logits.repeat_interleave(each, 0), mask.repeat_interleave(each, 0)
        cache.reorder_cache(torch.arange(len(prompts)).repeat_interleave(each))
        written = torch.zeros(draws.shape, dtype=torch.long, device=logits.device)
        lengths = torch.zeros(len(draws), dtype=torch.long, device=logits.device)
        stopped = torch.zeros(len(draws), dtype=torch.bool, device=logits.device)
        rows = torch.arange(len(draws), device=logits.device)
        positions = mask.sum(-1, keepdim=True)
        for step in range(draws.shape[1]):
            tokens = choose(logits, draws[rows, step], self._sampling.temperature, self._sampling.top_p)
            written[rows, step] = tokens
            lengths[rows] = step + 1
            stopped[rows] = torch.isin(tokens, self._stop)
            going = (~stopped[rows] & (room[rows] > step + 1)).nonzero()[:, 0]
            if not len(going):
                break
            if len(going) < len(rows):
                cache.reorder_cache(going)
                rows, tokens, mask, positions = rows[going], tokens[going], mask[going], positions[going]
            mask = torch.cat([mask, mask.new_ones(len(rows), 1)], dim=1)
            output = self._forward(tokens[:, None], mask, positions + step, past_key_values=cache)
            logits = output.logits[:, -1].to(self._chooser)
        table: list[list[int]] = written.tolist()
        ends: list[int] = lengths.tolist()
        finished: list[bool] = stopped.tolist()
        return [
            TokenSample(tuple(ids[:end]), "stop" if stop else "length")
            for ids, end, stop in zip(table, ends, finished, strict=True)
        ]

    def _uniforms(self, prompts: Sequence[TokenPrompt], indices: range) -> NDArray[np.float64]:
        steps = max(prompt.room for prompt in prompts)
        return np.concatenate([uniforms(self._sampling.seed, prompt.id, indices, steps) for prompt in prompts])


def _selectable(model: Any, cache: Any) -> bool:
    """Whether the rows of a batch can be picked out of all that a model keeps of what it has read."""
    if type(cache) is not DynamicCache:
        return False
    return not model._is_stateful or any(isinstance(layer, LinearAttentionCacheLayerMixin) for layer in cache.layers)


def _not_sampled(model: PreTrainedModel) -> UserError:
    return UserError(
        f"{type(model).__name__} keeps what it has read where a prompt's state cannot be copied for its samples: "
        "sample its responses with another program."
    )


def choose(logits: torch.Tensor, draws: torch.Tensor, temperature: float, top_p: float) -> torch.Tensor:
    """The token of each row at its uniform number u: the first whose cumulative probability exceeds u.

    Probabilities are a float32 log-softmax of logits / temperature, summed in float64. Raises UserError for logits
    that are no numbers.
    """
    if not logits.amax(-1).isfinite().all():
        raise UserError("The model gives logits that are no numbers: pass --dtype float32, or mend its weights.")
    if temperature == 0:
        return logits.argmax(-1)
    weights = (logits.float() / temperature).log_softmax(-1).double().exp()
    if top_p < 1:
        ordered, places = weights.sort(dim=-1, descending=True, stable=True)
        beyond = ordered.cumsum(-1) - ordered >= top_p * ordered.sum(-1, keepdim=True)
        weights = weights.scatter(-1, places, ordered.masked_fill(beyond, 0.0))
    steps = weights.cumsum(-1)
    tokens = torch.searchsorted(steps, draws[:, None] * steps[:, -1:], right=True)[:, 0]
    last = weights.shape[-1] - 1 - weights.flip(-1).gt(0).int().argmax(-1)  # where rounding reaches the very end
    return torch.minimum(tokens, last)
