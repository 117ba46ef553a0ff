"""Reward models' scores that benchmarks publish, by our rules: what their own programs make of them comes out.

rewardmath_scores.json has a row for each problem: ten scores, the right solution's first, by two reward models,
Skywork-Reward-Llama-3.1-8B and ArmoRM, from the results in the benchmark's repository (kimsh0507/RewardMATH_official).
judgebench_scores.json has a row for each pair of the gpt split: source, label, the scores of responses A and B by
Skywork-Reward-Llama-3.1-8B and by GRM-Gemma-2B, from the outputs in the benchmark's repository (ScalerLab/JudgeBench).
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cdr_eval.harness.tables.sample import Sample
from cdr_eval.tasks.catalog import load_task

SCORES = Path(__file__).parent
NAMES = ("Knowledge", "Reasoning", "Math", "Coding", "overall")


@pytest.mark.parametrize(
    ("column", "printed", "ties"),
    [(2, (59.09, 64.29, 76.79, 50.00, 62.29), 1), (4, (62.99, 53.06, 64.29, 54.76, 59.43), 0)],
)
def test_judgebench(column: int, printed: tuple[float, ...], ties: int, tmp_path: Path):
    rows: list[list[Any]] = json.loads((SCORES / "judgebench_scores.json").read_text(encoding="utf-8"))
    path = tmp_path / "judgebench.jsonl"
    path.write_text(
        "".join(
            json.dumps(
                {"pair_id": str(k), "source": source, "question": f"Question {k}?", "label": label}
                | {"response_A": f"A{k}", "response_B": f"B{k}", "response_model": "gpt-4o", "original_id": None}
            )
            + "\n"
            for k, (source, label, *_) in enumerate(rows)
        )
    )
    sample = Sample.of(load_task(f"judgebench:{path}"), 100, 0)
    rewards = np.array([row[column : column + 2] for row in rows], dtype=float).reshape(1, -1)
    found = sample.with_ties(rewards)
    lost = sample.scopes.accuracies(found.lost)  # their program takes a tie for B, which is wrong for the one there is
    assert [round(100 * float(lost[name][0]), 2) for name in NAMES] == list(printed)
    assert found.tied.sum() == ties


@pytest.mark.parametrize(
    ("model", "accuracy", "with_ties", "mrr"), [(0, 22.15, 22.15, 0.4469), (1, 20.50, 21.53, 0.4218)]
)
def test_rewardmath(model: int, accuracy: float, with_ties: float, mrr: float, tmp_path: Path):
    rows: list[list[list[float]]] = json.loads((SCORES / "rewardmath_scores.json").read_text(encoding="utf-8"))
    path = tmp_path / "rewardmath.jsonl"
    with path.open("w", encoding="utf-8") as file:
        for problem, scores in enumerate(rows):
            for k in range(len(scores[model])):
                row = {"problem_id": problem, "problem": f"Problem {problem}?", "eval_solution": [f"Step {k}."]}
                file.write(json.dumps(row | {"solution_type": "rejected" if k else "chosen"}) + "\n")
    sample = Sample.of(load_task(f"rewardmath:{path}"), 100, 0)
    rewards = np.array([scores[model] for scores in rows]).reshape(1, -1)
    found = sample.with_ties(rewards)
    assert round(100 * float(found.lost.mean()), 2) == accuracy
    assert round(100 * float((found.lost + found.tied).mean()), 2) == with_ties
    assert round(float(sample.with_ties(rewards, "MRR").value.mean()), 4) == mrr
