"""Finding the checkpoint that training starts from, with a template that ends its answers."""

from hashlib import sha256
from typing import TYPE_CHECKING, Any

from ...errors import UserError
from ...model_registry.checkpoint_files import LocalCheckpoint, find_checkpoint
from ...model_registry.registry import Registry
from ...tasks.conditioning import Conversation
from ...tasks.item import Turn
from ..options import Options
from ..rendering.chat import ChatRenderer, dated
from ..rendering.groups import Group, open_group
from ..rendering.tokenizers import load_tokenizer
from .settings import processes

if TYPE_CHECKING:
    import torch

Start = tuple[Group, Any, LocalCheckpoint]
"""Group, tokenizer with the template that training uses, and files of the checkpoint that training starts from."""
_PROBE = Conversation((Turn(role="user", content="What is 2 + 2?"),), "4")
_FRONTS = ("", "{{ bos_token }}", "{{ bos_token + ' ' }}")
"""What a template may lack in front; the space is one that a tokenizer puts before the first word of a text alone."""


def open_start(model: str, known: Registry, options: Options) -> Start:
    """Open a checkpoint to start from. Raises UserError."""
    if options.device not in {"auto", "cpu"}:
        raise UserError("Training runs on --device auto or cpu; choose GPUs with CUDA_VISIBLE_DEVICES.")
    if options.dtype not in {"auto", "float32"}:
        raise UserError("Weights are trained from float32 and saved in the type that they had: leave --dtype out.")
    checkpoint = find_checkpoint(model, known)
    group = open_group([checkpoint], [], known.common_family([checkpoint]), known, options)
    import torch

    if options.device == "auto" and torch.cuda.device_count() > 1 and processes() == 1:
        raise UserError(
            "There are several GPUs: set CUDA_VISIBLE_DEVICES to one; `tune` also takes --launch multi_gpu (or zero3)."
        )
    member = group.members[0]
    if member.local.adapter is not None:
        raise UserError(f"{checkpoint.name} is an adapter; start from its base, or from the model it was merged into.")
    probe = member.renderer.text(_PROBE)
    if probe.end_of_turn is None:
        raise UserError(
            f"The chat template of {checkpoint.name} ends no answer with a special token, so that the tuned model "
            "would never stop; pass another with --chat-template FILE."
        )
    tokenizer: Any = load_tokenizer(member.local.tokenizer, options)
    tokenizer.chat_template = _training_template(tokenizer, member.renderer, checkpoint.name)
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token or probe.text[slice(*probe.end_of_turn)]
    return group, tokenizer, member.local


def _training_template(tokenizer: Any, renderer: ChatRenderer, name: str) -> str:
    """The renderer's template, so that a trainer, which renders by itself, reads the tokens that are scored.

    Raises UserError where it would not.
    """
    turns = list(_PROBE.messages)
    scored = renderer.generation_prompt(turns)
    for front in _FRONTS:
        template = front + dated(renderer.template)  # the renderer's begins on a line of its own, as where it scores
        read = tokenizer.apply_chat_template(
            turns, chat_template=template, add_generation_prompt=True, return_dict=True
        )
        if tuple(read["input_ids"]) == scored:
            return template
    raise UserError(
        f"With the chat template of {name} a trainer reads other tokens than those that are scored, which begin with "
        "one BOS; pass another with --chat-template FILE."
    )


def start_settings(group: Group) -> dict[str, str]:
    """Weights and template of the start, by which a run is known again: a name may come to mean others."""
    member = group.members[0]
    template = sha256(member.renderer.template.encode()).hexdigest()
    return {"start_weights": member.local.weights, "template": template}


def saved_dtype(local: LocalCheckpoint) -> "torch.dtype":
    """The type of numbers that the start is saved in."""
    import torch
    from transformers import AutoConfig

    auto: Any = AutoConfig
    return auto.from_pretrained(local.path).dtype or torch.float32
