"""What an adapter's folder is taken for: its base, its identity, and what is refused before anything is loaded."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cdr_eval.errors import UserError
from cdr_eval.model_registry.checkpoint_files import find_checkpoint, localise, own_base
from cdr_eval.model_registry.registry import Registry, load_registry
from safetensors.numpy import save_file

CONFIG: dict[str, Any] = {"peft_type": "LORA", "bias": "none", "r": 8, "revision": None, "task_type": "CAUSAL_LM"}
WEIGHT = "base_model.model.model.layers.0.q_proj.lora_A.weight"


def whole(folder: Path, seed: int = 0) -> Path:
    folder.mkdir()
    (folder / "config.json").write_text('{"max_position_embeddings": 77}')
    save_file({"weight": np.full(3, seed, dtype=np.float32)}, folder / "model.safetensors")
    return folder


def adapter(folder: Path, base: object, weight: float = 1.0, **settings: Any) -> Path:
    folder.mkdir()
    config = {**CONFIG, "base_model_name_or_path": str(base) if base else None, **settings}
    (folder / "adapter_config.json").write_text(json.dumps(config))
    save_file({WEIGHT: np.full(3, weight, dtype=np.float32)}, folder / "adapter_model.safetensors")
    return folder


def registry(path: Path, **models: tuple[Path | str, str | None]) -> Registry:
    """The catalog with checkpoints of these names: (model, trained_from)."""
    lines = ["checkpoints:"]
    for name, (model, parent) in models.items():
        lines.append(f"  - {{name: {name}, label: x, model: {model}, stage: sft, trained_from: {parent or 'null'}}}")
    (path / "registry.yaml").write_text("\n".join(lines))
    return load_registry([path / "registry.yaml"])


def weights(folder: Path, known: Registry | None = None) -> str:
    known = known or load_registry()
    return localise(find_checkpoint(str(folder), known), known).weights


def refusal(folder: Path, known: Registry | None = None) -> str:
    with pytest.raises(UserError) as refused:
        weights(folder, known)
    assert "\n" not in str(refused.value)
    return str(refused.value)


def test_an_adapter_stands_on_the_folder_that_its_config_names(tmp_path: Path) -> None:
    base = whole(tmp_path / "base")
    known = load_registry()
    found = localise(find_checkpoint(str(adapter(tmp_path / "lora", base)), known), known)
    assert found.base is not None
    assert (found.whole.path, found.max_length, found.tokenizer) == (base, 77, base)
    assert own_base(found.checkpoint, known).model == str(base)


def test_its_own_tokenizer_goes_before_its_base_s(tmp_path: Path) -> None:
    folder = adapter(tmp_path / "lora", whole(tmp_path / "base"))
    (folder / "tokenizer.json").write_text("{}")
    known = load_registry()
    assert localise(find_checkpoint(str(folder), known), known).tokenizer == folder


def test_its_identity_is_that_of_base_config_and_weights(tmp_path: Path) -> None:
    first, second = whole(tmp_path / "first"), whole(tmp_path / "second", seed=1)
    (tmp_path / "moved").mkdir()
    found = {
        weights(first),
        weights(adapter(tmp_path / "a", first)),
        weights(adapter(tmp_path / "b", second)),
        weights(adapter(tmp_path / "c", first, weight=2)),
        weights(adapter(tmp_path / "d", first, lora_alpha=3)),
    }
    assert len(found) == 5
    assert weights(adapter(tmp_path / "moved" / "a", first)) in found


def test_a_hub_id_is_looked_up_in_the_registry_with_its_revision(tmp_path: Path) -> None:
    base = whole(tmp_path / "base")
    text = f"checkpoints: [{{name: sft, label: x, model: {base}, aliases: [org/sft], stage: sft}}]"
    (tmp_path / "r.yaml").write_text(text)
    known = load_registry([tmp_path / "r.yaml"])
    folder = adapter(tmp_path / "lora", "org/sft")
    checkpoint = find_checkpoint(str(folder), known)
    assert (own_base(checkpoint, known).name, checkpoint.trained_from) == ("sft", "sft")
    other = adapter(tmp_path / "pinned", "zephyr-7b-beta", revision="abc")
    found = own_base(find_checkpoint(str(other), known), known)
    assert (found.model, found.revision) == ("HuggingFaceH4/zephyr-7b-beta", "abc")
    assert found.name != "zephyr-7b-beta"
    assert found.scores == ()


def test_a_path_of_another_machine_gives_way_to_trained_from(tmp_path: Path) -> None:
    base = whole(tmp_path / "base")
    folder = adapter(tmp_path / "lora", "/scratch/me/sft")
    assert "was trained on /scratch/me/sft, which is not on this machine" in refusal(folder)
    known = registry(tmp_path, sft=(base, None), lora=(folder, "sft"))
    assert weights(folder, known) == weights(
        adapter(tmp_path / "same", "/scratch/me/sft"),
        registry(tmp_path, sft=(base, None), same=(tmp_path / "same", "sft")),
    )


def test_an_adapter_of_the_hub_s_that_cannot_be_had_is_named_with_its_base(tmp_path: Path) -> None:
    message = refusal(adapter(tmp_path / "lora", "org/nowhere"))
    assert message.startswith(f"The base of the adapter in {tmp_path / 'lora'} is not to be had: org/nowhere")


def test_adapters_on_adapters_are_refused_however_they_are_named(tmp_path: Path) -> None:
    first = adapter(tmp_path / "first", whole(tmp_path / "base"))
    assert "stands on another adapter" in refusal(adapter(tmp_path / "second", first))
    assert "stands on another adapter" in refusal(adapter(tmp_path / "own", tmp_path / "own"))
    third = adapter(tmp_path / "third", "/gone")
    known = registry(tmp_path, first=(first, None), third=(third, "first"))
    assert "stands on another adapter" in refusal(third, known)
    circle = adapter(tmp_path / "circle", "/gone")
    assert "stands on another adapter" in refusal(circle, registry(tmp_path, circle=(circle, "circle")))


def test_a_whole_model_has_no_base_of_its_own(tmp_path: Path) -> None:
    known = load_registry()
    with pytest.raises(UserError, match="is no adapter, so it has no base of its own; pass one with --weak"):
        own_base(find_checkpoint(str(whole(tmp_path / "base")), known), known)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"bias": "lora_only"}, "changes biases of its base"),
        ({"peft_type": "PROMPT_TUNING"}, "is learned prompts"),
        ({"peft_type": "PREFIX_TUNING"}, "is learned prompts"),
        ({"peft_type": "XLORA"}, "of the kind XLORA"),
        ({"peft_type": None}, "of the kind None"),
        ({"modules_to_save": ["embed_tokens"]}, "modules_to_save"),
        ({"trainable_token_indices": [3]}, "trainable_token_indices"),
        ({"init_lora_weights": "pissa_niter_4"}, "changes weights of its base"),
        ({"init_lora_weights": ["pissa"]}, "changes weights of its base"),
        ({"layer_replication": [[0, 4]]}, "layer_replication"),
        ({"task_type": "SEQ_CLS"}, "causal language model"),
    ],
)
def test_what_switching_off_would_not_undo_is_refused(tmp_path: Path, settings: dict[str, Any], words: str) -> None:
    assert words in refusal(adapter(tmp_path / "lora", whole(tmp_path / "base"), **settings))


def test_a_whole_model_beside_the_adapter_is_refused(tmp_path: Path) -> None:
    folder = adapter(tmp_path / "lora", whole(tmp_path / "base"))
    (folder / "config.json").write_text("{}")
    assert weights(folder)  # some trainers copy the base's config there
    save_file({"w": np.zeros(1, np.float32)}, folder / "model.safetensors")
    assert "holds a whole model and an adapter" in refusal(folder)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty"),
        (b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
        (b"x" * 100, "is truncated or no safetensors file"),
        (None, "holds no adapter_model.safetensors"),
    ],
)
def test_broken_weights_are_named(tmp_path: Path, content: bytes | None, words: str) -> None:
    folder = adapter(tmp_path / "lora", whole(tmp_path / "base"))
    file = folder / "adapter_model.safetensors"
    file.unlink() if content is None else file.write_bytes(content)
    assert words in refusal(folder)
    file.unlink(missing_ok=True)
    (folder / "adapter_model.bin").write_bytes(b"\x80")
    assert "only pickled" in refusal(folder)


def test_an_embedding_in_the_file_is_refused(tmp_path: Path) -> None:
    folder = adapter(tmp_path / "lora", whole(tmp_path / "base"))
    name = "base_model.model.model.embed_tokens.weight"
    save_file({name: np.zeros(3, np.float32)}, folder / "adapter_model.safetensors")
    assert "holds an embedding of its own" in refusal(folder)


@pytest.mark.parametrize("text", ["", "[]", "{", "nonsense"])
def test_a_broken_config_is_named(tmp_path: Path, text: str) -> None:
    folder = adapter(tmp_path / "lora", whole(tmp_path / "base"))
    (folder / "adapter_config.json").write_text(text)
    assert refusal(folder)
