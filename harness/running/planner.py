"""What a run asks of every checkpoint: which items under which conditionings, and who routes them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...tasks.conditioning import Conditioning, conditioning_of_domain
from ...tasks.variants import ROUTER, Role, Variant
from ..question import Question
from ..rendering.groups import Group, Member
from ..rewards import Routes, Routing
from .parts import Asked, PartRenderer
from .runner import CheckpointPlan


@dataclass(frozen=True, slots=True)
class Planner:
    """Says what groups of checkpoints are asked; nothing is scored here."""

    question: Question
    renderer: PartRenderer

    def routing_plans(self, group: Group, router: Group | None) -> dict[str, CheckpointPlan]:
        """Strong checkpoint → the plan of the checkpoint that routes its items; empty where no variant is routed.

        `router` holds the one checkpoint that routes for all; None lets every strong one.
        """
        if not any(variant.uses_router for variant in self.question.variants):
            return {}
        members = {m.local.name: m for m in group.members}
        by = {strong: router.members[0] if router else members[strong] for strong, _ in group.pairs}
        plans = {m.local.name: self._plan(m, {None: self._all()}) for m in by.values()}
        return {strong: plans[member.local.name] for strong, member in by.items()}

    def plans(self, group: Group, routes: Mapping[str, Routes]) -> list[CheckpointPlan]:
        """Everything that each member is asked for the question's variants, routing apart."""
        return [self._plan(member, self._wanted(member, group, routes)) for member in group.members]

    def _wanted(self, member: Member, group: Group, routes: Mapping[str, Routes]) -> dict[Asked, NDArray[np.bool_]]:
        wanted: dict[Asked, NDArray[np.bool_]] = {}
        for strong, weak in group.pairs:
            sides: tuple[tuple[Role, str], ...] = (("strong", strong), ("weak", weak))
            roles: list[Role] = [role for role, name in sides if name == member.local.name]
            for conditioning, mask in wanted_items(self.question.variants, roles, routes[strong], self._all()).items():
                wanted[conditioning] = wanted.get(conditioning, mask) | mask
        return wanted

    def _plan(self, member: Member, wanted: Mapping[Asked, NDArray[np.bool_]]) -> CheckpointPlan:
        return CheckpointPlan(member.local, member.renderer, self.renderer.parts(wanted))

    def _all(self) -> NDArray[np.bool_]:
        return np.ones(len(self.question.task.items), dtype=bool)

    def oracle_routes(self) -> dict[str, Routing]:
        """The criteria's routes by section."""
        task = self.question.task
        sections = {subset: task.section_of(subset) for subset in dict.fromkeys(task.items.subsets)}
        return {
            route: _routing([domains.get(sections[subset] or "") for subset in task.items.subsets])
            for route, domains in self.question.criteria.routes.items()
        }

    def routes(self, group: Group, answered: Mapping[str, NDArray[np.float64]]) -> dict[str, Routes]:
        """Strong checkpoint → its routes: the criteria's by section, and the router's.

        `answered` holds for each strong checkpoint the router's log-probabilities of its labels, (n, labels). One that
        is not there is taken to route by the criteria's first route, so that costs can be planned.
        """
        oracle = self.oracle_routes()
        planned = next(iter(oracle.values()), _routing([None] * len(self.question.task.items)))
        return {
            strong: {**oracle, ROUTER: self._routed(answered[strong]) if strong in answered else planned}
            for strong, _ in group.pairs
        }

    def _routed(self, likelihoods: NDArray[np.float64]) -> Routing:
        """The domain whose label is the likeliest answer; an unscored item keeps its prompt."""
        router = self.question.criteria.router
        domains = list(router.labels.values()) if router else []
        best: list[int] = np.argmax(np.nan_to_num(likelihoods, nan=-np.inf), axis=1).tolist()
        unanswered = set(np.nonzero(np.isnan(likelihoods))[0].tolist())
        return _routing([None if index in unanswered else domains[choice] for index, choice in enumerate(best)])


def _routing(domains: Sequence[str | None]) -> Routing:
    choices = {domain: code for code, domain in enumerate(dict.fromkeys([None, *domains]))}
    codes = np.array([choices[domain] for domain in domains], dtype=np.intp)
    return Routing(tuple(conditioning_of_domain(domain) for domain in choices), codes)


def wanted_items(
    variants: Sequence[Variant], roles: Sequence[Role], routes: Routes, everything: NDArray[np.bool_]
) -> dict[Conditioning, NDArray[np.bool_]]:
    """For a checkpoint that plays these roles: conditioning → the items that some variant needs under it."""
    wanted: dict[Conditioning, NDArray[np.bool_]] = {}
    for term in (term for variant in variants for term in variant.terms if term.role in roles):
        asked = term.conditioning
        masks = {asked: everything} if isinstance(asked, Conditioning) else routes[asked.name].masks()
        for conditioning, mask in masks.items():
            wanted[conditioning] = wanted.get(conditioning, mask) | mask
    return wanted
