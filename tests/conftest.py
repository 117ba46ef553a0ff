"""Small checkpoints, and a hub that is offline, for every test; `--hypothesis-profile=long` for more fuzzing."""

import os
import signal
from pathlib import Path

import pytest
from hypothesis import settings

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ["OMP_NUM_THREADS"] = "1"  # two workers of pytest, and what they start, share two cores
signal.signal(
    signal.SIGINT, signal.default_int_handler
)  # what a shell runs in the background inherits its being ignored
settings.register_profile("long", max_examples=10_000)
settings.register_profile("short", max_examples=40)
settings.load_profile("short")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The README's commands first: one of a minute at the end would keep one worker at it and the other waiting."""
    items.sort(key=lambda item: item.path.name != "test_readme.py")


@pytest.fixture(scope="session")
def no_bars() -> None:
    """No progress bars of transformers in whatever the tests load."""
    from transformers.utils import logging

    logging.disable_progress_bar()


@pytest.fixture(scope="session")
def llamas(no_bars: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of three Llamas, `base`, `sft` and `dpo`, that share a byte-level tokenizer and ChatML."""
    from tests.checkpoints import byte_level_tokenizer, save_llama

    folder = tmp_path_factory.mktemp("llamas")
    tokenizer = byte_level_tokenizer("chatml")
    for seed, name in enumerate(("base", "sft", "dpo")):
        save_llama(folder / name, tokenizer, seed)
    return folder


@pytest.fixture(scope="session")
def mistrals(no_bars: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of two Mistrals, `base` and `sft`, that share a SentencePiece-like tokenizer and [INST] turns."""
    from tests.checkpoints import save_mistral, sentencepiece_tokenizer

    folder = tmp_path_factory.mktemp("mistrals")
    tokenizer = sentencepiece_tokenizer("mistral")
    for seed, name in enumerate(("base", "sft")):
        save_mistral(folder / name, tokenizer, seed)
    return folder
