"""From a conversation to the tokens a model reads, and exactly which of them are scored.

The one definition of the scored tokens: those that cover at least one character of the response, and those of the
end-of-turn marker right after it. A token of the head that takes in white space after it stays the head's. A
conversation is rendered with its response to one string, and tokenised as one.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from tokenizers import processors

from ...errors import UserError
from ...tasks.conditioning import Conversation
from ...tasks.item import Turn
from ..scoring.protocol import ScoringRequest
from .shared_texts import Encoded, SharedTexts
from .time_limit import OutOfTime, cpu_limit

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_RENDER_SECONDS = 10.0
_SECONDS_EACH = 0.01
"""Processor time that a chat template may take, and for each conversation besides; real ones take 0.0001 s."""
_PLACEHOLDER = "cdreval0response0placeholder"
# Templates that print a date would otherwise give every day its own scores (Llama 3.1's template defaults to this).
_DATE = (
    "{% macro strftime_now(format) %}{{ format | replace('%d', '26') | replace('%m', '07') | replace('%b', 'Jul')"
    " | replace('%B', 'July') | replace('%Y', '2024') | replace('%y', '24') | replace('%A', 'Friday') }}"
    "{% endmacro %}\n{% set date_string = '26 Jul 2024' %}\n"
)
"""Stands on lines of its own before a template, and takes the place of transformers' clock."""


@dataclass(frozen=True, slots=True)
class RenderedText:
    """A rendered conversation and the character spans that are scored."""

    text: str
    response: tuple[int, int]
    end_of_turn: tuple[int, int] | None
    """None where no end-of-turn marker follows the response."""


@dataclass(frozen=True, slots=True)
class Rendering:
    """One conversation as a model sees it."""

    request: ScoringRequest | None
    """None: the response alone is longer than the model reads, so the item is unscored."""
    truncated: bool
    """Whether the prompt lost tokens from its left."""
    end_of_turn: bool
    """Whether an end-of-turn token is among the scored ones."""


CONTEXT = 4
"""Tokens before one with which it is decoded: enough for a character of four bytes."""


