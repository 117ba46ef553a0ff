"""Timing several ways to do one piece of work in turns, and the limit that matrix products set."""

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from cdr_eval.harness.scoring.cpu_linear import fast_linear
from cdr_eval.harness.scoring.token_trie import build_trie
from numpy.typing import NDArray
from transformers import PreTrainedModel

from .scoring_work import INNER, VOCABULARY, WIDTH, Pair

Work = Callable[[], NDArray[np.float64]]


@dataclass
class Measured:
    """What one way of doing the work took in each round."""

    seconds: list[float] = field(default_factory=list[float])
    tokens: int = 0
    """Computed by the models, padding included."""
    scores: NDArray[np.float64] = field(default_factory=lambda: np.empty(0))

    @property
    def median(self) -> float:
        """Seconds by the clock."""
        return statistics.median(self.seconds)


def in_turns(
    work: dict[str, Work], models: Sequence[PreTrainedModel], rounds: int
) -> tuple[dict[str, Measured], list[tuple[float, float]]]:
    """Do the work every way once a round; also the rates of matrix products, measured before and after each round."""
    measured = {name: Measured() for name in work}
    computed: list[int] = []
    hooks = [first_layer(model).register_forward_pre_hook(lambda _, args: _count(computed, args)) for model in models]
    rates: list[tuple[float, float]] = []
    for _ in range(rounds):
        rates.append(product_rates())
        for name, run in work.items():
            computed.clear()
            start = time.perf_counter()
            measured[name].scores = run()
            measured[name].seconds.append(time.perf_counter() - start)
            measured[name].tokens = sum(computed)
        rates.append(product_rates())
    for hook in hooks:
        hook.remove()
    return measured, rates


def _count(computed: list[int], args: tuple[Any, ...]) -> None:
    states: torch.Tensor = args[0]
    computed.append(states.shape[0] * states.shape[1])


def first_layer(model: Any) -> torch.nn.Module:
    """The first of a model's layers."""
    return model.get_decoder().layers[0]


def product_rates() -> tuple[float, float]:
    """Operations per second of the fastest product of matrices: as torch does it, and as this engine has it done.

    Tried are a square product and those of the model's own layers, the engine's with weights by row and by column.
    """
    shapes = ((1024, WIDTH, INNER), (1024, INNER, WIDTH), (256, WIDTH, VOCABULARY), (1024, 1024, 1024))
    weights = [torch.randn(columns, inner) for _, inner, columns in shapes]
    states = [torch.randn(rows, inner) for rows, inner, _ in shapes]
    plain = max(map(_product_rate, states, weights))
    with fast_linear(torch.device("cpu"), torch.float32):
        by_column = [weight.t().contiguous().t() for weight in weights]
        fast = max(map(_product_rate, [*states, *states], [*weights, *by_column]))
    return plain, fast


@torch.inference_mode()
def _product_rate(states: torch.Tensor, weight: torch.Tensor) -> float:
    seconds: list[float] = []
    for _ in range(5):
        start = time.perf_counter()
        torch.nn.functional.linear(states, weight, None)
        seconds.append(time.perf_counter() - start)
    return 2 * states.numel() * len(weight) / statistics.median(seconds)


def necessary_operations(model: Any, pairs: Sequence[Pair]) -> float:
    """Unique trie tokens × 2 × non-embedding parameters, and the output projection where it predicts a scored token."""
    trie = build_trie([request for pair in pairs for request in pair])
    layers = sum(parameter.numel() for parameter in model.get_decoder().layers.parameters())
    return 2.0 * (len(trie.token_ids) * layers + len(np.unique(trie.read_rows)) * WIDTH * VOCABULARY)
