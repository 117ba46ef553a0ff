"""The tokenizer of a folder is the one that AutoTokenizer finds there."""

import json
from pathlib import Path
from typing import Any

import pytest
from cdr_eval.errors import UserError
from cdr_eval.harness.options import Options
from cdr_eval.harness.rendering.tokenizers import load_tokenizer
from transformers import AutoTokenizer

from tests.checkpoints import TEMPLATES, TOKENIZERS

TEXT = "Say: naïve  café?\n\n\tдва 🙂 <s> </s> ▁x"


def save(folder: Path, kind: str, template: str, of_class: str, architecture: str) -> Path:
    TOKENIZERS[kind](template).save_pretrained(folder)
    written = folder / "tokenizer_config.json"
    written.write_text(json.dumps({**json.loads(written.read_text()), "tokenizer_class": of_class}))
    (folder / "config.json").write_text(json.dumps({"model_type": architecture}))
    return folder


@pytest.mark.parametrize("of_class", ["PreTrainedTokenizerFast", "TokenizersBackend", "LlamaTokenizerFast"])
@pytest.mark.parametrize("architecture", ["llama", "mistral", "qwen2", "phi3", "nemotron"])
@pytest.mark.parametrize("kind", TOKENIZERS)
def test_a_folder_gives_the_tokenizer_that_transformers_chooses(
    kind: str, architecture: str, of_class: str, tmp_path: Path
):
    """Same class, same rules for cutting text, same special tokens, same template."""
    folder = save(tmp_path / "m", kind, next(iter(TEMPLATES)), of_class, architecture)
    ours: Any = load_tokenizer(folder, Options())
    auto: Any = AutoTokenizer
    theirs = auto.from_pretrained(folder)
    assert type(ours) is type(theirs)
    assert ours.backend_tokenizer.to_str() == theirs.backend_tokenizer.to_str()
    assert ours.special_tokens_map == theirs.special_tokens_map
    assert ours.added_tokens_decoder == theirs.added_tokens_decoder
    assert ours.chat_template == theirs.chat_template
    assert ours.name_or_path == theirs.name_or_path
    assert ours(TEXT)["input_ids"] == theirs(TEXT)["input_ids"]


@pytest.mark.parametrize("name", ["tokenizer.json", "tokenizer_config.json", "config.json"])
def test_a_damaged_file_is_a_sentence(name: str, tmp_path: Path):
    folder = save(tmp_path / "m", "byte-level", "chatml", "PreTrainedTokenizerFast", "llama")
    (folder / name).write_text("{")
    with pytest.raises(UserError, match=r"The tokenizer in .* cannot be loaded"):
        load_tokenizer(folder, Options())
