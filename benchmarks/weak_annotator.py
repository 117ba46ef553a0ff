"""Does a weak annotator beat a noisy human?

    python -m benchmarks.weak_annotator FOLDER > benchmarks/results/weak_annotator.md

CW-PO (arXiv 2603.04968) in small. The "human" is the world's judge with a coin at ties, then flipped with probability
ε. Annotators learn from the human's labels on the prompts of 30 % by hash and label the others (`weak_labels`);
minilab-sft, start and reference of all arms (in the paper each arm has its own), is tuned on those others.
"""

import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Final, Literal, NamedTuple

import numpy as np
from cdr_eval.harness.annotation.temperature import confidence
from cdr_eval.harness.statistics.arrays import Floats
from scipy.special import expit
from transformers.utils.logging import disable_progress_bar

from benchmarks.tuning_loop import POLICY, Lab, Outcome, difference, made_by, shown, verdict
from benchmarks.weak_labels import Annotators, Judged, Labels, Source, mean_of, pairs_of, rows_of

SEEDS: Final = (0, 1, 2)
"""Of the noise, the annotators and the tuning."""
PROMPTS: Final = 2000
NOISES: Final = (0.0, 0.2, 0.35)
DPO: Final = "DPO"
LOSSES: Final[Mapping[str, Mapping[str, float | str]]] = {
    DPO: {"loss": "dpo"},
    "IPO": {"loss": "ipo", "beta": 0.5},
    "rDPO": {"loss": "robust-dpo", "label_noise": 0.1},
}
"""IPO is TRL's, per token, with CW-PO's β; rDPO's ε is the paper's."""


class Way(NamedTuple):
    """Where labels are from and how they are used."""

    source: Source
    weight: Literal["none", "C1", "C2", "C3", "C4", "top", "oracle", "unequal"] = "none"
    """C1 = 2σ(m) − 1, C2 = σ(m), C3 = min(m, 1), C4 = min(0.2 m, 1) of a margin's size m (of the ratio over τ, such
    that C1 is ½ on average); top: 1 for the pairs of the largest margins, else 0; oracle: 0 for wrong labels, else
    1; unequal: 1 for right labels of pairs between which the judge sees a difference, else 0."""
    share: float = 1.0
    """Of the pairs that are the top."""
    equal_steps: bool = True
    """Train on fewer pairs for more epochs, so that the steps are as many as for all; False: as many epochs."""


class Place(NamedTuple):
    """One cell of the cross."""

    noise: float
    loss: str
    way: str


