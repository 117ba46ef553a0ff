"""The report of a pair run: every variant by section, in the shape of the paper's Table 1."""

from collections.abc import Sequence

from .common_sections import (
    accuracy_text,
    best_of_section,
    checkpoints_section,
    comparisons_table,
    comparisons_text,
    confidence_section,
    length_section,
    levels_section,
    reward_name,
    warnings_section,
)
from .document import Block, Cell, Document, Footnotes, Paragraph, Picture, Section, Table, section
from .formatting import plural
from .methods import methods_section
from .published import NOT_OURS, PublishedRow, load_table1
from .rounding_section import rounding_section
from .run_format.reading import Run
from .scores import Line, Reward, Scores, collect_scores, score_table, scored, subset_groups


def pair_document(run: Run, pictures: Sequence[Picture]) -> Document:
    """The whole report; `pictures` are the figures drawn for the run."""
    scores = collect_scores(run)
    published = _published_rows(run)
    lines = pair_lines(run, scores)
    known = set(scored(scores))
    measured = [Line(line.labels, line.reward) for line in lines if line.reward in known]
    curves = [picture for picture in pictures if picture.topic == "confidence"]

    def label(reward: Reward) -> str:
        return _label(run, reward)

    compared: list[Block] = []
    comparisons = [row for row in run.comparisons if row.n]
    if comparisons:
        compared = [Paragraph(comparisons_text(len(comparisons))), comparisons_table(comparisons, label)]
    sections = (
        *warnings_section(run),
        _accuracy_section(run, scores, lines, pictures),
        *section("Paired comparisons", compared),
        *(_subset_section(run, scores, measured) if measured else ()),
        *levels_section(run, scores, measured, ("Reward",), label),
        *best_of_section(run, [p for p in pictures if p.topic == "best-of"], label),
        *length_section(run, scores, measured, ("Reward",), label),
        *confidence_section(run, scores, [line.reward for line in measured], curves, label),
        *rounding_section(run, label),
        *_published_section(published),
        *checkpoints_section(run),
        methods_section(run),
    )
    return Document(f"{_title(run)} on {run.info.task.name}", sections)


def pair_lines(run: Run, scores: Scores) -> list[Line]:
    """Every reward of the run with what the paper prints for it."""
    published = _published_rows(run)
    pairs = {(pair.strong, pair.weak) for pair in run.info.pairs}
    judges = [reward for reward in scores.rewards if reward[2].startswith("judge-") and not reward[1]]
    printed = {reward: published.get(reward[2]) for reward in scores.rewards if reward[:2] in pairs}
    printed |= {reward: published.get("judge") for reward in judges[-1:]}  # the paper's is of no one domain
    return [Line((_label(run, reward),), reward, printed.get(reward)) for reward in scores.rewards]


def _title(run: Run) -> str:
    return "; ".join(f"{pair.strong} over {pair.weak}" for pair in run.info.pairs) or "Rewards"


def _published_rows(run: Run) -> dict[str, PublishedRow]:
    """The paper's rows for this pair by variant, where it is one of the paper's and the task has its subsets."""
    table = load_table1()
    if len(run.info.pairs) != 1 or {name: set(of) for name, of in run.info.task.sections.items()} != table.subsets:
        return {}
    pair = run.info.pairs[0]
    return table.of_pair(run.checkpoint(pair.strong), run.checkpoint(pair.weak))


def _label(run: Run, reward: Reward) -> str:
    """The variant; with the checkpoints where they are not simply the run's pair."""
    strong, weak, variant = reward
    if any((strong, weak) == (pair.strong, pair.weak) for pair in run.info.pairs):
        return variant
    if not weak and any(strong == pair.strong for pair in run.info.pairs):
        return f"{variant} (strong alone)"
    return reward_name(reward)


def _accuracy_section(run: Run, scores: Scores, lines: Sequence[Line], pictures: Sequence[Picture]) -> Section:
    text = (
        f"{accuracy_text(run, scores)} The highest measured value of a column is bold; that does not make it "
        "significantly the highest."
    )
    if any(line.published for line in lines):
        text += " Rows in italics are the paper's, printed without intervals. " + NOT_OURS
    blocks: list[Block] = [Paragraph(text)]
    blocks.append(score_table(scores, lines, scores.main_scopes, ("Reward",), with_ties=True))
    blocks.extend(picture for picture in pictures if picture.topic == "accuracy")
    return Section("Accuracy", tuple(blocks))


def _subset_section(run: Run, scores: Scores, lines: Sequence[Line]) -> tuple[Section, ...]:
    blocks: list[Block] = []
    for title, scopes in subset_groups(run):
        folded = f"{title or 'All items'}: {plural(len(scopes), 'subset')}"
        blocks.append(score_table(scores, lines, scopes, ("Reward",), folded=folded))
    return section("Subsets", blocks)


def _published_section(published: dict[str, PublishedRow]) -> tuple[Section, ...]:
    """The rest of the paper's table, for a pair that it holds."""
    if not published:
        return ()
    table = load_table1()
    footnotes = Footnotes()
    rows = tuple(
        (
            *(Cell(text) for text in (row.label, *map(str, row.scores.values()))),
            Cell(str(row.overall), notes=footnotes.number(row.doubt)),
        )
        for row in table.rows
        if row not in published.values()
    )
    columns = ("Row", *table.rows[0].scores, "Overall")
    folded = f"{plural(len(rows), 'other row')} of the same published table"
    others = Table(columns, rows, footnotes=footnotes.texts, folded=folded)
    return section("Published results", [Paragraph(f"{table.title}."), others])
