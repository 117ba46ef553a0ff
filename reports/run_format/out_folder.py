"""Which folder a run may be written to: one that holds nothing, or an earlier run of the same question."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ...errors import UserError

_ASKED = ("kind", "variants", "seed", "resamples", "mean_per_token", "criteria")


def same(run: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether two contents of run.json answer one question: the later may take the earlier's place.

    What `run` leaves open, since it is not known before the work is done, is not compared.
    """

    def asked(of: Mapping[str, Any]) -> list[Any]:
        task: Any = of.get("task", {})
        annotation: Any = of.get("annotation") or {}
        fit: Any = of.get("fit") or {}
        pairs = [(pair["strong"], pair["weak"]) for pair in of["pairs"]] if "pairs" in of else None
        made: list[Any] = [annotation.get(key) for key in ("reward", "choice", "weights", "top", "format")]
        named = task.get("name"), task.get("content_hash")
        return [*map(of.get, _ASKED), *named, pairs, *made, fit.get("conditionings")]

    return all(one is None or one == another for one, another in zip(asked(run), asked(other), strict=True))


def check_out(out: Path, run: Mapping[str, Any] | None = None, *, overwrite: bool = False) -> None:
    """Refuse a folder that holds anything but an earlier run, of the same question where `run` is given.

    Raises UserError; `overwrite` lets a run of another question be replaced.
    """
    if out.exists() and not (out / "run.json").is_file() and (not out.is_dir() or any(out.iterdir())):
        raise UserError(f"{out} exists and is not a run directory, so it is not overwritten; pass another with --out.")
    if run is None or overwrite or not (out / "run.json").is_file():
        return
    try:
        earlier: Any = json.loads((out / "run.json").read_text(encoding="utf-8"))
        known = same(json.loads(json.dumps(run)), earlier)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        known = False
    if not known:
        raise UserError(f"{out} holds a run of another question; pass another --out, or --overwrite to replace it.")
