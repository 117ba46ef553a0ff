"""A benchmark as a YAML file states it."""

from functools import cache
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from ..reading.columns import Layout, Paths
from ..reading.items import Filter
from ..task import Official, Rule, Section, style_level
from ..yaml_text import read_yaml, validated

FOLDER = Path(__file__).parent
Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Source(_Record):
    """Where the published data lie."""

    hub: str | None = None
    """Data set on the hub; without it, the files of `page` are to be fetched and named."""
    config: str | None = None
    split: str | None = None
    revision: str | None = None
    """Commit; without it the newest, and a remark says so."""
    page: str | None = None
    files: str = ""
    """Which files of a folder are meant, as a pattern."""
    rows: int
    """Published number of rows."""

    @model_validator(mode="after")
    def _somewhere(self) -> Self:
        if self.hub is None and self.page is None:
            raise ValueError("say where the data lie: `hub: org/name`, or `page:` with an address")
        return self

    @property
    def spec(self) -> str:
        """As `--task` would name it; empty where it is not on the hub."""
        if self.hub is None:
            return ""
        parts = (self.hub, f"/{self.config}" if self.config else "", f":{self.split}" if self.split else "")
        return "".join(parts) + (f"@{self.revision}" if self.revision else "")


class RuleText(_Record):
    """`task.Rule` in YAML."""

    name: Literal["best", "pairwise", "strict", "matrix", "best-of", "ties", "mrr"]
    level: Literal["", "hard", "normal", "easy"] = ""
    k: int = 0
    every: bool = False

    @property
    def rule(self) -> Rule:
        """The rule itself; ties earn one half, as everywhere but in the official protocol."""
        return Rule(self.name, self.level, self.k, every=self.every)


class SectionText(_Record):
    """A section and the weights of its subsets."""

    name: Text
    subsets: dict[str, int] = Field(min_length=1)
    rule: RuleText | None = None


class OfficialText(_Record):
    """`task.Official` in YAML."""

    tie: float | None = None
    max_tokens: int | None = None
    cut: Literal["left", "right"] = "right"


class Parallel(_Record):
    """Subsets that hold the same problems, one item each, in the same order."""

    subsets: Paths
    problems: int
    name: Text


class Benchmark(_Record):
    """A benchmark file."""

    name: Annotated[str, StringConstraints(pattern=r"^[a-z0-9-]{1,64}$")]
    title: Text
    licence: Text
    citation: Text
    about: Text
    """What a score on it means, and what to know."""
    source: tuple[Source, ...] = Field(min_length=1)
    columns: Layout
    recognise: dict[str, str | None] = {}
    """Columns, with a value where one is needed, by which a bare file is known for this benchmark's."""
    where: dict[str, str] = {}
    sides: dict[str, str] = {}
    gather: Paths = ()
    skip: tuple[str, ...] = ()
    """Reasons for leaving rows out that are known of this benchmark."""
    group: str = ""
    parallel: Parallel | None = None
    editions: tuple[str, ...] = ()
    """Each section's subsets stand once for each of these, as `edition/subset` (languages)."""
    sections: tuple[SectionText, ...] = ()
    overall: Literal["sections", "items"] = "sections"
    rule: RuleText
    levels: dict[str, RuleText] = {}
    styles: tuple[Text, ...] = ()
    """Names of the styles that responses come in, of a matrix."""
    official: OfficialText = OfficialText()
    chance: float = Field(ge=0, le=1)
    """What a random order of the responses earns overall."""
    responses: Text
    """How many an item has, as words."""

    @property
    def rows(self) -> int:
        """Published number of rows."""
        return sum(source.rows for source in self.source)

    @property
    def filter(self) -> Filter:
        """What the reader needs beyond the columns."""
        subsets = frozenset(subset for section in self.task_sections for subset in section.counts)
        return Filter(self.where, self.sides, self.gather, frozenset(self.skip), subsets, self.group)

    @property
    def task_sections(self) -> tuple[Section, ...]:
        """The sections as a task holds them."""
        editions = [f"{edition}/" for edition in self.editions] or [""]
        return tuple(
            Section(
                s.name, {f"{e}{name}": n for e in editions for name, n in s.subsets.items()}, (s.rule or self.rule).rule
            )
            for s in self.sections
        )

    @property
    def task_levels(self) -> dict[str, Rule]:
        """The levels as a task holds them, every pair of styles among them."""
        of_styles = {
            style_level(right, wrong): Rule("matrix", f"{i}>{j}")
            for i, right in enumerate(self.styles)
            for j, wrong in enumerate(self.styles)
        }
        return {**{name: level.rule for name, level in self.levels.items()}, **of_styles}

    @property
    def task_official(self) -> Official:
        """The published protocol where it differs."""
        return Official(self.official.tie, self.official.max_tokens, self.official.cut)


@cache
def load_benchmark(path: Path) -> Benchmark:
    """Read a benchmark file (YAML); raise UserError with file, line and key for what is wrong in it."""
    text = read_yaml(path)
    return validated(path, text, Benchmark, text.data)


@cache
def benchmarks() -> dict[str, Benchmark]:
    """The built-in benchmarks by name, in the order of their names."""
    found = (load_benchmark(path) for path in sorted(FOLDER.glob("*.yaml")))
    return {benchmark.name: benchmark for benchmark in found}
