import copy
import platform
import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from cdr_eval.errors import UserError
from cdr_eval.harness.scoring.narrow_model import narrow_model
from cdr_eval.harness.scoring.padded_batches import PaddedBatchScorer
from cdr_eval.harness.scoring.protocol import Scorer, ScoringRequest
from cdr_eval.harness.scoring.reference import ReferenceScorer
from cdr_eval.harness.scoring.shared_prefix import SharedPrefixScorer
from cdr_eval.harness.scoring.token_trie import count_tokens
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel

from tests.harness.scoring.scoring_requests import (
    VOCABULARY,
    by_request,
    preference_requests,
    random_model,
    sums,
    tokens_embedded,
    tries,
)

TOLERANCE = 1e-3
"""In summed log-probability."""

SHARING: dict[str, tuple[str, dict[str, Any]]] = {
    "llama": ("llama", {}),
    "llama without grouped heads": ("llama", {"num_key_value_heads": 4}),
    "llama 3 rope": (
        "llama",
        {
            "rope_parameters": {
                "rope_type": "llama3",
                "rope_theta": 10000.0,
                "factor": 8.0,
                "low_freq_factor": 1.0,
                "high_freq_factor": 4.0,
                "original_max_position_embeddings": 32,
            }
        },
    ),
    "mistral, window 7": ("mistral", {"sliding_window": 7}),
    "mixtral": ("mixtral", {"num_local_experts": 4}),
    "qwen 2": ("qwen2", {}),
    "qwen 3": ("qwen3", {"head_dim": 8}),
    "gemma 2": (
        "gemma2",
        {
            "head_dim": 8,
            "sliding_window": 6,
            "query_pre_attn_scalar": 16,
            "final_logit_softcapping": 5.0,
            "attn_logit_softcapping": 3.0,
        },
    ),
    "gemma 3": ("gemma3_text", {"head_dim": 8, "sliding_window": 6, "query_pre_attn_scalar": 16}),
    "cohere": ("cohere", {"logit_scale": 0.3}),
    "granite": ("granite", {"logits_scaling": 3.0, "attention_multiplier": 0.2, "residual_multiplier": 0.5}),
    "hyperclovax": ("hyperclovax", {"logits_scaling": 0.125, "attention_multiplier": 0.2}),
    "gpt-oss": ("gpt_oss", {"num_local_experts": 4, "sliding_window": 8, "head_dim": 8}),
    "gpt-neox": ("gpt_neox", {}),
    "gpt-2": ("gpt2", {"n_embd": 32, "n_layer": 3, "n_head": 4, "n_positions": 512}),
}