HUMAN, HARD, WEIGHTED, TOP, ORACLE = "human", "BT, hard", "BT × C1", "BT, top 50%, equal steps", "BT × oracle"
UNEQUAL = f"{ORACLE}, unequal pairs alone"
ORACLE_EPOCHS, UNEQUAL_EPOCHS = f"{ORACLE}, equal epochs", f"{UNEQUAL}, equal epochs"
WAYS: Final[Mapping[str, Way]] = {
    HUMAN: Way("human"),
    "human, 100%": Way("human on all"),
    "human, the annotator's 30% alone": Way("human on 30%", equal_steps=False),
    "WS-DPO": Way("WS"),
    HARD: Way("BT"),
    WEIGHTED: Way("BT", "C1"),
    "BT × C2": Way("BT", "C2"),
    "BT × C3": Way("BT", "C3"),
    "BT × C4": Way("BT", "C4"),
    "BT, top 75%, equal steps": Way("BT", "top", 0.75),
    TOP: Way("BT", "top", 0.5),
    "BT, top 30%, equal steps": Way("BT", "top", 0.3),
    "BT, top 75%, equal epochs": Way("BT", "top", 0.75, equal_steps=False),
    "BT, top 50%, equal epochs": Way("BT", "top", 0.5, equal_steps=False),
    "BT, top 30%, equal epochs": Way("BT", "top", 0.3, equal_steps=False),
    ORACLE: Way("BT", "oracle"),
    ORACLE_EPOCHS: Way("BT", "oracle", equal_steps=False),
    UNEQUAL: Way("BT", "unequal"),
    UNEQUAL_EPOCHS: Way("BT", "unequal", equal_steps=False),
    "SFT/base × C1": Way("ratio", "C1"),
}
CORE: Final = (HUMAN, HARD, WEIGHTED, TOP)
"""With all seeds under DPO; all the rest of the cross with the first one."""
ADDED: Final = (ORACLE, ORACLE_EPOCHS, UNEQUAL_EPOCHS)
"""Under DPO alone, after the cross."""
PLAN: Final[Mapping[Place, Sequence[int]]] = {
    Place(noise, loss, way): SEEDS if loss == DPO and way in CORE else SEEDS[:1]
    for noise, loss, way in product(NOISES, LOSSES, WAYS)
    if loss == DPO or way not in ADDED
}
HYPOTHESES: Final = (
    ("H1", "confidence weights beat none", WEIGHTED, HARD),
    ("H2", "selection beats none at equal steps", TOP, HARD),
    ("H3", "weights beat selection", WEIGHTED, TOP),
    ("H4", "the weighted annotator beats the human", WEIGHTED, HUMAN),
    ("H5", "the weighted annotator beats WS-DPO", WEIGHTED, "WS-DPO"),
    ("H6", "the weighted annotator beats the human on all pairs", WEIGHTED, "human, 100%"),
    (
        "H7",
        "the annotator gives more than the labels that it learned from",
        WEIGHTED,
        "human, the annotator's 30% alone",
    ),
    ("H8", "the right labels of unequal pairs beat all at equal steps", UNEQUAL, HARD),
    ("H9", "a weighted density ratio beats the weighted annotator", "SFT/base × C1", WEIGHTED),
    ("H10", "C1 beats C2", WEIGHTED, "BT × C2"),
    ("H11", "C1 beats C3", WEIGHTED, "BT × C3"),
    ("H12", "C1 beats C4", WEIGHTED, "BT × C4"),
    ("H13", "the top 75% beat all at equal epochs", "BT, top 75%, equal epochs", HARD),
    ("H14", "the top 50% beat all at equal epochs", "BT, top 50%, equal epochs", HARD),
    ("H15", "the top 30% beat all at equal epochs", "BT, top 30%, equal epochs", HARD),
    ("H16", "the top 75% beat all at equal steps", "BT, top 75%, equal steps", HARD),
    ("H17", "the top 30% beat all at equal steps", "BT, top 30%, equal steps", HARD),
    ("H18", "leaving out the wrong labels alone beats none at equal steps", ORACLE, HARD),
    ("H19", "leaving out the wrong labels alone beats none at equal epochs", ORACLE_EPOCHS, HARD),
    ("H20", "the right labels of unequal pairs beat all at equal epochs", UNEQUAL_EPOCHS, HARD),
)
"""(name, claim, better, worse), at every noise and under every loss. Written down before any of it was run on this
family, H4 to H6 expected false at ε = 0, H4 true at 0.35; that all hold at every noise and under every loss, before the
whole cross was run (H1 to H4 at every noise under DPO, the others and IPO and rDPO without noise had been by then). H8
was called "perfect weights beat none" until it was seen that its weights leave out the pairs without a difference, too,
and train three to four epochs on the others; H18 to H20 were written then, after H8 was run and before they were."""

