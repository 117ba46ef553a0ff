"""From chosen pairs to what is written: run.json, the tables, the data set and its card."""

import json
import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ...model_registry.registry import Registry
from ...reports.run_format.frames import Stream
from ...reports.run_format.results import RunResult
from ...tasks.criteria import DEFAULT_CRITERIA, load_criteria
from ..options import Options
from ..question import Question
from ..scoring.load_options import LoadOptions
from ..statistics.arrays import Estimate, Mask
from ..statistics.credits import credit
from ..tables.best_of_n import best_of_table
from ..tables.item_tables import ItemData, analyse_pair
from ..tables.run_record import RunFacts, left_out_table, run_record
from ..tables.sample import Sample
from .candidates import CUT, Candidates
from .card import card_text
from .choosing import Pairs
from .dataset import PreferenceData, test_prompts
from .rewarding import Rewarded, reward_text, text_renderer
from .settings import Annotating, settings_record
from .statistics import Annotated, statistic_rows
from .tables import dropped_table, prompts_table, responses_table
from .temperature import Temperature, confidence, weight_of

STATISTIC_COLUMNS = ["topic", "statistic", "name", "n", "value", "ci_low", "ci_high"]


@dataclass(frozen=True, eq=False)
class Made:
    """A finished annotation, before it is written."""

    candidates: Candidates
    rewarded: Rewarded
    pairs: Pairs
    temperature: Temperature
    settings: Annotating
    options: Options
    registry: Registry
    asked: Mapping[str, Any]
    """As run.json has it."""

    @cached_property
    def usable(self) -> Mask:
        """(R,) the responses that were chosen from."""
        whole = ~self.candidates.cut | self.settings.choice.keep_truncated
        return self.candidates.distinct & whole & ~np.isnan(self.rewarded.rewards)

    @cached_property
    def data(self) -> PreferenceData:
        """The rows that trainers read."""
        settings, margin, tau = self.settings, self.pairs.margin, self.temperature.value
        ids = self.candidates.prompt_ids
        return PreferenceData(
            self.candidates.items,
            ids,
            self.rewarded.domains,
            self.rewarded.rewards,
            self.usable,
            self.pairs,
            confidence(margin, tau),
            weight_of(settings.weight, settings.clip)(margin, tau),
            settings.format,
            test_prompts(ids, settings.test),
            text_renderer(self.rewarded.session) if settings.format == "text" and self.rewarded.session else None,
        )

    def result(self, seconds: float) -> RunResult:
        """run.json and all tables."""
        run = {**run_record(self._facts(seconds), self.pairs.ties), "annotation": self.annotation}
        return RunResult(run, self._tables)

    def card(self) -> str:
        """README.md."""
        session = self.rewarded.session
        return card_text(self.annotation, self.settings.format, session, self._statistics)

    @cached_property
    def annotation(self) -> dict[str, Any]:
        """How the data were made, as run.json holds it."""
        settings, tau = self.settings, self.temperature
        return {
            "reward": reward_text(self.rewarded.label),
            "labels": self._label_source,
            "length_unit": self.rewarded.unit,
            **settings_record(settings),
            "temperature": {
                "value": tau.value,
                "source": tau.source,
                "calibrated": tau.calibrated,
                "pairs": tau.pairs,
                "error": None if tau.error is None else _known(tau.error),
            },
            "splits": self.data.splits,
            "counts": self._counts,
            "dropped": dict(Counter(self._dropped["reason"]).most_common()),
            "sampling": _sampling_record(Path(self.candidates.task.source)),
        }

    @property
    def _label_source(self) -> str:
        if not self._sample.responses.graded.any():
            return ""
        return self.candidates.labels

    @property
    def _counts(self) -> dict[str, int]:
        c, kept = self.candidates, len(set(self.pairs.item.tolist()))
        return {
            "prompts": len(c.items) + len(c.dropped),
            "prompts_kept": kept,
            "pairs": len(self.pairs.margin),
            "responses": c.rows,
            "empty": c.empty,
            "duplicates": int((~c.distinct).sum()),
            "truncated": sum(reason == CUT for item in c.items for reason in item.finish),
            "unscored": int(np.isnan(self.rewarded.rewards).sum()),
            "ties": self.pairs.ties,
            "outside_length_band": self.pairs.band_dropped,
        }

    @cached_property
    def _sample(self) -> Sample:
        return Sample.of(self.candidates.task, self.options.resamples, self.options.seed)

    @cached_property
    def _dropped(self) -> pd.DataFrame:
        return dropped_table(self.candidates, self.pairs)

    @cached_property
    def _annotated(self) -> Annotated:
        items, sample = self.candidates.items, self._sample
        return Annotated(
            self.pairs,
            self.data.confidence,
            self.rewarded.rewards,
            self.rewarded.lengths,
            self.candidates.numbers,
            self.candidates.first,
            self.usable,
            sample.responses,
            items.subsets,
            self.rewarded.domains,
            sample.clusters,
            {variant: rewards for (_, _, variant), rewards in self.rewarded.others.items()},
            sample.bootstrap,
        )

    @cached_property
    def _statistics(self) -> pd.DataFrame:
        return pd.DataFrame(statistic_rows(self._annotated), columns=pd.Index(STATISTIC_COLUMNS))

    @property
    def _tables(self) -> dict[str, pd.DataFrame | Stream]:
        tables: dict[str, pd.DataFrame | Stream] = {
            "prompts": prompts_table(self.candidates, self.rewarded),
            "responses": responses_table(self.candidates, self.rewarded, self.pairs),
            "dropped": self._dropped,
            "statistics": self._statistics,
        }
        if self.candidates.task.reading.left_out:
            tables["left_out"] = left_out_table(self.candidates.task)
        if self._label_source:
            tables |= self._judged_pairs()
            sample, label = self._sample, self.rewarded.label
            labels = [label, *self.rewarded.others]
            rewards = np.stack([self.rewarded.rewards, *self.rewarded.others.values()])
            picked = best_of_table(labels, rewards, sample.responses, sample.chars, sample.bootstrap)
            tables |= {"best_of": picked} if len(picked) else {}
        return tables

    def _judged_pairs(self) -> dict[str, pd.DataFrame]:
        """Selection, calibration, confidence and length over the pairs of which the labels prefer one response."""
        margin, pairs = self._annotated.signed_margin, self.pairs
        known = ~np.isnan(margin)
        if not known.any():
            return {}
        longer = self.rewarded.lengths[pairs.chosen] - self.rewarded.lengths[pairs.rejected]
        difference = np.sign(margin[known]) * longer[known]
        clusters = self._sample.clusters[pairs.item[known]]
        right = credit(margin[known])[None]
        judged = ItemData({0: self.rewarded.label}, margin[known][None], right, clusters, difference)
        return analyse_pair(judged, seed=self.options.seed)

    def _facts(self, seconds: float) -> RunFacts:
        session, task = self.rewarded.session, self.candidates.task
        if session is None:
            question = Question(task, load_criteria(DEFAULT_CRITERIA), ())
            load, scorer = LoadOptions("none", "none", False, False), "none"
        else:
            question, load, scorer = session.question, session.load, session.runner.settings.kind
        reports = {} if session is None else session.runner.reports
        return RunFacts(
            kind="annotation",
            question=question,
            scored=self.rewarded.scored,
            registry=self.registry,
            options=self.options,
            asked=self.asked,
            load=load,
            scorer=scorer,
            executor="none" if session is None else session.runner.executor.place,
            responses_scored={} if session is None else session.runner.scored,
            trials={name: report.trial for name, report in reports.items() if report.trial},
            notes=[*([] if session is None else session.notes()), *self.rewarded.notes, *self._notes()],
            seconds=seconds,
            annotators=[self.rewarded.annotator] if self.rewarded.annotator else [],
            fitted=[self.rewarded.fitted] if self.rewarded.fitted else [],
        )

    def _notes(self) -> list[str]:
        """What a reader of the data must know."""
        counts, kept = self._counts, self.settings.choice.keep_truncated
        whole = counts["prompts"]
        dropped = self.annotation["dropped"].items()
        notes = [f"No pair came from {n:,} of {whole:,} prompts ({reason})." for reason, n in dropped]
        sentences = {
            "duplicates": ("response repeats", "responses repeat", "another text of the prompt, merged with it"),
            "truncated": (
                "response was",
                "responses were",
                f"cut at the length limit{'' if kept else ' and left out'}",
            ),
            "empty": ("response was", "responses were", "left out as empty"),
            "unscored": ("response has", "responses have", "no reward, as the text does not fit"),
            "ties": ("prompt has", "prompts have", "several best responses, one of which was drawn"),
            "outside_length_band": ("prompt has", "prompts have", "no response within the length band, so without it"),
        }
        for name, (one, many, sentence) in sentences.items():
            if counts[name]:
                notes.append(f"{counts[name]:,} {one if counts[name] == 1 else many} {sentence}.")
        if not self.temperature.calibrated:
            notes.append(f"The temperature is {self.temperature.source}: confidences order pairs, and are no chances.")
        missing = len(self.data.test - {self.candidates.prompt_ids[item] for item in self.pairs.item.tolist()})
        if missing:
            notes.append(f"Of {len(self.data.test):,} prompts drawn for the test split {missing:,} gave no pair.")
        return notes


def _known(found: Estimate) -> list[float | None]:
    """Value and ends of the interval, where it has one."""
    return [None if math.isnan(number) else number for number in (found.value, found.low, found.high)]


def _sampling_record(source: Path) -> dict[str, Any]:
    """What `cdr-eval sample` wrote beside the responses."""
    path = source.with_suffix(".run.json")
    try:
        known: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return {key: known[key] for key in ("model", "settings", "finish_reasons", "versions") if key in known}
