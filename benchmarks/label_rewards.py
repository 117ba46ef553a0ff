"""Which reward makes the better model? python -m benchmarks.label_rewards FOLDER > benchmarks/results/label_rewards.md

Table 2 of the CDR paper (arXiv 2411.02481) in small: one policy, minilab-sft, is tuned on pairs of its own responses
that different rewards have labelled, and the world's judge counts the good answers to held-out prompts. All arms have
the same prompts (those with good and bad responses), the same responses and the same random numbers; the chosen one is
the response of highest reward, the rejected one is drawn from the others. Size and epochs: tuning_size.
"""

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
from cdr_eval.harness.statistics.arrays import Estimate, Floats
from cdr_eval.harness.statistics.intervals import percentile_interval
from cdr_eval.reports.charts.labels import Frame, place_labels
from cdr_eval.reports.charts.look import alt, data, save
from cdr_eval.reports.colours import GREY, OKABE_ITO
from cdr_eval.tasks.item import Item
from cdr_eval.tasks.items import Items
from scipy.stats import spearmanr
from transformers.utils.logging import disable_progress_bar

from benchmarks.second_family import second_family
from benchmarks.tuning_loop import POLICY, RESAMPLES, Lab, Outcome, Row, difference, made_by, shown, verdict

RESULTS: Final = Path(__file__).parent / "results"
SEEDS: Final = (0, 1, 2)
"""Of the drawn rejected responses and of training."""
PROMPTS: Final = 1500
SAMPLES: Final = 8
STRONG: Final = "minilab-dpo-3"
TEMPERATURES: Final = (1.2, 1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4)
"""At which the start is sampled too, for what sharpening alone brings."""


class Reward(NamedTuple):
    """What labels are taken from."""

    strong: str
    """A checkpoint's name, that of one of the second family with "second:" in front."""
    weak: str
    variant: str
    mean: bool = False
    """Whether log-probabilities are means per token."""


ROUTED, SECOND = "cdr-adaptive-router", "second:"
ARMS: Final[Mapping[str, Reward]] = {
    "SFT/base vanilla": Reward(POLICY, "minilab-base", "vanilla"),
    "SFT/base adaptive": Reward(POLICY, "minilab-base", ROUTED),
    "DPO-3/SFT vanilla": Reward(STRONG, POLICY, "vanilla"),
    "DPO-3/SFT safety": Reward(STRONG, POLICY, "cdr-safety"),
    "DPO-3/SFT code-math": Reward(STRONG, POLICY, "cdr-code-math"),
    "DPO-3/SFT adaptive": Reward(STRONG, POLICY, ROUTED),
    "DPO-3/SFT adaptive, true domains": Reward(STRONG, POLICY, "cdr-adaptive-oracle"),
    "DPO-3/SFT adaptive, mean per token": Reward(STRONG, POLICY, ROUTED, mean=True),
    "DPO-3b/SFT vanilla": Reward("minilab-dpo-3b", POLICY, "vanilla"),
    "second family DPO-3/SFT vanilla": Reward(SECOND + STRONG, SECOND + POLICY, "vanilla"),
    "likelihood of SFT itself": Reward(POLICY, "minilab-base", "likelihood"),
    "likelihood of DPO-3": Reward(STRONG, POLICY, "likelihood"),
}
RANDOM, ORACLE = "random labels", "oracle judge"
NAMES: Final = (RANDOM, *ARMS, ORACLE)
EPOCHS: Final = (1.0, 2.0)
"""One by tuning_size; two, run first, had been chosen on prompts with the training prompts' words."""
HYPOTHESES: Final = (
    ("H1", "DPO-3/SFT vanilla tunes better than random labels", "DPO-3/SFT vanilla", RANDOM),
    ("H2", "adaptive criteria tune better than none, DPO-3/SFT", "DPO-3/SFT adaptive", "DPO-3/SFT vanilla"),
    ("H3", "adaptive criteria tune better than none, SFT/base", "SFT/base adaptive", "SFT/base vanilla"),
    ("H4", "SFT/base vanilla tunes better than random labels", "SFT/base vanilla", RANDOM),
    ("H5", "adaptive criteria tune better than safety's for all", "DPO-3/SFT adaptive", "DPO-3/SFT safety"),
    ("H6", "adaptive criteria tune better than code-math's for all", "DPO-3/SFT adaptive", "DPO-3/SFT code-math"),
    ("H7", "the true domains tune better than the router's", "DPO-3/SFT adaptive, true domains", "DPO-3/SFT adaptive"),
    ("H8", "sums tune better than means per token", "DPO-3/SFT adaptive", "DPO-3/SFT adaptive, mean per token"),
    ("H9", "the oracle tunes better than DPO-3/SFT adaptive", ORACLE, "DPO-3/SFT adaptive"),
    ("H10", "likelihood of DPO-3 tunes better than the oracle", "likelihood of DPO-3", ORACLE),
    ("H11", "likelihood of DPO-3 tunes better than DPO-3/SFT vanilla", "likelihood of DPO-3", "DPO-3/SFT vanilla"),
    (
        "H12",
        "the policy's own likelihood, which knows nothing new, tunes better than random labels",
        "likelihood of SFT itself",
        RANDOM,
    ),
    (
        "H13",
        "likelihood of DPO-3 tunes better than the policy's own",
        "likelihood of DPO-3",
        "likelihood of SFT itself",
    ),
    (
        "H14",
        "annotators trained from the policy tune better than those that share no weight with it",
        "DPO-3/SFT vanilla",
        "second family DPO-3/SFT vanilla",
    ),
    (
        "H15",
        "labels of the second family's DPO-3/SFT tune better than random ones",
        "second family DPO-3/SFT vanilla",
        RANDOM,
    ),
)
"""Written down before any of it was run on this family: (name, claim, better arm, worse arm)."""

