"""A run's results in EvalEval's schema (every-eval-ever 0.3.0): accuracies, and a record of every item."""

import json
from collections.abc import Iterator
from datetime import datetime
from hashlib import sha256
from math import isclose
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from .exports import numbers_of, plain_stem, reward_name, rows_of, run_of_rewards, table_of, write_lines
from .run_format.reading import Run
from .run_format.tables import AccuracyRow
from .scores import Reward, collect_scores

SCHEMA: Final = "0.3.0"
EXACT: Final = ("subset", "length")
"""Scopes whose intervals are Wilson's; those of the others are from the bootstrap."""


def export_evaleval(run_dir: Path, out: Path, organization: str, *, samples: bool = False) -> tuple[int, int]:
    """Write a JSON file for each reward to out/data/<task>/cdr-eval/<reward>/; returns how many.

    With `samples` a record of every scored item beside each, in <the same name>_samples.jsonl. The second number is
    that of rewards without: their items' credits by the task's rule do not follow from the margins, which is all that
    a run directory has of items. Raises UserError.
    """
    run = run_of_rewards(run_dir)
    rewards = collect_scores(run).rewards
    items = _Items.of(run) if samples else None
    margins = dict(numbers_of(run, "margins")) if samples else {}
    values = dict(numbers_of(run, "rewards")) if samples else {}
    without = 0
    for reward in rewards:
        task = plain_stem(run.info.task.name)
        collection = f"{task}-task" if task == "data" else task  # that name is kept for the root
        folder = Path("data") / collection / "cdr-eval" / plain_stem(reward_name(reward))
        file = folder / f"{_identity(run, reward)}.json"
        record = _evaleval(run, reward, organization)
        credits = _credits(run, reward, items.table, margins[reward]) if items is not None else None
        without += samples and credits is None
        if items is not None and credits is not None:
            lines = items.records(record, margins[reward], values[reward], credits)
            beside = file.with_name(f"{file.stem}_samples.jsonl")
            record["detailed_evaluation_results"] = _written(out, beside, lines)
        write_lines(out / file, [json.dumps(record, indent=2, ensure_ascii=False, allow_nan=False)])
    return len(rewards), without


def _credits(run: Run, reward: Reward, items: pd.DataFrame, margins: NDArray[Any]) -> NDArray[Any] | None:
    """1, 0 or for a tie ½ (0 where ties are lost), by the sign of the margin; NaN for an unscored item.

    None where their means are not the accuracies of the subsets: the rule then is another.
    """
    found = [(row.name, row.accuracy) for row in rows_of(run, reward) if row.scope == "subset"]
    accuracies = {name: accuracy for name, accuracy in found if accuracy is not None}
    for tie in (0.5, 0.0):
        credits = np.where(np.isnan(margins), np.nan, np.where(margins == 0, tie, margins > 0))
        of_subset = pd.Series(credits).groupby(items["subset"].astype(str).to_numpy()).mean().dropna()
        means = {str(name): float(mean) for name, mean in of_subset.items()}
        if (
            means
            and means.keys() == accuracies.keys()
            and all(isclose(means[s], accuracies[s], abs_tol=1e-9) for s in means)
        ):
            return credits
    return None


class _Items:
    """The items of a run with their texts."""

    def __init__(self, table: pd.DataFrame, prompts: list[str], texts: list[list[str]], grades: list[list[float]]):
        self.table, self.prompts, self.texts, self.grades = table, prompts, texts, grades

    @classmethod
    def of(cls, run: Run) -> "_Items":
        """Raises UserError for a run that keeps no texts."""
        table, texts = table_of(run, "items"), table_of(run, "texts")
        ends = np.cumsum(table["responses"])
        parts = [slice(end - n, end) for n, end in zip(table["responses"], ends, strict=True)]
        said, graded = texts["text"].tolist(), texts["grade"].tolist()
        prompts = [_plain(json.loads(prompt)) for prompt in table_of(run, "prompts")["prompt"]]
        return cls(table, prompts, [said[part] for part in parts], [graded[part] for part in parts])

    def records(
        self, aggregate: dict[str, Any], margins: NDArray[Any], rewards: NDArray[Any], credits: NDArray[Any]
    ) -> Iterator[dict[str, Any]]:
        """One for each scored item, belonging to the accuracy of its subset, whose mean is that accuracy."""
        starts = np.cumsum(self.table["responses"]) - self.table["responses"]
        for k, (row, start) in enumerate(zip(self.table.to_dict("records"), starts, strict=True)):
            if np.isnan(credits[k]):
                continue
            of_item = rewards[start : start + len(self.texts[k])]
            picked = self.texts[k][int(np.nanargmax(of_item))]
            grades = np.array(self.grades[k])
            best = [text for text, grade in zip(self.texts[k], grades, strict=True) if grade == np.nanmax(grades)]
            name = _result_id(aggregate["evaluation_id"], "subset", row["subset"])
            result = next(r for r in aggregate["evaluation_results"] if r["evaluation_result_id"] == name)
            about = {"subset": row["subset"], "section": row["section"], "margin": repr(float(margins[k]))}
            yield {
                "schema_version": SCHEMA,
                "evaluation_id": aggregate["evaluation_id"],
                "model_id": aggregate["model_info"]["id"],
                "evaluation_name": result["evaluation_name"],
                "evaluation_result_id": name,
                "sample_id": row["item"],
                "sample_hash": _hash({"raw": self.prompts[k], "reference": best}),
                "interaction_type": "single_turn",
                "input": {"raw": self.prompts[k], "reference": best, "choices": self.texts[k]},
                "output": {"raw": [picked]},
                "answer_attribution": [
                    {
                        "turn_idx": 0,
                        "source": "output.raw",
                        "extracted_value": picked,
                        "extraction_method": "response of the highest reward",
                        "is_terminal": True,
                    }
                ],
                "evaluation": {"score": float(credits[k]), "is_correct": bool(credits[k] == 1)},
                "metadata": about | {"rewards": json.dumps([None if np.isnan(r) else float(r) for r in of_item])},
            }


