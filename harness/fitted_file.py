"""fitted.yaml: a reward as a file, Σ_k a_k · L_{m_k}(y | c_k) with coefficients that labels, or agreement, gave."""

from collections.abc import Collection
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import numpy as np
import yaml
from pydantic import BaseModel, ConfigDict, Field

from ..errors import UserError
from ..tasks.conditioning import Conditioning
from ..tasks.criteria import Criteria
from ..tasks.item import prompt_hash
from ..tasks.task import Task
from ..tasks.yaml_text import read_yaml, validated
from .statistics.arrays import Mask

FITTED_FORMAT: Final = 1
HASH: Final = 12
"""Hexadecimal digits by which a fitted reward knows the problems of its labels."""
KINDS: Final = ("identity", "empty", "criteria")


class FittedTerm(BaseModel):
    """One checkpoint under one conditioning."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    checkpoint: str
    """Name in the registry."""
    model: str
    """Hub id or path, for one that the registry does not name."""
    weights: str
    """SHA-256 of the weights that the coefficient is for."""
    conditioning: str
    coefficient: float = Field(allow_inf_nan=False)
    """Logits a nat; where no label gave it, of no unit."""


class FittedFile(BaseModel):
    """What fitted.yaml holds."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: int
    name: str = Field(min_length=1, max_length=80)
    """What stands for it in tables."""
    task: str
    """What it was fitted on."""
    labels: int
    """How many labelled items; none in a mean of pairs that agreement chose."""
    mean_per_token: bool
    criteria: str
    """SHA-256 of the criteria file; empty where no conditioning takes any."""
    terms: tuple[FittedTerm, ...] = Field(min_length=1)
    problems: str
    """Hashes of the labelled items' prompts and problems, with spaces between."""

    @property
    def checkpoints(self) -> tuple[str, ...]:
        """Names, each once."""
        return tuple(dict.fromkeys(term.checkpoint for term in self.terms))

    @property
    def told(self) -> str:
        """What it is, as a clause."""
        if not self.labels:
            return f"a mean of pairs of {len(self.checkpoints)} checkpoints, chosen without labels on {self.task}"
        return f"a combination of {len(self.checkpoints)} checkpoints, fitted on {self.labels:,} labels of {self.task}"

    def text(self) -> str:
        """YAML."""
        values: dict[str, Any] = self.model_dump(mode="json")
        return yaml.safe_dump(values, sort_keys=False, allow_unicode=True, width=120)

    def seen(self, task: Task) -> Mask:
        """(n,) the items whose prompt, or problem of this task, gave a label."""
        return seen_items(task, set(self.problems.split()))


def read_fitted(path: Path) -> FittedFile:
    """A file that `cdr-eval fit` wrote. Raises UserError."""
    if path.is_dir():
        path = path / "fitted.yaml"
    text = read_yaml(path)
    found = text.data.get("format")
    if found != str(FITTED_FORMAT):
        raise UserError(
            f"{path} has format {str(found)[:20]!r}, this version reads {FITTED_FORMAT}: pass a fitted.yaml of "
            "`cdr-eval fit`, or fit again with this version."
        )
    return validated(path, text, FittedFile, text.data)


def problem_hashes(task: Task) -> str:
    """Hashes of the prompts of all items, and of the problems that they share."""
    return " ".join(sorted({digest for keys in _keys(task) for digest in keys}))


def seen_items(task: Task, known: Collection[str]) -> Mask:
    """(n,) the items of which a hash is known."""
    return np.array([any(digest in known for digest in keys) for keys in _keys(task)], dtype=np.bool_)


def read_conditioning(text: str, criteria: Criteria) -> Conditioning:
    """ "identity", "empty" or "criteria:DOMAIN". Raises UserError for another, and for a domain that there is not."""
    kind, _, domain = text.partition(":")
    if kind not in KINDS or bool(domain) != (kind == "criteria"):
        raise UserError(f"There is no conditioning {text!r}: use identity, empty or criteria:DOMAIN.")
    if domain and domain not in criteria.domains:
        raise UserError(f"The criteria have no domain {domain!r}; use one of {', '.join(criteria.domains)}.")
    return Conditioning(kind, domain)  # type: ignore[arg-type]


def _keys(task: Task) -> list[tuple[str, ...]]:
    """For each item the hashes by which it is known again: of its prompt, and of a problem within this task."""
    found: list[tuple[str, ...]] = []
    for item in task.items:
        keys = (prompt_hash(item.prompt)[:HASH],)
        if item.problem:
            keys += (sha256(f"{task.name}\n{item.problem}".encode()).hexdigest()[:HASH],)
        found.append(keys)
    return found
