"""Groups of checkpoints that may be compared: one family, one chat template, one text for every member."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Any

from ...errors import UserError
from ...model_registry.checkpoint_files import LocalCheckpoint, check_files, localise
from ...model_registry.registry import Registry
from ...model_registry.schema import Checkpoint, Family
from ...tasks.conditioning import Conversation
from ...tasks.item import Turn
from ...tasks.task import Official
from ..options import Loading
from .chat import ChatRenderer
from .tokenizers import load_tokenizer

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_PROBE = Conversation((Turn(role="user", content="What is 2 + 2?"),), "4")


@dataclass(frozen=True, slots=True)
class Member:
    """A checkpoint with the renderer that makes its requests."""

    local: LocalCheckpoint
    renderer: ChatRenderer


@dataclass(frozen=True, slots=True)
class Group:
    """Checkpoints whose pairs are scored."""

    family: str
    """Name of the family, empty where the checkpoints share none."""
    members: tuple[Member, ...]
    pairs: tuple[tuple[str, str], ...]
    """Names of (strong, weak)."""
    template_source: str
    """Where the chat template comes from."""
    notes: tuple[str, ...]
    """What a reader must know about how the members were made comparable."""


def open_group(
    checkpoints: Sequence[Checkpoint],
    pairs: Sequence[tuple[str, str]],
    family: Family | None,
    registry: Registry,
    options: Loading,
    cut: Official | None = None,
) -> Group:
    """Find the checkpoints' files and tokenizers, settle on one template, and check that all see the same text.

    `cut` is a published protocol's limit on the tokens of a conversation, besides the models' own.

    Raises UserError where the checkpoints are not comparable.
    """
    cross_family = _check_families(checkpoints, family, registry, options.allow_cross_family)
    given = given_template(options)
    locals_ = [
        localise(c, registry, allow_pickle=options.allow_pickle, trust_remote_code=options.trust_remote_code)
        for c in checkpoints
    ]
    for local in locals_:
        check_files(local, allow_pickle=options.allow_pickle)
    tokenizers = [load_tokenizer(local.tokenizer, options) for local in locals_]
    if family is None and not cross_family:
        cross_family = _check_tokenizers(checkpoints, tokenizers, options.allow_cross_family)
    notes = [*cross_family, *_namesakes(checkpoints, registry), *_adapters(locals_), *_formats(locals_)]
    template, source = _template(given, family, locals_, tokenizers)
    if given is None and (family is None or family.chat_template is None):
        other = [c.name for c, t in zip(checkpoints, tokenizers, strict=True) if _own(t) not in (None, template)]
        notes += [
            f"{name} has a chat template of its own, which differs from the one used ({source})." for name in other
        ]
    lengths = [local.max_length for local in locals_ if local.max_length is not None]
    max_length = options.max_length or min(lengths, default=None)
    side = "left"
    if cut is not None and cut.max_tokens is not None:
        max_length, side = min(max_length or cut.max_tokens, cut.max_tokens), cut.cut
    declared = family.end_of_turn if family is not None and options.chat_template is None else None
    marker = declared or _end_of_turn([ChatRenderer(tokenizer, template) for tokenizer in tokenizers])
    renderers = [ChatRenderer(tokenizer, template, marker, max_length, side) for tokenizer in tokenizers]
    members = tuple(Member(local, renderer) for local, renderer in zip(locals_, renderers, strict=True))
    _check_same_text(members)
    return Group(family.name if family else "", members, tuple(pairs), source, tuple(notes))


def _check_families(
    checkpoints: Sequence[Checkpoint], family: Family | None, registry: Registry, allow_cross_family: bool
) -> list[str]:
    """Registered checkpoints must share a family; returns a note where the user wants them compared all the same."""
    known = [checkpoint for checkpoint in checkpoints if checkpoint.name in registry.checkpoints]
    if family is not None or registry.common_family(known) is not None:
        return []
    apart = next((pair for pair in combinations(known, 2) if registry.common_family(pair) is None), None)
    if apart is None:
        return []
    return _incomparable(apart[0].name, apart[1].name, "share no family of the registry", allow_cross_family)


def _namesakes(checkpoints: Sequence[Checkpoint], registry: Registry) -> list[str]:
    """Notes on the user's folders that bear the name of a registered checkpoint and are taken for it."""
    return [
        f"{checkpoint.model} is taken for the registry's {checkpoint.name} because of its name: "
        "its family and benchmark scores are used."
        for checkpoint in checkpoints
        if registry.checkpoints.get(checkpoint.name, checkpoint).model != checkpoint.model
    ]


def _adapters(locals_: Sequence[LocalCheckpoint]) -> list[str]:
    """What the members that are adapters stand on."""
    return [
        f"{local.name} is an adapter ({local.adapter}) on {local.whole.name}, to which it was added in every pass."
        for local in locals_
        if local.adapter is not None
    ]


