"""Reward heads: what they score, whom they may judge, and how well."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from cdr_eval.errors import UserError
from cdr_eval.harness.annotator import CWPO, check_annotator, train_annotator
from cdr_eval.harness.cli.main import cli
from cdr_eval.harness.options import Options
from cdr_eval.harness.tuning.annotator import Annotator, load_annotator, save_annotator, train_head
from cdr_eval.harness.tuning.opening import open_start
from cdr_eval.harness.tuning.overlap import check_overlap, read_record, seen
from cdr_eval.harness.tuning.pairs import read_preferences
from cdr_eval.harness.tuning.training import Place
from cdr_eval.model_registry.registry import load_registry
from cdr_eval.tasks.catalog import load_task
from cdr_eval.tasks.item import Item, Turn, prompt_hash
from cdr_eval.tasks.items import Items
from click.testing import CliRunner
from rich.progress import Progress
from transformers import AutoModelForSequenceClassification, AutoTokenizer

CPU = Options(device="cpu", resamples=200)
QUICK = replace(CWPO, epochs=3.0, learning_rate=3e-3, batch=8, max_length=128)


def write_sums(path, count, first=0):
    rows = [
        {"prompt": f"What is {k} + 1?", "chosen": f"It is {k + 1}.", "rejected": "I can't help with that."}
        for k in range(first, first + count)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture(scope="module")
def sums(tmp_path_factory):
    return write_sums(tmp_path_factory.mktemp("sums") / "sums.jsonl", 120)


@pytest.fixture(scope="module")
def trained(llamas, sums, tmp_path_factory):
    """A head that was trained on two fifths of 120 sums."""
    out = tmp_path_factory.mktemp("annotators") / "bt"
    train_annotator(str(sums), model=str(llamas / "base"), out=out, share=0.4, training=QUICK, options=CPU)
    return out


@pytest.fixture(scope="module")
def others(tmp_path_factory):
    return write_sums(tmp_path_factory.mktemp("others") / "others.jsonl", 40, first=1000)


def test_prompts_are_split_by_hash_and_the_others_judge_the_head(trained, sums):
    record = read_record(trained)
    hashes = {prompt_hash(item.prompt) for item in load_task(str(sums)).items}
    assert set(record["training_prompts"]) == {name for name in hashes if int(name, 16) / 2**256 < 0.4}
    assert record["training_pairs"] + record["held_out"]["pairs"] == 120
    held_out = record["held_out"]
    assert held_out["accuracy"] > 0.9
    assert (held_out["temperature"] is None) == (held_out["accuracy"] == 1)


def test_rewards_are_those_of_the_head_on_each_conversation_alone(trained):
    items = Items(
        Item(f"i{k}", "s", (Turn(role="user", content="Why? " * (1 + k % 3)),), tuple(f"{k} {n}" for n in range(2 + k)))
        for k in range(5)
    )
    rewards = load_annotator(trained).rewards(items)
    model = AutoModelForSequenceClassification.from_pretrained(trained, dtype=torch.float32).eval()
    tokenizer = AutoTokenizer.from_pretrained(trained)
    wanted = []
    for item in items:
        for text in item.responses:
            turns = [*item.prompt, {"role": "assistant", "content": text}]
            ids = tokenizer.apply_chat_template(turns, return_tensors="pt")["input_ids"]
            with torch.no_grad():
                wanted.append(model(input_ids=ids).logits.item())
    assert rewards.shape == (items.offsets[-1],)
    assert np.allclose(rewards, wanted, atol=1e-5)
    assert np.ptp(rewards) > 1e-3


def test_a_response_that_does_not_fit_has_no_reward(trained, tmp_path):
    item = Item("long", "s", (Turn(role="user", content="Why?"),), ("So.", "So. " * 4000))
    assert np.isnan(load_annotator(trained).rewards(Items([item]))).tolist() == [False, True]
    path = tmp_path / "long.jsonl"
    path.write_text(json.dumps({"prompt": "Why? " * 4000, "chosen": "So.", "rejected": "No."}))
    ended = CliRunner().invoke(cli, ["annotator", "check", str(trained), str(path), "--device", "cpu"])
    assert ended.output.splitlines() == [
        "bt: 2 responses are longer than it reads and unscored.",
        "No item has a reward for a better response and for another, by which it could be confident.",
    ]


def test_prompts_of_the_training_are_seen_and_refused_unless_allowed(trained, sums, others):
    record, items = read_record(trained), load_task(str(sums)).items
    count = int(seen(record, items).sum())
    assert count == record["training_pairs"]
    with pytest.raises(UserError, match=f"{count} of 120 prompts are among those .* --allow-overlap"):
        check_overlap(record, items, allow=False)
    assert len(check_overlap(record, items, allow=True)) == 1
    assert check_overlap(record, load_task(str(others)).items, allow=False) == []


def test_a_check_says_how_often_the_head_is_right_and_how_sure(trained, others, tmp_path):
    checked = check_annotator(trained, str(others), options=CPU)
    rewards = load_annotator(trained).rewards(load_task(str(others)).items).reshape(-1, 2)
    overall = checked.accuracy.query("variant == 'annotator' and scope == 'overall'").iloc[0]
    assert overall["accuracy"] == np.mean(rewards[:, 0] > rewards[:, 1])
    assert (overall["n"], overall["chance"], overall["strong"], overall["weak"]) == (40, 0.5, "bt", "")
    assert set(checked.analyses) == {"selection", "calibration", "confidence", "length"}
    out = tmp_path / "check"
    arguments = ["annotator", "check", str(trained), str(others), "--device", "cpu", "--resamples", "200"]
    ended = CliRunner().invoke(cli, [*arguments, "--out", str(out)])
    assert f"overall: {100 * overall['accuracy']:.1f}%" in ended.output
    separate = overall["accuracy"] == 1
    assert ("No temperature, since the margins separate right from wrong" in ended.output) == separate
    assert ("Temperature" in ended.output) == (not separate)
    assert pd.read_csv(out / "accuracy.csv")["n"].iloc[0] == 40
    assert (
        json.loads((out / "check.json").read_text())["annotator"]["training_pairs"]
        == read_record(trained)["training_pairs"]
    )
    again = CliRunner().invoke(cli, [*arguments, "--out", str(out)]).exception
    assert "is not empty" in str(again)
    printed = json.loads(CliRunner().invoke(cli, [*arguments, "--json"]).stdout)
    assert {"accuracy", "calibration", "notes"} <= printed.keys()


def test_a_head_that_is_trained_is_not_trained_again(trained, llamas, sums):
    before = (trained / "model.safetensors").stat().st_mtime_ns
    train_annotator(str(sums), model=str(llamas / "base"), out=trained, share=0.4, training=QUICK, options=CPU)
    assert (trained / "model.safetensors").stat().st_mtime_ns == before
    with pytest.raises(UserError, match="other settings"):
        train_annotator(str(sums), model=str(llamas / "base"), out=trained, share=0.5, training=QUICK, options=CPU)


def test_a_head_trained_in_bfloat16_is_judged_as_it_is_saved(llamas, sums, trained, tmp_path, monkeypatch):
    monkeypatch.setenv("ACCELERATE_MIXED_PRECISION", "bf16")
    _, tokenizer, local = open_start(str(llamas / "base"), load_registry(()), CPU)
    rows = read_preferences(str(sums)).rows[:8]
    place = Place(tmp_path / "checkpoints", "cpu", Progress(), "head")
    head = Annotator(read_record(trained), train_head(QUICK, local.path, tokenizer, rows, place)[0], tokenizer)
    save_annotator(head, tmp_path)
    asked = [(row["prompt"], row["chosen"][0]["content"]) for row in rows]
    assert np.array_equal(head.scores(asked), load_annotator(tmp_path).scores(asked))


@pytest.mark.parametrize("most", [2, 0])
def test_a_head_reads_fewer_at_once_where_memory_runs_out(trained, most):
    head = load_annotator(trained)
    asked = [([Turn(role="user", content="Why? " * k)], "So.") for k in range(1, 10)]
    wanted = head.scores(asked)

    def fill_memory(_module, _positional, given):
        if len(given["input_ids"]) > most:
            torch.empty(1 << 58)

    head.model.register_forward_pre_hook(fill_memory, with_kwargs=True)
    if most:
        assert np.allclose(head.scores(asked), wanted, atol=1e-5)
    else:
        with pytest.raises(UserError, match="Memory ran out over a conversation of"):
            head.scores(asked)
