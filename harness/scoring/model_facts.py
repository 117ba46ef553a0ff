"""What scorers ask of a transformers model."""

from collections.abc import Sequence
from typing import Any

import torch
from transformers import PreTrainedModel

from ...errors import UserError
from .protocol import ScoringRequest


def text_config(model: PreTrainedModel) -> Any:
    """The configuration of the language model, also where it is a part of a larger one."""
    config: Any = model.config
    return config.get_text_config()


def check_token_ids(model: PreTrainedModel, requests: Sequence[ScoringRequest]) -> None:
    """Raise UserError where a token has no row in the model's embedding: on a GPU that would end the process."""
    embedding: Any = getattr(model, "get_input_embeddings")()  # noqa: B009
    rows: int | None = getattr(embedding, "num_embeddings", None)
    largest = max((max(request.token_ids, default=0) for request in requests), default=0)
    if rows is not None and largest >= rows:
        raise UserError(
            f"The tokenizer gives the token id {largest}, but the model's embedding has {rows} rows; "
            "use the tokenizer that the checkpoint was trained with."
        )


def decoder(model: PreTrainedModel) -> torch.nn.Module:
    """The stack of layers below the output projection; `get_decoder` of some models gives what is still above it."""
    found: Any = model
    while found.get_output_embeddings() is not None:
        inner: Any = found.get_decoder()
        if inner is found or not isinstance(inner, PreTrainedModel):
            inner = found.model if found.base_model is found else found.base_model
        found = inner
    return found


def rotary_switch(config: Any) -> int | None:
    """Tokens up to which the rotary embedding does not depend on the sequence's length; None where it never does.

    `config` is the language model's, as `text_config` gives it.

    Longer sequences get other frequencies for all of their tokens. The tokens that count are those that a model reads:
    all before the last scored one, which it only predicts.
    """
    switches: list[int] = []
    for part in rope_parts(getattr(config, "rope_parameters", None)):
        kind = str(part.get("rope_type"))
        if kind == "longrope":
            switches.append(int(part.get("original_max_position_embeddings", config.max_position_embeddings)))
        elif "dynamic" in kind:
            switches.append(int(config.max_position_embeddings))
    return min(switches, default=None)


def rope_parts(rope: Any) -> list[dict[str, Any]]:
    """The settings of a model's rotary embedding; some models have one for each type of layer."""
    return [rope, *(value for value in rope.values() if hasattr(value, "get"))] if rope else []


class RotaryState:
    """The frequencies of a model's rotary embeddings as they are now.

    With dynamic scaling transformers replaces them by those for the longest sequence it has seen and keeps them: a
    result would depend on what ran before.
    """

    def __init__(self, model: PreTrainedModel) -> None:
        self._kept: list[tuple[dict[str, Any], dict[str, Any], dict[str, Any]]] = []
        for module in model.modules():
            if hasattr(module, "max_seq_len_cached"):
                attributes = vars(module)
                self._kept.append((attributes, dict(attributes), dict(attributes["_buffers"])))

    def forget(self) -> None:
        """Put the frequencies back."""
        for attributes, kept, buffers in self._kept:
            attributes.clear()
            attributes.update(kept)
            attributes["_buffers"].clear()
            attributes["_buffers"].update(buffers)
