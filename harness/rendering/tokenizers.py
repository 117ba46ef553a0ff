"""Loading a checkpoint's tokenizer from a local folder."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..options import Loading
from ..scoring.load_options import LoadOptions, cannot_load

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


def load_tokenizer(path: Path, options: Loading | LoadOptions) -> "PreTrainedTokenizerBase":
    """The tokenizer in a checkpoint's folder; UserError where there is none that loads."""
    from transformers import AutoTokenizer

    auto: Any = AutoTokenizer
    try:
        return auto.from_pretrained(path, trust_remote_code=options.trust_remote_code)
    except (OSError, ValueError, KeyError) as error:
        raise cannot_load(f"The tokenizer in {path} cannot be loaded", error) from error
