"""The report of a grid run: which pair to use, all pairs ranked, and what the alignment gap has to do with it."""

from collections.abc import Sequence

from .common_sections import (
    checkpoints_section,
    comparisons_table,
    comparisons_text,
    confidence_section,
    length_section,
    parameters,
    reward_name,
    warnings_section,
)
from .document import Block, Bullets, Cell, Document, Paragraph, Picture, Section, Table, section
from .formatting import MISSING, count, p_value, percent_interval, plural, points, signed
from .gap_report import gap_sections
from .methods import methods_section
from .run_format.reading import Run
from .run_format.tables import RecommendationRow
from .scores import Line, Reward, Scores, collect_scores, ranked, reward_of, score_table, subset_groups

RANKED_OPEN = 15
"""Rewards of the leaderboard that are shown at once; the others are folded away."""


def grid_document(run: Run, pictures: Sequence[Picture]) -> Document:
    """The whole report; `pictures` are the figures drawn for the run."""
    scores = collect_scores(run)
    order = [reward for reward in ranked(scores, scores.overall) if reward[0] != reward[1]]
    top = order[:RANKED_OPEN]
    headings = _headings(run)
    sections = (
        *warnings_section(run),
        *_recommendation_section(run, scores),
        _leaderboard_section(run, scores, order, pictures),
        *_comparison_section(run, top),
        *gap_sections(run, pictures),
        *confidence_section(run, scores, top, [p for p in pictures if p.topic == "confidence"], reward_name),
        *length_section(run, scores, _lines(run, top), headings, reward_name),
        *_subset_section(run, scores, top),
        *checkpoints_section(run),
        methods_section(run),
    )
    title = f"Pairs of {plural(len(run.info.checkpoints), 'checkpoint')} on {run.info.task.name}"
    return Document(title, sections)


def main_benchmark(run: Run) -> str:
    """The first benchmark for which pairs have a gap; empty where none has."""
    known = (name for row in run.pairs for name, gap in row.gaps.items() if gap is not None)
    return next(known, "")


def _headings(run: Run) -> tuple[str, ...]:
    variant = ("Variant",) if len(run.info.variants) > 1 else ()
    benchmark = main_benchmark(run)
    gap = (f"Gap ({benchmark})",) if benchmark else ()
    return ("Rank", "Strong", "Weak", *variant, *gap)


def _lines(run: Run, rewards: Sequence[Reward], first: int = 1) -> list[Line]:
    """Rows of the leaderboard, ranked from `first` on."""
    benchmark = main_benchmark(run)
    gaps = {reward_of(row): row.gaps.get(benchmark) for row in run.pairs}
    lines: list[Line] = []
    for rank, reward in enumerate(rewards, start=first):
        strong, weak, variant = reward
        labels = [str(rank), strong, weak or MISSING]
        labels += [variant] if len(run.info.variants) > 1 else []
        labels += [signed(gaps.get(reward), 1)] if benchmark else []
        lines.append(Line(tuple(labels), reward))
    return lines


def _leaderboard_section(run: Run, scores: Scores, order: Sequence[Reward], pictures: Sequence[Picture]) -> Section:
    selves = sum(reward[0] == reward[1] for reward in scores.rewards)
    text = (
        f"{plural(len(order), 'reward')} ranked by overall accuracy: the share of "
        f"{plural(run.info.task.items, 'item')} on which the chosen response gets the higher reward, in per cent "
        "with 95% intervals; a tie counts one half. The gap is the benchmark score of strong minus that of weak, "
        "in points. Ranks of pairs whose intervals overlap are not to be taken at their word."
    )
    if selves:
        text += f" {plural(selves, 'reward')} of a checkpoint over itself tie on every item (50%) and are not ranked."
    headings = _headings(run)
    blocks: list[Block] = [Paragraph(text)]
    blocks.append(score_table(scores, _lines(run, order[:RANKED_OPEN]), scores.main_scopes, headings))
    if len(order) > RANKED_OPEN:
        rest = _lines(run, order[RANKED_OPEN:], first=RANKED_OPEN + 1)
        folded = f"Ranks {RANKED_OPEN + 1} to {len(order)}"
        blocks.append(score_table(scores, rest, scores.main_scopes, headings, bold=False, folded=folded))
    blocks.extend(picture for picture in pictures if picture.topic == "heatmap")
    return Section("Leaderboard", tuple(blocks))


def _subset_section(run: Run, scores: Scores, rewards: Sequence[Reward]) -> tuple[Section, ...]:
    lines = [Line((reward_name(reward),), reward) for reward in rewards]
    blocks: list[Block] = []
    for title, scopes in subset_groups(run):
        folded = f"{title or 'All items'}: {plural(len(scopes), 'subset')}, rewards ranked 1 to {len(rewards)}"
        blocks.append(score_table(scores, lines, scopes, ("Reward",), folded=folded))
    return section("Subsets", blocks)


