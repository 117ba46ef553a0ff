"""Sampling a list of prompts block by block: which are read together, and the rows that come out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.progress import Progress

from ...errors import UserError
from ...model_registry.checkpoint_files import LocalCheckpoint
from ...tasks.conditioning import Conversation
from ...tasks.item import Turn
from ..rendering.chat import ChatRenderer
from ..scoring.loading import LoadOptions, fit_threads, load_model, load_tokenizer
from .prompts import SamplingPrompt
from .response_files import ResponseParts
from .sampler import Sampler, TokenPrompt, TokenSample
from .settings import Sampling

_PROBE = Conversation((Turn(role="user", content="What is 2 + 2?"),), "4")


@dataclass(frozen=True, slots=True)
class BlockSampling:
    """What it takes to sample blocks of prompts."""

    prompts: Sequence[SamplingPrompt]
    encoded: Mapping[int, TokenPrompt]
    local: LocalCheckpoint
    renderer: ChatRenderer
    load: LoadOptions
    sampling: Sampling

    def run(self, parts: ResponseParts, blocks: Sequence[Sequence[int]], shard: tuple[int, int], quiet: bool) -> int:
        """Sample the blocks of the shard that have rows missing; returns how many responses were drawn."""
        index, count = shard
        done = set(parts.places())
        todo = [block for block in blocks[index - 1 :: count] if not done.issuperset(block)]
        if not todo:
            return 0
        tokenizer: Any = load_tokenizer(self.local.path, self.load)
        model = load_model(self.local.path, self.load)
        fit_threads(model)
        sampler = Sampler(model, self._stop_tokens(model, tokenizer), self.sampling)
        total = self.sampling.n * sum(map(len, todo))
        with parts.writer(f"{index}-of-{count}") as writer, Progress(disable=quiet) as progress:
            task = progress.add_task(f"sampling from {self.local.name}", total=total)
            for block in todo:
                drawn = sampler.samples([self.encoded[position] for position in block])
                rows = {p: self._row(p, samples, tokenizer) for p, samples in zip(block, drawn, strict=True)}
                writer.append(rows)
                progress.advance(task, self.sampling.n * len(block))
        return total

    def _row(self, position: int, samples: Sequence[TokenSample], tokenizer: Any) -> dict[str, Any]:
        prompt = self.prompts[position]
        bodies = [s.token_ids[:-1] if s.finish == "stop" else s.token_ids for s in samples]
        texts: list[str] = tokenizer.batch_decode(
            [list(ids) for ids in bodies], skip_special_tokens=True, clean_up_tokenization_spaces=False
        )
        responses = [
            {"text": text, "finish_reason": sample.finish, "tokens": len(sample.token_ids)}
            for text, sample in zip(texts, samples, strict=True)
        ]
        row = {"id": prompt.id, "prompt": list(prompt.turns), "responses": responses}
        return row | {"subset": prompt.subset, "problem": prompt.problem}

    def _stop_tokens(self, model: Any, tokenizer: Any) -> set[int]:
        """Ids of the template's end-of-turn marker and of every end token that model and tokenizer name."""
        rendered = self.renderer.text(_PROBE)
        marker = rendered.text[slice(*rendered.end_of_turn)] if rendered.end_of_turn else None
        named: Any = model.generation_config.eos_token_id
        known: Any = tokenizer.get_vocab()
        ends: list[Any] = [tokenizer.eos_token_id, known.get(marker)]
        ends += named if isinstance(named, list) else [named]
        stop = {int(end) for end in ends if end is not None}
        if not stop:
            raise UserError(
                f"{self.local.name} has no token that ends a response; pass a chat template whose turns "
                "end with a special token with --chat-template FILE."
            )
        return stop


def encode(
    prompts: Sequence[SamplingPrompt], renderer: ChatRenderer, max_new_tokens: int
) -> tuple[dict[int, TokenPrompt], list[str]]:
    """The tokens of each prompt by its position, and the ids of those that leave no room for a response."""
    encoded: dict[int, TokenPrompt] = {}
    too_long: list[str] = []
    for position, prompt in enumerate(prompts):
        renderer.check_unrendered(prompt.turns[-1]["content"], f"The prompt {prompt.id!r}")
        ids = renderer.generation_prompt(prompt.turns)
        context = renderer.max_length
        room = max_new_tokens if context is None else min(max_new_tokens, context - len(ids))
        if room < 1:
            too_long.append(prompt.id)
        else:
            encoded[position] = TokenPrompt(prompt.id, ids, room)
    if not encoded:
        raise UserError("Every prompt is as long as what the model reads: shorten them or raise --max-length.")
    return encoded, too_long


def blocks_of(encoded: Mapping[int, TokenPrompt], size: int) -> list[list[int]]:
    """The positions of prompts that are read together, of about equal length; a function of the whole list alone."""
    order = sorted(encoded, key=lambda position: (len(encoded[position].token_ids), position))
    return [order[start : start + size] for start in range(0, len(order), size)]