FALLING_BACK: dict[str, tuple[str, dict[str, Any], str]] = {
    "mamba": ("mamba", {"state_size": 8}, "no attention"),
    "recurrent gemma": ("recurrent_gemma", {"lru_width": 32, "attention_window_size": 8}, "no attention"),
    "bloom": ("bloom", {"n_layer": 3, "n_head": 4}, "can't replace this architecture's attention"),
}


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """Matrices this small are slower in two."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def llama() -> PreTrainedModel:
    return random_model("llama")


def first_layers(model: Any) -> Any:
    return model.get_decoder().layers


@pytest.mark.parametrize("name", SHARING)
@pytest.mark.parametrize("batch_tokens", [7, 64, 4096])
def test_equals_the_reference(name: str, batch_tokens: int):
    architecture, options = SHARING[name]
    model = random_model(architecture, **options)
    requests = preference_requests()
    scorer = SharedPrefixScorer(model, batch_tokens)
    assert scorer.fallback is None
    assert scorer.notes == []
    difference = sums(scorer, requests) - sums(ReferenceScorer(model), requests)
    assert np.abs(difference).max() < TOLERANCE


@pytest.mark.parametrize("name", FALLING_BACK)
def test_an_architecture_that_cannot_share_is_scored_plainly_and_says_so(name: str):
    architecture, options, reason = FALLING_BACK[name]
    model = random_model(architecture, **options)
    requests = preference_requests(prompts=3, responses=2)
    scorer = SharedPrefixScorer(model, 128)
    assert scorer.fallback is not None
    assert reason in scorer.fallback
    assert [scorer.fallback in note for note in scorer.notes] == [True]
    difference = sums(scorer, requests) - sums(ReferenceScorer(model), requests)
    assert np.abs(difference).max() < TOLERANCE


@pytest.mark.parametrize("rope", ["dynamic", "longrope"])
def test_sequences_whose_rotary_embedding_depends_on_their_length_are_scored_by_length(rope: str):
    settings = {"dynamic": {"factor": 2.0}, "longrope": {"short_factor": [1.0] * 4, "long_factor": [4.0] * 4}}[rope]
    parameters = {"rope_type": rope, "rope_theta": 10000.0, "original_max_position_embeddings": 40, **settings}
    model = random_model("llama", max_position_embeddings=40, rope_parameters=parameters)
    requests = preference_requests()
    read = [len(request.token_ids) - 1 for request in requests]
    assert min(read) <= 40 < max(read)
    wanted = np.zeros(len(requests))
    for index, request in enumerate(requests):
        wanted[index] = sums(ReferenceScorer(copy.deepcopy(model)), [request])[0]
    reference = ReferenceScorer(model)
    scorer = SharedPrefixScorer(model, 64)
    for order in (requests, requests[::-1]):
        backwards = order is not requests
        expected = wanted[::-1] if backwards else wanted
        assert np.abs(sums(reference, order) - expected).max() < TOLERANCE
        assert np.abs(sums(scorer, order) - expected).max() < TOLERANCE
    assert [" more than 40 tokens " in note and "depends on the length" in note for note in scorer.notes] == [True]


def test_an_indexer_that_takes_keys_of_equal_rank_by_the_length_is_scored_by_length():
    """DeepSeek-V4's takes as many keys as it may; which of those that no head looks at, goes by how many there are."""
    with torch.device("meta"):
        full = AutoModelForCausalLM.from_config(AutoConfig.for_model("deepseek_v4"))
    model = narrow_model(full)
    scorer, requests = SharedPrefixScorer(model, 64), preference_requests(prompts=3)
    assert scorer.trial.way == "one length"
    assert np.abs(sums(scorer, requests) - sums(ReferenceScorer(model), requests)).max() < TOLERANCE


def test_attention_that_is_tempered_by_the_place_in_a_pass_is_not_taken_along_the_tree():
    """Llama 4 counts places itself: rows of a pass, where those before have left no cache."""
    rows = {"attn_temperature_tuning": True, "floor_scale": 60, "attn_scale": 0.5, "no_rope_layers": [1, 0, 1, 0]}
    model = random_model("llama4_text", head_dim=8, num_local_experts=2, intermediate_size_mlp=64, **rows)
    scorer, requests = SharedPrefixScorer(model, 4096), preference_requests(prompts=3)
    assert scorer.trial.way == "state"
    assert np.abs(sums(scorer, requests) - sums(ReferenceScorer(model), requests)).max() < TOLERANCE


ONE_TOKEN = {
    "num_hidden_layers": 4,
    "hybrid_layer_ids": [1, 3],
    "layers_block_type": ["mamba", "hybrid"] * 2,
    "num_key_value_heads": 4,
    "attention_head_dim": 16,
    "attention_hidden_size": 64,
    "mamba_d_state": 8,
    "mamba_headdim": 8,
    "n_mamba_heads": 8,
    "adapter_rank": 4,
}


def test_responses_of_two_tokens_are_exact_where_one_token_is_continued_otherwise():
    """Zamba 2 clamps its steps in a pass of several tokens, not in one of a single token."""
    model = random_model("zamba2", **ONE_TOKEN)
    for name, parameter in model.named_parameters():
        if name.endswith("dt_bias"):
            parameter.data.fill_(-9.0)  # steps below the clamp
    scorer = SharedPrefixScorer(model, 256)
    assert scorer.trial.way == "state"
    prompt = tuple(range(3, 43))
    requests = [ScoringRequest((*prompt, token, 2), (40, 41)) for token in range(50, 60)]
    assert np.abs(sums(scorer, requests) - sums(ReferenceScorer(model), requests)).max() < TOLERANCE


@pytest.mark.parametrize("settings", [{"logits_scaling": 16.0, "attention_multiplier": 0.0078125}, {}])
def test_published_multipliers_do_not_make_the_trials_model_blind(settings: dict[str, Any]):
    with torch.device("meta"):
        config = AutoConfig.for_model("granite", embedding_multiplier=12.0, residual_multiplier=0.22, **settings)
        narrow = narrow_model(AutoModelForCausalLM.from_config(config))
    one = tuple(range(3, 43))
    other = (*one[9::-1], *one[10:])
    values = sums(ReferenceScorer(narrow), [ScoringRequest(tokens, tuple(range(30, 40))) for tokens in (one, other)])
    assert abs(values[0] - values[1]) > 0.1


