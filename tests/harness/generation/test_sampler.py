"""Samples against a loop that reads everything anew for each token, against transformers, and among themselves."""

import hashlib

import numpy as np
import pytest
import torch
from cdr_eval.errors import UserError
from cdr_eval.harness.generation.sampler import Sampler, TokenPrompt, choose
from cdr_eval.harness.generation.settings import Sampling
from transformers import AutoModelForCausalLM
from transformers.generation.logits_process import TopPLogitsWarper

from tests.harness.scoring.scoring_requests import random_model

PROMPTS = [TokenPrompt(f"p{k}", tuple(range(5, 9 + 3 * k)), 12 + k) for k in range(5)]
STOP = set(range(0, 600, 12))
"""Many tokens end a response, so that some end early and others at their limit."""
_MIXED = {"layer_types": ["linear_attention", "linear_attention", "linear_attention", "full_attention"], "head_dim": 8}
_GATED = {"linear_num_key_heads": 2, "linear_num_value_heads": 4, "linear_key_head_dim": 8, "linear_value_head_dim": 8}
HYBRIDS = {
    "qwen3_next": {**_MIXED, **_GATED, "mlp_only_layers": [0, 1, 2, 3]},
    "jamba": {"attn_layer_period": 4, "attn_layer_offset": 3, "num_experts": 1, "mamba_d_state": 8},
    "lfm2": {"layer_types": ["conv", "conv", "conv", "full_attention"]},
}
UNSELECTABLE = {
    "mamba": {"state_size": 8},
    "recurrent_gemma": {"lru_width": 32, "attention_window_size": 8},
    "minimax": {"head_dim": 8, "num_local_experts": 2},
    "deepseek_v4": {},
}


@pytest.fixture(scope="module", params=["llama", "mistral"])
def model(request, llamas, mistrals):
    folder = llamas / "sft" if request.param == "llama" else mistrals / "sft"
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()


def naive(model, prompt: TokenPrompt, index: int, sampling: Sampling) -> tuple[list[int], str]:
    """One sample, token by token, the whole sequence read each time."""
    key = hashlib.blake2b(f"{sampling.seed}\0{index}\0{prompt.id}".encode(), digest_size=16).digest()
    draws = np.random.Generator(np.random.Philox(key=int.from_bytes(key, "little"))).random(prompt.room)
    ids = list(prompt.token_ids)
    for draw in draws:
        with torch.no_grad():
            logits = model(input_ids=torch.tensor([ids])).logits[0, -1].double() / sampling.temperature
        cumulative = np.cumsum(logits.softmax(-1).numpy())
        ids.append(int(np.argmax(cumulative > draw * cumulative[-1])))
        if ids[-1] in STOP:
            return ids[len(prompt.token_ids) :], "stop"
    return ids[len(prompt.token_ids) :], "length"


def test_samples_are_those_of_a_loop_without_batch_or_cache(model):
    sampling = Sampling(n=3, temperature=0.8, seed=7, batch=15)
    drawn = Sampler(model, STOP, sampling).samples(PROMPTS)
    finishes = set()
    for prompt, samples in zip(PROMPTS, drawn, strict=True):
        for index, sample in enumerate(samples):
            assert (list(sample.token_ids), sample.finish) == naive(model, prompt, index, sampling)
            finishes.add(sample.finish)
    assert finishes == {"stop", "length"}


@pytest.mark.parametrize("batch", [1, 2, 4, 100])
def test_samples_of_a_prompt_do_not_depend_on_how_many_are_drawn_at_once(model, batch):
    whole = Sampler(model, STOP, Sampling(n=5, batch=64)).samples(PROMPTS)
    alone = [Sampler(model, STOP, Sampling(n=5, batch=batch)).samples([prompt])[0] for prompt in PROMPTS]
    assert alone == whole


def test_temperature_zero_is_greedy_search(model):
    prompt = PROMPTS[2]
    ids = torch.tensor([prompt.token_ids])
    greedy = model.generate(
        ids, attention_mask=torch.ones_like(ids), do_sample=False, max_new_tokens=prompt.room, eos_token_id=sorted(STOP)
    )
    drawn = Sampler(model, STOP, Sampling(n=2, temperature=0)).samples([prompt])[0]
    assert [list(sample.token_ids) for sample in drawn] == 2 * [greedy[0, ids.shape[1] :].tolist()]


def test_chosen_tokens_have_the_probabilities_of_transformers_top_p():
    generator = torch.Generator().manual_seed(0)
    logits = 3 * torch.randn(1, 40, generator=generator)
    draws = (torch.arange(100_000, dtype=torch.float64) + 0.5) / 100_000
    for top_p in (1.0, 0.9, 0.3, 1e-9):
        tokens = choose(logits.expand(len(draws), -1), draws, 0.7, top_p)
        shares = torch.bincount(tokens, minlength=40) / len(draws)
        wanted = TopPLogitsWarper(top_p)(torch.LongTensor([[0]]), torch.FloatTensor(logits / 0.7)).softmax(-1)[0]
        assert torch.allclose(shares, wanted.float(), atol=3e-5)


@pytest.mark.parametrize("architecture", HYBRIDS)
def test_hybrids_carry_the_state_of_each_sample(architecture):
    model = random_model(architecture, **HYBRIDS[architecture])
    sampling = Sampling(n=3, temperature=0.8, seed=7, batch=6)
    drawn = Sampler(model, STOP, sampling).samples(PROMPTS[:3])
    for prompt, samples in zip(PROMPTS[:3], drawn, strict=True):
        for index, sample in enumerate(samples):
            assert (list(sample.token_ids), sample.finish) == naive(model, prompt, index, sampling)


@pytest.mark.parametrize("architecture", UNSELECTABLE)
def test_a_model_whose_state_cannot_be_copied_is_refused(architecture):
    model = random_model(architecture, **UNSELECTABLE[architecture])
    with pytest.raises(UserError, match=f"^{type(model).__name__} keeps what it has read"):
        Sampler(model, STOP, Sampling(n=2)).samples(PROMPTS[:2])


@pytest.mark.parametrize("temperature", [0, 1])
@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_logits_that_are_no_numbers_are_refused(temperature, wrong):
    logits = torch.tensor([[0.0, 1.0, -torch.inf], [0.0, wrong, 1.0]])
    with pytest.raises(UserError, match="logits that are no numbers"):
        choose(logits, torch.tensor([0.5, 0.5]), temperature, 1.0)
    assert choose(logits[:1], torch.tensor([0.99]), temperature, 1.0).item() == 1


def test_memory_that_runs_out_is_one_sentence():
    def run_out(*_: object) -> None:
        raise torch.OutOfMemoryError

    model = random_model("llama")
    model.register_forward_pre_hook(run_out)
    with pytest.raises(UserError, match="Memory ran out with 128 sequences at once: pass a smaller --batch"):
        Sampler(model, STOP, Sampling()).samples(PROMPTS)


def test_a_number_next_to_one_takes_a_token_that_has_probability():
    logits = torch.tensor([[0.0, 0.0, -torch.inf, -torch.inf]])
    assert choose(logits, torch.tensor([np.nextafter(1.0, 0.0)]), 1.0, 1.0).item() == 1
