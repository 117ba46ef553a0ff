"""Rows that say which responses were chosen and which rejected: texts, lists of texts, messages, transcripts."""

from collections.abc import Mapping
from typing import Any

from .columns import Layout, missing
from .notes import RowError, as_list
from .responses import Answers, prompt_turns
from .turns import Turns, messages, transcript


def preference_answers(columns: Mapping[str, Any], layout: Layout) -> Answers:
    """The prompt, and the responses with grade 1 for the chosen and 0 for the rejected, chosen ones first."""
    names = (layout.chosen or "chosen", layout.rejected or "rejected")
    prompts = layout.prompt or ("prompt",)
    required = names if isinstance(columns.get(names[0]), list) or _transcripts(layout) else (prompts[0], *names)
    for name in required:
        if name not in columns:
            raise missing(name, columns)
    sides = [columns[name] for name in names]
    if _transcripts(layout) and all(isinstance(side, str) for side in sides):
        conversations = [transcript(name, side) for name, side in zip(names, sides, strict=True)]
        return _conversations(names, conversations, None, ())
    prompt = prompt_turns(columns, layout, prompts) if any(columns.get(name) is not None for name in prompts) else ()
    lists = [_texts(side, layout) for side in sides]
    if layout.turns == "human-assistant":  # the blanks beside a transcript's marks belong to them
        lists = [tuple(text.strip() for text in texts) for texts in lists]
    if prompt and all(lists):
        chosen, rejected = lists
        styles = (*range(len(chosen)), *range(len(rejected))) if layout.styles else ()
        where = _places(names[0], chosen) + _places(names[1], rejected)
        grades = (1.0,) * len(chosen) + (0.0,) * len(rejected)
        return Answers(prompt, (*chosen, *rejected), where, grades, styles=styles)
    for name, side in zip(names, sides, strict=True):
        if not isinstance(side, str):
            messages(name, side)
    if any(isinstance(side, str) for side in sides):
        raise RowError(
            "wrong type", f"`{names[0]}` and `{names[1]}` must both be text with a `prompt`, or both be message lists"
        )
    conversations = [messages(name, side) for name, side in zip(names, sides, strict=True)]
    return _conversations(names, conversations, columns.get(prompts[0]), prompt)


def _transcripts(layout: Layout) -> bool:
    return layout.turns == "human-assistant" and not layout.prompt


def _texts(side: Any, layout: Layout) -> tuple[str, ...]:
    """The responses of one side, empty where it holds none as text."""
    if isinstance(side, str):
        return (side,)
    texts = as_list(side) or []
    if layout.steps:
        texts = ["\n".join(steps) if (steps := as_list(text)) and _strings(steps) else text for text in texts]
    return tuple(texts) if _strings(texts) else ()


def _strings(values: Any) -> bool:
    return all(isinstance(value, str) for value in values)


def _places(name: str, texts: tuple[str, ...]) -> tuple[str, ...]:
    return (f"`{name}`",) if len(texts) == 1 else tuple(f"`{name}`, number {n}," for n in range(1, len(texts) + 1))


def _conversations(names: tuple[str, str], conversations: list[Turns], column: Any, prompt: Turns) -> Answers:
    """Conversations that end in the response; what comes before is the prompt, or `prompt` holds it."""
    chosen, rejected = conversations
    for name, turns in zip(names, conversations, strict=True):
        if not turns or turns[-1]["role"] != "assistant":
            raise RowError("wrong type", f"the last turn of `{name}` must be the assistant's; mend or remove the row")
    before = chosen[:-1]
    if before != rejected[:-1]:
        raise RowError(
            "different prompts",
            f"`{names[0]}` and `{names[1]}` answer different prompts; only their last turn may differ",
        )
    if not before and not prompt:
        raise RowError("no prompt", "there is no prompt; put it before the responses or into a column `prompt`")
    if before and prompt and not _agree(column, prompt, before):
        raise RowError(
            "different prompts",
            f"the column `prompt` is not the prompt inside `{names[0]}` and `{names[1]}`; remove one of the two",
        )
    texts = (chosen[-1]["content"], rejected[-1]["content"])
    return Answers(before or prompt, texts, (f"`{names[0]}`", f"`{names[1]}`"), (1.0, 0.0))


def _agree(column: Any, prompt: Turns, before: Turns) -> bool:
    """Whether the prompt column is the conversation before the responses, or the text of one of its user turns."""
    said = isinstance(column, str) and column.strip()
    return prompt == before or any(turn["role"] == "user" and turn["content"].strip() == said for turn in before)
