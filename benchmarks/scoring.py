"""Speed of scoring against other ways to do the same work.

python -m benchmarks.scoring [PART ...] > benchmarks/results/scoring.md

The parts are vanilla, profile, criteria, best-of, grid and memory; without any, all of them, in about half an hour.
Leave the machine alone meanwhile: the clock is what is read.
"""

import copy
import os
import platform
import statistics
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import transformers
from cdr_eval.harness.rendering.chat import ChatRenderer
from numpy.typing import NDArray
from transformers import PreTrainedModel

from . import scoring_contestants as contestants
from .scoring_contestants import Contestant
from .scoring_memory import PAIRS as MEMORY_PAIRS
from .scoring_memory import peak_memory
from .scoring_profile import PRODUCTS, time_by_kind
from .scoring_timing import Measured, in_turns, necessary_operations, product_rates
from .scoring_work import VOCABULARY, Pair, build_model, evenly, load_texts, pairs_of, train_tokenizer, words_of

THREADS = 2
NAMES = {
    "naive": "naive loop, as RewardBench",
    "padded": "plain padded batches",
    "lm-eval": "lm-eval HF",
    "engine without oneDNN": "this engine with torch's own products",
    "engine": "this engine",
}
HEAD = """# Speed of scoring

Made by `python -m benchmarks.scoring > benchmarks/results/scoring.md`. All ways score the same pairs of responses with
the same models, in turns within each round. Seconds are the clock's, medians over the rounds (each in parentheses).
"x engine" is how many times as long as this engine a way takes: a ratio of medians.

The limit is the time that the necessary products of matrices take by themselves: unique tokens of the trie x 2 x
non-embedding parameters, and the output projection where it predicts a scored token, at the fastest rate that the same
run measures. There are two such rates: that of torch's own product (MKL), which everything but this engine uses, and
that of oneDNN's, which this engine uses. How far apart they lie is up to the maker of the CPU; "with torch's own
products" is the engine with oneDNN switched off: what sharing and packing bring by themselves. Attention, norms,
activations and the softmax are no part of the limit.

lm-eval sums log-probabilities in float32, whose steps between 4,096 and 8,192 are 5e-4; the others sum in float64.
"""


def scenario(
    title: str, models: Sequence[PreTrainedModel], pairs: Sequence[Pair], ways: dict[str, Contestant], rounds: int
) -> None:
    """Score the pairs with every model in every way, and print a table."""
    own = copy.deepcopy(models)  # the engine lays weights out in another way; nobody else shall gain or lose by that
    work = {name: _work(way, own if name == "engine" else models, pairs) for name, way in ways.items()}
    measured, rates = in_turns(work, [*models, *own], rounds)
    operations = len(models) * necessary_operations(models[0], pairs)
    plain, fast = (operations / statistics.median(column) for column in zip(*rates, strict=True))
    ours = measured["engine"]
    print(f"## {title}\n")
    print(f"{len(pairs)} pairs, models: {len(models)}, rounds: {rounds}. ", end="")
    print(f"The limit is {plain:.2f} s at the rate of torch's product, {fast:.2f} s at oneDNN's.\n")
    print("| | seconds (rounds) | pairs/s | tokens computed | of torch's limit | of oneDNN's limit | x engine |")
    print("|---|---|---|---|---|---|---|")
    for name, way in measured.items():
        each = ", ".join(f"{seconds:.2f}" for seconds in way.seconds)
        print(f"| {NAMES[name]} | {way.median:.2f} ({each}) ", end="")
        print(f"| {len(pairs) / way.median:.2f} | {way.tokens:,} | {plain / way.median:.0%} ", end="")
        print(f"| {fast / way.median:.0%} | {way.median / ours.median:.1f} |", flush=True)
    largest = ", ".join(f"{name} {value:.0e}" for name, value in _differences(measured).items())
    print(f"\nLargest difference of a log-probability from this engine's: {largest}.\n", flush=True)


def _work(way: Contestant, models: Sequence[PreTrainedModel], pairs: Sequence[Pair]) -> Any:
    return lambda: np.concatenate([way(model, pairs) for model in models])


def _differences(measured: dict[str, Measured]) -> dict[str, float]:
    """The other ways' largest absolute difference from the engine's scores."""
    ours = measured["engine"].scores
    others = {NAMES[name]: way.scores for name, way in measured.items() if name != "engine"}
    return {name: float(np.abs(scores - ours).max()) for name, scores in others.items()}


def where_time_goes(model: PreTrainedModel, pairs: Sequence[Pair]) -> None:
    """The engine's time by kind of operation, and what share of the limit is left if the products ran at their peak."""
    seconds = time_by_kind(lambda: contestants.engine(model, pairs))
    products = seconds[PRODUCTS]
    limit = necessary_operations(model, pairs) / product_rates()[1]
    whole = sum(seconds.values())
    print(f"## Where the engine's time goes\n\n{len(pairs)} LLMBar pairs, one model, under torch's profiler.\n")
    print("| | seconds | share |\n|---|---|---|")
    for kind, taken in seconds.items():
        print(f"| {kind} | {taken:.3f} | {taken / whole:.0%} |")
    print(
        f"\nThe products take {products / limit:.2f} times oneDNN's limit. If they took no longer than that limit, ",
        end="",
    )
    print(
        f"and all else what it takes, the engine would reach {limit / (limit + whole - products):.0%} of it.\n",
        flush=True,
    )


