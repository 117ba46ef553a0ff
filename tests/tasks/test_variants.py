"""Every variant's terms against the table of reward variants, written out by hand."""

import pytest
from cdr_eval.errors import UserError
from cdr_eval.tasks.conditioning import EMPTY, IDENTITY, Conditioning
from cdr_eval.tasks.criteria import DEFAULT_CRITERIA, Criteria, load_criteria
from cdr_eval.tasks.variants import Route, Variant, declare_variants, select_variants

DOMAINS = ("safety", "code-math", "chat-hard")

SAFETY, CODE_MATH, CHAT_HARD = (Conditioning("criteria", domain) for domain in DOMAINS)
FIRST = {domain: Conditioning("judge-first", domain) for domain in DOMAINS}
SECOND = {domain: Conditioning("judge-second", domain) for domain in DOMAINS}

# Name → {(role, conditioning): coefficient}, one row for each row of the paper's reward table.
TABLE: dict[str, dict[tuple[str, Conditioning | Route], float]] = {
    "vanilla": {("strong", IDENTITY): 1, ("weak", IDENTITY): -1},
    "likelihood": {("strong", IDENTITY): 1},
    "cdr-safety": {("strong", SAFETY): 1, ("weak", SAFETY): -1},
    "cdr-code-math": {
        ("strong", CODE_MATH): 1,
        ("weak", CODE_MATH): -1,
    },
    "cdr-chat-hard": {
        ("strong", CHAT_HARD): 1,
        ("weak", CHAT_HARD): -1,
    },
    "cdr-adaptive-oracle": {("strong", Route("oracle")): 1, ("weak", Route("oracle")): -1},
    "cdr-adaptive-oracle-chat-hard": {
        ("strong", Route("oracle-chat-hard")): 1,
        ("weak", Route("oracle-chat-hard")): -1,
    },
    "cdr-adaptive-router": {("strong", Route("router")): 1, ("weak", Route("router")): -1},
    "prompt-delta-safety": {("strong", SAFETY): 1, ("strong", IDENTITY): -1},
    "prompt-delta-code-math": {("strong", CODE_MATH): 1, ("strong", IDENTITY): -1},
    "prompt-delta-chat-hard": {("strong", CHAT_HARD): 1, ("strong", IDENTITY): -1},
    "pmi-safety": {
        ("strong", SAFETY): 1,
        ("strong", EMPTY): -1,
        ("weak", SAFETY): -1,
        ("weak", EMPTY): 1,
    },
    "pmi-code-math": {
        ("strong", CODE_MATH): 1,
        ("strong", EMPTY): -1,
        ("weak", CODE_MATH): -1,
        ("weak", EMPTY): 1,
    },
    "pmi-chat-hard": {
        ("strong", CHAT_HARD): 1,
        ("strong", EMPTY): -1,
        ("weak", CHAT_HARD): -1,
        ("weak", EMPTY): 1,
    },
    "judge-safety": {
        ("strong", FIRST["safety"]): 0.5,
        ("strong", SECOND["safety"]): 0.5,
    },
    "judge-code-math": {
        ("strong", FIRST["code-math"]): 0.5,
        ("strong", SECOND["code-math"]): 0.5,
    },
    "judge-chat-hard": {
        ("strong", FIRST["chat-hard"]): 0.5,
        ("strong", SECOND["chat-hard"]): 0.5,
    },
}
# Route → section → domain; sections that are not named keep the identity.
ROUTES = {
    "oracle": {"Safety": "safety", "Reasoning": "code-math"},
    "oracle-chat-hard": {
        "Safety": "safety",
        "Reasoning": "code-math",
        "Chat": "chat-hard",
        "Chat Hard": "chat-hard",
    },
}


@pytest.fixture(scope="module")
def criteria() -> Criteria:
    return load_criteria(DEFAULT_CRITERIA)


@pytest.fixture(scope="module")
def declared(criteria: Criteria) -> dict[str, Variant]:
    return declare_variants(criteria)


def test_there_are_these_variants_and_no_others(declared: dict[str, Variant]):
    assert set(declared) == set(TABLE)
    assert all(name == variant.name for name, variant in declared.items())


@pytest.mark.parametrize("name", TABLE)
def test_terms_are_those_of_the_table(declared: dict[str, Variant], name: str):
    terms = declared[name].terms
    assert {(term.role, term.conditioning): term.coefficient for term in terms} == TABLE[name]
    assert len(terms) == len(TABLE[name])
    assert declared[name].uses_weak == any(role == "weak" for role, _ in TABLE[name])
    assert declared[name].uses_router == (name == "cdr-adaptive-router")


def test_routes_of_the_default_criteria(criteria: Criteria):
    assert {name: dict(sections) for name, sections in criteria.routes.items()} == ROUTES
    assert criteria.router is not None
    assert criteria.router.labels == {"SAFETY": "safety", "REASONING": "code-math", "CHAT": None}


def test_domains_of_a_users_criteria_give_variants_of_their_own(criteria: Criteria):
    domains = {"legal": criteria.domains["safety"]}
    own = criteria.model_copy(update={"domains": domains, "routes": {"mine": {"Safety": "legal"}}, "router": None})
    names = ["vanilla", "likelihood", "cdr-legal", "cdr-adaptive-mine"]
    names += ["prompt-delta-legal", "pmi-legal", "judge-legal"]
    assert list(declare_variants(own)) == names


def test_selection_keeps_the_declared_order_and_takes_each_once(declared: dict[str, Variant]):
    assert [v.name for v in select_variants(["pmi-safety", "vanilla", "pmi-safety"], declared)] == [
        "vanilla",
        "pmi-safety",
    ]
    assert select_variants(["all"], declared) == tuple(declared.values())
    assert select_variants(["vanilla", "all"], declared) == tuple(declared.values())


@pytest.mark.parametrize(
    ("asked", "near"), [("vanila", "vanilla"), ("cdr-saftey", "cdr-safety"), ("zzz", "likelihood")]
)
def test_an_unknown_variant_is_refused_with_near_names(declared: dict[str, Variant], asked: str, near: str):
    with pytest.raises(UserError, match=f"no reward variant '{asked}'; did you mean .*{near}"):
        select_variants(["vanilla", asked], declared)


def test_a_misspelt_variant_beside_all_is_refused_too(declared: dict[str, Variant]):
    with pytest.raises(UserError, match="no reward variant 'vanila'"):
        select_variants(["all", "vanila"], declared)


@pytest.mark.parametrize("names", [[], [""]])
def test_no_variant_at_all_is_refused(declared: dict[str, Variant], names: list[str]):
    with pytest.raises(UserError):
        select_variants(names, declared)
