"""Which folder a run may be written to: one that holds nothing, or an earlier run of the same question."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ...errors import UserError


def check_out(out: Path, asked: Mapping[str, Any], *, overwrite: bool = False) -> None:
    """Refuse a folder that holds anything but an earlier run that was asked the same, as its run.json says.

    A run that does not say it, of an earlier version, may be of any question and is kept, too. Raises UserError;
    `overwrite` lets a run of another question be replaced.
    """
    if out.exists() and not (out / "run.json").is_file() and (not out.is_dir() or any(out.iterdir())):
        raise UserError(f"{out} exists and is not a run directory, so it is not overwritten; pass another with --out.")
    if overwrite or not (out / "run.json").is_file():
        return
    earlier = _asked_in(out / "run.json")
    if earlier is None or earlier != asked:
        run = "a run of another question" if earlier else "a run that does not say what it was asked"
        raise UserError(f"{out} holds {run}; pass another --out, or --overwrite to replace it.")


def _asked_in(file: Path) -> object:
    try:
        run: Any = json.loads(file.read_text(encoding="utf-8"))
        return run.get("asked")
    except (OSError, ValueError, AttributeError):
        return None