READING: Final = """\
## What it says

Written after the run. From which noise on does the weak annotator beat the human? At none of these and under none of
the losses: it loses at 0 and, but for IPO, which leaves it open, at 0.2; at 0.35 nothing is decided, where the human's
own labels gain next to nothing either. An annotator that learns from noisy labels is worse than they are, and it beats
WS-DPO nowhere. Do weights beat none? At 0.2 under DPO by half a point, in the other eight cells it is undecided; which
of C1 to C4 makes no difference that shows. Does selection beat weights? Without noise yes, at equal steps, under every
loss; at 0.35, where the annotator knows next to nothing, weights do under DPO and IPO. Selection gains by the steps as
much as by the labels: at equal epochs no share beats all pairs in any of 27 comparisons. What the annotator adds to the
labels that it learned from is undecided in all nine. No verdict is yes under one loss and no under another. Two things
help: leaving out the labels that the judge calls wrong, under DPO by 1.7 to 2.1 points at equal steps and 1.6 to 1.8 at
equal epochs, so that weights can help and the annotator's confidence is what is lacking; and the weighted density ratio
SFT/base, which needs no human and is right on 76%, against the weighted annotator from 0.2 on under every loss, and
under IPO without noise too. The oracle that was run first, under all losses, left out the pairs without a difference,
too, and trained 2.9 to 4.2 epochs on the others: 3 to 5 points, of which under DPO 0.6 to 1.1 are left at one epoch
(undecided without noise); most of it comes with the further epochs. Rows of one seed carry that seed's luck, which no
interval here contains: under the main ways seeds differ by up to 2.6 points. Of the minutes 56 were the processor's in
the cross and 4 in what H18 to H20 added; the machine lent its cores to others as well.
"""
"""What the figures say, written after the run."""


@dataclass(frozen=True, slots=True)
class Arm:
    """One way to use labels at one noise under one loss, over all seeds."""

    pairs: int
    """Trained on, as all that follows but the outcomes in the first seed."""
    right: float
    """Share of right labels where the judge sees a difference, by weight."""
    weight: float
    """Mean weight."""
    spread: float
    """Standard deviation of the weights."""
    outcomes: tuple[Outcome, ...]

    @property
    def good(self) -> Floats:
        """(prompts,) share of good answers, averaged over the seeds."""
        return self.good_of(len(self.outcomes))

    def good_of(self, seeds: int) -> Floats:
        """The same of the first seeds alone."""
        return np.mean([outcome.good for outcome in self.outcomes[:seeds]], axis=0)


def weights_of(way: Way, labels: Labels) -> Floats:
    """What each pair's loss is multiplied by; 0 leaves it out."""
    m = labels.margin
    if way.weight == "top":
        kept = np.zeros(len(m))
        kept[np.argsort(-m, kind="stable")[: round(way.share * len(m))]] = 1.0
        return kept
    functions: dict[str, Callable[[], Floats]] = {
        "none": lambda: np.ones(len(m)),
        "C1": lambda: confidence(m, 1.0),
        "C2": lambda: expit(m),
        "C3": lambda: np.minimum(m, 1.0),
        "C4": lambda: np.minimum(0.2 * m, 1.0),
        "oracle": lambda: np.where(np.isnan(labels.right), 1.0, labels.right),
        "unequal": lambda: np.nan_to_num(labels.right),
    }
    return functions[way.weight]()


def run_arm(lab: Lab, way: Way, loss: str, labels: Labels, name: str, seed: int) -> Arm:
    """Tune on the labels and judge, one seed."""
    weights = weights_of(way, labels)
    kept = [row for row in rows_of(labels.items, labels.first, weights) if row["weight"] > 0]
    known = ~np.isnan(labels.right)
    right = float(np.average(labels.right[known], weights=weights[known]))
    epochs = len(weights) / len(kept) if way.equal_steps else 1.0
    outcome = lab.tuned(kept, name, seed, weights="weight", epochs=epochs, **LOSSES[loss])
    return Arm(len(kept), right, float(weights.mean()), float(weights.std()), (outcome,))


@dataclass(frozen=True, slots=True)
class Results:
    """What the experiment found."""

    pairs: int
    """Labelled anew."""
    start: Outcome
    arms: Mapping[Place, Arm]
    annotators: Mapping[tuple[float, str], Judged]


