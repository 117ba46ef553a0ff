"""The report of a fit: what it is worth beside a pair, how many labels and checkpoints it takes, what it is made of."""

from collections.abc import Sequence
from itertools import groupby

from .common_sections import (
    accuracy_text,
    checkpoints_section,
    comparisons_table,
    comparisons_text,
    confidence_section,
    length_section,
    reward_name,
    warnings_section,
)
from .document import Block, Bullets, Cell, Document, Paragraph, Picture, Section, Table, said, section
from .formatting import count, percent, percent_interval, plain, plural, points, signed
from .methods import methods_section
from .run_format.reading import Run
from .run_format.run_info import FITTED, FitInfo
from .run_format.tables import ComparisonRow, CurveRow
from .scores import Line, Scores, collect_scores, score_table, subset_groups


def fit_document(run: Run, pictures: Sequence[Picture]) -> Document:
    """The whole report; `pictures` are the figures drawn for the run."""
    scores, info = collect_scores(run), run.info.fit
    lines = [Line((reward_name(reward),), reward) for reward in scores.rewards]
    sections = (
        *warnings_section(run),
        *(_worth_section(run, info) if info is not None else ()),
        _accuracy_section(run, scores, lines),
        *_comparison_section(run),
        *_curve_section(run, pictures),
        *_sparse_section(run, info),
        *_coefficient_section(run, info),
        *confidence_section(run, scores, scores.rewards, [p for p in pictures if p.topic == "confidence"], reward_name),
        *length_section(run, scores, lines, ("Reward",), reward_name),
        *_subset_section(run, scores, lines),
        *checkpoints_section(run),
        methods_section(run),
    )
    return Document(
        f"A reward fitted to {plural(info.labels if info else 0, 'label')} of {run.info.task.name}", sections
    )


def _worth_section(run: Run, info: FitInfo) -> tuple[Section, ...]:
    """In sentences: the fit against the pair and against the gap's choice, and the sparse one's cost."""
    sentences = [_difference(row) for row in run.comparisons if row.strong_a == run.info.fitted[0].name]
    few, most = info.sparse, max((row.checkpoints for row in run.sparse_path), default=info.sparse)
    if any((row.gain or 0) > 0 for row in run.sparse_path[-1:]):
        share = percent(info.gain_share).removesuffix(".0")
        sentences.append(
            f"{few} of {plural(len(run.info.checkpoints), 'checkpoint')} have {share}% of what {most} gain over the "
            f"pair: a response then costs {few * len(info.conditionings)} passes, where a pair costs 2."
        )
    else:
        sentences.append("On these labels a sparse fit gains nothing over the pair chosen on the same ones.")
    sentences += [f"{fitted.name}: {fitted.told}." for fitted in run.info.fitted]
    sentences.append(
        "fitted.yaml and fitted-sparse.yaml hold the rewards fitted on all labels; pair, grid and annotate take "
        "them with --reward on items whose labels they were not fitted on."
    )
    return section("What the fit is worth", [Bullets(tuple(sentences))], opening=True)


def _difference(row: ComparisonRow) -> str:
    other = reward_name((row.strong_b, row.weak_b, row.variant_b))
    against = other if row.variant_b == FITTED else f"the gap's choice ({other})"
    interval = "" if row.ci_low is None else f" [{points(row.ci_low)}, {points(row.ci_high)}]"
    return f"{row.strong_a} over {against}: {points(row.difference)}{interval} points of accuracy (n = {count(row.n)})."


def _accuracy_section(run: Run, scores: Scores, lines: Sequence[Line]) -> Section:
    text = f"{accuracy_text(run, scores)} No item is judged by a reward that was fitted, or chosen, with its label."
    return Section("Accuracy", (Paragraph(text), score_table(scores, lines, scores.main_scopes, ("Reward",))))


def _comparison_section(run: Run) -> tuple[Section, ...]:
    if not run.comparisons:
        return ()
    text = comparisons_text(len(run.comparisons))
    return section("Paired comparisons", [Paragraph(text), comparisons_table(run.comparisons, reward_name)])


