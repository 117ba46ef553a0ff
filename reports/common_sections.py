"""Sections that the reports of pairs and of grids share: what to know first, length, confidence, checkpoints."""

from collections.abc import Callable, Iterator, Sequence

from pydantic import JsonValue

from .document import Block, Bullets, Cell, Paragraph, Section, Table, said, section
from .formatting import MISSING, count, joined, p_value, percent, percent_interval, plain, plural, points
from .run_format.reading import Run
from .run_format.run_info import ANNOTATOR, FITTED, CheckpointInfo, Counts
from .run_format.tables import ComparisonRow, ConfidenceRow, LengthRow
from .scores import SCOPE_TITLES, Line, Reward, Scope, Scores, chance_of, reward_of, score_table

LENGTH_SCOPES: tuple[Scope, ...] = tuple(scope for scope in SCOPE_TITLES if scope[0] == "length")
STATISTICS = {
    "tau": ("τ (nats)", 1),
    "ece": ("Calibration error, ECE (points)", 100),
    "ece_if_calibrated": ("ECE if perfectly calibrated (points)", 100),
    "area": ("Area under the selection curve (%)", 100),
    "correlation": ("Correlation of margin and label", 1),
    "partial_correlation": ("The same, given the difference in length", 1),
    "length_controlled_accuracy": ("Accuracy at equal length (%)", 100),
    "length_slope": ("Taste for length (logits a standard deviation)", 1),
}
"""Heading and factor of each statistic of confidence.csv and length.csv."""

Namer = Callable[[Reward], str]
"""How a report calls a reward."""


def reward_name(reward: Reward) -> str:
    """A reward in words: "vanilla, A over B"."""
    strong, weak, variant = reward
    if variant == ANNOTATOR:
        return f"annotator {strong}"
    if variant == FITTED:
        return strong
    return f"{variant}, {strong} over {weak}" if weak else f"{variant}, {strong} alone"


def warnings_section(run: Run) -> tuple[Section, ...]:
    """The notes of the run, which say what went another way than planned."""
    sentences = [*run.info.notes, *_equal_variants(run)]
    return section("Read this first", [Bullets(tuple(sentences))] if sentences else [], opening=True)


def _equal_variants(run: Run) -> Iterator[str]:
    """Sentences on variants all of whose figures are those of an earlier one: on this task they are the same reward."""
    figures: dict[str, list[object]] = {}
    for row in (*run.accuracy, *run.confidence, *run.length):
        figures.setdefault(row.variant, []).append(row.model_copy(update={"variant": ""}))
    first: dict[str, list[str]] = {}
    for variant in (name for name in run.info.variants if name in figures):
        twin = next((name for name in first if figures[name] == figures[variant]), None)
        first.setdefault(variant if twin is None else twin, []).extend([] if twin is None else [variant])
    for name, twins in first.items():
        if twins and any(row.accuracy is not None for row in run.accuracy if row.variant == name):
            yield f"On this task every figure of {name} is also that of {joined(twins)}."


def accuracy_text(run: Run, scores: Scores) -> str:
    """What an accuracy of the run is, and what chance would give."""
    by_section = scores.sections and run.info.task.overall == "sections"
    overall = "overall is the mean of the sections" if by_section else "overall is over all items"
    level = chance_of(scores.row(reward, scope) for reward in scores.rewards for scope in scores.main_scopes)
    chance = f" Chance is {percent(level)}." if level is not None else ""
    return (
        f"Accuracy is the mean credit of {plural(run.info.task.items, 'item')}, in per cent with 95% intervals; "
        f"{overall}. The rule: {run.info.task.rule}.{chance}"
    )


def levels_section(
    run: Run, scores: Scores, lines: Sequence[Line], headings: Sequence[str], label: Namer
) -> tuple[Section, ...]:
    """Accuracy by the task's levels of difficulty, and by styles, where it has them."""
    styles = run.info.task.styles
    by_style = {right: [("level", f"{right} over {wrong}") for wrong in styles] for right in styles}
    levels = [scope for scope in scores.levels if not any(scope in cells for cells in by_style.values())]
    blocks: list[Block] = [score_table(scores, lines, levels, headings)] if levels else []
    if styles:
        blocks.append(Paragraph("By style: acceptable responses of a row's style against the others of a column's."))
        rows = [
            (Cell(label(line.reward)), Cell(right), *(_style_cell(scores, line.reward, cell) for cell in cells))
            for line in lines
            for right, cells in by_style.items()
        ]
        blocks.append(Table(("Reward", "Acceptable", *(f"over {style}" for style in styles)), tuple(rows), 2))
    return section("Levels", blocks)


