"""Small preference files, and tuning commands on them as real processes."""

import json
import sys
from pathlib import Path

import torch
from safetensors.torch import load_file


def write_pairs(path: Path, count: int = 16) -> Path:
    """Pairs about sums, with weights from 0 to 1."""
    rows = [
        {
            "prompt": f"What is {k} + 1?",
            "chosen": f"It is {k + 1}." + " Yes." * (k % 3),
            "rejected": "I can't help with that.",
            "weight": k / (count - 1),
        }
        for k in range(count)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def command(*arguments: object) -> list[str]:
    """`cdr-eval` as a process of its own."""
    return [sys.executable, "-m", "cdr_eval.harness", *map(str, arguments)]


def weights(folder: Path) -> dict[str, torch.Tensor]:
    """The weights that a tuning run wrote."""
    return load_file(folder / "model" / "model.safetensors")
