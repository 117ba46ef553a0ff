"""The paper's printed tables, and what can be said of them without a model."""

from collections.abc import Sequence
from decimal import ROUND_HALF_UP, Decimal
from functools import cache
from importlib.resources import files
from typing import TypeVar

import yaml
from pydantic import BaseModel, ConfigDict

from .document import Cell, Document, Paragraph, Section, Table
from .formatting import MISSING, plural
from .run_format.run_info import CheckpointInfo

ScoreConflict = tuple[str, str, Sequence[tuple[float, str, Sequence[str]]]]
"""Checkpoint, benchmark, and for each printed score: per cent, source, families in whose grids it is used."""

ROUNDING = Decimal("0.1")
"""Four sections and an overall, each rounded to 0.1, can differ by this much and still be one another's mean."""

NOT_OURS = (
    "The paper's criteria and demonstrations and its router (Mixtral-8x7B-Instruct-v0.1) are not ours, which are "
    "written anew; and RewardBench counts a tie as wrong where we count one half."
)
"""What stands between a printed and a measured row of one name."""


class _Printed(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class PublishedRow(_Printed):
    """A row of Table 1, in per cent."""

    label: str
    scores: dict[str, Decimal]
    """By section."""
    overall: Decimal
    strong: str | None = None
    weak: str | None = None
    variant: str | None = None

    @property
    def section_mean(self) -> Decimal:
        """The mean of the four printed sections, rounded to 0.1."""
        return (sum(self.scores.values(), Decimal(0)) / len(self.scores)).quantize(Decimal("0.1"), ROUND_HALF_UP)

    @property
    def doubt(self) -> str:
        """A sentence where the printed overall is not the mean of the printed sections, else empty."""
        if abs(sum(self.scores.values(), Decimal(0)) / len(self.scores) - self.overall) <= ROUNDING:
            return ""
        return (
            f"The paper prints {self.overall} as overall; the mean of its four printed sections is {self.section_mean}."
        )


class Table1(_Printed):
    """Table 1 of the paper."""

    title: str
    checkpoints: dict[str, str]
    subsets: dict[str, frozenset[str]]
    """RewardBench's, by section."""
    rows: tuple[PublishedRow, ...]

    def of_pair(self, strong: CheckpointInfo, weak: CheckpointInfo) -> dict[str, PublishedRow]:
        """The printed rows of a pair by variant; empty where the pair is not one of the paper's.

        "judge" is the generative reward, which the strong checkpoint gives alone.
        """
        roles = {name: role for role, name in self.checkpoints.items()}
        wanted = (roles.get(_hub_name(strong)), roles.get(_hub_name(weak)))
        if None in wanted:
            return {}
        of_pair = [row for row in self.rows if row.strong == wanted[0] and row.weak in (wanted[1], None)]
        return {row.variant: row for row in of_pair if row.variant}


class AppendixRow(_Printed):
    """A reward of appendix B."""

    reward: str
    of: str
    printed: str


class Appendix(_Printed):
    """Appendix B of the paper."""

    title: str
    rows: tuple[AppendixRow, ...]


class Contradiction(_Printed):
    """Two things that the paper says of one."""

    about: str
    first: str
    second: str


class Table2Row(_Printed):
    """A row of Table 2."""

    label: str
    values: tuple[Decimal, ...]


class Table2(_Printed):
    """Table 2 of the paper."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[Table2Row, ...]


T = TypeVar("T", bound=_Printed)


def _load(name: str, table: type[T]) -> T:
    text = files(__package__ or "").joinpath("published", name).read_text(encoding="utf-8")
    return table.model_validate(yaml.safe_load(text))


@cache
def load_table1() -> Table1:
    """RewardBench accuracies as printed."""
    return _load("table1.yaml", Table1)


def load_table2() -> Table2:
    """Benchmarks of the tuned policies as printed."""
    return _load("table2.yaml", Table2)


def _items(name: str, kind: type[T]) -> list[T]:
    text = files(__package__ or "").joinpath("published", name).read_text(encoding="utf-8")
    return [kind.model_validate(row) for row in yaml.safe_load(text)]


def _hub_name(checkpoint: CheckpointInfo) -> str:
    return checkpoint.model.rstrip("/").rsplit("/", 1)[-1]


def published_report(conflicts: Sequence[ScoreConflict]) -> Document:
    """What the paper prints, with recomputed section means, where it contradicts itself, and the score conflicts."""
    told = (_table1_section(), _table2_section(), _appendix_section(), _contradiction_section())
    return Document("Published results", (*told, _conflict_section(conflicts)))


def _table1_section() -> Section:
    table = load_table1()
    rows = tuple(_table1_row(row) for row in table.rows)
    roles = "; ".join(f"{role} is {name}" for role, name in table.checkpoints.items())
    doubtful = sum(bool(row.doubt) for row in table.rows)
    text = (
        f"{table.title}. Accuracy in per cent, printed without intervals. {roles}. The last two columns recompute the "
        f"overall score as the plain mean of the four sections: in {doubtful} of {len(rows)} rows it differs from the "
        f"printed one by more than rounding can ({ROUNDING} points). {NOT_OURS}"
    )
    columns = ("Row", *table.rows[0].scores, "Overall as printed", "Mean of sections", "Difference")
    return Section("Table 1", (Paragraph(text), Table(columns, rows)))


def _table1_row(row: PublishedRow) -> tuple[Cell, ...]:
    scores = tuple(Cell(str(value)) for value in (*row.scores.values(), row.overall, row.section_mean))
    difference = f"{row.overall - row.section_mean:+.1f}".replace("-", "−") if row.doubt else ""
    return (Cell(row.label), *scores, Cell(difference))


def _table2_section() -> Section:
    table = load_table2()
    rows = tuple((Cell(row.label), *(Cell(str(value)) for value in row.values)) for row in table.rows)
    return Section("Table 2", (Paragraph(f"{table.title}."), Table(("Annotated by", *table.columns), rows)))


def _appendix_section() -> Section:
    appendix = _load("appendix.yaml", Appendix)
    rows = tuple((Cell(row.reward), Cell(row.of), Cell(row.printed)) for row in appendix.rows)
    table = Table(("Reward", "Of", "Printed (%)"), rows, text_columns=3)
    return Section("Appendix B", (Paragraph(f"{appendix.title}."), table))


def _contradiction_section() -> Section:
    rows = tuple(
        (Cell(row.about), Cell(row.first), Cell(row.second)) for row in _items("contradictions.yaml", Contradiction)
    )
    table = Table(("About", "Printed", "Also printed"), rows, text_columns=3)
    return Section("Where the paper contradicts itself", (Paragraph("The tables above are as in its tables."), table))


def _conflict_section(conflicts: Sequence[ScoreConflict]) -> Section:
    if not conflicts:
        return Section("Scores on which sources differ", (Paragraph("The registry's sources agree on every score."),))
    rows = tuple(
        (Cell(checkpoint), Cell(benchmark), Cell(source), Cell(f"{value:g}"), Cell(", ".join(families) or MISSING))
        for checkpoint, benchmark, scores in conflicts
        for value, source, families in scores
    )
    text = (
        f"For {plural(len(conflicts), 'score')} of the registry the sources print different values. Unless another "
        "source is asked for, a grid takes for each benchmark the most preferred source that scores all of its "
        "checkpoints but base models, or else the most preferred of each checkpoint."
    )
    table = Table(("Checkpoint", "Benchmark", "Source", "Score (%)", "Used in the grid of"), rows, text_columns=3)
    return Section("Scores on which sources differ", (Paragraph(text), table))