def _style_cell(scores: Scores, reward: Reward, scope: Scope) -> Cell:
    row = scores.row(reward, scope)
    return Cell(MISSING if row is None else f"{percent_interval(row.accuracy, row)} (n = {count(row.n)})")


def best_of_section(run: Run, pictures: Sequence[Block], label: Namer) -> tuple[Section, ...]:
    """The grade of the response that each reward picks, as there are more to pick from."""
    if not run.best_of:
        return ()
    ks = sorted({row.k for row in run.best_of})
    shown = [k for k in ks if k & (k - 1) == 0 or k == ks[-1]]
    cells: dict[Reward, dict[int, Cell]] = {}
    for row in run.best_of:
        interval = "" if row.ci_low is None else f" [{plain(row.ci_low)}, {plain(row.ci_high)}]"
        cells.setdefault(reward_of(row), {})[row.k] = Cell(f"{plain(row.grade)}{interval}", row.grade)
    rows = tuple(
        (Cell(label(reward) if reward[0] else reward[2]), *(of_reward.get(k, Cell(MISSING)) for k in shown))
        for reward, of_reward in cells.items()
    )
    text = (
        f"Mean grade of the response of highest reward among k drawn at random from a prompt's, over "
        f"{plural(max(row.n for row in run.best_of), 'prompt')} with 95% intervals over prompts; a prompt with fewer "
        "than k gives all of its. Beside the rewards: a random response, the longest (in characters), and the best."
    )
    table = Table(("Reward", *(f"k = {k}" for k in shown)), rows)
    return (Section("Best of N", (Paragraph(text), *pictures, table)),)


def length_section(
    run: Run, scores: Scores, lines: Sequence[Line], headings: Sequence[str], label: Namer
) -> tuple[Section, ...]:
    """How far each reward follows length, beside rewards that look at nothing else."""
    if not lines:
        return ()
    blocks: list[Block] = []
    if any(scores.row(line.reward, scope) for line in lines for scope in LENGTH_SCOPES):
        blocks.append(
            Paragraph(
                "How often the longer response (in characters) wins, and the accuracy on items where the chosen "
                "response is the longer and where it is the shorter one."
            )
        )
        blocks.append(score_table(scores, lines, LENGTH_SCOPES, headings, bold=False))
    if scores.baselines:
        blocks.append(Paragraph("Accuracy on the same items of always picking the longer or the shorter response:"))
        baselines = [Line((variant,), (strong, weak, variant)) for strong, weak, variant in scores.baselines]
        blocks.append(score_table(scores, baselines, scores.main_scopes, ("Baseline",), bold=False))
    if run.length:
        blocks.append(
            Paragraph(
                "Margins with the difference in length held constant (the label says which response is the chosen one):"
            )
        )
        blocks.append(_statistics_table(run.length, scores, [line.reward for line in lines], label))
    return section("Length", blocks)


def confidence_section(
    run: Run, scores: Scores, rewards: Sequence[Reward], pictures: Sequence[Block], label: Namer
) -> tuple[Section, ...]:
    """Whether a reward knows when it is right."""
    blocks: list[Block] = []
    if run.confidence or pictures:
        blocks.append(
            Paragraph(
                f"Accuracy among the items with the largest absolute {_margin(run)} (selection), and how often a "
                "reward that says σ(|margin| / τ) is right (calibration, τ fitted out of fold)."
            )
        )
    blocks.extend(pictures)
    if run.confidence:
        blocks.append(_statistics_table(run.confidence, scores, rewards, label))
    return section("Confidence", blocks)


def _margin(run: Run) -> str:
    """What a margin is; with two responses an item it needs no words."""
    of_two = run.info.task.responses == 2 * run.info.task.items
    return "margins" if of_two else "margins (best reward of an acceptable response minus best of the others)"


def _statistics_table(
    rows: Sequence[ConfidenceRow | LengthRow], scores: Scores, rewards: Sequence[Reward], label: Namer
) -> Table:
    """One row for each of the rewards, one column a statistic, each with its interval."""
    names = list(dict.fromkeys(row.statistic for row in rows))
    values: dict[Reward, dict[str, Cell]] = {}
    for row in rows:
        values.setdefault(reward_of(row), {})[row.statistic] = Cell(_with_interval(row), row.value)
    table_rows: list[tuple[Cell, ...]] = []
    for reward in rewards:
        cells = values.get(reward, {})
        overall = scores.row(reward, scores.overall)
        n = Cell(MISSING if overall is None else count(overall.n))
        table_rows.append((Cell(label(reward)), n, *(cells.get(name, Cell(MISSING)) for name in names)))
    headings = (STATISTICS.get(name, (name, 1))[0] for name in names)
    return Table(("Reward", "n", *headings), tuple(table_rows))


