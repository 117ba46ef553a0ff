"""The loop on the minilab: a policy's responses with the judge's grades, tuning on labels, and what came of it."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from cdr_eval.harness.comparisons import Comparison
from cdr_eval.harness.evaluate import reward_rows
from cdr_eval.harness.generation.settings import Sampling
from cdr_eval.harness.minilab.benchmark import benchmark_prompts
from cdr_eval.harness.minilab.generation import MAX_NEW_TOKENS
from cdr_eval.harness.options import Options
from cdr_eval.harness.question import ask
from cdr_eval.harness.running.scoring_run import score
from cdr_eval.harness.sample import sample_responses
from cdr_eval.harness.session import open_session
from cdr_eval.harness.statistics.arrays import Estimate, Floats
from cdr_eval.harness.statistics.intervals import percentile_interval
from cdr_eval.harness.tune import tune
from cdr_eval.harness.tuning.settings import RECIPES, Training
from cdr_eval.model_registry.registry import load_registry
from cdr_eval.tasks.item import Item, Turn
from cdr_eval.tasks.items import Items
from cdr_eval.tasks.minilab.prompts import Prompt
from cdr_eval.tasks.minilab.world import CRITERIA, is_good, training_prompts
from cdr_eval.tasks.task import Task

POLICY: Final = "minilab-sft"
JUDGED: Final = 8
"""Samples a held-out prompt."""
RESAMPLES: Final = 10_000
_SAMPLING: Final = Sampling(batch=2048, max_new_tokens=MAX_NEW_TOKENS)
CPU: Final = Options(device="cpu")
Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the judge says of a model's answers to the held-out prompts."""

    good: Floats
    """(prompts,) share of good answers among JUDGED samples."""
    greedy: float
    """Share of prompts whose likeliest answer is good."""
    words: float
    """Mean words of a sample."""
    distinct: float
    """Mean number of different texts among the samples of a prompt: what sharpening takes away."""


@dataclass(slots=True)
class Lab:
    """Where an experiment keeps its files, and how large it is."""

    scratch: Path
    prompts: int
    per_section: int = 120
    """Held-out prompts of each of the four sections."""
    _number: int = field(default=0, init=False)

    def folder(self) -> Path:
        """A new folder."""
        self._number += 1
        folder = self.scratch / str(self._number)
        folder.mkdir(parents=True)
        return folder

    def outcome(self, model: str) -> Outcome:
        """Sample and judge; the same random numbers for every model."""
        prompts = benchmark_prompts(self.per_section)
        texts = sampled(prompts, model, self.folder(), n=JUDGED)
        greedy = sampled(prompts, model, self.folder(), n=1, temperature=0)
        return Outcome(
            _judged(prompts, texts).mean(axis=1),
            float(_judged(prompts, greedy).mean()),
            float(np.mean([len(text.split()) for row in texts for text in row])),
            float(np.mean([len(set(row)) for row in texts])),
        )

    def items(self, samples: int) -> Items:
        """The policy's distinct, not empty responses to training prompts, graded 1 or 0.

        Prompts with one text alone are left out.
        """
        prompts = training_prompts(self.prompts)
        drawn = sampled(prompts, POLICY, self.folder(), n=samples, seed=1)
        rows = [tuple(dict.fromkeys(filter(str.strip, texts))) for texts in drawn]
        return Items(
            Item(
                id=f"train-{number}",
                subset=prompt.subset,
                prompt=(Turn(role="user", content=prompt.text),),
                responses=texts,
                grades=tuple(float(is_good(prompt, text)) for text in texts),
            )
            for number, (prompt, texts) in enumerate(zip(prompts, rows, strict=True))
            if len(texts) > 1
        )

    def tuned(self, rows: Sequence[Row], seed: int, weights: str | None = None, **changed: Any) -> str:
        """The folder of a model that the policy became on the pairs."""
        folder = self.folder()
        data = write_rows(folder / "pairs.jsonl", rows)
        training = replace(Training(**RECIPES["minilab"]), seed=seed, **changed)
        tune(str(data), model=POLICY, out=folder / "tuned", training=training, weights=weights, options=CPU)
        return str(folder / "tuned" / "model")

    def rewards(
        self, items: Items, pairs: Sequence[tuple[str, str]], variants: Sequence[str]
    ) -> Mapping[tuple[str, str, str], Floats]:
        """(strong, weak, variant) → rewards (R,) of the items' responses."""
        registry = load_registry()
        names = dict.fromkeys(name for pair in pairs for name in pair)
        checkpoints = tuple(registry.find(name) for name in names)
        comparison = Comparison(checkpoints, tuple(pairs), registry.common_family(checkpoints))
        task = Task(name="responses", source=POLICY, items=items, sections=(), criteria=CRITERIA)
        options = Options(device="cpu", store=self.scratch / "store")
        question = ask(task, variants, [comparison], registry, options)
        session = open_session(question, [comparison], registry, options)
        scored = score(session.groups, session.router, session.planner, session.runner)
        labels, rows = reward_rows(scored, question)
        return dict(zip(labels, rows, strict=True))


def write_rows(path: Path, rows: Sequence[Row]) -> Path:
    """The rows as JSON lines; returns the path."""
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def difference(a: Floats, b: Floats, seed: int = 0) -> Estimate:
    """Mean of a − b over prompts, per cent, with its 95% percentile interval over RESAMPLES draws of prompts."""
    gains = 100 * (a - b)
    drawn = np.random.default_rng(seed).integers(len(gains), size=(RESAMPLES, len(gains)))
    low, high = percentile_interval(gains[drawn].mean(axis=1))
    return Estimate(float(gains.mean()), float(low), float(high))


def verdict(found: Estimate) -> str:
    """Whether a difference is above 0."""
    return "yes" if found.low > 0 else "no" if found.high < 0 else "not decided"


def shown(found: Estimate) -> str:
    """A difference in points."""
    return f"{found.value:+.1f} [{found.low:+.1f}, {found.high:+.1f}]"


def sampled(prompts: Sequence[Prompt], model: str, folder: Path, **settings: Any) -> list[list[str]]:
    """The responses of a model to each prompt; `settings` are those of `Sampling`."""
    source = write_rows(folder / "prompts.jsonl", [{"prompt": prompt.text} for prompt in prompts])
    out = folder / "responses.jsonl"
    sample_responses(str(source), model=model, out=out, sampling=replace(_SAMPLING, **settings), options=CPU)
    return [[response["text"] for response in json.loads(line)["responses"]] for line in out.read_text().splitlines()]


def _judged(prompts: Sequence[Prompt], texts: Sequence[Sequence[str]]) -> Floats:
    good = [[is_good(prompt, text) for text in row] for prompt, row in zip(prompts, texts, strict=True)]
    return np.array(good, dtype=np.float64)
