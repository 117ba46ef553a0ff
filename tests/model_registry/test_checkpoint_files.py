"""What the files of a checkpoint say of it."""

import shutil
from pathlib import Path

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
