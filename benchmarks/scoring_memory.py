"""Peak memory of one way to score, in a process of its own: python -m benchmarks.scoring_memory CONTESTANT VOCABULARY

Prints the MiB that scoring needed beyond what was in memory before: weights, libraries and a first, tiny call.
"""

import subprocess
import sys
from pathlib import Path

import torch
from cdr_eval.harness.rendering.chat import ChatRenderer

from . import scoring_contestants as contestants
from .scoring_work import build_model, evenly, load_texts, pairs_of, train_tokenizer

PAIRS = 6


def peak_memory(contestant: str, vocabulary: int) -> float:
    """MiB beyond the weights, measured in a fresh process."""
    command = [sys.executable, "-m", "benchmarks.scoring_memory", contestant, str(vocabulary)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return float(done.stdout.splitlines()[-1])


def main(contestant: str, vocabulary: int) -> None:
    """Score six LLMBar pairs and print the peak."""
    torch.set_num_threads(2)
    _, texts = load_texts()
    tokenizer = train_tokenizer(texts)
    way = contestants.by_name(tokenizer)[contestant]
    model = build_model(vocabulary=vocabulary)
    pairs = pairs_of(ChatRenderer(tokenizer), evenly(texts["llmbar"], PAIRS))
    way(model, pairs_of(ChatRenderer(tokenizer), [("a", "b", "c")]))
    Path("/proc/self/clear_refs").write_text("5")
    before = _status("VmRSS")
    way(model, pairs)
    print((_status("VmHWM") - before) / 1024)


def _status(field: str) -> int:
    """KiB of a field of this process's status; writing 5 to clear_refs sets VmHWM, the peak, back to VmRSS."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
