"""Time and memory of all analyses of a large grid: python -m benchmarks.gap_speed > benchmarks/results/gap_speed.md

A simulated grid of 21 checkpoints in two families by 2,985 items, with the subsets of RewardBench in its published
counts and three benchmarks; once with the paper's 221 pairs, once with all 441 as one family.
"""

import os
import resource
import sys
import time
from collections.abc import Callable

import numpy as np
import pandas as pd
from cdr_eval.harness.alignment_gap.gap_tables import analyse_grid
from cdr_eval.harness.alignment_gap.grid_data import GridData
from cdr_eval.harness.statistics.credits import credit
from cdr_eval.harness.statistics.resampling import Bootstrap
from cdr_eval.harness.statistics.scopes import Scopes

RESAMPLES = 10_000
SECTIONS = {
    "Chat": {"alpacaeval-easy": 100, "alpacaeval-length": 95, "alpacaeval-hard": 95, "mt-bench-easy": 28},
    "Chat Hard": {"mt-bench-hard": 37, "llmbar-natural": 100, "llmbar-adver-neighbor": 134},
    "Safety": {"refusals-dangerous": 100, "xstest-should-respond": 250, "donotanswer": 136},
    "Reasoning": {"math-prm": 984, "hep-cpp": 164, "hep-go": 164, "hep-python": 164},
}
ITEMS = 2985


def grid(families: tuple[int, ...], rng: np.random.Generator) -> GridData:
    """A grid of simulated margins; the last three subsets hold one set of problems."""
    family = np.repeat(np.arange(len(families)), families)
    n = len(family)
    strong, weak = np.nonzero(family[:, None] == family[None, :])
    names = [name for counts in SECTIONS.values() for name in counts]
    subsets = [names[i % len(names)] for i in range(ITEMS)]
    problem = [f"{s[:3]} {i // len(names)}" if s.startswith("hep") else f"item {i}" for i, s in enumerate(subsets)]
    skill = rng.normal(size=n)
    taste = 0.5 * skill[:, None] + rng.normal(size=(n, ITEMS))
    clusters = np.unique(problem, return_inverse=True)[1]
    margin, scopes = taste[strong] - taste[weak], Scopes.of(subsets, SECTIONS)
    objectives = (None, None, "cpo", "kto", "dpo", "rdpo", "ipo", "slic-hf", "rrhf", "simpo", "orpo")
    benchmarks = ("arena_hard", "alpaca_eval_2_lc", "alpaca_eval_2_wr")
    return GridData(
        variant="vanilla",
        checkpoints=tuple(f"checkpoint {i}" for i in range(n)),
        objectives=(objectives * 2)[:n],
        trained_from=tuple(f"checkpoint {i - 1}" if i % 11 else None for i in range(n)),
        parameters=(7_000_000_000,) * n,
        scores={b: np.round(20 + 8 * (skill + 0.3 * rng.normal(size=n)), 1) for b in benchmarks},
        strong=strong,
        weak=weak,
        family=tuple(f"family {family[i]}" for i in strong.tolist()),
        credit=credit(margin),
        chance=np.full(ITEMS, 0.5),
        scopes=scopes,
        bootstrap=Bootstrap.of(clusters, scopes.subsets, RESAMPLES, 0),
    )


def measured(work: Callable[[], dict[str, pd.DataFrame]]) -> tuple[dict[str, pd.DataFrame], float, float]:
    """The tables, seconds of wall clock and seconds of processor."""
    wall, processor = time.perf_counter(), time.process_time()
    tables = work()
    return tables, time.perf_counter() - wall, time.process_time() - processor


def main() -> None:
    """Print the measurement as Markdown."""
    rng = np.random.default_rng(0)
    print("# Speed of the alignment-gap analyses\n")
    print(f"All analyses at {RESAMPLES:,} resamples, {ITEMS:,} items, 5 scopes, 3 benchmarks.")
    print(f"Made by `OMP_NUM_THREADS=1 python -m benchmarks.gap_speed` on {os.cpu_count()} cores")
    print(f"(Python {sys.version.split()[0]}, NumPy {np.__version__}).\n")
    print("| grid | pairs | wall clock | processor | peak memory of the process so far | rows |")
    print("|---|---|---|---|---|---|")
    for label, families in (("families of 11 and 10", (11, 10)), ("one family of 21", (21,))):
        data = grid(families, rng)
        tables, wall, processor = measured(lambda data=data: analyse_grid(data, resamples=RESAMPLES, seed=0))
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        rows = sum(len(table) for table in tables.values())
        numbers = f"{wall:.1f} s | {processor:.1f} s | {peak:.2f} GiB | {rows:,}"
        print(f"| {label} | {len(data.strong)} | {numbers} |", flush=True)


if __name__ == "__main__":
    main()
