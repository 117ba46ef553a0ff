"""The shapes in which N responses come, each to the item that it means; and sequences of any values."""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from cdr_eval.errors import UserError
from cdr_eval.tasks.catalog import load_task
from cdr_eval.tasks.item import MAX_RESPONSES, Item, Turn
from cdr_eval.tasks.items import Items
from cdr_eval.tasks.reading.guess import parse_named
from cdr_eval.tasks.reading.items import read_plain
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

FUZZ = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
Q = {"prompt": "Name a river."}
USER = Turn(role="user", content="Name a river.")
ABC = ["The Rhine.", "The Elbe.", "No."]


def write(path: Path, *rows: object) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(path)


def only(path: Path, row: Mapping[str, object], *columns: str) -> Item:
    (item,) = read_plain(write(path / "p.jsonl", row), parse_named(columns))
    return item


TEXTS = [{"text": text, "score": score} for text, score in zip(ABC, (2, 0.5, 1), strict=True)]

COMPLETIONS = [{"response": entry["text"], "overall_score": entry["score"]} for entry in TEXTS]


@pytest.mark.parametrize(
    ("row", "grades"),
    [
        (Q | {"chosen": ABC[:1], "rejected": ABC[1:]}, (1, 0, 0)),
        (Q | {"chosen": ABC[:2], "rejected": ABC[2]}, (1, 1, 0)),
        (Q | {"responses": ABC, "grades": [2, 0.5, 1]}, (2, 0.5, 1)),
        (Q | {"responses": ABC, "scores": ["2", "0.5", "1"]}, (2, 0.5, 1)),
        (Q | {"responses": ABC, "ranks": [1, 3, 2]}, (-1, -3, -2)),
        (Q | {"responses": ABC, "best": 1}, (0, 1, 0)),
        (Q | {"responses": ABC}, ()),
        (Q | {"responses": ABC, "scores": [None, None, None]}, ()),
        (Q | {"responses": TEXTS}, (2, 0.5, 1)),
        (Q | {"responses": [[{"role": "assistant", "content": text}] for text in ABC], "best": 0}, (1, 0, 0)),
        ({"instruction": Q["prompt"], "completions": COMPLETIONS}, (2, 0.5, 1)),
        (Q | {"answers": [{"answer": t, "rank": r} for t, r in zip(ABC, (1, 3, 2), strict=True)]}, (-1, -3, -2)),
        (Q | {"all_generated_responses": ABC, "all_rm_scores": [2, 0.5, 1]}, (2, 0.5, 1)),
        ({"instruction": Q["prompt"], "generations": ABC, "ratings": [2, 0.5, 1]}, (2, 0.5, 1)),
        (Q | {"response_1": ABC[0], "response_2": ABC[1], "response_3": ABC[2], "scores": [2, 0.5, 1]}, (2, 0.5, 1)),
    ],
)  # fmt: skip
def test_three_responses_in_every_shape(tmp_path: Path, row: Mapping[str, object], grades: tuple[float, ...]) -> None:
    item = only(tmp_path, row)
    assert item.prompt == (USER,)
    assert list(item.responses) == ABC
    assert item.grades == grades


@pytest.mark.parametrize(
    ("row", "better"),
    [
        ({"response_A": "a", "response_B": "b", "label": "A>B"}, 0),
        ({"response_A": "a", "response_B": "b", "label": "B>A"}, 1),
        ({"response_1": "a", "response_2": "b", "winner": "model_b"}, 1),
        ({"response1": "a", "response2": "b", "overall_preference": -3}, 0),
        ({"response1": "a", "response2": "b", "overall_preference": 1}, 1),
        ({"response_1": "a", "response_2": "b", "preference_strength": 2}, 1),
        ({"output_1": "a", "output_2": "b", "label": 2}, 1),
        ({"output_1": "a", "output_2": "b", "preference": "first"}, 0),
    ],
)
def test_two_responses_with_a_label_keep_the_order_of_the_file(
    tmp_path: Path, row: Mapping[str, object], better: int
) -> None:
    item = only(tmp_path, {**Q, **row})
    assert item.responses == ("a", "b")
    assert item.grades == ((1, 0), (0, 1))[better]


