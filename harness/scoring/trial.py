"""In which way a model can be scored: what the ways give is compared with plain passes, before any score is taken.

Judged in float32, on a narrow model of the same architecture, whose windows, blocks and rotary switches short prompts
cross. What shares prefixes is tried on the model itself, too, in the type that it runs in.
"""

import copy
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import PreTrainedModel

from ...errors import UserError
from .carried_state import CarriedStateScorer
from .memory import free_bytes, is_out_of_memory
from .model_facts import rotary_switch, text_config
from .narrow_model import VOCABULARY, narrow_model
from .padded_batches import AloneScorer, OneLengthScorer, PaddedBatchScorer
from .protocol import ScoringRequest
from .token_trie import model_input
from .tree_scoring import TreeScorer

Floats = NDArray[np.float64]


class Way(Protocol):
    """One way of scoring, as `Scorer`."""

    kind: str
    shares_prefixes: bool

    @property
    def batch_tokens(self) -> int: ...

    def score(self, requests: list[ScoringRequest]) -> Iterable[tuple[list[int], Floats]]: ...


WAYS: dict[str, Any] = {
    way.kind: way for way in (TreeScorer, CarriedStateScorer, PaddedBatchScorer, OneLengthScorer, AloneScorer)
}
"""Fastest first; each is a constructor that takes a model and the tokens of a batch."""

_EXACT = 1e-3
"""Nats by which sums may differ whatever the model."""
_CAUSAL = 0.05
"""The same for the sum of two terms and their sum in one pass."""
_BATCH = 23
"""Tokens of a pass along a tree in the trial: a branch goes over several."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """One way against plain passes, one sequence at a time."""

    way: str
    model: str
    """What was scored: a narrow model of the architecture, a float32 copy, or the model itself."""
    dtype: str
    requests: int
    longest: int
    """Tokens of the longest request."""
    difference: float | None
    """Largest difference of a request's sum, in nats; None where the way failed."""
    tolerance: float | None
    """What was allowed for that request: a multiple of the model's own rounding."""
    failure: str | None
    """Why the way is not taken, as a clause; None if it passed."""


@dataclass(frozen=True, slots=True)
class Trial:
    """What was compared, and the decision."""

    way: str
    """Key of `WAYS`."""
    reason: str | None
    """Why it is not the first of the ways, as a clause."""
    comparisons: tuple[Comparison, ...]


@dataclass(frozen=True, slots=True)
class _Ground:
    """A model to try ways on, with the results of plain passes."""

    model: PreTrainedModel
    name: str
    requests: list[ScoringRequest]
    plain: Floats
    tolerance: Floats


def try_ways(model: PreTrainedModel) -> Trial:
    """Try the ways in turn; the first that gives what plain passes give is taken.

    Raises UserError for a model whose predictions depend on later tokens.
    """
    architecture, missing = _architecture(model)
    if architecture is None:
        return Trial(OneLengthScorer.kind, missing, ())
    _check_causal(architecture.ground.model)
    comparisons: list[Comparison] = []
    for name, way in WAYS.items():
        if name == AloneScorer.kind:
            break
        comparisons.append(architecture.compare(name, _known_obstacle(model, name)))
        if comparisons[-1].failure is None and way.shares_prefixes and architecture.ground.model is not model:
            itself = _ground(model, "itself", _requests(_ON_ITSELF[name]))
            comparisons += [_compare(itself, name, None)] if itself.requests else []
        if comparisons[-1].failure is None:
            return Trial(name, _reason(name, comparisons), tuple(comparisons))
    return Trial(AloneScorer.kind, _reason(AloneScorer.kind, comparisons), tuple(comparisons))


