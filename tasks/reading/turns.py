"""Chat turns from the texts and lists that prompts and conversations come as."""

import re
from typing import Any, Literal

from ..item import Turn
from .notes import RowError, as_dict, as_list

Turns = tuple[Turn, ...]
ROLES = frozenset({"system", "user", "assistant"})
_HUMAN = re.compile(r"\n\n(Human|Assistant): ?")
_EXTRA_ID = re.compile(r"\n<extra_id_1>(User|Assistant)\n")


def messages(name: str, value: Any) -> Turns:
    """A list of {role, content} turns; `name` is its column, for the sentence of what is wrong."""
    turns = [as_dict(turn) for turn in as_list(value) or []]
    kept = [
        turn for turn in turns if turn and isinstance(turn.get("role"), str) and isinstance(turn.get("content"), str)
    ]
    if as_list(value) is None or len(kept) < len(turns):
        raise RowError(
            "wrong type", f"`{name}` must be text or a list of {{role, content}} turns; mend or remove the row"
        )
    for turn in kept:
        if turn["role"] not in ROLES:
            role = turn["role"][:40]
            raise RowError("unknown role", f"`{name}` has the unknown role {role!r}; use system, user or assistant")
    return tuple(Turn(role=turn["role"], content=turn["content"]) for turn in kept)


def turns_of(name: str, value: Any, form: Literal["text", "human-assistant", "extra-id"]) -> Turns:
    """The turns of a text, or of a list of turns."""
    if not isinstance(value, str):
        return messages(name, value)
    if form == "human-assistant":
        return transcript(name, value)
    if form == "extra-id":
        return _pieces(["User", *_EXTRA_ID.split(value)])
    return (Turn(role="user", content=value),)


def is_transcript(value: Any) -> bool:
    """Whether a text is a conversation as HH-RLHF writes it, "\\n\\nHuman: … \\n\\nAssistant: …"."""
    return isinstance(value, str) and value.startswith("\n\nHuman:") and "\n\nAssistant:" in value


def transcript(name: str, text: str) -> Turns:
    """The turns of an HH-RLHF transcript, stripped of the blanks around them; an empty last one is kept."""
    before, *pieces = _HUMAN.split(text)
    if before.strip() or not pieces:
        raise RowError("wrong type", f"`{name}` must begin with a turn of the Human; mend or remove the row")
    return _pieces(pieces)


def _pieces(pieces: list[str]) -> Turns:
    roles = ("assistant" if who == "Assistant" else "user" for who in pieces[::2])
    return tuple(Turn(role=role, content=text.strip()) for role, text in zip(roles, pieces[1::2], strict=True))