READING: Final = """\
## What it says

Written after the run. After one epoch labels of 84 to 100% right tune clearly better than random ones, and those of
68% and 72% less so; among the arms above 83% next to nothing is decided, the judge's own labels included: adaptive
criteria beat code-math's for all by 0.3 points, of which the interval touches 0. So accuracy orders the arms up to
there and no further: eight of the fourteen have 90 to 92% right labels. What is gained looks like sharpening: the
start at temperature 0.9, with no label at all, gains as much as most arms, and no arm gains clearly more than the
start does at the temperature at which its samples are as different. The likelihood's labels sharpen most: what they
choose is shorter, and fewer of the tuned model's samples differ. The policy's own likelihood, which knows nothing new,
is right on 74% and gains 1.8 points where sharpening the start as far brings 6.7. So here likelihood of DPO-3 did not
beat the judge, and it comes as close by sharpening further. Distillation is no condition: the ratio of a second
family, which shares no weight with the policy and is right less often, tunes as well as DPO-3's within the interval
after one epoch and after two (DPO-3b shares SFT with DPO-3 and differs in its preference stages' samples alone).
Length plays no visible part: all arms stay within 0.2 words of the start after one epoch. Headroom does: the start's
likeliest answers are right on 57%, which is where sharpening leads, and tuning raises that by two points at the most.
A second epoch costs the judge's labels half of their gain: the policy learns the training words. The router's choices
and the true domains' were the same.
"""
"""What the figures say, written after the run."""


@dataclass(frozen=True, slots=True)
class Arm:
    """One way to label, over all seeds."""

    accuracy: float
    """Share of right labels among the pairs of a good and a bad response."""
    longer: float
    """Words of the chosen less those of the rejected, on average."""
    outcomes: tuple[Outcome, ...]
    """One a seed."""

    @property
    def good(self) -> Floats:
        """(prompts,) share of good answers, averaged over the seeds."""
        return np.mean([outcome.good for outcome in self.outcomes], axis=0)

    @property
    def distinct(self) -> float:
        """Different texts among the samples of a prompt, averaged over the seeds."""
        return float(np.mean([outcome.distinct for outcome in self.outcomes]))


