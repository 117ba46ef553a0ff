"""What the alignment gap tells of accuracy: correlations, saturation, effects, and the chain of iterated training."""

from collections.abc import Iterable, Sequence

from .document import Block, Cell, Paragraph, Picture, Section, Table, section
from .formatting import MISSING, count, p_value, percent_interval, plain, points, signed
from .pair_figures import analysed_variant, families, measured_pair, members
from .run_format.reading import Run
from .run_format.tables import AccuracyRow, ChainRow, EffectRow, FixedRow, GapStatistic
from .scores import collect_scores

Key = tuple[str, str, str, str]
"""Benchmark, family, pair set, scope."""

CORRELATIONS = {"pearson": "Pearson r", "spearman": "Spearman ρ", "kendall": "Kendall τ"}
SIGN_ONLY = {
    "pearson_sizes_shuffled": "Pearson r by sign alone: gap sizes shuffled, signs kept (mean, central 95%)",
    "spearman_sizes_shuffled": "Spearman ρ by sign alone: gap sizes shuffled, signs kept (mean, central 95%)",
    "pearson_weak_fixed": "Pearson r, mean over fixed weak checkpoints",
    "pearson_strong_fixed": "Pearson r, mean over fixed strong checkpoints",
}
SATURATION = {"asymptote": "Asymptote of accuracy (%)", "gap_at_90": "Gap at 90% of the gain over chance (points)"}
NOISE = {
    "pearson_sd_items": "Standard deviation of Pearson r from items",
    "pearson_sd_checkpoints": "Standard deviation of Pearson r from checkpoints",
    "pearson_item_share": "Share of its variance from items",
    "pearson_checkpoint_share": "Share of its variance from checkpoints",
}
CHOICE = {
    "pearson_difference": "Difference of Pearson r between benchmarks",
    "strong_share": "Share of variance (logit) of the strong checkpoint",
    "weak_share": "Share of variance (logit) of the weak checkpoint",
    "left_over_share": "Share of variance (logit) left over",
    "gap_slope": "Logits per benchmark point, objective held fixed",
    "likelihood_like_effect": "Logits that a likelihood-like strong gains beside the gap",
    "objective_share": "Share of the variance left by the gap that the objective explains",
}
OTHERS = "for other benchmarks see gap_analysis.csv"
FIXED = "Correlations with one side of the pair held fixed (for other benchmarks see gap_fixed.csv)"
LEAST = 3
"""Checkpoints, or pairs with one side held fixed, that an analysis takes at least."""
COUNTS = ("n_pairs", "n_checkpoints", "n_left_out", "permutations", "permutations_exact", "identifiable")


def gap_sections(run: Run, pictures: Sequence[Picture]) -> tuple[Section, ...]:
    """All that a grid says of the gap; nothing where no checkpoint has a benchmark score."""
    statistics = _of_three(run)
    return (
        *_correlation_section(run, statistics, [p for p in pictures if p.topic == "gap"]),
        *_saturation_section(statistics),
        *_choice_section(run, statistics),
        *_chain_section(run, [p for p in pictures if p.topic == "chain"]),
    )


def _of_three(run: Run) -> list[GapStatistic]:
    """The statistics of at least three checkpoints: a correlation over two of them is 1 or -1 whatever they are."""
    few = {
        (row.benchmark, row.family, row.pair_set)
        for row in run.gap_analysis
        if row.statistic == "n_checkpoints" and (row.value or 0) < LEAST
    }
    small = {family for family in families(run) if len(members(run, family)) < LEAST}
    return [r for r in run.gap_analysis if (r.benchmark, r.family, r.pair_set) not in few and r.family not in small]


def _index(rows: Iterable[GapStatistic]) -> dict[Key, dict[str, GapStatistic]]:
    table: dict[Key, dict[str, GapStatistic]] = {}
    for row in rows:
        table.setdefault((row.benchmark, row.family, row.pair_set, row.scope), {})[row.statistic] = row
    return table


def _number(statistics: dict[str, GapStatistic], name: str) -> str:
    row = statistics.get(name)
    return MISSING if row is None or row.value is None else count(round(row.value))


def _value(row: GapStatistic, factor: float = 1.0) -> str:
    """The value with its interval."""
    if row.value is None:
        return MISSING
    if row.ci_low is None or row.ci_high is None:
        return plain(row.value * factor)
    return f"{plain(row.value * factor)} [{plain(row.ci_low * factor)}, {plain(row.ci_high * factor)}]"


