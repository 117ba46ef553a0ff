"""A task's rules: which function of `statistics.credits` answers each, and for which items."""

from dataclasses import dataclass, replace

import numpy as np

from ..errors import UserError
from ..tasks.items import Items
from ..tasks.task import Rule, Task
from .statistics import credits as rules
from .statistics.arrays import Codes, Floats, Mask
from .statistics.credits import Responses

VALUES_AT_ONCE = 2**21
"""Rewards worked on at once."""


@dataclass(frozen=True, slots=True)
class Ruled:
    """Items that go by one rule."""

    rule: Rule
    items: Codes
    responses: Responses
    places: Codes
    """Of their responses among all."""

    def credits(self, rewards: Floats) -> Floats:
        """Credits (rows, items of this rule) of the rewards (rows, R) of all responses."""
        return credits_of(self.rule, self._own(rewards), self.responses)

    def ties(self, rewards: Floats, credits: Floats) -> tuple[Floats, Mask]:
        """Of these credits: what they were if every tie were lost, and which of them rest on a tie."""
        rule = self.rule
        if rule.name == "best":
            shared = rules.best(self._own(rewards), self.responses)
            return np.floor(shared), (shared % 1 > 0)
        if rule.name in ("best-of", "ties", "mrr"):
            return credits, np.zeros(credits.shape, dtype=bool)
        other = Rule(rule.name, rule.level, tie=0.0 if rule.tie else 1.0)
        found = credits_of(other, self._own(rewards), self.responses)
        return found if rule.tie else credits, (found != credits) & ~np.isnan(credits)

    def _own(self, rewards: Floats) -> Floats:
        return rewards if len(self.places) == rewards.shape[1] else rewards[:, self.places]


def responses_of(items: Items) -> Responses:
    """What is known of the items' responses, as plain arrays."""
    groups, roles = tuple(items.groups), tuple(items.roles)
    return Responses(items.counts, items.grades, items.styles.astype(np.intp), groups, roles, items.pairs)


def ruled(task: Task, responses: Responses) -> tuple[Ruled, ...]:
    """The items of each rule: their section's, or the task's where they are in none."""
    of_subset = {name: section.rule for section in task.sections for name in section.counts}
    by_rule: dict[Rule, list[int]] = {}
    for item, subset in enumerate(task.items.subsets):
        by_rule.setdefault(of_subset.get(subset, task.rule), []).append(item)
    return tuple(by_one_rule(rule, responses, np.array(items)) for rule, items in by_rule.items())


def by_one_rule(rule: Rule, responses: Responses, items: Codes | None = None) -> Ruled:
    """Some items, or all, that go by one rule."""
    if rule.every:
        responses = replace(responses, pairs={})
    if items is None or len(items) == len(responses.counts):
        return Ruled(rule, np.arange(len(responses.counts)), responses, np.arange(len(responses.grades)))
    own, places = responses.of_items(items)
    return Ruled(rule, items, own, places)


def credits_of(rule: Rule, rewards: Floats, responses: Responses) -> Floats:
    """Credits (rows, n) by a rule, of rewards (rows, R)."""
    if rule.name == "best":
        shared = rules.best(rewards, responses)
        return shared if rule.tie else np.floor(shared)
    if rule.name == "pairwise":
        return rules.pairwise(rewards, responses, rule.tie)
    if rule.name == "mrr":
        return rules.mrr(rewards, responses)
    if rule.name == "strict":
        return rules.strict(rewards, responses, rule.tie)
    if rule.name == "matrix":
        return rules.matrix(rewards, responses, rule.level, rule.tie)
    return rules.best_of(rewards, responses, rule.k) if rule.name == "best-of" else rules.ties(rewards, responses)


def chance_of(rule: Rule, responses: Responses) -> Floats:
    """The expected credit (n,) of a random order of each item's responses, by a rule."""
    functions = {
        "best": rules.best_chance,
        "pairwise": rules.pairwise_chance,
        "mrr": rules.mrr_chance,
        "strict": rules.strict_chance,
        "matrix": rules.pairwise_chance,
        "best-of": rules.best_of_chance,
        "ties": rules.ties_chance,
    }
    return functions[rule.name](responses)


def check_rules(task: Task) -> None:
    """Refuse a task with an item that its rule, or the rule of a level, can give no credit; raises UserError."""
    responses = responses_of(task.items)
    parts = ruled(task, responses)
    inside = np.array([bool(task.section_of(subset)) for subset in task.items.subsets]) | (not task.sections)
    parts += tuple(by_one_rule(rule, responses, np.flatnonzero(inside)) for rule in task.levels.values())
    for part in parts:
        wrong, why = _unusable(part.rule, part.responses)
        if wrong.any():
            first = task.items.ids[int(part.items[wrong][0])]
            others = f", and {wrong.sum() - 1} more such items," if wrong.sum() > 1 else ""
            raise UserError(
                f"The item {first!r} of {task.name}{others} {why}, which the rule {part.rule.name!r} needs: "
                "grade the responses so, or leave such items out."
            )


def _unusable(rule: Rule, responses: Responses) -> tuple[Mask, str]:
    """Which items a rule can give no credit, and what they lack."""
    if rule.name == "best-of":
        return rules.out_of_range(responses), "has no grade for its responses, or one outside the range from 0 to 1"
    equal = rules.without_comparison(responses, rule.level)
    if rule.name == "ties" and not equal.any():
        return rules.without_partner(responses), "is not one of the two, with the roles ref and tied, of its group"
    level = f" at the level {rule.level}" if rule.level else ""
    return equal, f"has no two responses with unequal grades to compare{level}"
