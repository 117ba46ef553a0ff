"""How accurate pairs of checkpoints are, from how they agree, without any label.

Model. Each comparison of two responses has a hidden quality difference θ. Pair p = (s, w) has the margin

    m_p = λ_p θ + e_p,   Var m_p = 1 after scaling,

θ and e_p symmetric about 0 and jointly normal over comparisons, as when each checkpoint's score is a loading times θ
plus an error of its own (margins of pairs are differences of those). Errors of pairs that share no checkpoint are
independent given θ; those of pairs that share one are not, and such pairs of pairs are left out. For votes v = sign m

    E v_p v_q = 2/π · arcsin(λ_p λ_q)      (Sheppard 1899),      P(v_p = sign θ) = 1/2 + arcsin(λ_p) / π,

so that ρ_pq = sin(π/2 · mean v_p v_q), the tetrachoric correlation (Pearson 1900), is the product λ_p λ_q of one factor
(Spearman 1904) off the excluded entries, where it is fitted by least squares. With one |θ| for all comparisons
E v_p v_q is itself the product (2 acc_p − 1)(2 acc_q − 1): the model of Dawid and Skene (1979) in the spectral
meta-learner of Parisi et al. (2014), likewise agreement rates of Platanios et al. (2014). It overstates accuracies
where some comparisons are harder than others, as they are; where they are not, the normal model understates them. How
unequally hard they are is not known, so that intervals take in both: they reach from the lower end of the one model's
to the upper end of the other's.

Identification. The graph of pairs that share no checkpoint must be connected and have an odd cycle: five checkpoints
compared with each other suffice, four do not. All λ are then known up to one common sign, which the alignment gap sets;
whether it does better than scores dealt to the checkpoints at random is tested, since a wrong sign turns everything
upside down. What is estimated is agreement with θ, the one thing the pairs have in common. Nothing in the votes tells
whether θ is quality: a preference that all share, right or wrong, is θ. Controls can say that θ is a feature that was
thought of.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ..statistics.arrays import Codes, Floats, Mask
from ..statistics.intervals import percentile_interval
from ..statistics.resampling import draw_counts

ITERATIONS: Final = 200
DEALS: Final = 999
"""Of benchmark scores to checkpoints."""
RESAMPLES: Final = 400
"""Most that are drawn: each takes a product of votes with votes."""


@dataclass(frozen=True, slots=True)
class Agreement:
    """Accuracies of P pairs, in [0, 1]."""

    accuracy: Floats
    """(P,)"""
    resampled: Floats
    """(R, P): the same of resampled clusters."""
    resampled_equal: Floats
    """(R, P): those of resampled clusters where all comparisons are equally hard."""
    explained: float
    """Share of the squared tetrachoric correlations, of pairs that share no checkpoint, that one factor explains."""

    @property
    def interval(self) -> tuple[Floats, Floats]:
        """95%: the widest of the percentiles over clusters under either model of how hard comparisons are.

        That the pairs have one thing in common is taken for granted.
        """
        ends = [percentile_interval(each) for each in (self.resampled, self.resampled_equal)]
        return np.minimum(ends[0][0], ends[1][0]), np.maximum(ends[0][1], ends[1][1])


def votes(difference: Floats, strong: Codes, weak: Codes) -> Floats:
    """Signs (C, P) of the margins of P pairs, of score differences (C, K); 0 is a tie."""
    return np.sign(difference[:, strong] - difference[:, weak])


def disjoint(strong: Codes, weak: Codes) -> Mask:
    """(P, P) which pairs share no checkpoint."""
    meets = [a[:, None] == b[None] for a in (strong, weak) for b in (strong, weak)]
    return ~np.logical_or.reduce(meets)


def identified(apart: Mask) -> bool:
    """Whether the pairs that share no checkpoint determine one factor up to its sign.

    That graph is connected and has an odd cycle if and only if every pair is reached from the first by an even number
    of steps, and by an odd one.
    """
    if not len(apart):
        return False
    reached = np.zeros((2, len(apart)), dtype=bool)
    reached[0, 0] = True
    while True:
        grown = reached | (reached[::-1].astype(np.float64) @ apart > 0)
        if (grown == reached).all():
            return bool(reached.all())
        reached = grown


def agreement(
    voted: Floats, weight: Floats, cluster: Codes, apart: Mask, gap: Floats, resamples: int, seed: int
) -> Agreement:
    """Estimate the accuracies of pairs from votes (C, P) with weights (C,); their order says nothing.

    `gap` (P,) sets the sign, NaN where unknown: pairs of a positive gap are right more often than not. Each unordered
    pair of checkpoints must stand once. Raises ValueError where the accuracies are not identified.
    """
    if not identified(apart):
        raise ValueError("too few pairs without a common checkpoint")
    loadings, explained = one_factor(_tetrachoric(_agreement(voted, weight)), apart)
    loadings = loadings if np.nan_to_num(gap) @ loadings >= 0 else -loadings
    names, place = np.unique(cluster, return_inverse=True)
    rng = np.random.default_rng(seed)
    light = voted.astype(np.float32)
    drawn = np.empty((2, min(resamples, RESAMPLES), voted.shape[1]))
    for row in range(drawn.shape[1]):
        counts = draw_counts(len(names), 1, rng)[0][place]
        agree = _agreement(light, weight * counts)
        for model, matrix in enumerate((_tetrachoric(agree), agree)):
            again, _ = one_factor(matrix, apart, loadings)
            drawn[model, row] = again if again @ loadings >= 0 else -again
    return Agreement(_accuracy(loadings), _accuracy(drawn[0]), _equal_accuracy(drawn[1]), explained)


def sign_p_value(accuracy: Floats, strong: Codes, weak: Codes, score: Floats, seed: int) -> float:
    """How often scores (K,) dealt at random to the checkpoints that have one set the sign as clearly as they do.

    The statistic is |Σ_p gap_p (accuracy_p − 1/2)| over estimated accuracies (P,); 1 with fewer than two scores.
    """
    known, lead = ~np.isnan(score), accuracy - 0.5
    inside = known[strong] & known[weak]
    size = len(score)
    credit = np.bincount(strong, inside * lead, size) - np.bincount(weak, inside * lead, size)
    rng = np.random.default_rng(seed)
    dealt = rng.permuted(np.tile(score[known], (DEALS, 1)), axis=1)
    found = np.abs(score[known] @ credit[known])
    if not found:
        return 1.0
    return float(1 + (np.abs(dealt @ credit[known]) >= found * (1 - 1e-9)).sum()) / (1 + DEALS)


def one_factor(correlation: Floats, apart: Mask, start: Floats | None = None) -> tuple[Floats, float]:
    """λ (P,) that minimise Σ (ρ_pq − λ_p λ_q)² over the entries in `apart`, and the share of Σ ρ_pq² explained.

    Damped alternating least squares from the leading eigenvector of those entries, or from `start`.
    """
    inside = apart.astype(np.float64)
    kept = correlation * inside
    loadings = _leading(kept) if start is None else start
    for _ in range(ITERATIONS):
        before = loadings
        loadings = (before + kept @ before / np.maximum(inside @ before**2, 1e-12)) / 2
        if np.abs(loadings - before).max() < 1e-7:
            break
    total = float(np.sum(kept**2))
    left = float(np.sum(((correlation - np.outer(loadings, loadings)) * inside) ** 2))
    return loadings, 1 - left / total if total > 0 else 0.0


def _leading(matrix: Floats) -> Floats:
    values, vectors = np.linalg.eigh(matrix)
    return vectors[:, -1] * np.sqrt(max(float(values[-1]), 1e-12))


def _agreement(voted: NDArray[np.floating], weight: Floats) -> Floats:
    """(P, P) means of v_p v_q."""
    share = (weight / weight.sum()).astype(voted.dtype)
    return np.clip((voted.T * share) @ voted, -1, 1).astype(np.float64)


def _tetrachoric(agree: Floats) -> Floats:
    return np.sin(np.pi / 2 * agree)


def _accuracy(loadings: Floats) -> Floats:
    return 0.5 + np.arcsin(np.clip(loadings, -1, 1)) / np.pi


def _equal_accuracy(loadings: Floats) -> Floats:
    """Where all comparisons are equally hard."""
    return 0.5 + np.clip(loadings, -1, 1) / 2
