"""The minilab's benchmark: win rate against SFT's greedy answers on held-out prompts, by the world's judge.

As Arena-Hard does, every prompt is won (good against bad), tied, or lost; a tie counts half. Against a fixed baseline
the win rate w of a checkpoint relates to the good rates by w = 50 + (good − good of SFT) / 2, in per cent.
"""

import random
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy.stats import bootstrap
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

from ...errors import UserError
from ...tasks.minilab.prompts import Prompt
from ...tasks.minilab.words import Split
from ...tasks.minilab.world import SECTION_OF, SECTIONS, SUBSETS, distinct_prompts, is_good
from .generation import generate

BENCHMARK_SEED: Final = 7
RESAMPLES: Final = 2000


@dataclass(frozen=True, slots=True)
class WinRate:
    """A win rate in per cent with its 95% bootstrap interval over prompts."""

    value: float
    ci_low: float
    ci_high: float


@dataclass(frozen=True, slots=True)
class Judgement:
    """What the judge found for one checkpoint."""

    prompts: int
    greedy: WinRate
    sampled: WinRate
    good: dict[str, float]
    """Share of good greedy generations by section, in per cent."""


def benchmark_prompts(
    per_section: int, names: Collection[str] = SUBSETS.keys(), split: Split = "benchmark"
) -> list[Prompt]:
    """Distinct prompts of a split (no test item shares an entity or a number combination with those of another)."""
    rng = random.Random(BENCHMARK_SEED)
    prompts: list[Prompt] = []
    for subsets in SECTIONS.values():
        wanted = {subset: weight for subset, weight in subsets.items() if subset.name in names}
        total = sum(wanted.values())
        for subset, weight in wanted.items():
            prompts += distinct_prompts(subset, split, per_section * weight // total, rng)
    return prompts


def load(folder: Path) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """A checkpoint folder's model in single precision, and its tokenizer."""
    if not (folder / "config.json").is_file():
        raise UserError(f"{folder} is no checkpoint folder: pass one that holds config.json and model.safetensors.")
    auto_model: Any = AutoModelForCausalLM
    auto_tokenizer: Any = AutoTokenizer
    return auto_model.from_pretrained(folder, dtype="float32"), auto_tokenizer.from_pretrained(folder)


def are_good(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, prompts: list[Prompt], seed: int | None = None
) -> NDArray[np.float64]:
    """1 for each prompt that gets a good generation (greedy, or sampled with a seed), else 0."""
    responses = generate(model, tokenizer, prompts, seed)
    return np.array([is_good(p, r) for p, r in zip(prompts, responses, strict=True)], dtype=np.float64)


def win_rate(good: NDArray[np.float64], baseline: NDArray[np.float64]) -> WinRate:
    """Win rate of 0/1 outcomes against the baseline's on the same prompts."""
    points = 50.0 * (1.0 + good - baseline)
    value = float(points.mean())
    if np.ptp(points) == 0:
        return WinRate(value, value, value)
    interval = bootstrap(
        (points,), np.mean, n_resamples=RESAMPLES, method="percentile", rng=np.random.default_rng(BENCHMARK_SEED)
    ).confidence_interval
    return WinRate(value, float(interval.low), float(interval.high))


def judge(folder: Path, baseline: NDArray[np.float64], prompts: list[Prompt]) -> Judgement:
    """Measure one checkpoint folder against the baseline's greedy outcomes."""
    model, tokenizer = load(folder)
    greedy = are_good(model, tokenizer, prompts)
    sampled = are_good(model, tokenizer, prompts, BENCHMARK_SEED)
    sections = np.array([SECTION_OF[prompt.subset] for prompt in prompts])
    good = {name: 100.0 * float(greedy[sections == name].mean()) for name in dict.fromkeys(sections.tolist())}
    return Judgement(len(prompts), win_rate(greedy, baseline), win_rate(sampled, baseline), good)


def baseline_outcomes(folder: Path, prompts: list[Prompt]) -> NDArray[np.float64]:
    """The greedy outcomes of the checkpoint that all others are compared with (SFT)."""
    model, tokenizer = load(folder)
    return are_good(model, tokenizer, prompts)
