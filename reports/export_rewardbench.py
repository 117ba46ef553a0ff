"""A run's results as RewardBench's scripts write them."""

import json
from math import isnan
from pathlib import Path
from typing import Any

from .common_sections import described
from .escaping import file_stem
from .exports import numbers_of, reward_name, rows_of, run_of_rewards, table_of, write_lines
from .run_format.preferences import chosen_and_rejected
from .scores import collect_scores


def export_rewardbench(run_dir: Path, out: Path) -> list[Path]:
    """Write eval-set/ and eval-set-scores/ as RewardBench's scripts do, a file a reward; returns their paths.

    Raises UserError for a run whose items are not all of a chosen and a rejected response.
    """
    run = run_of_rewards(run_dir)
    items, rewards = table_of(run, "items"), dict(numbers_of(run, "rewards"))
    sides = chosen_and_rejected(items, table_of(run, "texts"))
    written: list[Path] = []
    taken = set[str]()
    for reward in collect_scores(run).rewards:
        about = {
            "model": reward_name(reward),
            "ref_model": reward[1],
            "model_type": "DPO" if reward[1] else "Custom Classifier",
            "chat_template": described(run.info.family.get("template")),
        }
        accuracies = {row.name: row.accuracy for row in rows_of(run, reward) if row.scope == "subset"}
        chosen, rejected = ([_number(value) for value in rewards[reward][side]] for side in sides)
        scores: dict[str, Any] = {
            "id": items["item"].tolist(),
            "subset": items["subset"].astype(str).tolist(),
            "scores_chosen": chosen,
            "scores_rejected": rejected,
            "results": [_result_of(a, b) for a, b in zip(chosen, rejected, strict=True)],
        }
        stem = file_stem(reward_name(reward), taken)
        written.append(_write(out / "eval-set" / f"{stem}.json", accuracies | about))
        written.append(_write(out / "eval-set-scores" / f"{stem}.json", scores | about))
    return written


def _number(value: float) -> float | None:
    return None if isnan(value) else float(value)


def _result_of(chosen: float | None, rejected: float | None) -> float | None:
    """1 where the chosen response has the higher score, one half for a tie; None where one is unscored."""
    return None if chosen is None or rejected is None else (1 + (chosen > rejected) - (chosen < rejected)) / 2


def _write(path: Path, content: dict[str, Any]) -> Path:
    return write_lines(path, [json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False)])
