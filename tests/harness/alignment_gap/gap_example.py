"""A simulated grid: checkpoints with a latent skill, items with a difficulty, antisymmetric margins."""

from dataclasses import dataclass

import numpy as np
from cdr_eval.harness.alignment_gap.grid_data import GridData
from cdr_eval.harness.statistics.credits import credit
from cdr_eval.harness.statistics.resampling import Bootstrap
from cdr_eval.harness.statistics.scopes import Scopes


@dataclass(frozen=True)
class Shape:
    families: tuple[int, ...] = (6, 5)
    items: int = 120
    resamples: int = 200
    self_pairs: bool = True
    benchmarks: tuple[str, ...] = ("arena_hard", "alpaca_eval_2_lc")


def simulated_grid(shape: Shape = Shape(), seed: int = 0) -> GridData:
    """A grid whose margins follow score_strong - score_weak plus noise."""
    rng = np.random.default_rng(seed)
    family = np.repeat(np.arange(len(shape.families)), shape.families)
    n = len(family)
    skill = rng.normal(size=n)
    strong, weak = np.nonzero(family[:, None] == family[None, :])
    if not shape.self_pairs:
        strong, weak = strong[strong != weak], weak[strong != weak]
    taste = skill[:, None] * 0.5 + rng.normal(size=(n, shape.items))
    subset = [("easy", "hard", "code")[i % 3] for i in range(shape.items)]
    scopes = Scopes.of(subset, {"Chat": {"easy": 10, "hard": 20}, "Reasoning": {"code": 5}})
    margin = taste[strong] - taste[weak]
    objectives = ("sft", "dpo", "simpo", "ipo", "cpo", "kto", "orpo", "dpo", "simpo", "rrhf", "rdpo")
    return GridData(
        variant="vanilla",
        checkpoints=tuple(f"model-{i}" for i in range(n)),
        objectives=tuple(None if o == "sft" else o for o in (objectives * 3)[:n]),
        trained_from=tuple(f"model-{i - 1}" if i and family[i] == family[i - 1] else None for i in range(n)),
        parameters=(7_000_000_000,) * n,
        scores={name: 20 + 10 * (skill + 0.3 * rng.normal(size=n)) for name in shape.benchmarks},
        strong=strong,
        weak=weak,
        family=tuple(f"family-{family[i]}" for i in strong),
        credit=credit(margin),
        chance=np.full(shape.items, 0.5),
        scopes=scopes,
        bootstrap=Bootstrap.of(np.arange(shape.items) // 2, scopes.subsets, shape.resamples, seed),
    )