def test_labels_counted_from_0_or_from_1_are_told_apart_by_the_file_as_a_whole(tmp_path: Path) -> None:
    def grades(*labels: int) -> list[tuple[float, ...]]:
        rows = [Q | {"output_1": "a", "output_2": f"b{n}", "label": label} for n, label in enumerate(labels)]
        return [item.grades for item in read_plain(write(tmp_path / "p.jsonl", *rows))]

    assert grades(0, 1, 0) == [(1, 0), (0, 1), (1, 0)]
    assert grades(1, 2, 1) == [(1, 0), (0, 1), (1, 0)]
    assert grades(1, 2, 0) == [(1, 0), (0, 1)], "0 beside 1 and 2 is a tie"
    with pytest.raises(UserError, match=r"`label` holds nothing but 1 .*rows: 64.*: mix the rows, or write A for"):
        grades(*[1] * 70, *[0] * 70)


@pytest.mark.parametrize(("labels", "meaning"), [
    ((0, 1), " (0 first, 1 second)"), ((2, 1), " (0 tie, 1 first, 2 second)"), (("A>B", "B>A"), ""),
])  # fmt: skip
def test_what_the_numbers_of_a_label_are_taken_to_mean_is_told(
    tmp_path: Path, labels: tuple[object, ...], meaning: str
) -> None:
    rows = [Q | {"response_a": "a", "response_b": "b", "label": label} for label in labels]
    reading = load_task(write(tmp_path / "p.jsonl", *rows)).reading
    assert reading.taken_for == f"responses in `response_a`, `response_b`, the winner in `label`{meaning}"


def test_a_named_winner_is_read_as_one_that_is_found(tmp_path: Path) -> None:
    def grades(responses: str, *labels: object) -> list[tuple[float, ...]]:
        rows = [Q | {"x": "a", "y": "b", "z": f"c{n}", "says": label} for n, label in enumerate(labels)]
        named = parse_named([f"responses={responses}", "winner=says"])
        return [item.grades for item in read_plain(write(tmp_path / "p.jsonl", *rows), named)]

    assert grades("x+y", 1, 2) == grades("x+y", 0, 1) == grades("x+y", "A", "B") == [(1, 0), (0, 1)]
    assert grades("x+y", "A", "C") == [(1, 0)], "C beside A and B is a tie"
    assert grades("x+y+z", "A", "c", "tie", "B") == [(1, 0, 0), (0, 0, 1), (0, 1, 0)]
    with pytest.raises(UserError, match="`says` has the unknown label 'D'"):
        grades("x+y+z", "D")


def test_transcripts_become_turns(tmp_path: Path) -> None:
    before = "\n\nHuman: Hello?\n\nAssistant: Hi.\n\nHuman: A river?\n\nAssistant:"
    item = only(tmp_path, {"chosen": before + " The Rhine. ", "rejected": before + " No."})
    assert [turn["role"] for turn in item.prompt] == ["user", "assistant", "user"]
    assert item.prompt[-1]["content"] == "A river?"
    assert item.responses == ("The Rhine.", "No.")
    graded = only(
        tmp_path, {"prompt": before + " ", "answers": [{"answer": "x", "rank": 1}, {"answer": "y", "rank": 2}]}
    )
    assert graded.prompt == item.prompt
    for beside in (
        {"chosen": " The Rhine.", "rejected": " No."},
        {"chosen": before + " The Rhine.", "rejected": before + " No."},
    ):
        split = only(tmp_path, {"prompt": before, **beside})
        assert (split.prompt, split.responses) == (item.prompt, item.responses)


def test_columns_can_be_named(tmp_path: Path) -> None:
    row = {"q": "Name a river.", "good": "The Rhine.", "bad": "No."}
    assert only(tmp_path, row, "prompt=q", "chosen=good", "rejected=bad").responses == ("The Rhine.", "No.")
    several = {"q": "Name", "more": "a river.", "a": "x", "b": "y", "c": "z", "s": [1, 2, 3]}
    item = only(tmp_path, several, "prompt=q+more", "responses=a+b+c", "grades=s")
    assert (item.prompt[0]["content"], item.responses, item.grades) == ("Name\n\na river.", ("x", "y", "z"), (1, 2, 3))
    both = Q | {"chosen": "x", "rejected": "y", "all_generated_responses": ABC, "all_rm_scores": [2, 0.5, 1]}
    assert only(tmp_path, both).responses == ("x", "y"), "what is chosen and rejected comes first"
    assert only(tmp_path, both, "responses=all_generated_responses", "grades=all_rm_scores").grades == (2, 0.5, 1)


