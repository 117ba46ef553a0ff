"""What a run has to score: which conversations of which checkpoint, and which of them the store lacks."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ...model_registry.checkpoint_files import LocalCheckpoint
from ...tasks.conditioning import Conversation, Side, condition, routing_conversations
from ...tasks.criteria import Criteria
from ...tasks.preference import PreferenceItem
from ...tasks.variants import ROUTER, Role, Variant
from ..rendering.chat import ChatRenderer, Rendering
from ..rewards import ScoreMatrix
from ..scoring.protocol import ScoringRequest
from .status import status
from .store import ScoreKeys, ScoreStore

SIDES: tuple[Side, Side] = ("chosen", "rejected")


@dataclass(frozen=True, slots=True)
class RenderedBlock:
    """The renderings of one set of conversations, shape (rows, columns) flattened row by row."""

    name: str
    """What the block is for: a conditioning, or "router"."""
    rows: NDArray[np.intp]
    """Items that the block holds."""
    columns: int
    """Conversations an item: two responses, or the router's labels."""
    renderings: tuple[Rendering, ...]


@dataclass(frozen=True, slots=True)
class CheckpointPlan:
    """Everything that one checkpoint is asked in a run."""

    local: LocalCheckpoint
    blocks: tuple[RenderedBlock, ...]
    keys: tuple[tuple[bytes | None, ...], ...]
    """For each block, the store's key of each rendering; None where the response does not fit."""

    def requests(self) -> dict[bytes, ScoringRequest]:
        """Every distinct request by its key."""
        return {
            key: rendering.request
            for block, keys in zip(self.blocks, self.keys, strict=True)
            for key, rendering in zip(keys, block.renderings, strict=True)
            if key is not None and rendering.request is not None
        }

    def missing(self, store: ScoreStore) -> dict[bytes, ScoringRequest]:
        """The distinct requests whose scores the store lacks."""
        requests = self.requests()
        _, found = store.lookup(list(requests))
        return {key: request for (key, request), there in zip(requests.items(), found, strict=True) if not there}

    def scores(self, store: ScoreStore, items: int, mean: bool) -> dict[str, ScoreMatrix]:
        """Conditioning → log-probabilities of shape (items, columns), NaN where there is none.

        With `mean`, each is divided by its number of scored tokens. A non-finite log-probability counts as none.
        """
        matrices: dict[str, ScoreMatrix] = {}
        for block, keys in zip(self.blocks, self.keys, strict=True):
            values = self._lookup(store, keys)
            if mean:
                values /= [len(r.request.scored) if r.request else 1 for r in block.renderings]
            matrix = np.full((items, block.columns), np.nan)
            matrix[block.rows] = np.where(np.isfinite(values), values, np.nan).reshape(-1, block.columns)
            matrices[block.name] = matrix
        return matrices

    def counts(self, store: ScoreStore) -> dict[str, int]:
        """How many items were truncated, unscored, non-finite, or have no end-of-turn token, in any block."""
        kinds: dict[str, set[int]] = {name: set() for name in ("truncated", "unscored", "non_finite", "no_end_of_turn")}
        for block, keys in zip(self.blocks, self.keys, strict=True):
            values = self._lookup(store, keys)
            items = np.repeat(block.rows, block.columns)
            for item, rendering, value in zip(items.tolist(), block.renderings, values, strict=True):
                if rendering.truncated and rendering.request is not None:
                    kinds["truncated"].add(item)
                if rendering.request is None:
                    kinds["unscored"].add(item)
                elif not np.isfinite(value):
                    kinds["non_finite"].add(item)
                if not rendering.end_of_turn:
                    kinds["no_end_of_turn"].add(item)
        return {name: len(found) for name, found in kinds.items()}

    @staticmethod
    def _lookup(store: ScoreStore, keys: Sequence[bytes | None]) -> NDArray[np.float64]:
        values, _ = store.lookup([key or bytes(16) for key in keys])
        return np.where([key is None for key in keys], np.nan, values)


@dataclass(frozen=True, slots=True)
class BlockRenderer:
    """Renders blocks of conversations, each only once for all checkpoints that share tokenizer and template."""

    items: Sequence[PreferenceItem]
    criteria: Criteria
    seed: int
    quiet: bool = True
    """Whether nothing is said meanwhile on the terminal."""
    _cache: dict[tuple[str, int | None, str, bytes], RenderedBlock] = field(
        default_factory=dict[tuple[str, int | None, str, bytes], RenderedBlock]
    )

    def conditioned(self, renderer: ChatRenderer, conditioning: str, rows: NDArray[np.intp]) -> RenderedBlock:
        """Both responses of the given items under a conditioning."""
        return self._block(
            renderer,
            conditioning,
            rows,
            lambda item: [condition(item, side, conditioning, self.criteria, self.seed) for side in SIDES],
        )

    def routing(self, renderer: ChatRenderer) -> RenderedBlock:
        """The router's labels for every item."""
        rows = np.arange(len(self.items))
        return self._block(
            renderer, ROUTER, rows, lambda item: list(routing_conversations(item, self.criteria).values())
        )

    def _block(
        self,
        renderer: ChatRenderer,
        name: str,
        rows: NDArray[np.intp],
        conversations_of: Callable[[PreferenceItem], list[Conversation]],
    ) -> RenderedBlock:
        key = (renderer.identity, renderer.max_length, name, rows.tobytes())
        if key not in self._cache:
            chosen: list[int] = rows.tolist()
            by_item = [conversations_of(self.items[row]) for row in chosen]
            with status(f"Rendering {len(chosen):,} items, {name}", self.quiet):
                renderings = renderer.render([conversation for group in by_item for conversation in group])
            columns = len(by_item[0]) if by_item else 0
            self._cache[key] = RenderedBlock(name, rows, columns, tuple(renderings))
        return self._cache[key]


def plan_checkpoint(local: LocalCheckpoint, blocks: Sequence[RenderedBlock], dtype: str, scorer: str) -> CheckpointPlan:
    """The plan of one checkpoint for its rendered blocks."""
    key_of = ScoreKeys(local.weights, dtype, scorer)
    keys = tuple(tuple(key_of.key(r.request) if r.request else None for r in block.renderings) for block in blocks)
    return CheckpointPlan(local, tuple(blocks), keys)


def wanted_rows(
    variants: Sequence[Variant], roles: Sequence[Role], routes: Mapping[str, Sequence[str]], items: int
) -> dict[str, NDArray[np.intp]]:
    """For a checkpoint that plays these roles: conditioning → the items that some variant needs under it."""
    wanted: dict[str, NDArray[np.bool_]] = {}
    for term in (term for variant in variants for term in variant.terms if term.role in roles):
        for conditioning, rows in _rows_of(term.conditioning, routes, items):
            wanted[conditioning] = wanted.get(conditioning, np.zeros(items, dtype=bool)) | rows
    return {conditioning: np.flatnonzero(rows) for conditioning, rows in wanted.items()}


def _rows_of(conditioning: str, routes: Mapping[str, Sequence[str]], items: int) -> list[tuple[str, NDArray[np.bool_]]]:
    kind, _, name = conditioning.partition(":")
    if kind != "route":
        return [(conditioning, np.ones(items, dtype=bool))]
    by_item = np.array(routes[name])
    return [(str(chosen), by_item == chosen) for chosen in dict.fromkeys(routes[name])]
