"""The loop on the minilab: a policy's responses with the judge's grades, tuning on labels, and what came of it."""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from cdr_eval.harness.comparisons import Comparison
from cdr_eval.harness.generation.settings import Sampling
from cdr_eval.harness.minilab.benchmark import benchmark_prompts
from cdr_eval.harness.minilab.generation import MAX_NEW_TOKENS
from cdr_eval.harness.options import Options
from cdr_eval.harness.question import ask
from cdr_eval.harness.rewards import reward_rows
from cdr_eval.harness.running.scoring_run import score
from cdr_eval.harness.sample import sample_responses
from cdr_eval.harness.session import open_session
from cdr_eval.harness.statistics.arrays import Estimate, Floats
from cdr_eval.harness.statistics.intervals import percentile_interval
from cdr_eval.harness.tune import tune
from cdr_eval.harness.tuning.settings import RECIPES, Training
from cdr_eval.model_registry.checkpoint_files import find_checkpoint
from cdr_eval.model_registry.registry import load_registry
from cdr_eval.tasks.item import Item, Turn
from cdr_eval.tasks.items import Items
from cdr_eval.tasks.minilab.prompts import Prompt
from cdr_eval.tasks.minilab.words import Split
from cdr_eval.tasks.minilab.world import CRITERIA, SECTIONS, is_good, training_prompts
from cdr_eval.tasks.task import Section, Task

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


@dataclass(frozen=True, slots=True)
class Lab:
    """Where an experiment keeps its files, and how large it is.

    What is kept in `scratch` is not done again: an experiment that was stopped goes on.
    """

    scratch: Path
    prompts: int
    per_section: int = 120
    """Held-out prompts of each of the four sections."""
    split: Split = "benchmark"
    """Of the prompts that are judged; no two splits share an entity or a number combination."""

    def folder(self, name: str) -> Path:
        """A folder of this name."""
        folder = self.scratch / name
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def judged(self) -> list[Prompt]:
        """The prompts whose answers the judge counts."""
        return benchmark_prompts(self.per_section, split=self.split)

    def outcome(self, model: str, name: str, temperature: float = 1.0) -> Outcome:
        """Sample and judge; the same random numbers for every model."""
        prompts, folder = self.judged(), self.folder(name)
        texts = sampled(prompts, model, folder / "samples.jsonl", n=JUDGED, temperature=temperature)
        greedy = sampled(prompts, model, folder / "greedy.jsonl", n=1, temperature=0)
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
        drawn = sampled(prompts, POLICY, self.folder("items") / f"{samples}.jsonl", n=samples, seed=1)
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

    def tuned(self, rows: Sequence[Row], name: str, seed: int, weights: str | None = None, **changed: Any) -> Outcome:
        """What comes of the policy tuned on the pairs; `changed` are settings of the recipe "minilab"."""
        folder = self.folder(name)
        data = write_rows(folder / "pairs.jsonl", rows)
        training = replace(Training(**RECIPES["minilab"]), seed=seed, **changed)
        tune(str(data), model=POLICY, out=folder / "tuned", training=training, weights=weights, options=CPU)
        return self.outcome(str(folder / "tuned" / "model"), name)

    def rewards(
        self, items: Items, pairs: Sequence[tuple[str, str]], variants: Sequence[str], *, mean: bool = False
    ) -> Mapping[tuple[str, str, str], Floats]:
        """(strong, weak, variant) → rewards (R,) of the items' responses, per token where `mean`.

        A checkpoint is a name of the registry or NAME=FOLDER, and goes by NAME in what is returned.
        """
        registry = load_registry()
        found = {name: find_checkpoint(name, registry) for pair in pairs for name in pair}
        checkpoints = tuple(dict.fromkeys(found.values()))
        named = tuple((found[strong].name, found[weak].name) for strong, weak in pairs)
        comparison = Comparison(checkpoints, named, registry.common_family(checkpoints))
        sections = tuple(Section(name, {subset.name: n for subset, n in s.items()}) for name, s in SECTIONS.items())
        unlabelled = Items(replace(item, grades=()) for item in items)
        task = Task(name="responses", source=POLICY, items=unlabelled, sections=sections, criteria=CRITERIA)
        options = replace(CPU, store=self.scratch / "store", mean=mean)
        question = ask(task, variants, [comparison], registry, options, labelled=False)
        session = open_session(question, [comparison], registry, options)
        scored = score(session.groups, session.router, session.planner, session.runner)
        labels, rows = reward_rows(scored, question)
        return dict(zip(labels, rows, strict=True))


def write_rows(path: Path, rows: Sequence[Row]) -> Path:
    """The rows as JSON lines; returns the path."""
    temporary = path.with_name(f".{os.getpid()}.{path.name}")
    temporary.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return temporary.replace(path)  # whole at once, where several processes share the work of an experiment


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


def spent(folder: Path) -> float:
    """Seconds that the tuning and sampling kept in a folder took."""
    records = [path for kind in ("*run.json", "annotator.json") for path in folder.rglob(kind)]
    return sum(json.loads(path.read_text(encoding="utf-8"))["seconds"] for path in records)


def made_by(name: str, folder: Path) -> str:
    """The command of an experiment's page, and the time that what it keeps took, over all the times it was called."""
    threads = os.environ.get("OMP_NUM_THREADS", "all")
    command = f"python -m benchmarks.{name} FOLDER > benchmarks/results/{name}.md"
    return f"`{command}`: {spent(folder) / 60:.1f} minutes of tuning and sampling on {threads} thread(s)."


def sampled(prompts: Sequence[Prompt], model: str, out: Path, **settings: Any) -> list[list[str]]:
    """The responses of a model to each prompt, kept in `out`; `settings` are those of `Sampling`."""
    source = write_rows(out.with_name("prompts.jsonl"), [{"prompt": prompt.text} for prompt in prompts])
    sample_responses(str(source), model=model, out=out, sampling=replace(_SAMPLING, **settings), options=CPU)
    return [[response["text"] for response in json.loads(line)["responses"]] for line in out.read_text().splitlines()]


def _judged(prompts: Sequence[Prompt], texts: Sequence[Sequence[str]]) -> Floats:
    good = [[is_good(prompt, text) for text in row] for prompt, row in zip(prompts, texts, strict=True)]
    return np.array(good, dtype=np.float64)
