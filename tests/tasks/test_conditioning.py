"""What each conditioning makes of an item, against texts put together by hand."""

from collections import Counter

import pytest
from cdr_eval.tasks.conditioning import (
    EMPTY,
    IDENTITY,
    Conditioning,
    Conversation,
    conditioning_of_domain,
    conversations,
    routing_conversations,
)
from cdr_eval.tasks.criteria import DEFAULT_CRITERIA, Criteria, Demonstration, Domain, Judge, Router, load_criteria
from cdr_eval.tasks.item import Item, Turn
from hypothesis import given
from hypothesis import strategies as st

SAFETY = Conditioning("criteria", "safety")
FIRST, SECOND = Conditioning("judge-first", "safety"), Conditioning("judge-second", "safety")
DEMONSTRATIONS = tuple(Demonstration(query=f"q{i}", good=f"g{i}", bad=f"b{i}", why=f"w{i}") for i in range(5))
CRITERIA = Criteria(
    domains={
        "safety": Domain(instruction="Be safe.", demonstrations=DEMONSTRATIONS),
        "terse": Domain(instruction="Costs $5.", demonstrations=DEMONSTRATIONS[:1]),
    },
    layout="$instruction|$example_query|$example_good|$example_bad|$example_why|$query|A $$ now:",
    routes={},
    router=Router(layout="Which? $query", labels={"SAFETY": "safety", "CHAT": None}),
    judge=Judge(layout="$instruction Q: $query A: $response_a B: $response_b", labels=("1st", "2nd")),
)
TEXT = st.text(st.characters(exclude_characters="|", exclude_categories=["Cs"]), min_size=1, max_size=12)
PROMPTS = st.lists(st.tuples(st.sampled_from(["system", "user", "assistant"]), TEXT), max_size=3).flatmap(
    lambda turns: TEXT.map(lambda last: tuple(Turn(role=r, content=c) for r, c in (*turns, ("user", last))))
)
ITEMS = st.builds(Item.preference, id=TEXT, subset=TEXT, prompt=PROMPTS, chosen=TEXT, rejected=TEXT)


def item(query: str = "Why?", name: str = "1") -> Item:
    return Item.preference(name, "all", (Turn(role="user", content=query),), "Because.", "No.")


def pair(item: Item, conditioning: Conditioning, criteria: Criteria = CRITERIA, seed: int = 0) -> list[Conversation]:
    """The one conversation of each of two responses."""
    chosen, rejected = conversations(item, conditioning, criteria, seed)
    return [*chosen, *rejected]


def last_turn(conversation: Conversation) -> str:
    assert conversation.messages[-1]["role"] == "user"
    return conversation.messages[-1]["content"]


@given(ITEMS)
def test_identity_and_the_empty_prompt(item: Item):
    assert pair(item, IDENTITY) == [Conversation(item.prompt, response) for response in item.responses]
    for empty, response in zip(pair(item, EMPTY), item.responses, strict=True):
        assert empty.messages == ({"role": "user", "content": ""},)
        assert empty.response == response


@given(ITEMS, st.integers(0, 3))
def test_criteria_wrap_the_last_user_turn_and_nothing_else(item: Item, seed: int):
    chosen, rejected = pair(item, SAFETY, seed=seed)
    assert chosen.messages == rejected.messages
    assert (chosen.response, rejected.response) == item.responses
    assert chosen.messages[:-1] == item.prompt[:-1]
    query = item.prompt[-1]["content"]
    texts = [f"Be safe.|q{i}|g{i}|b{i}|w{i}|{query}|A $ now:" for i in range(5)]
    assert last_turn(chosen) in texts


@given(ITEMS, st.integers(0, 1000))
def test_the_demonstration_is_a_function_of_seed_and_item_id(item: Item, seed: int):
    same_id = Item.preference(item.id, "other", (Turn(role="user", content="other"),), "x", "y")
    texts = [last_turn(pair(i, SAFETY, seed=seed)[0]) for i in (item, same_id)]
    assert texts[0].split("|")[1:5] == texts[1].split("|")[1:5]


