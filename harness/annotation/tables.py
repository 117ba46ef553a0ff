"""The large tables of an annotation's run directory, as streams over the chunks of prompts."""

import json
from collections.abc import Callable, Iterator

import numpy as np
import pandas as pd

from ..statistics.arrays import Codes
from .candidates import Candidates
from .choosing import KEPT, Pairs
from .rewarding import Rewarded

Frames = Callable[[], Iterator[pd.DataFrame]]
_ROLES = np.array(["", "chosen", "rejected", "both"], dtype=object)


def prompts_table(candidates: Candidates, rewarded: Rewarded) -> Frames:
    """One row a prompt."""
    items = candidates.items

    def frames() -> Iterator[pd.DataFrame]:
        for number, chunk in enumerate(items.chunks):
            which = slice(chunk.start, chunk.stop)
            yield pd.DataFrame(
                {
                    "item": items.ids[which],
                    "prompt_id": candidates.prompt_ids[which],
                    "subset": pd.Categorical(items.subsets[which]),
                    "domain": pd.Categorical(list(rewarded.domains[which])),
                    "prompt": [json.dumps(item.prompt, ensure_ascii=False) for item in items.chunk(number)],
                }
            )

    return frames


def responses_table(candidates: Candidates, rewarded: Rewarded, pairs: Pairs) -> Frames:
    """One row a response."""
    items, roles = candidates.items, roles_of(pairs, len(rewarded.rewards))

    def frames() -> Iterator[pd.DataFrame]:
        for number, chunk in enumerate(items.chunks):
            which = slice(int(items.offsets[chunk.start]), int(items.offsets[chunk.stop]))
            within = items.chunk(number)
            names = [item.id for item in within for _ in item.responses]
            yield pd.DataFrame(
                {
                    "item": pd.Categorical(names),
                    "response": candidates.numbers[which],
                    "same_as": candidates.numbers[candidates.first[which]],
                    "text": [text for item in within for text in item.responses],
                    "length": rewarded.lengths[which],
                    "finish": pd.Categorical([reason for item in within for reason in item.finish]),
                    "strong": rewarded.strong[which],
                    "weak": rewarded.weak[which],
                    "reward": rewarded.rewards[which],
                    "grade": items.grades[which],
                    "role": pd.Categorical(_ROLES[roles[which]]),
                }
            )

    return frames


def dropped_table(candidates: Candidates, pairs: Pairs) -> pd.DataFrame:
    """Prompts without a pair: first what became no item, then the others in their order."""
    chosen_from = [(name, why) for name, why in zip(candidates.items.ids, pairs.reasons, strict=True) if why != KEPT]
    return pd.DataFrame([*candidates.dropped, *chosen_from], columns=pd.Index(["item", "reason"])).astype("str")


def roles_of(pairs: Pairs, responses: int) -> Codes:
    """(R,) 0 for none, 1 for chosen, 2 for rejected, 3 for both."""
    roles = np.zeros(responses, dtype=np.intp)
    roles[pairs.chosen] |= 1
    roles[pairs.rejected] |= 2
    return roles
