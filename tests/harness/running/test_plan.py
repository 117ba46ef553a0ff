"""Which conversations of which checkpoint a run needs, and how their scores come back as flat arrays."""

from pathlib import Path

import numpy as np
import pytest
from cdr_eval.harness.rendering.chat import ChatRenderer
from cdr_eval.harness.rewards import Routing
from cdr_eval.harness.running import parts
from cdr_eval.harness.running.answers import Answers
from cdr_eval.harness.running.packed import PackedRequests, join, pack
from cdr_eval.harness.running.parts import Asked, Part, PartRenderer, RenderedPart
from cdr_eval.harness.running.planner import wanted_items
from cdr_eval.harness.scoring.protocol import ScoringRequest
from cdr_eval.tasks.catalog import load_task
from cdr_eval.tasks.conditioning import EMPTY, IDENTITY, Conditioning, conversations
from cdr_eval.tasks.criteria import Criteria, load_criteria
from cdr_eval.tasks.item import Item, Turn
from cdr_eval.tasks.items import Items
from cdr_eval.tasks.variants import declare_variants
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from tests.checkpoints import byte_level_tokenizer
from tests.harness.scoring.scoring_requests import tries

SAFETY = Conditioning("criteria", "safety")
CODE_MATH = Conditioning("criteria", "code-math")
ROUTES = {"oracle": Routing((IDENTITY, SAFETY, CODE_MATH), np.array([0, 1, 1, 2]))}
ALL = np.ones(4, dtype=bool)


@pytest.fixture(scope="module")
def criteria(criteria_file: Path) -> Criteria:
    return load_criteria(criteria_file)


@pytest.fixture(scope="module")
def items(items_file: Path) -> Items:
    return load_task(str(items_file)).items


@pytest.mark.parametrize("backwards", [False, True])
def test_a_conditioning_is_wanted_for_the_items_of_every_variant_that_uses_it(criteria: Criteria, backwards: bool):
    declared = declare_variants(criteria)
    names = ["cdr-safety", "cdr-adaptive-oracle"]
    variants = [declared[name] for name in (reversed(names) if backwards else names)]
    wanted = wanted_items(variants, ["weak"], ROUTES, ALL)
    assert {c: np.flatnonzero(mask).tolist() for c, mask in wanted.items()} == {
        SAFETY: [0, 1, 2, 3],
        IDENTITY: [0],
        CODE_MATH: [3],
    }
    assert ALL.all()


def test_only_the_roles_that_a_checkpoint_plays_are_asked_of_it(criteria: Criteria):
    declared = declare_variants(criteria)
    variants = [declared["pmi-safety"], declared["judge-safety"], declared["likelihood"]]
    everything = {SAFETY, EMPTY}
    assert wanted_items(variants, ["weak"], ROUTES, ALL).keys() == everything
    alone = {Conditioning("judge-first", "safety"), Conditioning("judge-second", "safety"), IDENTITY}
    assert wanted_items(variants, ["strong"], ROUTES, ALL).keys() == everything | alone
    assert wanted_items(variants, ["strong", "weak"], ROUTES, ALL).keys() == everything | alone
    assert wanted_items(variants, [], ROUTES, ALL) == {}


def rendered_part(lengths: list[int], truncated: int = -1, asked: Asked = IDENTITY) -> tuple[Part, RenderedPart]:
    """A part of items 0 and 2 of three, two responses each; a response of length 0 does not fit."""
    requests = [ScoringRequest((0, *range(n)), tuple(range(1, n + 1))) if n else None for n in lengths]
    numbers = np.arange(4)
    places = np.array([0, 1, 4, 5]) if asked else np.array([0, 1, 0, 1])
    rows = np.array([0, 2])
    rendered = RenderedPart(
        pack(requests), np.repeat(rows, 2), places, np.array(lengths), numbers == truncated, numbers != 3
    )
    return Part(asked, 0, rows, 4), rendered


def answered(values: list[float], lengths: list[int], truncated: int = -1, mean: bool = False) -> Answers:
    answers = Answers(3, 6, 2)
    answers.take(*rendered_part(lengths, truncated), np.array(values), mean)
    return answers


def assert_scores(answers: Answers, expected: list[float]) -> None:
    assert answers.scores.keys() == {IDENTITY}
    assert np.array_equal(answers.scores[IDENTITY], expected, equal_nan=True)


NAN = float("nan")


