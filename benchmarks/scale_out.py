"""Scoring on workers of Ray against scoring in this process: python -m benchmarks.scale_out

Rewrites benchmarks/results/scale_out.md: a pair of small Llamas on 1, 2 and 4 workers of one thread each and in this
process on as many threads, what a unit costs besides its scoring, and a large annotation simulated from that and from
stated rates.
"""

import heapq
import os
import tempfile
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import psutil
import torch
from cdr_eval.harness.comparisons import pair_of
from cdr_eval.harness.executors import open_executor, open_pool
from cdr_eval.harness.options import Options
from cdr_eval.harness.question import ask
from cdr_eval.harness.running.scoring_run import score
from cdr_eval.harness.running.work_units import UNIT_TOKENS, CheckpointWork, Executor, ScoredUnit
from cdr_eval.harness.session import open_session
from cdr_eval.model_registry.registry import load_registry
from transformers import LlamaConfig, LlamaForCausalLM, set_seed

from benchmarks.sizes import write_pairs
from tests.checkpoints import byte_level_tokenizer

RESULTS = Path(__file__).parent / "results" / "scale_out.md"
PAIRS, UNIT = 300, 512
SIZE: dict[str, Any] = {"hidden_size": 256, "intermediate_size": 704, "num_hidden_layers": 8, "num_attention_heads": 8}
FIRST, LAST = 0.25, 0.9
"""The share of units between which a rate is measured: all workers are busy then."""
EMPTY_UNITS = 400
PROMPTS, RESPONSES, PROMPT_TOKENS, RESPONSE_TOKENS = 60_000, 32, 200, 300
PARAMETERS, PEAK_FLOPS, USED, READ_BYTES = 7.24e9, 989e12, 0.4, 2e9
"""Mistral 7B; an H100's published dense bfloat16 peak; the share of it and the bytes a second from disk are assumed."""


PAGE = """# Scoring on workers of Ray

`python -m benchmarks.scale_out`: {pairs:,} short pairs by two Llamas of 6 million parameters, units of {unit:,}
tokens, float32, {cores} cores, at a load of {load:.1f} before: above half of the cores the clock tells what other work
left over, and more workers or threads than cores share them in any case. Measured between the first {first:.0%}
and {last:.0%} of the units. What Ray adds to a unit is the driver's part.

{table}

A unit of {large:,} tokens that costs nothing to score takes {overhead:.1f} ms with one worker; the first answer of
a cluster's worker came after {start:.0f} s.

## On paper: {prompts:,} prompts with {responses} responses, a 7B pair

Assumed: {prompt_tokens} tokens a prompt and {response_tokens} a response, prompts shared; 2 × {parameters:.2f} billion
operations a token at {used:.0%} of {peak:.0f} TFLOP/s (an H100's published dense bfloat16 peak; the share is a guess),
so {rate:,.0f} tokens a second and {seconds:.1f} s a unit of {large:,}; opening is a start as above and twice
{gigabytes:.1f} GB, hashed and loaded, at {read:.0f} GB/s. Measured: the overhead above, and the driver's {driver:.2f}
ms of processor time a response (rendering, cutting, the store), which it does one after another. It is that of the
pairs above, two responses a prompt of about {measured:.0f} tokens each with their part of the prompt, taken as it is:
longer texts take longer to render and cut, so that the driver becomes the limit sooner. No GPU was used.

| GPUs | hours | of linear |
|---|---|---|
{rows}

Where the share of linear falls, the driver is the limit: run several drivers over one store, with `--shard`.
"""


@dataclass(frozen=True, slots=True)
class Rate:
    """One arrangement, in the window."""

    seconds: float
    """By the clock, a unit."""
    driver: float
    """Processor seconds of the driving process, a unit."""
    workers: float
    """The same of all workers; 0 where there are none."""
    responses: float
    """Responses of a unit."""


@dataclass(frozen=True, slots=True)
class Empty:
    """A job of units that cost nothing."""

    name: str = "empty"

    def here(self) -> "Empty":
        """On any machine."""
        return self

    def open(self) -> Callable[[bytes], bytes]:
        """A unit is its own answer."""
        return bytes


class Clocked:
    """An executor that notes when units are answered, and the processor time until then."""

    def __init__(self, executor: Executor) -> None:
        self._executor = executor
        self.settings, self.status, self.place = executor.settings, "", ""
        self.notes: list[tuple[float, float, float, int]] = []

    def run(self, work: Iterator[CheckpointWork]) -> Iterator[ScoredUnit]:
        """See `Executor.run`."""
        for scored in self._executor.run(work):
            responses = len(scored.logprobs)
            self.notes.append((time.monotonic(), time.process_time(), worker_seconds(), responses))
            yield scored

    def release(self) -> None:
        """See `Executor.release`."""
        self._executor.release()

    def rate(self) -> Rate:
        """Of the window."""
        window = self.notes[int(FIRST * len(self.notes)) : int(LAST * len(self.notes))]
        units = len(window) - 1
        clock, driver, workers = ((window[-1][k] - window[0][k]) / units for k in range(3))
        return Rate(clock, driver, workers, sum(note[3] for note in window[1:]) / units)


def worker_seconds() -> float:
    """Processor seconds of the workers that this process's cluster has."""
    children = psutil.Process().children(recursive=True)
    times = [child.cpu_times() for child in children if "ray::Worker" in " ".join(child.cmdline())]
    return sum(spent.user + spent.system for spent in times)


@contextmanager
def cluster(cpus: int | None) -> Generator[str | None]:
    """The executor of a cluster on this machine that is told it has so many CPUs; of this process for None."""
    if cpus is None:
        yield None
        return
    tools: Any = import_module("ray.cluster_utils")
    told = {"num_cpus": cpus, "include_dashboard": False, "object_store_memory": 80 * 2**20}
    started = tools.Cluster(initialize_head=True, head_node_args=told)
    yield f"ray:{started.address}"
    started.shutdown()


