"""The parts of a run directory that describe the run: run.json, the items, and a grid's pairs."""

import platform
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ...model_registry.registry import KNOWN_BENCHMARKS, Registry
from ...model_registry.schema import BenchmarkScore
from ...reports.run_format.run_info import ANNOTATOR, FITTED, RUN_FORMAT
from ...tasks.catalog import missing_subsets
from ...tasks.task import Rule, Task
from ...tasks.variants import ROUTER
from ..options import Options
from ..question import Question
from ..rendering.groups import Group, Member
from ..rewards import Routing
from ..running.scoring_run import GroupScores
from ..scoring.load_options import LoadOptions

_NAMED_SUBSETS = 10
"""Subsets whose share of a limit a note names; it counts the others."""
_LIBRARIES = ("cdr-eval", "torch", "transformers", "tokenizers", "numpy", "scipy", "pandas")


Lengths = tuple[NDArray[np.float64], NDArray[np.float64]]
"""(n,) mean characters of each item's acceptable responses, and of its others."""


@dataclass(frozen=True, slots=True)
class RunFacts:
    """What a run did, as far as its record tells it."""

    kind: Literal["pair", "grid", "annotation", "fit"]
    question: Question
    scored: Sequence[GroupScores]
    registry: Registry
    options: Options
    asked: Mapping[str, Any]
    """All that decides the numbers, as `asked_of` says it."""
    load: LoadOptions
    scorer: str
    executor: str
    """Where responses were scored."""
    responses_scored: Mapping[str, int]
    trials: Mapping[str, Mapping[str, Any]]
    """Checkpoint → figures of how its scorer was checked."""
    notes: Sequence[str]
    seconds: float
    annotators: Sequence[Mapping[str, Any]] = ()
    """Those beside the checkpoints."""
    fitted: Sequence[Mapping[str, Any]] = ()
    """Fitted rewards beside them."""
    left_out: Mapping[str, str] = field(default_factory=dict[str, str])
    """Checkpoint that could not be loaded → why."""

    @property
    def numbers(self) -> str | None:
        """What the models computed with; None where servers did, which do not say."""
        if self.options.urls or "base_url=" in self.scorer:
            return None
        own = (part.removeprefix("dtype=") for part in self.scorer.split(",") if part.startswith("dtype="))
        return next(own, self.load.numbers)


def ordered_benchmarks(facts: RunFacts) -> list[str]:
    """Every benchmark that some checkpoint has a score on: the one asked for or the family's default first."""
    names = [member.local.name for group in facts.scored for member in group.group.members]
    return facts.registry.ordered_benchmarks(names, main_benchmarks(facts), facts.options.score_source)


def main_benchmarks(facts: RunFacts) -> list[str]:
    """For each group, the benchmark whose gap comes first."""
    families = [group.group.family for group in facts.scored]
    return [facts.options.benchmark or facts.registry.default_benchmark(family) for family in families]


def used_scores(facts: RunFacts) -> dict[str, dict[str, BenchmarkScore]]:
    """Checkpoint → benchmark → the score that its gaps are formed from; a family's from one source if one can."""
    names = [[member.local.name for member in group.group.members] for group in facts.scored]
    source = facts.options.score_source
    return {name: facts.registry.used_scores(name, source, among) for among in names for name in among}


