"""Peak memory and time of runs on data of real size: python -m benchmarks.sizes [PART ...] [--beside PYTHON]

Parts: pairs, many, prompts, workers; each rewrites its part of benchmarks/results/sizes.md. Every measurement is a
process of its own on two shipped checkpoints; the data are random words, written by this script. PYTHON is that of an
environment with another version (a checkout of commit 3f789ed, say), which then runs `pairs` in turn with this one.
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
COMMAND = ("-m", "cdr_eval.harness", "pair", "--strong", "minilab-dpo-3", "--weak", "minilab-base")
WORDS = "the a fox sees tall apples rivers clouds please bring me water tell story about help yes no ok red 3 7 12 + ="
RESPONSES = 16
MEASURE = (
    "import resource, subprocess, sys, time; start = time.monotonic(); code = subprocess.call(sys.argv[1:]);"
    "used = resource.getrusage(resource.RUSAGE_CHILDREN);"
    "print(code, time.monotonic() - start, used.ru_utime + used.ru_stime, used.ru_maxrss / 2**20)"
)


@dataclass(frozen=True, slots=True)
class Measured:
    """One run."""

    seconds: float
    processor: float
    """Seconds of processor time, which other work on the machine changes less than the clock's."""
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


def run(
    task: Path, store: Path, out: Path, variants: str = "vanilla", *more: str, python: str = sys.executable
) -> Measured:
    """One `cdr-eval pair`; raises RuntimeError where it fails."""
    given = ("--variants", variants, "--task", str(task), "--store", str(store), "--out", str(out), "--quiet")
    environment = os.environ | {"HF_HUB_OFFLINE": "1"}
    command = [sys.executable, "-c", MEASURE, python, *COMMAND, *given, *more]
    ended = subprocess.run(command, capture_output=True, text=True, env=environment, check=True)
    code, *figures = ended.stdout.split("\n")[-2].split()
    if code != "0":
        raise RuntimeError(ended.stderr)
    return Measured(*map(float, figures))


def pairs(folder: Path, beside: str | None = None, count: int = 20_000) -> list[Sequence[str]]:
    """A file of preference pairs, and the same again from the store."""
    task = write_pairs(folder / f"pairs-{count}.jsonl", count)
    rows: list[Sequence[str]] = []
    for version, python in {"": sys.executable, ", the other version": beside}.items():
        if python is not None:
            place = folder / f"{count}-{len(rows)}"
            first, again = (run(task, place / "store", place / "run", python=python) for _ in range(2))
            rows.append(row(f"{count:,} pairs{version}", first, 4 * count))
            rows.append(row(f"{count:,} pairs, again from the store{version}", again, 0))
    return rows


def many(folder: Path, beside: str | None = None) -> list[Sequence[str]]:
    """Five times as many pairs."""
    return pairs(folder, beside, 100_000)


def prompts(folder: Path, _beside: str | None) -> list[Sequence[str]]:
    """Prompts with sixteen responses, one criteria variant: each response under one conditioning by two checkpoints."""
    rows: list[Sequence[str]] = []
    for count in (2_000, 20_000):
        task = write_prompts(folder / f"prompts-{count}.jsonl", count)
        found = run(task, folder / f"store-prompts-{count}", folder / f"run-prompts-{count}", "cdr-safety")
        rows.append(row(f"{count:,} prompts × {RESPONSES} responses, cdr-safety", found, 2 * count * RESPONSES))
    return rows


def workers(folder: Path, _beside: str | None) -> list[Sequence[str]]:
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
    two = Measured(seconds, sum(each.processor for each in both), max(each.gib for each in both))
    label = "20,000 pairs, cdr-safety, one thread a process"
    return [row(f"{label}: one process", one, 80_000), row(f"{label}: two processes", two, 80_000)]


def row(what: str, found: Measured, responses: int) -> Sequence[str]:
    """A row of the table; `responses` are those that were scored."""
    rate = f"{responses / found.seconds:,.0f}" if responses else ""
    return what, f"{found.gib:.2f}", f"{found.seconds:.0f}", f"{found.processor:.0f}", rate


PARTS = {"pairs": pairs, "many": many, "prompts": prompts, "workers": workers}


def section(part: str, rows: Sequence[Sequence[str]]) -> str:
    """A part of the page."""
    lines = ["| | peak memory (GiB) | wall clock (s) | processor time (s) | responses/s by the clock |"]
    lines += ["|---|---|---|---|---|"]
    lines += [f"| {' | '.join(cells)} |" for cells in rows]
    load = os.getloadavg()[2]
    table = "\n".join(lines)
    return f"## {part}\n\n{table}\n\n`python -m benchmarks.sizes {part}`; load of the machine {load:.1f} on 2 cores\n\n"


def main() -> None:
    """Run parts and rewrite theirs of the page."""
    parser = argparse.ArgumentParser()
    parser.add_argument("parts", nargs="*", choices=[[], *PARTS])
    parser.add_argument("--beside", metavar="PYTHON", help="another version's interpreter")
    arguments = parser.parse_args()
    text = RESULTS.read_text(encoding="utf-8") if RESULTS.exists() else "# Runs of real size\n\n"
    for part in arguments.parts or PARTS:
        with tempfile.TemporaryDirectory() as name:
            made = section(part, PARTS[part](Path(name), arguments.beside))
        found = re.search(rf"## {part}\n.*?(?=\n## |\Z)", text, re.DOTALL)
        text = text.replace(found[0], made.rstrip("\n") + "\n") if found else text + made
        RESULTS.write_text(text, encoding="utf-8")
        print(made)


if __name__ == "__main__":
    main()
