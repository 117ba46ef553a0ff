"""Weights that are not plain numbers, in real files: GGUF, int8 made while loading, folders that are quantised."""

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from cdr_eval.errors import UserError
from cdr_eval.harness.scoring.load_options import LoadOptions
from cdr_eval.harness.scoring.open_models import OpenModels
from cdr_eval.harness.scoring.opening import scorer_opener
from cdr_eval.harness.scoring.reference import ReferenceScorer
from cdr_eval.harness.scoring.shared_prefix import SharedPrefixScorer
from cdr_eval.model_registry.checkpoint_files import LocalCheckpoint, find_checkpoint, localise
from cdr_eval.model_registry.registry import load_registry
from transformers import AutoModelForCausalLM

from tests.adapters import save_adapter
from tests.checkpoints import byte_level_tokenizer, save_llama
from tests.gguf_files import write_gguf
from tests.harness.scoring.scoring_requests import preference_requests, sums

PLAIN = LoadOptions("cpu", "float32", trust_remote_code=False, allow_pickle=False)
INT8 = LoadOptions("cpu", "float32", trust_remote_code=False, allow_pickle=False, quantise="int8")
REQUESTS = preference_requests(prompts=4)


def local(path: Path) -> LocalCheckpoint:
    known = load_registry()
    return localise(find_checkpoint(str(path), known), known)


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.set_num_threads(1)
    return save_llama(tmp_path_factory.mktemp("models") / "plain", byte_level_tokenizer("chatml"), seed=0)


@pytest.fixture
def gguf(plain: Path, tmp_path: Path) -> Path:
    """A folder with a GGUF file of the model, its matrices in eight bits, and the tokenizer."""
    pytest.importorskip("gguf")
    byte_level_tokenizer("chatml").save_pretrained(tmp_path)
    write_gguf(tmp_path / "model-q8.gguf", plain, "Q8_0")
    return tmp_path


def by_hand(folder: Path, change: Any = None) -> Any:
    model: Any = AutoModelForCausalLM.from_pretrained(folder).eval()
    if change is not None:
        change(model)
    return sums(ReferenceScorer(model), REQUESTS)


def test_a_gguf_file_of_full_precision_gives_the_model_s_bits(plain: Path, gguf: Path) -> None:
    (gguf / "model-q8.gguf").unlink()
    found = local(write_gguf(gguf / "model.gguf", plain))
    assert (found.name, found.quantised, found.max_length) == ("model", "GGUF F32", 4096)
    assert np.array_equal(sums(ReferenceScorer(OpenModels().open(found, PLAIN)), REQUESTS), by_hand(plain))


@pytest.mark.parametrize("kind", ["Q8_0", "Q4_0"])
def test_a_quantised_gguf_file_is_scored_with_the_weights_that_its_own_library_reads(
    plain: Path, gguf: Path, kind: str, capfd: pytest.CaptureFixture[str]
) -> None:
    import gguf as library

    def rounded(model: Any) -> None:
        for name, parameter in model.named_parameters():
            if parameter.ndim > 1:
                dtype = library.GGMLQuantizationType[kind]
                blocks = library.quants.quantize(parameter.detach().numpy(), dtype)
                assert name
                parameter.data = torch.from_numpy(library.quants.dequantize(blocks, dtype).copy())

    (gguf / "model-q8.gguf").unlink()
    found = local(write_gguf(gguf / "model.gguf", plain, kind))
    assert found.quantised == f"GGUF {kind}"
    scorer = scorer_opener("shared-prefix", PLAIN, 64, None)[1](found)
    assert isinstance(scorer, SharedPrefixScorer)
    assert scorer.fallback is None
    wanted = by_hand(plain, rounded)
    assert np.abs(wanted - by_hand(plain)).max() > 0.05
    assert np.abs(sums(scorer, REQUESTS) - wanted).max() < 1e-3
    assert "it/s" not in capfd.readouterr().err


def test_file_and_folder_are_one_checkpoint_and_another_file_is_another(plain: Path, gguf: Path) -> None:
    file = gguf / "model-q8.gguf"
    assert local(file).weights == local(gguf).weights
    assert local(file).weights != local(plain).weights
    write_gguf(file, plain, "Q4_0")
    assert local(gguf).weights != local(plain).weights


def test_several_gguf_files_are_told_apart_by_their_path(plain: Path, gguf: Path) -> None:
    other = write_gguf(gguf / "model-f32.gguf", plain)
    with pytest.raises(UserError, match=r"several GGUF files \(model-f32.gguf, model-q8.gguf\); pass the path of one"):
        local(gguf)
    assert local(other).quantised == "GGUF F32"


