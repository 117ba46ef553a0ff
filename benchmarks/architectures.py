"""Every causal architecture of transformers, built small, scored fast, against plain passes.

python -m benchmarks.architectures [MODEL_TYPE ...] > benchmarks/results/architectures.md
"""

import copy
import importlib.metadata
import logging
import sys
import time
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from cdr_eval.errors import UserError
from cdr_eval.harness.scoring.narrow_model import SWITCH, VOCABULARY, narrow_model
from cdr_eval.harness.scoring.protocol import ScoringRequest
from cdr_eval.harness.scoring.shared_prefix import SharedPrefixScorer
from numpy.typing import NDArray
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

Floats = NDArray[np.float64]

_DTYPES = (torch.float32, torch.bfloat16)
_BATCHES = (11, 64, 2048)
"""Tokens of a forward pass."""
_ATTENTION = ("sdpa", "eager")
_EXACT = 2e-3
"""Nats by which a request's sum may differ in float32; a sum has up to fifty terms."""

_LONG_ROPE = {"rope_type": "longrope", "rope_theta": 10000.0, "original_max_position_embeddings": SWITCH}
_SETTINGS: dict[str, dict[str, Any]] = {
    "dbrx": {"attn_config": {"rope_theta": 10000.0}},
    "deepseek_v2": {"topk_method": "greedy", "num_experts_per_tok": 4},
    "dots1": {"layer_types": None, "n_shared_experts": 1, "n_routed_experts": 16, "num_experts_per_tok": 4},
    "hunyuan_v1_dense": {"head_dim": 16},
    "hunyuan_v1_moe": {"head_dim": 16, "num_experts": 4},
    "ministral": {"head_dim": 16},
    "nemotron": {"num_key_value_heads": 8},
    "reformer": {"is_decoder": True, "axial_pos_embds": False},
}
"""What a configuration needs beside its defaults to build a model."""
_VARIANTS: dict[str, tuple[str, dict[str, Any]]] = {
    "llama, dynamic NTK": ("llama", {"rope_parameters": {"rope_type": "dynamic", "rope_theta": 1e4, "factor": 2.0}}),
    "phi3, longrope": (
        "phi3",
        {"rope_parameters": {**_LONG_ROPE, "short_factor": [1.0] * 48, "long_factor": [4.0] * 48}},
    ),
    "mistral, window": ("mistral", {"sliding_window": 4096}),
    "gemma4, shared keys": ("gemma4_text", {"num_kv_shared_layers": 12}),
    "minimax_m3, sparse layers": (
        "minimax_m3_vl_text",
        {"layer_types": ["full_attention", *["minimax_m3_sparse"] * 59]},
    ),
    "falcon, alibi": ("falcon", {"alibi": True}),
    "qwen2, window in some layers": ("qwen2", {"use_sliding_window": True, "max_window_layers": 2}),
    "bamba, hybrid": ("bamba", {"attn_layer_indices": [1]}),
}
"""Rows beside the defaults of each model type."""


@dataclass(slots=True)
class Row:
    """One architecture's outcome over all settings."""

    name: str
    ways: dict[str, Counter[str]] = field(default_factory=dict[str, Counter[str]])
    """Type of numbers -> in how many settings each way was taken."""
    off: dict[str, float] = field(default_factory=dict[str, float])
    """Type of numbers -> largest difference from plain eager float32 passes, nats."""
    plain: dict[str, float] = field(default_factory=dict[str, float])
    """Type of numbers -> the same of plain passes in that type, with the same attention."""
    note: str = ""
    wrong: bool = False
    seconds: float = 0.0


def requests() -> list[ScoringRequest]:
    """Four prompts over one preamble, each with three responses; lengths on both sides of windows and switches."""
    draw = np.random.default_rng(11)
    preamble = draw.integers(3, VOCABULARY, 9).tolist()
    made: list[ScoringRequest] = []
    for length in (3, 12, 15, 31):
        prompt = [*preamble, *draw.integers(3, VOCABULARY, length).tolist()]
        start = draw.integers(3, VOCABULARY, 4).tolist()
        for response in (1, 4, 13):
            tokens = [*prompt, *start[:response], *draw.integers(3, VOCABULARY, max(0, response - 4)).tolist()]
            made.append(ScoringRequest(tuple(tokens), tuple(range(len(prompt), len(tokens)))))
    return made


@torch.inference_mode()
def plain(model: PreTrainedModel, asked: Sequence[ScoringRequest]) -> Floats:
    """One sequence at a time, log-softmax in float64; each through a fresh copy of a model that remembers lengths."""
    found: list[float] = []
    remembers = "'dynamic'" in repr(model.config.to_dict())
    for request in asked:
        fresh: Any = copy.deepcopy(model) if remembers else model
        logits = fresh(torch.tensor([request.token_ids[:-1]]), use_cache=False).logits[0].double().log_softmax(-1)
        found.append(sum(float(logits[position - 1, request.token_ids[position]]) for position in request.scored))
    return np.array(found)


