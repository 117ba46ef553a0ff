"""What is lost when runs are killed, run side by side, or fed anything: python -m benchmarks.faults [PART ...]

Parts: kills, processes, fuzz, store; each rewrites its part of benchmarks/results/faults.md. The grids are those of the
tests (`tests/faults`), of small random Llamas, in units of a few responses, each written at once.
"""

import json
import os
import random
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from cdr_eval.harness.running.store import ScoreStore

from tests.faults.rounds import Rounds, different, rounds, rows, scores, small_grid

RESULTS = Path(__file__).parent / "results" / "faults.md"
KILLS = 200
ROUNDS, PROCESSES = 20, 4
SCORES, CHUNK = 2_000_000, 20_000
FUZZ = {
    "preference files": ("tests/tasks/reading/test_preferences.py", "any_bytes or any_json or damaged_parquet"),
    "rows of N responses": ("tests/tasks/reading/test_shapes.py", "any_n_responses"),
    "every format, packed or not": ("tests/tasks/reading/test_files.py", "any_bytes or any_text"),
    "benchmark files": ("tests/tasks/test_benchmarks.py", "any_bytes or any_rows"),
    "criteria": ("tests/tasks/test_criteria.py", "any_bytes or any_data"),
    "registry YAML": ("tests/model_registry/test_files.py", "any_bytes"),
    "leaderboard files": ("tests/model_registry/test_score_import.py", "any_bytes"),
    "score store": ("tests/harness/running/test_store_fuzz.py", "any_bytes"),
    "run directories": ("tests/reports/run_format/test_reading.py", "any_bytes"),
}


@contextmanager
def grid(checkpoints: int, items: int) -> Generator[Rounds]:
    """A grid and its undisturbed run."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with rounds(folder, small_grid(folder, checkpoints, items)) as ready:
            yield ready


def kills() -> str:
    """SIGKILL runs over a grid at random times until one ends by itself; from an empty store again and again.

    The times lie within that of an undisturbed run, which the last run, whose scores are stored, does not need.
    """
    times = random.Random(0)
    with grid(checkpoints=6, items=300) as ready:
        clean = scores(ready.clean_store)
        undisturbed = seconds(lambda: ready.one(ready.job(ready.folder / "store-0", ready.folder / "run-0")))
        killed = while_scoring = cycles = lost = wrong = twice = differing = 0
        while killed < KILLS:
            cycles += 1
            store, out = ready.folder / f"store-{cycles}", ready.folder / f"run-{cycles}"
            while ready.one(ready.job(store, out, kill_after=times.uniform(0, undisturbed)))[0] != 0:
                killed += 1
                while_scoring += len(scores(store)) < len(clean)
            found = scores(store)
            lost += len(clean.keys() - found.keys())
            wrong += sum(clean.get(key) != value for key, value in found.items())
            twice += rows(store) - len(found)
            differing += len(different(out, ready.clean))
        return table(
            {
                "seconds until a run was killed": f"0 to {undisturbed:.1f}, as long as an undisturbed one takes",
                "runs killed": f"{killed}, {while_scoring} of them while scores were missing, the others later",
                "runs continued to their end": f"{cycles}, each from an empty store",
                "scores of the grid": f"{len(clean):,}",
                "scores lost": str(lost),
                "scores that differ from the undisturbed run's": str(wrong),
                "scores stored twice": str(twice),
                "files of run directories that differ": str(differing),
            }
        )


def processes() -> str:
    """Four processes at once over one new store, again and again."""
    with grid(checkpoints=5, items=60) as ready:
        clean = scores(ready.clean_store)
        lost = extra = wrong = 0
        for number in range(ROUNDS):
            store = ready.folder / f"store-{number}"
            outs = [ready.folder / f"run-{number}-{process}" for process in range(PROCESSES)]
            ended = ready.all([ready.job(store, out) for out in outs])
            assert [code for code, _ in ended] == [0] * PROCESSES, ended
            lost += len(clean.keys() - scores(store).keys())
            records = [json.loads((out / "run.json").read_text(encoding="utf-8")) for out in outs]
            extra += sum(sum(record["responses_scored"].values()) for record in records) - len(clean)
            wrong += sum(bool(different(out, ready.clean)) for out in outs)
        return table(
            {
                "rounds": f"{ROUNDS}, each of {PROCESSES} processes",
                "scores of the grid": f"{len(clean):,}",
                "scores lost": str(lost),
                "responses scored beyond the minimum": str(extra),
                "run directories that differ from the undisturbed run's": f"{wrong} of {ROUNDS * PROCESSES}",
            }
        )


def fuzz() -> str:
    """Each reader's property tests with 10,000 cases a test."""
    told: dict[str, str] = {}
    for reader, (file, which) in FUZZ.items():
        command = [sys.executable, "-m", "pytest", "-q", "--hypothesis-profile=long", "--hypothesis-show-statistics"]
        done = subprocess.run([*command, file, "-k", which], capture_output=True, text=True, check=False)
        counts = re.findall(r"(\d+) passing(?: examples)?, (\d+) failing", done.stdout)
        assert counts, done.stdout + done.stderr
        passing, failing = (sum(int(count[i]) for count in counts) for i in (0, 1))
        failing += done.returncode
        told[reader] = f"{passing:,} cases, {failing} failing"
    return table(told)