def choices(arm: str, items: Items, rewards: Mapping[str, Floats], seed: int) -> Iterator[tuple[Item, int, int]]:
    """Each item with the places of its chosen and its rejected response."""
    rng = np.random.default_rng(seed)
    for number, item in enumerate(items):
        first, second = rng.random(2)
        grades = np.array(item.grades)
        if arm == ORACLE:
            good, bad = np.flatnonzero(grades == 1), np.flatnonzero(grades == 0)
            yield item, int(good[int(first * len(good))]), int(bad[int(second * len(bad))])
            continue
        best = int(first * len(grades))
        if arm != RANDOM:
            start = int(items.offsets[number])
            best = int(np.argmax(rewards[arm][start : start + len(grades)]))
        others = [place for place in range(len(grades)) if place != best]
        yield item, best, others[int(second * len(others))]


def run_arm(
    lab: Lab, arm: str, items: Items, rewards: Mapping[str, Floats], seeds: Sequence[int], epochs: float = 1.0
) -> Arm:
    """Label, tune and judge, once a seed."""
    right: list[float] = []
    longer: list[int] = []
    outcomes: list[Outcome] = []
    for seed in seeds:
        rows: list[Row] = []
        for item, chosen, rejected in choices(arm, items, rewards, seed):
            texts = item.responses[chosen], item.responses[rejected]
            rows.append({"prompt": list(item.prompt), "chosen": texts[0], "rejected": texts[1]})
            longer.append(len(texts[0].split()) - len(texts[1].split()))
            if item.grades[chosen] != item.grades[rejected]:
                right.append(item.grades[chosen])
        outcomes.append(lab.tuned(rows, f"{arm.replace('/', ' over ')}, seed {seed}", seed, epochs=epochs))
    return Arm(float(np.mean(right)), float(np.mean(longer)), tuple(outcomes))


def rewards_of(lab: Lab, items: Items, wanted: Mapping[str, Reward], second: Path | None = None) -> dict[str, Floats]:
    """Arm → rewards (R,) of the items' responses; `second` is the folder of the second family."""

    def place(name: str) -> str:
        return f"second-{name.removeprefix(SECOND)}={second}/{name.removeprefix(SECOND)}" if SECOND in name else name

    rewards: dict[str, Floats] = {}
    for strong, weak, mean in dict.fromkeys((r.strong, r.weak, r.mean) for r in wanted.values()):
        arms = {arm: r.variant for arm, r in wanted.items() if (r.strong, r.weak, r.mean) == (strong, weak, mean)}
        found = lab.rewards(items, [(place(strong), place(weak))], list(dict.fromkeys(arms.values())), mean=mean)
        by_variant = {variant: values for (_, _, variant), values in found.items()}
        rewards |= {arm: by_variant[variant] for arm, variant in arms.items()}
    return rewards


def mixed_items(lab: Lab, samples: int = SAMPLES) -> Items:
    """The policy's responses to the prompts that have good and bad ones."""
    return Items(item for item in lab.items(samples) if len(set(item.grades)) > 1)


def experiment(
    lab: Lab,
    names: Sequence[str],
    seeds: Sequence[int] = SEEDS,
    epochs: float = 1.0,
    second: Path | None = None,
) -> tuple[int, dict[str, Arm]]:
    """How many prompts had a pair, and every arm."""
    items = mixed_items(lab)
    rewards = rewards_of(lab, items, {name: ARMS[name] for name in names if name in ARMS}, second)
    return len(items), {name: run_arm(lab, name, items, rewards, seeds, epochs) for name in names}


def sharpened(starts: Mapping[float, Outcome], distinct: float) -> Floats:
    """(prompts,) share of good answers of the start at the temperature at which it has so many different texts.

    Between two temperatures it is interpolated, beyond the last ones it stays.
    """
    ordered = sorted(starts.values(), key=lambda outcome: outcome.distinct)
    place = float(np.interp(distinct, [outcome.distinct for outcome in ordered], range(len(ordered))))
    below = min(int(place), len(ordered) - 2)
    share = place - below
    return (1 - share) * ordered[below].good + share * ordered[below + 1].good


