"""The forward passes over a token trie, one slice after another."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import PreTrainedModel

from .cpu_linear import fast_linear
from .inference import inference
from .memory import may_halve
from .model_facts import decoder, text_config
from .output_head import OutputHead
from .packing import SegmentLimits, TrieSlice, cut_slice
from .token_trie import TokenTrie
from .tree_attention import TreePass, tree_attention

_SEGMENTS = {"cpu": SegmentLimits(256, 1_000)}
"""On a CPU few queries attend at a time, since a mask hides half of what a long causal block computes; elsewhere many,
since each call costs a few kernel launches."""
_ELSEWHERE = SegmentLimits(4096, 20_000)


class TreePasses:
    """Runs a model along a trie, `batch_tokens` tokens at a time.

    Raises whatever the model raises where it can't be run so, NotImplementedError where a layer does not attend along
    the tree (recurrent layers), ValueError where it has no output projection.
    """

    def __init__(self, model: PreTrainedModel, batch_tokens: int) -> None:
        self._model = model
        self._decoder = decoder(model)
        self._head = OutputHead(model)
        self._segments = _SEGMENTS.get(model.device.type, _ELSEWHERE)
        self.batch_tokens = batch_tokens
        """Tokens of a pass; halved when memory runs out, and the pass is tried again."""

    def run(self, trie: TokenTrie) -> Iterator[tuple[TrieSlice, Tensor]]:
        """Yield each slice and the log-probabilities, float32 on the model's device, of what it predicts."""
        carried: dict[int, tuple[Tensor, Tensor]] = {}
        start = 0
        while start < len(trie.token_ids):
            most = min(self._segments.tokens, self.batch_tokens)
            layout = cut_slice(trie, start, self.batch_tokens, replace(self._segments, tokens=most))
            try:
                log_probs, carry = self._forward(trie, layout, carried)
            except (RuntimeError, MemoryError) as error:
                if self.batch_tokens == 1 or not may_halve(self._model, error):
                    raise
                self.batch_tokens //= 2
                continue
            yield layout, log_probs
            carried, start = carry, layout.stop

    def _forward(
        self, trie: TokenTrie, layout: TrieSlice, carried: dict[int, tuple[Tensor, Tensor]]
    ) -> tuple[Tensor, dict[int, tuple[Tensor, Tensor]]]:
        """The slice's log-probabilities, and each layer's keys and values that the next slice needs."""
        rows, read = slice(layout.start, layout.stop), layout.reads
        device = self._model.device
        with inference(self._model), tree_attention(self._model) as attention, fast_linear(device, self._model.dtype):
            tree_pass = TreePass(layout, attention, carried)
            hidden = self._decoder(
                input_ids=self._row(trie.token_ids[rows]),
                position_ids=self._row(trie.positions[rows]),
                attention_mask=torch.ones(1, layout.stop - layout.start, device=device),
                use_cache=False,
                tree_pass=tree_pass,
            ).last_hidden_state
            log_probs = self._head.log_probs(hidden[0], trie.read_rows[read] - layout.start, trie.read_targets[read])
        if len(tree_pass.layers) < text_config(self._model).num_hidden_layers:
            raise NotImplementedError("some of its layers have no attention that transformers can replace")
        return log_probs, tree_pass.carry

    def _row(self, values: NDArray[np.int64]) -> Tensor:
        return torch.as_tensor(values)[None].to(self._model.device, non_blocking=True)
