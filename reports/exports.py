"""A run's results in the formats of others: EvalEval's schema (every-eval-ever 0.3.0), RewardBench's result files."""

import json
import re
from collections.abc import Iterator
from datetime import datetime
from math import isnan
from pathlib import Path
from typing import Any, Final
from uuid import NAMESPACE_URL, uuid5

import pandas as pd

from ..errors import UserError
from .common_sections import described
from .escaping import file_stem
from .run_format.frames import stream_table
from .run_format.reading import Run, read_run
from .run_format.tables import TABLES, AccuracyRow
from .scores import Reward, collect_scores

SCHEMA: Final = "0.3.0"
EXACT: Final = ("subset", "length")
"""Scopes whose intervals are Wilson's; those of the others are from the bootstrap."""


def export_evaleval(run_dir: Path, out: Path, organization: str) -> list[Path]:
    """Write a JSON file for each reward to out/<task>/cdr-eval/<reward>/; returns their paths. Raises UserError."""
    run = _of_rewards(read_run(run_dir))
    return [
        _write(
            out / _stem(run.info.task.name) / "cdr-eval" / _stem(_name(reward)) / f"{_identity(run, reward)}.json",
            _evaleval(run, reward, organization),
        )
        for reward in collect_scores(run).rewards
    ]


def export_rewardbench(run_dir: Path, out: Path) -> list[Path]:
    """Write eval-set/ and eval-set-scores/ as RewardBench's scripts do, a file a reward; returns their paths.

    Raises UserError for a run with items of more than two responses, which RewardBench 1 does not have.
    """
    run = _of_rewards(read_run(run_dir))
    if run.info.task.responses != 2 * run.info.task.items:
        raise UserError(f"{run_dir} has items of more than two responses, which RewardBench's files cannot hold.")
    written: list[Path] = []
    items, rewards, taken = _items(run), dict(_rewards(run)), set[str]()
    for reward in collect_scores(run).rewards:
        about = {
            "model": _name(reward),
            "ref_model": reward[1],
            "model_type": "DPO" if reward[1] else "Custom Classifier",
            "chat_template": described(run.info.family.get("template")),
        }
        accuracies = {row.name: row.accuracy for row in _rows(run, reward) if row.scope == "subset"}
        chosen, rejected = ([_number(value) for value in rewards[reward][side::2]] for side in (0, 1))
        scores: dict[str, Any] = {
            "id": items["item"].tolist(),
            "subset": items["subset"].astype(str).tolist(),
            "scores_chosen": chosen,
            "scores_rejected": rejected,
            "results": [_result_of(a, b) for a, b in zip(chosen, rejected, strict=True)],
        }
        stem = file_stem(_name(reward), taken)
        written.append(_write(out / "eval-set" / f"{stem}.json", accuracies | about))
        written.append(_write(out / "eval-set-scores" / f"{stem}.json", scores | about))
    return written


def _of_rewards(run: Run) -> Run:
    if run.info.kind == "annotation":
        raise UserError(f"{run.path} is an annotation, which has no accuracies to export: pass a pair or grid run.")
    return run


def _rows(run: Run, reward: Reward) -> Iterator[AccuracyRow]:
    return (row for row in run.accuracy if (row.strong, row.weak, row.variant) == reward)


def _evaleval(run: Run, reward: Reward, organization: str) -> dict[str, Any]:
    strong, weak, variant = reward
    info = run.info
    details = {
        "deployment_type": "self_deployed",
        "model_availability": "unknown",
        "strong": strong,
        "weak": weak,
        "variant": variant,
        **{f"{role}_weights": _weights(run, name) for role, name in (("strong", strong), ("weak", weak)) if name},
    }
    return {
        "schema_version": SCHEMA,
        "evaluation_id": f"{info.task.name}/{_name(reward)}/{info.created}",
        "evaluation_timestamp": info.created,
        "retrieved_timestamp": str(datetime.fromisoformat(info.created).timestamp()),
        "source_metadata": {
            "source_type": "evaluation_run",
            "source_organization_name": organization,
            "evaluator_relationship": "other",
        },
        "eval_library": {"name": "cdr-eval", "version": str(info.versions.get("cdr-eval", "unknown"))},
        "model_info": {"name": _name(reward), "id": f"cdr-eval/{_stem(_name(reward))}", "additional_details": details},
        "evaluation_results": [_result(run, row) for row in _rows(run, reward) if row.accuracy is not None],
    }


def _result(run: Run, row: AccuracyRow) -> dict[str, Any]:
    task = run.info.task
    wilson = row.scope in EXACT
    uncertainty: dict[str, Any] = {"num_samples": row.n}
    if row.ci_low is not None and row.ci_high is not None:
        method = "wilson" if wilson else "bootstrap"
        ends = {"lower": row.ci_low, "upper": row.ci_high, "confidence_level": 0.95, "method": method}
        uncertainty |= {"confidence_interval": ends} | ({} if wilson else {"num_bootstrap_samples": run.info.resamples})
    name = task.name if row.scope == "overall" else f"{task.name}, {row.scope} {row.name}"
    return {
        "evaluation_name": name,
        "source_data": {
            "dataset_name": task.name,
            "source_type": "other",
            "additional_details": {"source": task.source, "content_hash": task.content_hash},
        },
        "metric_config": {
            "evaluation_description": f"Mean credit of the items: {task.rule}",
            "metric_id": "accuracy",
            "metric_kind": "accuracy",
            "metric_unit": "proportion",
            "lower_is_better": False,
            "score_type": "continuous",
            "min_score": 0,
            "max_score": 1,
        },
        "score_details": {
            "score": row.accuracy,
            "details": {"ties": str(row.ties), "chance": str(row.chance), "note": row.note},
            "uncertainty": uncertainty,
        },
    }


def _items(run: Run) -> pd.DataFrame:
    return pd.concat(stream_table(run.path / TABLES["items"].file)(), ignore_index=True)


def _rewards(run: Run) -> Iterator[tuple[Reward, Any]]:
    frame = pd.concat(stream_table(run.path / TABLES["rewards"].file)(), ignore_index=True)
    for (strong, weak, variant), rows in frame.groupby(["strong", "weak", "variant"], observed=True, sort=False):
        yield (str(strong), str(weak), str(variant)), rows["reward"].to_numpy()


def _weights(run: Run, name: str) -> str:
    return next((c.weights or "unknown" for c in run.info.checkpoints if c.name == name), "unknown")


def _name(reward: Reward) -> str:
    strong, weak, variant = reward
    return f"{strong} over {weak}, {variant}" if weak else f"{strong}, {variant}"


def _identity(run: Run, reward: Reward) -> str:
    """The same for the same run and reward, so that a second export replaces the first."""
    return str(uuid5(NAMESPACE_URL, json.dumps([run.info.created, run.info.task.content_hash, *reward])))


def _number(value: float) -> float | None:
    return None if isnan(value) else float(value)


def _result_of(chosen: float | None, rejected: float | None) -> float | None:
    """1 where the chosen response has the higher score, one half for a tie; None where one is unscored."""
    return None if chosen is None or rejected is None else (1 + (chosen > rejected) - (chosen < rejected)) / 2


def _stem(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip("-.")[:120] or "reward"


def _write(path: Path, content: dict[str, Any]) -> Path:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8")
    except OSError as error:
        raise UserError(f"{path} cannot be written ({error.strerror}): pass another folder with --out.") from error
    return path