def rank_correlation(arms: Mapping[str, Arm], start: Outcome) -> Estimate:
    """Spearman's of label accuracy and gain over the arms, interval over draws of held-out prompts."""
    accuracy = [arm.accuracy for arm in arms.values()]
    gains = np.array([arm.good - start.good for arm in arms.values()])
    drawn = np.random.default_rng(0).integers(gains.shape[1], size=(RESAMPLES // 10, gains.shape[1]))
    values = np.array([_spearman(accuracy, gains[:, draw].mean(axis=1)) for draw in drawn])
    low, high = percentile_interval(values)
    return Estimate(_spearman(accuracy, gains.mean(axis=1)), float(low), float(high))


def draw(points: Mapping[str, tuple[float, Estimate]], folder: Path) -> None:
    """Gain in points against the share of right labels, by arm, as label_rewards.svg."""
    rows = [{"labels": 100 * x, "gain": y.value, "low": y.low, "high": y.high} for x, y in points.values()]
    right = [row["labels"] for row in rows]
    names = {(100 * x, y.value): name for name, (x, y) in reversed(list(points.items()))}  # one where arms coincide
    ends = min(r["low"] for r in rows) - 1, max(r["high"] for r in rows) + 1
    frame = Frame(min(right) - 3, max(right) + 8, *ends, width=800, height=600)  # several arms lie close together
    x = alt.X(
        "labels:Q",
        title="right labels (per cent)",
        scale=alt.Scale(domain=[frame.left, frame.right], nice=False),
        axis=alt.Axis(values=list(range(0, 101, 10))),  # the frame leaves room beyond for labels
    )
    up = alt.Scale(domain=[frame.low, frame.high], nice=False, zero=False)
    base = alt.Chart(data(rows)).encode(x=x)
    chart = alt.layer(
        alt.Chart(data([{"gain": 0}])).mark_rule(color=GREY).encode(y="gain:Q"),
        base.mark_rule(color=GREY).encode(y=alt.Y("low:Q", scale=up, title=""), y2="high:Q"),
        base.mark_point(filled=True, size=55, opacity=1, color=OKABE_ITO[0]).encode(
            y=alt.Y("gain:Q", scale=up, title="gain in good answers (points)")
        ),
        place_labels(
            [(*point, name) for point, name in sorted(names.items(), key=lambda named: -named[0][1])],
            [(row["labels"], row["gain"]) for row in rows],
            frame,
        ),
    )
    save(chart.properties(width=frame.width, height=frame.height), folder, "label_rewards")
    (folder / "label_rewards.png").unlink()


def report(
    pairs: int,
    starts: Mapping[float, Outcome],
    strong: Outcome,
    by_epochs: Mapping[float, Mapping[str, Arm]],
    made: str,
) -> Iterator[str]:
    """The page, line by line."""
    start, once, twice = starts[1.0], *by_epochs.values()
    yield f"# Which reward makes the better model?\n\n{made}\n"
    yield (
        f"minilab-sft, DPO (β 0.1, learning rate 5e-5, batch 16) on {pairs:,} prompts of {PROMPTS:,} that had good and "
        f"bad responses among {SAMPLES}; the best by the reward against one of the others, drawn. Good: share of good "
        f"answers among 8 samples on {len(start.good)} held-out prompts, whose words and numbers no training prompt "
        f"has; gain over the start in points, paired by prompt, mean of {len(SEEDS)} seeds, 95% bootstrap interval "
        "over prompts. Beyond sharpening: the gain over the start at the temperature at which its samples are as many "
        "different texts.\n"
    )
    yield "## After one epoch\n"
    yield from _table(starts, {"none: the start": start, "none: DPO-3 itself": strong}, once)
    yield "\n![Gain against label accuracy after one epoch, 95% intervals](label_rewards.svg)\n"
    yield from _correlations(by_epochs, start)
    yield "\n## Hypotheses\n"
    yield (
        "Written down before any of it was run on this family. The run at two epochs came first: they had gained most "
        "on prompts with the training prompts' own words, which is no validation; one epoch is what "
        "[validation prompts with words of their own](tuning_size.md) say.\n"
    )
    yield "| hypothesis | one epoch, difference in points | verdict | two epochs | verdict |\n|---|---|---|---|---|"
    for name, claim, better, worse in HYPOTHESES:
        cells = (_compared(arms, better, worse) for arms in by_epochs.values())
        yield f"| {name}: {claim} | {' | '.join(cells)} |"
    yield "\n## After two epochs\n"
    yield from _table(starts, {"none: the start": start}, twice)
    yield "\n## What sharpening alone brings\n"
    yield "| start at temperature | good | gain | words | different of 8 |\n|---|---|---|---|---|"
    for temperature, outcome in starts.items():
        gain = shown(difference(outcome.good, start.good)) if temperature != 1 else ""
        _, words, distinct = _looks([outcome])
        yield f"| {temperature:g} | {_good(outcome.good)} | {gain} | {words} | {distinct} |"
    yield f"\n{READING}"


def _table(starts: Mapping[float, Outcome], untuned: Mapping[str, Outcome], arms: Mapping[str, Arm]) -> Iterator[str]:
    """Models that are not tuned here, and the arms."""
    start = starts[1.0]
    yield (
        "| labels by | right labels | chosen longer by | good | gain | by seed | beyond sharpening | greedy | words | "
        "different of 8 |\n|---|---|---|---|---|---|---|---|---|---|"
    )
    for name, outcome in untuned.items():
        itself = outcome is start
        gain = "" if itself else shown(difference(outcome.good, start.good))
        beyond = "" if itself else shown(difference(outcome.good, sharpened(starts, outcome.distinct)))
        yield f"| {name} | | | {_good(outcome.good)} | {gain} | | {beyond} | {' | '.join(_looks([outcome]))} |"
    for name, arm in arms.items():
        seeds = ", ".join(f"{100 * (outcome.good - start.good).mean():+.1f}" for outcome in arm.outcomes)
        beyond = difference(arm.good, sharpened(starts, arm.distinct))
        yield (
            f"| {name} | {100 * arm.accuracy:.1f}% | {arm.longer:+.2f} words | {_good(arm.good)} | "
            f"{shown(difference(arm.good, start.good))} | {seeds} | {shown(beyond)} | "
            f"{' | '.join(_looks(arm.outcomes))} |"
        )


def _compared(arms: Mapping[str, Arm], better: str, worse: str) -> str:
    """Difference and verdict of a hypothesis, as cells."""
    found = difference(arms[better].good, arms[worse].good)
    return f"{shown(found)} | {verdict(found)}"


def _correlations(by_epochs: Mapping[float, Mapping[str, Arm]], start: Outcome) -> Iterator[str]:
    for epochs, arms in by_epochs.items():
        found = rank_correlation(arms, start)
        yield (
            f"Rank correlation of label accuracy and gain over the {len(arms)} arms, {epochs:g} epoch(s): "
            f"{found.value:.2f} [{found.low:.2f}, {found.high:.2f}] over draws of held-out prompts (arms and seeds "
            "held fixed).  "
        )


def _good(share: Floats) -> str:
    return f"{100 * share.mean():.1f}%"


def _looks(outcomes: Sequence[Outcome]) -> tuple[str, str, str]:
    """Greedy share, words and different texts."""
    greedy, words, distinct = (
        float(np.mean([getattr(outcome, field) for outcome in outcomes])) for field in ("greedy", "words", "distinct")
    )
    return f"{100 * greedy:.1f}%", f"{words:.1f}", f"{distinct:.2f}"


def _spearman(a: Sequence[float], b: Floats) -> float:
    found: Any = spearmanr(a, b)
    return float(found.statistic)


def main() -> None:
    """Run all arms and print the page."""
    disable_progress_bar()
    folder = Path(sys.argv[1])
    second = second_family(folder / "second_family")
    labs = {epochs: Lab(folder / f"{epochs:g} epochs", PROMPTS) for epochs in EPOCHS}
    lab = labs[1.0]
    starts = {t: lab.outcome(POLICY, f"start at {t:g}", t) for t in TEMPERATURES}
    strong = lab.outcome(STRONG, "DPO-3 itself")
    found = {epochs: experiment(labs[epochs], NAMES, SEEDS, epochs, second) for epochs in EPOCHS}
    arms = {epochs: by_name for epochs, (_, by_name) in found.items()}
    draw({name: (arm.accuracy, difference(arm.good, starts[1.0].good)) for name, arm in arms[1.0].items()}, RESULTS)
    for line in report(found[1.0][0], starts, strong, arms, made_by("label_rewards", folder)):
        print(line)


if __name__ == "__main__":
    main()
