"""Tokenising texts of which many begin alike: that beginning once, to the very tokens of each whole text."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Encoded:
    """The tokens of one text."""

    ids: list[int]
    shared: int
    """How many of them were tokenised together with other texts'."""
    offsets: list[tuple[int, int]]
    """The characters that each token after those covers."""


class SharedTexts:
    """Tokenises texts with a fast tokenizer, without adding special tokens.

    A tokenizer splits a text at special tokens before it does anything else. So a text may be cut before one, unless
    the split looks at what is around it. The first text of each call is tokenised whole as well; were it to differ, no
    text would be cut from then on.
    """

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self._boundary: str | None = None
        """The special token before which texts are cut; empty where there is none, None before the first text."""

    def encode(self, texts: Sequence[str], ends: Sequence[int]) -> list[Encoded]:
        """The tokens of each text; before the character `ends` it may share tokens with others."""
        if self._boundary is None:
            self._boundary = _boundary(self._tokenizer, texts[0][: ends[0]])
        found = self._apart(texts, ends, self._boundary)
        if self._boundary and self._encode(texts[:1])["input_ids"][0] != found[0].ids:
            self._boundary = ""
            return self._apart(texts, ends, "")
        return found

    def _apart(self, texts: Sequence[str], ends: Sequence[int], boundary: str) -> list[Encoded]:
        cuts = [max(0, t.rfind(boundary, 0, end)) if boundary else 0 for t, end in zip(texts, ends, strict=True)]
        heads = [text[:cut] for text, cut in zip(texts, cuts, strict=True)]
        begun: dict[str, list[int]] = {"": []}
        if distinct := [head for head in dict.fromkeys(heads) if head]:
            begun |= zip(distinct, self._encode(distinct)["input_ids"], strict=True)
        rest = self._encode([text[cut:] for text, cut in zip(texts, cuts, strict=True)], return_offsets_mapping=True)
        rows = zip(heads, rest["input_ids"], rest["offset_mapping"], strict=True)
        return [
            Encoded(begun[head] + ids, len(begun[head]), [(a + len(head), b + len(head)) for a, b in offsets])
            for head, ids, offsets in rows
        ]

    def _encode(self, texts: Sequence[str], **options: bool) -> Any:
        return self._tokenizer(
            list(texts),
            add_special_tokens=False,
            return_attention_mask=False,
            return_token_type_ids=False,
            verbose=False,
            **options,
        )


def _boundary(tokenizer: Any, text: str) -> str:
    """The last special token in a text before which any text may be cut; empty where there is none.

    Such a one is found in the raw text, takes no white space to its left, and is a part of no other.
    """
    added: list[Any] = list(tokenizer.added_tokens_decoder.values())
    if tokenizer.split_special_tokens or any(token.single_word for token in added):
        return ""
    known = [token.content for token in added]
    plain = [token.content for token in added if token.special and not (token.normalized or token.lstrip)]
    for boundary in sorted(plain, key=text.rfind, reverse=True):
        if text.rfind(boundary) >= 0 and not any(_overlaps(other, boundary) for other in known):
            return boundary
    return ""


def _overlaps(token: str, boundary: str) -> bool:
    """Whether a text may have another token that holds the boundary's beginning."""
    ends = any(token.endswith(boundary[:length]) for length in range(1, len(boundary)))
    return token != boundary and (boundary in token or ends)
