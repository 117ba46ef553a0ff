"""What comparing runs on the same items finds: the records that the harness makes and the report shows."""

from dataclasses import dataclass

from .tables import AccuracyRow


@dataclass(frozen=True, slots=True)
class ChangedItem:
    """An item that one reward gets right and the other wrong."""

    item: str
    subset: str
    first: float
    """Margins in nats."""
    second: float


@dataclass(frozen=True, slots=True)
class Compared:
    """A reward of the first run and one of another, over the items that both scored."""

    first: AccuracyRow
    second: AccuracyRow
    difference: float
    """Overall accuracy of the second minus that of the first, a share."""
    ci_low: float
    ci_high: float
    p_value: float
    gained: tuple[ChangedItem, ...]
    """Wrong in the first run and right in the second, the largest change of margin first."""
    lost: tuple[ChangedItem, ...]


@dataclass(frozen=True, slots=True)
class ComparedRuns:
    """A run beside the first one."""

    first: str
    """Folders."""
    second: str
    task: str
    items: int
    left_out: int
    """Items that only one of the runs has."""
    by_margin: bool
    """Whether items have more than two responses, so that right and wrong by margin is not the task's rule."""
    rewards: tuple[Compared, ...]
    unmatched: int
    """Rewards of either run that the other has none for."""
