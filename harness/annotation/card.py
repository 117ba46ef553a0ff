"""The card of a data set: README.md with the front matter that the hub reads."""

import math
import sys
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pandas as pd
import yaml

from ...model_registry.licences import licence_of
from .formats import Format

if TYPE_CHECKING:
    from ..session import Session

_TRAINED: Final[Mapping[Format, str]] = {
    "preference": "DPOTrainer, CPOTrainer, KTOTrainer and RewardTrainer of TRL",
    "reward": "RewardTrainer and DPOTrainer of TRL",
    "simpo": "SimPO's scripts, and DPOTrainer of TRL",
    "text": "DPOTrainer of TRL and trainers that take strings",
    "unpaired": "KTOTrainer of TRL",
    "ranked": "trainers with a listwise loss",
}
_WEIGHTED: Final = " `cdr-eval tune` takes this folder, too, with the column `weight` (`--weights weight`)."
_TUNED: Final[Mapping[Format, str]] = {
    "preference": _WEIGHTED,
    "reward": _WEIGHTED,
    "simpo": _WEIGHTED,
    "unpaired": " `cdr-eval tune --loss kto` takes this folder, too.",
}
"""What `tune` makes of those formats that it reads."""


def card_text(annotation: Mapping[str, Any], kind: Format, session: "Session | None", statistics: pd.DataFrame) -> str:
    """README.md; it says nothing that differs between two runs of one command."""
    files = [{"split": split, "path": f"data/{split}-*.parquet"} for split in annotation["splits"]]
    head = {
        "configs": [{"config_name": "default", "data_files": files}],
        "tags": ["preference", "cdr-eval", *(["trl", "dpo"] if kind == "preference" else [])],
    }
    splits = ", ".join(f"{split} {rows:,} rows" for split, rows in annotation["splits"].items())
    lines = [
        "---",
        yaml.safe_dump(head, sort_keys=False, allow_unicode=True).rstrip(),
        "---",
        "",
        "# Preference data",
        "",
        f"{splits}. Made by `{_command()}`. Labels are a model's, not people's: the reward of a response is",
        f"{annotation['reward']}.",
        "",
        "## How they were made",
        "",
        *_facts(annotation, session),
        "",
        "## Counts",
        "",
        *(f"- {name.replace('_', ' ')}: {count:,}" for name, count in annotation["counts"].items()),
        *(f"- no pair, {reason}: {count:,} prompts" for reason, count in annotation["dropped"].items()),
        "",
        "## Statistics",
        "",
        "| topic | statistic | of | n | value | 95% interval |",
        "| :-- | :-- | :-- | --: | --: | --: |",
        *map(_statistic, statistics.itertuples(index=False)),
        "",
        "## Loading and training",
        "",
        "```python",
        "from datasets import load_dataset",
        "",
        'data = load_dataset("path/of/this/folder")',
        "```",
        "",
        f"It is read by {_TRAINED[kind]} as it is.{_TUNED.get(kind, '')}",
        "",
        "## Licences",
        "",
        "Those of the prompts, of the model that wrote the responses and of the checkpoints that label them apply.",
        *_licences(session),
    ]
    return "\n".join(lines) + "\n"


def _facts(annotation: Mapping[str, Any], session: "Session | None") -> list[str]:
    choice, temperature = annotation["choice"], annotation["temperature"]
    lines = [f"- choice: {', '.join(f'{key} {value}' for key, value in choice.items())}"]
    value, low, high = temperature["error"] or (None, None, None)
    judged = "" if value is None else f", calibration error out of fold {value:.3f}"
    judged += "" if low is None else f" [{low:.3f}, {high:.3f}]"
    lines.append(f"- temperature: {temperature['value']:.6g} nats ({temperature['source']}{judged})")
    lines.append(f"- column `weight`: {annotation['weights']}; share of pairs kept: {annotation['top']:g}")
    if session is not None:
        (group,) = session.groups
        for member in group.members:
            checkpoint = member.local.checkpoint
            at = f" at {checkpoint.revision}" if checkpoint.revision else ""
            lines.append(f"- checkpoint {checkpoint.name}{at}, weights {member.local.weights}")
        criteria = session.question.task.criteria
        digest = sha256(criteria.read_bytes()).hexdigest()
        lines.append(f"- chat template: {group.template_source}; criteria: {criteria.name}, SHA-256 {digest}")
    if annotation["sampling"]:
        model, settings = annotation["sampling"].get("model", {}), annotation["sampling"].get("settings", {})
        drawn = ", ".join(f"{key} {settings[key]}" for key in ("n", "temperature", "top_p", "seed") if key in settings)
        lines.append(f"- responses: of {model.get('name', 'a model')}, {drawn}")
    if annotation["labels"]:
        lines.append(f"- labels that the statistics judge by: {annotation['labels']}")
    return lines


def _licences(session: "Session | None") -> list[str]:
    """A list of what the checkpoints' own cards name."""
    if session is None:
        return []
    folders = {m.local.name: m.local.path for m in session.groups[0].members}
    folders |= {m.local.whole.name: m.local.whole.path for m in session.groups[0].members}
    licences = {name: licence_of(folder) for name, folder in folders.items()}
    return ["", *(f"- {name}: {licence or 'none named beside its weights'}" for name, licence in licences.items())]


def _command() -> str:
    """The command line, as text that ends no code span."""
    return " ".join([Path(sys.argv[0]).name, *sys.argv[1:]]).replace("`", "")


def _statistic(row: Any) -> str:
    interval = f"{row.ci_low:.4g} to {row.ci_high:.4g}" if not math.isnan(row.ci_low) else ""
    cells = (row.topic, row.statistic, row.name.replace("|", "/"), f"{row.n:,}", f"{row.value:.4g}", interval)
    return f"| {' | '.join(cells)} |"
