"""Row shapes, fault sentences, Parquet and hub folders, and any bytes at all."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from cdr_eval.errors import UserError
from cdr_eval.tasks.item import MAX_TEXT_CHARS, Item, content_hash
from cdr_eval.tasks.reading.items import read_plain
from cdr_eval.tasks.reading.text_files import MAX_LINE_BYTES
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

SYSTEM = {"role": "system", "content": "Be brief."}
USER = {"role": "user", "content": "Name a river."}
GOOD = {"role": "assistant", "content": "The Rhine."}
BAD = {"role": "assistant", "content": "No."}
PLAIN: dict[str, Any] = {"prompt": "Name a river.", "chosen": "The Rhine.", "rejected": "No."}
FUZZ = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def load_preferences(source: str) -> tuple[Item, ...]:
    """The items of a source whose columns are found by name."""
    return tuple(read_plain(source))


def write_jsonl(path: Path, *rows: object) -> str:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return str(path)


def fault(source: str | Path) -> str:
    """The sentence that a source is refused with."""
    with pytest.raises(UserError) as error:
        load_preferences(str(source))
    sentence = str(error.value)
    assert "\n" not in sentence
    assert sentence.endswith(".")
    return sentence


@pytest.mark.parametrize(
    ("row", "prompt"),
    [
        (PLAIN, [USER]),
        (PLAIN | {"prompt": [SYSTEM, USER]}, [SYSTEM, USER]),
        ({"chosen": [USER, GOOD], "rejected": [USER, BAD]}, [USER]),
        ({"chosen": [SYSTEM, USER, GOOD], "rejected": [SYSTEM, USER, BAD]}, [SYSTEM, USER]),
        ({"chosen": [USER, BAD, USER, GOOD], "rejected": [USER, BAD, USER, BAD]}, [USER, BAD, USER]),
        ({"prompt": "Name a river.", "chosen": [GOOD], "rejected": [BAD]}, [USER]),
        ({"prompt": [SYSTEM, USER], "chosen": [GOOD], "rejected": [BAD]}, [SYSTEM, USER]),
        ({"prompt": "Name a river.", "chosen": [SYSTEM, USER, GOOD], "rejected": [SYSTEM, USER, BAD]}, [SYSTEM, USER]),
        ({"prompt": [USER], "chosen": [USER, GOOD], "rejected": [USER, BAD]}, [USER]),
        ({"prompt": None, "chosen": [USER, GOOD], "rejected": [USER, BAD], "score": 7}, [USER]),
    ],
)
@pytest.mark.parametrize("suffix", [".jsonl", ".json", ".parquet"])
def test_every_row_shape_in_every_format(
    tmp_path: Path, row: Mapping[str, object], prompt: list[dict[str, str]], suffix: str
) -> None:
    path = tmp_path / f"prefs{suffix}"
    if suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist([dict(row)]), path)
    else:
        path.write_text(json.dumps(row if suffix == ".jsonl" else [row]))
    (item,) = load_preferences(str(path))
    assert list(item.prompt) == prompt
    assert (item.responses[0], item.responses[1]) == ("The Rhine.", "No.")
    assert (item.id, item.subset, item.problem) == ("1", "all", None)


def test_ids_subsets_and_problems(tmp_path: Path) -> None:
    rows = [
        PLAIN | {"id": "a", "subset": "s", "problem": 3},
        PLAIN | {"id": 7, "subset": "s", "problem": "three"},
        PLAIN | {"id": 7, "subset": "t"},
        PLAIN | {"id": 7},
        PLAIN,
    ]
    items = load_preferences(write_jsonl(tmp_path / "p.jsonl", *rows))
    assert [item.id for item in items] == ["a", "s-7", "t-7", "7", "5"]
    assert [item.subset for item in items] == ["s", "s", "t", "all", "all"]
    assert [item.problem for item in items] == ["3", "three", None, None, None]


def test_blank_lines_and_a_byte_order_mark_do_no_harm(tmp_path: Path) -> None:
    path = tmp_path / "p.jsonl"
    path.write_bytes(b"\xef\xbb\xbf" + json.dumps(PLAIN).encode() + b"\r\n\r\n  \n" + json.dumps(PLAIN).encode())
    assert [item.id for item in load_preferences(str(path))] == ["1", "4"]


@pytest.mark.parametrize(
    ("rows", "sentence"),
    [
        ([{"prompt": "q", "chosen": "a"}], r"line 1: there is no column `rejected`.*\(`prompt`, `chosen`\)"),
        (
            [{"question": "q", "chosen": "a", "rejected": "b"}],
            r"no column `prompt`.*\(`question`, `chosen`, `rejected`",
        ),
        ([{"prompt": "q", "rejected": "b"}], r"no column `chosen`"),
        ([{}], r"no column `prompt`.*\(none\)"),
        ([PLAIN, PLAIN | {"chosen": " \n"}], r"line 2: the response in `chosen` is empty"),
        ([PLAIN | {"rejected": ""}] * 3, r"line 1: the response in `rejected` is empty.*\(3 rows have this fault\)"),
        ([PLAIN | {"rejected": "The Rhine."}], r"`chosen` and `rejected` are equal; remove the row"),
        (
            [PLAIN | {"id": "x"}, PLAIN | {"id": "x"}],
            r"line 2: the id 'x' is also that of .*line 1; make ids unique",
        ),
        ([PLAIN | {"chosen": 3}], r"`chosen` must be text or a list"),
        ([PLAIN | {"rejected": None}], r"`rejected` must be text or a list"),
        ([PLAIN | {"prompt": {"a": 1}}], r"`prompt` must be text or a list"),
        ([PLAIN | {"prompt": [{"role": "user"}]}], r"`prompt` must be text or a list"),
        ([PLAIN | {"prompt": ["hello"]}], r"`prompt` must be text or a list"),
        ([PLAIN | {"id": 1.5}], r"`id` must be a whole number or a text"),
        ([PLAIN | {"id": True}], r"`id` must be a whole number or a text"),
        ([PLAIN | {"id": 2**64}], r"`id` must be a whole number or a text"),
        ([PLAIN | {"id": ""}], r"`id` must be a whole number or a text"),
        ([PLAIN | {"subset": 5}], r"`subset` must be a text"),
        ([PLAIN | {"subset": "s" * 201}], r"`subset` must be a text of 1 to 200 characters"),
        ([PLAIN | {"problem": [1]}], r"`problem` must be a whole number or a text"),
        ([PLAIN | {"prompt": " "}], r"the prompt must end with a turn of the user that is not empty"),
        ([PLAIN | {"prompt": [USER, GOOD]}], r"the prompt must end with a turn of the user"),
        ([{"chosen": [GOOD, GOOD], "rejected": [GOOD, BAD]}], r"the prompt must end with a turn of the user"),
        ([PLAIN | {"prompt": []}], r"must both be text with a `prompt`, or both be message lists"),
        ([PLAIN | {"chosen": [GOOD]}], r"must both be text with a `prompt`, or both be message lists"),
        ([PLAIN | {"prompt": [USER | {"role": "tool"}]}], r"`prompt` has the unknown role 'tool'; use system, user"),
        ([{"chosen": [USER, GOOD], "rejected": [SYSTEM, BAD]}], r"answer different prompts"),
        ([{"chosen": [USER, GOOD], "rejected": [USER]}], r"last turn of `rejected` must be the assistant's"),
        ([{"chosen": [], "rejected": []}], r"last turn of `chosen` must be the assistant's"),
        ([{"chosen": [GOOD], "rejected": [BAD]}], r"there is no prompt"),
        (
            [{"prompt": "Something else?", "chosen": [USER, GOOD], "rejected": [USER, BAD]}],
            r"the column `prompt` is not the prompt inside",
        ),
        (
            [{"prompt": [SYSTEM, USER], "chosen": [USER, GOOD], "rejected": [USER, BAD]}],
            r"the column `prompt` is not the prompt inside",
        ),
        ([PLAIN | {"chosen": "a" * (MAX_TEXT_CHARS + 1)}], r"`chosen` has 1,000,001 characters, over 1,000,000"),
        ([PLAIN | {"prompt": "a" * (MAX_TEXT_CHARS + 1)}], r"`prompt` has 1,000,001 characters, over 1,000,000"),
        (["just text"], r"line 1: a row must be an object"),
        ([[PLAIN]], r"line 1: a row must be an object"),
        ([None], r"line 1: a row must be an object"),
    ],
)
def test_a_faulty_row_is_named_with_its_line_and_how_to_mend_it(
    tmp_path: Path, rows: list[object], sentence: str
) -> None:
    path = write_jsonl(tmp_path / "p.jsonl", *rows)
    said = fault(path)
    assert path in said
    assert re.search(sentence, said), said


def test_the_first_faulty_row_is_named_and_its_like_are_counted(tmp_path: Path) -> None:
    rows = [PLAIN, PLAIN | {"chosen": ""}, PLAIN | {"id": True}, PLAIN | {"chosen": ""}, PLAIN | {"rejected": "x"}]
    said = fault(write_jsonl(tmp_path / "p.jsonl", *rows))
    assert "line 2: the response in `chosen` is empty" in said
    assert "(2 rows have this fault)" in said


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("p.jsonl", b'{"prompt": "q", \n', r"p\.jsonl, line 1: this is not valid JSON"),
        ("p.jsonl", b"\n" + b'{"prompt": "\xff"}', r"p\.jsonl, line 2: the text is not UTF-8; save"),
        ("p.jsonl", b'{"prompt": "\\ud800", "chosen": "a", "rejected": "b"}', r"line 1: this is not valid JSON"),
        ("p.jsonl", b"[" * 100_000, r"line 1: this is not valid JSON \(recursion"),
        ("p.jsonl", b'{"id": ' + b"1" * 5000 + b"}", r"line 1: this is not valid JSON"),
        ("p.jsonl", b"", r"holds no rows"),
        ("p.jsonl", b"\n \n", r"holds no rows"),
        ("p.json", b"[]", r"holds no rows"),
        ("p.json", b"", r"p\.json: this is not valid JSON"),
        ("p.json", b'{"prompt": "q"}', r"must hold a list of rows"),
        ("p.json", b"[3]", r"p\.json, row 1: a row must be an object"),
        ("p.json", b'[{"prompt": "q", "chosen": "a"}]', r"p\.json, row 1: there is no column `rejected`"),
        ("p.parquet", b"no parquet", r"p\.parquet is not valid Parquet"),
        ("p.parquet", b"", r"p\.parquet is not valid Parquet"),
        ("p.txt", b"prompt,chosen,rejected\n", r"unknown suffix: convert it to one of \.jsonl, \.json, \.parquet"),
        ("p", b"", r"unknown suffix"),
    ],
)
def test_a_file_that_cannot_be_read(tmp_path: Path, name: str, content: bytes, sentence: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    assert re.search(sentence, fault(path))


def test_what_is_no_file(tmp_path: Path) -> None:
    assert "There is no file" in fault(tmp_path / "absent.jsonl")
    assert "neither a file nor the name of a dataset" in fault("absent")
    assert "neither a file nor the name of a dataset" in fault("a/b/c/d")
    (tmp_path / "folder.jsonl").mkdir()
    assert "Cannot read" in fault(tmp_path / "folder.jsonl")


def test_an_endless_line_is_refused_after_the_limit(tmp_path: Path) -> None:
    path = tmp_path / "p.jsonl"
    with path.open("wb") as file:
        file.truncate(50 * MAX_LINE_BYTES)  # a sparse file: one line of 800 MiB that takes no room on the disk
    assert re.search(r"line 1: the line is longer than 16,777,216 bytes", fault(path))


def test_large_json_and_parquet_are_refused_with_the_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with (tmp_path / "p.json").open("wb") as file:
        file.truncate(2**28 + 1)
    assert "larger than 268,435,456 bytes: convert it" in fault(tmp_path / "p.json")
    monkeypatch.setattr("cdr_eval.tasks.reading.tables.MAX_ROW_GROUP_BYTES", 1000)
    pq.write_table(pa.Table.from_pylist([PLAIN | {"chosen": "x" * 2000}]), tmp_path / "p.parquet")
    assert "row groups over 1,000 bytes: write it with smaller ones" in fault(tmp_path / "p.parquet")


def test_a_folder_with_a_clone_of_a_hub_dataset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    data = tmp_path / "some-org" / "some.data-set" / "data"
    data.mkdir(parents=True)
    pq.write_table(pa.Table.from_pylist([PLAIN | {"id": 4}] * 1), data / "filtered-00000-of-00001.parquet")
    pq.write_table(pa.Table.from_pylist([PLAIN, PLAIN]), data / "raw-00000-of-00001.parquet")
    (item,) = load_preferences("some-org/some.data-set:filtered")
    assert item == Item.preference("4", "all", ({"role": "user", "content": "Name a river."},), "The Rhine.", "No.")
    assert len(load_preferences("some-org/some.data-set:raw")) == 2
    assert "has the splits filtered, raw: name one, as in some-org/some.data-set:" in fault("some-org/some.data-set")
    said = fault("some-org/some.data-set:absent")
    assert "The dataset some-org/some.data-set:absent is not in the local hub cache" in said
    assert "or a local file" in said


def test_the_hub_is_not_reached_in_offline_mode(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("datasets.config.HF_HUB_OFFLINE", True)
    said = fault("no-such-org/no-such-set:train@main")
    assert "The dataset no-such-org/no-such-set:train@main is not in the local hub cache" in said
    assert "use --task minilab, which needs no network, or a local file" in said


texts = st.text(st.characters(codec="utf-8"), min_size=1, max_size=30).filter(str.strip)
pairs = st.lists(st.tuples(texts, texts, texts).filter(lambda t: t[1] != t[2]), min_size=1, max_size=6)


@FUZZ
@given(pairs)
def test_every_format_gives_the_same_items(tmp_path: Path, triples: list[tuple[str, str, str]]) -> None:
    rows = [
        {"prompt": prompt, "chosen": chosen, "rejected": rejected, "id": f"i{n}", "subset": "s", "problem": None}
        for n, (prompt, chosen, rejected) in enumerate(triples)
    ]
    write_jsonl(tmp_path / "p.jsonl", *rows)
    (tmp_path / "p.json").write_text(json.dumps(rows))
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "p.parquet")
    expected = tuple(
        Item.preference(f"i{n}", "s", ({"role": "user", "content": prompt},), chosen, rejected)
        for n, (prompt, chosen, rejected) in enumerate(triples)
    )
    for suffix in ("jsonl", "json", "parquet"):
        assert load_preferences(str(tmp_path / f"p.{suffix}")) == expected


def test_real_data_survives_parquet(tmp_path: Path, rebuilt: Path) -> None:
    items = load_preferences(str(rebuilt))
    rows = [json.loads(line) for line in rebuilt.read_text(encoding="utf-8").splitlines()]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "p.parquet", row_group_size=500)
    again = load_preferences(str(tmp_path / "p.parquet"))
    assert len(items) == 1842
    assert again == items
    assert content_hash(again) == content_hash(items)


def test_content_hash_depends_on_every_field_and_the_order() -> None:
    item = Item.preference("a", "s", ({"role": "user", "content": "q"},), "c", "r")
    others = [
        Item.preference("b", "s", item.prompt, "c", "r"),
        Item.preference("a", "t", item.prompt, "c", "r"),
        Item.preference("a", "s", ({"role": "system", "content": "q"},), "c", "r"),
        Item.preference("a", "s", item.prompt, "r", "c"),
        Item.preference("a", "s", item.prompt, "c", "r", "p"),
        Item.preference("a", "s", item.prompt, "ç", "r"),
    ]
    hashes = {content_hash([item]), *(content_hash([other]) for other in others), content_hash([])}
    assert len(hashes) == len(others) + 2
    assert content_hash([item, others[0]]) != content_hash([others[0], item])
    assert content_hash(iter([item])) == content_hash((item,))
    assert re.fullmatch("[0-9a-f]{64}", content_hash([item]))


def items_or_sentence(path: Path) -> None:
    try:
        items = load_preferences(str(path))
    except UserError as error:
        assert str(error)
        return
    assert len({item.id for item in items}) == len(items) > 0
    for item in items:
        assert item.prompt[-1]["role"] == "user"
        assert all(text.strip() for text in item.responses)
        assert 2 <= len(item.responses) <= 1024
        assert len(set(item.responses)) > 1
    assert content_hash(items)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
turns = st.lists(
    st.fixed_dictionaries(
        {"role": st.sampled_from(["system", "user", "assistant", "tool"]), "content": st.text(max_size=4) | json_values}
    ),
    max_size=4,
)
rows = st.fixed_dictionaries(
    {},
    optional={
        "prompt": st.text(max_size=4) | turns | json_values,
        "chosen": st.text(max_size=4) | turns | json_values,
        "rejected": st.text(max_size=4) | turns | json_values,
        "id": json_values,
        "subset": json_values,
        "problem": json_values,
    },
)


@FUZZ
@given(st.sampled_from(["jsonl", "json", "parquet"]), st.binary(max_size=300))
def test_any_bytes_give_items_or_a_sentence(tmp_path: Path, suffix: str, content: bytes) -> None:
    path = tmp_path / f"p.{suffix}"
    path.write_bytes(content)
    items_or_sentence(path)


@FUZZ
@given(st.lists(rows | json_values, max_size=4))
def test_any_json_gives_items_or_a_sentence(tmp_path: Path, values: list[object]) -> None:
    (tmp_path / "p.jsonl").write_text("".join(json.dumps(value) + "\n" for value in values))
    items_or_sentence(tmp_path / "p.jsonl")


@FUZZ
@given(st.data())
def test_damaged_parquet_gives_items_or_a_sentence(tmp_path: Path, data: st.DataObject) -> None:
    path = tmp_path / "p.parquet"
    pq.write_table(pa.Table.from_pylist([PLAIN | {"id": n} for n in range(5)]), path)
    content = bytearray(path.read_bytes())
    places = st.integers(0, len(content) - 1)
    for place, value in data.draw(st.lists(st.tuples(places, st.integers(0, 255)), min_size=1, max_size=4)):
        content[place] = value
    path.write_bytes(content[: data.draw(st.sampled_from([len(content), len(content) // 2]))])
    items_or_sentence(path)
