"""The report of a grid run: which pair to use, all pairs ranked, and what the alignment gap has to do with it."""

from collections.abc import Sequence

from .common_sections import (
    accuracy_text,
    checkpoints_section,
    comparisons_table,
    comparisons_text,
    confidence_section,
    length_section,
    levels_section,
    parameters,
    reward_name,
    warnings_section,
)
from .document import Block, Bullets, Cell, Document, Paragraph, Picture, Section, said, section
from .formatting import MISSING, count, percent_interval, plural, signed
from .gap_report import gap_sections
from .methods import methods_section
from .rounding_section import rounding_section
from .run_format.reading import Run
from .run_format.tables import RecommendationRow
from .scores import Line, Reward, Scores, collect_scores, reward_of, score_table, scored, subset_groups
from .unlabelled_report import unlabelled_section

RANKED_OPEN = 15
"""Rewards of the leaderboard that are shown at once; the others are folded away."""


def grid_document(run: Run, pictures: Sequence[Picture]) -> Document:
    """The whole report; `pictures` are the figures drawn for the run."""
    scores = collect_scores(run)
    order = [reward for reward in scored(scores) if reward[0] != reward[1]]
    top = order[:RANKED_OPEN]
    lines = _lines(run, top)
    headings = _headings(run)
    sections = (
        *warnings_section(run),
        *_recommendation_section(run, scores),
        *unlabelled_section(run, pictures),
        _leaderboard_section(run, scores, order, pictures),
        *_comparison_section(run, top),
        *gap_sections(run, pictures),
        *confidence_section(run, scores, top, [p for p in pictures if p.topic == "confidence"], reward_name),
        *levels_section(run, scores, lines, headings, reward_name),
        *length_section(run, scores, lines, headings, reward_name),
        *_subset_section(run, scores, top),
        *rounding_section(run, reward_name),
        *checkpoints_section(run),
        methods_section(run),
    )
    title = f"Pairs of {plural(len(run.info.checkpoints), 'checkpoint')} on {run.info.task.name}"
    return Document(title, sections)


def main_benchmark(run: Run) -> str:
    """The first benchmark, in their order, for which a pair has a gap; empty where none has."""
    names = run.pairs[0].gaps if run.pairs else ()
    return next((name for name in names if any(row.gaps.get(name) is not None for row in run.pairs)), "")


def _headings(run: Run) -> tuple[str, ...]:
    variant = ("Variant",) if len(run.info.variants) > 1 else ()
    gap = ("Gap",) if main_benchmark(run) else ()
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
    if not order:
        return Section("Leaderboard", (Paragraph("There is no pair of two checkpoints with a scored item to rank."),))
    text = f"{plural(len(order), 'reward')} ranked by overall accuracy. {accuracy_text(run, scores)}"
    if main_benchmark(run):
        text += f" The gap is the score in {main_benchmark(run)} of strong minus that of weak, in points."
    if len(order) > 1:
        text += " Ranks of pairs whose intervals overlap are not to be taken at their word."
    unscored = len(scores.rewards) - len(order) - selves
    if unscored:
        text += f" Left out: {plural(unscored, 'reward')} without a scored item."
    if selves:
        text += f" Left out: {plural(selves, 'reward')} of a checkpoint over itself, a tie on every item."
    headings = _headings(run)
    blocks: list[Block] = [Paragraph(text)]
    blocks.append(score_table(scores, _lines(run, order[:RANKED_OPEN]), scores.main_scopes, headings, with_ties=True))
    if len(order) > RANKED_OPEN:
        rest = _lines(run, order[RANKED_OPEN:], first=RANKED_OPEN + 1)
        folded = f"Ranks {RANKED_OPEN + 1} to {len(order)}"
        blocks.append(
            score_table(scores, rest, scores.main_scopes, headings, with_ties=True, bold=False, folded=folded)
        )
    blocks.extend(picture for picture in pictures if picture.topic == "heatmap")
    return Section("Leaderboard", tuple(blocks))


def _subset_section(run: Run, scores: Scores, rewards: Sequence[Reward]) -> tuple[Section, ...]:
    lines = [Line((reward_name(reward),), reward) for reward in rewards]
    blocks: list[Block] = []
    best = f", the best {len(rewards)}" if len(rewards) == RANKED_OPEN else ""
    for title, scopes in subset_groups(run) if rewards else ():
        folded = f"{title or 'All items'}: {plural(len(scopes), 'subset')}{best}"
        blocks.append(score_table(scores, lines, scopes, ("Reward",), folded=folded))
    return section("Subsets", blocks)


