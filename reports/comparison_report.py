"""The report of runs that answered the same items: accuracies side by side, differences, items that changed sides."""

from collections.abc import Sequence

from .common_sections import reward_name
from .document import Block, Cell, Document, Paragraph, Section, Table
from .formatting import MISSING, count, p_value, percent_interval, plural, points, signed
from .run_format.compared import ChangedItem, Compared, ComparedRuns
from .scores import reward_of

SHOWN = 20
"""Items that are listed of those that changed sides, those of the largest change of margin."""


def comparison_document(runs: Sequence[ComparedRuns]) -> Document:
    """A section for each run beside the first one."""
    sections = tuple(Section(f"{run.second} against {run.first}", tuple(_blocks(run))) for run in runs)
    return Document(f"{plural(len(runs) + 1, 'run')} on {runs[0].task}", sections)


def _blocks(run: ComparedRuns) -> list[Block]:
    text = f"Over the {plural(run.items, 'item')} that both runs have"
    text += f" ({plural(run.left_out, 'item')} of one alone left out)" if run.left_out else ""
    text += (
        ". Overall accuracy in per cent with 95% intervals; the difference is the second run's minus the first's, on "
        "items that both scored, in points, with the p-value of a paired test, not adjusted for the number of rewards."
    )
    if run.by_margin:
        text += " Right is here a positive margin, a margin of zero one half, which is not the rule of this task."
    if run.unmatched:
        text += f" {plural(run.unmatched, 'reward')} without a counterpart in the other run left out."
    blocks: list[Block] = [Paragraph(text), _table(run.rewards)]
    shown = next((r for r in run.rewards if r.first.variant == "vanilla"), run.rewards[0])
    name = reward_name(reward_of(shown.first))
    for what, items in (("gained", shown.gained), ("lost", shown.lost)):
        if items:
            rest = f", the {SHOWN} with the largest change of margin" if len(items) > SHOWN else ""
            blocks.append(Paragraph(f"{plural(len(items), 'item')} {what} ({name}){rest}:"))
            blocks.append(_changed(items[:SHOWN]))
    return blocks


def _table(rewards: Sequence[Compared]) -> Table:
    columns = ("Reward", "n", "First", "Second", "Difference [95% interval]", "p", "Gained", "Lost")
    return Table(columns, tuple(_row(reward) for reward in rewards))


def _row(reward: Compared) -> tuple[Cell, ...]:
    first, second = reward_name(reward_of(reward.first)), reward_name(reward_of(reward.second))
    n = reward.first.n
    interval = f"[{points(reward.ci_low)}, {points(reward.ci_high)}]"
    return (
        Cell(first if first == second else f"{first}; {second}"),
        Cell(count(n)),
        Cell(percent_interval(reward.first.accuracy, reward.first)),
        Cell(percent_interval(reward.second.accuracy, reward.second)),
        Cell(f"{points(reward.difference)} {interval}", reward.difference) if n else Cell(MISSING),
        Cell(p_value(reward.p_value) if n else MISSING),
        Cell(count(len(reward.gained))),
        Cell(count(len(reward.lost))),
    )


def _changed(items: Sequence[ChangedItem]) -> Table:
    rows = tuple(
        (Cell(item.item), Cell(item.subset), Cell(signed(item.first, 2)), Cell(signed(item.second, 2)))
        for item in items
    )
    return Table(("Item", "Subset", "First margin (nats)", "Second margin (nats)"), rows, text_columns=2)