def _check_causal(model: PreTrainedModel) -> None:
    """log π(ab) = log π(a) + log π(b given a), unless the first term is computed with b in sight."""
    tokens = (5, 6, 7, 8)
    parts = [ScoringRequest(tokens, (2, 3)), ScoringRequest(tokens[:3], (2,)), ScoringRequest(tokens, (3,))]
    both, one, other = _sums(AloneScorer(model, 1), parts)
    if abs(both - one - other) > _CAUSAL:
        raise UserError(
            f"{type(model).__name__} lets tokens see later ones as its config.json stands: it has no log-probabilities "
            "of responses; pass a causal language model, or set is_decoder to true there."
        )


def _reason(way: str, comparisons: list[Comparison]) -> str | None:
    """Why a way was taken: what failed before it and, for those that don't pad, why batches can't be mixed."""
    failures = {comparison.way: comparison.failure for comparison in comparisons if comparison.failure}
    if way in {OneLengthScorer.kind, AloneScorer.kind}:
        return f"{failures[TreeScorer.kind]}, and {failures[PaddedBatchScorer.kind]}"
    return failures.get(TreeScorer.kind)


def _known_obstacle(model: PreTrainedModel, way: str) -> str | None:
    switchable: Any = model
    if way == TreeScorer.kind and not switchable._can_set_attn_implementation():
        return "transformers can't replace this architecture's attention"
    return None


class _Architecture:
    """What ways give on a stand-in for all models of one configuration; each is tried once a process."""

    def __init__(self, ground: _Ground) -> None:
        self.ground = ground
        self._found: dict[str, Comparison] = {}

    def compare(self, way: str, obstacle: str | None) -> Comparison:
        if way not in self._found:
            self._found[way] = _compare(self.ground, way, obstacle)
        return self._found[way]


_narrow: dict[tuple[str, ...], _Architecture] = {}
"""Architectures that a narrow model stands for, by class, configuration and device."""


def _architecture(model: PreTrainedModel) -> tuple[_Architecture | None, str | None]:
    """A narrow model, else the model or a float32 copy of it, to try ways on; else None and why, as a clause."""
    config: Any = copy.deepcopy(model.config)
    config.dtype = None
    key = (str(type(model)), config.to_json_string(), config._attn_implementation, str(model.device))
    if key in _narrow:
        return _narrow[key], None
    try:
        _narrow[key] = _Architecture(_ground(narrow_model(model), "narrow", _requests(_LENGTHS)))
        return _narrow[key], None
    except Exception as error:
        if is_out_of_memory(error):
            raise
        reason = f"no narrow model of its architecture can be tried ({_first_line(error)})"
    if model.dtype == torch.float32:
        return _Architecture(_ground(model, "itself", _requests(_LENGTHS))), None
    free = free_bytes(model.device)
    if free is not None and 4 * model.num_parameters() > free // 4:
        return None, f"{reason} and a float32 copy does not fit"
    full: Any = copy.deepcopy(model)
    return _Architecture(_ground(full.float(), "float32 copy", _requests(_LENGTHS))), None


def _ground(model: PreTrainedModel, name: str, requests: list[ScoringRequest]) -> _Ground:
    """Plain passes, one sequence at a time, eager where it can be had; a second kind of them shows the rounding."""
    vocabulary = int(text_config(model).vocab_size)
    requests = [
        ScoringRequest(tuple(token % vocabulary for token in request.token_ids), request.scored) for request in requests
    ]
    alone = _sums(AloneScorer(model, 1), requests)
    plain = _eager(model, requests) if name != "itself" or model.dtype == torch.float32 else alone
    other = alone if plain is not alone else _sums(PaddedBatchScorer(model, 512), requests)
    finite = np.isfinite(plain)  # weights that are no numbers: scores say so, and there is nothing to compare
    if name == "narrow" and not finite.all():
        raise ValueError("its plain pass gives no finite numbers")
    requests = [request for request, kept in zip(requests, finite.tolist(), strict=True) if kept]
    plain, other = plain[finite], other[finite]
    exact = model.dtype in {torch.float32, torch.float64}
    most = np.full(len(plain), 10 * _EXACT) if exact else 0.1 + 0.02 * np.abs(plain)
    rounding = np.minimum(4 * np.nan_to_num(np.abs(other - plain)).max(initial=0.0), most)
    tolerance = _EXACT + rounding + 4 * torch.finfo(model.dtype).eps * np.abs(plain)
    return _Ground(model, name, requests, plain, tolerance)


