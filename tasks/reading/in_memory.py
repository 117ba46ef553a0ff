"""Rows that the caller holds: dictionaries, a pandas DataFrame, or a datasets.Dataset."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from ...errors import UserError
from .rows import Row, Wanted, numbered

NAME = "rows"


def rows_at_hand(data: Any) -> Callable[[Wanted], Iterator[Row]]:
    """The rows, to be read as often as needed. A missing value of a DataFrame is none.

    Raises UserError for what holds no rows.
    """
    if isinstance(data, Mapping):
        raise UserError(
            f"A task is a list of rows, and this is a mapping of {', '.join(map(str, list(data)[:5]))}; "  # pyright: ignore[reportUnknownArgumentType]
            "pass one of its splits, or a list of dictionaries."
        )
    if hasattr(data, "iloc"):
        import pyarrow as pa

        try:
            table: Any = pa.Table.from_pandas(data, preserve_index=False)  # pyright: ignore[reportUnknownMemberType]
        except (pa.ArrowException, ValueError, OverflowError) as error:
            why = "; ".join(map(str, error.args))
            raise UserError(
                f"The DataFrame cannot be read ({why}): give each column one type and a name of its own."
            ) from error
        data = table.to_pylist()
    if not isinstance(data, Iterable):
        raise UserError(
            f"A task is a name, a path, a list of dictionaries, a DataFrame or a datasets.Dataset, not {data!r:.60}."
        )
    kept: Any = list(data) if isinstance(data, Iterator) else data  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
    return lambda _wanted: numbered(NAME, iter(kept))
