"""Which folder a run may be written to: one that holds nothing, or an earlier run of the same question."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ...errors import UserError


def check_out(
    out: Path, asked: Mapping[str, Any], left_out: Mapping[str, str] | None = None, *, overwrite: bool = False
) -> None:
    """Refuse a folder that holds anything but an earlier run that was asked the same, as its run.json says.

    A run that does not say it, of an earlier version, may be of any question and is kept, too; one that says less than
    is said now is known by what it says. A run that has a checkpoint which is among `left_out` now, each with why, is
    kept as well. Raises UserError; `overwrite` lets any run be replaced.
    """
    if out.exists() and not (out / "run.json").is_file() and (not out.is_dir() or any(out.iterdir())):
        raise UserError(f"{out} exists and is not a run directory, so it is not overwritten; pass another with --out.")
    if overwrite or not (out / "run.json").is_file():
        return
    run = _run_in(out / "run.json")
    earlier = run.get("asked")
    if not earlier or not same_asked(earlier, asked):
        told = "a run of another question" if earlier else "a run that does not say what it was asked"
        raise UserError(f"{out} holds {told}; pass another --out, or --overwrite to replace it.")
    lost = {name: why for name, why in (left_out or {}).items() if name not in run.get("left_out", {})}
    if lost:
        name, why = next(iter(lost.items()))
        more = f" and {len(lost) - 1} more" if len(lost) > 1 else ""
        raise UserError(
            f"{out} holds a run of the same question with {name}{more}, left out now ({why.rstrip('.')}); pass another "
            "--out, or --overwrite to replace it: every score is kept."
        )


def same_asked(earlier: object, now: Mapping[str, Any]) -> bool:
    """Whether an earlier record says what is said now. One of an earlier version says nothing of keys that are new."""
    known: dict[str, Any] = json.loads(json.dumps(now))
    return isinstance(earlier, dict) and earlier == {key: known[key] for key in known if key in earlier}


def _run_in(file: Path) -> dict[str, Any]:
    """Empty where it cannot be read."""
    try:
        return dict(json.loads(file.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return {}