def test_at_most_a_twentieth_is_padding_where_nothing_is_shared():
    requests = preference_requests(prompts=20)
    scorer = PaddedBatchScorer(random_model("mamba", state_size=8), 256)
    with tokens_embedded() as computed:
        sums(scorer, requests)
    needed = count_tokens(requests)[1]
    assert needed <= sum(computed) <= needed / 0.95
    assert max(computed) <= 256
    assert len(computed) < len(requests) / 2


def test_an_output_that_is_not_known_is_found_out(llama: PreTrainedModel):
    class Sharpened(type(llama)):
        def forward(self, *args: Any, **kwargs: Any):
            output = super().forward(*args, **kwargs)
            output.logits = output.logits * 1.01
            return output

    model = Sharpened(llama.config)
    model.load_state_dict(llama.state_dict())
    scorer = SharedPrefixScorer(model.eval(), 128)
    assert scorer.fallback is not None
    assert "was off by" in scorer.fallback
    requests = preference_requests(prompts=2)
    assert np.allclose(sums(scorer, requests), sums(ReferenceScorer(model), requests), atol=TOLERANCE)


@settings(max_examples=60, deadline=None)
@given(tries(), st.integers(1, 60), st.randoms(use_true_random=False))
def test_random_tries(llama: PreTrainedModel, requests: list[ScoringRequest], batch_tokens: int, order: random.Random):
    wanted = sums(ReferenceScorer(llama), requests)
    shuffled = order.sample(range(len(requests)), len(requests))
    found = sums(SharedPrefixScorer(llama, batch_tokens), [requests[index] for index in shuffled])
    assert np.abs(found - wanted[shuffled]).max() < TOLERANCE


@settings(max_examples=30, deadline=None)
@given(tries(), st.integers(1, 60))
def test_a_model_computes_each_token_of_the_trie_once(
    llama: PreTrainedModel, requests: list[ScoringRequest], batch_tokens: int
):
    scorer = SharedPrefixScorer(llama, batch_tokens)
    computed: list[int] = []
    hook = first_layers(llama)[0].register_forward_hook(
        lambda _module, args, _output: computed.append(args[0].shape[0] * args[0].shape[1])
    )
    try:
        sums(scorer, requests)
    finally:
        hook.remove()
    assert sum(computed) == count_tokens(requests)[0]
    assert max(computed) <= batch_tokens


def test_only_scored_positions_are_projected(llama: PreTrainedModel):
    requests = [ScoringRequest((5, 6, 7, 8), (3,)), ScoringRequest((5, 6, 7, 9), (3,)), ScoringRequest((5, 6, 4), (2,))]
    scorer = SharedPrefixScorer(llama, 64)
    projected: list[int] = []
    head: Any = llama.get_output_embeddings()
    hook = head.register_forward_hook(lambda _module, args, _output: projected.append(args[0].shape[0]))
    try:
        sums(scorer, requests)
    finally:
        hook.remove()
    assert projected == [2]


@pytest.mark.parametrize("architecture", ["llama", "gemma 2"])  # Gemma's output projection is its embedding
def test_opening_a_scorer_changes_no_weight(architecture: str):
    kind, config = SHARING[architecture]
    model = random_model(kind, **config)
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    SharedPrefixScorer(model)
    assert before.keys() == model.state_dict().keys()
    assert all(torch.equal(weight, before[name]) for name, weight in model.state_dict().items())


@pytest.mark.parametrize(
    ("architecture", "scorer_class"),
    [("llama", SharedPrefixScorer), ("llama", ReferenceScorer), ("mamba", SharedPrefixScorer)],
)
def test_a_scorer_says_whether_it_computes_shared_tokens_once(
    architecture: str, scorer_class: Callable[[PreTrainedModel], Scorer]
):
    model = random_model(architecture)
    requests = preference_requests(prompts=20)
    scorer = scorer_class(model)
    with tokens_embedded() as computed:
        sums(scorer, requests)
    shared, separate = count_tokens(requests)
    if scorer.shares_prefixes:
        assert sum(computed) == shared
    else:
        assert separate <= sum(computed) <= separate / 0.95


@pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="this torch comes without oneDNN")
def test_onednn_can_be_switched_off_as_elsewhere_in_torch(llama: PreTrainedModel, monkeypatch: pytest.MonkeyPatch):
    requests = preference_requests()
    with torch.profiler.profile() as profiler:
        fast = sums(SharedPrefixScorer(llama), requests)
    monkeypatch.setattr(torch.backends.mkldnn, "enabled", False)
    with torch.profiler.profile() as plain_profiler:
        plain = sums(SharedPrefixScorer(llama), requests)
    assert _onednn_calls(profiler) > 0 or platform.machine().lower() not in {"x86_64", "amd64"}
    assert _onednn_calls(plain_profiler) == 0
    np.testing.assert_allclose(fast, plain, atol=TOLERANCE)


def _onednn_calls(profiler: Any) -> int:
    return sum(event.count for event in profiler.key_averages() if event.key.startswith("mkldnn::"))


def test_the_same_requests_give_the_same_bits_in_any_order(llama: PreTrainedModel):
    requests = preference_requests()
    first = sums(SharedPrefixScorer(llama, 50), requests)
    shuffled = np.random.default_rng(1).permutation(len(requests))
    second = sums(SharedPrefixScorer(llama, 50), [requests[index] for index in shuffled])
    assert first[shuffled].tobytes() == second.tobytes()


@pytest.mark.parametrize("architecture", ["llama", "mamba"])
@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB"),
        RuntimeError("[enforce fail at alloc_cpu.cpp:118] DefaultCPUAllocator: can't allocate memory"),
    ],
)
def test_out_of_memory_halves_the_pass_and_loses_nothing(architecture: str, error: Exception):
    model: Any = random_model(architecture)
    requests = preference_requests()
    wanted = sums(ReferenceScorer(model), requests)
    scorer = SharedPrefixScorer(model, 256)

    def allocator(_module: Any, args: Any) -> None:
        if args[0].numel() > 70:
            raise error

    hook = model.get_input_embeddings().register_forward_pre_hook(allocator)
    try:
        batches = list(scorer.score(requests))
    finally:
        hook.remove()
    assert np.abs(by_request(batches, len(requests)) - wanted).max() < TOLERANCE
    assert sum("ran out at 256 tokens" in note for note in scorer.notes) == 1


def test_logits_are_never_all_in_memory():
    model = random_model("llama", vocab_size=50_000, hidden_size=8, intermediate_size=8, num_hidden_layers=1)
    request = ScoringRequest(tuple(range(3, 503)), tuple(range(1, 500)))
    projected: list[int] = []
    head: Any = model.get_output_embeddings()
    scorer = SharedPrefixScorer(model, 1024)
    hook = head.register_forward_hook(lambda _module, _args, output: projected.append(output.numel()))
    try:
        sums(scorer, [request])
    finally:
        hook.remove()
    assert sum(projected) == 499 * 50_000
    assert max(projected) <= 2**23


@pytest.mark.parametrize("scorer_class", [SharedPrefixScorer, ReferenceScorer])
def test_a_token_beyond_the_embedding_is_refused(llama: PreTrainedModel, scorer_class: Any):
    with pytest.raises(UserError, match="token id 97, but the model's embedding has 97 rows"):
        list(scorer_class(llama).score([ScoringRequest((1, 2, VOCABULARY, 3), (3,))]))


def test_other_errors_are_not_taken_for_lack_of_memory(llama: PreTrainedModel):
    scorer = SharedPrefixScorer(llama, 64)
    hook = first_layers(llama)[0].register_forward_pre_hook(lambda _module, args: args[99])
    try:
        with pytest.raises(IndexError):
            list(scorer.score([ScoringRequest((1, 2, 3, 4), (3,))]))
    finally:
        hook.remove()


def test_a_model_has_its_own_attention_again(llama: PreTrainedModel):
    batches = SharedPrefixScorer(llama, 8).score(preference_requests())
    next(batches)
    assert llama.config._attn_implementation == "sdpa"


def test_a_request_without_scored_tokens_is_zero(llama: PreTrainedModel):
    requests = [ScoringRequest((1, 2, 3), ()), ScoringRequest((1, 2, 3), (2,))]
    found = sums(SharedPrefixScorer(llama, 8), requests)
    assert found[0] == 0
    assert found[1] < 0


def test_half_precision_stays_near_the_reference():
    model = random_model("llama", initializer_range=0.1, dtype=torch.bfloat16)
    assert model.dtype == torch.bfloat16
    requests = preference_requests(prompts=2)
    scorer = SharedPrefixScorer(model, 32)
    assert scorer.fallback is None
    assert np.allclose(sums(scorer, requests), sums(ReferenceScorer(model), requests), rtol=0.02)
