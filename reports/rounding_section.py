"""The section on quantised weights: how many margins change sign against the full ones."""

from collections.abc import Callable

from .document import Cell, Paragraph, Section, Table
from .formatting import count, percent, percent_interval, plain
from .run_format.reading import Run
from .scores import Reward, reward_of

MOST = 20
"""Rewards shown; rounding.csv has them all."""


def rounding_section(run: Run, label: Callable[[Reward], str]) -> tuple[Section, ...]:
    """The rewards whose margins change sign most often; nothing where no check was asked for."""
    if not run.rounding:
        return ()
    ranked = sorted(run.rounding, key=lambda row: -(row.flipped or 0.0))
    rows = tuple(
        (
            Cell(label(reward_of(row))),
            Cell(count(row.n), row.n),
            Cell(percent_interval(row.flipped, row), row.flipped),
            Cell(percent(row.predicted), row.predicted),
            Cell(plain(row.noise), row.noise),
            Cell(plain(row.spread), row.spread),
        )
        for row in ranked[:MOST]
    )
    text = (
        "Margins with the quantised weights against those with the full ones, on the items that were scored with both: "
        "the share in per cent that changes sign, with its 95% interval, beside the share predicted by arctan(noise / "
        "spread) / π, where noise is the standard deviation of the difference and spread that of the full margins, in "
        "nats."
    )
    if len(ranked) > MOST:
        text += f" The {MOST} rewards that change most of {len(ranked)} are shown; rounding.csv has all."
    table = Table(("Reward", "Items", "Changed sign", "Predicted", "Noise", "Spread"), rows)
    return (Section("Quantised weights", (Paragraph(text), table)),)
