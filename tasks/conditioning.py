"""Conditionings: what turns an item's prompt x and a response y into the conversation that is scored.

identity       y after x
empty          y after one user turn with empty content (∅), so that every template can render it
criteria       y after T_d(x): the last user turn wrapped in the layout of domain d with one demonstration
judge-first    "A" after a question that shows y as A and another response as B
judge-second   "B" after a question that shows y as B and another response as A
"""

from dataclasses import dataclass
from string import Template
from typing import Final, Literal

from .criteria import Criteria, demonstration
from .item import Item, Turn


@dataclass(frozen=True, slots=True, order=True)
class Conditioning:
    """A kind of conditioning, under a domain of the criteria where the kind takes one."""

    kind: Literal["identity", "empty", "criteria", "judge-first", "judge-second"]
    domain: str = ""

    def __str__(self) -> str:
        return f"{self.kind}:{self.domain}" if self.domain else self.kind


IDENTITY: Final = Conditioning("identity")
EMPTY: Final = Conditioning("empty")


@dataclass(frozen=True, slots=True)
class Conversation:
    """Chat turns up to the last user turn, and the response whose log-probability is wanted."""

    messages: tuple[Turn, ...]
    response: str


def conversations(item: Item, conditioning: Conditioning, criteria: Criteria, seed: int) -> list[list[Conversation]]:
    """For each response of an item the conversations that a conditioning makes of it: one, or as a judge's question
    one for every other response; the response's log-probability is the mean over them.

    The demonstration of a criteria prompt goes by seed and item id, so that all responses of a prompt share it.
    Raises KeyError for a domain that the criteria do not declare.
    """
    if conditioning.kind.startswith("judge"):
        return _questions(item, conditioning, criteria)
    prompt = item.prompt
    if conditioning.kind == "empty":
        prompt = (Turn(role="user", content=""),)
    elif conditioning.kind == "criteria":
        domain = criteria.domains[conditioning.domain]
        example = demonstration(domain, seed, item.id)
        content = Template(criteria.layout).substitute(
            instruction=domain.instruction,
            example_query=example.query,
            example_good=example.good,
            example_bad=example.bad,
            example_why=example.why,
            query=item.prompt[-1]["content"],
        )
        prompt = _with_last_turn(item, content)
    return [[Conversation(prompt, response)] for response in item.responses]


def _questions(item: Item, conditioning: Conditioning, criteria: Criteria) -> list[list[Conversation]]:
    """The judge's questions about each response against every other one, with the answer that prefers it."""
    instruction = criteria.domains[conditioning.domain].instruction
    first = conditioning.kind == "judge-first"
    layout, label = Template(criteria.judge.layout), criteria.judge.labels[0 if first else 1]
    asked: list[list[Conversation]] = []
    for index, response in enumerate(item.responses):
        asked.append([])
        for other in (*item.responses[:index], *item.responses[index + 1 :]):
            content = layout.substitute(
                instruction=instruction,
                query=item.prompt[-1]["content"],
                response_a=response if first else other,
                response_b=other if first else response,
            )
            asked[-1].append(Conversation(_with_last_turn(item, content), label))
    return asked


def routing_conversations(item: Item, criteria: Criteria) -> dict[str, Conversation]:
    """For each label of the router, the conversation in which a checkpoint answers with that label."""
    if criteria.router is None:
        return {}
    content = Template(criteria.router.layout).substitute(query=item.prompt[-1]["content"])
    messages = (Turn(role="user", content=content),)
    return {label: Conversation(messages, label) for label in criteria.router.labels}


def conditioning_of_domain(domain: str | None) -> Conditioning:
    """The conditioning that a routed item gets; no domain keeps the prompt as it is."""
    return IDENTITY if domain is None else Conditioning("criteria", domain)


def _with_last_turn(item: Item, content: str) -> tuple[Turn, ...]:
    return (*item.prompt[:-1], Turn(role="user", content=content))
