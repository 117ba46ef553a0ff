"""Which reward makes the better model? python -m benchmarks.label_rewards > benchmarks/results/label_rewards.md

Table 2 of the CDR paper (arXiv 2411.02481) in small: one policy, minilab-sft, is tuned on pairs of its own responses
that different rewards have labelled, and the world's judge counts the good answers to held-out prompts. All arms have
the same prompts (those with good and bad responses), the same responses and the same random numbers; the chosen one is
the response of highest reward, the rejected one is drawn from the others.
"""

import os
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

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

from benchmarks.tuning_loop import POLICY, RESAMPLES, Lab, Outcome, Row, difference, shown, verdict

RESULTS: Final = Path(__file__).parent / "results"
SEEDS: Final = (0, 1, 2)
"""Of the drawn rejected responses and of training."""
PROMPTS: Final = 1500
SAMPLES: Final = 8
PAIRS: Final = (("minilab-dpo-3", "minilab-sft"), ("minilab-sft", "minilab-base"))
VARIANTS: Final = ("vanilla", "likelihood", "cdr-safety", "cdr-adaptive-router")
Label = tuple[str, str, str]
"""Strong, weak and variant of a reward."""
ARMS: Final[Mapping[str, Label]] = {
    "SFT/base vanilla": ("minilab-sft", "minilab-base", "vanilla"),
    "SFT/base adaptive": ("minilab-sft", "minilab-base", "cdr-adaptive-router"),
    "DPO-3/SFT vanilla": ("minilab-dpo-3", "minilab-sft", "vanilla"),
    "DPO-3/SFT safety": ("minilab-dpo-3", "minilab-sft", "cdr-safety"),
    "DPO-3/SFT adaptive": ("minilab-dpo-3", "minilab-sft", "cdr-adaptive-router"),
    "likelihood of DPO-3": ("minilab-dpo-3", "", "likelihood"),
}
RANDOM, ORACLE = "random labels", "oracle judge"
HYPOTHESES: Final = (
    ("H1", "DPO-3/SFT vanilla tunes better than random labels", "DPO-3/SFT vanilla", RANDOM),
    ("H2", "adaptive criteria tune better than none, DPO-3/SFT", "DPO-3/SFT adaptive", "DPO-3/SFT vanilla"),
    ("H3", "adaptive criteria tune better than none, SFT/base", "SFT/base adaptive", "SFT/base vanilla"),
    ("H4", "SFT/base vanilla tunes better than random labels", "SFT/base vanilla", RANDOM),
    ("H5", "one domain's criteria for all tune worse than adaptive ones", "DPO-3/SFT adaptive", "DPO-3/SFT safety"),
    ("H6", "the oracle tunes better than DPO-3/SFT adaptive", ORACLE, "DPO-3/SFT adaptive"),
    ("H7", "likelihood of DPO-3 tunes better than the oracle", "likelihood of DPO-3", ORACLE),
)
"""Written down before any of it was run: (name, claim, better arm, worse arm)."""


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


def run_arm(lab: Lab, arm: str, items: Items, rewards: Mapping[str, Floats], seeds: Sequence[int]) -> Arm:
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
        outcomes.append(lab.outcome(lab.tuned(rows, seed)))
    return Arm(float(np.mean(right)), float(np.mean(longer)), tuple(outcomes))


