"""Adapters on a base in memory: against peft's own model, in every way of scoring; and the base comes back whole."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from cdr_eval.errors import UserError
from cdr_eval.harness.scoring.load_options import LoadOptions
from cdr_eval.harness.scoring.open_models import OpenModels
from cdr_eval.harness.scoring.opening import scorer_opener
from cdr_eval.harness.scoring.shared_prefix import SharedPrefixScorer
from cdr_eval.model_registry.checkpoint_files import LocalCheckpoint, localise
from cdr_eval.model_registry.schema import Checkpoint
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

from tests.adapters import EVERY, save_adapter
from tests.harness.scoring.scoring_requests import preference_requests, random_model, sums

peft: Any = pytest.importorskip("peft")
LOAD = LoadOptions("cpu", "float32", trust_remote_code=False, allow_pickle=False)
REQUESTS = preference_requests(prompts=4)
KINDS = {
    "LoRA": peft.LoraConfig(r=4, target_modules=EVERY, task_type="CAUSAL_LM"),
    "LoRA of the head and the embedding": peft.LoraConfig(r=4, target_modules=["q_proj", "lm_head", "embed_tokens"]),
    "LoRA of one layer": peft.LoraConfig(r=4, target_modules=EVERY, layers_to_transform=[1]),
    "rsLoRA, ranks by module": peft.LoraConfig(r=4, target_modules=EVERY, use_rslora=True, rank_pattern={"q_proj": 2}),
    "DoRA": peft.LoraConfig(r=4, target_modules=EVERY, use_dora=True),
    "IA3": peft.IA3Config(target_modules=["k_proj", "v_proj", "down_proj"], feedforward_modules=["down_proj"]),
    "LoHa": peft.LoHaConfig(r=4, target_modules=["q_proj", "down_proj"]),
    "LoKr": peft.LoKrConfig(r=4, target_modules=["q_proj", "down_proj"]),
}


def local(folder: Path) -> LocalCheckpoint:
    return localise(Checkpoint(name=folder.name, model=str(folder), label=folder.name))


def by_peft(base: Path, adapter: Path, dtype: Any = torch.float32) -> NDArray[np.float64]:
    """Sums by peft's own model, one plain pass a request."""
    model = peft.PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base, dtype=dtype), adapter).eval()
    found: list[float] = []
    with torch.inference_mode():
        for request in REQUESTS:
            logits = model(input_ids=torch.tensor([request.token_ids])).logits[0].double().log_softmax(-1)
            found.append(sum(float(logits[t - 1, request.token_ids[t]]) for t in request.scored))
    return np.array(found)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.set_num_threads(1)
    path = tmp_path_factory.mktemp("base")
    random_model("llama").save_pretrained(path)
    return path


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("scorer", ["shared-prefix", "reference"])
def test_every_kind_gives_what_its_own_library_gives(base: Path, tmp_path: Path, kind: str, scorer: str) -> None:
    adapter = save_adapter(tmp_path / "adapter", base, config=KINDS[kind])
    opened = scorer_opener(scorer, LOAD, 64, None)[1](local(adapter))
    wanted = by_peft(base, adapter)
    assert np.abs(wanted - sums(scorer_opener("reference", LOAD, None, None)[1](local(base)), REQUESTS)).max() > 1
    assert np.abs(sums(opened, REQUESTS) - wanted).max() < 1e-3
    if isinstance(opened, SharedPrefixScorer):
        assert opened.fallback is None


ARCHITECTURES: dict[str, tuple[dict[str, Any], list[str], str]] = {
    "gpt2": ({"n_embd": 32, "n_layer": 2, "n_head": 4}, ["c_attn", "c_fc"], "tree"),
    "gemma2": ({"head_dim": 8}, EVERY, "tree"),
    "mistral": ({"sliding_window": 16}, EVERY, "tree"),
    "bloom": ({"n_layer": 3, "n_head": 4}, ["query_key_value", "dense_h_to_4h"], "state"),
    "mamba": ({"state_size": 8}, ["in_proj", "x_proj"], "padded"),
    "qwen3": ({"head_dim": 8}, EVERY, "tree"),
}


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_other_architectures_and_ways_of_sharing(tmp_path: Path, architecture: str) -> None:
    settings, targets, way = ARCHITECTURES[architecture]
    random_model(architecture, **settings).save_pretrained(tmp_path / "base")
    config = peft.LoraConfig(r=4, target_modules=targets, fan_in_fan_out=architecture == "gpt2")
    adapter = save_adapter(tmp_path / "adapter", tmp_path / "base", config=config)
    opened = SharedPrefixScorer(OpenModels().open(local(adapter), LOAD), 64)
    assert opened.trial.way == way
    assert np.abs(sums(opened, REQUESTS) - by_peft(tmp_path / "base", adapter)).max() < 2e-3


