"""The reward algebra: properties that hold for any scores, and the formulas on a language model made of a hash."""

from collections.abc import Callable
from hashlib import sha256

import numpy as np
import pytest
from cdr_eval.harness.rewards import Routes, Routing, rewards
from cdr_eval.harness.statistics import credits
from cdr_eval.harness.statistics.credits import credit
from cdr_eval.tasks.conditioning import EMPTY, IDENTITY, Conditioning, Conversation, conversations
from cdr_eval.tasks.criteria import DEFAULT_CRITERIA, demonstration, load_criteria
from cdr_eval.tasks.item import Item, Turn
from cdr_eval.tasks.variants import Role, Route, Variant, declare_variants
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

CRITERIA = load_criteria(DEFAULT_CRITERIA)
VARIANTS = declare_variants(CRITERIA)
BOTH = [name for name, variant in VARIANTS.items() if variant.uses_weak]
DOMAINS = tuple(CRITERIA.domains)
CRITERIA_PROMPTS = tuple(Conditioning("criteria", domain) for domain in DOMAINS)
JUDGES = tuple(
    question for d in DOMAINS for question in (Conditioning("judge-first", d), Conditioning("judge-second", d))
)
CONDITIONINGS = (IDENTITY, EMPTY, *CRITERIA_PROMPTS, *JUDGES)
ROUTABLE = (IDENTITY, *CRITERIA_PROMPTS)
ITEMS = 7
OWNERS = np.repeat(np.arange(ITEMS), 2)
PREFERENCES = credits.Responses(
    np.full(ITEMS, 2), np.tile([1.0, 0.0], ITEMS), np.full(2 * ITEMS, -1), ("",) * ITEMS, ("",) * ITEMS, {}
)
Scores = dict[Conditioning, NDArray[np.float64]]


def drawn_scores(seed: int) -> Scores:
    """Whole numbers, which add up exactly, so that equalities of sums are equalities."""
    rng = np.random.default_rng(seed)
    return {c: rng.integers(-(2**20), 1, size=2 * ITEMS).astype(float) for c in CONDITIONINGS}


def drawn_routes(seed: int) -> dict[str, Routing]:
    rng = np.random.default_rng(seed)
    return {name: Routing(ROUTABLE, rng.integers(len(ROUTABLE), size=ITEMS)) for name in (*CRITERIA.routes, "router")}


def chosen_of(routing: Routing) -> list[Conditioning]:
    """Each item's conditioning."""
    return [routing.choices[code] for code in routing.codes.tolist()]


SEEDS = st.integers(0, 2**32)
SCORES = SEEDS.map(drawn_scores)
ROUTES = SEEDS.map(drawn_routes)
REALS = SEEDS.map(lambda seed: {c: m / np.float64(3 + seed % 7) for c, m in drawn_scores(seed).items()})
"""Scores whose sums are rounded, as real ones are."""


def rewards_of(name: str, strong: Scores, weak: Scores, routes: Routes) -> NDArray[np.float64]:
    return rewards(VARIANTS[name], {"strong": strong, "weak": weak}, routes, OWNERS)


def margins(reward: NDArray[np.float64]) -> NDArray[np.float64]:
    (margin,) = credits.margins(reward[None], PREFERENCES)
    return margin


def margins_of(variant: Variant, strong: Scores, weak: Scores, routes: Routes) -> NDArray[np.float64]:
    return margins(rewards_of(variant.name, strong, weak, routes))


@pytest.mark.parametrize("name", BOTH)
@given(strong=REALS, weak=REALS, routes=ROUTES)
def test_swapping_strong_and_weak_flips_every_margin(name: str, strong: Scores, weak: Scores, routes: Routes):
    there = margins_of(VARIANTS[name], strong, weak, routes)
    back = margins_of(VARIANTS[name], weak, strong, routes)
    assert (there == -back).all()
    assert (credit(there) == 1 - credit(back)).all()


@pytest.mark.parametrize("name", BOTH)
@given(scores=REALS, routes=ROUTES)
def test_a_checkpoint_paired_with_itself_ties_on_every_item(name: str, scores: Scores, routes: Routes):
    margin = margins_of(VARIANTS[name], scores, scores, routes)
    assert (margin == 0).all()
    assert (credit(margin) == 0.5).all()