def test_an_adapter_stands_on_a_gguf_file(plain: Path, gguf: Path, tmp_path: Path) -> None:
    pytest.importorskip("peft")
    adapter = save_adapter(tmp_path / "adapter", plain)
    wanted = sums(ReferenceScorer(OpenModels().open(local(adapter), PLAIN)), REQUESTS)
    (gguf / "model-q8.gguf").unlink()
    file = write_gguf(gguf / "model.gguf", plain)
    config = json.loads((adapter / "adapter_config.json").read_text())
    (adapter / "adapter_config.json").write_text(json.dumps({**config, "base_model_name_or_path": str(file)}))
    found = local(adapter)
    assert found.quantised == "GGUF F32"
    assert np.array_equal(sums(ReferenceScorer(OpenModels().open(found, PLAIN)), REQUESTS), wanted)


def test_a_gguf_file_without_a_tokenizer_is_refused_by_name(gguf: Path) -> None:
    for file in gguf.glob("*.json"):
        file.unlink()
    with pytest.raises(UserError, match=r"model-q8\.gguf has no tokenizer beside it; put tokenizer\.json"):
        local(gguf)


@pytest.mark.parametrize("cut", [0, 3, 100, 1000, -100])
def test_a_broken_gguf_file_is_named(gguf: Path, cut: int) -> None:
    file = gguf / "model-q8.gguf"
    file.write_bytes(file.read_bytes()[:cut])
    with pytest.raises(UserError, match=r"model-q8.gguf"):
        OpenModels().open(local(gguf), PLAIN)


def test_a_missing_library_is_named_before_anything_is_loaded(gguf: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gguf", None)
    monkeypatch.setattr(sys, "path", [])
    with pytest.raises(UserError, match=r"pip install 'cdr-eval\[gguf\]'"):
        local(gguf)


@pytest.mark.parametrize(
    ("method", "packages"),
    [("gptq", "optimum gptqmodel"), ("awq", "gptqmodel"), ("compressed-tensors", "compressed-tensors")],
)
def test_a_folder_whose_library_is_missing_names_it(plain: Path, tmp_path: Path, method: str, packages: str) -> None:
    folder = Path(shutil.copytree(plain, tmp_path / "copy"))
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "quantization_config": {"quant_method": method}}))
    with pytest.raises(UserError, match=f"quantised by {method}; to load them: pip install {packages}"):
        local(folder)


def test_int8_while_loading_is_scored_as_its_own_dequantised_weights(plain: Path) -> None:
    pytest.importorskip("torchao", reason="torchao is not installed")
    model: Any = OpenModels().open(local(plain), INT8)
    scorer = SharedPrefixScorer(model, 64)
    assert scorer.fallback is None

    def rounded(whole: Any) -> None:
        modules = dict(model.named_modules())
        for name, module in whole.named_modules():
            weight = modules[name].weight if isinstance(module, torch.nn.Linear) else None
            if weight is not None and type(weight) is not torch.nn.Parameter:
                module.weight.data = weight.dequantize()

    wanted = by_hand(plain, rounded)
    assert np.abs(wanted - by_hand(plain)).max() > 0.01
    assert np.abs(sums(scorer, REQUESTS) - wanted).max() < 1e-3


def test_a_folder_that_torchao_quantised_loads_and_is_not_quantised_again(plain: Path, tmp_path: Path) -> None:
    pytest.importorskip("torchao", reason="torchao is not installed")
    model: Any = OpenModels().open(local(plain), INT8)
    model.save_pretrained(tmp_path)
    byte_level_tokenizer("chatml").save_pretrained(tmp_path)
    found = local(tmp_path)
    assert found.quantised == "torchao"
    wanted = sums(SharedPrefixScorer(model, 64), REQUESTS)
    assert np.abs(sums(SharedPrefixScorer(OpenModels().open(found, PLAIN), 64), REQUESTS) - wanted).max() < 1e-5
    with pytest.raises(UserError, match="is quantised already"):
        OpenModels().open(found, INT8)


def test_an_adapter_on_a_base_in_int8(plain: Path, tmp_path: Path) -> None:
    pytest.importorskip("torchao", reason="torchao is not installed")
    pytest.importorskip("peft")
    adapter = save_adapter(tmp_path / "adapter", plain)
    exact = sums(ReferenceScorer(OpenModels().open(local(adapter), PLAIN)), REQUESTS)
    rounded = sums(SharedPrefixScorer(OpenModels().open(local(adapter), INT8), 64), REQUESTS)
    assert 0.001 < np.abs(rounded - exact).max() < 2


def test_what_changes_numbers_is_in_the_key_and_what_does_not_leaves_old_keys() -> None:
    assert (PLAIN.numbers, INT8.numbers) == ("float32", "float32+torchao-int8wo2")


def test_lm_eval_s_models_are_not_quantised_by_us() -> None:
    with pytest.raises(UserError, match="--quantise is for the scorers shared-prefix and reference"):
        scorer_opener("lm-eval:hf", INT8, None, None)
