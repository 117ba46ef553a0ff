"""Is an annotator right off its own data? python -m benchmarks.off_policy > benchmarks/results/off_policy.md

CW-PO (arXiv 2603.04968, its online tables) in small. For the same held-out prompts, pairs of a good and a bad response
that the world's grammar wrote, which the annotator was trained on the like of, and pairs that minilab-sft sampled;
beside it an annotator that was trained on the like of those.
"""

import random
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
from cdr_eval.harness.annotator import train_annotator
from cdr_eval.harness.minilab.benchmark import benchmark_prompts
from cdr_eval.harness.statistics.arrays import Floats
from cdr_eval.harness.statistics.credits import credit
from cdr_eval.harness.tuning.annotator import load_annotator
from cdr_eval.tasks.item import Item, Turn
from cdr_eval.tasks.items import Items
from cdr_eval.tasks.minilab.prompts import Prompt
from cdr_eval.tasks.minilab.world import SUBSETS, is_good, preference_items
from transformers.utils.logging import disable_progress_bar

from benchmarks.tuning_loop import (
    CPU,
    JUDGED,
    POLICY,
    Lab,
    Row,
    difference,
    sampled,
    shown,
    verdict,
    write_rows,
)
from benchmarks.weak_labels import BASE, HEAD

SEEDS: Final = (0, 1, 2)
"""Of the annotator's training."""
PAIRS: Final = 960
"""That an annotator is trained on."""
PROMPTS: Final = 1500
"""Training prompts that the policy is sampled on, for pairs of its own."""
RATIOS: Final[Mapping[str, tuple[str, str, str]]] = {
    "SFT/base vanilla": ("minilab-sft", "minilab-base", "vanilla"),
    "DPO-3/SFT vanilla": ("minilab-dpo-3", "minilab-sft", "vanilla"),
    "likelihood of DPO-3": ("minilab-dpo-3", "", "likelihood"),
}
ANNOTATOR, OWN = "annotator of the grammar's pairs", "annotator of the policy's pairs"
HYPOTHESES: Final = (
    ("H1", "the annotator loses accuracy on the policy's samples"),
    ("H2", "SFT/base vanilla loses less than the annotator"),
    ("H3", "DPO-3/SFT vanilla loses less than the annotator"),
    ("H4", "on the policy's samples the annotator of its pairs is better than that of the grammar's"),
)
"""Written down before any of it was run on this family; the annotator of H1 to H3 is that of the grammar's pairs."""


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


def experiment(lab: Lab, seeds: Sequence[int] = SEEDS, count: int = PAIRS) -> dict[str, Kept]:
    """Every reward on both kinds of pairs; `count` is how many pairs an annotator is trained on."""
    prompts = benchmark_prompts(lab.per_section)
    grammar, policy = pairs_of(prompts, sampled(prompts, POLICY, lab.folder("policy") / "samples.jsonl", n=JUDGED))
    pairs = [(strong, weak) for strong, weak, _ in RATIOS.values() if weak]
    found = [lab.rewards(items, pairs, ["vanilla", "likelihood"]) for items in (grammar, policy)]
    kept = {name: Kept(*(right(rewards[label]) for rewards in found)) for name, label in RATIOS.items()}
    own = own_pairs(lab)
    for name in (ANNOTATOR, OWN):
        heads: list[tuple[Floats, Floats]] = []
        for seed in seeds:
            items: Sequence[Item] = preference_items("train", seed, 1.0) if name == ANNOTATOR else own
            learned = random.Random(seed).sample(items, min(count, len(items)))
            heads.append(head_rewards(lab.folder(f"{name}, seed {seed}"), seed, learned, grammar, policy))
        kept[name] = Kept(*(np.mean([head[side] for head in heads], axis=0) for side in (0, 1)))
    return kept


def own_pairs(lab: Lab) -> list[Item]:
    """A good and a bad sample of the policy's for each training prompt that has both, good first."""
    rng = random.Random(0)
    pairs: list[Item] = []
    for item in lab.items(JUDGED):
        good, bad = ([t for t, g in zip(item.responses, item.grades, strict=True) if g == one] for one in (1, 0))
        if good and bad:
            pairs.append(Item.preference(item.id, item.subset, item.prompt, rng.choice(good), rng.choice(bad)))
    return pairs


def head_rewards(
    folder: Path, seed: int, pairs: Sequence[Item], grammar: Items, policy: Items
) -> tuple[Floats, Floats]:
    """Credits of a reward head trained on pairs, good first."""
    rows: list[Row] = [
        {"prompt": list(item.prompt), "chosen": item.responses[0], "rejected": item.responses[1]} for item in pairs
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
        f"on pairs of its own; loss in points, paired by prompt, 95% bootstrap interval over prompts. Annotators: "
        f"reward heads on {BASE}, trained on {PAIRS} pairs, mean of {len(SEEDS)} seeds.\n"
    )
    yield "| reward | the grammar's pairs | the policy's pairs | loss |\n|---|---|---|---|"
    for name, one in kept.items():
        loss = shown(difference(one.grammar, one.policy))
        yield f"| {name} | {100 * one.grammar.mean():.1f}% | {100 * one.policy.mean():.1f}% | {loss} |"
    yield "\n| hypothesis, written down before | difference in points | verdict |\n|---|---|---|"
    losses = {name: one.grammar - one.policy for name, one in kept.items()}
    compared = [
        (losses[ANNOTATOR], np.zeros(n)),
        (losses[ANNOTATOR], losses["SFT/base vanilla"]),
        (losses[ANNOTATOR], losses["DPO-3/SFT vanilla"]),
        (kept[OWN].policy, kept[ANNOTATOR].policy),
    ]
    for (name, claim), (more, less) in zip(HYPOTHESES, compared, strict=True):
        found = difference(more, less)
        yield f"| {name}: {claim} | {shown(found)} | {verdict(found)} |"


def main() -> None:
    """Run it and print the page."""
    disable_progress_bar()
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        kept = experiment(Lab(Path(folder), PROMPTS))
    for line in report(kept, time.monotonic() - started):
        print(line)


if __name__ == "__main__":
    main()