@pytest.mark.parametrize("name", VARIANTS)
@given(
    strong=SCORES,
    weak=SCORES,
    routes=ROUTES,
    shift=SEEDS.map(lambda seed: np.random.default_rng(seed).integers(-999, 999, (len(CONDITIONINGS), ITEMS))),
    side=st.sampled_from(["strong", "weak"]),
)
def test_a_constant_added_to_both_responses_of_one_checkpoint_changes_nothing(
    name: str, strong: Scores, weak: Scores, routes: Routes, shift: NDArray[np.int64], side: str
):
    scores = strong if side == "strong" else weak
    moved = {c: scores[c] + shift[i][OWNERS] for i, c in enumerate(CONDITIONINGS)}
    before = margins_of(VARIANTS[name], strong, weak, routes)
    after = margins_of(VARIANTS[name], *((moved, weak) if side == "strong" else (strong, moved)), routes)
    assert (before == after).all()


@pytest.mark.parametrize("name", VARIANTS)
@given(strong=SCORES, weak=SCORES, routes=ROUTES)
def test_exchanging_the_responses_flips_every_margin(name: str, strong: Scores, weak: Scores, routes: Routes):
    flipped = [
        {c: values.reshape(ITEMS, 2)[:, ::-1].ravel() for c, values in scores.items()} for scores in (strong, weak)
    ]
    there = margins_of(VARIANTS[name], strong, weak, routes)
    assert (there == -margins_of(VARIANTS[name], flipped[0], flipped[1], routes)).all()


@given(strong=SCORES, weak=SCORES)
def test_formulas_on_known_scores(strong: Scores, weak: Scores):
    S, W = strong, weak
    formulas = {"vanilla": S[IDENTITY] - W[IDENTITY], "likelihood": S[IDENTITY]}
    for d in DOMAINS:
        T = Conditioning("criteria", d)
        formulas[f"cdr-{d}"] = S[T] - W[T]
        formulas[f"prompt-delta-{d}"] = S[T] - S[IDENTITY]
        formulas[f"pmi-{d}"] = (S[T] - S[EMPTY]) - (W[T] - W[EMPTY])
        formulas[f"judge-{d}"] = (S[Conditioning("judge-first", d)] + S[Conditioning("judge-second", d)]) / 2
    for name, reward in formulas.items():
        assert (rewards_of(name, S, W, {}) == reward).all()
        assert (margins(reward) == reward[0::2] - reward[1::2]).all()
    # PMI is the contextual ratio less the ratio at the empty prompt.
    empty = S[EMPTY] - W[EMPTY]
    assert (formulas["pmi-safety"] == formulas["cdr-safety"] - empty).all()


@given(strong=SCORES, weak=SCORES, routes=ROUTES)
def test_routes_take_each_items_own_conditioning(strong: Scores, weak: Scores, routes: Routes):
    for route, routing in routes.items():
        expected = [
            strong[c][2 * i + k] - weak[c][2 * i + k] for i, c in enumerate(chosen_of(routing)) for k in range(2)
        ]
        assert rewards_of("cdr-adaptive-" + route, strong, weak, routes).tolist() == expected


@given(counts=st.lists(st.integers(2, 5), min_size=1, max_size=6), seed=SEEDS)
def test_a_route_goes_by_the_owner_of_each_response(counts: list[int], seed: int):
    """Items may have any number of responses."""
    rng = np.random.default_rng(seed)
    owners = np.repeat(np.arange(len(counts)), counts)
    strong, weak = ({c: rng.integers(-99, 0, len(owners)).astype(float) for c in ROUTABLE} for _ in range(2))
    routing = Routing(ROUTABLE, rng.integers(len(ROUTABLE), size=len(counts)))
    found = rewards(VARIANTS["cdr-adaptive-oracle"], {"strong": strong, "weak": weak}, {"oracle": routing}, owners)
    conditionings = chosen_of(routing)
    assert found.tolist() == [strong[conditionings[o]][r] - weak[conditionings[o]][r] for r, o in enumerate(owners)]


@given(strong=SCORES, weak=SCORES, routes=ROUTES)
def test_a_route_reads_no_score_that_no_item_needs(strong: Scores, weak: Scores, routes: Routes):
    needed = chosen_of(routes["oracle"])
    thin: list[Scores] = []
    for scores in (strong, weak):
        thin.append({c: np.full(2 * ITEMS, np.nan) for c in needed})
        for i, c in enumerate(needed):
            thin[-1][c][2 * i : 2 * i + 2] = scores[c][2 * i : 2 * i + 2]
    found = margins_of(VARIANTS["cdr-adaptive-oracle"], thin[0], thin[1], routes)
    assert (found == margins_of(VARIANTS["cdr-adaptive-oracle"], strong, weak, routes)).all()


