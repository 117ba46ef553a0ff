"""Labels for pairs of a policy's responses: a noisy human's, those of annotators that learn from it, and a ratio's.

The "human" is the world's judge with a coin at ties, then flipped with probability ε. Annotators learn from the
human's labels on the prompts of SHARE by hash and label the others.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Literal

import numpy as np
from cdr_eval.harness.annotation.temperature import auto_temperature
from cdr_eval.harness.annotator import CWPO, train_annotator
from cdr_eval.harness.statistics.arrays import Floats, Mask
from cdr_eval.harness.statistics.confidence import calibration, folds_of
from cdr_eval.harness.tune import tune
from cdr_eval.harness.tuning.annotator import load_annotator
from cdr_eval.harness.tuning.overlap import is_training_prompt
from cdr_eval.harness.tuning.settings import RECIPES, Training
from cdr_eval.tasks.item import Item, prompt_hash
from cdr_eval.tasks.items import Items

from benchmarks.tuning_loop import CPU, POLICY, Lab, Row, write_rows

SHARE: Final = 0.3
BASE: Final = "minilab-base"
HEAD: Final = replace(CWPO, learning_rate=1e-3)
"""The paper's settings but for the learning rate, which for a model of 0.3 million parameters was chosen among 5e-4,
1e-3, 2e-3 and 4e-3 by accuracy at ε = 0, seed 0, on training prompts, before anything was tuned."""
WEAK: Final = replace(Training(**RECIPES["minilab"]), learning_rate=1e-3, epochs=5.0)
"""Of WS-DPO's annotator: DPO on minilab-base; the rate was chosen among 5e-5, 2e-4 and 1e-3 in the same way."""
Source = Literal["human", "human on all", "human on 30%", "WS", "BT", "ratio"]


@dataclass(frozen=True, slots=True)
class Labels:
    """How pairs are labelled."""

    items: Items
    first: Floats
    """1 where the first response is chosen, else 0."""
    margin: Floats
    """The margin's size."""
    right: Floats
    """1 or 0, NaN where the judge sees no difference."""


@dataclass(frozen=True, slots=True)
class Judged:
    """How good an annotator's labels and margins are, mean of the seeds."""

    right: float
    temperature: float
    """τ at which σ(m / τ) fits the judge best; 1 says that the margins are calibrated as they are."""
    error: float
    """Expected calibration error of σ(m / τ), τ out of fold."""


def pairs_of(items: Items) -> Items:
    """Two of the responses of each item."""
    return Items(replace(item, responses=item.responses[:2], grades=item.grades[:2]) for item in items)


def human_labels(items: Items, noise: float, seed: int) -> Floats:
    """1 where the human takes the first response, else 0."""
    rng = np.random.default_rng(seed)
    first, second = items.grades.reshape(-1, 2).T
    coin, flip = rng.random((2, len(items)))
    better = np.where(first == second, coin < 0.5, first > second)
    return np.where(flip < noise, ~better, better).astype(np.float64)


def rows_of(items: Sequence[Item], first: Floats, weights: Floats | None = None) -> list[Row]:
    """Pairs of chosen and rejected, with their weights."""
    rows: list[Row] = []
    for number, (item, one) in enumerate(zip(items, first, strict=True)):
        chosen, rejected = item.responses if one else item.responses[::-1]
        weight = 1.0 if weights is None else float(weights[number])
        rows.append({"prompt": list(item.prompt), "chosen": chosen, "rejected": rejected, "weight": weight})
    return rows


def labels_of(items: Items, first: Floats, margin: Floats) -> Labels:
    """The labels, held against the judge's."""
    grades = items.grades.reshape(-1, 2)
    gap = grades[:, 0] - grades[:, 1]
    return Labels(items, first, margin, np.where(gap == 0, np.nan, (gap > 0) == (first == 1)))


def by_reward(items: Items, rewards: Floats) -> Labels:
    """The labels of rewards (2 · pairs,)."""
    margin = rewards.reshape(-1, 2) @ np.array([1.0, -1.0])
    return labels_of(items, (margin > 0).astype(np.float64), np.abs(margin))


class Annotators:
    """All labels at one noise and seed, each made when it is asked for."""

    def __init__(self, lab: Lab, items: Items, noise: float, seed: int) -> None:
        self._lab, self._seed, self._name = lab, seed, f"noise {noise:g}, seed {seed}"
        seen = np.array([is_training_prompt(prompt_hash(item.prompt), SHARE) for item in items])
        human = human_labels(items, noise, seed)
        parts: Mapping[Source, Mask] = {"human on all": np.ones_like(seen), "human on 30%": seen, "human": ~seen}
        self._made = {source: _human(items, human, wanted) for source, wanted in parts.items()}
        learned, others = self._made["human on 30%"], self._made["human"].items
        data = write_rows(lab.folder(self._name) / "labelled.jsonl", rows_of(learned.items, learned.first))
        self._makers: Mapping[Source, Callable[[], Floats]] = {
            "BT": lambda: self._head(data, others),
            "WS": lambda: self._tuned(data, others),
            "ratio": lambda: self._ratio(others),
        }

    def labels(self, source: Source) -> Labels:
        """The labels of a source."""
        if source not in self._made:
            self._made[source] = by_reward(self._made["human"].items, self._makers[source]())
        return self._made[source]

    def judged(self) -> dict[Source, Judged]:
        """How good the labels that annotators gave are."""
        return {source: judged(self._made[source]) for source in self._makers if source in self._made}

    def _head(self, data: Path, others: Items) -> Floats:
        """A reward head on the human's labels."""
        out, training = self._lab.folder(self._name) / "head", replace(HEAD, seed=self._seed)
        train_annotator(str(data), model=BASE, out=out, share=SHARE, training=training, options=CPU)
        return load_annotator(out).rewards(others)

    def _tuned(self, data: Path, others: Items) -> Floats:
        """WS-DPO: log π_tuned − log π_base of a weak model that was itself tuned on the human's labels."""
        out = self._lab.folder(self._name) / "weak"
        tune(str(data), model=BASE, out=out, training=replace(WEAK, seed=self._seed), options=CPU)
        pair = f"weak-tuned={out / 'model'}", BASE
        return self._lab.rewards(others, [pair], ["vanilla"])["weak-tuned", BASE, "vanilla"]

    def _ratio(self, others: Items) -> Floats:
        """log π_SFT − log π_base over τ: it needs no human."""
        found = self._lab.rewards(others, [(POLICY, BASE)], ["vanilla"])[POLICY, BASE, "vanilla"]
        return found / auto_temperature(np.abs(found.reshape(-1, 2) @ np.array([1.0, -1.0]))).value


def judged(labels: Labels) -> Judged:
    """How good labels and margins are, against the judge."""
    known = ~np.isnan(labels.right)
    margin = np.where(labels.right == 1, labels.margin, -labels.margin)[known]
    cluster = np.arange(len(margin))
    found = calibration(margin, cluster, folds_of(cluster, np.random.default_rng(0)))
    return Judged(float(labels.right[known].mean()), found.temperature.value, found.error.value)


def mean_of(seeds: Sequence[Judged]) -> Judged:
    """The mean of several seeds."""
    right, temperature, error = np.mean([[one.right, one.temperature, one.error] for one in seeds], axis=0)
    return Judged(right, temperature, error)


def _human(items: Items, human: Floats, wanted: Mask) -> Labels:
    kept = Items(item for item, one in zip(items, wanted, strict=True) if one)
    return labels_of(kept, human[wanted], np.ones(len(kept)))