def _comparison_section(run: Run, rewards: Sequence[Reward]) -> tuple[Section, ...]:
    """Comparisons of the rewards at the top of the leaderboard."""
    rows = [row for row in run.comparisons if (row.strong_a, row.weak_a, row.variant_a) in rewards]
    if not rows:
        return ()
    table = comparisons_table(rows, reward_name, plural(len(rows), "comparison"))
    return section("Paired comparisons", [Paragraph(comparisons_text(len(rows))), table])


def _recommendation_section(run: Run, scores: Scores) -> tuple[Section, ...]:
    scopes: dict[tuple[str, str], list[RecommendationRow]] = {}
    for row in sorted(run.recommendation, key=lambda row: row.rank):
        if row.accuracy is not None:
            scopes.setdefault((row.scope, row.name), []).append(row)
    ordered = sorted((scope for scope in scopes if len(scopes[scope]) > 1), key=lambda scope: scope[0] != "overall")
    if not ordered:
        return ()
    sentences = [_sentence(run, scores, scopes[scope]) for scope in ordered if scope[0] == "overall"]
    text = (
        "Tied: a paired test on the same items does not tell the pair from the best one. As that was chosen on them, "
        "too, p is adjusted for the comparisons of any two pairs (Holm) and held against 5%. Cheapest: fewest "
        "parameters of strong and weak together. All ranks: recommendation.csv."
    )
    columns = ("For", "Best pair", "Cheapest of those tied", "n", "Best: accuracy", "Tied with it", "Best: parameters")
    rows = [_recommendation_cells(run, scores, scope, scopes[scope]) for scope in ordered]
    table = said((*columns, "Cheapest: accuracy", "Cheapest: parameters"), rows, 3)
    return section("Recommendation", [Bullets(tuple(sentences)), Paragraph(text), table], opening=True)


def _sentence(run: Run, scores: Scores, rows: Sequence[RecommendationRow]) -> str:
    best, cheapest = rows[0], _cheapest(rows)
    tied = sum(row.tied for row in rows[1:])
    n = scores.row(reward_of(best), scores.overall)
    size = "" if n is None else f" (n = {count(n.n)})"
    text = (
        f"Among pairs under {best.variant}, use {best.strong} over {best.weak}: "
        f"{percent_interval(best.accuracy, best)} per cent overall{size}."
    )
    if not tied:
        others = "The other pair is" if len(rows) == 2 else "Every other pair is"
        return f"{text} {others} significantly worse."
    text += f" {plural(tied, 'other pair')} cannot be told from it."
    if cheapest is best:
        return f"{text} None of these has fewer parameters."
    if cheapest is not None:
        text += (
            f" The cheapest of these is {cheapest.strong} over {cheapest.weak} at "
            f"{percent_interval(cheapest.accuracy, cheapest)} with {_size(run, cheapest)} parameters."
        )
    return text


def _cheapest(rows: Sequence[RecommendationRow]) -> RecommendationRow | None:
    return next((row for row in rows if row.cheapest), None)


def _recommendation_cells(
    run: Run, scores: Scores, scope: tuple[str, str], rows: Sequence[RecommendationRow]
) -> tuple[Cell, ...]:
    best, cheapest = rows[0], _cheapest(rows)
    other = None if cheapest is best else cheapest
    measured = scores.row(reward_of(best), scope)
    return (
        Cell("Overall" if scope[0] == "overall" else scope[1]),
        Cell(f"{best.strong} over {best.weak}"),
        Cell(MISSING if other is None else f"{other.strong} over {other.weak}"),
        Cell(MISSING if measured is None else count(measured.n)),
        Cell(percent_interval(best.accuracy, best), best.accuracy),
        Cell(count(sum(row.tied for row in rows[1:]))),
        Cell(_size(run, best)),
        Cell(MISSING if other is None else percent_interval(other.accuracy, other)),
        Cell(MISSING if other is None else _size(run, other)),
    )


def _size(run: Run, row: RecommendationRow) -> str:
    """Parameters of both checkpoints, as the table or else run.json has them."""
    sizes = [run.checkpoint(name).parameters for name in (row.strong, row.weak)]
    known = [size for size in sizes if size is not None]
    total = row.parameters if row.parameters is not None else sum(known) if len(known) == 2 else None
    return MISSING if total is None else parameters(total)
