"""What each token of a response earned: log-probabilities of single tokens, computed anew by the reference scorer."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ...reports.run_format.frames import Stream, make_frame
from ...tasks.conditioning import Conditioning
from ...tasks.variants import Route, Variant
from ..question import Question
from ..rendering.groups import Member
from ..rewards import Routes
from ..scoring.load_options import LoadOptions
from ..scoring.open_models import OpenModels
from ..scoring.reference import ReferenceScorer
from .parts import Asked
from .planner import Planner
from .scoring_run import GroupScores


@dataclass(frozen=True, slots=True, eq=False)
class Tokens:
    """A response's scored tokens under one conditioning."""

    ids: tuple[int, ...]
    logprobs: NDArray[np.float64]


Key = tuple[str, Conditioning, int]
"""Checkpoint, conditioning, and the response's place among all responses."""
Label = tuple[str, str, str]


def token_rewards(
    scored: Sequence[GroupScores],
    question: Question,
    planner: Planner,
    load: LoadOptions,
    rewards: Mapping[Label, NDArray[np.float64]],
    items: Sequence[int],
    *,
    mean: bool,
) -> tuple[Stream, str]:
    """The table `tokens` of some items, a frame a reward, and what a reader must know about it.

    Left out, and counted: responses whose terms see different tokens. A judge's tokens are not the response's.
    Raises UserError where a checkpoint does not load.
    """
    named = {variant.name: variant for variant in question.variants if not variant.name.startswith("judge-")}
    offsets: list[int] = question.task.items.offsets.tolist()
    places = [(item, place) for item in items for place in range(offsets[item], offsets[item + 1])]
    found: dict[Label, dict[tuple[int, int], Tokens]] = {}
    pieces: dict[Label, Callable[[tuple[int, ...]], list[str]]] = {}
    left_out, apart = 0, 0.0
    for group in scored:
        tokens = _tokens_of_group(group, planner, load, items)
        texts = cache(group.group.members[0].renderer.pieces)
        names = {member.local.name for member in group.group.members}
        for label in (label for label in rewards if label[0] in names and label[2] in named and label not in found):
            of_label = {
                (item, place): combined
                for item, place in places
                if (combined := _combined(named[label[2]], group, label, tokens, item, place, mean=mean))
            }
            sums = [abs(float(t.logprobs.sum()) - float(rewards[label][place])) for (_, place), t in of_label.items()]
            left_out += len(places) - len(of_label)
            apart = max([apart, *sums])
            found[label], pieces[label] = of_label, texts
    note = (
        f"What each token earned was computed anew by the reference scorer for {len(items)} items (--tokens): "
        f"sums differ from rewards by at most {apart:.1g} nats; {left_out} with other tokens in a term are left out."
    )

    def frames() -> Iterator[pd.DataFrame]:
        for label, of_label in found.items():
            rows = [
                row
                for (item, place), tokens in of_label.items()
                for row in _rows((question.task.items.ids[item], place - offsets[item], *label), tokens, pieces[label])
            ]
            yield make_frame("tokens", rows)

    return frames, note


def _tokens_of_group(
    scored: GroupScores, planner: Planner, load: LoadOptions, items: Sequence[int]
) -> dict[Key, Tokens]:
    """The tokens of some items by every checkpoint of a group, under every conditioning that it was asked."""
    wanted = np.zeros(len(planner.question.task.items), dtype=bool)
    wanted[list(items)] = True
    found: dict[Key, Tokens] = {}
    for member, plan in zip(scored.group.members, planner.plans(scored.group, scored.routes), strict=True):
        asked: dict[Asked, NDArray[np.bool_]] = {}
        for part in plan.parts:
            if part.asked is not None and not part.asked.kind.startswith("judge"):
                mask = asked.setdefault(part.asked, np.zeros_like(wanted))
                mask[part.rows[wanted[part.rows]]] = True
        found |= _tokens_of(member, asked, planner, load)
    return found


def _tokens_of(
    member: Member, asked: Mapping[Asked, NDArray[np.bool_]], planner: Planner, load: LoadOptions
) -> dict[Key, Tokens]:
    """One checkpoint's tokens under every conditioning that it is asked."""
    scorer = ReferenceScorer(OpenModels().open(member.local, load))
    found: dict[Key, Tokens] = {}
    for part in planner.renderer.parts(asked):
        rendered = planner.renderer.render(member.renderer, part)
        for request, place in zip(rendered.requests.unpacked(), rendered.places.tolist(), strict=True):
            if request.token_ids and part.asked is not None:
                ids = tuple(request.token_ids[position] for position in request.scored)
                found[member.local.name, part.asked, place] = Tokens(ids, scorer.token_logprobs(request))
    return found


def _combined(
    variant: Variant,
    scored: GroupScores,
    label: Label,
    found: Mapping[Key, Tokens],
    item: int,
    place: int,
    *,
    mean: bool,
) -> Tokens | None:
    """Σ_k a_k · log π_k of each token; None where a term lacks the response or has other tokens for it."""
    names, routes = {"strong": label[0], "weak": label[1]}, scored.routes[label[0]]
    terms = [
        (term.coefficient, found.get((names[term.role], _conditioning(term.conditioning, routes, item), place)))
        for term in variant.terms
    ]
    tokens = [token for _, token in terms if token is not None]
    if len(tokens) < len(terms) or len({token.ids for token in tokens}) != 1:
        return None
    total = np.sum([coefficient * token.logprobs for coefficient, token in terms if token is not None], axis=0)
    return Tokens(tokens[0].ids, total / len(total) if mean else total)


def _conditioning(asked: Conditioning | Route, routes: Routes, item: int) -> Conditioning:
    if isinstance(asked, Conditioning):
        return asked
    routing = routes[asked.name]
    return routing.choices[int(routing.codes[item])]


def _rows(
    named: Sequence[object], tokens: Tokens, texts: Callable[[tuple[int, ...]], list[str]]
) -> Iterator[list[object]]:
    for position, (text, value) in enumerate(zip(texts(tokens.ids), tokens.logprobs, strict=True)):
        yield [*named, position, text, float(value)]
