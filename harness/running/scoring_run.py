"""Scores all that a run asks, group by group, and hands the log-probabilities back as matrices."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...tasks.conditioning import conditioning_of_domain
from ...tasks.criteria import Criteria
from ...tasks.task import Task
from ...tasks.variants import IDENTITY, ROUTER, Role, Variant
from ..rendering.groups import Group, Member
from ..rewards import ScoreMatrix
from .plan import BlockRenderer, CheckpointPlan, RenderedBlock, plan_checkpoint, wanted_rows
from .runner import Runner
from .store import ScoreStore

Routes = Mapping[str, Sequence[str]]
"""Route → the conditioning of every item."""


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked of every checkpoint."""

    task: Task
    criteria: Criteria
    variants: tuple[Variant, ...]


@dataclass(frozen=True, slots=True)
class GroupScores:
    """What the checkpoints of a group answered."""

    group: Group
    scores: dict[str, dict[str, ScoreMatrix]]
    """Checkpoint → conditioning → log-probabilities, (items, 2)."""
    routes: dict[str, Routes]
    """Strong checkpoint → its routes."""
    counts: dict[str, dict[str, int]]
    """Checkpoint → how many items were truncated, unscored, non-finite or have no end-of-turn token."""
    unrouted: dict[str, int]
    """Router → how many items it gave no finite answer for; they keep their prompt."""


@dataclass(frozen=True, slots=True)
class Planner:
    """Plans what groups of checkpoints are asked, and collects what they answered."""

    question: Question
    blocks: BlockRenderer
    store: ScoreStore
    dtype: str
    scorer: str
    """Kind of the scorer, part of every score's key."""
    mean: bool
    """Whether log-probabilities are taken per token."""

    def score(self, groups: Sequence[Group], router: Group | None, runner: Runner) -> list[GroupScores]:
        """Score what the store lacks; `router` holds the one checkpoint that routes, None lets every strong one."""
        routing, routes, asked = self._route(groups, router, runner)
        runner.run([plan for plans in asked for plan in plans.values()])
        return [self._collect(*of_group) for of_group in zip(groups, routing, routes, asked, strict=True)]

    def score_shard(
        self, groups: Sequence[Group], router: Group | None, runner: Runner, index: int, count: int
    ) -> list[str]:
        """Score only each `count`-th checkpoint from the `index`-th on, counted from 1; returns their names.

        What a router is asked about is scored whole by every shard, since all the others' questions depend on it.
        """
        _, _, asked = self._route(groups, router, runner)
        plans = [plan for plans in asked for plan in plans.values()][index - 1 :: count]
        runner.run(plans)
        return [plan.local.name for plan in plans]

    def _route(
        self, groups: Sequence[Group], router: Group | None, runner: Runner
    ) -> tuple[list[dict[str, CheckpointPlan]], list[dict[str, Routes]], list[dict[str, CheckpointPlan]]]:
        """Score what routers are asked; for each group: that, its routes, and what its checkpoints are then asked."""
        routing = [self.routing_plans(group, router) for group in groups]
        runner.run([plan for plans in routing for plan in plans.values()])
        routes = [self.routes(group, plans) for group, plans in zip(groups, routing, strict=True)]
        asked = [self.plans(group, by_strong) for group, by_strong in zip(groups, routes, strict=True)]
        return routing, routes, asked

    def routing_plans(self, group: Group, router: Group | None) -> dict[str, CheckpointPlan]:
        """Strong checkpoint → the plan of the checkpoint that routes its items; empty where no variant is routed."""
        if not any(variant.uses_router for variant in self.question.variants):
            return {}
        strong = dict.fromkeys(s for s, _ in group.pairs)
        members = {m.local.name: m for m in group.members}
        by = {name: router.members[0] if router else members[name] for name in strong}
        return {name: self._plan(member, [self.blocks.routing(member.renderer)]) for name, member in by.items()}

    def plans(self, group: Group, routes: Mapping[str, Routes]) -> dict[str, CheckpointPlan]:
        """Checkpoint → everything it is asked for the question's variants, routing apart."""
        plans: dict[str, CheckpointPlan] = {}
        for member in group.members:
            wanted: dict[str, NDArray[np.intp]] = {}
            for strong, weak in group.pairs:
                sides: tuple[tuple[Role, str], ...] = (("strong", strong), ("weak", weak))
                roles: list[Role] = [role for role, name in sides if name == member.local.name]
                rows = wanted_rows(self.question.variants, roles, routes[strong], len(self.question.task.items))
                for conditioning, items in rows.items():
                    wanted[conditioning] = np.union1d(wanted.get(conditioning, items), items)
            blocks = [self.blocks.conditioned(member.renderer, c, rows) for c, rows in wanted.items()]
            plans[member.local.name] = self._plan(member, blocks)
        return plans

    def oracle_routes(self) -> dict[str, list[str]]:
        """The criteria's routes by section, as conditionings of every item."""
        task = self.question.task
        sections = [task.section_of(item.subset) for item in task.items]
        return {
            route: [conditioning_of_domain(domains.get(section) if section else None) for section in sections]
            for route, domains in self.question.criteria.routes.items()
        }

    def routes(self, group: Group, plans: Mapping[str, CheckpointPlan]) -> dict[str, Routes]:
        """Strong checkpoint → its routes: the criteria's by section, and the router's.

        A router that has not been scored is taken to route by the criteria's first route, so that costs can be planned.
        """
        oracle = self.oracle_routes()
        planned = {ROUTER: next(iter(oracle.values()), [IDENTITY] * len(self.question.task.items))}
        routed = {strong: {**oracle, ROUTER: self._routed(plan)} for strong, plan in plans.items()}
        return {strong: routed.get(strong, {**oracle, **planned}) for strong, _ in group.pairs}

    def _routed(self, plan: CheckpointPlan) -> list[str]:
        """The domain whose label is the likeliest answer, as a conditioning; an unscored item keeps its prompt."""
        router = self.question.criteria.router
        domains = list(router.labels.values()) if router else []
        likelihoods = self._answers(plan)
        best: list[int] = np.argmax(np.nan_to_num(likelihoods, nan=-np.inf), axis=1).tolist()
        return [
            IDENTITY if np.isnan(row).any() else conditioning_of_domain(domains[choice])
            for choice, row in zip(best, likelihoods, strict=True)
        ]

    def _answers(self, plan: CheckpointPlan) -> ScoreMatrix:
        """The router's log-probabilities of its labels, (items, labels)."""
        return plan.scores(self.store, len(self.question.task.items), mean=False)[ROUTER]

    def _collect(
        self,
        group: Group,
        routing: Mapping[str, CheckpointPlan],
        routes: dict[str, Routes],
        plans: Mapping[str, CheckpointPlan],
    ) -> GroupScores:
        items = len(self.question.task.items)
        scores = {name: plan.scores(self.store, items, self.mean) for name, plan in plans.items()}
        counts = {name: plan.counts(self.store) for name, plan in plans.items()}
        routers = {plan.local.name: plan for plan in routing.values()}
        unrouted = {name: int(np.isnan(self._answers(plan)).any(axis=1).sum()) for name, plan in routers.items()}
        return GroupScores(group, scores, routes, counts, unrouted)

    def _plan(self, member: Member, blocks: Sequence[RenderedBlock]) -> CheckpointPlan:
        return plan_checkpoint(member.local, blocks, self.dtype, self.scorer)
