"""Text from names, files and notes, made safe to show: data never becomes markup."""

import re
import unicodedata

_MARKDOWN = re.compile(r"([\\`*#~]|\](?=[(\[:])|^\[)")
_EDGE_UNDERSCORE = re.compile(r"(?<![^\W_])_|_(?![^\W_])")
_INTERVAL = re.compile(r"(\[[^\[\], ]+,) ([^\[\], ]+\])")
_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;", "|": "&#124;", "$": "&#36;"}
_LINE_START = re.compile(r"^(\d*)([-+=.)])(?=[-+=\s]|$)")


def one_line(text: str) -> str:
    """`text` on one line, without control and direction-override characters."""
    return " ".join(_shown(" ".join(text.split())).split())


def written(text: str) -> str:
    """`text` with its lines, without control and direction-override characters."""
    return "\n".join("\t".join(map(_shown, line.split("\t"))) for line in text.splitlines())


def _shown(line: str) -> str:
    if line.isprintable():  # as nearly all are; character by character is slow
        return line
    return "".join("\ufffd" if _hidden(character) else character for character in line)


def _hidden(character: str) -> bool:
    """Control (Cc), format such as right-to-left override (Cf), surrogate (Cs) and unassigned (Cn) characters."""
    return unicodedata.category(character) in {"Cc", "Cf", "Cs", "Cn"}


def markdown(text: str) -> str:
    """`text` for a GitHub-flavoured Markdown paragraph, list item or table cell."""
    safe = _MARKDOWN.sub(r"\\\1", one_line(text))
    safe = "".join(_ENTITIES.get(character, character) for character in safe)
    safe = _EDGE_UNDERSCORE.sub(r"\\_", safe)
    return _LINE_START.sub(r"\1\\\2", safe)


def unbroken(markdown_text: str) -> str:
    """Intervals such as "[66.0, 77.7]" kept on one line by a no-break space, so that narrow cells break before them."""
    return _INTERVAL.sub("\\1\u00a0\\2", markdown_text)


def shortened(text: str, length: int) -> str:
    """`text` on one line, its middle left out where it is longer than `length` characters."""
    line = one_line(text)
    if len(line) <= length:
        return line
    head = (length - 1) // 2
    return f"{line[:head]}…{line[len(line) - (length - 1 - head) :]}"


def file_stem(text: str, taken: set[str]) -> str:
    """A file name without folder parts made from `text`, different from those in `taken`, which it joins."""
    stem = re.sub(r"[^a-z0-9]+", "-", one_line(text).lower()).strip("-")[:60] or "figure"
    unique = stem
    number = 1
    while unique in taken:
        number += 1
        unique = f"{stem}-{number}"
    taken.add(unique)
    return unique
