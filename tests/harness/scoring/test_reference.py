"""The reference scorer against lm-evaluation-harness and against a plain loop over logits."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from cdr_eval.harness.rendering.chat import ChatRenderer
from cdr_eval.harness.scoring.protocol import ScoringRequest
from cdr_eval.harness.scoring.reference import ReferenceScorer
from cdr_eval.tasks.conditioning import Conversation
from cdr_eval.tasks.item import Turn
from numpy.typing import NDArray
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel

RESPONSES = ["It is Paris, of course.", "\n\nNo.", "😀 世界", "def add(a, b):\n    return a + b\n", "5", "a</s>b " * 30]


def requests_of(folder: Path) -> list[ScoringRequest]:
    renderer = ChatRenderer(AutoTokenizer.from_pretrained(folder))
    prompts = ["What is the capital of France?", "Add 2 and 3.", "", "x " * 100]
    conversations = [
        Conversation((Turn(role="user", content=prompt),), response) for prompt in prompts for response in RESPONSES
    ]
    return [r.request for r in renderer.render(conversations) if r.request is not None]


def scores(model: PreTrainedModel, requests: list[ScoringRequest]) -> NDArray[np.float64]:
    values = np.full(len(requests), np.nan)
    for indices, found in ReferenceScorer(model).score(requests):
        assert np.isnan(values[indices]).all()
        assert found.dtype == np.float64
        values[indices] = found
    return values


def by_hand(model: PreTrainedModel, request: ScoringRequest) -> float:
    """One forward pass over all tokens, then exp, sum and log in float64, token by token."""
    with torch.no_grad():
        logits = model(torch.tensor([request.token_ids])).logits[0].double().numpy()
    total = 0.0
    for position in request.scored:
        row = logits[position - 1]
        total += row[request.token_ids[position]] - row.max() - np.log(np.exp(row - row.max()).sum())
    return total


@pytest.mark.parametrize("family", ["llamas", "mistrals"])
def test_scores_are_those_of_lm_eval_on_the_same_tokens(family: str, request: pytest.FixtureRequest):
    import lm_eval.models.huggingface

    huggingface: Any = lm_eval.models.huggingface
    folder: Path = request.getfixturevalue(family) / "sft"
    model = AutoModelForCausalLM.from_pretrained(folder).eval()
    asked = requests_of(folder)
    assert len(asked) == 24
    tokenizer = AutoTokenizer.from_pretrained(folder)
    lm = huggingface.HFLM(pretrained=model, tokenizer=tokenizer, batch_size=1, max_length=4096, device="cpu")
    spans = [(("", ""), list(r.token_ids[: r.scored[0]]), list(r.token_ids[r.scored[0] :])) for r in asked]
    theirs = [logprob for logprob, _ in lm._loglikelihood_tokens(spans, disable_tqdm=True)]
    assert np.allclose(scores(model, asked), theirs, atol=1e-3, rtol=0)


@pytest.mark.parametrize("family", ["llamas", "mistrals"])
def test_scores_are_those_of_a_plain_loop_in_float64(family: str, request: pytest.FixtureRequest):
    folder: Path = request.getfixturevalue(family) / "base"
    model = AutoModelForCausalLM.from_pretrained(folder).eval()
    asked = requests_of(folder)
    assert np.allclose(scores(model, asked), [by_hand(model, r) for r in asked], atol=1e-3, rtol=0)


def test_only_the_scored_positions_count(llamas: Path):
    model = AutoModelForCausalLM.from_pretrained(llamas / "dpo").eval()
    ids = (0, 40, 41, 42, 43, 44)
    parts = [ScoringRequest(ids, (position,)) for position in range(1, 6)]
    apart = scores(model, parts)
    both = scores(model, [ScoringRequest(ids, (2, 5)), ScoringRequest(ids, (1, 2, 3, 4, 5))])
    assert np.allclose(both, [apart[1] + apart[4], apart.sum()], atol=1e-4)
    shorter = scores(model, [ScoringRequest(ids[:3], (1, 2))])  # what comes later changes nothing
    assert np.allclose(shorter, apart[:2].sum(), atol=1e-4)


def test_log_softmax_of_a_half_precision_model_is_taken_in_float32(llamas: Path):
    model = AutoModelForCausalLM.from_pretrained(llamas / "dpo", dtype=torch.bfloat16).eval()
    request = requests_of(llamas / "dpo")[5]
    with torch.no_grad():
        logits = model(torch.tensor([request.token_ids[:-1]])).logits[0]
    assert logits.dtype == torch.bfloat16
    exact = logits.double().log_softmax(-1)
    expected = sum(float(exact[position - 1, request.token_ids[position]]) for position in request.scored)
    assert np.allclose(scores(model, [request]), expected, atol=1e-3, rtol=0)


def test_a_model_of_nan_weights_gives_nan_and_no_error(llamas: Path):
    model = AutoModelForCausalLM.from_pretrained(llamas / "dpo").eval()
    with torch.no_grad():
        model.lm_head.weight.fill_(float("nan"))
    assert np.isnan(scores(model, requests_of(llamas / "dpo")[:2])).all()