@pytest.mark.parametrize(("text", "sentence"), [
    ("question=prompt", "the roles are prompt, chosen"), ("prompt", "is not role=column"), ("prompt=", "is not role="),
    ("chosen=a+b", "names several columns for chosen"),
])  # fmt: skip
def test_a_wrong_columns_option_is_one_sentence(text: str, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        parse_named([text])


@pytest.mark.parametrize(
    ("row", "sentence"),
    [
        ({"responses": ["only one"]}, "has 1 responses; an item needs at least 2"),
        ({"responses": [str(n) for n in range(MAX_RESPONSES + 1)]}, "has 1,025 responses, over 1,024"),
        ({"responses": ABC, "grades": [1, 2]}, "`grades` has 2 entries for 3 responses"),
        ({"responses": ABC, "grades": [1, 2, "high"]}, "`grades` holds 'high', which is no number"),
        ({"responses": ABC, "grades": [1, 2, math.nan]}, "`grades` holds 'nan', which is no number"),
        ({"responses": ABC, "grades": [1, 2, math.inf]}, "`grades` holds 'inf', which is no number"),
        ({"responses": ABC, "grades": [1, 1, 1]}, "the grades of all responses are equal"),
        ({"responses": ABC, "best": 3}, "`best` must be the place of the best response, 0 to 2"),
        ({"responses": ["x", "x", "x"]}, "all 3 responses are equal"),
        ({"responses": ["x", " ", "y"]}, "the response in `responses`, number 2, is empty"),
        ({"responses": ["x", 3, "y"]}, "the response in `responses`, number 2, must be text"),
        ({"response_A": "x", "response_B": "y", "label": "C>D"}, "`label` has the unknown label 'C>D'"),
        ({"response_A": "x", "response_B": "y", "label": "tie"}, "`label` prefers no response"),
        ({"response_A": "x", "response_B": "x", "label": "A>B"}, "are equal; remove the row"),
    ],
)
def test_what_cannot_be_an_item_is_one_sentence(tmp_path: Path, row: Mapping[str, object], sentence: str) -> None:
    with pytest.raises(UserError) as error:
        load_task(write(tmp_path / "p.jsonl", {**Q, **row}))
    said = str(error.value)
    assert sentence in said
    assert "line 1" in said
    assert said.endswith(".")
    assert "\n" not in said


def test_the_largest_item_and_texts_that_stand_twice(tmp_path: Path) -> None:
    rows = [Q | {"responses": [str(n) for n in range(MAX_RESPONSES)]}, Q | {"responses": ["x", "y", "x", "x"]}]
    task = load_task(write(tmp_path / "p.jsonl", *rows))
    assert task.items.counts.tolist() == [MAX_RESPONSES, 4]
    assert task.reading.duplicates == 2
    assert all(math.isnan(grade) for grade in task.items.grades)


def test_the_rule_goes_by_the_grades(tmp_path: Path) -> None:
    assert load_task(write(tmp_path / "a.jsonl", Q | {"responses": ABC, "best": 1})).rule.name == "best"
    assert load_task(write(tmp_path / "b.jsonl", Q | {"responses": ABC, "scores": [3, 1, 2]})).rule.name == "pairwise"


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["text", "score", "rank", "a"]), inner),
    max_leaves=6,
)
NAMES = (
    "prompt", "instruction", "input", "question", "responses", "grades", "scores", "ranks", "best", "completions",
    "answers", "generations", "ratings", "response_A", "response_B", "response_1", "response_2", "label", "winner",
    "output_1", "output_2", "overall_preference", "pairs", "id", "subset", "problem", "chosen", "rejected",
)  # fmt: skip
plausible = (
    st.lists(st.text(max_size=4), max_size=4) | st.lists(st.floats() | st.integers(), max_size=4) | st.text(max_size=4)
)
rows = st.dictionaries(st.sampled_from(NAMES), values | plausible, max_size=7)


@FUZZ
@given(st.lists(rows, min_size=1, max_size=3))
def test_any_n_responses_give_items_or_a_sentence(tmp_path: Path, found: list[dict[str, Any]]) -> None:
    path = tmp_path / "p.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in found))
    reading = read_plain(str(path))
    try:
        items = Items(reading)
    except UserError as error:
        assert "\n" not in str(error)
        return
    for item in items:
        assert 2 <= len(item.responses) <= MAX_RESPONSES
        assert len(item.grades) in (0, len(item.responses))
        assert not item.grades or len({g for g in item.grades if not math.isnan(g)}) > 1
        assert item.prompt[-1]["role"] == "user"
    assert len(items) + len(reading.notes.left_out) == reading.notes.rows
