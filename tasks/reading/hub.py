"""Rows of data sets on the hub, through the `datasets` library."""

import re
from collections.abc import Collection, Generator, Iterator
from contextlib import contextmanager, nullcontext
from importlib import import_module
from typing import Any

from ...errors import UserError
from .class_labels import label_names, with_names
from .columns import top_columns

HUB = re.compile(
    r"(?P<name>[\w-][\w.-]*/[\w-][\w.-]*)(/(?P<config>[\w-][\w.-]*))?(:(?P<split>[\w.-]+))?(@(?P<revision>[\w./-]+))?"
)
"""`org/name/config:split@revision`; all but the name may be left out."""
_SECONDS = 10.0
"""How long the hub may take for its first answer."""


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
    yield from with_names(loaded.select_columns(columns) if columns else loaded, label_names(loaded.features.to_dict()))


def _reached(endpoint: str) -> bool:
    """Whether the hub answers: one try, where its clients would make six before they say that it does not."""
    hub: Any = import_module("huggingface_hub")
    try:
        hub.get_session().head(endpoint, timeout=_SECONDS)
    except Exception:  # whatever the client of the day raises
        return False
    return True


@contextmanager
def _offline(*settings: Any) -> Generator[None]:
    """Let the libraries with these settings look into their caches alone."""
    before = [setting.HF_HUB_OFFLINE for setting in settings]
    try:
        for setting in settings:
            setting.HF_HUB_OFFLINE = True
        yield
    finally:
        for setting, value in zip(settings, before, strict=True):
            setting.HF_HUB_OFFLINE = value


def load_split(source: str, name: str, config: str | None, split: str | None, revision: str | None) -> Any:
    """The data set, memory-mapped from the local cache once it is there.

    `config` is one of its configurations, or else a folder of it.
    """
    datasets: Any = import_module("datasets")
    datasets.disable_progress_bars()
    constants: Any = import_module("huggingface_hub").constants
    asked = not constants.HF_HUB_OFFLINE and not datasets.config.HF_HUB_OFFLINE
    reached = asked and _reached(constants.ENDPOINT)
    try:
        with nullcontext() if reached else _offline(constants, datasets.config):
            try:
                return datasets.load_dataset(name, config, split=split, revision=revision)
            except ValueError as error:
                if config is None or not str(error).startswith("BuilderConfig"):
                    raise
                return datasets.load_dataset(name, data_dir=config, split=split, revision=revision)
    except Exception as error:  # the hub, its cache and the file formats each bring error types of their own
        if not reached:
            why = f"{constants.ENDPOINT} does not answer" if asked else "the network is not to be tried (--offline)"
            raise UserError(
                f"The dataset {source} is not in the local hub cache, and {why}: use --task minilab, which needs no "
                "network, or a local file."
            ) from error
        reason = " ".join(str(error).split("\n")[:2]).rstrip(". ")
        raise UserError(
            f"Cannot load the dataset {source} from the hub ({reason}): check name, configuration, split, revision and"
            " network, or download it elsewhere and give the path of a local file that ends in .jsonl, .json, .parquet."
        ) from error