def _with_interval(row: ConfidenceRow | LengthRow) -> str:
    _, factor = STATISTICS.get(row.statistic, ("", 1))

    def shown(value: float | None) -> str:
        if value is None:
            return MISSING
        return f"{100 * value:.1f}" if factor == 100 else plain(value)

    if row.ci_low is None or row.ci_high is None:
        return shown(row.value)
    return f"{shown(row.value)} [{shown(row.ci_low)}, {shown(row.ci_high)}]"


def comparisons_table(rows: Sequence[ComparisonRow], label: Namer, folded: str = "") -> Table:
    """Differences of overall accuracy on the same items."""
    columns = ("Reward", "Against", "n", "Difference [95% interval]", "p")
    return Table(columns, tuple(_comparison_cells(row, label) for row in rows), text_columns=2, folded=folded)


def comparisons_text(number: int) -> str:
    """What stands above a table of comparisons."""
    return (
        "Difference of overall accuracy on the same items, in percentage points with 95% intervals and the p-value of "
        f"a paired test. The p-values are not adjusted for the {plural(number, 'comparison')}."
    )


def _comparison_cells(row: ComparisonRow, label: Namer) -> tuple[Cell, ...]:
    interval = f"[{points(row.ci_low)}, {points(row.ci_high)}]" if row.ci_low is not None else "[no interval]"
    return (
        Cell(label((row.strong_a, row.weak_a, row.variant_a))),
        Cell(label((row.strong_b, row.weak_b, row.variant_b))),
        Cell(count(row.n), row.n),
        Cell(MISSING if row.difference is None else f"{points(row.difference)} {interval}", row.difference),
        Cell(p_value(row.p_value), row.p_value),
    )


def checkpoints_section(run: Run) -> tuple[Section, ...]:
    """What was scored: weights, training and benchmark scores in use, and how many items went wrong for each."""
    info = run.info
    columns = {heading: [text(c) for c in info.checkpoints] for heading, text in CHECKPOINT_COLUMNS.items()}
    columns["Parameters"] = [parameters(c.parameters) if c.parameters is not None else "" for c in info.checkpoints]
    for benchmark in dict.fromkeys(b for c in info.checkpoints for b in c.scores_used):
        used = [c.scores_used.get(benchmark) for c in info.checkpoints]
        columns[f"{benchmark} (%)"] = ["" if value is None else f"{value:g}" for value in used]
    for heading, counts in FAULTS.items():
        numbers = [counts(info.counts).get(c.name, 0) for c in info.checkpoints]
        columns[heading] = [count(number) if any(numbers) else "" for number in numbers]
    rows = [[Cell(text or MISSING) for text in row] for row in zip(*columns.values(), strict=True)]
    folded = "" if len(rows) <= 2 else f"{plural(len(rows), 'checkpoint')}: weights, training, benchmark scores in use"
    return section("Checkpoints", [said(list(columns), rows, len(CHECKPOINT_COLUMNS), folded)])


CHECKPOINT_COLUMNS: dict[str, Callable[[CheckpointInfo], str]] = {
    "Checkpoint": lambda c: c.name,
    "Model": lambda c: c.model if c.revision is None else f"{c.model} at {c.revision}",
    "Family": lambda c: c.family or "",
    "Stage": lambda c: c.stage or "",
    "Objective": lambda c: c.objective or "",
    "Trained from": lambda c: c.trained_from or "",
    "dtype": lambda c: c.dtype or "",
    "Weights": lambda c: (c.weights or "").removeprefix("sha256:")[:12],
}
"""Headings and texts about a checkpoint; a column that says nothing of any is left out."""
FAULTS: dict[str, Callable[[Counts], dict[str, int]]] = {
    "Truncated": lambda counts: counts.truncated,
    "Unscored": lambda counts: counts.unscored,
    "Not finite": lambda counts: counts.non_finite,
    "No end of turn": lambda counts: counts.no_end_of_turn,
}
"""Headings of the counts of items by checkpoint, shown where one is not zero."""


def parameters(number: int) -> str:
    """A parameter count: "7.2 B", "1.3 M"."""
    for unit, size in (("B", 1e9), ("M", 1e6), ("k", 1e3)):
        if number >= size:
            return f"{number / size:.1f} {unit}"
    return str(number)


def described(value: JsonValue) -> str:
    """A JSON value in words: a mapping as "a: 1, b: 2"."""
    if isinstance(value, dict):
        return ", ".join(f"{key}: {described(item)}" for key, item in value.items())
    if isinstance(value, list):
        return ", ".join(described(item) for item in value)
    return "none" if value is None else str(value)