def _comparison_section(run: Run, rewards: Sequence[Reward]) -> tuple[Section, ...]:
    """Comparisons of the rewards at the top of the leaderboard."""
    rows = [row for row in run.comparisons if (row.strong_a, row.weak_a, row.variant_a) in rewards]
    if not rows:
        return ()
    table = comparisons_table(rows, reward_name, f"Rewards ranked 1 to {len(rewards)}: {len(rows)} comparisons")
    return section("Paired comparisons", [Paragraph(comparisons_text(len(rows))), table])


def _recommendation_section(run: Run, scores: Scores) -> tuple[Section, ...]:
    scopes: dict[tuple[str, str], list[RecommendationRow]] = {}
    for row in sorted(run.recommendation, key=lambda row: row.rank):
        scopes.setdefault((row.scope, row.name), []).append(row)
    if not scopes:
        return ()
    ordered = sorted(scopes, key=lambda scope: scope[0] != "overall")
    overall = [_sentence(scores, scopes[scope]) for scope in ordered if scope[0] == "overall"]
    named = ("For", "Best pair", "Cheapest of it and those tied")
    columns = (*named, "n", "Best: accuracy", "Tied with it", "Cheapest: accuracy", "Cheapest: parameters")
    rows = tuple(_recommendation_cells(scores, scope, scopes[scope]) for scope in ordered)
    tied = [_tied_cells(row) for scope in ordered for row in scopes[scope] if row.tied]
    blocks: list[Block] = [
        Bullets(tuple(overall)),
        Paragraph(
            "Tied: a paired test on the same items, Holm-adjusted over all pairs, does not tell the pair from the "
            "best one. Cheapest: fewest parameters of strong and weak together."
        ),
        Table(columns, rows, text_columns=len(named)),
        Table(
            ("For", "Pair", "Rank", "Accuracy", "Below the best", "p", "Parameters"),
            tuple(tied),
            text_columns=2,
            folded=f"All {len(tied)} pairs that are best or tied with the best",
        ),
    ]
    return section("Recommendation", blocks, opening=True)


def _sentence(scores: Scores, rows: Sequence[RecommendationRow]) -> str:
    best = rows[0]
    tied = [row for row in rows[1:] if row.tied]
    n = scores.row(reward_of(best), scores.overall)
    size = "" if n is None else f" (n = {count(n.n)})"
    text = (
        f"Among pairs under {best.variant}, use {best.strong} over {best.weak}: "
        f"{percent_interval(best.accuracy, best)} per cent overall{size}."
    )
    if not tied:
        return f"{text} Every other pair is significantly worse."
    text += f" {plural(len(tied), 'other pair')} cannot be told from it."
    cheapest = next((row for row in rows if row.cheapest), None)
    if cheapest is best:
        return f"{text} None of these has fewer parameters."
    if cheapest is not None and cheapest.parameters is not None:
        text += (
            f" The cheapest of these is {cheapest.strong} over {cheapest.weak} at "
            f"{percent_interval(cheapest.accuracy, cheapest)} with {parameters(cheapest.parameters)} parameters."
        )
    return text


def _recommendation_cells(
    scores: Scores, scope: tuple[str, str], rows: Sequence[RecommendationRow]
) -> tuple[Cell, ...]:
    best = rows[0]
    cheapest = next((row for row in rows if row.cheapest), None)
    measured = scores.row(reward_of(best), scope)
    return (
        Cell("Overall" if scope[0] == "overall" else scope[1]),
        Cell(reward_name(reward_of(best))),
        Cell(MISSING if cheapest is None else reward_name(reward_of(cheapest))),
        Cell(MISSING if measured is None else count(measured.n)),
        Cell(percent_interval(best.accuracy, best), best.accuracy),
        Cell(count(sum(row.tied for row in rows[1:]))),
        Cell(MISSING if cheapest is None else percent_interval(cheapest.accuracy, cheapest)),
        Cell(_size(cheapest)),
    )


def _tied_cells(row: RecommendationRow) -> tuple[Cell, ...]:
    return (
        Cell("Overall" if row.scope == "overall" else row.name),
        Cell(reward_name(reward_of(row))),
        Cell(str(row.rank), row.rank),
        Cell(percent_interval(row.accuracy, row), row.accuracy),
        Cell(points(row.difference_from_best), row.difference_from_best),
        Cell(p_value(row.p_value), row.p_value),
        Cell(_size(row)),
    )


def _size(row: RecommendationRow | None) -> str:
    return MISSING if row is None or row.parameters is None else parameters(row.parameters)
