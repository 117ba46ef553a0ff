"""The rows of preference data in the shapes that trainers read.

preference  prompt, chosen and rejected as turns: TRL's conversational format with an explicit prompt
reward      chosen and rejected as whole conversations
simpo       the same with all responses and rewards beside, as SimPO's scripts write and read them
text        prompt, chosen and rejected as strings, rendered by the checkpoints' template, without BOS
unpaired    prompt, completion and a Boolean label, two rows a pair (KTO)
ranked      all distinct responses of a prompt with their rewards, the best first (listwise losses)

No column is called `margin`, which TRL's RewardTrainer would take for a target margin.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import pyarrow as pa

from ...tasks.item import Item, Turn

Format = Literal["preference", "reward", "simpo", "text", "unpaired", "ranked"]
FORMATS: Final[tuple[Format, ...]] = ("preference", "reward", "simpo", "text", "unpaired", "ranked")
Row = dict[str, Any]
Render = Callable[[Sequence[Turn], str], tuple[str, str]]
"""Prompt and response as strings."""

_TURNS = pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())]))
_STRINGS, _NUMBERS = pa.list_(pa.string()), pa.list_(pa.float64())
_SCORES: Final[Mapping[str, pa.DataType]] = {
    name: pa.float64() for name in ("weight", "confidence", "reward_margin", "score_chosen", "score_rejected")
}
_NAMES: Final[Mapping[str, pa.DataType]] = {name: pa.string() for name in ("domain", "id", "prompt_id")}
_COLUMNS: Final[Mapping[Format, Mapping[str, pa.DataType]]] = {
    "preference": {"prompt": _TURNS, "chosen": _TURNS, "rejected": _TURNS, **_SCORES, **_NAMES},
    "reward": {"chosen": _TURNS, "rejected": _TURNS, **_SCORES, **_NAMES},
    "simpo": {
        "all_generated_responses": _STRINGS,
        "all_rm_scores": _NUMBERS,
        "chosen": _TURNS,
        "rejected": _TURNS,
        **_SCORES,
        **_NAMES,
    },
    "text": {"prompt": pa.string(), "chosen": pa.string(), "rejected": pa.string(), **_SCORES, **_NAMES},
    "unpaired": {
        "prompt": _TURNS,
        "completion": _TURNS,
        "label": pa.bool_(),
        **{name: pa.float64() for name in ("weight", "confidence", "reward_margin", "score")},
        **_NAMES,
    },
    "ranked": {"prompt": _TURNS, "responses": _STRINGS, "rewards": _NUMBERS, **_NAMES},
}


@dataclass(frozen=True, slots=True)
class PairOf:
    """A pair of one prompt: places of its two responses within the prompt, and what is known of it."""

    chosen: int
    rejected: int
    weight: float
    confidence: float
    margin: float


def schema_of(kind: Format) -> pa.Schema:
    """The columns of a format."""
    return pa.schema(list(_COLUMNS[kind].items()))


def rows_of_pair(kind: Format, pairs: int) -> int:
    """How many rows so many pairs of one prompt make."""
    return min(pairs, 1) if kind == "ranked" else pairs * (2 if kind == "unpaired" else 1)


def rows_of(
    kind: Format,
    item: Item,
    names: Mapping[str, str],
    rewards: Sequence[float],
    distinct: Sequence[int],
    pairs: Sequence[PairOf],
    render: Render | None,
) -> list[Row]:
    """The rows of one prompt with one pair or more.

    `names` holds domain and prompt_id, `distinct` the places of the responses that were chosen from, in their order.
    """
    if kind == "ranked":
        ranked = sorted(distinct, key=lambda place: -rewards[place])
        texts, values = [item.responses[place] for place in ranked], [rewards[place] for place in ranked]
        return [{"prompt": list(item.prompt), "responses": texts, "rewards": values, **names, "id": item.id}]
    rows: list[Row] = []
    for number, pair in enumerate(pairs):
        name = item.id if len(pairs) == 1 else f"{item.id}-{number}"
        shared = {"weight": pair.weight, "confidence": pair.confidence, "reward_margin": pair.margin, **names}
        if kind == "unpaired":
            for place, label in ((pair.chosen, True), (pair.rejected, False)):
                row = {"prompt": list(item.prompt), "completion": _answer(item, place), "label": label, **shared}
                rows.append({**row, "score": rewards[place], "id": f"{name}-{'chosen' if label else 'rejected'}"})
            continue
        scores = {"score_chosen": rewards[pair.chosen], "score_rejected": rewards[pair.rejected], "id": name}
        texts = _sides(kind, item, pair, render)
        if kind == "simpo":
            texts["all_generated_responses"] = [item.responses[place] for place in distinct]
            texts["all_rm_scores"] = [rewards[place] for place in distinct]
        rows.append({**texts, **shared, **scores})
    return rows


def _sides(kind: Format, item: Item, pair: PairOf, render: Render | None) -> Row:
    if kind == "text":
        assert render is not None
        prompt, chosen = render(item.prompt, item.responses[pair.chosen])
        return {"prompt": prompt, "chosen": chosen, "rejected": render(item.prompt, item.responses[pair.rejected])[1]}
    if kind == "preference":
        chosen, rejected = _answer(item, pair.chosen), _answer(item, pair.rejected)
        return {"prompt": list(item.prompt), "chosen": chosen, "rejected": rejected}
    before = list(item.prompt)
    return {"chosen": before + _answer(item, pair.chosen), "rejected": before + _answer(item, pair.rejected)}


def _answer(item: Item, place: int) -> list[Turn]:
    return [Turn(role="assistant", content=item.responses[place])]
