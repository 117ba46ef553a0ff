"""What a grid says of accuracies without any label: estimates from agreement, and what speaks against them."""

from collections.abc import Sequence

from .common_sections import checkpoints_section, warnings_section
from .document import Block, Bullets, Cell, Document, Paragraph, Picture, Section, Table, said, section
from .formatting import MISSING, count, joined, p_value, plain, plural
from .methods import methods_section
from .run_format.reading import Run
from .run_format.run_info import MEAN_FILE, MEAN_PAIRS, UnlabelledInfo
from .run_format.tables import UnlabelledRow

SHOWN = 15
"""Pairs that are shown at once; the others are folded away."""
TITLE = "Accuracy without labels"


def unlabelled_document(run: Run, pictures: Sequence[Picture]) -> Document:
    """The report of a grid on items that have no label."""
    sections = (
        *warnings_section(run),
        *unlabelled_section(run, pictures),
        *checkpoints_section(run),
        methods_section(run),
    )
    title = f"Pairs of {plural(len(run.info.checkpoints), 'checkpoint')} on {run.info.task.name}, without labels"
    return Document(title, sections)


def unlabelled_section(run: Run, pictures: Sequence[Picture]) -> tuple[Section, ...]:
    """Estimates, controls and a recommendation, or the reason for none; nothing where nothing was estimated."""
    info = run.info.unlabelled
    if info is None or not run.unlabelled:
        return ()
    blocks: list[Block] = [Bullets(tuple(_sentences(run, info))), Paragraph(_model_text(info))]
    blocks += [picture for picture in pictures if picture.topic == "unlabelled"]
    blocks.append(_pairs(run.unlabelled[:SHOWN]))
    if len(run.unlabelled) > SHOWN:
        blocks.append(_pairs(run.unlabelled[SHOWN:], folded=f"The other {plural(len(run.unlabelled) - SHOWN, 'pair')}"))
    blocks += [Paragraph(_CONTROLS), _controls(run)]
    return section(TITLE, blocks, opening=True)


def _sentences(run: Run, info: UnlabelledInfo) -> list[str]:
    if info.refused:
        refusal = f"No pair is recommended, and the estimates below are not to be used: {info.refused}."
        return [refusal, "Label 20 items or more and fit (cdr-eval fit), or take the pair of the largest gap."]
    best = run.unlabelled[0]
    tied = [row for row in run.unlabelled[1:] if row.tied]
    text = (
        f"By agreement alone, use {best.strong} over {best.weak}: {_interval(best)}% estimated (n = {count(best.n)})."
    )
    if tied:
        text += f" {plural(len(tied), 'other pair')} cannot be told from it."
    cheapest = next((row for row in run.unlabelled if row.cheapest), best)
    if cheapest is not best:
        text += f" The cheapest of these is {cheapest.strong} over {cheapest.weak} ({_interval(cheapest)}%)."
    if info.mean_checkpoints:
        several = plural(min(MEAN_PAIRS, len(run.unlabelled)), "pair")
        text += (
            f" {MEAN_FILE} is the mean of the {several} of highest estimate ({info.mean_checkpoints} passes a "
            "response): a reward that pair, grid and annotate take with --reward."
        )
    warning = (
        "What is estimated is agreement with whatever the pairs have in common. A preference that all share is taken "
        "for quality, and no statistic of the votes can tell; look at what they prefer before you trust it."
    )
    return [text, warning, *_validation(run)]


def _validation(run: Run) -> list[str]:
    """How far the estimates are from the labels, where these are known."""
    known = [(r.estimate, r.accuracy) for r in run.unlabelled if r.estimate is not None and r.accuracy is not None]
    if not known:
        return []
    error = sum(abs(a - b) for a, b in known) / len(known)
    best = run.unlabelled[0].accuracy
    inside = sum((r.ci_low or 0) <= (r.accuracy or 0) <= (r.ci_high or 0) for r in run.unlabelled)
    text = (
        f"The labels, which took no part, say: mean absolute error {error:.1f} points over "
        f"{plural(len(known), 'pair')}, of which {inside} lie inside their intervals"
    )
    return [f"{text}; the recommended pair is right on {best:.1f}%." if best is not None else f"{text}."]


def _model_text(info: UnlabelledInfo) -> str:
    resampled = f"{plural(info.resamples, 'resample')} of problems" if info.resamples else "resampled problems"
    sign = (
        f"the gap in {info.benchmark} sets its sign (p = {p_value(info.sign_p)})"
        if info.benchmark
        else "nothing sets its sign"
    )
    return (
        f"Each comparison of two responses has one hidden quality difference; the margins of pairs ({info.variant}) "
        "are jointly normal with it, and errors of pairs that share no checkpoint are independent. One factor is "
        f"fitted to the correlations of such pairs' votes and explains {100 * info.explained:.0f}% of them; {sign}. "
        f"Intervals are from {resampled}; they take in that all comparisons may be equally hard, and take for "
        "granted that the pairs have one thing in common. "
        f"{plural(info.comparisons, 'comparison')} of {plural(info.items, 'item')}; {plural(info.ties, 'vote')} for "
        "neither. With more than two responses an item, accuracy is that of comparisons."
    )


_CONTROLS = (
    "Features of the texts as further raters. Where one explains much of how the pairs agree, they may agree on it "
    "rather than on quality, and nothing is recommended; a feature that goes with quality is refused, too. Only these "
    "features are looked at."
)


def _pairs(rows: Sequence[UnlabelledRow], folded: str = "") -> Table:
    cells = [
        (
            Cell(row.strong),
            Cell(row.weak),
            Cell(_interval(row), row.estimate),
            Cell(MISSING if row.accuracy is None else f"{row.accuracy:.1f}", row.accuracy),
            Cell(joined([mark for mark, yes in (("tied", row.tied), ("cheapest", row.cheapest)) if yes])),
        )
        for row in rows
    ]
    return said(("Strong", "Weak", "Estimate (%)", "By the labels (%)", "With the best"), cells, 2, folded)


def _interval(row: UnlabelledRow) -> str:
    if row.estimate is None or row.ci_low is None or row.ci_high is None:
        return MISSING
    return f"{row.estimate:.1f} [{row.ci_low:.1f}, {row.ci_high:.1f}]"


def _controls(run: Run) -> Table:
    rows = tuple(
        (
            Cell(row.control),
            Cell(count(row.n)),
            Cell(_per_cent(row.explained), row.explained),
            Cell(plain(row.correlation)),
        )
        for row in run.controls
    )
    columns = ("Feature", "Comparisons that differ", "Agreement explained (%)", "Correlation with the estimates")
    return Table(columns, rows)


def _per_cent(share: float | None) -> str:
    return MISSING if share is None else f"{100 * max(share, 0.0):.0f}"
