"""The reward algebra: properties that hold for any scores, and the formulas on a language model made of a hash."""

from collections.abc import Callable, Mapping, Sequence
from hashlib import sha256

import numpy as np
import pytest
from cdr_eval.harness.rewards import ScoreMatrix, margins, rewards
from cdr_eval.harness.statistics.metrics import credit
from cdr_eval.tasks.conditioning import Conversation, Side, condition
from cdr_eval.tasks.criteria import DEFAULT_CRITERIA, demonstration, load_criteria
from cdr_eval.tasks.item import Item, Turn
from cdr_eval.tasks.variants import Role, Variant, declare_variants
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

CRITERIA = load_criteria(DEFAULT_CRITERIA)
VARIANTS = declare_variants(CRITERIA)
BOTH = [name for name, variant in VARIANTS.items() if variant.uses_weak]
DOMAINS = tuple(CRITERIA.domains)
KINDS = ("criteria", "judge-first", "judge-second")
CONDITIONINGS = ("identity", "empty", *(f"{kind}:{domain}" for kind in KINDS for domain in DOMAINS))
ITEMS = 7
SIDES: tuple[Side, Side] = ("chosen", "rejected")
Scores = dict[str, ScoreMatrix]
Routes = Mapping[str, Sequence[str]]
ROUTABLE = ("identity", *(f"criteria:{domain}" for domain in DOMAINS))


def drawn_scores(seed: int) -> Scores:
    """Whole numbers, which add up exactly, so that equalities of sums are equalities."""
    rng = np.random.default_rng(seed)
    return {c: rng.integers(-(2**20), 1, size=(ITEMS, 2)).astype(float) for c in CONDITIONINGS}


def drawn_routes(seed: int) -> dict[str, list[str]]:
    rng = np.random.default_rng(seed)
    return {name: rng.choice(ROUTABLE, size=ITEMS).tolist() for name in (*CRITERIA.routes, "router")}


SEEDS = st.integers(0, 2**32)
MATRICES = SEEDS.map(drawn_scores)
ROUTES = SEEDS.map(drawn_routes)
REALS = SEEDS.map(lambda seed: {c: m / np.float64(3 + seed % 7) for c, m in drawn_scores(seed).items()})
"""Scores whose sums are rounded, as real ones are."""


def margins_of(
    variant: Variant, strong: Scores, weak: Scores, routes: Mapping[str, Sequence[str]]
) -> NDArray[np.float64]:
    roles: Mapping[Role, Scores] = {"strong": strong, "weak": weak}
    return margins(rewards(variant, roles, routes))


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
    strong=MATRICES,
    weak=MATRICES,
    routes=ROUTES,
    shift=SEEDS.map(lambda seed: np.random.default_rng(seed).integers(-999, 999, (len(CONDITIONINGS), ITEMS, 1))),
    side=st.sampled_from(["strong", "weak"]),
)
def test_a_constant_added_to_both_responses_of_one_checkpoint_changes_nothing(
    name: str, strong: Scores, weak: Scores, routes: Routes, shift: NDArray[np.int64], side: str
):
    scores = strong if side == "strong" else weak
    moved = {c: scores[c] + shift[i] for i, c in enumerate(CONDITIONINGS)}
    before = margins_of(VARIANTS[name], strong, weak, routes)
    after = margins_of(VARIANTS[name], *((moved, weak) if side == "strong" else (strong, moved)), routes)
    assert (before == after).all()


@pytest.mark.parametrize("name", VARIANTS)
@given(strong=MATRICES, weak=MATRICES, routes=ROUTES)
def test_exchanging_the_responses_flips_every_margin(name: str, strong: Scores, weak: Scores, routes: Routes):
    flipped = [{c: matrix[:, ::-1] for c, matrix in scores.items()} for scores in (strong, weak)]
    there = margins_of(VARIANTS[name], strong, weak, routes)
    assert (there == -margins_of(VARIANTS[name], flipped[0], flipped[1], routes)).all()