@pytest.mark.parametrize("name", VARIANTS)
@settings(deadline=None)
@given(strong=SCORES, weak=SCORES, routes=ROUTES, data=st.data())
def test_an_item_is_unscored_exactly_where_a_term_is(
    name: str, strong: Scores, weak: Scores, routes: Routes, data: st.DataObject
):
    role = data.draw(st.sampled_from(["strong", "weak"]))
    conditioning = data.draw(st.sampled_from(CONDITIONINGS))
    row, column = data.draw(st.integers(0, ITEMS - 1)), data.draw(st.integers(0, 1))
    (strong if role == "strong" else weak)[conditioning][2 * row + column] = np.nan
    variant = VARIANTS[name]
    used = set[tuple[str, Conditioning]]()
    for term in variant.terms:
        asked = term.conditioning
        used.add((term.role, chosen_of(routes[asked.name])[row] if isinstance(asked, Route) else asked))
    margin = margins_of(variant, strong, weak, routes)
    assert np.isnan(margin).tolist() == [i == row and (role, conditioning) in used for i in range(ITEMS)]
    assert np.isnan(credit(margin)).tolist() == np.isnan(margin).tolist()


def language_model(name: str) -> Callable[[Conversation], float]:
    """A log-probability that is a function of the model's name and of every character of the conversation."""

    def logprob(conversation: Conversation) -> float:
        digest = sha256(repr((name, conversation.messages, conversation.response)).encode()).digest()
        return -int.from_bytes(digest[:3], "big") / 2**10

    return logprob


def answers(
    model: Callable[[Conversation], float], items: list[Item], conditioning: Conditioning
) -> NDArray[np.float64]:
    """(R,): a response of two is asked about once under every conditioning."""
    asked = [questions for item in items for questions in conversations(item, conditioning, CRITERIA, 5)]
    return np.array([model(question) for (question,) in asked])


def test_margins_of_whole_texts_are_those_of_the_reference_formulas():
    items = [
        Item.preference(str(n), "all", (Turn(role="user", content=f"Question {n}?"),), f"good {n}", f"bad {n}")
        for n in range(ITEMS)
    ]
    models: dict[Role, Callable[[Conversation], float]] = {"strong": language_model("s"), "weak": language_model("w")}
    roles = {role: {c: answers(model, items, c) for c in CONDITIONINGS} for role, model in models.items()}

    def log_prob(role: Role, text: str, response: str) -> float:
        return models[role](Conversation((Turn(role="user", content=text),), response))

    def wrapped(domain: str, item: Item) -> str:
        example = demonstration(CRITERIA.domains[domain], 5, item.id)
        slots = {"instruction": CRITERIA.domains[domain].instruction, "query": item.prompt[0]["content"]}
        slots |= {f"example_{part}": getattr(example, part) for part in ("query", "good", "bad", "why")}
        text = CRITERIA.layout
        for slot in sorted(slots, key=len, reverse=True):
            text = text.replace(f"${slot}", slots[slot])
        return text

    def asked(domain: str, item: Item, a: str, b: str) -> str:
        slots = {"instruction": CRITERIA.domains[domain].instruction, "response_a": a, "response_b": b}
        text = CRITERIA.judge.layout.replace("$query", item.prompt[0]["content"])
        for slot, value in slots.items():
            text = text.replace(f"${slot}", value)
        return text

    found = {
        name: margins(rewards_of(name, roles["strong"], roles["weak"], {}))
        for name in VARIANTS
        if "adaptive" not in name
    }
    label_a, label_b = CRITERIA.judge.labels
    for n, item in enumerate(items):
        x, good, bad = item.prompt[0]["content"], *item.responses

        def ratio(text: str, response: str) -> float:
            return log_prob("strong", text, response) - log_prob("weak", text, response)

        def odds(text: str) -> float:
            return log_prob("strong", text, label_a) - log_prob("strong", text, label_b)

        by_hand = {"vanilla": ratio(x, good) - ratio(x, bad)}
        by_hand["likelihood"] = log_prob("strong", x, good) - log_prob("strong", x, bad)
        for d in DOMAINS:
            t = wrapped(d, item)
            by_hand[f"cdr-{d}"] = ratio(t, good) - ratio(t, bad)
            by_hand[f"pmi-{d}"] = (ratio(t, good) - ratio("", good)) - (ratio(t, bad) - ratio("", bad))
            by_hand[f"prompt-delta-{d}"] = (log_prob("strong", t, good) - log_prob("strong", x, good)) - (
                log_prob("strong", t, bad) - log_prob("strong", x, bad)
            )
            # The log-odds that the judge picks the chosen response, averaged over both orders.
            by_hand[f"judge-{d}"] = (odds(asked(d, item, good, bad)) - odds(asked(d, item, bad, good))) / 2
        assert {name: values[n] for name, values in found.items()} == pytest.approx(by_hand, abs=1e-9)
