"""Features of responses that a reward may follow instead of quality."""

import re
from collections.abc import Callable, Mapping
from typing import Final

import numpy as np

from ...tasks.items import Items
from ..statistics.arrays import Codes, Floats

_MARKUP: Final = re.compile(r"^\s*(?:[-*+>]|\d+\.|#+)\s|\*\*|`|\|", re.MULTILINE)
_SYMBOL: Final = re.compile(r"[^\w\s.,;:!?]")
"""As code is full of."""
_WORD: Final = re.compile(r"\w+")


def _distinct(text: str) -> float:
    words = _WORD.findall(text.lower())
    return len(set(words)) / max(len(words), 1)


FEATURES: Final[Mapping[str, Callable[[str], float]]] = {
    "characters": len,
    "words": lambda text: len(_WORD.findall(text)),
    "share of words that differ": _distinct,
    "lines": lambda text: text.count("\n"),
    "markdown": lambda text: len(_MARKUP.findall(text)),
    "digits": lambda text: sum(map(str.isdigit, text)),
    "capitals": lambda text: sum(map(str.isupper, text)),
    "characters a word": lambda text: sum(map(len, words := _WORD.findall(text))) / max(len(words), 1),
    "symbols": lambda text: len(_SYMBOL.findall(text)),
    "punctuation": lambda text: sum(character in ".,;:!?" for character in text),
}


def text_features(items: Items, tokens: Codes, *, ordered: bool) -> dict[str, Floats]:
    """Feature → its value for each response, (R,); `tokens` (R,) that a checkpoint reads a response as.

    The place of a response counts where `ordered`: the order of labelled ones says which is the better.
    """
    rows = [[feature(text) for feature in FEATURES.values()] for item in items for text in item.responses]
    found = dict(zip(FEATURES, np.array(rows, dtype=np.float64).reshape(-1, len(FEATURES)).T, strict=True))
    found["tokens"] = tokens.astype(np.float64)
    if ordered:
        found["place among the responses"] = (np.arange(len(items.chars)) - items.offsets[:-1][items.owners]).astype(
            np.float64
        )
    return found
