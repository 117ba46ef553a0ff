"""The names that a data set of the `datasets` library has for the integers of its class labels."""

from collections.abc import Iterable, Iterator
from typing import Any, TypeAlias

from pydantic_core import from_json

from .notes import as_dict, as_list

Names: TypeAlias = "list[Any] | dict[str, Names]"
"""The names of one class label, by its integers, or what the fields of an object have, of those that have some."""


def label_names(features: Any) -> Names:
    """The class labels among features as `Features.to_dict` gives them; lists are seen through. Empty without any."""
    if (several := as_list(features)) is not None:
        return label_names(several[0]) if several else {}
    feature = as_dict(features) or {}
    kind = feature.get("_type")
    if kind == "ClassLabel":
        return as_list(feature.get("names")) or {}
    if isinstance(kind, str):
        return label_names(feature.get("feature"))
    return {name: names for name, inner in feature.items() if (names := label_names(inner))}


def arrow_label_names(schema: Any) -> Names:
    """The class labels of a file's schema, into whose metadata `datasets` writes the features.

    Raises ValueError for metadata that cannot be read.
    """
    metadata: dict[bytes, bytes] = schema.metadata or {}
    written = as_dict(from_json(metadata.get(b"huggingface", b"{}"))) or {}
    return label_names((as_dict(written.get("info")) or {}).get("features"))


def with_names(rows: Iterable[Any], names: Names) -> Iterator[Any]:
    """The rows, class labels by their names; an integer without one, as -1, says that there is no label."""
    return (_named(row, names) for row in rows) if names else iter(rows)


def _named(value: Any, names: Names) -> Any:
    if (entries := as_list(value)) is not None:
        return [_named(entry, names) for entry in entries]
    if isinstance(names, list):
        return (names[value] if 0 <= value < len(names) else None) if type(value) is int else value
    if (fields := as_dict(value)) is None:
        return value
    return fields | {name: _named(fields[name], inner) for name, inner in names.items() if name in fields}