def grid(models: Sequence[PreTrainedModel], pairs: Sequence[Pair]) -> None:
    """All ordered pairs of checkpoints: each pair on its own, and each checkpoint once."""

    def every_pair() -> NDArray[np.float64]:
        rows = [
            [_margin(contestants.naive, s, pairs) - _margin(contestants.naive, w, pairs) for w in models]
            for s in models
        ]
        return np.array(rows)

    def every_checkpoint() -> NDArray[np.float64]:
        margins = np.array([_margin(contestants.engine, model, pairs) for model in models])
        return margins[:, None] - margins[None, :]

    measured, _ = in_turns({"naive": every_pair}, models, 1)
    measured |= in_turns({"engine": every_checkpoint}, models, 3)[0]
    print(f"## Grid of {len(models)} checkpoints\n")
    print(f"{len(models) ** 2} ordered pairs of checkpoints, {len(pairs)} pairs of responses.\n")
    print("| | seconds | tokens computed | x engine |\n|---|---|---|---|")
    for name, label in (("naive", "pair by pair"), ("engine", "checkpoint by checkpoint")):
        way = measured[name]
        print(f"| {NAMES[name]}, {label} | {way.median:.2f} | {way.tokens:,} ", end="")
        print(f"| {way.median / measured['engine'].median:.0f} |")
    print(f"\nLargest difference of a reward margin: {max(_differences(measured).values()):.0e}.\n", flush=True)


def _margin(way: Contestant, model: PreTrainedModel, pairs: Sequence[Pair]) -> NDArray[np.float64]:
    scores = way(model, pairs)
    return scores[:, 0] - scores[:, 1]


def memory() -> None:
    """Peak memory by vocabulary, each in a process of its own."""
    print(
        f"## Peak memory beyond the weights\n\n{MEMORY_PAIRS} LLMBar pairs, one model, each in a process of its own.\n"
    )
    print("| | vocabulary 32,000 | vocabulary 128,000 |\n|---|---|---|")
    for name in ("naive", "padded", "lm-eval", "engine"):
        small, large = peak_memory(name, VOCABULARY), peak_memory(name, 128_000)
        print(f"| {NAMES[name]} | {small:.0f} MiB | {large:.0f} MiB |", flush=True)


def introduction(source: str, model: PreTrainedModel) -> None:
    """Print what is measured, on what."""
    print(HEAD)
    print(
        f"Texts: {source}. Model: Llama, {model.num_parameters() / 1e6:.0f} million parameters (8 layers, width 512, "
        f"vocabulary {VOCABULARY:,}), random weights, float32, {THREADS} threads on {os.cpu_count()} shared cores of "
        f"an {platform.machine()} CPU; Python {platform.python_version()}, torch {torch.__version__}, transformers "
        f"{transformers.__version__}. No GPU was at hand, so nothing is said about one.\n"
    )


def main(parts: Sequence[str]) -> None:
    """Print the parts, or all, as Markdown."""
    torch.set_num_threads(THREADS)
    transformers.logging.set_verbosity_error()
    source, texts = load_texts()
    tokenizer = train_tokenizer(texts)
    renderer = ChatRenderer(tokenizer)
    everything = [text for kind in texts.values() for text in kind]
    ways = contestants.by_name(tokenizer)
    two = [build_model(seed) for seed in range(2)]
    for way in ways.values():
        way(build_model(), pairs_of(renderer, evenly(everything, 2)))
    introduction(source, two[0])
    llmbar = evenly(texts["llmbar"], 40)
    if not parts or "vanilla" in parts:
        scenario("Vanilla, LLMBar", two, pairs_of(renderer, llmbar), ways, 3)
        scenario("Vanilla, all subsets", two, pairs_of(renderer, evenly(everything, 24)), ways, 3)
    if not parts or "profile" in parts:
        where_time_goes(build_model(), pairs_of(renderer, llmbar))
    if not parts or "criteria" in parts:
        criteria = words_of(texts["alpacaeval"], tokenizer, 400)
        scenario("Criteria prefix of 400 tokens, LLMBar", two, pairs_of(renderer, llmbar, criteria), ways, 3)
    if not parts or "best-of" in parts:
        question = words_of(texts["alpacaeval"], tokenizer, 490)
        best_of = [(question, chosen, rejected) for _, chosen, rejected in evenly(texts["llmbar"], 16)]
        scenario("Best of 32 on a prompt of 500 tokens", two[:1], pairs_of(renderer, best_of), ways, 3)
    if not parts or "grid" in parts:
        grid([*two, *(build_model(seed) for seed in range(2, 12))], pairs_of(renderer, evenly(texts["llmbar"], 2)))
    if not parts or "memory" in parts:
        memory()


if __name__ == "__main__":
    main(sys.argv[1:])