def store_speed() -> str:
    """Scores written and read back a second, by one process."""
    rng = np.random.default_rng(0)
    keys = [rng.bytes(16) for _ in range(SCORES)]
    values: list[float] = rng.normal(-200, 50, SCORES).tolist()
    with tempfile.TemporaryDirectory() as name:
        store = ScoreStore(Path(name))
        writing = seconds(
            lambda: [
                store.append(keys[i : i + CHUNK], values[i : i + CHUNK], [100] * CHUNK, f"m{i // 200_000}")
                for i in range(0, SCORES, CHUNK)
            ]
        )
        opening = seconds(lambda: ScoreStore(Path(name)))
        opened = ScoreStore(Path(name))
        requests = [keys[i : i + CHUNK] for i in range(0, SCORES, CHUNK)]
        first = seconds(lambda: opened.lookup(requests[0]))
        reading = seconds(lambda: [opened.lookup(request) for request in requests])
        assert opened.lookup(keys)[0].tolist() == values
        size = sum(chunk.stat().st_size for chunk in Path(name).glob("*.parquet"))
    return table(
        {
            "written": f"{SCORES / writing:,.0f} scores a second, in chunks of {CHUNK:,}, each forced to the disk",
            "opened": f"{SCORES:,} scores in {opening:.2f} s ({SCORES / opening:,.0f} a second), all hashes checked",
            "looked up": f"{SCORES / reading:,.0f} scores a second among {SCORES:,}, {CHUNK:,} at a time; "
            f"the first time {first:.2f} s",
            "size": f"{size / SCORES:.1f} bytes a score",
        }
    )


def seconds(work: Callable[[], object]) -> float:
    """How long some work takes."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def table(rows_: dict[str, str]) -> str:
    """A Markdown table of two columns."""
    return "\n".join(["| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in rows_.items())])


PARTS: dict[str, tuple[str, Callable[[], str]]] = {
    "kills": ("One grid, killed again and again (SIGKILL at random times), then continued to its end", kills),
    "processes": ("Several processes at once into one store", processes),
    "fuzz": ("Any content in every file that is read: a valid object or a sentence", fuzz),
    "store": ("Speed of the score store", store_speed),
}


def main(names: list[str]) -> None:
    """Measure the parts named (all without any) and replace them in the results file."""
    os.environ["HF_HUB_OFFLINE"] = "1"
    text = RESULTS.read_text(encoding="utf-8") if RESULTS.exists() else ""
    parts = dict(re.findall(r"^## (.+?)\n\n(.+?)(?=\n\n## |\Z)", text.strip(), re.MULTILINE | re.DOTALL))
    for name in names or PARTS:
        title, measure = PARTS[name]
        started = time.monotonic()
        body = measure()
        parts[title] = f"{body}\n\n`python -m benchmarks.faults {name}`, {time.monotonic() - started:.0f} s"
        titles = [title for title, _ in PARTS.values() if title in parts]
        sections = [f"## {title}\n\n{parts[title]}" for title in titles]
        RESULTS.write_text("# Faults tried, and what was lost\n\n" + "\n\n".join(sections) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
