"""What the files of a checkpoint say of it."""

import json
import shutil
from pathlib import Path

import pytest
from cdr_eval.model_registry.checkpoint_files import find_checkpoint, localise
from cdr_eval.model_registry.registry import load_registry
from safetensors.torch import load_file


def test_parameters_of_a_folder_are_counted_from_its_files(tmp_path: Path) -> None:
    registry = load_registry()
    shipped = registry.find("minilab-sft")
    folder = Path(shutil.copytree(shipped.model, tmp_path / "mine"))
    mine = localise(find_checkpoint(str(folder), registry))
    tensors = load_file(folder / "model.safetensors")
    assert mine.checkpoint.parameters is None
    assert mine.parameters == sum(tensor.numel() for tensor in tensors.values()) == shipped.parameters
    (folder / "model.safetensors").write_bytes(b"\xff" * 20)
    assert mine.parameters is None


@pytest.mark.parametrize("key", ["max_position_embeddings", "n_positions", "max_seq_len", "model_max_length"])
def test_positions_are_found_by_each_name_that_architectures_have_for_them(tmp_path: Path, key: str) -> None:
    registry = load_registry()
    folder = Path(shutil.copytree(registry.find("minilab-sft").model, tmp_path / "mine"))
    config = json.loads((folder / "config.json").read_text())
    del config["max_position_embeddings"]
    (folder / "config.json").write_text(json.dumps(config | {key: 77}))
    assert localise(find_checkpoint(str(folder), registry)).max_length == 77
