"""What the heatmaps and scatters of a grid show, as plain records."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from .escaping import shortened
from .formatting import count
from .run_format.reading import Run
from .run_format.tables import AccuracyRow, SaturationRow
from .scores import Scores, chance_of

LABEL_LENGTH = 24
"""Longer labels lose their middle."""


@dataclass(frozen=True, slots=True)
class Heatmap:
    """Overall accuracies of all pairs of a family under one variant."""

    family: str
    variant: str
    checkpoints: tuple[str, ...]
    rows: Mapping[tuple[str, str], AccuracyRow]
    caption: str
    chance: float
    """Per cent: the middle of the colours."""

    @property
    def reach(self) -> float:
        """How far accuracies lie from chance, in points, and at least 5."""
        values = [100 * row.accuracy for row in self.rows.values() if row.accuracy is not None]
        return max([5.0, *(abs(value - self.chance) for value in values)])


@dataclass(frozen=True, slots=True)
class Point:
    """A pair in a scatter: gap in points, accuracy in [0, 1]."""

    strong: str
    weak: str
    gap: float
    row: AccuracyRow


@dataclass(frozen=True, slots=True)
class Series:
    """The pairs of a family, each once, turned to a positive gap, and the fit through them."""

    family: str
    points: tuple[Point, ...]
    fit: tuple[SaturationRow, ...]
    identifiable: bool
    """Whether the data tell at which accuracy the fit levels off."""


@dataclass(frozen=True, slots=True)
class Scatter:
    """Accuracy against the gap in one benchmark."""

    benchmark: str
    variant: str
    series: tuple[Series, ...]
    n: str
    chance: float | None
    """A share; None where the pairs have none in common."""


def families(run: Run) -> tuple[str, ...]:
    """The families that pairs were formed in, in order."""
    return tuple(dict.fromkeys(pair.family or "" for pair in run.info.pairs))


def members(run: Run, family: str) -> tuple[str, ...]:
    """The checkpoints of a family's pairs, in the run's order."""
    present = {name for p in run.info.pairs if (p.family or "") == family for name in (p.strong, p.weak)}
    return tuple(c.name for c in run.info.checkpoints if c.name in present)


def list_heatmaps(run: Run, scores: Scores) -> tuple[Heatmap, ...]:
    """One for each family of at least three checkpoints and each variant of pairs; two make one cell and its mirror."""
    found: list[Heatmap] = []
    for family in families(run):
        pairs = [(pair.strong, pair.weak) for pair in run.info.pairs if (pair.family or "") == family]
        names = members(run, family)
        for variant in run.info.variants:
            rows = {pair: row for pair in pairs if (row := scores.row((*pair, variant), scores.overall)) is not None}
            chance = chance_of(rows.values())
            if len(names) > 2 and chance is not None and any(row.accuracy is not None for row in rows.values()):
                caption = _caption(family, variant, rows.values())
                found.append(Heatmap(family, variant, names, rows, caption, 100 * chance))
    return tuple(found)


def _caption(family: str, variant: str, rows: Iterable[AccuracyRow]) -> str:
    measured = [row for row in rows if row.strong != row.weak]
    halves = [50 * (r.ci_high - r.ci_low) for r in measured if r.ci_low is not None and r.ci_high is not None]
    width = f"; 95% intervals ±{min(halves):.1f} to ±{max(halves):.1f}" if halves else ""
    return f"{family}, {variant}: overall accuracy (%)\n{sizes(measured)}{width}"


def sizes(rows: Iterable[AccuracyRow]) -> str:
    """The number of items behind accuracies: "n = 2,985" or "n = 2,980 to 2,985"."""
    numbers = sorted({row.n for row in rows})
    if not numbers:
        return "n = 0"
    return f"n = {count(numbers[0])}" + (f" to {count(numbers[-1])}" if len(numbers) > 1 else "")


def analysed_variant(run: Run) -> str:
    """The variant that the gap analyses are about: vanilla, or else the first of two checkpoints; empty if none is."""
    variants = dict.fromkeys(row.variant for row in run.pairs)
    return "vanilla" if "vanilla" in variants else next(iter(variants), "")


def measured_pair(run: Run, scores: Scores, strong: str, weak: str) -> AccuracyRow | None:
    """Overall accuracy of a pair under the analysed variant."""
    return scores.row((strong, weak, analysed_variant(run)), scores.overall)


def list_scatters(run: Run, scores: Scores) -> tuple[Scatter, ...]:
    """One for each benchmark with gaps of at least three pairs, under the variant that was analysed."""
    variant = analysed_variant(run)
    benchmarks = dict.fromkeys(name for row in run.pairs for name, gap in row.gaps.items() if gap is not None)
    found: list[Scatter] = []
    for benchmark in benchmarks:
        series = tuple(s for family in families(run) if (s := _series(run, scores, benchmark, variant, family)).points)
        rows = [point.row for s in series for point in s.points]
        if len(rows) > 2:
            found.append(Scatter(benchmark, variant, series, sizes(rows), chance_of(rows)))
    return tuple(found)


def _series(run: Run, scores: Scores, benchmark: str, variant: str, family: str) -> Series:
    points: list[Point] = []
    for pair in run.pairs:
        gap = pair.gaps.get(benchmark)
        row = scores.row((pair.strong, pair.weak, variant), scores.overall)
        wanted = pair.variant == variant and pair.family == family and gap is not None and gap > 0
        if wanted and gap is not None and row is not None and row.accuracy is not None:
            points.append(Point(pair.strong, pair.weak, gap, row))
    fit = [
        row
        for row in run.saturation
        if (row.family, row.scope, row.benchmark) == (family, "overall", benchmark) and row.gap is not None
    ]
    known = any(
        (row.family, row.scope, row.benchmark, row.statistic, row.value)
        == (family, "overall", benchmark, "identifiable", 1)
        for row in run.gap_analysis
    )
    return Series(family, tuple(points), tuple(sorted(fit, key=lambda row: row.gap or 0.0)), known)


def short_labels(run: Run, names: Sequence[str]) -> dict[str, str]:
    """A short text for each checkpoint, different for different ones."""
    known = {checkpoint.name: checkpoint.label for checkpoint in run.info.checkpoints}
    labels = {name: known.get(name) or name for name in names}
    repeated = {label for label in labels.values() if list(labels.values()).count(label) > 1}
    texts = [shortened(name if label in repeated else label, LABEL_LENGTH) for name, label in labels.items()]
    return dict(zip(labels, distinct(texts), strict=True))


def distinct(texts: Sequence[str]) -> list[str]:
    """The texts, with a number after those that stood before."""
    taken: dict[str, int] = {}
    told: list[str] = []
    for text in texts:
        taken[text] = taken.get(text, 0) + 1
        told.append(text if taken[text] == 1 else f"{text} ({taken[text]})")
    return told