class ChatRenderer:
    """Renders conversations for one tokenizer and one chat template.

    Args:
        tokenizer: a fast tokenizer (offsets are needed); it is taken over, its post-processor removed.
        chat_template: Jinja text; None takes the tokenizer's own.
        end_of_turn: the marker's text; None finds it as the special token that follows the response.
        max_length: tokens that the model reads at most, BOS included.
        cut: where a longer conversation loses tokens: the prompt's left, or the response's right.

    Raises UserError where the tokenizer is a slow one or no template is to be had.
    """

    def __init__(
        self,
        tokenizer: "PreTrainedTokenizerBase",
        chat_template: str | None = None,
        end_of_turn: str | None = None,
        max_length: int | None = None,
        cut: Literal["left", "right"] = "left",
    ) -> None:
        hf: Any = tokenizer
        if not hf.is_fast:
            raise UserError(
                f"The tokenizer of {hf.name_or_path} has no character offsets; save a fast one (tokenizer.json) there."
            )
        try:
            template: str = hf.get_chat_template(chat_template)
        except ValueError as error:
            raise UserError(
                f"{hf.name_or_path} has no chat template; pass one with --chat-template FILE (a Jinja file)."
            ) from error
        self.template = template
        self.max_length, self.cut = max_length, cut
        self._tokenizer = hf
        self._bos: int | None = hf.bos_token_id
        self._special = tuple(_special_texts(hf))
        self._markers = [end_of_turn] if end_of_turn else list(self._special)
        self._stripping = {index for index, token in hf.added_tokens_decoder.items() if token.rstrip}
        """Tokens that take in the white space after them, be it a response's."""
        identity = (hf.backend_tokenizer.to_str(), template, str(hf.special_tokens_map), str(self._markers))
        self.identity = hashlib.sha256("\0".join(identity).encode()).hexdigest()
        """Two renderers of one identity, max_length and cut give the same requests."""
        # A post-processor would add special tokens, or trim the white space that a token covers from its offsets.
        hf.backend_tokenizer.post_processor = processors.Sequence([])
        self._shared = SharedTexts(hf)

    def text(self, conversation: Conversation) -> RenderedText:
        """Render to a string; UserError where the template refuses the conversation or rewrites the response."""
        (rendered,) = self._texts([conversation])
        return rendered

    def text_without_bos(self, conversation: Conversation) -> str:
        """The rendered string, less the BOS tokens in front: what the checkpoints of a pair must have in common."""
        text = self.text(conversation).text
        bos = str(self._tokenizer.bos_token or "")
        while bos and text.startswith(bos):
            text = text.removeprefix(bos)
        return text

    def render(self, conversations: Sequence[Conversation]) -> list[Rendering]:
        """The renderings of many conversations, in order."""
        if not conversations:
            return []
        texts = self._texts(conversations)
        encoded = self._shared.encode([t.text for t in texts], [t.response[0] for t in texts])
        return [self._fit(self._request(t, e), t) for t, e in zip(texts, encoded, strict=True)]

    def pieces(self, ids: Sequence[int]) -> list[str]:
        """What each token adds to the text; U+FFFD where that is a part of a character."""
        texts: list[str] = []
        for end in range(1, len(ids) + 1):
            start = max(0, end - CONTEXT)
            before, after = (self._tokenizer.decode(ids[start:stop]) for stop in (end - 1, end))
            texts.append(after.removeprefix(before.rstrip("\ufffd")))
        return texts

    def check_unrendered(self, content: str, name: str) -> None:
        """Refuse a turn that begins with a special token, as a rendered conversation does; raises UserError."""
        if content.lstrip().startswith(self._special):
            raise UserError(
                f"{name} is rendered already ({content[:30]!r}); give its turns as a list of {{role, content}}."
            )

    def generation_prompt(self, turns: Sequence[Turn]) -> tuple[int, ...]:
        """The tokens that a model continues with a response to the turns: their text, the assistant's head, one BOS."""
        (text,) = self._render([list(turns)], generation_prompt=True)
        ids: list[int] = self._tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"]
        leading = next((i for i, token in enumerate(ids) if token != self._bos), len(ids))
        return (*([] if self._bos is None else [self._bos]), *ids[leading:])

    def _texts(self, conversations: Sequence[Conversation]) -> list[RenderedText]:
        """The rendered strings, within a limit of time: a template is a program that others wrote."""
        try:
            with cpu_limit(_RENDER_SECONDS + _SECONDS_EACH * len(conversations)):
                prompts = list(dict.fromkeys(_prompt(conversation) for conversation in conversations))
                around = self._render([_messages(prompt, _PLACEHOLDER) for prompt in prompts])
                before_and_after = dict(zip(prompts, map(_split, around), strict=True))
                texts = self._render([_messages(_prompt(c), c.response) for c in conversations])
        except OutOfTime:
            raise UserError(
                "The chat template takes far too long to write a conversation; pass another with --chat-template FILE."
            ) from None
        pairs = zip(conversations, texts, strict=True)
        return [self._text(c.response, text, *before_and_after[_prompt(c)]) for c, text in pairs]

    def _text(self, response: str, text: str, before: str, after: str) -> RenderedText:
        """Where the response and the marker after it lie, given what the template writes around any response."""
        start, end = len(before), len(text) - len(after)
        kept = (response, response.strip())
        if not (text.startswith(before) and text.endswith(after) and start < end and text[start:end] in kept):
            raise UserError(
                f"The chat template changes the response {response[:60]!r}; "
                "pass a template that writes responses as they are with --chat-template FILE."
            )
        gap = len(after) - len(after.lstrip())
        marker = next((m for m in self._markers if after.startswith(m) or after.startswith(m, gap)), None)
        if marker is None:
            return RenderedText(text, (start, end), None)
        marker_start = end + after.index(marker)
        return RenderedText(text, (start, end), (marker_start, marker_start + len(marker)))

    def _request(self, text: RenderedText, encoded: Encoded) -> ScoringRequest:
        leading = next((i for i, token in enumerate(encoded.ids) if token != self._bos), len(encoded.ids))
        bos = [] if self._bos is None else [self._bos]
        scored = [place for place in _covering(encoded, text.response) if place >= leading]
        scored = [place for place in scored if not self._of_head(text, encoded, place)]
        if not scored:
            response = text.text[slice(*text.response)]
            raise UserError(
                f"The tokenizer of {self._tokenizer.name_or_path} has no token for any character of the response "
                f"{response[:60]!r}; remove the item."
            )
        if text.end_of_turn is not None:
            scored = sorted({*scored, *_covering(encoded, text.end_of_turn)})
        scored = [place - leading + len(bos) for place in scored]
        if scored[0] == 0:
            raise UserError(
                "The chat template puts nothing before the response and the tokenizer has no BOS token, "
                "so the response's first token cannot be scored; pass another template with --chat-template FILE."
            )
        return ScoringRequest((*bos, *encoded.ids[leading:])[: scored[-1] + 1], tuple(scored))

    def _of_head(self, text: RenderedText, encoded: Encoded, place: int) -> bool:
        """Whether a token stands before the response, of which it took in the white space in front."""
        if encoded.ids[place] not in self._stripping:
            return False
        left, right = encoded.offsets[place - encoded.shared]
        return left + len(text.text[left:right].rstrip()) <= text.response[0]

    def _fit(self, request: ScoringRequest, text: RenderedText) -> Rendering:
        """Cut an over-long prompt from its left, keeping BOS, and never the response; or all of it from its right."""
        end_of_turn = text.end_of_turn is not None
        limit = self.max_length or len(request.token_ids)
        excess = len(request.token_ids) - limit
        if excess <= 0:
            return Rendering(request, False, end_of_turn)
        if self.cut == "right":
            scored = tuple(position for position in request.scored if position < limit)
            kept_ids = request.token_ids[:limit]
            return Rendering(ScoringRequest(kept_ids, scored) if scored else None, True, False)
        kept = 0 if self._bos is None else 1
        if kept + excess > request.scored[0] or request.scored[0] - excess < 1:
            return Rendering(None, True, end_of_turn)
        token_ids = request.token_ids[:kept] + request.token_ids[kept + excess :]
        cut = ScoringRequest(token_ids, tuple(position - excess for position in request.scored))
        return Rendering(cut, True, end_of_turn)

    def _render(self, conversations: list[list[Turn]], generation_prompt: bool = False) -> list[str]:
        """The template's text of each; with the assistant's head at the end, which a model continues, if asked."""
        try:
            return self._tokenizer.apply_chat_template(
                conversations,
                chat_template=dated(self.template),
                tokenize=False,
                add_generation_prompt=generation_prompt,
            )
        except Exception as error:  # a template is a program that others wrote and may raise anything
            if len(conversations) > 1:  # to name the one that is refused
                return [text for one in conversations for text in self._render([one], generation_prompt)]
            roles = [turn["role"] for one in conversations for turn in one]
            roles += ["assistant"] if generation_prompt else []
            raise UserError(
                f"The chat template refuses turns of {', '.join(roles[:-1])} and {roles[-1]} ({error}); "
                "pass a template that takes them with --chat-template FILE."
            ) from error


