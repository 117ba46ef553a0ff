"""How it is answered: rendering, scoring, the store, rewards, metrics, and the commands over them.

from cdr_eval.harness import Options, evaluate_grid, evaluate_pair
"""

import os
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..reports.run_format.results import RunResult
    from .evaluate import evaluate_grid, evaluate_pair
    from .options import Options
    from .reward_function import DensityRatioReward

__all__ = ["DensityRatioReward", "Options", "RunResult", "evaluate_grid", "evaluate_pair"]

_HOMES = {
    "DensityRatioReward": ".reward_function",
    "Options": ".options",
    "RunResult": "..reports.run_format.results",
    "evaluate_grid": ".evaluate",
    "evaluate_pair": ".evaluate",
}


os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"  # before anything imports huggingface_hub


def __getattr__(name: str) -> object:
    """Import on first use, so that commands which need no model do not wait for torch."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name], __name__), name)
