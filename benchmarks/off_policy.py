"""Is an annotator right off its own data? python -m benchmarks.off_policy > benchmarks/results/off_policy.md

CW-PO (arXiv 2603.04968, its online tables) in small. For the same held-out prompts, pairs of a good and a bad response
that the world's grammar wrote, which the annotator was trained on the like of, and pairs that minilab-sft sampled.
"""

import random
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
from cdr_eval.harness.annotator import CWPO, train_annotator
from cdr_eval.harness.minilab.benchmark import benchmark_prompts
from cdr_eval.harness.statistics.arrays import Floats
from cdr_eval.harness.statistics.credits import credit
from cdr_eval.harness.tuning.annotator import load_annotator
from cdr_eval.tasks.item import Item, Turn
from cdr_eval.tasks.items import Items
from cdr_eval.tasks.minilab.prompts import Prompt
from cdr_eval.tasks.minilab.world import SUBSETS, is_good, preference_items
from transformers.utils.logging import disable_progress_bar

from benchmarks.tuning_loop import CPU, JUDGED, POLICY, Lab, Row, difference, sampled, shown, verdict, write_rows

BASE: Final = "minilab-base"
SEEDS: Final = (0, 1, 2)
"""Of the annotator's training."""
HEAD: Final = replace(CWPO, learning_rate=2e-3)
TRAIN: Final = 1.0
"""Training pairs of the grammar, as a multiple of the 960 test items."""
RATIOS: Final[Mapping[str, tuple[str, str, str]]] = {
    "SFT/base vanilla": ("minilab-sft", "minilab-base", "vanilla"),
    "DPO-3/SFT vanilla": ("minilab-dpo-3", "minilab-sft", "vanilla"),
    "likelihood of DPO-3": ("minilab-dpo-3", "", "likelihood"),
}
ANNOTATOR: Final = "annotator"
HYPOTHESES: Final = (
    ("H1", "the annotator loses accuracy on the policy's samples"),
    ("H2", "SFT/base vanilla loses less than the annotator"),
    ("H3", "DPO-3/SFT vanilla loses less than the annotator"),
)
"""Written down before any of it was run."""


@dataclass(frozen=True, slots=True)
class Kept:
    """How a reward does on both kinds of pairs of the same prompts."""

    grammar: Floats
    """(prompts,) 1 where it is right, ½ at a tie; averaged over seeds."""
    policy: Floats


def pairs_of(prompts: list[Prompt], texts: list[list[str]]) -> tuple[Items, Items]:
    """For each prompt with good and bad samples: a pair of the grammar's, and one of the samples', good first."""
    rng = random.Random(0)
    grammar: list[Item] = []
    policy: list[Item] = []
    for number, (prompt, drawn) in enumerate(zip(prompts, texts, strict=True)):
        subset = SUBSETS[prompt.subset]
        written = subset.good(prompt, rng), subset.bad(prompt, rng)
        good = [text for text in drawn if is_good(prompt, text)]
        bad = [text for text in drawn if text.strip() and not is_good(prompt, text)]
        if good and bad:
            turns = (Turn(role="user", content=prompt.text),)
            grammar.append(Item.preference(f"{number}", prompt.subset, turns, *written))
            policy.append(Item.preference(f"{number}", prompt.subset, turns, rng.choice(good), rng.choice(bad)))
    return Items(grammar), Items(policy)


def right(rewards: Floats) -> Floats:
    """Credits of pairs, good first, from rewards (2 · pairs,)."""
    return credit(rewards.reshape(-1, 2) @ np.array([1.0, -1.0]))


def experiment(lab: Lab, seeds: Sequence[int] = SEEDS, train: float = TRAIN) -> dict[str, Kept]:
    """Every reward on both kinds of pairs."""
    prompts = benchmark_prompts(lab.per_section)
    grammar, policy = pairs_of(prompts, sampled(prompts, POLICY, lab.folder(), n=JUDGED))
    pairs = [(strong, weak) for strong, weak, _ in RATIOS.values() if weak]
    found = [lab.rewards(items, pairs, ["vanilla", "likelihood"]) for items in (grammar, policy)]
    kept = {name: Kept(*(right(rewards[label]) for rewards in found)) for name, label in RATIOS.items()}
    heads = [head_rewards(lab, seed, train, grammar, policy) for seed in seeds]
    return kept | {ANNOTATOR: Kept(*(np.mean([head[side] for head in heads], axis=0) for side in (0, 1)))}


def head_rewards(lab: Lab, seed: int, train: float, grammar: Items, policy: Items) -> tuple[Floats, Floats]:
    """Credits of a reward head trained on the grammar's training pairs."""
    folder = lab.folder()
    rows: list[Row] = [
        {"prompt": list(item.prompt), "chosen": item.responses[0], "rejected": item.responses[1]}
        for item in preference_items("train", seed, train)
    ]
    data = write_rows(folder / "pairs.jsonl", rows)
    trained = train_annotator(
        str(data), model=BASE, out=folder / "head", share=1.0, training=replace(HEAD, seed=seed), options=CPU
    )
    head = load_annotator(trained.out)
    return right(head.rewards(grammar)), right(head.rewards(policy))


def report(kept: Mapping[str, Kept], seconds: float) -> Iterator[str]:
    """The page, line by line."""
    n = len(next(iter(kept.values())).grammar)
    yield "# Does an annotator keep its accuracy on a policy's own samples?\n"
    yield (
        f"`python -m benchmarks.off_policy > benchmarks/results/off_policy.md`: {seconds:.0f} seconds. {n} held-out "
        f"prompts of which minilab-sft has good and bad samples among {JUDGED}. Accuracy on pairs of the grammar's and "
        f"on pairs of its own; loss in points, paired by prompt, 95% bootstrap interval over prompts. Annotator: a "
        f"reward head on {BASE}, trained on {int(960 * TRAIN)} pairs of the grammar's, mean of {len(SEEDS)} seeds.\n"
    )
    yield "| reward | the grammar's pairs | the policy's pairs | loss |\n|---|---|---|---|"
    for name, one in kept.items():
        loss = shown(difference(one.grammar, one.policy))
        yield f"| {name} | {100 * one.grammar.mean():.1f}% | {100 * one.policy.mean():.1f}% | {loss} |"
    yield "\n| hypothesis, written down before | difference in points | verdict |\n|---|---|---|"
    losses = {name: one.grammar - one.policy for name, one in kept.items()}
    none = np.zeros(n)
    compared = [none, losses["SFT/base vanilla"], losses["DPO-3/SFT vanilla"]]
    for (name, claim), other in zip(HYPOTHESES, compared, strict=True):
        found = difference(losses[ANNOTATOR], other)
        yield f"| {name}: {claim} | {shown(found)} | {verdict(found)} |"


def main() -> None:
    """Run it and print the page."""
    disable_progress_bar()
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        kept = experiment(Lab(Path(folder), 0))
    for line in report(kept, time.monotonic() - started):
        print(line)


if __name__ == "__main__":
    main()