def test_in_bfloat16_the_adapter_stays_in_float32_as_peft_has_it(base: Path, tmp_path: Path) -> None:
    adapter = save_adapter(tmp_path / "adapter", base)
    load = LoadOptions("cpu", "bfloat16", trust_remote_code=False, allow_pickle=False)
    opened = scorer_opener("reference", load, None, None)[1](local(adapter))
    off = np.abs(sums(opened, REQUESTS) - by_peft(base, adapter, torch.bfloat16))
    assert np.quantile(off, 0.75) < 1e-3  # an adapter in bfloat16 is off by 0.05 and more in all of them
    assert off.max() < 0.1  # where a kernel of this machine rounds one number the other way


def test_one_load_serves_base_and_adapters_of_any_kind_in_any_order(base: Path, tmp_path: Path) -> None:
    folders = {kind: save_adapter(tmp_path / str(n), base, n, KINDS[kind]) for n, kind in enumerate(KINDS)}
    models = OpenModels()
    alone = {
        folder: sums(SharedPrefixScorer(OpenModels().open(local(folder), LOAD), 64), REQUESTS)
        for folder in (base, *folders.values())
    }
    held = models.open(local(base), LOAD)
    before = {name: tensor.clone() for name, tensor in held.state_dict().items()}
    for folder in (base, *folders.values(), base, *reversed(folders.values()), base):
        assert models.serves(local(folder))
        model = models.open(local(folder), LOAD)
        assert model is held
        assert np.array_equal(sums(SharedPrefixScorer(model, 64), REQUESTS), alone[folder])
    after = held.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)


def change(folder: Path, edit: Any) -> None:
    weights = load_file(folder / "adapter_model.safetensors")
    edit(weights)
    save_file(weights, folder / "adapter_model.safetensors")


QUERY = "base_model.model.model.layers.1.self_attn.q_proj.lora_A.weight"


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (lambda w: w.pop(QUERY), "lacks model.layers.1.self_attn.q_proj.lora_A"),
        (lambda w: w.update({QUERY.replace("layers.1", "layers.9"): w[QUERY].clone()}), "no place for: model.layers.9"),
        (lambda w: w.update({QUERY: torch.zeros(3, 32)}), "cannot be put on its base"),
    ],
)
def test_weights_that_do_not_fit_are_named_and_the_base_is_let_go(
    base: Path, tmp_path: Path, edit: Any, words: str
) -> None:
    adapter = save_adapter(tmp_path / "adapter", base)
    change(adapter, edit)
    models = OpenModels()
    models.open(local(base), LOAD)
    with pytest.raises(UserError, match=words) as refused:
        models.open(local(adapter), LOAD)
    assert "\n" not in str(refused.value)
    assert not models.serves(local(base))


def test_a_copy_of_the_base_s_embedding_in_the_file_is_left_out_and_another_embedding_refused(
    base: Path, tmp_path: Path
) -> None:
    adapter = save_adapter(tmp_path / "adapter", base, config=KINDS["LoRA of the head and the embedding"])
    (copied,) = (name for name in load_file(adapter / "adapter_model.safetensors") if "embed_tokens.base_layer" in name)
    assert OpenModels().open(local(adapter), LOAD)
    change(adapter, lambda weights: weights.update({copied: weights[copied] + 1}))
    with pytest.raises(UserError, match=r"other weights of its base: model.embed_tokens"):
        OpenModels().open(local(adapter), LOAD)


def test_a_config_of_a_newer_version_with_settings_unknown_here(base: Path, tmp_path: Path) -> None:
    adapter = save_adapter(tmp_path / "adapter", base)
    wanted = by_peft(base, adapter)
    config = json.loads((adapter / "adapter_config.json").read_text())
    (adapter / "adapter_config.json").write_text(json.dumps({**config, "of_the_future": None}))
    opened = scorer_opener("reference", LOAD, None, None)[1](local(adapter))
    assert np.abs(sums(opened, REQUESTS) - wanted).max() < 1e-3
    (adapter / "adapter_config.json").write_text(json.dumps({**config, "of_the_future": 2}))
    with pytest.raises(UserError, match="does not know its setting of_the_future; update peft"):
        OpenModels().open(local(adapter), LOAD)