def _curve_section(run: Run, pictures: Sequence[Picture]) -> tuple[Section, ...]:
    if not run.learning_curve:
        return ()
    text = (
        "Mean over random splits: so many labels fit a reward, or choose a pair, and the other items judge it. The "
        "intervals take in which items were drawn to label and to judge."
    )
    rows: list[tuple[Cell, ...]] = []
    for labels, points_of in groupby(run.learning_curve, key=lambda row: row.labels):
        by = {row.reward: row for row in points_of}
        rows.append((Cell(count(labels)), *(_curve_cell(by[name]) for name in ("fitted", "pair", "difference"))))
    columns = ("Labels", "Fit (%)", "Best pair on the same labels (%)", "Difference (points)")
    shown = [picture for picture in pictures if picture.topic == "curve"]
    return section("How many labels it takes", [Paragraph(text), *shown, Table(columns, tuple(rows))])


def _curve_cell(row: CurveRow) -> Cell:
    if row.reward != "difference":
        return Cell(percent_interval(row.value, row), row.value)
    return Cell(f"{points(row.value)} [{points(row.ci_low)}, {points(row.ci_high)}]", row.value)


def _sparse_section(run: Run, info: FitInfo | None) -> tuple[Section, ...]:
    if not run.sparse_path or info is None:
        return ()
    under = len(info.conditionings)
    each = f" under each of its {under} conditionings" if under > 1 else ""
    text = (
        "Checkpoints are added one by one, that which lowers the loss most first; each fold finds its own order, and "
        f"the column says the order on all labels. Each checkpoint is a pass over a model{each}. The size in bold was "
        "chosen by these accuracies, so that its own is flattered; the table of accuracies above has the honest one."
    )
    rows = [
        (
            Cell(count(row.checkpoints * under), best=row.checkpoints == info.sparse),
            Cell(row.added),
            Cell(count(row.n)),
            Cell(percent_interval(row.accuracy, row), row.accuracy),
            Cell(points(row.gain), row.gain),
        )
        for row in run.sparse_path
    ]
    columns = ("Passes", "Checkpoint added", "n", "Accuracy (%)", "Over the pair (points)")
    return section("How many checkpoints it takes", [Paragraph(text), said(columns, rows, 2)])


def _coefficient_section(run: Run, info: FitInfo | None) -> tuple[Section, ...]:
    if not run.coefficients or info is None:
        return ()
    text = (
        "The reward is Σ coefficient · log-probability; its difference between two responses is the log-odds that the "
        "first is preferred, so that confidence needs no temperature. Coefficients sum to zero, as those of a density "
        f"ratio do. Ridge strength {info.strength:.2g}, out-of-fold log loss {plain(info.log_loss)} nats (a coin: "
        "0.693). The intervals are those of the ridge at this strength, by clusters of items: a ridge draws "
        "coefficients to zero, and those of checkpoints that say the same are shared out among them."
    )
    blocks: list[Block] = [Paragraph(text)]
    for reward, of_reward in groupby(run.coefficients, key=lambda row: row.reward):
        rows = [
            (
                Cell(row.checkpoint),
                Cell(row.conditioning),
                Cell(
                    f"{signed(row.coefficient, 3)} [{signed(row.ci_low, 3)}, {signed(row.ci_high, 3)}]", row.coefficient
                ),
            )
            for row in sorted(of_reward, key=lambda row: -(row.coefficient or 0))
        ]
        blocks.append(Table((f"Checkpoint ({reward})", "Under", "Coefficient (logits a nat)"), tuple(rows), 2))
    return section("Coefficients", blocks)


def _subset_section(run: Run, scores: Scores, lines: Sequence[Line]) -> tuple[Section, ...]:
    blocks: list[Block] = []
    for title, scopes in subset_groups(run):
        folded = f"{title or 'All items'}: {plural(len(scopes), 'subset')}"
        blocks.append(score_table(scores, lines, scopes, ("Reward",), folded=folded))
    return section("Subsets", blocks)
