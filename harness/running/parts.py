"""Parts of what a checkpoint is asked: a chunk of items under one conditioning, rendered when it is needed."""

from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from ...tasks.conditioning import Conditioning, Conversation, conversations, routing_conversations
from ...tasks.criteria import Criteria
from ...tasks.items import Items
from ..progress import status
from ..rendering.chat import ChatRenderer
from .packed import PackedRequests, join, pack

CACHE_BYTES = 2**27
"""Rendered parts that are kept for the next checkpoint of the same tokenizer."""
RENDERED_AT_ONCE = 256
"""Conversations whose tokens are Python integers at a time."""

Asked = Conditioning | None
"""A conditioning; None is the router's question."""


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """What is rendered, claimed and written to the store as a whole."""

    asked: Asked
    chunk: int
    rows: NDArray[np.intp]
    """The items of the chunk that are asked."""
    size: int
    """Conversations."""


@dataclass(frozen=True, slots=True, eq=False)
class RenderedPart:
    """A part's conversations, C of them, as a model sees them."""

    requests: PackedRequests
    """One a conversation; without tokens where the response alone is longer than the model reads."""
    items: NDArray[np.intp]
    """(C,) the item that a conversation is about."""
    places: NDArray[np.intp]
    """(C,) the response that it is about, in the flat order of all responses; for the router the label's number."""
    lengths: NDArray[np.int64]
    """(C,) scored tokens."""
    truncated: NDArray[np.bool_]
    """(C,) whether the prompt lost tokens from its left."""
    end_of_turn: NDArray[np.bool_]
    """(C,) whether an end-of-turn token is among the scored ones."""


class PartRenderer:
    """Renders parts; checkpoints that share tokenizer and template share what fits into the cache."""

    def __init__(self, items: Items, criteria: Criteria, seed: int, quiet: bool = True) -> None:
        self.items, self.criteria, self.seed, self.quiet = items, criteria, seed, quiet
        self._cache: OrderedDict[tuple[str, int | None, str, Asked, int, bytes], RenderedPart] = OrderedDict()

    def parts(self, wanted: Mapping[Asked, NDArray[np.bool_]]) -> list[Part]:
        """The parts of what is wanted: for each conditioning (and the router) a mask of the items."""
        return list(self._parts(wanted))

    def _parts(self, wanted: Mapping[Asked, NDArray[np.bool_]]) -> Iterator[Part]:
        for asked, mask in wanted.items():
            for number, chunk in enumerate(self.items.chunks):
                rows = np.flatnonzero(mask[chunk.start : chunk.stop]) + chunk.start
                if len(rows):
                    yield Part(asked, number, rows, self._size(asked, self.items.counts[rows]))

    def _size(self, asked: Asked, counts: NDArray[np.intp]) -> int:
        if asked is None:
            return len(counts) * (len(self.criteria.router.labels) if self.criteria.router else 0)
        each = counts * (counts - 1) if asked.kind.startswith("judge") else counts
        return int(each.sum())

    def render(self, renderer: ChatRenderer, part: Part) -> RenderedPart:
        """The part for one tokenizer and template. Raises UserError where the template refuses a conversation."""
        key = (renderer.identity, renderer.max_length, renderer.cut, part.asked, part.chunk, part.rows.tobytes())
        if key in self._cache:
            self._cache.move_to_end(key)
            return self._cache[key]
        with status(f"Rendering {len(part.rows):,} items, {part.asked or 'router'}", self.quiet):
            rendered = self._render(renderer, part)
        self._cache[key] = rendered
        while len(self._cache) > 1 and sum(kept.requests.nbytes for kept in self._cache.values()) > CACHE_BYTES:
            self._cache.popitem(last=False)
        return rendered

    def _render(self, renderer: ChatRenderer, part: Part) -> RenderedPart:
        about = self._conversations(part)
        packed: list[PackedRequests] = []
        facts: list[tuple[int, int, int, bool, bool]] = []
        while batch := list(islice(about, RENDERED_AT_ONCE)):
            renderings = renderer.render([conversation for _, _, conversation in batch])
            packed.append(pack(rendering.request for rendering in renderings))
            for (item, place, _), rendering in zip(batch, renderings, strict=True):
                length = len(rendering.request.scored) if rendering.request else 0
                facts.append((item, place, length, rendering.truncated, rendering.end_of_turn))
        items, places, lengths, truncated, end_of_turn = np.array(facts).T
        return RenderedPart(join(packed), items, places, lengths, truncated.astype(bool), end_of_turn.astype(bool))

    def _conversations(self, part: Part) -> Iterator[tuple[int, int, Conversation]]:
        """(item, place, conversation) of a part, in order."""
        chunk = self.items.chunk(part.chunk)
        start = self.items.chunks[part.chunk].start
        rows: list[int] = part.rows.tolist()
        for row in rows:
            item = chunk[row - start]
            if part.asked is None:
                for label, conversation in enumerate(routing_conversations(item, self.criteria).values()):
                    yield row, label, conversation
                continue
            first = int(self.items.offsets[row])
            for place, asked in enumerate(conversations(item, part.asked, self.criteria, self.seed), first):
                yield from ((row, place, conversation) for conversation in asked)