def dated(template: str) -> str:
    """The template with one fixed day wherever it asks for a date."""
    return _DATE + template


def _prompt(conversation: Conversation) -> tuple[tuple[str, str], ...]:
    return tuple((turn["role"], turn["content"]) for turn in conversation.messages)


def _messages(prompt: tuple[tuple[str, str], ...], response: str) -> list[Turn]:
    return [*(Turn(role=role, content=content) for role, content in prompt), Turn(role="assistant", content=response)]


def _split(text: str) -> tuple[str, str]:
    """What stands before and after the placeholder."""
    before, found, after = text.rpartition(_PLACEHOLDER)
    if not found:
        raise UserError("The chat template leaves the response out; pass another with --chat-template FILE.")
    return before, after


def _covering(encoded: Encoded, span: tuple[int, int]) -> list[int]:
    """The tokens that cover a character of the span, which begins after what is shared."""
    start, end = span
    places = enumerate(encoded.offsets, encoded.shared)
    return [place for place, (left, right) in places if left < end and right > start and left < right]


def _special_texts(tokenizer: Any) -> list[str]:
    """The texts of the special tokens, longest first so that none hides a longer one."""
    added = (str(token) for token in tokenizer.added_tokens_decoder.values() if token.special)
    return sorted({*map(str, tokenizer.all_special_tokens), *added}, key=lambda text: (-len(text), text))
