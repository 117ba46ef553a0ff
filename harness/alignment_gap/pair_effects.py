"""Which choice matters: additive effects of the strong and the weak checkpoint on accuracy, on the logit scale.

Shapes: n checkpoints, P pairs, S scopes, R resamples or permutations.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from ..statistics.arrays import Codes, Floats, chunks
from ..statistics.correlation import pearson_permuted, ratio
from .checkpoint_pairs import Pairs

ROWS: Final = 250
"""Permutations worked on at once."""


@dataclass(frozen=True, slots=True)
class PairEffects:
    """logit a_sw = μ + strong_s + weak_w, effects of each role centred over the checkpoints that play it."""

    strong_members: Codes
    weak_members: Codes
    strong: Floats
    """(..., strong_members) logits."""
    weak: Floats
    """(..., weak_members) logits."""
    shares: Floats
    """(..., 3): shares of variance of strong, of weak, and what is left over; they sum to 1."""


def empirical_logit(accuracy: Floats, items: Floats | float) -> Floats:
    """log((k + 1/2) / (n - k + 1/2)) with k = accuracy · n (Haldane's correction): finite at 0 and 1.

    Accuracies are held to [0, 1], which those by the rule ties leave by up to 0.01.
    """
    right = np.clip(accuracy, 0, 1) * items
    return np.log((right + 0.5) / (items - right + 0.5))


def pair_effects(strong: Codes, weak: Codes, logits: Floats) -> PairEffects:
    """Least-squares effects of the additive model for logits (..., P).

    With strong and weak not crossed in full (the pairs with a positive gap) the two overlap: a role's share is
    its R² averaged over entering first and entering last (Shapley value; Lindeman, Merenda and Gold 1980).
    """
    strong_members, weak_members = np.unique(strong), np.unique(weak)
    by_strong = (strong[:, None] == strong_members).astype(np.float64)
    by_weak = (weak[:, None] == weak_members).astype(np.float64)
    centred = logits - logits.mean(axis=-1, keepdims=True)
    coefficients = centred @ np.linalg.pinv(np.hstack([by_strong, by_weak])).T
    strong_effect = coefficients[..., : len(strong_members)]
    weak_effect = coefficients[..., len(strong_members) :]
    size = (centred**2).sum(axis=-1)
    alone_strong, alone_weak = _explained(by_strong, centred), _explained(by_weak, centred)
    together = _explained(np.hstack([by_strong, by_weak]), centred)
    parts = [alone_strong + together - alone_weak, alone_weak + together - alone_strong]
    explained = [ratio(part / 2, size, floor=1e-18) for part in parts]
    return PairEffects(
        strong_members,
        weak_members,
        strong_effect - strong_effect.mean(axis=-1, keepdims=True),
        weak_effect - weak_effect.mean(axis=-1, keepdims=True),
        np.stack([*explained, 1 - explained[0] - explained[1]], axis=-1),
    )


def factor_beside_gap(
    gap: Floats, logits: Floats, strong: Codes, weak: Codes, labels: Codes, weights: Floats
) -> tuple[Floats, Floats]:
    """A factor of the checkpoints beside the gap: logit a = μ + β gap + γ(strong's label) - γ(weak's label).

    `logits` (S, P); `labels` (R, n) or (1, n) number the factor's levels, of which 0 is the reference (γ = 0);
    `weights` (R, P) or (1, P). Returns β and the γ of levels 1, 2, ... as (R, S, 1 + levels - 1), and the share
    of the variance left by the gap that the factor explains, (R, S). Undefined where a level does not occur.
    """
    levels, rows = int(labels.max()) + 1, max(len(labels), len(weights))
    beta, share = np.empty((rows, len(logits), levels)), np.empty((rows, len(logits)))
    for chunk in chunks(rows, ROWS):
        w = np.broadcast_to(weights, (rows, len(gap)))[chunk]
        label = np.broadcast_to(labels, (rows, labels.shape[1]))[chunk]
        columns = [(label[:, strong] == k) * 1.0 - (label[:, weak] == k) for k in range(1, levels)]
        x = np.stack([np.ones_like(w), np.broadcast_to(gap, w.shape), *columns], axis=2)
        beta[chunk], share[chunk] = _regression(x, logits, w)
    return beta, share


def permuted_partial_correlations(
    pairs: Pairs, logits: Floats, covariate: Floats, others: Floats, permuted: Codes
) -> Floats:
    """Partial correlation of logits (S, P) with a checkpoints' covariate (n,) beside gap and `others` (n, k).

    Row 0 is the observed one, the others permute what gap and `others` leave of the covariate over the
    checkpoints (double semi-partialling; Dekker, Krackhardt and Snijders 2007): (1 + R, S).
    """
    known = np.column_stack([pairs.score, others])
    differences = known[pairs.strong] - known[pairs.weak]
    wanted = covariate[pairs.strong] - covariate[pairs.weak]
    left = covariate - known @ (np.linalg.pinv(differences) @ wanted)
    rows = np.vstack([left, left[permuted]])
    basis, sizes, _ = np.linalg.svd(np.column_stack([np.ones(len(wanted)), differences]), full_matrices=False)
    basis = basis[:, sizes > 1e-9 * sizes[0]]
    x = rows[:, pairs.strong] - rows[:, pairs.weak]
    x = x - (x @ basis) @ basis.T
    y = logits - (logits @ basis) @ basis.T
    return pearson_permuted(x, y, np.ones(x.shape, dtype=bool))


def _regression(x: Floats, y: Floats, w: Floats) -> tuple[Floats, Floats]:
    """Slopes (R, S, K - 1) of x (R, P, K), intercept first, gap second, and the share beyond the gap (R, S)."""
    weighted = (x * w[:, :, None]).swapaxes(1, 2)
    gram, moment = weighted @ x, weighted @ y.T
    rank = np.linalg.matrix_rank(gram, hermitian=True, rtol=1e-10)
    beta = np.linalg.pinv(gram, rcond=1e-10, hermitian=True) @ moment
    base = np.linalg.pinv(gram[:, :2, :2], rcond=1e-10, hermitian=True) @ moment[:, :2]
    total = w @ (y**2).T
    by_gap, by_all = (base * moment[:, :2]).sum(axis=1), (beta * moment).sum(axis=1)
    share = ratio(by_all - by_gap, total - by_gap, floor=1e-12)
    full = (rank == x.shape[2])[:, None]
    slopes = np.where(full[:, :, None], beta[:, 1:].swapaxes(1, 2), np.nan)
    return slopes, np.clip(share, 0, 1)


def _explained(design: Floats, centred: Floats) -> Floats:
    """Sum of squares of `centred` (..., P) in the space that the columns of `design` (P, K) span."""
    basis, sizes, _ = np.linalg.svd(design, full_matrices=False)
    return ((centred @ basis[:, sizes > 1e-9 * sizes[0]]) ** 2).sum(axis=-1)
