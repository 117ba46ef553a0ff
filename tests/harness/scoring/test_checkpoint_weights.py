"""Checkpoints that are not whole are refused by the name of what is wrong; whole ones of every kind are not."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from cdr_eval.errors import UserError
from cdr_eval.harness.scoring.load_options import LoadOptions
from cdr_eval.harness.scoring.loading import load_model
from safetensors.torch import load_file, save_file
from torch import Tensor

from tests.harness.scoring.scoring_requests import random_model

LOAD = LoadOptions("cpu", "float32", trust_remote_code=False, allow_pickle=False)
PICKLE = LoadOptions("cpu", "float32", trust_remote_code=False, allow_pickle=True)
TENSOR = "model.layers.1.mlp.up_proj.weight"


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("whole")
    random_model("llama", num_hidden_layers=2).save_pretrained(path)
    return path


@pytest.fixture
def copy(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "copy"))


def edit(path: Path, change: Callable[[dict[str, Tensor]], Any]) -> None:
    weights = load_file(path / "model.safetensors")
    change(weights)
    save_file(weights, path / "model.safetensors", metadata={"format": "pt"})


def configure(path: Path, **settings: Any) -> None:
    config = json.loads((path / "config.json").read_text())
    (path / "config.json").write_text(json.dumps({**config, **settings}))


def refusal(path: Path, load: LoadOptions = LOAD) -> str:
    with pytest.raises(UserError) as refused:
        load_model(path, load)
    message = str(refused.value)
    assert "\n" not in message
    return message


def test_a_missing_tensor_is_named_and_not_filled_with_random_numbers(
    copy: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    edit(copy, lambda weights: weights.pop(TENSOR))
    assert f"lacks weights that its config.json asks for: {TENSOR};" in refusal(copy)
    assert "LOAD REPORT" not in capfd.readouterr().err


def test_an_output_projection_that_is_not_tied_must_be_there(copy: Path) -> None:
    edit(copy, lambda weights: weights.pop("lm_head.weight"))
    assert "lm_head.weight" in refusal(copy)


def test_more_layers_than_there_are_weights_for(copy: Path) -> None:
    configure(copy, num_hidden_layers=3)
    message = refusal(copy)
    assert "lacks" in message
    assert "model.layers.2.input_layernorm.weight" in message
    assert "and 6 more" in message


def test_fewer_layers_than_there_are_weights_for(copy: Path) -> None:
    configure(copy, num_hidden_layers=1)
    assert "has no place for: model.layers.1." in refusal(copy)


@pytest.mark.parametrize("name", ["model.layers.1.mlp.up_proj.bias", "score.weight"])
def test_an_unexpected_tensor_is_named(copy: Path, name: str) -> None:
    edit(copy, lambda weights: weights.update({name: torch.zeros(64)}))
    assert f"has no place for: {name};" in refusal(copy)


def test_a_tensor_of_another_shape_is_named_with_both_shapes(copy: Path) -> None:
    edit(copy, lambda weights: weights.update({TENSOR: torch.zeros(63, 32)}))
    assert f"{TENSOR} (63, 32) for (64, 32)" in refusal(copy)


def test_an_embedding_of_another_vocabulary(copy: Path) -> None:
    configure(copy, vocab_size=90)
    assert "model.embed_tokens.weight (97, 32) for (90, 32)" in refusal(copy)


def test_constants_that_older_versions_saved_are_no_obstacle(copy: Path) -> None:
    edit(copy, lambda weights: weights.update({"model.layers.1.self_attn.rotary_emb.inv_freq": torch.zeros(4)}))
    assert load_model(copy, LOAD).num_parameters() > 0


def test_masks_in_a_gpt_2_are_no_obstacle_and_its_tied_projection_is_found(tmp_path: Path) -> None:
    model = random_model("gpt2", n_embd=32, n_layer=2, n_head=4)
    model.save_pretrained(tmp_path)
    assert "lm_head.weight" not in load_file(tmp_path / "model.safetensors")
    masks = {f"transformer.h.{layer}.attn.bias": torch.ones(1, 1, 8, 8) for layer in range(2)}
    edit(tmp_path, lambda weights: weights.update(masks))
    loaded = load_model(tmp_path, LOAD).state_dict()
    assert all(torch.equal(loaded[name], tensor) for name, tensor in model.state_dict().items())


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (lambda whole: whole[: len(whole) // 2], "is truncated"),
        (lambda whole: whole[:5], "is truncated"),
        (lambda _: b"", "is empty"),
        (lambda _: b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n", "git lfs pull"),
        (lambda _: b"<html>not found</html>" * 9, "no safetensors file"),
    ],
)
def test_a_broken_file_is_named_and_what_is_wrong_with_it(
    copy: Path, content: Callable[[bytes], bytes], reason: str
) -> None:
    file = copy / "model.safetensors"
    file.write_bytes(content(file.read_bytes()))
    message = refusal(copy)
    assert message.startswith(f"{file} ")
    assert reason in message


@pytest.mark.parametrize("defect", ["truncated", "empty", "pointer"])
def test_a_broken_pickle_is_named(copy: Path, defect: str) -> None:
    file = copy / "pytorch_model.bin"
    torch.save(load_file(copy / "model.safetensors"), file)
    (copy / "model.safetensors").unlink()
    assert load_model(copy, PICKLE).num_parameters() > 0
    content = file.read_bytes()
    pointer = b"version https://git-lfs.github.com/spec/v1\n"
    file.write_bytes({"truncated": content[: len(content) // 2], "empty": b"", "pointer": pointer}[defect])
    assert refusal(copy, PICKLE).startswith(f"{file} ")


def test_a_part_that_the_index_names_and_the_folder_lacks(tmp_path: Path) -> None:
    random_model("llama").save_pretrained(tmp_path, max_shard_size="40KB")
    parts = sorted(tmp_path.glob("model-*.safetensors"))
    assert len(parts) > 2
    assert load_model(tmp_path, LOAD).num_parameters() > 0
    parts[1].unlink()
    assert parts[1].name in refusal(tmp_path)


@pytest.mark.parametrize("settings", [{"hidden_size": "wide"}, {"num_attention_heads": 0}, {"model_type": "none"}])
def test_a_configuration_that_builds_no_model(copy: Path, settings: dict[str, Any]) -> None:
    configure(copy, **settings)
    assert refusal(copy).startswith(f"The model in {copy} cannot be loaded: ")
