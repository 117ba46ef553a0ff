"""Sampling a list of prompts block by block: which are read together, and the rows that come out."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from transformers import AutoConfig

from ...errors import UserError
from ...model_registry.checkpoint_files import LocalCheckpoint, localise_again
from ...tasks.conditioning import Conversation
from ...tasks.item import Turn
from ..progress import progress_bar
from ..rendering.chat import ChatRenderer
from ..rendering.groups import Member
from ..rendering.tokenizers import load_tokenizer
from ..scoring.load_options import LoadOptions, cannot_load
from ..scoring.model_facts import rotary_switch
from ..scoring.open_models import OpenModels
from .prompts import SamplingPrompt
from .response_files import ResponseParts
from .sampler import Sampler, TokenPrompt, TokenSample
from .settings import Sampling

_PROBE = Conversation((Turn(role="user", content="What is 2 + 2?"),), "4")


Block = Mapping[int, tuple[SamplingPrompt, TokenPrompt]]
"""Prompts that are read together, by their positions."""
Rows = Mapping[int, Mapping[str, Any]]
"""The rows of a block, by position."""


@dataclass(frozen=True, slots=True)
class SamplingJob:
    """A checkpoint and how it is sampled from: plain data, which opens on any machine that has the files."""

    local: LocalCheckpoint
    load: LoadOptions
    sampling: Sampling
    end_of_turn: str | None
    """What the template writes after a response."""

    @property
    def name(self) -> str:
        """The checkpoint's."""
        return self.local.name

    def here(self) -> "SamplingJob":
        """The same with this machine's files."""
        local = localise_again(self.local, self.load.allow_pickle, self.load.trust_remote_code)
        return replace(self, local=local)

    def open(self) -> Callable[[Block], Rows]:
        """Load the checkpoint; the function returned samples a block. Raises UserError where it does not load."""
        tokenizer: Any = load_tokenizer(self.local.tokenizer, self.load)
        model = OpenModels().open(self.local, self.load)
        sampler = Sampler(model, self._stop_tokens(model, tokenizer), self.sampling)

        def rows(block: Block) -> Rows:
            drawn = sampler.samples([tokens for _, tokens in block.values()])
            of_block = zip(block.items(), drawn, strict=True)
            return {position: _row(prompt, samples, tokenizer) for (position, (prompt, _)), samples in of_block}

        return rows

    def _stop_tokens(self, model: Any, tokenizer: Any) -> set[int]:
        """Ids of the template's end-of-turn marker and of every end token that model and tokenizer name."""
        named: Any = model.generation_config.eos_token_id
        known: Any = tokenizer.get_vocab()
        ends: list[Any] = [tokenizer.eos_token_id, known.get(self.end_of_turn)]
        ends += named if isinstance(named, list) else [named]
        stop = {int(end) for end in ends if end is not None}
        if not stop:
            raise UserError(
                f"{self.local.name} has no token that ends a response; pass a chat template whose turns "
                "end with a special token with --chat-template FILE."
            )
        return stop


def end_of_turn(renderer: ChatRenderer) -> str | None:
    """What the renderer's template writes after a response."""
    rendered = renderer.text(_PROBE)
    return rendered.text[slice(*rendered.end_of_turn)] if rendered.end_of_turn else None


def in_this_process(job: SamplingJob, blocks: Iterator[Block]) -> Iterator[Rows]:
    """The rows of each block."""
    yield from map(job.open(), blocks)


def sample_blocks(
    job: SamplingJob,
    blocks: Sequence[Block],
    parts: ResponseParts,
    shard: tuple[int, int],
    quiet: bool,
    sampled: Callable[[SamplingJob, Iterator[Block]], Iterator[Rows]] = in_this_process,
) -> int:
    """Sample the blocks of a shard that have rows missing; returns how many responses were drawn.

    `sampled` gives the rows of blocks, in any order; this process alone writes them.
    """
    index, count = shard
    done = set(parts.places())
    todo = [block for block in blocks[index - 1 :: count] if not done.issuperset(block)]
    if not todo:
        return 0
    total = job.sampling.n * sum(map(len, todo))
    with (
        parts.writer(f"{index}-of-{count}") as writer,
        progress_bar(quiet) as progress,
    ):
        task = progress.add_task(f"sampling from {job.name}", total=total)
        for rows in sampled(job, iter(todo)):
            writer.append(rows)
            progress.advance(task, job.sampling.n * len(rows))
    return total


def _row(prompt: SamplingPrompt, samples: Sequence[TokenSample], tokenizer: Any) -> dict[str, Any]:
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


def context_of(member: Member, load: LoadOptions) -> tuple[int | None, list[str]]:
    """Tokens that a prompt and its response may have, None for any number, and a note where that is less than allowed.

    A longer sequence may have another rotary embedding for all of its tokens, and those read already keep the former.
    Raises UserError.
    """
    whole, limit = member.local.whole, member.renderer.max_length
    auto: Any = AutoConfig
    file = {} if whole.gguf is None else {"gguf_file": whole.gguf.name}
    try:
        config = auto.from_pretrained(whole.path, trust_remote_code=load.trust_remote_code, **file)
    except Exception as error:  # as varied as configurations are
        raise cannot_load(f"The configuration in {whole.path} cannot be loaded", error) from error
    switch = rotary_switch(config.get_text_config())
    if switch is None or (limit is not None and limit <= switch):
        return limit, []
    return switch, [
        f"Prompt and response have at most {switch:,} tokens, at which the model's rotary embedding changes for all of "
        "them."
    ]


def encode(
    prompts: Sequence[SamplingPrompt], renderer: ChatRenderer, max_new_tokens: int, context: int | None
) -> tuple[dict[int, TokenPrompt], list[str]]:
    """The tokens of each prompt by its position, and the ids of those that leave no room for a response."""
    encoded: dict[int, TokenPrompt] = {}
    too_long: list[str] = []
    for position, prompt in enumerate(prompts):
        renderer.check_unrendered(prompt.turns[-1]["content"], f"The prompt {prompt.id!r}")
        ids = renderer.generation_prompt(prompt.turns)
        room = max_new_tokens if context is None else min(max_new_tokens, context - len(ids))
        if room < 1:
            too_long.append(prompt.id)
        else:
            encoded[position] = TokenPrompt(prompt.id, ids, room)
    if not encoded:
        raise UserError(
            f"No prompt leaves room for a response within {context:,} tokens: shorten them, or raise --max-length if "
            "it was given."
        )
    return encoded, too_long


def blocks_of(prompts: Sequence[SamplingPrompt], encoded: Mapping[int, TokenPrompt], size: int) -> list[Block]:
    """The prompts that are read together, of about equal length; a function of the whole list alone."""
    order = sorted(encoded, key=lambda position: (len(encoded[position].token_ids), position))
    runs = (order[start : start + size] for start in range(0, len(order), size))
    return [{position: (prompts[position], encoded[position]) for position in run} for run in runs]