def _correlation_section(
    run: Run, statistics: Sequence[GapStatistic], pictures: Sequence[Picture]
) -> tuple[Section, ...]:
    index = _index(statistics)
    benchmarks = list(dict.fromkeys(key[0] for key, found in index.items() if CORRELATIONS.keys() & found.keys()))
    if not benchmarks:
        return ()
    blocks: list[Block] = [
        Paragraph(
            f"Correlation of the alignment gap with overall accuracy ({analysed_variant(run)}) in three sets of pairs: "
            "all ordered pairs with each checkpoint over itself (as in the paper), ordered pairs without these, and "
            "each pair once, turned to a positive gap. Intervals come from leaving out one checkpoint at a time "
            "(jackknife, Fisher z), the permutation p-value from permuting checkpoint labels within families. "
            "The naive p-value treats pairs as independent, "
            "which they are not: it overstates the evidence and is shown for comparison only."
        ),
        *pictures,
    ]
    for number, benchmark in enumerate(benchmarks):
        keys = [key for key in index if key[0] == benchmark and key[3] == "overall"]
        own = [row for row in statistics if row.benchmark == benchmark]
        blocks.append(_correlation_table(index, keys, f"Correlations with the gap in {benchmark}" if number else ""))
        blocks.append(_statistics_table(own, SIGN_ONLY, f"Sign and size of the gap in {benchmark}" if number else ""))
    sections = [key for key in index if key[0] == benchmarks[0] and key[3] != "overall"]
    if sections:
        folded = f"Correlations with the gap in {benchmarks[0]} within each section ({OTHERS})"
        blocks.append(_correlation_table(index, sections, folded))
    fixed = [r for r in run.gap_fixed if (r.scope, r.benchmark) == ("overall", benchmarks[0]) and r.n >= LEAST]
    if fixed:
        blocks.append(_fixed_table(fixed))
    return section("Alignment gap and accuracy", blocks)


def _correlation_table(index: dict[Key, dict[str, GapStatistic]], keys: Sequence[Key], folded: str) -> Table:
    by_section = any(scope != "overall" for *_, scope in keys)
    rows: list[tuple[Cell, ...]] = []
    for key in keys:
        benchmark, family, pair_set, scope = key
        counts = index.get((benchmark, family, pair_set, "overall"), {})
        for name, label in CORRELATIONS.items():
            row = index[key].get(name)
            if row is None:
                continue
            texts = (*((scope,) if by_section else ()), benchmark, family, pair_set, label)
            cells = (_number(counts, "n_pairs"), _number(counts, "n_checkpoints"), _value(row))
            tests = (p_value(row.p_permutation) + _exact(counts), p_value(row.p_naive))
            rows.append(tuple(Cell(text) for text in (*texts, *cells, *tests)))
    columns = (
        "Benchmark",
        "Family",
        "Set of pairs",
        "Statistic",
        "Pairs (n)",
        "Checkpoints (n)",
        "Value [95% interval]",
    )
    tests = ("p (permutation)", "p (naive)")
    headings = (*(("Section",) if by_section else ()), *columns, *tests)
    return Table(headings, tuple(rows), text_columns=5 if by_section else 4, folded=folded)


def _exact(counts: dict[str, GapStatistic]) -> str:
    exact = counts.get("permutations_exact")
    return " (exact)" if exact is not None and exact.value == 1 else ""


def _statistics_table(statistics: Sequence[GapStatistic], labels: dict[str, str], folded: str = "") -> Table:
    """One row for each listed statistic of overall accuracy, with the number of its pairs."""
    rows: list[tuple[Cell, ...]] = []
    for (benchmark, family, pair_set, scope), found in _index(statistics).items():
        for name, label in labels.items():
            row = found.get(name)
            if row is None or row.value is None or scope != "overall":
                continue
            texts = (label, benchmark or MISSING, family, pair_set, _number(found, "n_pairs"))
            rows.append(tuple(Cell(text) for text in (*texts, _value(row), p_value(row.p_permutation))))
    columns = (
        "Statistic",
        "Benchmark",
        "Family",
        "Set of pairs",
        "Pairs (n)",
        "Value [95% interval]",
        "p (permutation)",
    )
    return Table(columns, tuple(rows), text_columns=4, folded=folded)


def _fixed_table(fixed: Sequence[FixedRow]) -> Table:
    rows = tuple(
        (
            *(Cell(text) for text in (f"{row.role} = {row.checkpoint}", row.benchmark, row.family)),
            Cell(CORRELATIONS.get(row.statistic, row.statistic)),
            Cell(count(row.n), row.n),
            Cell(_fixed_value(row), row.value),
        )
        for row in fixed
    )
    columns = ("Held fixed", "Benchmark", "Family", "Statistic", "Pairs (n)", "Value [95% interval]")
    return Table(
        columns,
        rows,
        text_columns=4,
        folded=FIXED,
    )


def _fixed_value(row: FixedRow) -> str:
    interval = f" [{plain(row.ci_low)}, {plain(row.ci_high)}]" if row.ci_low is not None else ""
    return f"{plain(row.value)}{interval}" if row.value is not None else MISSING


