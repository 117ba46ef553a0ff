"""On-policy preference pairs: a checkpoint's own samples, told apart by the world's judge."""

import random

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from ...tasks.minilab.prompts import Prompt
from ...tasks.minilab.world import draw_prompt, is_good
from .generation import generate
from .recipe import Recipe
from .tokenizer import ASSISTANT, BOS, END, USER


def sample_pairs(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    recipe: Recipe,
    seed: int,
) -> list[dict[str, str]]:
    """One pair for each prompt of which some samples are good and some bad: {"prompt", "chosen", "rejected"}.

    The texts hold the template's special tokens, so that training sees exactly the tokens that are scored later.
    """
    rng, samples = random.Random(seed), recipe.samples_per_prompt
    drawn = [draw_prompt("train", rng, recipe.subsets) for _ in range(recipe.preference_prompts)]
    repeated = [prompt for prompt in drawn for _ in range(samples)]
    responses = generate(model, tokenizer, repeated, seed=seed)
    pairs: list[dict[str, str]] = []
    for number, prompt in enumerate(drawn):
        pair = _pair(prompt, responses[number * samples : (number + 1) * samples], rng)
        if pair is not None:
            pairs.append(pair)
    return pairs


def _pair(prompt: Prompt, responses: list[str], rng: random.Random) -> dict[str, str] | None:
    good = [response for response in responses if is_good(prompt, response)]
    bad = [response for response in responses if not is_good(prompt, response)]
    if not good or not bad:
        return None
    return {
        "prompt": f"{BOS}{USER}{prompt.text}{END}{ASSISTANT}",
        "chosen": f"{rng.choice(good)}{END}",
        "rejected": f"{rng.choice(bad)}{END}",
    }