@given(strong=MATRICES, weak=MATRICES)
def test_formulas_on_known_matrices(strong: Scores, weak: Scores):
    S, W = strong, weak
    formulas: dict[str, ScoreMatrix] = {"vanilla": S["identity"] - W["identity"], "likelihood": S["identity"]}
    for d in DOMAINS:
        T = f"criteria:{d}"
        formulas[f"cdr-{d}"] = S[T] - W[T]
        formulas[f"prompt-delta-{d}"] = S[T] - S["identity"]
        formulas[f"pmi-{d}"] = (S[T] - S["empty"]) - (W[T] - W["empty"])
        formulas[f"judge-{d}"] = (S[f"judge-first:{d}"] + S[f"judge-second:{d}"]) / 2
    for name, reward in formulas.items():
        assert (rewards(VARIANTS[name], {"strong": S, "weak": W}, {}) == reward).all()
        assert (margins(reward) == reward[:, 0] - reward[:, 1]).all()
    # PMI is the contextual ratio less the ratio at the empty prompt.
    empty = S["empty"] - W["empty"]
    assert (formulas["pmi-safety"] == formulas["cdr-safety"] - empty).all()


@given(strong=MATRICES, weak=MATRICES, routes=ROUTES)
def test_routes_take_each_items_own_conditioning(strong: Scores, weak: Scores, routes: Routes):
    for route, conditionings in routes.items():
        variant = VARIANTS["cdr-adaptive-" + route]
        expected = [strong[c][i] - weak[c][i] for i, c in enumerate(conditionings)]
        assert (rewards(variant, {"strong": strong, "weak": weak}, routes) == np.array(expected)).all()


@given(strong=MATRICES, weak=MATRICES, routes=ROUTES)
def test_a_route_reads_no_score_that_no_item_needs(strong: Scores, weak: Scores, routes: Routes):
    needed = routes["oracle"]
    thin = [{c: np.full_like(m, np.nan) for c, m in scores.items() if c in needed} for scores in (strong, weak)]
    for i, c in enumerate(needed):
        thin[0][c][i], thin[1][c][i] = strong[c][i], weak[c][i]
    found = margins_of(VARIANTS["cdr-adaptive-oracle"], thin[0], thin[1], routes)
    assert (found == margins_of(VARIANTS["cdr-adaptive-oracle"], strong, weak, routes)).all()


@pytest.mark.parametrize("name", VARIANTS)
@given(strong=MATRICES, weak=MATRICES, routes=ROUTES, data=st.data())
def test_an_item_is_unscored_exactly_where_a_term_is(
    name: str, strong: Scores, weak: Scores, routes: Routes, data: st.DataObject
):
    role = data.draw(st.sampled_from(["strong", "weak"]))
    conditioning = data.draw(st.sampled_from(CONDITIONINGS))
    row, column = data.draw(st.integers(0, ITEMS - 1)), data.draw(st.integers(0, 1))
    (strong if role == "strong" else weak)[conditioning][row, column] = np.nan
    variant = VARIANTS[name]
    used = set[tuple[str, str]]()
    for term in variant.terms:
        kind, _, route = term.conditioning.partition(":")
        used.add((term.role, routes[route][row] if kind == "route" else term.conditioning))
    margin = margins_of(variant, strong, weak, routes)
    assert np.isnan(margin).tolist() == [i == row and (role, conditioning) in used for i in range(ITEMS)]
    assert np.isnan(credit(margin)).tolist() == np.isnan(margin).tolist()


def language_model(name: str) -> Callable[[Conversation], float]:
    """A log-probability that is a function of the model's name and of every character of the conversation."""

    def logprob(conversation: Conversation) -> float:
        digest = sha256(repr((name, conversation.messages, conversation.response)).encode()).digest()
        return -int.from_bytes(digest[:3], "big") / 2**10

    return logprob


def test_margins_of_whole_texts_are_those_of_the_reference_formulas():
    items = [
        Item.preference(str(n), "all", (Turn(role="user", content=f"Question {n}?"),), f"good {n}", f"bad {n}")
        for n in range(ITEMS)
    ]
    models: dict[Role, Callable[[Conversation], float]] = {"strong": language_model("s"), "weak": language_model("w")}
    roles: dict[Role, Scores] = {
        role: {
            c: np.array([[model(condition(i, side, c, CRITERIA, 5)) for side in SIDES] for i in items])
            for c in CONDITIONINGS
        }
        for role, model in models.items()
    }

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

    found = {name: margins(rewards(VARIANTS[name], roles, {})) for name in VARIANTS if "adaptive" not in name}
    label_a, label_b = CRITERIA.judge.labels
    for n, item in enumerate(items):
        x, good, bad = item.prompt[0]["content"], item.chosen, item.rejected

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
