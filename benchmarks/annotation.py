"""Annotating 16 responses a prompt against other ways to score them, end to end; and 20,000 prompts, also killed.

python -m benchmarks.annotation [speed] [scale] > benchmarks/results/annotation.md

Without a part, all of them, in about three quarters of an hour. Leave the machine alone meanwhile.
"""

import hashlib
import json
import os
import platform
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from cdr_eval.harness.rendering.chat import ChatRenderer
from cdr_eval.harness.scoring.protocol import ScoringRequest
from cdr_eval.tasks.conditioning import Conditioning, conversations
from cdr_eval.tasks.criteria import DEFAULT_CRITERIA, load_criteria
from cdr_eval.tasks.item import Item, Turn
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel

from . import scoring_contestants as contestants
from .scoring_work import Pair, build_model, evenly, load_texts, train_tokenizer

PROMPTS, RESPONSES = 16, 16
MANY = 20_000
KILLS = 5
VARIANT = Conditioning("criteria", "safety")
OTHERS = {"naive": "naive loop, as RewardBench", "lm-eval": "lm-eval HF"}
HEAD = """# Annotation: 16 responses a prompt

Made by `python -m benchmarks.annotation > benchmarks/results/annotation.md`.
"""


def speed(folder: Path) -> None:
    """Each way as a process of its own: start Python, load both models, score every response with both, write."""
    source, texts = load_texts()
    tokenizer: Any = train_tokenizer(texts)
    for seed, name in enumerate(("strong", "weak")):
        model: Any = build_model(seed)
        model.save_pretrained(folder / name)
        tokenizer.save_pretrained(folder / name)
    prompts = [prompt for prompt, _, _ in evenly(texts["llmbar"], PROMPTS)]
    answers = [text for _, chosen, rejected in texts["llmbar"] for text in (chosen, rejected)]
    drawn = random.Random(0)
    rows = [{"id": str(k), "prompt": p, "responses": drawn.sample(answers, RESPONSES)} for k, p in enumerate(prompts)]
    data = write_rows(folder / "responses.jsonl", rows)
    ours = [
        *(sys.executable, "-m", "cdr_eval.harness", "annotate", str(data), "--variant", f"cdr-{VARIANT.domain}"),
        *("--strong", str(folder / "strong"), "--weak", str(folder / "weak"), "--store", str(folder / "store")),
        *("--out", str(folder / "out"), "--quiet"),
    ]
    took = {"annotate": timed(ours), "annotate, every score in the store": timed(ours)}
    for name, words in OTHERS.items():
        took[words] = timed([sys.executable, "-m", "benchmarks.annotation", "contestant", name, str(folder)])
    print("## Against other ways, end to end\n")
    print(
        f"{PROMPTS} prompts with {RESPONSES} responses (texts: {source}) under cdr-{VARIANT.domain}, a pair of Llamas "
        "of 58 million parameters with random weights. From the start of the process to its end: for `annotate` with "
        "figures, report and data set, for the others until the rewards are written. Other work on the machine "
        "lengthens the clock's seconds, not the processor's.\n"
    )
    print("| | seconds by the clock | of processor time | x annotate, processor time |\n|---|---|---|---|")
    for name, (clock, processor, _) in took.items():
        print(f"| {name} | {clock:.1f} | {processor:.1f} | {processor / took['annotate'][1]:.1f} |")
    print(f"\nLargest difference of a reward: {_difference(folder):.0e}.\n", flush=True)


def contestant(name: str, folder: Path) -> None:
    """Score all responses with both models in one of the other ways, and write the rewards."""
    auto: Any = AutoTokenizer
    way = contestants.by_name(auto.from_pretrained(folder / "strong"))[name]
    renderer = ChatRenderer(auto.from_pretrained(folder / "strong"))
    criteria = load_criteria(DEFAULT_CRITERIA)
    requests: list[ScoringRequest] = []
    for line in (folder / "responses.jsonl").read_text(encoding="utf-8").splitlines():
        row: dict[str, Any] = json.loads(line)
        item = Item(row["id"], "all", (Turn(role="user", content=row["prompt"]),), tuple(row["responses"]))
        asked = [one for (one,) in conversations(item, VARIANT, criteria, 0)]
        requests += [r.request for r in renderer.render(asked) if r.request is not None]
    pairs: list[Pair] = list(zip(requests[::2], requests[1::2], strict=True))
    scores: list[Any] = []
    for side in ("strong", "weak"):
        models: Any = AutoModelForCausalLM
        model: PreTrainedModel = models.from_pretrained(folder / side, dtype=torch.float32).eval()
        scores.append(way(model, pairs).ravel())
    np.save(folder / f"{name}.npy", scores[0] - scores[1])


