"""A density ratio as a reward function, in the shape that TRL's online trainers (GRPO, RLOO) call."""

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from transformers.integrations.deepspeed import is_deepspeed_zero3_enabled

from ..errors import UserError
from ..model_registry.registry import load_registry
from ..tasks.conditioning import Conditioning, conversations
from ..tasks.criteria import load_criteria
from ..tasks.item import Item, Turn, prompt_hash
from ..tasks.variants import Role, Route, declare_variants, select_variants
from .comparisons import pair_of
from .options import Options, paths
from .question import own_criteria
from .rendering.chat import ChatRenderer
from .rendering.groups import Member, open_group
from .rewards import Scores, rewards
from .scoring.completions_server import read_urls
from .scoring.load_options import LoadOptions, load_options
from .scoring.opening import scorer_opener
from .scoring.protocol import Scorer


class DensityRatioReward:
    """The reward of a pair of checkpoints, both of which it holds.

    Args:
        strong, weak: registry names, hub ids or local folders.
        variant: a reward variant that needs no route and no other response: vanilla, likelihood, cdr-DOMAIN, ...
        registry: a registry file, or several, merged over the built-in one.

    Of several processes each takes the GPU of its LOCAL_RANK. Raises UserError for everything that the caller can mend.
    """

    def __init__(
        self,
        strong: str,
        weak: str,
        *,
        variant: str = "vanilla",
        registry: str | Path | Sequence[str | Path] = (),
        options: Options | None = None,
    ) -> None:
        if is_deepspeed_zero3_enabled():  # then transformers spreads every model that it loads over the processes
            raise UserError(
                "DeepSpeed's ZeRO-3 would take the reward's models apart: make the reward before the trainer's "
                "configuration."
            )
        options, known = options or Options(), load_registry(paths(registry))
        (comparison,) = pair_of(strong, weak, known)
        self._criteria = load_criteria(options.criteria or own_criteria(comparison.family))
        (self._variant,) = select_variants([variant], declare_variants(self._criteria))
        if any(isinstance(t.conditioning, Route) or t.conditioning.kind[:5] == "judge" for t in self._variant.terms):
            raise UserError(
                f"{variant} needs a route or other responses, which a reward function has not: "
                "use vanilla, likelihood, or a cdr-, prompt-delta- or pmi- variant of one domain."
            )
        group = open_group(comparison.checkpoints, comparison.pairs, comparison.family, known, options)
        load = _on_own_gpu(
            load_options(
                options.device, options.dtype, options.trust_remote_code, options.allow_pickle, options.quantise
            )
        )
        members = {member.local.name: member for member in group.members}
        urls = read_urls(options.urls, list(members))
        opened = scorer_opener(options.scorer, load, options.batch_tokens, options.max_length, urls=urls)[1]
        roles: dict[Role, str] = {"strong": comparison.pairs[0][0], "weak": comparison.pairs[0][1]}
        wanted: list[Role] = [term.role for term in self._variant.terms]
        used: dict[Role, Member] = {role: members[roles[role]] for role in wanted}
        scorers = {name: opened(members[name].local) for name in {member.local.name for member in used.values()}}
        self._sides: dict[Role, tuple[ChatRenderer, Scorer]] = {
            role: (member.renderer, scorers[member.local.name]) for role, member in used.items()
        }
        self._options = options
        self.__name__ = f"{variant} of {strong}" + (f" over {weak}" if self._variant.uses_weak else "")
        """What TRL calls it in its logs."""

    def __call__(self, prompts: Sequence[Any], completions: Sequence[Any], **_: Any) -> list[float | None]:
        """The reward of each completion, in nats; None, as TRL has it, for one that is empty or does not fit.

        Prompts and completions are texts or turns.
        """
        found: list[float | None] = [None] * len(completions)
        items: list[Item] = []
        places: list[int] = []
        for place, (prompt, completion) in enumerate(zip(prompts, completions, strict=True)):
            response = _text(completion)
            if response.strip():
                turns = self._turns(prompt)
                items.append(Item(prompt_hash(turns), "", turns, (response,)))
                places.append(place)
        for place, reward in zip(places, self._rewards(items).tolist() if items else [], strict=True):
            found[place] = reward if np.isfinite(reward) else None
        return found

    def _rewards(self, items: Sequence[Item]) -> NDArray[np.float64]:
        scores: dict[Role, dict[Conditioning, Scores]] = {}
        for term in self._variant.terms:
            conditioning = cast(Conditioning, term.conditioning)
            of_role = scores.setdefault(term.role, {})
            if conditioning not in of_role:
                of_role[conditioning] = self._scores(term.role, conditioning, items)
        return rewards(self._variant, scores, {}, np.arange(len(items)))

    def _scores(self, role: Role, conditioning: Conditioning, items: Sequence[Item]) -> Scores:
        """(items,) log-probabilities of the responses; NaN where one does not fit."""
        renderer, scorer = self._sides[role]
        seed = self._options.seed
        asked = [conversations(item, conditioning, self._criteria, seed)[0][0] for item in items]
        requests = [rendering.request for rendering in renderer.render(asked)]
        kept = [place for place, request in enumerate(requests) if request is not None]
        fitting = [request for request in requests if request is not None]
        result = np.full(len(items), np.nan)
        for indices, values in scorer.score(fitting):
            lengths = [len(fitting[index].scored) if self._options.mean else 1 for index in indices]
            result[[kept[index] for index in indices]] = values / lengths
        return result

    def _turns(self, prompt: Any) -> tuple[Turn, ...]:
        if not isinstance(prompt, str):
            return tuple(Turn(role=turn["role"], content=turn["content"]) for turn in prompt)
        next(iter(self._sides.values()))[0].check_unrendered(prompt, "A prompt")
        return (Turn(role="user", content=prompt),)


def _on_own_gpu(load: LoadOptions) -> LoadOptions:
    """Each of several processes has a GPU of its own, which "cuda" means only once a trainer is configured."""
    rank = os.environ.get("LOCAL_RANK")
    if load.device != "cuda" or rank is None:
        return load
    return replace(load, device=f"cuda:{int(rank) % torch.cuda.device_count()}")


def _text(completion: Any) -> str:
    """A completion's text; TRL gives conversations as lists of the turns that were added."""
    return completion if isinstance(completion, str) else completion[-1]["content"]
