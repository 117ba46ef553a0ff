"""`cdr-eval sample` as real processes: shards, kills, refusals, and what the file holds."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from cdr_eval.errors import UserError
from cdr_eval.harness import Options
from cdr_eval.harness.cli.main import cli
from cdr_eval.harness.generation.response_files import ResponseParts
from cdr_eval.harness.sample import _gathered, sample_responses
from click.testing import CliRunner, Result
from transformers import AutoTokenizer

WORLD = ("minilab:train", "--model", "minilab-sft", "-n", 6, "--limit", 40, "--batch", 24)


def command(*arguments) -> list[str]:
    return [sys.executable, "-m", "cdr_eval.harness", "sample", *map(str, arguments)]


def sample(*arguments) -> Result:
    return CliRunner().invoke(cli, ["sample", *map(str, arguments)])


def refused(*arguments) -> str:
    error = sample(*arguments).exception
    assert isinstance(error, UserError)
    assert "\n" not in str(error)
    return str(error)


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    """A file that one process wrote without a stop."""
    out = tmp_path_factory.mktemp("whole") / "responses.jsonl"
    assert sample(*WORLD, "--out", out, "--quiet").exit_code == 0
    return out


def test_rows_hold_prompt_responses_and_why_they_ended(whole):
    rows = [json.loads(line) for line in whole.read_text().splitlines()]
    assert [row["id"] for row in rows] == [f"train-{number}" for number in range(40)]
    assert all(len(row["responses"]) == 6 and row["prompt"][-1]["role"] == "user" for row in rows)
    responses = [response for row in rows for response in row["responses"]]
    assert {"text", "finish_reason", "tokens"} == set(responses[0])
    record = json.loads(whole.with_suffix(".run.json").read_text())
    assert sum(record["finish_reasons"].values()) == len(responses) == 240
    assert not whole.with_name("responses.jsonl.parts").exists()


def test_shards_in_any_order_write_the_same_file(whole, tmp_path):
    out = tmp_path / "responses.jsonl"
    for shard in ("3/3", "1/3", "2/3"):
        assert not out.exists()
        assert sample(*WORLD, "--out", out, "--shard", shard, "--quiet").exit_code == 0
    assert out.read_bytes() == whole.read_bytes()


def test_killed_and_continued_writes_the_same_file(whole, tmp_path):
    out = tmp_path / "responses.jsonl"
    part = tmp_path / "responses.jsonl.parts" / "1-of-1.jsonl"
    process = subprocess.Popen(command(*WORLD, "--out", out, "--quiet"))
    while process.poll() is None and (not part.exists() or part.read_bytes().count(b"\n") < 8):
        time.sleep(0.002)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert not out.exists()
    kept = part.read_bytes()
    part.write_bytes(kept[:-7])  # as if the kill had come within the last line
    assert sample(*WORLD, "--out", out, "--quiet").exit_code == 0
    assert out.read_bytes() == whole.read_bytes()


def test_a_finished_file_is_neither_sampled_again_nor_overwritten(whole):
    before = whole.stat().st_mtime_ns
    again = sample(*WORLD, "--out", whole, "--json")
    assert json.loads(again.output)["complete"]
    assert "something else" in refused(*WORLD, "--out", whole, "--seed", 1)
    assert whole.stat().st_mtime_ns == before


def test_a_run_that_ends_between_its_file_and_its_parts_leaves_a_finished_file(whole, tmp_path, monkeypatch):
    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    out = tmp_path / "responses.jsonl"
    asked = (*WORLD, "--out", out, "--quiet")
    with monkeypatch.context() as patch:
        patch.setattr("shutil.rmtree", stop)
        assert sample(*asked).exit_code != 0
    assert sample(*asked).exit_code == 0
    assert out.read_bytes() == whole.read_bytes()
    reasons = [json.loads(file.with_suffix(".run.json").read_text())["finish_reasons"] for file in (out, whole)]
    assert reasons[0] == reasons[1]


def test_of_two_shards_that_both_see_every_row_one_merges_them(tmp_path):
    out = tmp_path / "responses.jsonl"
    last = [ResponseParts(out, {"seed": 1}) for _ in range(2)]
    for number, parts in enumerate(last):
        with parts.writer(f"{number + 1}-of-2") as writer:
            writer.append({number: {"id": str(number), "responses": [{"finish_reason": "stop"}]}})
    gathered = [_gathered(parts, [0, 1], out, {"settings": {"seed": 1}}) for parts in last]
    assert [result.complete for result in gathered] == [True, True]
    assert gathered[0].record == gathered[1].record == {"settings": {"seed": 1}, "finish_reasons": {"stop": 2}}
    assert [json.loads(line)["id"] for line in out.read_text().splitlines()] == ["0", "1"]
    assert not last[0].folder.exists()


@pytest.mark.parametrize("how", [{"quantise": "int8"}, {"tensor_parallel": 2}])
def test_what_sampling_does_not_do_is_refused(tmp_path, how):
    with pytest.raises(UserError, match="leave quantise and tensor_parallel out"):
        sample_responses(WORLD[0], model="minilab-sft", out=tmp_path / "a.jsonl", options=Options(device="cpu", **how))


def test_parts_of_other_settings_are_refused_by_name(tmp_path):
    out = tmp_path / "responses.jsonl"
    assert sample(*WORLD, "--out", out, "--shard", "1/2", "--quiet").exit_code == 0
    said = refused(*WORLD, "--out", out, "--temperature", 0.5, "--top-p", 0.9)
    assert "temperature, top_p" in said


def test_parquet_holds_the_rows_of_jsonl(whole, tmp_path):
    out = tmp_path / "responses.parquet"
    assert sample(*WORLD, "--out", out, "--quiet").exit_code == 0
    assert pq.read_table(out).to_pylist() == [json.loads(line) for line in whole.read_text().splitlines()]


ROWS = {
    "no column": '{"question": "why?"}',
    "stands twice": '{"id": "a", "prompt": "x"}\n{"id": "a", "prompt": "y"}',
    "must end with a turn of the user": '{"prompt": [{"role": "assistant", "content": "x"}]}',
    "use system, user or assistant": '{"prompt": [{"role": "tool", "content": "x"}]}',
    "rendered already": '{"prompt": "<bos><user>what is 2 plus 2?<end><assistant>"}',
}


@pytest.mark.parametrize("sentence", ROWS)
def test_prompts_that_cannot_be_used_are_refused_in_one_sentence(tmp_path, sentence):
    path = tmp_path / "prompts.jsonl"
    path.write_text(ROWS[sentence] + "\n")
    assert sentence in refused(path, "--model", "minilab-sft", "--out", tmp_path / "o.jsonl")


def test_settings_that_cannot_be_used_are_refused_in_one_sentence(tmp_path):
    for wrong, sentence in {
        ("--temperature", -1): "temperature",
        ("--top-p", 0): "--top-p",
        ("--out", tmp_path / "o.csv"): ".parquet",
    }.items():
        assert sentence in refused(*WORLD, "--out", tmp_path / "o.jsonl", *wrong)


def test_messages_lose_the_answer_at_their_end_and_it_is_said(tmp_path):
    path, out = tmp_path / "prompts.jsonl", tmp_path / "o.jsonl"
    turns = [{"role": "user", "content": "what is 2 plus 2?"}, {"role": "assistant", "content": "2 plus 2 is 4."}]
    path.write_text(json.dumps({"id": 4, "subset": "sums", "messages": turns}))
    ended = sample(path, "--model", "minilab-sft", "-n", 2, "--out", out)
    assert "left out in 1 rows" in ended.output
    assert "sampling from minilab-sft" in ended.stderr  # the bar: what stands on standard output may be piped on
    assert "sampling from" not in ended.stdout
    row = json.loads(out.read_text())
    assert (row["id"], row["subset"], row["prompt"]) == ("sums-4", "sums", turns[:1])


def test_no_token_is_read_beyond_the_switch_of_a_rotary_embedding(llamas, tmp_path):
    """Scoring reads a longer sequence with other frequencies for all of its tokens."""
    model, path, out = shutil.copytree(llamas / "sft", tmp_path / "long"), tmp_path / "p.jsonl", tmp_path / "o.jsonl"
    config = json.loads((model / "config.json").read_text())
    rope = {"rope_type": "longrope", "rope_theta": 1e4, "short_factor": [1.0] * 4, "long_factor": [4.0] * 4}
    config["rope_parameters"] = {**rope, "original_max_position_embeddings": 60}
    (model / "config.json").write_text(json.dumps(config))
    path.write_text('{"id": "a", "prompt": "why?"}\n{"id": "b", "prompt": "' + "why? " * 40 + '"}\n')
    ended = sample(path, "--model", model, "-n", 8, "--max-new-tokens", 100, "--out", out)
    assert "at most 60 tokens, at which the model's rotary embedding changes" in ended.output
    assert "1 prompts left no room" in ended.output
    row = json.loads(out.read_text())
    tokens = AutoTokenizer.from_pretrained(model).apply_chat_template(row["prompt"], add_generation_prompt=True)
    room = 60 - 1 - len(tokens["input_ids"])  # BOS
    assert max(response["tokens"] for response in row["responses"]) == room


def test_a_configuration_that_cannot_be_is_one_sentence(llamas, tmp_path):
    model, path = shutil.copytree(llamas / "sft", tmp_path / "broken"), tmp_path / "p.jsonl"
    config = json.loads((model / "config.json").read_text()) | {"num_attention_heads": 7}
    (model / "config.json").write_text(json.dumps(config))
    path.write_text('{"id": "a", "prompt": "why?"}\n')
    ended = sample(path, "--model", model, "--out", tmp_path / "o.jsonl")
    assert isinstance(ended.exception, UserError)
    assert "cannot be loaded" in str(ended.exception)


def test_bad_prompts_are_refused_before_torch_is_imported(tmp_path):
    path = tmp_path / "prompts.jsonl"
    path.write_text(ROWS["no column"])
    check = "import sys, cdr_eval.harness.cli.main as m\ntry: m.main()\nfinally: assert 'torch' not in sys.modules"
    arguments = [sys.executable, "-c", check, "sample", str(path), "--model", "minilab-sft"]
    ended = subprocess.run(arguments, capture_output=True, text=True, check=False)
    assert (ended.returncode, len(ended.stderr.strip().splitlines())) == (2, 1), ended.stderr
