"""Attention over a slice of a token trie, for any transformers model that takes its attention function by name.

The model computes a slice as one sequence without padding; only attention has to know the tree. transformers hands
every layer's queries, keys and values to the function registered here, which attends segment by segment with the
model's own attention (SDPA or eager), so that scaling, soft-capping and the like stay the model's. Which keys a query
may see is the model's own rule too (causal, sliding window, chunks): transformers hands it to the mask function here.
"""

import sys
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers import AttentionInterface, AttentionMaskInterface, PreTrainedModel

from .packing import Segment, TrieSlice
from .token_trie import Ranges

NAME = "cdr_eval_tree"

IndexRule = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]
"""transformers' mask function: (batch index, head index, query position, key position) -> may the query see the key."""


@dataclass(frozen=True, slots=True, eq=False)
class Visibility:
    """A model's rule for which keys a query sees; it travels through the model in the attention mask's place."""

    rule: IndexRule


@dataclass(slots=True)
class TreePass:
    """One forward pass over a slice: its layout, and the keys and values that come in and go out."""

    layout: TrieSlice
    attention: str
    """Name of the attention that runs within a segment: "sdpa" or "eager"."""
    carried: dict[int, tuple[Tensor, Tensor]]
    """Layer -> keys and values of the path before the slice, each (1, heads, path, head size)."""
    carry: dict[int, tuple[Tensor, Tensor]] = field(default_factory=dict[int, tuple[Tensor, Tensor]])
    """Layer -> those of the path before the next slice; the pass fills it in."""
    layers: set[int] = field(default_factory=set[int])
    """The layers that attended along the tree."""
    masks: dict[tuple[Visibility, torch.device], list[Tensor | None]] = field(
        default_factory=dict[tuple[Visibility, torch.device], list[Tensor | None]]
    )
    """Each segment's mask under each rule that the model has (Gemma: one for full and one for sliding layers), on each
    device that it has layers on."""


@contextmanager
def tree_attention(model: PreTrainedModel) -> Generator[str]:
    """Make the model attend along a tree; yields the name of the attention to run within a segment."""
    switchable: Any = model
    own: str = switchable.config._attn_implementation
    switchable.set_attn_implementation(NAME)
    try:
        yield own if own in {"sdpa", "eager"} else "sdpa" if switchable._supports_sdpa else "eager"
    finally:
        switchable.set_attn_implementation(own)


def _unwatched() -> AbstractContextManager[Any]:
    """Many short calls follow, none of which `fast_linear` looks for: its look at each takes as long as the call."""
    torch_c: Any = getattr(torch, "_C")  # noqa: B009
    return torch_c.DisableTorchFunction()


def _attend(
    module: torch.nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Visibility | Tensor | None,
    *,
    tree_pass: TreePass,
    **options: Any,
) -> tuple[Tensor, None]:
    """One layer's attention: queries, keys, values (1, heads, tokens, head size) -> (1, tokens, heads, head size)."""
    if not isinstance(attention_mask, Visibility):
        raise TypeError("its attention mask does not come from transformers' mask functions")
    layer = int(getattr(module, "layer_idx"))  # noqa: B009
    tree_pass.layers.add(layer)
    if layer in tree_pass.carried:
        carried_key, carried_value = tree_pass.carried[layer]
        key, value = torch.cat([carried_key, key], dim=2), torch.cat([carried_value, value], dim=2)
    carry = tree_pass.layout.carry
    if carry:
        tree_pass.carry[layer] = (_gather(key, carry).clone(), _gather(value, carry).clone())
    kind = (attention_mask, query.device)
    if kind not in tree_pass.masks:
        with _unwatched():
            tree_pass.masks[kind] = [
                _segment_mask(attention_mask.rule, segment, tree_pass.attention, query)
                for segment in tree_pass.layout.segments
            ]
    attend = _segment_attention(module, tree_pass.attention)
    with _unwatched():
        outputs = [
            attend(
                module,
                query[:, :, segment.start : segment.stop],
                _gather(key, segment.context),
                _gather(value, segment.context),
                mask,
                **options,
            )[0]
            for segment, mask in zip(tree_pass.layout.segments, tree_pass.masks[kind], strict=True)
        ]
        return torch.cat(outputs, dim=1), None


def _segment_attention(module: torch.nn.Module, name: str) -> Callable[..., tuple[Tensor, Any]]:
    """transformers' attention function of that name; the eager one is each architecture's own."""
    if name == "eager":
        return getattr(sys.modules[type(module).__module__], "eager_attention_forward")  # noqa: B009
    registered: Any = AttentionInterface()
    return registered[name]


def _segment_mask(rule: IndexRule, segment: Segment, attention: str, query: Tensor) -> Tensor | None:
    """(1, 1, queries, keys) additive mask in the queries' type; None for SDPA where its causal flag says the same."""
    above, device = int(segment.positions[0]), query.device
    queries = torch.as_tensor(segment.positions)[:, None].to(device)
    keys = torch.as_tensor(np.append(np.arange(above), segment.positions))[None, :].to(device)
    zero = torch.zeros((), dtype=torch.long, device=device)
    visible = rule(zero, zero, queries, keys)
    if segment.path is not None:
        visible = visible & torch.as_tensor(segment.path).to(device)
    elif attention == "sdpa" and above == 0 and torch.equal(visible, keys <= queries):
        return None
    mask = torch.zeros(visible.shape, dtype=query.dtype, device=device)
    return mask.masked_fill_(~visible, torch.finfo(query.dtype).min)[None, None]


def _gather(states: Tensor, ranges: Ranges) -> Tensor:
    """The given tokens' keys or values; a view where they lie in one range."""
    parts = [states[:, :, start:stop] for start, stop in ranges]
    return parts[0] if len(parts) == 1 else torch.cat(parts, dim=2)


def _visibility(*, mask_function: IndexRule, **_: Any) -> Visibility:
    return Visibility(mask_function)


_interfaces: tuple[Any, Any] = (AttentionInterface, AttentionMaskInterface)
_interfaces[0].register(NAME, _attend)
_interfaces[1].register(NAME, _visibility)
