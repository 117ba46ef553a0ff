"""The accuracies of a run as tables: rows are rewards, columns are sections, subsets and overall."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from .document import Cell, Footnotes, Table
from .formatting import count, percent, percent_interval
from .published import PublishedRow
from .run_format.evaluation_tables import AccuracyRow, RecommendationRow, RewardRow
from .run_format.reading import Run

Reward = tuple[str, str, str]
"""Strong, weak (empty for a reward of one model) and variant."""

Scope = tuple[str, str]
"""A scope and a name within it, as in accuracy.csv: ("section", "Chat")."""

SCOPE_TITLES: Mapping[Scope, str] = {
    ("overall", "overall"): "Overall",
    ("length", "prefers longer"): "Prefers the longer",
    ("length", "chosen longer"): "Accuracy, chosen is longer",
    ("length", "chosen shorter"): "Accuracy, chosen is shorter",
}
"""Headings of the scopes whose names are not headings already."""

COLUMNS_A_TABLE = 8
"""More subsets than this go into a further table: a wider one does not fit a page."""


def reward_of(row: RewardRow | RecommendationRow) -> Reward:
    """The reward that a row belongs to."""
    return row.strong, row.weak, row.variant


@dataclass(frozen=True, slots=True)
class Scores:
    """Accuracies by reward and scope, in the run's order."""

    rewards: tuple[Reward, ...]
    baselines: tuple[Reward, ...]
    by_reward: Mapping[Reward, Mapping[Scope, AccuracyRow]]
    sections: tuple[Scope, ...]
    levels: tuple[Scope, ...]

    def row(self, reward: Reward, scope: Scope) -> AccuracyRow | None:
        """The accuracy of a reward in a scope."""
        return self.by_reward.get(reward, {}).get(scope)

    @property
    def overall(self) -> Scope:
        """The scope of all sections together."""
        return "overall", "overall"

    @property
    def main_scopes(self) -> tuple[Scope, ...]:
        """The sections and, last, overall."""
        return (*self.sections, self.overall)


def collect_scores(run: Run) -> Scores:
    """Index accuracy.csv; rewards in the order of run.json's variants, sections in the task's order."""
    by_reward: dict[Reward, dict[Scope, AccuracyRow]] = {}
    for row in run.accuracy:
        by_reward.setdefault(reward_of(row), {})[row.scope, row.name] = row
    position = {variant: i for i, variant in enumerate(run.info.variants)}
    order = sorted(by_reward, key=lambda reward: position.get(reward[2], len(position)))
    names = {row.name for row in run.accuracy if row.scope == "section"}
    known = [name for name in run.info.task.sections if name in names]
    return Scores(
        rewards=tuple(reward for reward in order if reward[0]),
        baselines=tuple(reward for reward in order if not reward[0]),
        by_reward=by_reward,
        sections=tuple(("section", name) for name in [*known, *sorted(names - set(known))]),
        levels=tuple(
            ("level", name) for name in dict.fromkeys(row.name for row in run.accuracy if row.scope == "level")
        ),
    )


def chance_of(rows: Iterable[AccuracyRow | None]) -> float | None:
    """The chance level, a share, that the rows have in common; None where they differ by more than half a point."""
    levels = [row.chance for row in rows if row is not None and row.chance is not None]
    return fmean(levels) if levels and max(levels) - min(levels) <= 0.005 else None


def ranked(scores: Scores, scope: Scope) -> tuple[Reward, ...]:
    """Rewards by their accuracy in a scope, highest first; those without one last."""

    def key(reward: Reward) -> float:
        row = scores.row(reward, scope)
        return -1.0 if row is None or row.accuracy is None else row.accuracy

    return tuple(sorted(scores.rewards, key=key, reverse=True))


def scored(scores: Scores) -> list[Reward]:
    """The rewards with a scored item, the most accurate first."""
    measured = {reward: scores.row(reward, scores.overall) for reward in ranked(scores, scores.overall)}
    return [reward for reward, row in measured.items() if row is not None and row.accuracy is not None]


def subset_groups(run: Run) -> Iterator[tuple[str, tuple[Scope, ...]]]:
    """Groups of subsets that fit one table: (section, subsets), the section empty where the task has none."""
    present = dict.fromkeys(row.name for row in run.accuracy if row.scope == "subset")
    sections = run.info.task.sections
    placed: set[str] = set()
    for section, counts in sections.items():
        names = [name for name in counts if name in present]
        placed.update(names)
        yield from _chunks(section, names)
    yield from _chunks("", [name for name in present if name not in placed])


