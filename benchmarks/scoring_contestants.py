"""Ways to score pairs of responses with one model; each returns the log-probabilities, (pairs, 2)."""

import importlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from cdr_eval.harness.scoring.padded_batches import PaddedBatchScorer
from cdr_eval.harness.scoring.protocol import Scorer, ScoringRequest
from cdr_eval.harness.scoring.shared_prefix import SharedPrefixScorer
from numpy.typing import NDArray
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from .scoring_work import Pair

Contestant = Callable[[PreTrainedModel, Sequence[Pair]], NDArray[np.float64]]

_NAIVE_PAIRS = 6
"""RewardBench's default batch."""
_LM_EVAL_BATCH = 1
"""lm-eval's default; of 1, 2, 4 and 8 the fastest here: larger ones pad, and their logits fall out of the caches."""
_PADDED_TOKENS = 2048


def by_name(tokenizer: PreTrainedTokenizerFast) -> dict[str, Contestant]:
    """All of them, in the order of the tables."""
    return {
        "naive": naive,
        "padded": padded,
        "lm-eval": lm_eval(tokenizer),
        "engine without oneDNN": engine_without_onednn,
        "engine": engine,
    }


def naive(model: PreTrainedModel, pairs: Sequence[Pair]) -> NDArray[np.float64]:
    """As RewardBench's DPO inference: six pairs at a time in file order, padded together; log-softmax of all logits."""
    sums = [_naive_batch(model, pairs[start : start + _NAIVE_PAIRS]) for start in range(0, len(pairs), _NAIVE_PAIRS)]
    return np.concatenate(sums)


@torch.inference_mode()
def _naive_batch(model: PreTrainedModel, pairs: Sequence[Pair]) -> NDArray[np.float64]:
    requests = [pair[side] for side in (0, 1) for pair in pairs]
    longest = max(len(request.token_ids) for request in requests)
    ids = torch.zeros(len(requests), longest, dtype=torch.long)
    mask, scored = torch.zeros_like(ids), torch.zeros(ids.shape, dtype=torch.bool)
    for row, request in enumerate(requests):
        ids[row, : len(request.token_ids)] = torch.tensor(request.token_ids)
        mask[row, : len(request.token_ids)] = 1
        scored[row, list(request.scored)] = True
    logits = model(input_ids=ids, attention_mask=mask).logits
    log_probs = logits[:, :-1].float().log_softmax(-1).gather(2, ids[:, 1:, None])[..., 0]
    sums = (log_probs * scored[:, 1:]).sum(-1, dtype=torch.float64)
    return sums.view(2, len(pairs)).T.numpy()


def padded(model: PreTrainedModel, pairs: Sequence[Pair]) -> NDArray[np.float64]:
    """Plain batches of like lengths."""
    return _with(PaddedBatchScorer(model, _PADDED_TOKENS), pairs)


def engine(model: PreTrainedModel, pairs: Sequence[Pair]) -> NDArray[np.float64]:
    """This project's engine."""
    return _with(SharedPrefixScorer(model), pairs)


def engine_without_onednn(model: PreTrainedModel, pairs: Sequence[Pair]) -> NDArray[np.float64]:
    """This project's engine with torch's own products of matrices: what sharing and packing bring by themselves."""
    onednn: Any = torch.backends.mkldnn
    onednn.enabled = False
    try:
        return engine(model, pairs)
    finally:
        onednn.enabled = True


def lm_eval(tokenizer: PreTrainedTokenizerFast) -> Contestant:
    """lm-evaluation-harness's `hf` model on the same spans of tokens."""
    huggingface: Any = importlib.import_module("lm_eval.models.huggingface")

    def score(model: PreTrainedModel, pairs: Sequence[Pair]) -> NDArray[np.float64]:
        hf = huggingface.HFLM(pretrained=model, tokenizer=tokenizer, batch_size=_LM_EVAL_BATCH, max_length=4096)
        answers: list[tuple[float, bool]] = hf._loglikelihood_tokens(
            [(("", ""), *_span(request)) for pair in pairs for request in pair], disable_tqdm=True
        )
        return np.array([log_probability for log_probability, _ in answers]).reshape(-1, 2)

    return score


def _span(request: ScoringRequest) -> tuple[list[int], list[int]]:
    start = request.scored[0]
    return list(request.token_ids[:start]), list(request.token_ids[start:])


def _with(scorer: Scorer, pairs: Sequence[Pair]) -> NDArray[np.float64]:
    sums = np.zeros(2 * len(pairs))
    for indices, values in scorer.score([request for pair in pairs for request in pair]):
        sums[indices] = values
    return sums.reshape(-1, 2)
