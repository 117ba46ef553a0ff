"""Preference data in the shapes that trainers' users have it."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from cdr_eval.errors import UserError
from cdr_eval.harness.tuning.pairs import read_preferences
from cdr_eval.tasks.item import prompt_hash

ASKED = {"role": "user", "content": "Why?"}
WANTED = {
    "prompt": [ASKED],
    "chosen": [{"role": "assistant", "content": "So."}],
    "rejected": [{"role": "assistant", "content": "No."}],
    "weight": 1.0,
}
YES, NO = WANTED["chosen"][0], WANTED["rejected"][0]
SHAPES = {
    "texts": {"prompt": "Why?", "chosen": "So.", "rejected": "No."},
    "prompt and answers as turns": {"prompt": [ASKED], "chosen": [YES], "rejected": [NO]},
    "whole conversations": {"chosen": [ASKED, YES], "rejected": [ASKED, NO]},
    "prompt as text beside conversations": {"prompt": "Why?", "chosen": [ASKED, YES], "rejected": [ASKED, NO]},
    "transcripts": {"chosen": "\n\nHuman: Why?\n\nAssistant: So.", "rejected": "\n\nHuman: Why?\n\nAssistant: No."},
    "two responses and a winner": {"prompt": "Why?", "response_a": "No.", "response_b": "So.", "winner": "b"},
    "responses with grades": {"prompt": "Why?", "responses": ["No.", "So."], "scores": [1, 4.5]},
}


def write(path, *rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


@pytest.mark.parametrize("shape", SHAPES)
def test_every_shape_becomes_turns(tmp_path, shape):
    found = read_preferences(write(tmp_path / "pairs.jsonl", SHAPES[shape]))
    assert found.rows == (WANTED,)
    assert found.paired


def test_of_a_data_set_folder_the_training_files_are_read(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "README.md").write_text("---\n---\n")
    for split, answer in (("train", "So."), ("test", "Never.")):
        table = pa.Table.from_pylist([SHAPES["texts"] | {"chosen": answer, "weight": 0.5}])
        pq.write_table(table, tmp_path / "data" / f"{split}-00000-of-00001.parquet")
    found = read_preferences(str(tmp_path), "weight")
    assert found.rows == (WANTED | {"weight": 0.5},)


def test_rows_that_are_no_pair_are_left_out_and_counted(tmp_path):
    rows = [SHAPES["texts"] | {"prompt": f"Why {k}?"} for k in range(40)]
    found = read_preferences(write(tmp_path / "p.jsonl", *rows, SHAPES["texts"] | {"chosen": "No."}))
    assert len(found.rows) == 40
    assert found.notes == ("1 rows of 41 were left out: equal responses 1.",)


def test_weights_are_divided_by_their_mean_where_that_is_wished(tmp_path):
    rows = [SHAPES["texts"] | {"w": w} for w in (0, 0.25, 0.5)]
    path = write(tmp_path / "p.jsonl", *rows)
    assert [row["weight"] for row in read_preferences(path, "w").rows] == [0, 0.25, 0.5]
    assert [row["weight"] for row in read_preferences(path, "w", normalise=True).rows] == [0, 1, 2]
    hashes = {read_preferences(path, "w", normalise=n).content_hash for n in (True, False)}
    assert len(hashes | {read_preferences(path).content_hash}) == 3


def test_a_column_of_weights_that_is_not_used_is_mentioned(tmp_path):
    found = read_preferences(write(tmp_path / "p.jsonl", SHAPES["texts"] | {"weight": 0.3}))
    assert found.rows == (WANTED,)
    assert "--weights weight" in found.notes[0]


def test_single_answers_with_labels_are_read(tmp_path):
    rows = [{"prompt": "Why?", "completion": c, "label": c == "So."} for c in ("So.", "No.")]
    found = read_preferences(write(tmp_path / "p.jsonl", *rows))
    assert not found.paired
    assert found.rows[0] == {"prompt": [ASKED], "completion": [YES], "label": True}
    assert found.rows[1]["completion"] == [NO]


def test_a_prompt_has_one_hash_in_every_shape(tmp_path):
    hashes = {
        prompt_hash(read_preferences(write(tmp_path / f"{n}.jsonl", row)).rows[0]["prompt"])
        for n, row in enumerate(SHAPES.values())
    }
    assert len(hashes) == 1


PAIR = SHAPES["texts"]
REFUSED = {
    "no column 'w' of weights; its columns of numbers are score": [PAIR | {"score": 1.0}],
    "row 2: the weight none must be a number": [PAIR | {"w": 1}, PAIR | {"w": None}],
    "the weight -1 must be a number of 0 or more": [PAIR | {"w": -1}],
    "the weight nan must be a number of 0 or more": [PAIR | {"w": float("nan")}],
    "the weight True must be a number": [PAIR | {"w": True}],
    "Every weight in the column 'w' is 0": [PAIR | {"w": 0}],
    "no column `rejected`": [{"prompt": "Why?", "chosen": "So.", "w": 1}],
    "answer different prompts": [{"chosen": [ASKED, YES], "rejected": [ASKED | {"content": "How?"}, NO], "w": 1}],
    "without a chosen and a rejected one": [{"prompt": "Why?", "responses": ["So.", "No."], "w": 1}],
    "3 responses without": [{"prompt": "Why?", "responses": ["a", "b", "c"], "scores": [1, 2, 3], "w": 1}],
    "single answers": [{"prompt": "Why?", "completion": "So.", "label": True}],
}


@pytest.mark.parametrize("sentence", REFUSED)
def test_what_cannot_be_trained_on_is_refused_in_one_sentence(tmp_path, sentence):
    path = tmp_path / "pairs.parquet"
    pq.write_table(pa.Table.from_pylist(REFUSED[sentence]), path)
    with pytest.raises(UserError) as refused:
        read_preferences(str(path), "w")
    assert sentence in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_label_that_is_neither_true_nor_false_is_refused(tmp_path):
    path = write(tmp_path / "p.jsonl", {"prompt": "Why?", "completion": "So.", "label": "yes"})
    with pytest.raises(UserError, match="line 1: `label` must be true or false"):
        read_preferences(path)
