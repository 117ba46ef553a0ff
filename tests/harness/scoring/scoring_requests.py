"""Requests and small models for the scorers' tests."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from cdr_eval.harness.scoring.protocol import Scorer, ScoringRequest
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch.nn.modules.module import register_module_forward_pre_hook
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel

VOCABULARY = 97
SIZES: dict[str, Any] = {
    "vocab_size": VOCABULARY,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 512,
    "initializer_range": 0.3,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": 0,
}


def random_model(architecture: str, **settings: Any) -> PreTrainedModel:
    """A model of that architecture with large random weights: its predictions depend strongly on what it sees."""
    torch.manual_seed(0)
    config = AutoConfig.for_model(architecture, **{**SIZES, **settings})
    return AutoModelForCausalLM.from_config(config).eval()


def preference_requests(seed: int = 0, prompts: int = 6, responses: int = 3) -> list[ScoringRequest]:
    """Prompts that share their first 20 tokens, each with some responses."""
    draw = np.random.default_rng(seed)
    shared = draw.integers(3, VOCABULARY, 20).tolist()
    requests: list[ScoringRequest] = []
    for _ in range(prompts):
        prompt = shared + draw.integers(3, VOCABULARY, draw.integers(1, 20)).tolist()
        for _ in range(responses):
            response = draw.integers(3, VOCABULARY, draw.integers(1, 25)).tolist()
            scored = range(len(prompt), len(prompt) + len(response))
            requests.append(ScoringRequest((*prompt, *response), tuple(scored)))
    return requests


def sums(scorer: Scorer, requests: Sequence[ScoringRequest]) -> NDArray[np.float64]:
    """Each request's score; fails where a scorer leaves one out or gives one twice."""
    return by_request(scorer.score(requests), len(requests))


def by_request(batches: Iterable[tuple[list[int], NDArray[np.float64]]], count: int) -> NDArray[np.float64]:
    found = np.full(count, np.nan)
    for indices, values in batches:
        assert np.isnan(found[indices]).all()
        found[indices] = values
    assert not np.isnan(found).any()
    return found


@st.composite
def tries(draw: st.DrawFn, vocabulary: int = 4, length: int = 12) -> list[ScoringRequest]:
    """Requests over so few token ids that they share prefixes at every depth, and some are equal."""
    requests: list[ScoringRequest] = []
    for _ in range(draw(st.integers(1, 12))):
        tokens = draw(st.lists(st.integers(0, vocabulary - 1), min_size=2, max_size=length))
        before_last = draw(st.sets(st.integers(1, len(tokens) - 1)))
        scored = sorted(before_last | {len(tokens) - 1})
        requests.append(ScoringRequest(tuple(tokens), tuple(scored)))
    return requests


@contextmanager
def tokens_embedded() -> Iterator[list[int]]:
    """The number of tokens of every batch that any model embeds."""
    seen: list[int] = []

    def note(module: torch.nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
        if isinstance(module, torch.nn.Embedding):
            seen.append(inputs[0].numel())

    hook = register_module_forward_pre_hook(note)
    try:
        yield seen
    finally:
        hook.remove()