def _saturation_section(statistics: Sequence[GapStatistic]) -> tuple[Section, ...]:
    index = _index(row for row in statistics if row.scope == "overall")
    rows: list[tuple[Cell, ...]] = []
    for (benchmark, family, _, _), found in index.items():
        identifiable = found.get("identifiable")
        if identifiable is None:
            continue
        if identifiable.value == 1:
            asymptote = _value(found["asymptote"], 100) if "asymptote" in found else MISSING
            gap = _value(found["gap_at_90"]) if "gap_at_90" in found else MISSING
        else:
            asymptote = gap = "not identifiable"
        rows.append(tuple(Cell(text) for text in (benchmark, family, _number(found, "n_pairs"), asymptote, gap)))
    if not rows:
        return ()
    text = (
        "Accuracy fitted as c + (A − c)(1 − exp(−gap / scale)), c being chance, over pairs turned to a positive gap; "
        "intervals from resampling checkpoints. Where the data cannot tell at which accuracy the curve levels off, the "
        "table says so."
    )
    table = Table(("Benchmark", "Family", "Pairs (n)", *SATURATION.values()), tuple(rows), text_columns=2)
    return section("Where more gap stops helping", [Paragraph(text), table])


def _choice_section(run: Run, statistics: Sequence[GapStatistic]) -> tuple[Section, ...]:
    blocks: list[Block] = []
    for text, labels in (
        ("How sure the correlation is, by source of noise:", NOISE),
        ("Which choice matters, which benchmark predicts best, and what the training objective adds:", CHOICE),
    ):
        table = _statistics_table(statistics, labels)
        if table.rows:
            blocks += [Paragraph(text), table]
    effects = [r for r in run.effects if r.scope == "overall" and len(members(run, r.family)) >= LEAST]
    if effects:
        blocks.append(_effects_table(effects))
    others = _other_statistics(statistics)
    if others.rows:
        blocks.append(others)
    return section("Which choice matters", blocks)


def _effects_table(effects: Sequence[EffectRow]) -> Table:
    rows = tuple(
        (
            *(Cell(text) for text in (row.checkpoint, row.family, row.role, row.objective or MISSING)),
            Cell(f"{signed(row.effect, 2)} [{signed(row.ci_low, 2)}, {signed(row.ci_high, 2)}]", row.effect),
        )
        for row in effects
    )
    columns = ("Checkpoint", "Family", "As", "Objective", "Effect in logits [95% interval]")
    return Table(columns, rows, text_columns=4, folded="Additive effects of each checkpoint on the logit of accuracy")


def _other_statistics(statistics: Sequence[GapStatistic]) -> Table:
    """What the tables above do not name, so that no statistic of overall accuracy stays unseen."""
    shown = {*CORRELATIONS, *SIGN_ONLY, *SATURATION, *NOISE, *CHOICE, *COUNTS}
    rows = tuple(
        (
            *(Cell(text) for text in (row.statistic, row.benchmark or MISSING, row.family, row.pair_set)),
            *(Cell(text) for text in (_value(row), p_value(row.p_permutation), p_value(row.p_naive))),
        )
        for row in statistics
        if row.statistic not in shown and row.scope == "overall"
    )
    columns = (
        "Statistic",
        "Benchmark",
        "Family",
        "Set of pairs",
        "Value [95% interval]",
        "p (permutation)",
        "p (naive)",
    )
    return Table(columns, rows, text_columns=4, folded="Further statistics")


def _chain_section(run: Run, pictures: Sequence[Picture]) -> tuple[Section, ...]:
    chain = [row for row in run.chain if row.scope == "overall"]
    if not chain:
        return ()
    text = (
        "Does a checkpoint make a better reward over the checkpoint it was trained from, or over a weaker one? "
        "Accuracy in per cent; the difference is accuracy over the weaker one minus accuracy over its own "
        "reference, on the same items, in percentage points."
    )
    scores = collect_scores(run)
    columns = ("Checkpoint", "Over", "Relation", "n", "Accuracy", "Difference [95% interval]", "p (paired)")
    rows = tuple(_chain_cells(row, measured_pair(run, scores, row.checkpoint, row.weak)) for row in chain)
    table = Table(columns, rows, text_columns=3)
    return section("Iterated training", [Paragraph(text), *pictures, table])


def _chain_cells(row: ChainRow, measured: AccuracyRow | None) -> tuple[Cell, ...]:
    if row.difference is None:
        difference = MISSING
    else:
        difference = f"{points(row.difference)} [{points(row.diff_low)}, {points(row.diff_high)}]"
    return (
        *(Cell(text) for text in (row.checkpoint, row.weak, row.relation)),
        Cell(MISSING if measured is None else count(measured.n)),
        Cell(percent_interval(row.accuracy, row), row.accuracy),
        Cell(difference, row.difference),
        Cell(p_value(row.p_value), row.p_value),
    )
