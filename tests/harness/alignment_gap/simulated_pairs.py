"""Pairs of checkpoints from a world in which it is known how gap and accuracy hang together."""

from dataclasses import dataclass

import numpy as np
from cdr_eval.harness.alignment_gap.checkpoint_pairs import Pairs
from cdr_eval.harness.alignment_gap.gap_correlation import resampled_correlations
from numpy.typing import NDArray
from scipy import stats

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class World:
    """Each checkpoint has a quality; its benchmark score and its skill as a reward are noisy views of it.

    logit P(pair right) = slope (skill_strong - skill_weak) + pair noise, antisymmetric as density ratios are.
    """

    families: tuple[int, ...] = (11, 10)
    reliability: float = 0.9
    """Share of the score's variance that is quality."""
    relevance: float = 0.8
    """Correlation of skill and quality: 0 is no effect at all."""
    slope: float = 0.6
    pair_noise: float = 0.2
    items: int = 1000


def simulated_pairs(world: World, rng: np.random.Generator) -> Pairs:
    """All ordered pairs but self-pairs, one scope, accuracies of finitely many items."""
    family = np.repeat(np.arange(len(world.families)), world.families)
    score, skill = _checkpoints(world, len(family), rng)
    high, low = np.nonzero(np.triu(family[:, None] == family, 1))
    right = _accuracy(world, skill[high] - skill[low], rng)
    strong, weak = np.concatenate([high, low]), np.concatenate([low, high])
    return Pairs(family, score, strong, weak, np.concatenate([right, 1 - right])[None], np.array([0.5]))


def true_correlations(world: World, positive: bool, rng: np.random.Generator, pairs: int = 300_000) -> Floats:
    """Pearson, Spearman and Kendall over very many pairs, each of two new checkpoints: (3,)."""
    score, skill = _checkpoints(world, 2 * pairs, rng)
    gap = score[:pairs] - score[pairs:]
    accuracy = _accuracy(world, skill[:pairs] - skill[pairs:], rng)
    x, y = (gap[gap > 0], accuracy[gap > 0]) if positive else (gap, accuracy)
    tests = (stats.pearsonr, stats.spearmanr, stats.kendalltau)
    return np.array([float(test(x, y)[0]) for test in tests])


def _checkpoints(world: World, size: int, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Benchmark scores and skills."""
    quality, other, luck = rng.normal(size=(3, size))
    score = 20 + 8 * (np.sqrt(world.reliability) * quality + np.sqrt(1 - world.reliability) * other)
    return score, world.relevance * quality + np.sqrt(1 - world.relevance**2) * luck


def _accuracy(world: World, advantage: Floats, rng: np.random.Generator) -> Floats:
    logits = world.slope * advantage + world.pair_noise * rng.normal(size=len(advantage))
    return rng.binomial(world.items, 1 / (1 + np.exp(-logits))) / world.items


def observed(pairs: Pairs) -> Floats:
    """The three correlations, (3,)."""
    return resampled_correlations(pairs, np.ones((1, len(pairs.score)), dtype=np.int64))[:, 0, 0]
