"""Peak memory and time of runs on data of real size: python -m benchmarks.sizes [PART ...]

Parts: pairs, many, prompts, workers; each rewrites its part of benchmarks/results/sizes.md. Every measurement is a
process of its own on two shipped checkpoints; the data are random words, written by this script. To set them beside
another version, check it out elsewhere and run `cdr-eval` on the file that `--data FOLDER` leaves, on the same machine.
"""

import argparse
import json
import os
import random
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

RESULTS = Path(__file__).parent / "results" / "sizes.md"
COMMAND = (sys.executable, "-m", "cdr_eval.harness", "pair", "--strong", "minilab-dpo-3", "--weak", "minilab-base")
WORDS = "the a fox sees tall apples rivers clouds please bring me water tell story about help yes no ok red 3 7 12 + ="
RESPONSES = 16
MEASURE = (
    "import resource, subprocess, sys, time; start = time.monotonic(); code = subprocess.call(sys.argv[1:]);"
    "print(code, time.monotonic() - start, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20)"
)


@dataclass(frozen=True, slots=True)
class Measured:
    """One run."""

    seconds: float
    gib: float
    """Peak resident memory of the process."""


def words(rng: random.Random, low: int, high: int) -> str:
    """A text of so many words."""
    return " ".join(rng.choices(WORDS.split(), k=rng.randint(low, high)))


def write_pairs(path: Path, count: int) -> Path:
    """Short preference pairs whose two texts differ."""
    rng = random.Random(0)
    with path.open("w", encoding="utf-8") as file:
        for number in range(count):
            chosen, rejected = words(rng, 4, 12), words(rng, 4, 12)
            row = {"prompt": words(rng, 6, 14), "chosen": f"{chosen} {number}", "rejected": f"no {rejected}"}
            file.write(json.dumps(row) + "\n")
    return path


def write_prompts(path: Path, count: int) -> Path:
    """Prompts with sixteen graded responses."""
    rng = random.Random(1)
    with path.open("w", encoding="utf-8") as file:
        for _ in range(count):
            responses = [f"{words(rng, 3, 9)} {k}" for k in range(RESPONSES)]
            grades = [rng.random() for _ in responses]
            file.write(json.dumps({"prompt": words(rng, 6, 14), "responses": responses, "grades": grades}) + "\n")
    return path


def run(task: Path, store: Path, out: Path, variants: str = "vanilla", *more: str) -> Measured:
    """One `cdr-eval pair`; raises RuntimeError where it fails."""
    given = (*COMMAND, "--variants", variants, "--task", str(task), "--store", str(store), "--out", str(out), "--quiet")
    environment = os.environ | {"HF_HUB_OFFLINE": "1"}
    command = [sys.executable, "-c", MEASURE, *given, *more]
    ended = subprocess.run(command, capture_output=True, text=True, env=environment, check=True)
    code, seconds, gib = ended.stdout.split("\n")[-2].split()
    if code != "0":
        raise RuntimeError(ended.stderr)
    return Measured(float(seconds), float(gib))


def pairs(folder: Path, count: int = 20_000) -> list[Sequence[str]]:
    """A file of preference pairs, and the same again from the store."""
    task = write_pairs(folder / f"pairs-{count}.jsonl", count)
    first = run(task, folder / f"store-{count}", folder / f"run-{count}")
    again = run(task, folder / f"store-{count}", folder / f"run-{count}")
    return [row(f"{count:,} pairs", first, 4 * count), row(f"{count:,} pairs, again from the store", again, 0)]


def many(folder: Path) -> list[Sequence[str]]:
    """Five times as many pairs."""
    return pairs(folder, 100_000)


def prompts(folder: Path) -> list[Sequence[str]]:
    """Prompts with sixteen responses, one criteria variant: each response under one conditioning by two checkpoints."""
    rows: list[Sequence[str]] = []
    for count in (2_000, 20_000):
        task = write_prompts(folder / f"prompts-{count}.jsonl", count)
        found = run(task, folder / f"store-prompts-{count}", folder / f"run-prompts-{count}", "cdr-safety")
        rows.append(row(f"{count:,} prompts × {RESPONSES} responses, cdr-safety", found, 2 * count * RESPONSES))
    return rows


def workers(folder: Path) -> list[Sequence[str]]:
    """One pair by one process and by two at once over one store, a thread each."""
    task = write_pairs(folder / "pairs-workers.jsonl", 20_000)
    os.environ["OMP_NUM_THREADS"] = "1"
    one = run(task, folder / "store-1", folder / "run-1", "cdr-safety")
    start = time.monotonic()
    with ThreadPoolExecutor(2) as pool:
        jobs = [pool.submit(run, task, folder / "store-2", folder / f"run-2-{k}", "cdr-safety") for k in range(2)]
        both = [job.result() for job in jobs]
    seconds = time.monotonic() - start
    del os.environ["OMP_NUM_THREADS"]
    two = Measured(seconds, max(each.gib for each in both))
    label = "20,000 pairs, cdr-safety, one thread a process"
    return [row(f"{label}: one process", one, 80_000), row(f"{label}: two processes", two, 80_000)]


def row(what: str, found: Measured, responses: int) -> Sequence[str]:
    """A row of the table; `responses` are those that were scored."""
    rate = f"{responses / found.seconds:,.0f}" if responses else ""
    return what, f"{found.gib:.2f}", f"{found.seconds:.0f}", rate


PARTS = {"pairs": pairs, "many": many, "prompts": prompts, "workers": workers}


def section(part: str, rows: Sequence[Sequence[str]]) -> str:
    """A part of the page."""
    lines = ["| | peak memory (GiB) | wall clock (s) | responses/s, everything included |", "|---|---|---|---|"]
    lines += [f"| {' | '.join(cells)} |" for cells in rows]
    load = os.getloadavg()[2]
    table = "\n".join(lines)
    return f"## {part}\n\n{table}\n\n`python -m benchmarks.sizes {part}`; load of the machine {load:.1f} on 2 cores\n\n"


def main() -> None:
    """Run parts and rewrite theirs of the page."""
    parser = argparse.ArgumentParser()
    parser.add_argument("parts", nargs="*", choices=[[], *PARTS])
    parser.add_argument("--data", type=Path, help="keep the data in this folder")
    arguments = parser.parse_args()
    text = RESULTS.read_text(encoding="utf-8") if RESULTS.exists() else "# Runs of real size\n\n"
    for part in arguments.parts or PARTS:
        with tempfile.TemporaryDirectory() as name:
            made = section(part, PARTS[part](arguments.data or Path(name)))
        found = re.search(rf"## {part}\n.*?(?=\n## |\\Z)", text, re.DOTALL)
        text = text.replace(found[0], made.rstrip("\n") + "\n") if found else text + made
        RESULTS.write_text(text, encoding="utf-8")
        print(made)


if __name__ == "__main__":
    main()
