"""How much tuning tells good labels from better ones?

    python -m benchmarks.tuning_size FOLDER > benchmarks/results/tuning_size.md

The size of label_rewards' experiment: on validation prompts, and with two arms above 80% right
labels that should differ, the judge's labels and those of DPO-3 over SFT. Taken is the size whose difference is the
most times its half width, among those whose arm takes at most twice as long as the quickest.
"""

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cdr_eval.harness.statistics.arrays import Floats
from transformers.utils.logging import disable_progress_bar

from benchmarks.label_rewards import ARMS, ORACLE, mixed_items, rewards_of, run_arm
from benchmarks.tuning_loop import POLICY, Lab, difference, made_by, shown, spent

REWARD: Final = "DPO-3/SFT vanilla"
SIZES: Final = ((1500, 8, 1.0), (1500, 16, 1.0), (1500, 8, 2.0))
"""Training prompts, samples of each, epochs."""


@dataclass(frozen=True, slots=True)
class Found:
    """What a size gives, one seed."""

    pairs: int
    reward: Floats
    """(prompts,) share of good answers after the reward's labels."""
    oracle: Floats
    seconds: float
    """Of an arm: its tuning and the sampling that is judged."""


def found(lab: Lab, samples: int, epochs: float) -> Found:
    """Both arms at one size."""
    items = mixed_items(lab, samples)
    rewards = rewards_of(lab, items, {REWARD: ARMS[REWARD]})
    reward, oracle = (run_arm(lab, arm, items, rewards, (0,), epochs) for arm in (REWARD, ORACLE))
    arms = list(lab.scratch.glob("*, seed 0"))
    return Found(len(items), reward.good, oracle.good, sum(map(spent, arms)) / len(arms))


def report(start: Floats, sizes: dict[tuple[int, int, float], Found], made: str) -> Iterator[str]:
    """The page, line by line."""
    yield f"# How much tuning tells good labels from better ones?\n\n{made}\n"
    yield (
        f"Gains in good answers among 8 samples over the start's {100 * start.mean():.1f}%, in points, paired by "
        f"prompt, one seed, 95% bootstrap interval over {len(start)} validation prompts (with words and numbers that "
        f"neither training nor held-out prompts have). Labels of the judge against those of {REWARD}. The rule, fixed "
        "before: the size whose difference is the most times its half width, among those whose arm takes at most twice "
        "as long as the quickest.\n"
    )
    yield "| prompts | samples | epochs | pairs | reward | judge | difference | half width | seconds an arm |"
    yield "|---|---|---|---|---|---|---|---|---|"
    for (prompts, samples, epochs), one in sizes.items():
        gap = difference(one.oracle, one.reward)
        gains = " | ".join(shown(difference(good, start)) for good in (one.reward, one.oracle))
        yield (
            f"| {prompts:,} | {samples} | {epochs:g} | {one.pairs:,} | {gains} | {shown(gap)} | "
            f"{(gap.high - gap.low) / 2:.1f} | {one.seconds:.0f} |"
        )


def main() -> None:
    """Run both arms at every size and print the page."""
    disable_progress_bar()
    folder = Path(sys.argv[1])
    labs = {size: Lab(folder / "-".join(map(str, size)), size[0], split="validation") for size in SIZES}
    sizes = {size: found(lab, *size[1:]) for size, lab in labs.items()}
    start = labs[SIZES[0]].outcome(POLICY, "start").good
    for line in report(start, sizes, made_by("tuning_size", folder)):
        print(line)


if __name__ == "__main__":
    main()