def _formats(locals_: Sequence[LocalCheckpoint]) -> list[str]:
    """A warning where some members have quantised weights and others have none, or others."""
    formats: dict[str, list[str]] = {}
    for local in locals_:
        formats.setdefault(local.quantised or "plain weights", []).append(local.name)
    if len(formats) < 2:
        return []
    listed = "; ".join(f"{', '.join(names)}: {kind}" for kind, names in formats.items())
    return [
        f"Checkpoints differ in the format of their weights ({listed}): their rounding does not cancel in the reward; "
        "--check-quantised N measures what it changes."
    ]


def _check_tokenizers(
    checkpoints: Sequence[Checkpoint], tokenizers: "Sequence[PreTrainedTokenizerBase]", allow_cross_family: bool
) -> list[str]:
    """Checkpoints of no common family must share a tokenizer; returns a note as `_check_families` does."""
    for checkpoint, tokenizer in zip(checkpoints[1:], tokenizers[1:], strict=True):
        if not _alike(tokenizer, tokenizers[0]):
            return _incomparable(checkpoints[0].name, checkpoint.name, "have different tokenizers", allow_cross_family)
    return []


def _incomparable(first: str, second: str, reason: str, allow_cross_family: bool) -> list[str]:
    if not allow_cross_family:
        raise UserError(
            f"{first} and {second} {reason}, so their log-probabilities are not comparable; pick two of one family, "
            "declare one in a registry file, or pass --allow-cross-family."
        )
    return [f"{first} and {second} {reason}; they were compared because of --allow-cross-family."]


def _alike(one: "PreTrainedTokenizerBase", other: "PreTrainedTokenizerBase") -> bool:
    """Whether two tokenizers cut text alike; most often they are one and the same, and need not be taken apart."""
    tokenizers: Any = (one, other)
    first, second = (tokenizer.backend_tokenizer.to_str() for tokenizer in tokenizers)
    return first == second or _vocabulary(first) == _vocabulary(second)


def _vocabulary(text: str) -> str:
    """What decides how a tokenizer, given as JSON, cuts text."""
    parts: dict[str, Any] = json.loads(text)
    return json.dumps([parts.get(key) for key in ("model", "normalizer", "pre_tokenizer", "added_tokens")])


def given_template(options: Loading) -> tuple[str, str] | None:
    """The user's own template and its file. Raises UserError where it cannot be read."""
    if options.chat_template is None:
        return None
    try:
        return options.chat_template.read_text(encoding="utf-8"), str(options.chat_template)
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"The chat template {options.chat_template} cannot be read; check the path.") from error


def _template(
    given: tuple[str, str] | None,
    family: Family | None,
    locals_: Sequence[LocalCheckpoint],
    tokenizers: "Sequence[PreTrainedTokenizerBase]",
) -> tuple[str | None, str]:
    """The template and where it comes from: the user's file, the family's, or the first checkpoint's own.

    First come those outside the family (what the user tuned), then its members in its order: whichever is the strong.
    """
    if given is not None:
        return given
    if family is not None and family.chat_template is not None:
        return family.chat_template, f"family {family.name}"
    order = family.members if family is not None else ()

    def place(known: "tuple[LocalCheckpoint, PreTrainedTokenizerBase]") -> int:
        return order.index(known[0].name) if known[0].name in order else -1

    for local, tokenizer in sorted(zip(locals_, tokenizers, strict=True), key=place):
        own = _own(tokenizer)
        if own is not None:
            return own, f"tokenizer of {local.name}"
    names = " nor ".join(local.name for local in locals_)
    raise UserError(f"Neither {names} has a chat template; pass one with --chat-template FILE (a Jinja file).")


def _end_of_turn(renderers: Sequence[ChatRenderer]) -> str | None:
    """The marker that the first tokenizer to know it finds; the others score the same text, in however many tokens."""
    texts = (renderer.text(_PROBE) for renderer in renderers)
    return next((t.text[slice(*t.end_of_turn)] for t in texts if t.end_of_turn is not None), None)


def _own(tokenizer: "PreTrainedTokenizerBase") -> str | None:
    hf: Any = tokenizer
    try:
        return hf.get_chat_template()
    except ValueError:  # none, or several of which none is the default
        return None


def _check_same_text(members: Sequence[Member]) -> None:
    """Every member must see the same text, BOS apart: a template may write tokens that differ between tokenizers."""
    texts = {member.local.name: member.renderer.text_without_bos(_PROBE) for member in members}
    first = members[0].local.name
    for name, text in texts.items():
        if text != texts[first]:
            raise UserError(
                f"The chat template gives {first} and {name} different texts ({texts[first]!r} and {text!r}); "
                "pass one that spells its markers out with --chat-template FILE."
            )
