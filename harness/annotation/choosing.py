"""Which responses of a prompt become a pair of chosen and rejected: arrays in, arrays out.

Shapes: n prompts, R responses in all, flat in the order of the prompts; P pairs. Every draw is a function of the seed
and the prompt's id alone.
"""

from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Final, Literal

import numpy as np

from ...errors import UserError
from ..statistics.arrays import Codes, Floats, Mask

Rule = Literal["best-random", "best-worst", "best-quantile", "all-pairs"]
KEPT: Final = ""
UNSCORED: Final = "fewer than {} distinct responses that have a reward"
CUT: Final = "fewer than {} distinct responses that were not cut"
EQUAL_TEXTS: Final = "fewer than {} distinct responses"
EQUAL_REWARDS: Final = "all rewards are equal"
NOT_CONFIDENT: Final = "not among the most confident"


@dataclass(frozen=True, slots=True)
class Choice:
    """How pairs are chosen.

    best-random: the best against one of the others at random; best-worst: against the worst; best-quantile: against
    the one whose reward is nearest to a quantile of the prompt's rewards; all-pairs: every two of unequal reward.
    """

    rule: Rule = "best-random"
    quantile: float = 0.25
    """Of best-quantile."""
    band: tuple[float, float] = (0.5, 2.0)
    """Of best-random: length of the rejected over that of the chosen; left aside where nothing lies within."""
    min_distinct: int = 2
    """Distinct responses that a prompt must have."""
    keep_truncated: bool = False
    """Whether responses that their length limit cut may be chosen or rejected."""
    seed: int = 0

    def __post_init__(self) -> None:
        """Raise UserError for settings that nothing can be chosen by."""
        if not 0 <= self.quantile < 1:
            raise UserError(
                "The quantile of best-quantile:Q must be at least 0 and below 1, such as best-quantile:0.1."
            )
        if not 0 <= self.band[0] <= 1 <= self.band[1]:
            raise UserError("--length-band must be LOW..HIGH with LOW from 0 to 1 and HIGH from 1, such as 0.5..2.")
        if self.min_distinct < 2:
            raise UserError("--min-distinct must be 2 or more: a pair takes two different responses.")

    def __str__(self) -> str:
        return f"{self.rule}:{self.quantile:g}" if self.rule == "best-quantile" else self.rule


@dataclass(frozen=True, slots=True, eq=False)
class Pool:
    """What is chosen from."""

    ids: Sequence[str]
    """(n,) of the prompts."""
    offsets: Codes
    """(n + 1,) where each prompt's responses start."""
    rewards: Floats
    """(R,) NaN where unscored."""
    lengths: Floats
    """(R,) above 0."""
    distinct: Mask
    """(R,) the response that stands for its text."""
    cut: Mask
    """(R,) cut at its length limit."""


@dataclass(frozen=True, slots=True, eq=False)
class Pairs:
    """The pairs, in the order of the prompts, and what became of the other prompts."""

    item: Codes
    """(P,)"""
    chosen: Codes
    """(P,) places among all responses."""
    rejected: Codes
    """(P,)"""
    margin: Floats
    """(P,) reward of the chosen less that of the rejected, above 0."""
    reasons: tuple[str, ...]
    """(n,) why a prompt has no pair; KEPT where it has one."""
    ties: int
    """Prompts with several responses of the highest reward, one of which was drawn."""
    band_dropped: int
    """Prompts without a response within the length band."""

    def take(self, kept: Mask) -> "Pairs":
        """Some of the pairs; prompts that lose all theirs were not confident enough."""
        left = set(self.item[kept].tolist())
        reasons = tuple(
            NOT_CONFIDENT if reason == KEPT and item not in left else reason for item, reason in enumerate(self.reasons)
        )
        columns = (self.item[kept], self.chosen[kept], self.rejected[kept], self.margin[kept])
        return Pairs(*columns, reasons, self.ties, self.band_dropped)


def choose_pairs(pool: Pool, choice: Choice) -> Pairs:
    """The pairs of all prompts."""
    found = array("q")
    reasons: list[str] = []
    ties = band_dropped = 0
    offsets: list[int] = pool.offsets.tolist()
    for item, name in enumerate(pool.ids):
        start, end = offsets[item], offsets[item + 1]
        places, reason = _usable(pool, slice(start, end), choice)
        if reason == KEPT and np.ptp(pool.rewards[start:end][places]) == 0:
            reason = EQUAL_REWARDS
        reasons.append(reason)
        if reason != KEPT:
            continue
        rewards, lengths = (values[start:end][places] for values in (pool.rewards, pool.lengths))
        chosen, tied, outside = _of_prompt(rewards, lengths, choice, name)
        for a, b in chosen:
            found.extend((item, start + int(places[a]), start + int(places[b])))
        ties, band_dropped = ties + tied, band_dropped + outside
    item, best, other = np.array(found, dtype=np.intp).reshape(-1, 3).T
    margin = pool.rewards[best] - pool.rewards[other]
    return Pairs(item, best, other, margin, tuple(reasons), ties, band_dropped)


def most_confident(pairs: Pairs, share: float) -> Pairs:
    """The share of pairs with the largest margins; of equal ones the first."""
    kept = np.zeros(len(pairs.margin), dtype=bool)
    kept[np.argsort(-pairs.margin, kind="stable")[: max(1, round(share * len(pairs.margin)))]] = True
    return pairs.take(kept)


def draws(seed: int, prompt: str) -> np.random.Generator:
    """The random numbers of a prompt."""
    digest = blake2b(f"{seed}\0{prompt}".encode(), digest_size=16).digest()
    return np.random.default_rng(int.from_bytes(digest, "little"))


def _usable(pool: Pool, prompt: slice, choice: Choice) -> tuple[Codes, str]:
    """The places within a prompt that can be chosen, or why there are too few."""
    steps = [
        (pool.distinct[prompt], EQUAL_TEXTS),
        (~np.isnan(pool.rewards[prompt]), UNSCORED),
        (~pool.cut[prompt] | choice.keep_truncated, CUT),
    ]
    usable = np.ones(prompt.stop - prompt.start, dtype=bool)
    for mask, reason in steps:
        usable &= mask
        if usable.sum() < choice.min_distinct:
            return np.flatnonzero(usable), reason.format(choice.min_distinct)
    return np.flatnonzero(usable), KEPT


def _of_prompt(rewards: Floats, lengths: Floats, choice: Choice, name: str) -> tuple[list[tuple[int, int]], bool, bool]:
    """Pairs (chosen, rejected) of one prompt, whether the best one was drawn, whether the band was left aside."""
    if choice.rule == "all-pairs":
        higher, lower = np.nonzero(rewards[:, None] > rewards[None, :])
        return list(zip(higher.tolist(), lower.tolist(), strict=True)), False, False
    rng = draws(choice.seed, name)
    tops = np.flatnonzero(rewards == rewards.max())
    best = int(tops[rng.integers(len(tops))])
    others = np.flatnonzero(rewards < rewards[best])
    outside = False
    if choice.rule == "best-random":
        ratio = lengths[others] / lengths[best]
        within = others[(ratio >= choice.band[0]) & (ratio <= choice.band[1])]
        outside = not len(within)
        others = others if outside else within
    else:
        aim = rewards.min() if choice.rule == "best-worst" else np.quantile(rewards, choice.quantile)
        distance = np.abs(rewards[others] - aim)
        others = others[distance == distance.min()]
    return [(best, int(others[rng.integers(len(others))]))], len(tops) > 1, outside