def test_demonstrations_are_drawn_uniformly_and_change_with_the_seed():
    def draws(seed: int) -> list[str]:
        items = (item(name=str(n)) for n in range(4000))
        return [last_turn(pair(i, SAFETY, seed=seed)[0]).split("|")[1] for i in items]

    counts = Counter(draws(0))
    assert sorted(counts) == ["q0", "q1", "q2", "q3", "q4"]
    assert all(abs(count - 800) < 5 * (4000 * 0.2 * 0.8) ** 0.5 for count in counts.values())
    agree = sum(a == b for a, b in zip(draws(0), draws(1), strict=True))
    assert abs(agree - 800) < 5 * (4000 * 0.2 * 0.8) ** 0.5


def test_dollar_signs_of_users_are_no_placeholders():
    query = "Is $query $5 or $$5, ${instruction}?"
    asked = Item.preference("1", "all", (Turn(role="user", content=query),), "$why", "${x}")
    assert last_turn(pair(asked, SAFETY)[0]).split("|")[5] == query
    judged = last_turn(pair(asked, FIRST)[0])
    assert judged == f"Be safe. Q: {query} A: $why B: ${{x}}"
    assert last_turn(routing_conversations(asked, CRITERIA)["CHAT"]) == f"Which? {query}"


def test_the_judge_sees_both_orders_and_answers_with_the_label_of_the_response_in_question():
    orders = {"first": pair(item(), FIRST), "second": pair(item(), SECOND)}
    shown = {(side, o): both[n] for n, side in enumerate(("chosen", "rejected")) for o, both in orders.items()}
    chosen_first = "Be safe. Q: Why? A: Because. B: No."
    rejected_first = "Be safe. Q: Why? A: No. B: Because."
    texts = {case: (last_turn(conversation), conversation.response) for case, conversation in shown.items()}
    assert texts == {
        ("chosen", "first"): (chosen_first, "1st"),
        ("rejected", "first"): (rejected_first, "1st"),
        ("chosen", "second"): (rejected_first, "2nd"),
        ("rejected", "second"): (chosen_first, "2nd"),
    }


def test_turns_before_the_last_stand_before_the_judges_question_and_not_before_the_routers():
    turns = (Turn(role="user", content="a"), Turn(role="assistant", content="b"), Turn(role="user", content="c"))
    asked = Item.preference("1", "all", turns, "x", "y")
    assert pair(asked, FIRST)[0].messages[:-1] == turns[:-1]
    assert routing_conversations(asked, CRITERIA)["SAFETY"].messages == ({"role": "user", "content": "Which? c"},)


def test_routing_scores_one_conversation_a_label():
    asked = routing_conversations(item(), CRITERIA)
    assert {label: c.response for label, c in asked.items()} == {"SAFETY": "SAFETY", "CHAT": "CHAT"}
    assert len({last_turn(c) for c in asked.values()}) == 1
    assert routing_conversations(item(), CRITERIA.model_copy(update={"router": None})) == {}


def test_a_domain_stands_for_its_criteria_and_none_for_the_prompt_as_it_is():
    assert conditioning_of_domain("safety") == SAFETY
    assert conditioning_of_domain(None) == IDENTITY


@pytest.mark.parametrize("unknown", [Conditioning("criteria", "nope"), Conditioning("judge-first", "nope")])
def test_domains_that_the_criteria_do_not_declare_are_errors(unknown: Conditioning):
    with pytest.raises(KeyError):
        conversations(item(), unknown, CRITERIA, 0)


def test_with_n_responses_the_judge_compares_each_with_every_other_one():
    asked = Item("1", "all", (Turn(role="user", content="Why?"),), ("x", "y", "z"), (2.0, 1.0, 0.0))
    shown = conversations(asked, FIRST, CRITERIA, 0)
    assert [[last_turn(c).partition("? ")[2] for c in row] for row in shown] == [
        ["A: x B: y", "A: x B: z"],
        ["A: y B: x", "A: y B: z"],
        ["A: z B: x", "A: z B: y"],
    ]


def test_the_real_criteria_give_a_prompt_in_the_order_instruction_example_query_cue():
    criteria = load_criteria(DEFAULT_CRITERIA)
    for name, domain in criteria.domains.items():
        text = last_turn(pair(item("WHY-IS-IT?"), Conditioning("criteria", name), criteria)[0])
        example = next(d for d in domain.demonstrations if d.query in text)
        parts = [domain.instruction, example.query, example.good, example.bad, example.why, "WHY-IS-IT?"]
        places = [text.index(part) for part in parts]
        assert places == sorted(places)
        assert "$" not in text.replace("$$", "")
        assert len(text) > places[-1] + len("WHY-IS-IT?")