def _chunks(title: str, names: Sequence[str]) -> Iterator[tuple[str, tuple[Scope, ...]]]:
    for start in range(0, len(names), COLUMNS_A_TABLE):
        yield title, tuple(("subset", name) for name in names[start : start + COLUMNS_A_TABLE])


@dataclass(frozen=True, slots=True)
class Line:
    """A row of a score table: its text cells, the reward it shows, and the printed row that stands below it."""

    labels: tuple[str, ...]
    reward: Reward
    published: PublishedRow | None = None


def score_table(
    scores: Scores,
    lines: Sequence[Line],
    scopes: Sequence[Scope],
    headings: Sequence[str],
    *,
    with_ties: bool = False,
    bold: bool = True,
    folded: str = "",
) -> Table:
    """A table of accuracies with intervals; n stands in the heading where all rows share it, else in the cell.

    Where columns differ in their chance level, a last row has it.
    """
    footnotes = Footnotes()
    overall = [scores.row(line.reward, scores.overall) for line in lines]
    with_ties = with_ties and any(row is not None and row.ties for row in overall)
    shared = {scope: _shared_n(scores, lines, scope) for scope in scopes}
    common = {scope: _shared_note(scores, lines, scope) for scope in scopes}
    best = {scope: _best(scores, lines, scope) if bold else None for scope in scopes}
    headed = [
        _heading(SCOPE_TITLES.get(scope, scope[1]), shared[scope], footnotes.number(common[scope])) for scope in scopes
    ]
    rows: list[tuple[Cell, ...]] = []
    for line, of_all in zip(lines, overall, strict=True):
        cells = [Cell(label) for label in line.labels]
        for scope in scopes:
            row = scores.row(line.reward, scope)
            notes = footnotes.number(row.note) if row is not None and row.note != common[scope] else ()
            cells.append(_score_cell(row, shared[scope], best[scope], notes))
        if with_ties:
            cells.append(Cell("" if of_all is None else count(of_all.ties), of_all and float(of_all.ties)))
        rows.append(tuple(cells))
        if line.published is not None:
            rows.append((*_published_cells(line.published, line.labels, scopes, footnotes), *[Cell("")] * with_ties))
    chances = [chance_of(scores.row(line.reward, scope) for line in lines) for scope in scopes]
    if len(set(chances)) > 1:
        rows.append(
            (
                *(Cell(text) for text in ("chance", *[""] * (len(headings) - 1))),
                *(Cell(percent(chance), published=True) for chance in chances),
                *[Cell("")] * with_ties,
            )
        )
    columns = (*headings, *headed, *(("Ties",) if with_ties else ()))
    return Table(columns, tuple(rows), len(headings), footnotes.texts, folded)


def _heading(name: str, n: int | None, notes: tuple[int, ...]) -> Cell:
    return Cell(name if n is None else f"{name} (n = {count(n)})", notes=notes)


def _shared_n(scores: Scores, lines: Sequence[Line], scope: Scope) -> int | None:
    sizes = {row.n for line in lines if (row := scores.row(line.reward, scope)) is not None}
    return sizes.pop() if len(sizes) == 1 else None


def _shared_note(scores: Scores, lines: Sequence[Line], scope: Scope) -> str:
    """The note that every row of a column has: it then stands in the heading."""
    notes = {row.note for line in lines if (row := scores.row(line.reward, scope)) is not None}
    return notes.pop() if len(notes) == 1 else ""


def _best(scores: Scores, lines: Sequence[Line], scope: Scope) -> float | None:
    """The highest accuracy of a column with something to compare."""
    found = [scores.row(line.reward, scope) for line in lines]
    values = [row.accuracy for row in found if row is not None and row.accuracy is not None]
    return max(values) if len(values) > 1 else None


def _score_cell(row: AccuracyRow | None, shared: int | None, best: float | None, notes: tuple[int, ...]) -> Cell:
    if row is None:
        return Cell("not measured")
    text = percent_interval(row.accuracy, row)
    if shared is None:
        text += f" (n = {count(row.n)})"
    return Cell(text, row.accuracy, best=best is not None and row.accuracy == best, notes=notes)


def _published_cells(
    printed: PublishedRow, labels: Sequence[str], scopes: Sequence[Scope], footnotes: Footnotes
) -> list[Cell]:
    """The paper's row in the columns that it prints."""
    label = printed.label if printed.variant == "judge" else labels[0]
    cells = [Cell(f"{label}, as published", published=True), *(Cell("") for _ in labels[1:])]
    for scope, name in scopes:
        value = printed.overall if scope == "overall" else printed.scores.get(name)
        notes = footnotes.number(printed.doubt) if scope == "overall" else ()
        cells.append(Cell("" if value is None else str(value), published=True, notes=notes))
    return cells