def run_record(facts: RunFacts, ties: int) -> dict[str, Any]:
    """The content of run.json."""
    counts = _counts(facts.scored)
    return {
        "format": RUN_FORMAT,
        "kind": facts.kind,
        "command": " ".join(sys.argv),
        "versions": {"python": platform.python_version(), **{name: version(name) for name in _LIBRARIES}},
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "seconds": round(facts.seconds, 3),
        "asked": dict(facts.asked),
        "seed": facts.options.seed,
        "resamples": facts.options.resamples,
        "mean_per_token": facts.options.mean,
        "task": _task(facts.question.task),
        "criteria": str(facts.question.task.criteria),
        "domains": {name: domain.instruction for name, domain in facts.question.criteria.domains.items()},
        "routes": {name: dict(route) for name, route in facts.question.criteria.routes.items()},
        "scoring": {
            "scorer": facts.scorer,
            "device": facts.load.device,
            "dtype": facts.numbers,
            "executor": facts.executor,
        },
        "family": {
            "names": [g.group.family for g in facts.scored],
            "template": [g.group.template_source for g in facts.scored],
        },
        "checkpoints": [_checkpoint(g.group, m, facts) for g in facts.scored for m in g.group.members],
        "pairs": [{"strong": s, "weak": w, "family": g.group.family} for g in facts.scored for s, w in g.group.pairs],
        "annotators": list(facts.annotators),
        "fitted": list(facts.fitted),
        "variants": [
            *(variant.name for variant in facts.question.variants),
            *([ANNOTATOR] if facts.annotators else []),
            *([FITTED] if facts.fitted else []),
        ],
        "counts": {**counts, "ties": ties},
        "responses_scored": dict(facts.responses_scored),
        "score_source": {"only": facts.options.score_source, "preference": list(facts.registry.score_preference)},
        "left_out": dict(facts.left_out),
        "trials": [{"checkpoint": name, **trial} for name, trial in facts.trials.items()],
        "notes": [
            *(f"{name} was left out: {why}" for name, why in facts.left_out.items()),
            *facts.notes,
            *_notes(facts, counts),
        ],
    }


def _task(task: Task) -> dict[str, Any]:
    return {
        "name": task.name,
        "source": task.source,
        "content_hash": task.items.content_hash,
        "items": len(task.items),
        "responses": len(task.items.chars),
        "rule": "; ".join(dict.fromkeys(rule_text(r) for r in (*(s.rule for s in task.sections), task.rule))),
        "sections": {section.name: dict(section.counts) for section in task.sections},
        "overall": task.overall,
        "levels": list(task.levels),
        "styles": list(task.styles),
        "missing_subsets": missing_subsets(task),
    }


def rule_text(rule: Rule) -> str:
    """What gives an item its credit, as a clause."""
    texts = {
        "best": "an acceptable response has the highest reward (shared among k tied at the top: 1/k)"
        if rule.tie
        else "an acceptable response has a higher reward than every one that is not (a tie is lost)",
        "pairwise": "share of the pairs of responses that the reward orders as their grades do",
        "strict": "every acceptable response has a higher reward than every other",
        "matrix": "share of the pairs of a chosen and a rejected response that are ordered rightly, by style",
        "best-of": f"grade of the response that the reward picks of {rule.k or 'all'}",
        "mrr": "1 / the rank of the best acceptable response",
        "ties": "right before wrong by more than the spread among the right ones, in groups",
    }
    half = "; a tie counts one half" if rule.name in ("pairwise", "strict", "matrix") and rule.tie == 0.5 else ""
    return texts[rule.name] + half


def items_table(question: Question, scored: Sequence[GroupScores], lengths: Lengths) -> pd.DataFrame:
    """One row an item; domain_routed is empty unless one checkpoint routed for all pairs."""
    task, items = question.task, question.task.items
    routes = [routes for group in scored for routes in group.routes.values()]
    asked = any(variant.uses_router for variant in question.variants)
    routed = {tuple(_domains(of_strong[ROUTER])) for of_strong in routes if asked}
    first = next(iter(question.criteria.routes), None)
    section = {subset: task.section_of(subset) or "" for subset in dict.fromkeys(items.subsets)}
    nothing = [""] * len(items)
    return pd.DataFrame(
        {
            "item": items.ids,
            "subset": items.subsets,
            "section": [section[subset] for subset in items.subsets],
            "problem": _problems(items.clusters),
            "domain_oracle": _domains(routes[0][first]) if first else nothing,
            "domain_routed": routed.pop() if len(routed) == 1 else nothing,
            "responses": items.counts.astype(np.int64),
            "acceptable_chars": lengths[0],
            "other_chars": lengths[1],
        }
    )


def _problems(clusters: Sequence[str]) -> list[str]:
    """The items' problems; where items are drawn together for another reason, the label of their cluster."""
    often = Counter(clusters)
    return [
        name.removeprefix("problem ") if name.startswith("problem ") else name * (often[name] > 1) for name in clusters
    ]


