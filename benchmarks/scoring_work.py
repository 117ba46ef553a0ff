"""What the scoring benchmarks score: a model, and pairs of responses as token ids."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from cdr_eval.harness.rendering.chat import ChatRenderer
from cdr_eval.harness.scoring.protocol import ScoringRequest
from cdr_eval.tasks.conditioning import Conversation
from cdr_eval.tasks.item import Turn
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

DATA = Path(__file__).parents[2] / "shared" / "data" / "rewardbench_rebuilt.jsonl"
WIDTH, INNER, LAYERS, HEADS = 512, 1408, 8, 8
VOCABULARY = 32_000

Pair = tuple[ScoringRequest, ScoringRequest]
Text = tuple[str, str, str]
"""Prompt, chosen, rejected."""

_TEMPLATE = (
    "{{ bos_token }}{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
_GENERATED = {
    "llmbar": (160, 370, 800),
    "hep": (430, 385, 375),
    "xstest": (42, 365, 770),
    "alpacaeval": (170, 1560, 1130),
}
"""Mean characters of prompt, chosen and rejected by kind of subset in the rebuilt RewardBench."""


def build_model(seed: int = 0, vocabulary: int = VOCABULARY) -> LlamaForCausalLM:
    """A Llama of 58 million parameters (at 32,000 tokens) with random weights."""
    seeded: Any = torch
    seeded.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=vocabulary,
        hidden_size=WIDTH,
        intermediate_size=INNER,
        num_hidden_layers=LAYERS,
        num_attention_heads=HEADS,
        num_key_value_heads=HEADS,
        max_position_embeddings=4096,
    )
    return LlamaForCausalLM(config).eval()


def load_texts() -> tuple[str, dict[str, list[Text]]]:
    """Where the texts come from, and the texts by the first part of their subset's name."""
    texts: dict[str, list[Text]] = {}
    if DATA.exists():
        for line in DATA.read_text(encoding="utf-8").splitlines():
            row: dict[str, str] = json.loads(line)
            texts.setdefault(row["subset"].split("-")[0], []).append((row["prompt"], row["chosen"], row["rejected"]))
        return DATA.name, texts
    draw = np.random.default_rng(0)
    words = ["".join(draw.choice(list("etaoinshrdlu"), draw.integers(2, 9))) for _ in range(5000)]
    for kind, means in _GENERATED.items():
        lengths = draw.gamma(2.0, np.array(means) / 12.0, size=(100, 3)).astype(int) + 3
        texts[kind] = [
            (_words(draw, words, row[0]), _words(draw, words, row[1]), _words(draw, words, row[2])) for row in lengths
        ]
    return "generated items of its lengths", texts


def _words(draw: np.random.Generator, words: list[str], count: int) -> str:
    return " ".join(draw.choice(words, count))


def train_tokenizer(texts: dict[str, list[Text]]) -> PreTrainedTokenizerFast:
    """A byte-level BPE of at most 32,000 tokens, trained on the texts, with ChatML."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=["<s>", "</s>", "<|im_start|>", "<|im_end|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator((part for rows in texts.values() for text in rows for part in text), trainer)
    fast: Any = PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", pad_token="</s>")
    fast.add_special_tokens({"additional_special_tokens": ["<|im_start|>", "<|im_end|>"]})
    fast.chat_template = _TEMPLATE
    return fast


def evenly(texts: list[Text], count: int) -> list[Text]:
    """`count` of the texts, evenly spaced."""
    return [texts[len(texts) * index // count] for index in range(count)]


def pairs_of(renderer: ChatRenderer, texts: list[Text], prefix: str = "") -> list[Pair]:
    """Each text as the two requests that a checkpoint is scored on, `prefix` before the prompt."""
    return [
        (_request(renderer, prefix + prompt, chosen), _request(renderer, prefix + prompt, rejected))
        for prompt, chosen, rejected in texts
    ]


def _request(renderer: ChatRenderer, prompt: str, response: str) -> ScoringRequest:
    (rendering,) = renderer.render([Conversation((Turn(role="user", content=prompt),), response)])
    assert rendering.request is not None
    return rendering.request


def words_of(texts: list[Text], tokenizer: PreTrainedTokenizerFast, tokens: int) -> str:
    """About that many tokens of running text."""
    hf: Any = tokenizer
    ids: list[int] = hf("\n".join(chosen for _, chosen, _ in texts), add_special_tokens=False)["input_ids"]
    return hf.decode(ids[:tokens]) + "\n"
