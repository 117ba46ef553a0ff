"""The report of an annotation: which pairs were made, and what can be said of them."""

from collections.abc import Sequence

from .common_sections import best_of_section, checkpoints_section, described, reward_name, warnings_section
from .document import Block, Cell, Document, Footnotes, Paragraph, Picture, Section, Table, section
from .formatting import MISSING, count, plain, plural
from .run_format.reading import Run
from .run_format.run_info import AnnotationInfo
from .run_format.tables import StatisticRow

AGREEMENT = "agreement"


def annotation_document(run: Run, pictures: Sequence[Picture]) -> Document:
    """The whole report; `pictures` are the figures drawn for the run."""
    info = run.info.annotation
    assert info is not None
    figures = {topic: [p for p in pictures if p.topic == topic] for topic in {p.topic for p in pictures}}
    of_subset = [row for row in run.statistics if row.topic == AGREEMENT and row.name]
    sections = (
        *warnings_section(run),
        _main_section(run, info),
        *section("Agreement by subset", [_table(of_subset)] if len(of_subset) > 1 else []),
        *best_of_section(run, figures.get("best-of", []), reward_name),
        *_confidence_section(run, figures),
        *_topic_section(run, "length", "Length", f"Lengths are in {info.length_unit}.", figures.get("length", [])),
        *_topic_section(run, "index", "Sample index", INDEX, figures.get("index", [])),
        *_topic_section(run, "domain", "Domains", "Under which criteria the prompts were scored.", []),
        *_topic_section(run, "variants", "Other variants", VARIANTS, []),
        _counts_section(info),
        *(checkpoints_section(run) if run.info.checkpoints else ()),
        _methods_section(run, info),
    )
    return Document(f"Preference data from {run.info.task.name} by {info.reward}", sections)


INDEX = (
    "Which of a prompt's samples was chosen; a text that several hold counts in parts for each. The shares must be "
    "equal but for chance: the order of samples means nothing."
)
VARIANTS = (
    "Whether another variant would choose the same response: the share of prompts, and Cohen's κ, where 0 is a choice "
    "at random among the prompt's distinct responses."
)
LENGTH = {
    "partial_correlation": "correlation of margin and label, given the difference in length",
    "correlation": "correlation of margin and label",
    "length_controlled_accuracy": "accuracy at equal length",
    "length_slope": "taste for length (logits a standard deviation)",
    "tau": "τ that fits these labels (nats)",
    "ece": "calibration error with τ of the other folds",
    "ece_if_calibrated": "that error if confidences were true",
    "area": "area under the selection curve",
}


def _main_section(run: Run, info: AnnotationInfo) -> Section:
    counts, splits = info.counts, ", ".join(f"{split} {count(rows)}" for split, rows in info.splits.items())
    blocks: list[Block] = [
        Paragraph(
            f"{plural(counts.get('pairs', 0), 'pair')} of {count(counts.get('prompts_kept', 0))} of "
            f"{plural(counts.get('prompts', 0), 'prompt')} with {plural(counts.get('responses', 0), 'response')} "
            f"(rows of {info.format}: {splits}). Chosen by {info.choice.get('rule')}; temperature "
            f"{_temperature(info)}; weights: {info.weights}."
        )
    ]
    rows = [row for row in run.statistics if row.topic == AGREEMENT and not row.name]
    if rows:
        text = f"Agreement with {info.labels}, with 95% intervals; accuracy is over the pairs of unequal grade."
        blocks += [Paragraph(text), _table(rows)]
    else:
        blocks.append(Paragraph("There are no labels to judge the pairs by."))
    return Section("Pairs and agreement", tuple(blocks))


def _temperature(info: AnnotationInfo) -> str:
    value = info.temperature.get("value")
    nats = plain(float(value)) if isinstance(value, (int, float)) else MISSING
    return f"{nats} nats ({described(info.temperature.get('source'))})"


def _confidence_section(run: Run, figures: dict[str, list[Picture]]) -> tuple[Section, ...]:
    blocks: list[Block] = [*figures.get("histogram", []), *figures.get("confidence", [])]
    rows = [row for row in run.statistics if row.topic == "confidence" and not row.name]
    judged = tuple(
        (Cell(LENGTH.get(row.statistic, row.statistic)), Cell(_valued(row.value, row.ci_low, row.ci_high), row.value))
        for row in (*run.confidence, *run.length)
    )
    if rows:
        blocks.append(_table(rows))
    if judged:
        blocks += [Paragraph("Judged by the labels:"), Table(("Statistic", "Value [95% interval]"), judged)]
    return section("Confidence", blocks)


def _topic_section(run: Run, topic: str, title: str, text: str, pictures: Sequence[Picture]) -> tuple[Section, ...]:
    rows = [row for row in run.statistics if row.topic == topic]
    return section(title, [Paragraph(text), *pictures, _table(rows)] if rows else [])


def _counts_section(info: AnnotationInfo) -> Section:
    rows = [(name.replace("_", " "), number) for name, number in info.counts.items()]
    rows += [(f"prompts without a pair: {reason}", number) for reason, number in info.dropped.items()]
    cells = tuple((Cell(name), Cell(count(number), number)) for name, number in rows)
    return Section("Counts", (Table(("What", "How many"), cells),))


def _methods_section(run: Run, info: AnnotationInfo) -> Section:
    unit = "mean per token" if run.info.mean_per_token else "sum over tokens"
    how = (
        f" Log-probabilities are of the response's tokens and its end-of-turn token ({unit})." if run.info.pairs else ""
    )
    text = (
        f"The reward of a response is {info.reward}.{how} Choice: {described(info.choice)}. Confidence is "
        f"2σ(m / τ) − 1 of a pair's margin m. Weights: {info.weights}; share of pairs kept: "
        f"{info.top:g}. Intervals are from {count(run.info.resamples)} bootstrap resamples of prompts (seed "
        f"{run.info.seed}), those of shares of pairs "
        f"Wilson's with clusters of prompts. Criteria: {run.info.criteria}. Versions: {described(run.info.versions)}."
    )
    drawn = f"The responses were sampled so: {described(info.sampling)}." if info.sampling else ""
    return Section("Methods", tuple(Paragraph(part) for part in (text, drawn) if part))


def _table(rows: Sequence[StatisticRow]) -> Table:
    footnotes = Footnotes()
    named = any(row.name for row in rows)
    cells = tuple(
        (
            Cell(row.statistic),
            *([Cell(row.name)] if named else []),
            Cell(count(row.n), row.n),
            Cell(_valued(row.value, row.ci_low, row.ci_high), row.value),
        )
        for row in rows
    )
    columns = ("Statistic", *(["Of"] if named else []), "n", "Value [95% interval]")
    return Table(columns, cells, text_columns=2 if named else 1, footnotes=footnotes.texts)


def _valued(value: float | None, low: float | None, high: float | None) -> str:
    return plain(value) if low is None or high is None else f"{plain(value)} [{plain(low)}, {plain(high)}]"
