"""Rows of data sets on the hub, through the `datasets` library."""

import re
from collections.abc import Collection, Iterator
from importlib import import_module
from typing import Any

from ...errors import UserError
from .columns import top_columns

HUB = re.compile(
    r"(?P<name>[\w-][\w.-]*/[\w-][\w.-]*)(/(?P<config>[\w-][\w.-]*))?(:(?P<split>[\w.-]+))?(@(?P<revision>[\w./-]+))?"
)
"""`org/name/config:split@revision`; all but the name may be left out."""


def hub_rows(source: str, match: re.Match[str], wanted: Collection[str] | None) -> Iterator[dict[str, Any]]:
    """The rows of one split; raises UserError where the hub or the cache does not have it."""
    name, split = match["name"], match["split"]
    loaded = load_split(source, name, match["config"], split, match["revision"])
    if split is None:
        splits: list[str] = list(loaded)
        if len(splits) > 1:
            raise UserError(f"{name} has the splits {', '.join(splits)}: name one, as in {name}:{splits[0]}.")
        loaded = loaded[splits[0]]
    columns = top_columns(wanted, loaded.column_names) if wanted is not None else []
    yield from loaded.select_columns(columns) if columns else loaded


def load_split(source: str, name: str, config: str | None, split: str | None, revision: str | None) -> Any:
    """The data set, memory-mapped from the local cache once it is there.

    `config` is one of its configurations, or else a folder of it.
    """
    datasets: Any = import_module("datasets")
    datasets.disable_progress_bars()
    try:
        try:
            return datasets.load_dataset(name, config, split=split, revision=revision)
        except ValueError as error:
            if config is None or not str(error).startswith("BuilderConfig"):
                raise
            return datasets.load_dataset(name, data_dir=config, split=split, revision=revision)
    except Exception as error:  # the hub, its cache and the file formats each bring error types of their own
        reason = " ".join(str(error).split("\n")[:2]).rstrip(". ")
        raise UserError(
            f"Cannot load the dataset {source} from the hub ({reason}): check name, configuration, split, revision and"
            " network, or download it elsewhere and give the path of a local file that ends in .jsonl, .json, .parquet."
        ) from error
