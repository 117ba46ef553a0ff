"""Small checkpoints, and a hub that is offline, for every test; `--hypothesis-profile=long` for more fuzzing."""

import os
from pathlib import Path

import pytest
from hypothesis import settings

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"
settings.register_profile("long", max_examples=10_000)


@pytest.fixture(scope="session")
def two_threads() -> None:
    """Two threads, and no progress bars of transformers, in whatever the tests load."""
    import torch
    from transformers.utils import logging

    torch.set_num_threads(2)
    logging.disable_progress_bar()


@pytest.fixture(scope="session")
def llamas(two_threads: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of three Llamas, `base`, `sft` and `dpo`, that share a byte-level tokenizer and ChatML."""
    from tests.checkpoints import byte_level_tokenizer, save_llama

    folder = tmp_path_factory.mktemp("llamas")
    tokenizer = byte_level_tokenizer("chatml")
    for seed, name in enumerate(("base", "sft", "dpo")):
        save_llama(folder / name, tokenizer, seed)
    return folder


@pytest.fixture(scope="session")
def mistrals(two_threads: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of two Mistrals, `base` and `sft`, that share a SentencePiece-like tokenizer and [INST] turns."""
    from tests.checkpoints import save_mistral, sentencepiece_tokenizer

    folder = tmp_path_factory.mktemp("mistrals")
    tokenizer = sentencepiece_tokenizer("mistral")
    for seed, name in enumerate(("base", "sft")):
        save_mistral(folder / name, tokenizer, seed)
    return folder
