"""An oracle for the scored tokens that knows nothing of Jinja or of tokenizers' offsets.

The rendered text is written out by hand for each template, and tokens are laid along it by their bytes.
"""

from typing import Any

Turns = tuple[tuple[str, str], ...]
TRIMMING = ("llama3", "gemma")
"""Templates that strip white space from every turn."""
NO_SYSTEM = ("mistral", "gemma")


def hand_rendered(template: str, turns: Turns, response: str) -> tuple[str, str, str]:
    """What stands before the response (BOS apart), the response as it is written, and the end of turn."""
    if template in TRIMMING:
        turns, response = tuple((role, text.strip()) for role, text in turns), response.strip()
    if template == "chatml":
        before = "".join(f"<|im_start|>{role}\n{text}<|im_end|>\n" for role, text in turns)
        return before + "<|im_start|>assistant\n", response, "<|im_end|>"
    if template == "zephyr":
        before = "".join(f"<|{role}|>\n{text}</s>\n" for role, text in turns)
        return before + "<|assistant|>\n", response, "</s>"
    if template == "llama3":
        before = "".join(f"<|start_header_id|>{role}<|end_header_id|>\n\n{text}<|eot_id|>" for role, text in turns)
        return before + "<|start_header_id|>assistant<|end_header_id|>\n\n", response, "<|eot_id|>"
    if template == "gemma":
        names = {"user": "user", "assistant": "model"}
        before = "".join(f"<start_of_turn>{names[role]}\n{text}<end_of_turn>\n" for role, text in turns)
        return before + "<start_of_turn>model\n", response, "<end_of_turn>"
    written = {"user": "[INST] {} [/INST]", "assistant": " {}</s>"}
    return "".join(written[role].format(text) for role, text in turns) + " ", response, "</s>"


def laid_along(tokenizer: Any, ids: tuple[int, ...], text: str) -> list[tuple[int, int]]:
    """The bytes of the text that each token stands for; fails unless the tokens spell the text exactly.

    A space that the tokenizer put in front of a piece of text between special tokens stands for no byte.
    """
    special = {index: str(token).encode() for index, token in tokenizer.added_tokens_decoder.items()}
    plain = text.encode()
    spans: list[tuple[int, int]] = []
    position = at = 0
    while at < len(ids):
        if ids[at] in special:
            end = position + len(special[ids[at]])
            assert plain[position:end] == special[ids[at]]
            spans.append((position, end))
            position, at = end, at + 1
            continue
        stop = next((i for i in range(at, len(ids)) if ids[i] in special), len(ids))
        pieces = [token_bytes(tokenizer, index) for index in ids[at:stop]]
        end = plain.index(special[ids[stop]], position) if stop < len(ids) else len(plain)
        extra = sum(map(len, pieces)) - (end - position)
        assert extra in (0, 1)
        assert b"".join(pieces) == b" " * extra + plain[position:end]
        left = position - extra
        for piece in pieces:
            spans.append((max(left, position), left + len(piece)))
            left += len(piece)
        position, at = end, stop
    assert position == len(plain)
    return spans


def token_bytes(tokenizer: Any, index: int) -> bytes:
    """The bytes that an ordinary token stands for."""
    token: str = tokenizer.convert_ids_to_tokens(index)
    if token.startswith("<0x") and len(token) == 6:
        return bytes([int(token[3:5], 16)])
    if tokenizer.backend_tokenizer.decoder.__class__.__name__ == "ByteLevel":
        return bytes(_BYTE_OF[character] for character in token)
    return token.replace("▁", " ").encode()


def _byte_alphabet() -> dict[str, int]:
    """GPT-2's alphabet: printable Latin-1 characters stand for themselves, the other bytes for U+0100 and on."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    return {chr(byte): byte for byte in printable} | {chr(0x100 + i): byte for i, byte in enumerate(others)}


_BYTE_OF = _byte_alphabet()
