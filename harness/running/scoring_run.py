"""Scores all that a run asks, group by group, and hands the log-probabilities back."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...tasks.conditioning import Conditioning
from ..rendering.groups import Group
from ..rewards import Routes, Scores
from .answers import Answers
from .planner import Planner
from .runner import CheckpointPlan, Runner


@dataclass(frozen=True, slots=True)
class GroupScores:
    """What the checkpoints of a group answered."""

    group: Group
    scores: Mapping[str, Mapping[Conditioning, Scores]]
    """Checkpoint → conditioning → log-probabilities, (R,)."""
    routes: Mapping[str, Routes]
    """Strong checkpoint → its routes."""
    counts: Mapping[str, Mapping[str, int]]
    """Checkpoint → how many items were truncated, unscored, non-finite or have no end-of-turn token."""
    tokens: Mapping[str, NDArray[np.int32]]
    """Checkpoint → tokens of each response, (R,); without those that were asked as a judge alone."""
    unrouted: Mapping[str, int]
    """Router → how many items it gave no finite answer for; they keep their prompt."""


@dataclass(frozen=True, slots=True)
class _Routed:
    """What routers answered for one group."""

    answers: Mapping[str, Answers]
    """By the router's name."""
    routes: Mapping[str, Routes]
    """By the strong checkpoint's name."""


def score(groups: Sequence[Group], router: Group | None, planner: Planner, runner: Runner) -> list[GroupScores]:
    """Answers of every group; the store's where it has them. `router`: see `Planner.routing_plans`."""
    routed = [_route(group, router, planner, runner) for group in groups]
    plans = [planner.plans(group, r.routes) for group, r in zip(groups, routed, strict=True)]
    answers = iter(runner.run([plan for of_group in plans for plan in of_group]))
    result: list[GroupScores] = []
    for group, r, of_group in zip(groups, routed, plans, strict=True):
        by_name = {plan.local.name: next(answers) for plan in of_group}
        unrouted = {n: int(np.isnan(a.routing).any(axis=1).sum()) for n, a in r.answers.items()}
        scores = {name: a.scores for name, a in by_name.items()}
        counts = {name: a.counts for name, a in by_name.items()}
        tokens = {name: a.tokens for name, a in by_name.items() if a.tokens.any()}
        result.append(GroupScores(group, scores, r.routes, counts, tokens, unrouted))
    return result


def score_shard(
    groups: Sequence[Group], router: Group | None, planner: Planner, runner: Runner, index: int, count: int
) -> list[str]:
    """Score only the `index`-th of `count` runs of parts, counted from 1, into the store; returns its checkpoints.

    What a router is asked about is scored whole by every shard, since all the others' questions depend on it.
    """
    plans = checkpoint_plans(groups, router, planner, runner)
    total = sum(len(plan.parts) for plan in plans)
    first, end = (total * i // count for i in (index - 1, index))
    mine: list[CheckpointPlan] = []
    start = 0
    for plan in plans:
        parts = plan.parts[max(0, first - start) : max(0, end - start)]
        if parts:
            mine.append(CheckpointPlan(plan.local, plan.renderer, parts))
        start += len(plan.parts)
    runner.run(mine)
    return [plan.local.name for plan in mine]


def routing_plans(groups: Sequence[Group], router: Group | None, planner: Planner) -> list[CheckpointPlan]:
    """What the routers of all groups are asked, each once in its group."""
    by_group = [{p.local.name: p for p in planner.routing_plans(group, router).values()} for group in groups]
    return [plan for plans in by_group for plan in plans.values()]


def checkpoint_plans(
    groups: Sequence[Group], router: Group | None, planner: Planner, runner: Runner
) -> list[CheckpointPlan]:
    """What every checkpoint of all groups is asked, routing apart, which is scored first."""
    routed = [_route(group, router, planner, runner) for group in groups]
    return [plan for group, r in zip(groups, routed, strict=True) for plan in planner.plans(group, r.routes)]


def _route(group: Group, router: Group | None, planner: Planner, runner: Runner) -> _Routed:
    """Score what the routers of a group are asked, each once."""
    by_strong = planner.routing_plans(group, router)
    plans = {plan.local.name: plan for plan in by_strong.values()}
    answers = dict(zip(plans, runner.run(list(plans.values())) if plans else [], strict=True))
    answered = {strong: answers[plan.local.name].routing for strong, plan in by_strong.items()}
    return _Routed(answers, planner.routes(group, answered))