def scale(folder: Path) -> None:
    """20,000 prompts with two minilab checkpoints: time and memory; and killed and continued, compared by file."""
    data = many(folder / "many.jsonl", MANY)
    whole, other = folder / "whole", folder / "killed"
    whole.mkdir()
    other.mkdir()
    seconds, processor, gib = timed(minilab_command(data), whole)
    run: dict[str, Any] = json.loads((whole / "out" / "run.json").read_text(encoding="utf-8"))
    scored = sum(run["responses_scored"].values())
    print(f"## {MANY:,} prompts with {RESPONSES} responses, two minilab checkpoints, vanilla\n")
    print("| | |\n|---|---|")
    print(f"| responses scored, both checkpoints together | {scored:,} |")
    print(f"| from start to end, with statistics, report and data set | {seconds:.0f} s by the clock |")
    print(f"| of processor time | {processor:.0f} s |")
    print(f"| responses a second, by the clock | {scored / seconds:,.0f} |")
    print(f"| peak memory of the process | {gib:.2f} GiB |\n", flush=True)
    done = _killed(minilab_command(data), other, seconds)
    first, second = digests(whole / "out"), digests(other / "out")
    print(f"The same, killed {done} times and continued: {len(first)} files, ", end="")
    print(f"{sum(first[name] != second.get(name) for name in first)} of them differ.\n", flush=True)


def _killed(command: Sequence[str], folder: Path, longest: float) -> int:
    """Run a command to its end, killed on the way at random times; returns how often it was."""
    drawn = random.Random(0)
    for done in range(KILLS):
        process = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL)
        try:
            process.wait(timeout=drawn.uniform(0.05, 0.2) * longest)
            return done
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.wait()
    subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL)
    return KILLS


def minilab_command(data: Path) -> list[str]:
    """Annotate with DPO-3 over base into `out` of the working folder."""
    return [
        *(sys.executable, "-m", "cdr_eval.harness", "annotate", str(data), "--variant", "vanilla", "--quiet"),
        *("--strong", "minilab-dpo-3", "--weak", "minilab-base", "--store", "store", "--out", "out"),
    ]


def many(path: Path, prompts: int) -> Path:
    """Prompts and responses of a few of the world's words, and a grade for each at random."""
    drawn = random.Random(0)
    words = ("please", "tell", "me", "about", "fox", "rivers", "clouds", "the", "story", "now", "7", "12", "and", "red")

    def text(low: int, high: int) -> str:
        return " ".join(drawn.choice(words) for _ in range(drawn.randint(low, high)))

    rows = (
        {
            "id": k,
            "prompt": text(4, 9),
            "responses": [f"{text(2, 14)} {number}" for number in range(RESPONSES)],
            "grades": [drawn.random() for _ in range(RESPONSES)],
        }
        for k in range(prompts)
    )
    return write_rows(path, rows)


def write_rows(path: Path, rows: Any) -> Path:
    """JSONL."""
    with path.open("w", encoding="utf-8") as stream:
        for row in rows:
            stream.write(json.dumps(row) + "\n")
    return path


def digests(folder: Path) -> dict[str, str]:
    """SHA-256 of every file but those that say when and how long: run.json, its checksum, and the reports."""
    timed_files = {"run.json", "SHA256SUMS", "report.md", "report.html"}
    files = [path for path in sorted(folder.rglob("*")) if path.is_file() and path.name not in timed_files]
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def timed(command: Sequence[str], folder: Path | None = None) -> tuple[float, float, float]:
    """Seconds by the clock until the command ends, of processor time, and GiB of memory at most."""
    before = time.monotonic()
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{command[3]} ended with {process.returncode}")
    return time.monotonic() - before, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 2**20


def _difference(folder: Path) -> float:
    """Of the other ways' rewards from annotate's."""
    import pandas as pd

    ours = pd.read_parquet(folder / "out" / "responses.parquet")["reward"].to_numpy()
    return max(float(np.abs(np.load(folder / f"{name}.npy") - ours).max()) for name in OTHERS)


def main(parts: Sequence[str]) -> None:
    """Print the parts, or all, as Markdown."""
    transformers.logging.set_verbosity_error()
    if parts[:1] == ["contestant"]:
        contestant(parts[1], Path(parts[2]))
        return
    every: dict[str, Callable[[Path], None]] = {"speed": speed, "scale": scale}
    print(HEAD)
    print(
        f"{os.cpu_count()} shared cores of an {platform.machine()} CPU; Python {platform.python_version()}, torch "
        f"{torch.__version__}, transformers {transformers.__version__}.\n"
    )
    with tempfile.TemporaryDirectory() as folder:
        for part in parts or every:
            every[part](Path(folder))


if __name__ == "__main__":
    main(sys.argv[1:])
