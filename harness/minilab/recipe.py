"""The sizes and settings of a build: everything, besides the seed, that decides what comes out."""

from dataclasses import dataclass
from typing import Final, Literal

from ...tasks.minilab.world import SUBSETS


@dataclass(frozen=True, slots=True)
class NextToken:
    """A checkpoint that learns from texts: a base from random weights, or SFT from a base."""

    name: str
    label: str
    start: str | None
    """The checkpoint that SFT is trained from; None for a base."""
    steps: int
    learning_rate: float

    @property
    def stage(self) -> Literal["base", "sft"]:
        """The registry's word for it."""
        return "base" if self.start is None else "sft"


@dataclass(frozen=True, slots=True)
class Preference:
    """A checkpoint that learns from pairs."""

    name: str
    label: str
    start: str
    """The checkpoint that it is trained from, which is also its reference and samples its training pairs."""
    loss: str
    """A name of `harness/tuning/losses.py`."""
    learning_rate: float
    beta: float
    epochs: float = 1.0
    """Passes over the pairs; the schedule of the learning rate is as long."""
    draw: int = 0
    """Which sample of pairs it gets: those of one start and draw are the same pairs."""

    @property
    def stage(self) -> Literal["preference"]:
        """The registry's word for it."""
        return "preference"


@dataclass(frozen=True, slots=True)
class Recipe:
    """One build."""

    checkpoints: tuple[NextToken | Preference, ...]
    """In an order in which each comes after its start; `minilab-sft` is among them."""
    subsets: tuple[str, ...] = tuple(SUBSETS)
    """What training prompts and the judge's prompts are drawn from."""
    width: int = 96
    layers: int = 3
    block: int = 128
    """Tokens in a row of packed documents."""
    rows: int = 12
    """Rows in a batch of base and SFT."""
    preference_prompts: int = 3000
    """Prompts sampled for each set of pairs; those with both good and bad samples give one pair."""
    samples_per_prompt: int = 4
    preference_batch: int = 16
    benchmark_prompts: int = 120
    """Held-out prompts a section for the judge."""

    @property
    def names(self) -> tuple[str, ...]:
        """The checkpoints' names, in order."""
        return tuple(checkpoint.name for checkpoint in self.checkpoints)


SHIPPED: Final = Recipe(
    checkpoints=(
        NextToken("minilab-base-300", "Base-300", None, 300, 4e-3),
        NextToken("minilab-base-700", "Base-700", None, 700, 4e-3),
        NextToken("minilab-base-1000", "Base-1000", None, 1000, 4e-3),
        NextToken("minilab-base", "Base", None, 3000, 4e-3),
        NextToken("minilab-base-700-sft", "Base-700-SFT", "minilab-base-700", 100, 1e-3),
        NextToken("minilab-sft-100", "SFT-100", "minilab-base", 100, 1e-3),
        NextToken("minilab-sft-300", "SFT-300", "minilab-base", 300, 1e-3),
        NextToken("minilab-sft", "SFT", "minilab-base", 1000, 1e-3),
        Preference("minilab-dpo-1", "DPO-1", "minilab-sft", "dpo", 5e-5, 0.1),
        Preference("minilab-dpo-2", "DPO-2", "minilab-dpo-1", "dpo", 5e-5, 0.1),
        Preference("minilab-dpo-3", "DPO-3", "minilab-dpo-2", "dpo", 5e-5, 0.1),
        Preference("minilab-dpo-1b", "DPO-1b", "minilab-sft", "dpo", 5e-5, 0.1, draw=1),
        Preference("minilab-dpo-2b", "DPO-2b", "minilab-dpo-1b", "dpo", 5e-5, 0.1, draw=1),
        Preference("minilab-dpo-3b", "DPO-3b", "minilab-dpo-2b", "dpo", 5e-5, 0.1, draw=1),
        Preference("minilab-dpo-over", "DPO-over", "minilab-sft", "dpo", 2e-4, 0.1),
        Preference("minilab-kto", "KTO", "minilab-sft", "kto", 1e-4, 0.1),
        Preference("minilab-ipo", "IPO", "minilab-sft", "ipo", 2e-4, 0.5),
        Preference("minilab-simpo", "SimPO", "minilab-sft", "simpo", 5e-5, 2.0),
        Preference("minilab-orpo", "ORPO", "minilab-sft", "orpo", 5e-4, 0.1),
        Preference("minilab-cpo", "CPO", "minilab-sft", "cpo", 1e-3, 0.1, epochs=3.0),
        Preference("minilab-hinge", "hinge", "minilab-sft", "hinge", 1e-4, 0.5),
        Preference("minilab-robust-dpo", "robust DPO", "minilab-sft", "robust-dpo", 5e-5, 0.1),
    )
)
"""The family that is shipped: bases and SFTs of several lengths, a chain of DPO and its second seed, and the other
objectives at strengths from gentle to too much (DPO-over, KTO, IPO and CPO cost greedy score on purpose).

Lengths, rates and epochs were chosen in sight of the judge's scores on its own held-out prompts (`benchmark.py`), so
that the scores fill the range from a base that gets little right to the best; no test item was looked at.
"""