def pairs_table(accuracy: pd.DataFrame, facts: RunFacts) -> pd.DataFrame:
    """One row a pair and variant: gaps on every benchmark (strong − weak, points), overall accuracy in per cent."""
    overall = accuracy[(accuracy["scope"] == "overall") & (accuracy["strong"] != "") & (accuracy["weak"] != "")]
    table = overall[["strong", "weak", "variant"]].copy()
    family = {(s, w): g.group.family for g in facts.scored for s, w in g.group.pairs}
    table["family"] = [family[pair] for pair in zip(table["strong"], table["weak"], strict=True)]
    scores = used_scores(facts)
    for benchmark in dict.fromkeys([*main_benchmarks(facts), *KNOWN_BENCHMARKS, *ordered_benchmarks(facts)]):
        value = {name: found[benchmark].value for name, found in scores.items() if benchmark in found}
        strong, weak = (table[side].map(value).astype("float64") for side in ("strong", "weak"))
        table[f"gap_{benchmark}"] = strong - weak
    table["n"] = overall["n"]
    for column in ("accuracy", "chance", "ci_low", "ci_high"):
        table[column] = overall[column] * 100
    return table.reset_index(drop=True)


def _checkpoint(group: Group, member: Member, facts: RunFacts) -> dict[str, Any]:
    checkpoint = member.local.checkpoint
    fields = ("name", "label", "model", "revision", "stage", "objective", "trained_from")
    used = used_scores(facts)[checkpoint.name]
    return {
        **checkpoint.model_dump(include=set(fields)),
        "parameters": member.local.parameters,
        "family": group.family,
        "weights": member.local.weights,
        "dtype": facts.numbers,
        "scores": [score.model_dump(exclude={"note"}) for score in checkpoint.scores],
        "scores_used": {benchmark: score.value for benchmark, score in used.items()},
        "score_sources": {benchmark: score.source for benchmark, score in used.items()},
    }


def _counts(scored: Sequence[GroupScores]) -> dict[str, dict[str, int]]:
    """Kind → checkpoint → items, those that are not zero."""
    kinds = ("truncated", "unscored", "non_finite", "no_end_of_turn")
    by_name = {name: counts for group in scored for name, counts in group.counts.items()}
    return {kind: {name: c[kind] for name, c in by_name.items() if c[kind]} for kind in kinds}


def _limit_note(task: Task, seed: int) -> str:
    """What a limit took of each subset."""
    found = Counter(task.items.subsets)
    named = [f"{subset} {count}" for subset, count in list(found.items())[:_NAMED_SUBSETS]]
    more = [f"{len(found) - _NAMED_SUBSETS} more subsets"] if len(found) > _NAMED_SUBSETS else []
    shares = f", of every subset its share ({', '.join([*named, *more])})" if len(found) > 1 else ""
    only = "1 item was" if len(task.items) == 1 else f"{len(task.items):,} items were"
    return f"Only {only} scored (--limit), drawn at random by seed {seed}{shares}."


def _notes(facts: RunFacts, counts: Mapping[str, Mapping[str, int]]) -> list[str]:
    official = facts.options.protocol == "official"
    notes = _protocol(facts.question) if official else []
    notes += [*_reading_notes(facts.question.task), *(note for group in facts.scored for note in group.group.notes)]
    notes += _shared_prompts(facts.question.task.items.clusters)
    missing = missing_subsets(facts.question.task)
    if missing:
        notes.append(
            f"The task lacks the subsets {', '.join(missing)}; scores of their sections and overall rest on the others."
        )
    sentences = {
        "truncated": _CUT[facts.question.cut.cut if facts.question.cut.max_tokens else "left"],
        "unscored": (
            "item has a response that does not fit and is unscored",
            "items have a response that does not fit and are unscored",
        ),
        "non_finite": (
            "item has log-probabilities that are not finite and is unscored",
            "items have log-probabilities that are not finite and are unscored",
        ),
        "no_end_of_turn": (
            "item has no end-of-turn token after the response",
            "items have no end-of-turn token after the response",
        ),
    }
    for kind, (one, many) in sentences.items():
        notes += [f"{name}: {count:,} {one if count == 1 else many}." for name, count in counts[kind].items()]
    unrouted = {name: count for group in facts.scored for name, count in group.unrouted.items() if count}
    notes += [
        f"{name} could not route {count:,} of the items, which keep their prompt." for name, count in unrouted.items()
    ]
    if facts.scored:
        notes += _gap_notes(facts) if facts.kind in ("grid", "fit") else _pair_gap(facts)
    if facts.question.task.limited:
        notes.append(_limit_note(facts.question.task, facts.options.seed))
    return notes


