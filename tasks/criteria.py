"""Criteria: what makes a response good in a domain, as data that a user can replace."""

import re
from hashlib import blake2b
from pathlib import Path
from string import Template
from typing import Annotated, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, model_validator

from .yaml_text import read_yaml, validated

DEFAULT_CRITERIA = Path(__file__).parent / "criteria" / "rewardbench.yaml"
"""Holds the domains safety, code-math and chat-hard, and the wording that other files may leave out."""

_WORDING = ("layout", "judge")
"""Keys that a criteria file may leave out; the default file's then hold."""

Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]


def _check_name(name: str) -> str:
    if not re.fullmatch(r"[a-z0-9-]{1,64}", name) or name == "router" or name.startswith("adaptive-"):
        raise ValueError(
            f"{name!r} is no name for it: use up to 64 small letters, digits and hyphens,"
            " and neither 'router' nor 'adaptive-...'"
        )
    return name


def _slots(*wanted: str) -> AfterValidator:
    """A check that a text has exactly these `$slots`."""

    def check(text: str) -> str:
        template = Template(text)
        if not template.is_valid() or set(template.get_identifiers()) != set(wanted):
            slots = ", ".join(f"${slot}" for slot in wanted)
            raise ValueError(f"the text must have the slots {slots} and no others; a plain dollar sign is $$")
        return text

    return AfterValidator(check)


Name = Annotated[str, AfterValidator(_check_name)]


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Demonstration(_Record):
    """One in-context example of a domain."""

    query: Text
    good: Text
    bad: Text
    why: Text
    """Why the good response is better than the bad one."""


class Domain(_Record):
    """What a good response is in a domain: an instruction and a pool of examples."""

    instruction: Text
    demonstrations: tuple[Demonstration, ...] = Field(min_length=1)


class Router(_Record):
    """The zero-shot question that puts a prompt into a domain."""

    layout: Annotated[Text, _slots("query")]
    labels: dict[Text, Name | None] = Field(min_length=2)
    """What the checkpoint may answer, and the domain each answer stands for; null keeps the prompt as it is."""


class Judge(_Record):
    """The question which of two responses is better."""

    layout: Annotated[Text, _slots("instruction", "query", "response_a", "response_b")]
    labels: tuple[Text, Text]
    """The answers that mean response A and response B."""

    @model_validator(mode="after")
    def _labels_differ(self) -> Self:
        if self.labels[0] == self.labels[1]:
            raise ValueError("the two labels are the same: give each response a label of its own")
        return self


class Criteria(_Record):
    """A criteria file."""

    layout: Annotated[
        Text, _slots("instruction", "example_query", "example_good", "example_bad", "example_why", "query")
    ]
    """T(x): the last user turn under a domain; it ends with the cue that the good assistant answers next."""
    domains: dict[Name, Domain] = Field(min_length=1)
    routes: dict[Name, dict[Text, Name]] = {}
    """Route name to (section to domain); a section that is not named keeps the prompt as it is."""
    router: Router | None = None
    judge: Judge

    @model_validator(mode="after")
    def _names_are_declared(self) -> Self:
        uses = [
            (f"routes.{route}.{section}", domain) for route, to in self.routes.items() for section, domain in to.items()
        ]
        if self.router is not None:
            uses += [(f"router.labels.{label}", domain) for label, domain in self.router.labels.items() if domain]
        for key, domain in uses:
            if domain not in self.domains:
                declared = ", ".join(self.domains)
                raise ValueError(f"{key} names the domain {domain!r}, which is not declared: use one of {declared}")
        return self


def load_criteria(path: Path) -> Criteria:
    """Read a criteria file (YAML); raise UserError with file, line and key for what is wrong in it."""
    text = read_yaml(path)
    data = text.data
    if path != DEFAULT_CRITERIA:
        wording = read_yaml(DEFAULT_CRITERIA).data
        data = {key: wording[key] for key in _WORDING} | data
    return validated(path, text, Criteria, data)


def demonstration(domain: Domain, seed: int, item_id: str) -> Demonstration:
    """The demonstration that an item gets: drawn uniformly from the pool by a hash of seed and item id."""
    digest = blake2b(f"{seed}:{item_id}".encode(), digest_size=8).digest()
    return domain.demonstrations[int.from_bytes(digest, "big") % len(domain.demonstrations)]