def experiment(lab: Lab, plan: Mapping[Place, Sequence[int]]) -> Results:
    """Every cell of the plan with its seeds."""
    items = pairs_of(lab.items(8))
    runs: dict[Place, list[Arm]] = {place: [] for place in plan}
    found: dict[tuple[float, str], list[Judged]] = {}
    pairs = 0
    for noise, seed in dict.fromkeys((place.noise, seed) for place, seeds in plan.items() for seed in seeds):
        annotators = Annotators(lab, items, noise, seed)
        for place in (place for place, seeds in plan.items() if place.noise == noise and seed in seeds):
            way = WAYS[place.way]
            labels = annotators.labels(way.source)
            at = "any noise" if way.source == "ratio" else f"noise {noise:g}"
            name = f"{at}, seed {seed}/{place.loss}, {place.way.replace('/', ' over ')}"
            runs[place].append(run_arm(lab, way, place.loss, labels, name, seed))
        pairs = len(annotators.labels("human").items)
        for source, one in annotators.judged().items():
            found.setdefault((noise, source), []).append(one)
    arms = {place: _over_seeds(ones) for place, ones in runs.items()}
    annotated = {place: mean_of(ones) for place, ones in found.items()}
    return Results(pairs, lab.outcome(POLICY, "start"), arms, annotated)


def _over_seeds(arms: Sequence[Arm]) -> Arm:
    """One arm of one for each seed."""
    return replace(arms[0], outcomes=tuple(outcome for arm in arms for outcome in arm.outcomes))


def report(lab: Lab, results: Results, made: str) -> Iterator[str]:
    """The page, line by line."""
    start, arms = results.start, results.arms
    yield f"# Does a weak annotator beat a noisy human?\n\n{made}\n"
    yield (
        "minilab-sft (β 0.1, learning rate 5e-5, batch 16, one epoch, fewer pairs for as many steps unless said "
        f"otherwise; IPO per token with β 0.5, rDPO with ε 0.1) on {results.pairs:,} pairs of its own responses to "
        f"{lab.prompts:,} training prompts, which the annotators have not seen. Gain: share of good answers among 8 "
        f"samples on {len(start.good)} held-out prompts over the start's {100 * start.good.mean():.1f}%, in points, "
        "paired by prompt, 95% bootstrap interval over prompts; the mean of the seeds where they stand behind it in "
        "brackets, elsewhere one seed. Right labels: by weight, where the judge sees a difference.\n"
    )
    yield (
        "BT: a reward head on minilab-base. WS-DPO: the ratio of minilab-base tuned by DPO on the human's labels to "
        "itself, hard labels. C1 = 2σ(m) − 1, C2 = σ(m), C3 = min(m, 1), C4 = min(0.2 m, 1) of the margin m; for "
        "SFT/base m is over τ such that C1 is ½ on average. Oracle: the wrong labels left out; unequal pairs alone: "
        "those, too, between which the judge sees no difference.\n"
    )
    yield from _gains(start, arms)
    yield from _hypotheses(arms)
    yield from _labels(arms)
    yield from _annotators(results)
    yield f"\n{READING}"


def _gains(start: Outcome, arms: Mapping[Place, Arm]) -> Iterator[str]:
    """One table a loss: ways by noises."""
    for loss, noises, ways in _by_loss(arms):
        yield f"## Gain over the start, {loss}\n"
        yield from _head("labels", noises)
        for way in ways:
            cells: list[str] = []
            for arm in (arms.get(Place(noise, loss, way)) for noise in noises):
                cell = shown(difference(arm.good, start.good)) if arm else ""
                if arm and len(arm.outcomes) > 1:
                    cell += f" ({', '.join(f'{100 * (one.good - start.good).mean():+.1f}' for one in arm.outcomes)})"
                cells.append(cell)
            yield _row(way, *cells)
        yield ""


