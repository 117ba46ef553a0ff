"""Small runs as whole processes, from command to result.

python -m benchmarks.small_runs > benchmarks/results/small_runs.md

40 items of LLMBar by two models of 58 million parameters, in about six minutes. Leave the machine alone meanwhile.
"""

import os
import platform
import shutil
import statistics
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
import transformers
from cdr_eval.harness.rendering.chat import ChatRenderer
from transformers import AutoModelForCausalLM, AutoTokenizer

from . import scoring_contestants as contestants
from .annotation import timed, write_rows
from .scoring_work import build_model, evenly, load_texts, pairs_of, train_tokenizer

ITEMS, ROUNDS = 40, 3
SIDES = ("strong", "weak")
OURS, STORED = "cdr-eval pair", "cdr-eval pair, every score in the store"
OTHERS = {"lm-eval": "lm-eval HF", "naive": "naive loop, as RewardBench"}


def prepare(folder: Path) -> str:
    """Two checkpoints and the items; returns where the texts come from."""
    source, texts = load_texts()
    tokenizer: Any = train_tokenizer(texts)
    for seed, side in enumerate(SIDES):
        model: Any = build_model(seed)
        model.save_pretrained(folder / side)
        tokenizer.save_pretrained(folder / side)
    rows = ({"prompt": p, "chosen": c, "rejected": r} for p, c, r in evenly(texts["llmbar"], ITEMS))
    write_rows(folder / "items.jsonl", rows)
    return source


def contestant(name: str, folder: Path) -> None:
    """Score all items with both models in one of the other ways, and write the margins."""
    auto: Any = AutoTokenizer
    way = contestants.by_name(auto.from_pretrained(folder / "strong"))[name]
    rows = pd.read_json(folder / "items.jsonl", lines=True)
    texts = list(rows[["prompt", "chosen", "rejected"]].itertuples(index=False, name=None))
    pairs = pairs_of(ChatRenderer(auto.from_pretrained(folder / "strong")), texts)
    models: Any = AutoModelForCausalLM
    scores = [way(models.from_pretrained(folder / side, dtype=torch.float32).eval(), pairs) for side in SIDES]
    reward = scores[0] - scores[1]
    np.save(folder / f"{name}.npy", reward[:, 0] - reward[:, 1])


def measure(folder: Path) -> dict[str, list[tuple[float, float]]]:
    """(clock, processor) seconds of every way in each round, in turns."""
    ours = [
        *(sys.executable, "-m", "cdr_eval.harness", "pair", "--task", str(folder / "items.jsonl")),
        *("--strong", str(folder / "strong"), "--weak", str(folder / "weak"), "--variants", "vanilla"),
        *("--store", str(folder / "store"), "--out", str(folder / "out"), "--quiet"),
    ]
    took: dict[str, list[tuple[float, float]]] = {}
    for _ in range(ROUNDS):
        shutil.rmtree(folder / "store", ignore_errors=True)
        for name in (OURS, STORED):
            took.setdefault(name, []).append(timed(ours)[:2])
        for name, words in OTHERS.items():
            command = [sys.executable, "-m", "benchmarks.small_runs", name, str(folder)]
            took.setdefault(words, []).append(timed(command)[:2])
    return took


def page(source: str, took: dict[str, list[tuple[float, float]]], difference: float) -> str:
    """The results as Markdown."""
    seconds = {name: [statistics.median(column) for column in zip(*of, strict=True)] for name, of in took.items()}
    lines = [
        "# Small runs, from command to result",
        "",
        f"`python -m benchmarks.small_runs > benchmarks/results/small_runs.md`: {ITEMS} pairs (texts: {source}), two "
        f"Llamas of 58 million parameters with random weights; medians of {ROUNDS} whole processes each, in turns; "
        "`pair` ends with statistics, figures and reports, the others when the margins are written. "
        f"{os.cpu_count()} shared cores of an {platform.machine()} CPU, load {os.getloadavg()[2]:.1f}; Python "
        f"{platform.python_version()}, torch {torch.__version__}, transformers {transformers.__version__}.",
        "",
        "| | seconds by the clock | of processor time | x pair, clock | x pair, processor time |",
        "|---|---|---|---|---|",
    ]
    for name, (clock, processor) in seconds.items():
        ratios = clock / seconds[OURS][0], processor / seconds[OURS][1]
        lines.append(f"| {name} | {clock:.1f} | {processor:.1f} | {ratios[0]:.2f} | {ratios[1]:.2f} |")
    return "\n".join([*lines, "", f"Largest difference of a margin: {difference:.0e}."])


def main(arguments: Sequence[str]) -> None:
    """Print the page; or be one of the other ways."""
    transformers.logging.set_verbosity_error()
    if arguments:
        contestant(arguments[0], Path(arguments[1]))
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        source = prepare(folder)
        took = measure(folder)
        ours = pd.read_parquet(folder / "out" / "margins.parquet")["margin"].to_numpy()
        difference = max(float(np.abs(np.load(folder / f"{other}.npy") - ours).max()) for other in OTHERS)
        print(page(source, took, difference))


if __name__ == "__main__":
    main(sys.argv[1:])