def write_checkpoints(folder: Path) -> tuple[str, str]:
    """Two Llamas of random weights, just large enough that this process gives them more than one thread."""
    tokenizer: Any = byte_level_tokenizer("chatml")
    for seed, name in enumerate(("strong", "weak")):
        set_seed(seed)
        model: Any = LlamaForCausalLM(LlamaConfig(vocab_size=len(tokenizer), **SIZE))
        model.save_pretrained(folder / name)
        tokenizer.save_pretrained(folder / name)
    return str(folder / "strong"), str(folder / "weak")


def scored(pair: tuple[str, str], task: Path, store: Path, executor: str | None) -> Rate:
    """The pair on the task, from an empty store."""
    registry = load_registry()
    options = Options(executor=executor, store=store)
    comparisons = pair_of(*pair, registry)
    question = ask(str(task), ("vanilla",), comparisons, registry, options)
    with open_executor(options) as opened:
        clocked = Clocked(opened())
        session = open_session(question, comparisons, registry, options, lambda: clocked)
        score(session.groups, session.router, session.planner, session.runner)
        return clocked.rate()


def empty_unit() -> tuple[float, float]:
    """Seconds by the clock of a unit without work, with one worker and two in flight; and of a worker's start."""
    unit = bytes(5 * UNIT_TOKENS["accelerator"])
    with open_pool(Options(device="cpu"), "ray") as pool:
        started = time.monotonic()
        answers: list[float] = [time.monotonic() for _ in pool.run([(Empty(), iter([unit] * EMPTY_UNITS))])]
    return (answers[-1] - answers[9]) / (len(answers) - 10), answers[0] - started


def simulated(gpus: int, unit: float, driver: float, opening: float) -> float:
    """Seconds until the units of both checkpoints are answered, each driven `driver` seconds and scored `unit`.

    A worker opens a checkpoint in `opening`; half of them have one, half the other.
    """
    units = 2 * PROMPTS * (PROMPT_TOKENS + RESPONSES * RESPONSE_TOKENS) / UNIT_TOKENS["accelerator"]
    free = [opening] * gpus
    heapq.heapify(free)
    driven = end = 0.0
    for _ in range(int(units)):
        driven += driver
        end = max(heapq.heappop(free), driven) + unit
        heapq.heappush(free, end)
    return end


def measured_page() -> tuple[str, float, float]:
    """The table of arrangements, and of the last one the driver's processor seconds and the tokens a response."""
    lines = ["| | clock, ms a unit | against one | of it linear | workers' processor time, ms a unit | driver's |"]
    lines.append("|---|---|---|---|---|---|")
    per_response = tokens = 0.0
    with tempfile.TemporaryDirectory() as name:
        task = write_pairs(Path(name) / "pairs.jsonl", PAIRS)
        pair = write_checkpoints(Path(name))
        for label, on_ray in (("this process, threads: {}", False), ("Ray, workers of one thread: {}", True)):
            one = 0.0
            for count in (1, 2, 4):
                torch.set_num_threads(count)
                with cluster(count if on_ray else None) as executor:
                    rate = scored(pair, task, Path(name) / f"store-{on_ray}-{count}", executor)
                one = one or rate.seconds
                gain = one / rate.seconds
                numbers = (rate.seconds * 1e3, gain, gain / count, rate.workers * 1e3, rate.driver * 1e3)
                lines.append(
                    "| {} | {:.0f} | {:.2f} | {:.2f} | {:.0f} | {:.1f} |".format(label.format(count), *numbers)
                )
                per_response, tokens = rate.driver / rate.responses, UNIT / rate.responses
                print(lines[-1], flush=True)
    return "\n".join(lines), per_response, tokens


def main() -> None:
    """Measure and write the page."""
    os.environ |= {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    UNIT_TOKENS["cpu"] = UNIT
    load = os.getloadavg()[0]
    table, driver, measured = measured_page()
    overhead, start = empty_unit()
    tokens_a_second = PEAK_FLOPS * USED / (2 * PARAMETERS)
    unit = UNIT_TOKENS["accelerator"] / tokens_a_second
    responses = UNIT_TOKENS["accelerator"] / (RESPONSE_TOKENS + PROMPT_TOKENS / RESPONSES)
    opening = start + 2 * 2 * PARAMETERS / READ_BYTES
    rows: list[str] = []
    for gpus in (1, 8, 64):
        seconds = simulated(gpus, unit + overhead, driver * responses, opening)
        rows.append(f"| {gpus} | {seconds / 3600:.2f} | {simulated(1, unit, 0.0, 0.0) / seconds / gpus:.2f} |")
    text = PAGE.format(
        pairs=PAIRS,
        unit=UNIT,
        cores=os.cpu_count(),
        load=load,
        first=FIRST,
        last=LAST,
        table=table,
        large=UNIT_TOKENS["accelerator"],
        overhead=overhead * 1e3,
        start=start,
        prompts=PROMPTS,
        responses=RESPONSES,
        prompt_tokens=PROMPT_TOKENS,
        response_tokens=RESPONSE_TOKENS,
        parameters=PARAMETERS / 1e9,
        used=USED,
        peak=PEAK_FLOPS / 1e12,
        rate=tokens_a_second,
        seconds=unit,
        gigabytes=2 * PARAMETERS / 1e9,
        read=READ_BYTES / 1e9,
        driver=driver * 1e3,
        measured=measured,
        rows="\n".join(rows),
    )
    RESULTS.write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
