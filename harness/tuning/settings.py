"""How a model is tuned, and the published settings by name."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from ...errors import UserError
from .losses import LOSSES

_MOST_AT_ONCE = 16


@dataclass(frozen=True, slots=True)
class Lora:
    """Low-rank adapters on every linear layer but the output's (Hu et al. 2021)."""

    r: int = 8
    alpha: int = 16
    dropout: float = 0.05

    def __post_init__(self) -> None:
        """Raise UserError for an adapter that cannot be."""
        if self.r < 1 or self.alpha < 1 or not 0 <= self.dropout < 1:
            raise UserError("--lora needs r and alpha of 1 or more and a dropout from 0 to below 1.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Training:
    """Settings of one tuning run."""

    loss: str = "simpo"
    """A key of `LOSSES`."""
    beta: float | None = None
    """None takes the loss's own."""
    gamma_ratio: float = 0.3
    """SimPO's target margin γ as a share of β."""
    label_noise: float = 0.1
    """The ε of rDPO: the share of pairs whose label is thought to be wrong."""
    learning_rate: float = 1e-6
    batch: int = 128
    """Pairs a step, over all processes; single answers where the loss is KTO."""
    micro_batch: int | None = None
    """Of them, those that a process reads at once; None takes the largest part of its share of the batch up to 16."""
    epochs: float = 1.0
    max_length: int = 2048
    """Tokens of prompt and response."""
    warmup: float = 0.1
    """Share of the steps, or their number where it is 1 or more."""
    weight_decay: float = 0.0
    optimizer: str = "adamw_torch"
    lora: Lora | None = None
    normalise_weights: bool = False
    """Divide weights by their mean over the data set."""
    drop_long: bool = False
    """Leave pairs longer than `max_length` out instead of refusing them."""
    save_every: int | None = None
    """Steps between checkpoints; None makes ten of them."""
    seed: int = 0

    def __post_init__(self) -> None:
        """Raise UserError for settings that nothing can be trained with."""
        if self.loss not in LOSSES:
            raise UserError(f"There is no loss {self.loss!r}; use one of {', '.join(LOSSES)}.")
        if not 0 < self.effective_beta < float("inf"):
            raise UserError("--beta must be above 0.")
        if self.loss == "simpo" and not 0 < self.gamma_ratio < float("inf"):
            raise UserError("--gamma-ratio must be above 0: it is SimPO's target margin as a share of beta.")
        if not 0 <= self.label_noise < 0.5:
            raise UserError("--label-noise must be from 0 to below 0.5: at half, labels say nothing.")
        if not 0 < self.learning_rate < float("inf"):
            raise UserError("--learning-rate must be above 0.")
        if not 0 < self.epochs < float("inf"):
            raise UserError("--epochs must be above 0.")
        if not (0 <= self.warmup < float("inf") and 0 <= self.weight_decay < float("inf")):
            raise UserError("--warmup and --weight-decay must be 0 or more.")
        if min(self.batch, self.micro_batch or 1, self.save_every or 1) < 1 or self.max_length < 8:
            raise UserError("--batch, --micro-batch and --save-every must be above 0, --max-length at least 8.")

    @property
    def effective_beta(self) -> float:
        """β, the loss's own where none is given."""
        return LOSSES[self.loss].beta if self.beta is None else self.beta

    def batches(self, processes: int) -> tuple[int, int]:
        """Rows that a process reads at once, and how often before a step; UserError where that cannot be."""
        share, rest = divmod(self.batch, processes)
        if rest or not share:
            raise UserError(f"A batch of {self.batch} does not divide among {processes} processes: change --batch.")
        micro = self.micro_batch or max(n for n in range(1, min(share, _MOST_AT_ONCE) + 1) if share % n == 0)
        if share % micro:
            raise UserError(
                f"{share} rows a process and step do not divide into micro-batches of {micro}: "
                "change --batch or --micro-batch."
            )
        if self.loss == "kto" and micro < 2:
            raise UserError(
                "KTO sets each answer beside the others that are read with it, and a micro-batch of 1 has none: change "
                "--batch or --micro-batch."
            )
        return micro, share // micro


def processes() -> int:
    """How many processes train together, as accelerate, torchrun and their like tell each of them."""
    return int(os.environ.get("WORLD_SIZE", "1"))


RECIPES: Final[Mapping[str, Mapping[str, Any]]] = {
    # arXiv 2411.02481 and the SimPO settings that it starts from; β and learning rate were searched there.
    "cdr": {
        "loss": "simpo",
        "beta": 10.0,
        "gamma_ratio": 0.3,
        "learning_rate": 1e-6,
        "batch": 128,
        "epochs": 1.0,
        "max_length": 2048,
        "warmup": 0.1,
    },
    # arXiv 2603.04968, Table 8, but for its paged optimiser, which needs bitsandbytes.
    "cwpo": {
        "loss": "dpo",
        "beta": 0.5,
        "learning_rate": 5e-6,
        "batch": 64,
        "epochs": 5.0,
        "max_length": 2048,
        "warmup": 100.0,
        "weight_decay": 0.05,
        "lora": Lora(8, 16, 0.05),
    },
    "minilab": {
        "loss": "dpo",
        "learning_rate": 5e-5,
        "batch": 16,
        "epochs": 1.0,
        "max_length": 256,
        "warmup": 0.05,
    },
}
"""Names that stand for settings; what is given beside a recipe wins over it."""