def test_scores_come_back_in_their_places_and_nothing_else_does():
    values = [-1.0, -2.0, -3.0, -4.0]
    answers = answered(values, [2, 2, 2, 2])
    assert_scores(answers, [-1, -2, NAN, NAN, -3, -4])
    assert answers.counts == {"truncated": 0, "unscored": 0, "non_finite": 0, "no_end_of_turn": 1}
    assert np.isnan(answers.routing).all()


def test_the_mean_is_per_scored_token():
    assert_scores(answered([-1.0, -2.0, -3.0, -4.0], [1, 2, 4, 8], mean=True), [-1, -1, NAN, NAN, -0.75, -0.5])


@pytest.mark.parametrize("bad", [NAN, float("inf"), float("-inf")])
def test_what_is_not_finite_is_counted_and_no_score(bad: float):
    answers = answered([-1.0, bad, -3.0, -4.0], [2, 2, 2, 2])
    assert_scores(answers, [-1, NAN, NAN, NAN, -3, -4])
    assert answers.counts["non_finite"] == 1
    assert answers.faults["non_finite"].tolist() == [True, False, False]


@pytest.mark.parametrize("mean", [False, True])
def test_what_does_not_fit_is_counted_once_an_item(mean: bool):
    answers = answered([-2.0, -2.0, NAN, NAN], [2, 2, 0, 0], truncated=0, mean=mean)
    assert_scores(answers, [-1 if mean else -2] * 2 + [NAN] * 4)
    assert answers.counts == {"truncated": 1, "unscored": 1, "non_finite": 0, "no_end_of_turn": 1}


def test_a_fault_under_several_conditionings_is_counted_once_an_item():
    answers = Answers(3, 6, 2)
    for asked in (IDENTITY, EMPTY):
        answers.take(*rendered_part([2, 2, 2, 2], 1, asked), np.array([NAN, -1.0, -1.0, -1.0]), False)
    assert answers.counts == {"truncated": 1, "unscored": 0, "non_finite": 1, "no_end_of_turn": 1}
    assert answers.scores.keys() == {IDENTITY, EMPTY}


def test_the_routers_labels_are_no_scores_and_never_a_mean():
    answers = Answers(3, 6, 2)
    answers.take(*rendered_part([2, 3, 2, 3], asked=None), np.array([-1.0, -2.0, float("inf"), -4.0]), True)
    assert np.array_equal(answers.routing, [[-1, -2], [NAN, NAN], [NAN, -4]], equal_nan=True)
    assert answers.scores == {}


def test_a_response_of_several_questions_gets_their_mean(criteria: Criteria):
    """A judge asks about each of N responses N - 1 times."""
    prompt = (Turn(role="user", content="Why?"),)
    items = Items([Item("0", "s", prompt, ("a", "b", "c")), Item("1", "s", prompt, ("d", "e"))])
    blocks = PartRenderer(items, criteria, 0)
    judge = Conditioning("judge-first", "safety")
    (part,) = blocks.parts({judge: np.ones(2, dtype=bool)})
    rendered = blocks.render(ChatRenderer(byte_level_tokenizer("chatml")), part)
    assert part.size == len(rendered.requests) == 8
    assert rendered.places.tolist() == [0, 0, 1, 1, 2, 2, 3, 4]
    assert rendered.items.tolist() == [0, 0, 0, 0, 0, 0, 1, 1]
    answers = Answers(2, 5, 0)
    answers.take(part, rendered, np.array([-1.0, -3.0, -5.0, -6.0, NAN, -1.0, -7.0, -8.0]), False)
    assert np.array_equal(answers.scores[judge], [-2, -5.5, NAN, -7, -8], equal_nan=True)
    assert answers.counts["non_finite"] == 1


