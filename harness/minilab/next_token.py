"""Next-token training on packed documents: the base, and SFT."""

import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from transformers import (
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    PreTrainedTokenizerFast,
    PrinterCallback,
    Trainer,
    TrainingArguments,
    set_seed,
)

from .documents import Document
from .progress import ProgressBar
from .recipe import NextToken, Recipe
from .tokenizer import ASSISTANT, BOS, END, USER

IGNORED = -100
_DRAWN_AT_ONCE = 2000


def new_model(recipe: Recipe, tokenizer: PreTrainedTokenizerFast, seed: int) -> LlamaForCausalLM:
    """A Llama of the recipe's size with random weights."""
    set_seed(seed)
    special: Any = tokenizer
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=recipe.width,
        intermediate_size=2 * recipe.width,
        num_hidden_layers=recipe.layers,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=32,  # the least that vLLM's attention kernels take
        max_position_embeddings=256,
        tie_word_embeddings=True,
        bos_token_id=special.bos_token_id,
        eos_token_id=special.eos_token_id,
        pad_token_id=special.pad_token_id,
    )
    return LlamaForCausalLM(config)


def train_next_token(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    draw: Callable[[random.Random], Document],
    stage: NextToken,
    recipe: Recipe,
    seed: int,
    scratch: Path,
    progress: ProgressBar,
) -> list[dict[str, float]]:
    """Train in place on freshly drawn documents, packed into rows of equal length; returns the training log.

    SFT's loss leaves the user turns out.
    """
    arguments = TrainingArguments(
        output_dir=str(scratch),
        max_steps=stage.steps,
        per_device_train_batch_size=recipe.rows,
        learning_rate=stage.learning_rate,
        **common_arguments(seed),
    )
    documents = _encoded(tokenizer, draw, random.Random(seed), answers_only=stage.start is not None)
    rows: Any = _packed(documents, recipe.block, stage.steps * recipe.rows)
    trainer: Any = Trainer(model=model, args=arguments, train_dataset=rows, callbacks=[progress])
    trainer.remove_callback(PrinterCallback)
    trainer.train()
    return loss_log(trainer)


def common_arguments(seed: int) -> dict[str, Any]:
    """The arguments that every stage shares: CPU, single precision, cosine schedule, nothing saved on the way."""
    return {
        "lr_scheduler_type": "cosine",
        "warmup_steps": 0.05,
        "seed": seed,
        "use_cpu": True,
        "bf16": False,
        "save_strategy": "no",
        "logging_steps": 50,
        "report_to": "none",
        "disable_tqdm": True,
    }


def loss_log(trainer: Any) -> list[dict[str, float]]:
    """Step and loss, every 50 steps."""
    return [
        {"step": entry["step"], "loss": round(float(entry["loss"]), 4)}
        for entry in trainer.state.log_history
        if "loss" in entry
    ]


def _packed(documents: Iterator[tuple[list[int], list[int]]], block: int, count: int) -> list[dict[str, list[int]]]:
    """`count` rows of `block` tokens, documents one after another."""
    rows: list[dict[str, list[int]]] = []
    ids: list[int] = []
    labels: list[int] = []
    while len(rows) < count:
        tokens, targets = next(documents)
        ids += tokens
        labels += targets
        while len(ids) >= block:
            rows.append({"input_ids": ids[:block], "labels": labels[:block]})
            ids, labels = ids[block:], labels[block:]
    return rows[:count]


def _encoded(
    tokenizer: PreTrainedTokenizerBase,
    draw: Callable[[random.Random], Document],
    rng: random.Random,
    *,
    answers_only: bool,
) -> Iterator[tuple[list[int], list[int]]]:
    """Token ids and labels of one drawn document after another, without end."""
    tokenise: Any = tokenizer
    while True:
        documents = [draw(rng) for _ in range(_DRAWN_AT_ONCE)]
        heads = [BOS if d.user is None else f"{BOS}{USER}{d.user}{END}{ASSISTANT}" for d in documents]
        tails = [f"{d.answer}{END}" for d in documents]
        head_ids: list[list[int]] = tokenise(heads)["input_ids"]
        tail_ids: list[list[int]] = tokenise(tails)["input_ids"]
        for head, tail in zip(head_ids, tail_ids, strict=True):
            yield head + tail, ([IGNORED] * len(head) if answers_only else head) + tail