def _plain(turns: list[dict[str, str]]) -> str:
    """A prompt of one turn as its text, one of several as JSON."""
    return turns[0]["content"] if len(turns) == 1 else json.dumps(turns, ensure_ascii=False)


def _hash(content: object) -> str:
    """As EvalEval's guide has it, so that the same sample of another program has the same."""
    return sha256(json.dumps(content, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def _written(out: Path, file: Path, records: Iterator[dict[str, Any]]) -> dict[str, Any]:
    """Write the samples; what the aggregate says of them."""
    digest, count = sha256(), 0

    def lines() -> Iterator[str]:
        nonlocal count
        for record in records:
            line = json.dumps(record, ensure_ascii=False, allow_nan=False)
            digest.update(f"{line}\n".encode())
            count += 1
            yield line

    write_lines(out / file, lines())
    found = {"format": "jsonl", "file_path": file.as_posix(), "hash_algorithm": "sha256"}
    return {**found, "checksum": digest.hexdigest(), "total_rows": count}


def _evaleval(run: Run, reward: Reward, organization: str) -> dict[str, Any]:
    strong, weak, variant = reward
    info = run.info
    name = f"{info.task.name}/{reward_name(reward)}/{info.created}"
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
        "evaluation_id": name,
        "evaluation_timestamp": info.created,
        "retrieved_timestamp": str(datetime.fromisoformat(info.created).timestamp()),
        "source_metadata": {
            "source_type": "evaluation_run",
            "source_organization_name": organization,
            "evaluator_relationship": "other",
        },
        "eval_library": {"name": "cdr-eval", "version": str(info.versions.get("cdr-eval", "unknown"))},
        "model_info": {
            "name": reward_name(reward),
            "id": f"cdr-eval/{plain_stem(reward_name(reward))}",
            "additional_details": details,
        },
        "evaluation_results": [_result(run, row, name) for row in rows_of(run, reward) if row.accuracy is not None],
    }


def _result(run: Run, row: AccuracyRow, evaluation: str) -> dict[str, Any]:
    task = run.info.task
    wilson = row.scope in EXACT
    uncertainty: dict[str, Any] = {"num_samples": row.n}
    if row.ci_low is not None and row.ci_high is not None:
        method = "wilson" if wilson else "bootstrap"
        ends = {"lower": row.ci_low, "upper": row.ci_high, "confidence_level": 0.95, "method": method}
        uncertainty |= {"confidence_interval": ends} | ({} if wilson else {"num_bootstrap_samples": run.info.resamples})
    named = task.name if row.scope == "overall" else f"{task.name}, {row.scope} {row.name}"
    metric, description = _metric(row, task.rule)
    return {
        "evaluation_result_id": _result_id(evaluation, row.scope, row.name),
        "evaluation_name": named,
        "source_data": {
            "dataset_name": task.name,
            "source_type": "other",
            "additional_details": {"source": task.source, "content_hash": task.content_hash},
        },
        "metric_config": {
            "evaluation_description": description,
            "metric_id": metric,
            "metric_kind": metric,
            "metric_unit": "proportion",
            "lower_is_better": False,
            "score_type": "continuous",
            "min_score": 0 if (row.accuracy or 0) >= 0 else -0.01,  # RewardBench 2's Ties go from −0.01 to 1.01
            "max_score": 1 if (row.accuracy or 0) <= 1 else 1.01,
        },
        "score_details": {
            "score": row.accuracy,
            "details": {"ties": str(row.ties), "chance": str(row.chance), "note": row.note},
            "uncertainty": uncertainty,
        },
    }


def _metric(row: AccuracyRow, rule: str) -> tuple[str, str]:
    """What a row is a mean of: a level has a rule of its own, and preferring the longer is no matter of right."""
    if row.scope == "level":
        return row.name, f"Mean credit of the items by the benchmark's rule for {row.name}"
    if (row.scope, row.name) == ("length", "prefers longer"):
        return row.name, "Share of items whose longer kind of response, acceptable or not, has the higher reward"
    return "accuracy", f"Mean credit of the items: {rule}"


def _weights(run: Run, name: str) -> str:
    return next((c.weights or "unknown" for c in run.info.checkpoints if c.name == name), "unknown")


def _result_id(evaluation: str, scope: str, name: str) -> str:
    return f"{evaluation}/{scope}/{name}"


def _identity(run: Run, reward: Reward) -> str:
    """A version-4 UUID, as the schema wants it, the same for the same run and reward: a second export replaces it."""
    asked = json.dumps([run.info.created, run.info.task.content_hash, *reward])
    return str(UUID(bytes=sha256(asked.encode()).digest()[:16], version=4))
