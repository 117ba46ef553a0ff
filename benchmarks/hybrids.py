"""Hybrids of attention and a recurrent state: the state carried from the prompt, against plain padded batches.

python -m benchmarks.hybrids > benchmarks/results/hybrids.md

A prompt of 500 tokens with 16 responses of 60, models of a few layers with random weights, in about three minutes.
"""

import os
import platform
import statistics
import time
import warnings
from typing import Any

import numpy as np
import torch
import transformers
from cdr_eval.harness.scoring.padded_batches import PaddedBatchScorer
from cdr_eval.harness.scoring.protocol import Scorer, ScoringRequest
from cdr_eval.harness.scoring.shared_prefix import SharedPrefixScorer
from numpy.typing import NDArray
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel

PROMPT, RESPONSE, RESPONSES, ROUNDS, VOCABULARY = 500, 60, 16, 3, 4_000
_SHARED: dict[str, Any] = {
    "vocab_size": VOCABULARY,
    "hidden_size": 512,
    "intermediate_size": 1_024,
    "num_hidden_layers": 4,
    "num_attention_heads": 8,
    "num_key_value_heads": 2,
    "head_dim": 64,
    "pad_token_id": 0,
}
_MIXED = ["linear_attention", "linear_attention", "linear_attention", "full_attention"]
_MAMBA = {"mamba_n_heads": 16, "mamba_d_head": 64, "mamba_d_state": 64, "mamba_n_groups": 1}
_GATED = {"linear_num_key_heads": 4, "linear_num_value_heads": 8, "linear_key_head_dim": 64, "layer_types": _MIXED}
CONFIGS: dict[str, dict[str, Any]] = {
    "qwen3_next": {**_GATED, "linear_value_head_dim": 64, "mlp_only_layers": [0, 1, 2, 3]},
    "qwen3_5_text": {**_GATED, "linear_value_head_dim": 64},
    "falcon_h1": {**_MAMBA, "mamba_d_ssm": 1_024},
    "bamba": {**_MAMBA, "attn_layer_indices": [3]},
    "jamba": {"attn_layer_period": 4, "attn_layer_offset": 3, "num_experts": 1},
    "lfm2": {"layer_types": ["conv", "conv", "conv", "full_attention"]},
}


def build(kind: str) -> PreTrainedModel:
    """A small model of the architecture with random weights."""
    configurations: Any = AutoConfig
    automatic: Any = AutoModelForCausalLM
    torch.manual_seed(0)  # pyright: ignore[reportUnknownMemberType]
    return automatic.from_config(configurations.for_model(kind, **{**_SHARED, **CONFIGS[kind]})).float().eval()


def requests() -> list[ScoringRequest]:
    """One prompt with its responses."""
    draw = np.random.default_rng(0)
    prompt = draw.integers(3, VOCABULARY, PROMPT).tolist()
    rows = [[*prompt, *draw.integers(3, VOCABULARY, RESPONSE).tolist()] for _ in range(RESPONSES)]
    return [ScoringRequest(tuple(row), tuple(range(PROMPT, len(row)))) for row in rows]


def timed(scorer: Scorer, asked: list[ScoringRequest]) -> tuple[float, NDArray[np.float64]]:
    """Seconds of processor time, and the log-probabilities."""
    start, sums = time.process_time(), np.empty(len(asked))
    for indices, values in scorer.score(asked):
        sums[indices] = values
    return time.process_time() - start, sums


def row(kind: str, asked: list[ScoringRequest]) -> str:
    """A row of the table: medians over rounds in turns; the trial of the architecture comes before them."""
    model = build(kind)
    ours, plain = SharedPrefixScorer(model), PaddedBatchScorer(model, 2_048)
    timed(ours, asked[:2])
    rounds = [(timed(ours, asked), timed(plain, asked)) for _ in range(ROUNDS)]
    seconds = [statistics.median(each[way][0] for each in rounds) for way in (0, 1)]
    off = float(np.abs(rounds[0][0][1] - rounds[0][1][1]).max())
    millions = model.num_parameters() / 1e6
    return (
        f"| {kind} | {millions:.0f}M | {ours.trial.way} | {seconds[0]:.2f} | {seconds[1]:.2f} | "
        f"{seconds[1] / seconds[0]:.1f} | {off:.0e} | "
        f"{' '.join(ours.notes)} |"
    )


def main() -> None:
    """Print the page."""
    warnings.filterwarnings("ignore")
    transformers.logging.set_verbosity_error()
    torch.set_num_threads(1)
    asked = requests()
    print(
        "# Hybrids: a carried state against padded batches\n\n"
        f"`python -m benchmarks.hybrids > benchmarks/results/hybrids.md`: a prompt of {PROMPT} tokens with {RESPONSES} "
        f"responses of {RESPONSE}, random weights, float32, one thread; seconds of processor time, medians of "
        f"{ROUNDS}. {os.cpu_count()} shared cores of an {platform.machine()} CPU, torch {torch.__version__}, "
        f"transformers {transformers.__version__}; none of the kernels that a GPU would have.\n\n"
        "| architecture | parameters | way taken | this engine | padded batches | times as long | off | why padded |\n"
        "|---|---|---|---|---|---|---|---|"
    )
    for kind in CONFIGS:
        print(row(kind, asked), flush=True)


if __name__ == "__main__":
    main()
