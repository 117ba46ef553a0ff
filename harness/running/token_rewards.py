"""What each token of a response earned: log-probabilities of single tokens, computed anew by the reference scorer."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ...reports.run_format.frames import make_frame
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
    scored: GroupScores,
    question: Question,
    planner: Planner,
    load: LoadOptions,
    rewards: Mapping[Label, NDArray[np.float64]],
    items: Sequence[int],
    *,
    mean: bool,
) -> tuple[pd.DataFrame, str]:
    """The table `tokens` of some items of a pair, and what a reader must know about it.

    Left out, and counted: responses whose terms see different tokens. A judge's tokens are not the response's.
    Raises UserError where a checkpoint does not load.
    """
    wanted = np.zeros(len(question.task.items), dtype=bool)
    wanted[list(items)] = True
    found: dict[Key, Tokens] = {}
    for member, plan in zip(scored.group.members, planner.plans(scored.group, scored.routes), strict=True):
        asked: dict[Asked, NDArray[np.bool_]] = {}
        for part in plan.parts:
            if part.asked is not None and not part.asked.kind.startswith("judge"):
                mask = asked.setdefault(part.asked, np.zeros_like(wanted))
                mask[part.rows[wanted[part.rows]]] = True
        found |= _tokens_of(member, asked, planner, load)
    rows: list[list[object]] = []
    texts = cache(scored.group.members[0].renderer.pieces)
    left_out, apart = 0, 0.0
    named = {variant.name: variant for variant in question.variants if not variant.name.startswith("judge-")}
    for label, of_label in ((label, values) for label, values in rewards.items() if label[2] in named):
        for item in items:
            for place in range(int(question.task.items.offsets[item]), int(question.task.items.offsets[item + 1])):
                tokens = _combined(named[label[2]], scored, found, item, place, mean=mean)
                if tokens is None:
                    left_out += 1
                    continue
                apart = max(apart, abs(float(tokens.logprobs.sum()) - float(of_label[place])))
                response = place - int(question.task.items.offsets[item])
                rows += _rows((question.task.items.ids[item], response, *label), tokens, texts)
    note = (
        f"What each token earned was computed anew by the reference scorer for {len(items)} items (--tokens): "
        f"sums differ from rewards by at most {apart:.1g} nats; {left_out} with other tokens in a term are left out."
    )
    return make_frame("tokens", rows), note


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
    variant: Variant, scored: GroupScores, found: Mapping[Key, Tokens], item: int, place: int, *, mean: bool
) -> Tokens | None:
    """Σ_k a_k · log π_k of each token; None where a term lacks the response or has other tokens for it."""
    ((strong, weak),) = scored.group.pairs
    names, routes = {"strong": strong, "weak": weak}, scored.routes[strong]
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
