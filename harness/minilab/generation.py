"""Free generations of a checkpoint, greedy or sampled.

One global random stream for a whole list of prompts, which the shipped weights and scores came from; samples that do
not depend on what else is drawn beside them are those of `harness/generation`.
"""

from collections.abc import Sequence
from typing import Any

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase, set_seed

from ...tasks.minilab.prompts import Prompt

MAX_NEW_TOKENS = 28
"""A little more than the longest response of the world's grammar."""
_BATCH = 256


@torch.no_grad()
def generate(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prompts: Sequence[Prompt],
    seed: int | None = None,
) -> list[str]:
    """One response a prompt: greedy without a seed, else sampled at temperature 1.

    A response that does not end within `MAX_NEW_TOKENS` is returned as far as it got (no judge accepts it).
    """
    tokenise: Any = tokenizer
    network: Any = model
    texts = [
        tokenise.apply_chat_template(
            [{"role": "user", "content": prompt.text}], tokenize=False, add_generation_prompt=True
        )
        for prompt in prompts
    ]
    sampling: dict[str, Any] = {"do_sample": False}
    if seed is not None:
        sampling = {"do_sample": True, "temperature": 1.0, "top_k": 0, "top_p": 1.0}
        set_seed(seed)
    network.eval()
    order = sorted(range(len(texts)), key=lambda index: len(texts[index]))
    responses = [""] * len(texts)
    for start in range(0, len(order), _BATCH):
        batch = order[start : start + _BATCH]
        inputs = tokenise([texts[i] for i in batch], padding=True, padding_side="left", return_tensors="pt")
        output = network.generate(
            input_ids=inputs["input_ids"],
            attention_mask=inputs["attention_mask"],
            max_new_tokens=MAX_NEW_TOKENS,
            eos_token_id=tokenise.eos_token_id,
            pad_token_id=tokenise.pad_token_id,
            **sampling,
        )
        written = tokenise.batch_decode(output[:, inputs["input_ids"].shape[1] :], skip_special_tokens=True)
        for index, response in zip(batch, written, strict=True):
            responses[index] = response
    return responses
