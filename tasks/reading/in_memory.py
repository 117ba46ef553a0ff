"""Rows that the caller holds: dictionaries, a pandas DataFrame, or a datasets.Dataset."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, cast

from ...errors import UserError
from .class_labels import Names, label_names, with_names
from .notes import not_utf8
from .rows import Row, Wanted, numbered

NAME = "rows"


def rows_at_hand(data: Any) -> Callable[[Wanted], Iterator[Row]]:
    """The rows, to be read as often as needed. A missing value of a DataFrame is none; a class label of a data set is
    its name.

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
        except UnicodeEncodeError as error:
            raise UserError(f"The DataFrame cannot be read: {not_utf8()}.") from error
        except (pa.ArrowException, ValueError, OverflowError) as error:
            why = "; ".join(map(str, error.args))
            raise UserError(
                f"The DataFrame cannot be read ({why}): give each column one type and a name of its own."
            ) from error
        data = table.to_pylist()
    labels: Names = {}
    if hasattr(data, "with_format"):
        labels = label_names(data.features.to_dict()) if data.features else {}
        transformed = getattr(data, "format", {"type": None})["type"] == "custom"  # which says what a row is
        data = data if transformed else data.with_format(None)
    if not isinstance(data, Iterable):
        raise UserError(
            f"A task is a name, a path, a list of dictionaries, a DataFrame or a datasets.Dataset, not {data!r:.60}."
        )
    kept: Any = list(data) if isinstance(data, Iterator) else data  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
    return lambda _wanted: numbered(NAME, with_names(map(_as_read, kept), labels))


def _as_read(row: Any) -> Any:
    """The row as a file would hold it, or what is wrong with it."""
    try:
        return _plain(row)
    except UnicodeEncodeError:
        return not_utf8()


def _plain(value: Any) -> Any:
    """Lists for arrays and tuples, numbers for their scalars; raises UnicodeEncodeError for a lone surrogate."""
    if isinstance(value, str):
        value.encode()
        return value
    if hasattr(value, "tolist"):  # of NumPy, PyTorch and their like
        value = value.tolist()
    if isinstance(value, (list, tuple)):
        return [_plain(entry) for entry in cast(list[Any], value)]
    if isinstance(value, Mapping):
        return {name: _plain(entry) for name, entry in cast(Mapping[Any, Any], value).items()}
    return value
