"""Where the engine's time goes, by kind of operation."""

import time
from collections.abc import Callable
from typing import Any

from torch.profiler import ProfilerActivity, profile

PRODUCTS = "products of matrices"
KINDS = {
    PRODUCTS: ("linear", "mm", "matmul"),
    "attention": ("scaled_dot_product",),
    "log-softmax": ("log_softmax",),
    "copies": ("cat", "copy_", "clone", "index", "gather", "embedding"),
}
"""Kinds of operation by parts of their names in torch; whatever torch does besides is elementwise or a reduction."""
ELEMENTWISE = "elementwise operations and norms"
OUTSIDE = "Python, and what the profiler adds"


def time_by_kind(work: Callable[[], Any]) -> dict[str, float]:
    """Seconds by kind of operation; together, what the clock showed."""
    with profile(activities=[ProfilerActivity.CPU]) as profiler:
        began = time.perf_counter()
        work()
        whole = time.perf_counter() - began
    seconds = dict.fromkeys([*KINDS, ELEMENTWISE], 0.0)
    averages: Any = profiler.key_averages()
    for event in averages:
        seconds[_kind(event.key)] += event.self_cpu_time_total / 1e6
    return {**seconds, OUTSIDE: whole - sum(seconds.values())}


def _kind(operation: str) -> str:
    name = operation.partition("::")[2]
    return next((kind for kind, parts in KINDS.items() if any(part in name for part in parts)), ELEMENTWISE)
