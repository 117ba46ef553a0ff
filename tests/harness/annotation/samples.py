"""Sampled responses as files have them: prompts of the minilab's world with answers good and bad."""

import json
import random
from pathlib import Path
from typing import Any

from cdr_eval.tasks.minilab.world import SUBSETS, training_prompts

PAIR = ("minilab-dpo-3", "minilab-sft")


def sampled_rows(prompts: int = 24, n: int = 6, seed: int = 0) -> list[dict[str, Any]]:
    """Rows as `cdr-eval sample` writes them; some answers repeat, some were cut, one is empty."""
    rng = random.Random(seed)
    rows: list[dict[str, Any]] = []
    for number, prompt in enumerate(training_prompts(prompts)):
        subset = SUBSETS[prompt.subset]
        texts = [(subset.good if rng.random() < 0.5 else subset.bad)(prompt, rng) for _ in range(n)]
        responses = [{"text": text, "finish_reason": "stop", "tokens": len(text.split())} for text in texts]
        if number % 5 == 0:
            responses[0] |= {"text": texts[0][: len(texts[0]) // 2], "finish_reason": "length"}
        if number == 3:
            responses[1] |= {"text": " "}
        turns = [{"role": "user", "content": prompt.text}]
        rows.append({"id": f"train-{number}", "prompt": turns, "responses": responses, "subset": prompt.subset})
    return rows


def write_rows(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path