def _hypotheses(arms: Mapping[Place, Arm]) -> Iterator[str]:
    """One table a loss: hypotheses by noises; how many there are of each verdict."""
    yield "## Hypotheses, written down before: differences in points"
    verdicts: Counter[str] = Counter()
    for loss, noises, _ in _by_loss(arms):
        yield f"\n### {loss}\n"
        yield from _head("hypothesis", noises)
        for name, claim, better, worse in HYPOTHESES:
            cells: list[str] = []
            for noise in noises:
                pair = [arms.get(Place(noise, loss, way)) for way in (better, worse)]
                both = [arm for arm in pair if arm]
                if len(both) < 2:
                    cells.append("")
                    continue
                seeds = min(len(arm.outcomes) for arm in both)
                found = difference(both[0].good_of(seeds), both[1].good_of(seeds))
                verdicts[verdict(found)] += 1
                cells.append(f"{shown(found)} {verdict(found)}" + (f", {seeds} seeds" if seeds > 1 else ""))
            if any(cells):
                yield _row(f"{name}: {claim}", *cells)
    told = ", ".join(f"{verdicts[one]} {one}" for one in ("yes", "no", "not decided"))
    yield (
        f"\nOf {verdicts.total()} comparisons {told}; where nothing differs, one 95% interval in twenty leaves 0 out, "
        "and those of one seed more, as they know nothing of a seed's luck.\n"
    )


def _labels(arms: Mapping[Place, Arm]) -> Iterator[str]:
    """What the ways make of the labels in the first seed, which is the same under every loss."""
    yield "## The labels of the first seed\n"
    yield "| ε | labels | pairs | right labels | weight, mean ± sd |\n|---|---|---|---|---|"
    for place in dict.fromkeys((place.noise, place.way) for place in arms):
        arm = next(arm for found, arm in arms.items() if (found.noise, found.way) == place)
        noise, way = place
        weight = f"{arm.weight:.2f} ± {arm.spread:.2f}"
        yield _row(f"{noise:g}", way, f"{arm.pairs:,}", f"{100 * arm.right:.1f}%", weight)


def _annotators(results: Results) -> Iterator[str]:
    """How good those are that label."""
    yield "\n## The annotators\n"
    yield "| ε | annotator | right labels | τ of its margins | calibration error at that τ |\n|---|---|---|---|---|"
    for (noise, source), found in results.annotators.items():
        name = "SFT/base" if source == "ratio" else source
        numbers = f"{100 * found.right:.1f}% | {found.temperature:.2f} | {100 * found.error:.1f} points"
        yield f"| {noise:g} | {name} | {numbers} |"
    yield (
        "\nτ: at which σ(m / τ) fits the judge best (1: calibrated as it is; the confidences C1 to C4 of BT take it as "
        "1; inf: larger margins are no more often right), in its own units; error: out of fold. BT: mean of the seeds; "
        "WS: the first one."
    )


def _by_loss(arms: Mapping[Place, Arm]) -> Iterator[tuple[str, list[float], list[str]]]:
    """Each loss with its noises and ways, in the order of the plan."""
    for loss in dict.fromkeys(place.loss for place in arms):
        places = [place for place in arms if place.loss == loss]
        noises, ways = dict.fromkeys(p.noise for p in places), dict.fromkeys(p.way for p in places)
        yield loss, list(noises), list(ways)


def _head(first: str, noises: Sequence[float]) -> Iterator[str]:
    yield _row(first, *(f"ε = {noise:g}" for noise in noises))
    yield _row("---", *("---" for _ in noises))


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def main() -> None:
    """Run the cross and print the page."""
    disable_progress_bar()
    folder = Path(sys.argv[1])
    lab = Lab(folder, PROMPTS)
    for line in report(lab, experiment(lab, PLAN), made_by("weak_annotator", folder)):
        print(line)


if __name__ == "__main__":
    main()