def experiment(
    lab: Lab, names: Sequence[str] = (RANDOM, *ARMS, ORACLE), seeds: Sequence[int] = SEEDS
) -> tuple[int, Outcome, dict[str, Arm]]:
    """How many prompts had a pair, the start's outcome, and every arm."""
    graded = Items(item for item in lab.items(SAMPLES) if len(set(item.grades)) > 1)
    wanted = {name: label for name, label in ARMS.items() if name in names}
    variants = [name for name in VARIANTS if any(label[2] == name for label in wanted.values())]
    found: Mapping[Label, Floats] = lab.rewards(graded, PAIRS, variants) if wanted else {}
    rewards = {name: found[label] for name, label in wanted.items()}
    arms = {name: run_arm(lab, name, graded, rewards, seeds) for name in names}
    return len(graded), lab.outcome(POLICY), arms


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
    frame = Frame(min(right) - 3, max(right) + 3, min(r["low"] for r in rows) - 1, max(r["high"] for r in rows) + 1)
    x = alt.X(
        "labels:Q", title="right labels (per cent)", scale=alt.Scale(domain=[frame.left, frame.right], nice=False)
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
            [(100 * x, y.value, name) for name, (x, y) in points.items()],
            [(row["labels"], row["gain"]) for row in rows],
            frame,
        ),
    )
    save(chart.properties(width=frame.width, height=frame.height), folder, "label_rewards")
    (folder / "label_rewards.png").unlink()


def report(lab: Lab, pairs: int, start: Outcome, arms: Mapping[str, Arm], seconds: float) -> Iterator[str]:
    """The page, line by line."""
    n, repeats = len(start.good), len(next(iter(arms.values())).outcomes)
    yield "# Which reward makes the better model?\n"
    yield (
        f"`python -m benchmarks.label_rewards > benchmarks/results/label_rewards.md`: {seconds / 60:.1f} minutes on "
        f"{os.environ.get('OMP_NUM_THREADS', 'all')} thread(s).\n"
    )
    yield (
        f"minilab-sft, DPO (β 0.1, learning rate 5e-5, batch 16, one epoch) on {pairs:,} prompts of {lab.prompts:,} "
        f"that had good and bad responses among {SAMPLES}; the best by the reward against one of the others, drawn. "
        f"Gain: share of good answers among 8 samples on {n} held-out prompts over the start's "
        f"{100 * start.good.mean():.1f}%, in points, paired by prompt, mean of {repeats} seeds, 95% bootstrap "
        f"interval over prompts; greedy of the start {100 * start.greedy:.1f}%, {start.words:.1f} words, "
        f"{start.distinct:.1f} different texts among 8.\n"
    )
    yield "| labels by | right labels | chosen longer by | gain | by seed | greedy | words | different of 8 |"
    yield "|---|---|---|---|---|---|---|---|"
    for name, arm in arms.items():
        seeds = ", ".join(f"{100 * (outcome.good - start.good).mean():+.1f}" for outcome in arm.outcomes)
        greedy, words, distinct = (
            float(np.mean([getattr(outcome, field) for outcome in arm.outcomes]))
            for field in ("greedy", "words", "distinct")
        )
        yield (
            f"| {name} | {100 * arm.accuracy:.1f}% | {arm.longer:+.2f} words | "
            f"{shown(difference(arm.good, start.good))} | {seeds} | {100 * greedy:.1f}% | {words:.1f} | {distinct:.1f} "
            "|"
        )
    yield "\n![Gain against label accuracy, 95% intervals](label_rewards.svg)"
    yield "\n| hypothesis, written down before | difference in points | verdict |\n|---|---|---|"
    for name, claim, better, worse in HYPOTHESES:
        found = difference(arms[better].good, arms[worse].good)
        yield f"| {name}: {claim} | {shown(found)} | {verdict(found)} |"
    found = rank_correlation(arms, start)
    yield (
        f"\nRank correlation of label accuracy and gain over the {len(arms)} arms: {found.value:.2f} "
        f"[{found.low:.2f}, {found.high:.2f}] over draws of held-out prompts (arms and seeds held fixed)."
    )


def _spearman(a: Sequence[float], b: Floats) -> float:
    found: Any = spearmanr(a, b)
    return float(found.statistic)


def main() -> None:
    """Run all arms and print the page."""
    disable_progress_bar()
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        lab = Lab(Path(folder), PROMPTS)
        pairs, start, arms = experiment(lab)
    draw({name: (arm.accuracy, difference(arm.good, start.good)) for name, arm in arms.items()}, RESULTS)
    for line in report(lab, pairs, start, arms, time.monotonic() - started):
        print(line)


if __name__ == "__main__":
    main()
