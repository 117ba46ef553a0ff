"""The folder of a training run: whose it is, whether it is done, and what is said about it."""

import json
import uuid
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from ...errors import UserError
from ...reports.run_format.out_folder import same_asked
from .settings import Training


def begin(out: Path, settings: Mapping[str, Any]) -> None:
    """Mark `out` as this run's. Raises UserError where it holds something else."""
    marker = out / "checkpoints" / "settings.json"
    if marker.is_file():
        if not same_asked(json.loads(marker.read_text(encoding="utf-8")), settings):
            raise UserError(f"{out} holds a run with other settings: pass another --out, or remove it.")
        return
    if out.exists() and any(path.name != "checkpoints" for path in out.iterdir()):
        raise UserError(f"{out} holds something else: pass a new folder with --out.")
    marker.parent.mkdir(parents=True, exist_ok=True)
    write_json(marker, settings)


def check_empty(out: Path) -> None:
    """Raise UserError for a folder that holds something."""
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UserError(f"{out} is not empty: pass a new folder with --out.")


def finished(out: Path, name: str, settings: Mapping[str, Any]) -> dict[str, Any] | None:
    """The record of a run that is done already. Raises UserError where it is another one's."""
    try:
        record: dict[str, Any] = json.loads((out / name).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    if not same_asked(record.get("settings"), settings):
        raise UserError(f"{out} holds a run with other settings: pass another --out, or remove it.")
    return record


def versions(training: Training) -> dict[str, str]:
    """The versions of what trained."""
    packages = ["torch", "transformers", "trl", "accelerate", *(["peft"] if training.lora else [])]
    return {package: version(package) for package in packages}


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write a record, whole or not at all."""
    temporary = path.with_name(f".{uuid.uuid4().hex}.tmp")
    temporary.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    temporary.replace(path)
