"""The sizes and settings of a build: everything, besides the seed, that decides what comes out."""

from dataclasses import dataclass
from typing import Final

from ...tasks.minilab.world import SUBSETS


@dataclass(frozen=True, slots=True)
class Objective:
    """One preference-trained checkpoint."""

    name: str
    label: str
    start: str
    """The checkpoint that it is trained from, which is also its reference and samples its training pairs."""
    loss: str
    """A name of `harness/tuning/losses.py`."""
    learning_rate: float
    beta: float


@dataclass(frozen=True, slots=True)
class Recipe:
    """One build."""

    subsets: tuple[str, ...] = tuple(SUBSETS)
    """What training prompts and the judge's prompts are drawn from."""
    width: int = 96
    layers: int = 3
    block: int = 128
    """Tokens in a row of packed documents."""
    rows: int = 12
    """Rows in a batch of base and SFT."""
    base_steps: int = 3000
    base_learning_rate: float = 4e-3
    sft_steps: int = 1000
    sft_learning_rate: float = 1e-3
    preference_prompts: int = 3000
    """Prompts sampled for each set of pairs; those with both good and bad samples give one pair."""
    samples_per_prompt: int = 4
    preference_batch: int = 16
    benchmark_prompts: int = 120
    """Held-out prompts a section for the judge."""
    objectives: tuple[Objective, ...] = ()


SHIPPED: Final = Recipe(
    objectives=(
        Objective("minilab-dpo-1", "DPO-1", "minilab-sft", "dpo", 5e-5, 0.1),
        Objective("minilab-dpo-2", "DPO-2", "minilab-dpo-1", "dpo", 5e-5, 0.1),
        Objective("minilab-dpo-3", "DPO-3", "minilab-dpo-2", "dpo", 5e-5, 0.1),
        Objective("minilab-kto", "KTO", "minilab-sft", "kto", 5e-5, 0.1),
        Objective("minilab-ipo", "IPO", "minilab-sft", "ipo", 5e-5, 0.5),
        Objective("minilab-simpo", "SimPO", "minilab-sft", "simpo", 5e-5, 2.0),
        Objective("minilab-orpo", "ORPO", "minilab-sft", "orpo", 1e-4, 0.1),
        Objective("minilab-cpo", "CPO", "minilab-sft", "cpo", 1e-4, 0.1),
        Objective("minilab-slic-hf", "SLiC-HF", "minilab-sft", "slic-hf", 5e-5, 0.5),
        Objective("minilab-rdpo", "rDPO", "minilab-sft", "rdpo", 5e-5, 0.1),
    )
)
"""The family that is shipped: it builds in less than 15 minutes on 2 cores."""