def test_parts_are_chunks_of_what_is_wanted(criteria: Criteria, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("cdr_eval.tasks.items.CHUNK_RESPONSES", 4)
    prompt = (Turn(role="user", content="Why?"),)
    items = Items(Item(str(i), "s", prompt, ("good", "bad") if i else ("x", "y", "z", "w")) for i in range(5))
    assert items.chunks == [range(1), range(1, 3), range(3, 5)]
    wanted: dict[Asked, NDArray[np.bool_]] = {
        IDENTITY: np.array([True, False, True, False, False]),
        None: np.array([False, False, False, True, True]),
        Conditioning("judge-second", "safety"): np.array([True, False, False, False, True]),
    }
    found = [(p.asked, p.chunk, p.rows.tolist(), p.size) for p in PartRenderer(items, criteria, 0).parts(wanted)]
    judge = Conditioning("judge-second", "safety")
    assert found == [
        (IDENTITY, 0, [0], 4),
        (IDENTITY, 1, [2], 2),
        (None, 2, [3, 4], 6),
        (judge, 0, [0], 12),
        (judge, 2, [4], 2),
    ]


@pytest.mark.parametrize("asked", [IDENTITY, SAFETY])
def test_a_part_is_rendered_as_each_conversation_alone(
    criteria: Criteria, items: Items, asked: Conditioning, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(parts, "RENDERED_AT_ONCE", 7)
    renderer = ChatRenderer(byte_level_tokenizer("chatml"), max_length=64)
    mask = np.arange(len(items)) % 3 > 0
    blocks = PartRenderer(items, criteria, 0)
    (part,) = blocks.parts({asked: mask})
    rendered = blocks.render(renderer, part)
    requests = rendered.requests.unpacked()
    assert len(requests) == part.size == 2 * mask.sum()
    for k, (i, place) in enumerate(zip(rendered.items.tolist(), rendered.places.tolist(), strict=True)):
        asked_of = conversations(items[i], asked, criteria, 0)[place - items.offsets[i]]
        (alone,) = renderer.render(asked_of)
        assert (requests[k] if rendered.lengths[k] else None) == alone.request
        assert rendered.lengths[k] == (len(alone.request.scored) if alone.request else 0)
        assert (rendered.truncated[k], rendered.end_of_turn[k]) == (alone.truncated, alone.end_of_turn)


def test_checkpoints_that_share_a_tokenizer_share_its_renderings(criteria: Criteria, items: Items):
    blocks = PartRenderer(items, criteria, 0)
    first, second = (ChatRenderer(byte_level_tokenizer("chatml"), max_length=64) for _ in range(2))

    def part(asked: Asked, count: int = 5) -> Part:
        (found,) = blocks.parts({asked: np.arange(len(items)) < count})
        return found

    def ids(rendered: RenderedPart) -> list[int]:
        return rendered.requests.token_ids.tolist()

    rendered = blocks.render(first, part(SAFETY))
    assert blocks.render(second, part(SAFETY)) is rendered
    assert len(rendered.requests) == 10
    assert blocks.render(first, part(SAFETY, 4)) is not rendered
    assert ids(blocks.render(first, part(CODE_MATH))) != ids(rendered)
    longer = ChatRenderer(byte_level_tokenizer("chatml"), max_length=4096)
    assert ids(blocks.render(longer, part(SAFETY))) != ids(rendered)
    other = ChatRenderer(byte_level_tokenizer("zephyr"), max_length=64)
    assert ids(blocks.render(other, part(SAFETY))) != ids(rendered)
    assert len(blocks.render(first, part(None, len(items))).requests) == 3 * len(items)


def test_renderings_that_outgrow_the_cache_are_let_go(
    criteria: Criteria, items: Items, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(parts, "CACHE_BYTES", 0)
    blocks = PartRenderer(items, criteria, 0)
    renderer = ChatRenderer(byte_level_tokenizer("chatml"))
    first, second = blocks.parts({IDENTITY: np.ones(len(items), dtype=bool), SAFETY: np.ones(len(items), dtype=bool)})
    before = blocks.render(renderer, first)
    assert blocks.render(renderer, first) is before
    blocks.render(renderer, second)
    again = blocks.render(renderer, first)
    assert again is not before
    assert again.requests.unpacked() == before.requests.unpacked()


@given(requests=tries(), data=st.data())
def test_packed_requests_are_those_that_went_in(requests: list[ScoringRequest], data: st.DataObject):
    packed = pack(requests)
    assert packed.unpacked() == requests
    some = data.draw(st.lists(st.integers(0, len(requests) - 1), max_size=6))
    assert packed.take(some).unpacked() == [requests[i] for i in some]
    cut = data.draw(st.integers(0, len(requests)))
    halves: list[PackedRequests] = [pack(requests[:cut]), pack([None]), pack(requests[cut:])]
    joined = join(halves)
    assert len(joined) == len(requests) + 1
    assert len(joined.tokens(cut)) == len(joined.positions(cut)) == 0
    assert joined.take([i for i in range(len(joined)) if i != cut]).unpacked() == requests