_CUT = {
    "left": ("prompt was cut from its left to fit", "prompts were cut from their left to fit"),
    "right": (
        "conversation was cut on its right to fit, so that its response lacks its end",
        "conversations were cut on their right to fit, so that their responses lack their ends",
    ),
}


def _protocol(question: Question) -> list[str]:
    """What the published protocol does that ours doesn't, where it was asked for."""
    tie, cut = question.task.official.tie, question.cut
    parts = [f"a tied comparison earns {tie:g}"] if tie is not None else []
    if cut.max_tokens is not None:
        parts.append(f"conversations keep {cut.max_tokens:,} tokens, cut on their {cut.cut}")
    return [f"The benchmark's published protocol was followed: {' and '.join(parts)} (--protocol official)."]


def _reading_notes(task: Task) -> list[str]:
    """What the source was taken for, and what became of rows that are no items."""
    reading = task.reading
    taken_for = reading.taken_for.replace("`", "")  # a note is no Markdown
    notes = [f"{task.source} was taken for {taken_for}."] if taken_for else []
    for reason, count in reading.reasons.items():
        first = next(row for row in reading.left_out if row.reason == reason)
        notes.append(
            f"{count:,} of {reading.tried} were left out ({reason}), the first at line {first.line:,}; "
            "left_out.csv lists them."
        )
    if reading.duplicates:
        texts = "1 response repeats" if reading.duplicates == 1 else f"{reading.duplicates:,} responses repeat"
        notes.append(f"{texts} a text of the item, which is scored once.")
    return [*notes, *reading.remarks]


def _shared_prompts(clusters: Sequence[str]) -> list[str]:
    """How many items are drawn together because their prompts are equal."""
    often = [count for name, count in Counter(clusters).items() if name.startswith("item ") and count > 1]
    if not often:
        return []
    return [
        f"{sum(often):,} of {len(clusters):,} items share their prompt with another ({len(often):,} "
        f"prompt{'s' * (len(often) > 1)}): resampling draws the items of one prompt together."
    ]


def _gap_notes(facts: RunFacts) -> list[str]:
    """The checkpoints that the gap analyses leave out, for want of a score on the benchmark that comes first."""
    notes: list[str] = []
    used = used_scores(facts)
    for group, benchmark in zip(facts.scored, main_benchmarks(facts), strict=True):
        above = [m.local.name for m in group.group.members if m.local.checkpoint.stage != "base"]
        sources = dict.fromkeys(used[name][benchmark].source for name in above if benchmark in used[name])
        if len(sources) > 1:
            notes.append(
                f"No source has all scores on {benchmark}: they come from {', '.join(sources)}, "
                "and gaps between checkpoints of different sources mix them."
            )
        for member in group.group.members:
            if benchmark not in used[member.local.name]:
                notes.append(
                    f"{member.local.name} has no score on {benchmark}: its pairs are scored and ranked, "
                    "and left out of the analyses of that gap."
                )
    return notes


def _pair_gap(facts: RunFacts) -> list[str]:
    """The pair's alignment gap, or why it has none."""
    pairs = facts.scored[0].group.pairs
    if len(pairs) != 1:  # a fitted reward
        return []
    ((strong, weak),) = pairs
    (benchmark,) = main_benchmarks(facts)
    scores = [used_scores(facts)[name] for name in (strong, weak)]
    if any(benchmark not in of_checkpoint for of_checkpoint in scores):
        return [f"The pair has no alignment gap on {benchmark}, since the registry lacks a score of one or both."]
    high, low = (of_checkpoint[benchmark] for of_checkpoint in scores)
    points = f"{high.value - low.value:+.1f}".replace("-", "−")
    gap = f"{points} points of {benchmark} ({high.value:g} over {low.value:g})"
    if high.source != low.source:
        gap += f", from two sources: {high.source} and {low.source}"
    return [f"Alignment gap of the pair: {gap}."]


def left_out_table(task: Task) -> pd.DataFrame:
    """The source's rows that are no items."""
    names = ("file", "line", "reason", "sentence")
    rows = [[row.file, row.line, row.reason, row.sentence] for row in task.reading.left_out]
    return pd.DataFrame(rows, columns=pd.Index(names))


def _domains(routing: Routing) -> list[str]:
    codes: list[int] = routing.codes.tolist()
    return [routing.choices[code].domain for code in codes]
