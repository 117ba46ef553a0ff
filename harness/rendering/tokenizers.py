"""Loading a checkpoint's tokenizer from a local folder."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..options import Loading
from ..scoring.load_options import LoadOptions, cannot_load

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_GENERIC = frozenset({"PreTrainedTokenizerFast", "TokenizersBackend"})
"""Names of the class that reads tokenizer.json as it is."""


def load_tokenizer(path: Path, options: Loading | LoadOptions) -> "PreTrainedTokenizerBase":
    """The tokenizer in a checkpoint's folder; UserError where there is none that loads."""
    import transformers

    # AutoTokenizer comes to the generic class as well, after it has imported torch and the model's code.
    loader: Any = transformers.PreTrainedTokenizerFast if _is_generic(path) else transformers.AutoTokenizer
    try:
        return loader.from_pretrained(path, trust_remote_code=options.trust_remote_code)
    except (OSError, ValueError, KeyError) as error:
        raise cannot_load(f"The tokenizer in {path} cannot be loaded", error) from error


def _is_generic(path: Path) -> bool:
    """Whether it is a Llama's that says it needs no class of its own, as Llama 3's do.

    For other architectures transformers sometimes knows better than the files which class is right.
    """
    try:
        tokenizer, model = (
            json.loads((path / name).read_text(encoding="utf-8")) for name in ("tokenizer_config.json", "config.json")
        )
        of_class, architecture = tokenizer.get("tokenizer_class"), model.get("model_type")
    except (OSError, ValueError, AttributeError):  # AutoTokenizer says what is wrong
        return False
    plain = "auto_map" not in tokenizer and (path / "tokenizer.json").is_file()
    return plain and of_class in _GENERIC and architecture == "llama"
