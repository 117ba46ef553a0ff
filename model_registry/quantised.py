"""Quantised weights: what a checkpoint's files say of their format, and whether their library is here."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ..errors import CheckpointError, UserError

_LIBRARIES = {
    "aqlm": ("aqlm",),
    "awq": ("gptqmodel",),
    "bitsandbytes": ("bitsandbytes",),
    "compressed-tensors": ("compressed_tensors",),
    "gptq": ("optimum", "gptqmodel"),
    "hqq": ("hqq",),
    "quanto": ("optimum",),
    "torchao": ("torchao",),
    "vptq": ("vptq",),
}
"""Quantisation method → the modules that transformers reads it with; the others need none, or a GPU's kernels."""
_PACKAGES = {"compressed_tensors": "compressed-tensors"}
_TOKENIZERS = ("tokenizer.json", "tokenizer_config.json", "tokenizer.model")


def format_of(settings: Mapping[str, Any], folder: Path) -> str | None:
    """The format of quantised weights by a config.json, None for plain ones; UserError where its library is missing."""
    quantised = settings.get("quantization_config")
    if not isinstance(quantised, dict):
        return None
    fields: dict[str, Any] = {str(key): value for key, value in quantised.items()}  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
    method = str(fields.get("quant_method", "an unnamed method"))
    missing = [module for module in _LIBRARIES.get(method, ()) if find_spec(module) is None]
    if missing:
        packages = " ".join(_PACKAGES.get(module, module) for module in missing)
        raise UserError(f"The weights in {folder} are quantised by {method}; to load them: pip install {packages}.")
    bits = fields.get("bits") or (4 if fields.get("load_in_4bit") else 8 if fields.get("load_in_8bit") else None)
    return f"{method}, {bits} bits" if bits else method


@dataclass(frozen=True, slots=True)
class Gguf:
    """What the head of a GGUF file says."""

    format: str
    """The type of most of its weights, such as "GGUF Q4_0"."""
    max_length: int | None


def gguf_file(path: Path) -> Path | None:
    """The GGUF file that a path means: the file itself, or the only one of a folder without other weights.

    Raises UserError for a folder with several.
    """
    if path.is_file() and path.suffix == ".gguf":
        return path
    files = sorted(path.glob("*.gguf")) if path.is_dir() and not any(path.glob("*.safetensors")) else []
    if len(files) > 1:
        raise UserError(f"{path} holds several GGUF files ({', '.join(f.name for f in files)}); pass the path of one.")
    return files[0] if files else None


def read_gguf(file: Path, checkpoint: str) -> Gguf:
    """What the head of a GGUF file says, which is the `checkpoint` of that name.

    Raises CheckpointError for a broken one, and UserError for one without a tokenizer beside it.
    """
    if not any((file.parent / name).is_file() for name in _TOKENIZERS):
        raise UserError(
            f"{file} has no tokenizer beside it; put tokenizer.json and tokenizer_config.json of the model that it was "
            "made from into its folder."
        )
    if find_spec("gguf") is None:
        raise UserError(f"{file} is a GGUF file; to load it: pip install 'cdr-eval[gguf]'.")
    gguf: Any = import_module("gguf")
    try:
        reader: Any = gguf.GGUFReader(file)
        architecture = reader.get_field("general.architecture").contents()
        length = reader.get_field(f"{architecture}.context_length")
    except Exception as error:
        sentence = f"{file} is truncated or no GGUF file ({error}); copy or download it again."
        raise CheckpointError(checkpoint, sentence) from error
    types = Counter({"F32": 0})
    for tensor in reader.tensors:
        types[tensor.tensor_type.name] += int(tensor.n_elements)
    return Gguf(f"GGUF {types.most_common(1)[0][0]}", int(length.contents()) if length is not None else None)