def built(name: str) -> PreTrainedModel:
    """A small model of that row. Raises whatever the architecture raises where it can't be built."""
    kind, settings = _VARIANTS.get(name, (name, _SETTINGS.get(name, {})))
    automatic: Any = AutoModelForCausalLM
    configurations: Any = AutoConfig
    with torch.device("meta"):
        full = automatic.from_config(configurations.for_model(kind, **settings))
    model = narrow_model(full)
    with torch.inference_mode():
        logits = model(torch.tensor([[5, 6, 7, 8]]), use_cache=False).logits
    if tuple(logits.shape) != (1, 4, VOCABULARY):
        raise ValueError(f"its logits have the shape {tuple(logits.shape)}")
    return model


def row_of(name: str) -> Row:
    """Score the row's model in every setting."""
    row, asked, start = Row(name), requests(), time.perf_counter()
    base: Any = built(name)
    for dtype in _DTYPES:
        label = str(dtype).removeprefix("torch.")
        exact: Any = copy.deepcopy(base).to(dtype).float()
        exact.set_attn_implementation("eager")
        truth = plain(exact, asked)
        for attention in _ATTENTION:
            _score_setting(row, copy.deepcopy(base).to(dtype), label, attention, asked, truth)
    row.seconds = time.perf_counter() - start
    return row


def _score_setting(
    row: Row, model: Any, label: str, attention: str, asked: list[ScoringRequest], truth: Floats
) -> None:
    """Score with each batch size and note the way and the largest difference from the truth."""
    try:
        model.set_attn_implementation(attention)
    except ValueError:
        return  # it has no such attention
    own = float(np.abs(plain(model, asked) - truth).max())
    row.plain[label] = max(row.plain.get(label, 0.0), own)
    allowed = own + _EXACT if label == "float32" else 2 * own + 0.05
    for batch in _BATCHES:
        scorer = SharedPrefixScorer(copy.deepcopy(model), batch)
        found = np.full(len(asked), np.nan)
        for indices, sums in scorer.score(asked):
            found[indices] = sums
        off = float(np.nan_to_num(np.abs(found - truth), nan=np.inf).max())
        row.ways.setdefault(label, Counter())[scorer.trial.way] += 1
        row.off[label] = max(row.off.get(label, 0.0), off)
        row.wrong |= off > allowed
        row.note = next(iter(scorer.notes), row.note)


def rows(names: Sequence[str]) -> Iterator[Row | tuple[str, str]]:
    """Each row's outcome, or why it could not be built small."""
    for name in names:
        try:
            outcome = row_of(name)
        except UserError as error:
            yield name, f"refused: {error}"
        except Exception as error:
            reason = f"could not be built small: {type(error).__name__}: {' '.join(str(error).split())[:150]}"
            yield name, reason
        else:
            yield outcome
        print(f"\r\033[K{name}", end="", file=sys.stderr, flush=True)


def table(outcomes: Sequence[Row | tuple[str, str]]) -> Iterator[str]:
    """The results as Markdown."""
    found = [outcome for outcome in outcomes if isinstance(outcome, Row)]
    first = Counter(next(iter(row.ways["float32"])) for row in found if "float32" in row.ways)
    yield "# Causal architectures, built small, against plain passes"
    yield ""
    yield (
        f"Made by `python -m benchmarks.architectures > benchmarks/results/architectures.md` with transformers "
        f"{importlib.metadata.version('transformers')} and torch {torch.__version__}, on a CPU. Each model has small "
        "random weights and is scored in float32 and bfloat16, with SDPA and eager attention, "
        f"{', '.join(map(str, _BATCHES))} tokens a pass. Off: largest difference "
        "of a response's log-probability from one sequence at a time through a "
        "fresh copy, eager attention, float32 (nats). Plain: the same of one sequence at a time in that type, with the "
        f"same attention. A row differs if it is off by more than that and {_EXACT} (bfloat16: twice that and 0.05)."
    )
    yield ""
    yield f"{len(found)} architectures scored: " + ", ".join(f"{count} {way}" for way, count in first.most_common())
    yield f"(by the way taken in float32). **{sum(row.wrong for row in found)} differ.**"
    yield ""
    yield "| model | way in float32 | off | plain | way in bfloat16 | off | plain | |"
    yield "|---|---|---:|---:|---|---:|---:|---|"
    for row in found:
        cells = [cell for label in ("float32", "bfloat16") for cell in _cells(row, label)]
        yield f"| {row.name} | {' | '.join(cells)} | {'**differs**' if row.wrong else _short(row.note)} |"
    yield ""
    yield "## Not scored"
    yield ""
    for outcome in outcomes:
        if not isinstance(outcome, Row):
            yield f"- {outcome[0]}: {outcome[1]}"


def _cells(row: Row, label: str) -> Iterator[str]:
    yield " / ".join(row.ways.get(label, Counter())) or "–"
    for difference in (row.off, row.plain):
        yield f"{difference[label]:.2g}" if label in difference else "–"


def _short(note: str) -> str:
    return note.partition("because ")[2].replace("|", "/")[:170]


def main(arguments: list[str]) -> None:
    """Print the table of the given rows, or of all."""
    warnings.filterwarnings("ignore")
    logging.disable(logging.WARNING)
    torch.set_num_threads(1)
    names = arguments or [*MODEL_FOR_CAUSAL_LM_MAPPING_NAMES, *_VARIANTS]
    print("\n".join(table(list(rows(names)))))


if __name__ == "__main__":
    main(sys.argv[1:])