def _eager(model: PreTrainedModel, requests: list[ScoringRequest]) -> Floats:
    switchable: Any = model
    own: str = switchable.config._attn_implementation
    try:
        switchable.set_attn_implementation("eager")
        return _sums(AloneScorer(model, 1), requests)
    finally:
        switchable.set_attn_implementation(own)


def _compare(ground: _Ground, way: str, obstacle: str | None) -> Comparison:
    """Score the ground's requests in a way; those beyond a rotary switch only in the ways that take them."""
    longest = rotary_switch(text_config(ground.model)) if way != OneLengthScorer.kind else None
    tried = [index for index, request in enumerate(ground.requests) if len(model_input(request)) <= (longest or np.inf)]
    requests = [ground.requests[index] for index in tried]
    plain, tolerance = ground.plain[tried], ground.tolerance[tried]
    dtype = str(ground.model.dtype).removeprefix("torch.")
    size = max((len(request.token_ids) for request in requests), default=0)
    if obstacle:
        return Comparison(way, ground.name, dtype, len(requests), size, None, None, obstacle)
    try:
        found = _sums(WAYS[way](ground.model, _BATCH if way == TreeScorer.kind else 512), requests)
    except Exception as error:
        if is_out_of_memory(error):
            raise
        failure = f"a trial {_DOING[way]} failed ({_first_line(error)})"
        return Comparison(way, ground.name, dtype, len(requests), size, None, None, failure)
    difference = np.where(np.isfinite(found), np.abs(found - plain), np.inf)
    worst = int((difference / tolerance).argmax())
    off = f"a trial {_DOING[way]} was off by {difference[worst]:.3g} in log-probability"
    return Comparison(
        way,
        ground.name,
        dtype,
        len(requests),
        size,
        float(difference[worst]),
        float(tolerance[worst]),
        off if difference[worst] > tolerance[worst] else None,
    )


_DOING = {
    "tree": "along a token tree",
    "state": "from a copied state",
    "padded": "in batches of several lengths",
    "one length": "in batches of one length",
}


def _first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error).partition(chr(10))[0][:200]}"


def _sums(way: Way, requests: list[ScoringRequest]) -> Floats:
    """The requests' sums in a way."""
    sums = np.full(len(requests), np.nan)
    for indices, values in way.score(requests):
        sums[indices] = values
    return sums


_LENGTHS = (
    (20, 2),
    (20, 3, 1),
    (20, 4),
    (20, 15, 9),
    (20, 15, 12),
    (20, 15, 5, 6),
    (20, 15, 5, 7),
    (20, 34),
    (20, 35),
    (50,),
)
"""Lengths of the parts that make a request; requests share their leading parts where these are the same."""
_ON_ITSELF: dict[str, tuple[tuple[int, ...], ...]] = {
    "tree": ((4, 5), (4, 3), (4, 2, 2), (4, 2, 3), (3,)),
    "state": ((24, 5), (24, 3), (24, 2), (24, 2, 3), (3,)),
}
"""The same, by way: a state is only carried where that saves some tokens."""


def _requests(lengths: tuple[tuple[int, ...], ...]) -> list[ScoringRequest]:
    """Requests of parts of those lengths; a part is the same wherever the parts up to it are."""
    requests: list[ScoringRequest] = []
    for parts in lengths:
        tokens: list[int] = []
        for end in range(1, len(parts) + 1):
            draw = np.random.default_rng(parts[:end])
            tokens += draw.integers(3, VOCABULARY, parts[end - 1]).tolist()
        requests.append(ScoringRequest(tuple(tokens), tuple(range(1, len(tokens)))))
    return requests
