"""`cdr-eval tune` from file to registry: what it writes, how it goes on after a kill, and in several processes."""

import csv
import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from cdr_eval.errors import UserError
from cdr_eval.harness.annotator import train_annotator
from cdr_eval.harness.options import Options
from cdr_eval.harness.tune import tune
from cdr_eval.harness.tuning.losses import LOSSES
from cdr_eval.harness.tuning.opening import open_start
from cdr_eval.harness.tuning.pairs import read_preferences
from cdr_eval.harness.tuning.settings import Lora, Training
from cdr_eval.harness.tuning.trainers import preference_trainer
from cdr_eval.harness.tuning.training import Place, train
from cdr_eval.model_registry.registry import load_registry
from cdr_eval.tasks.conditioning import Conversation
from rich.progress import Progress
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from tests.checkpoints import LLAMA3, TOKENIZERS, ZEPHYR, save_llama
from tests.harness.in_process import cdr_eval
from tests.harness.tuning.preference_file import command, weights, write_pairs

CPU = Options(device="cpu")
QUICK = {"batch": 8, "max_length": 128, "learning_rate": 1e-3}


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    return write_pairs(tmp_path_factory.mktemp("pairs") / "pairs.jsonl")


@pytest.mark.parametrize("loss", LOSSES)
def test_every_loss_trains_and_its_model_is_a_checkpoint_of_the_registry(llamas, pairs, tmp_path, loss):
    out = tmp_path / f"tuned-{loss}"
    tuned = tune(str(pairs), model=str(llamas / "sft"), out=out, training=Training(loss=loss, **QUICK), options=CPU)
    registry = load_registry((out / "registry.yaml",))
    checkpoint = registry.find(out.name)
    assert (checkpoint.objective, checkpoint.trained_from, checkpoint.stage) == (loss, "sft", "preference")
    assert [member.name for member in registry.members("sft-tuned")] == ["sft", out.name]
    before = AutoModelForCausalLM.from_pretrained(llamas / "sft")
    after = AutoModelForCausalLM.from_pretrained(checkpoint.model)
    assert any(not torch.equal(a, b) for a, b in zip(before.parameters(), after.parameters(), strict=True))
    templates = [AutoTokenizer.from_pretrained(path).chat_template for path in (checkpoint.model, llamas / "sft")]
    assert templates[0] == templates[1]
    with (out / "training_log.csv").open() as stream:
        log = list(csv.DictReader(stream))
    assert [int(row["step"]) for row in log] == list(range(1, tuned.record["steps"] + 1))
    assert json.loads((out / "run.json").read_text()) == tuned.record
    assert not (out / "checkpoints").exists()


@pytest.mark.parametrize("kind", TOKENIZERS)
def test_a_trainer_reads_the_tokens_that_are_scored(kind, pairs, tmp_path):
    """Of a template that writes the day and no BOS, and begins with blanks that Jinja takes away before a block."""
    tokenizer = TOKENIZERS[kind]("zephyr")
    tokenizer.chat_template = "  {% if true %}{% endif %}{{ strftime_now('%d %B %Y') }}, {{ date_string }}\n" + ZEPHYR
    start = save_llama(tmp_path / "start", tokenizer, 0)
    group, tokenizer, _ = open_start(str(start), load_registry(()), CPU)
    rows = read_preferences(str(pairs)).rows
    trainer = preference_trainer(
        LOSSES["simpo"],
        {"output_dir": str(tmp_path), "max_length": 512, "use_cpu": True, "bf16": False, "report_to": "none"},
        AutoModelForCausalLM.from_pretrained(start),
        tokenizer,
        rows,
        gamma=1.0,
    )
    sides = [(row, side) for row in rows for side in ("chosen", "rejected")]
    scored = group.members[0].renderer.render(
        [Conversation(tuple(row["prompt"]), row[side][0]["content"]) for row, side in sides]
    )
    read = [row["prompt_ids"] + row[f"{side}_ids"] for row in trainer.train_dataset for side in ("chosen", "rejected")]
    for rendering, ids in zip(scored, read, strict=True):
        assert rendering.request is not None
        assert tuple(ids[: len(rendering.request.token_ids)]) == rendering.request.token_ids


def test_a_template_of_which_a_trainer_would_read_other_tokens_is_refused(pairs, tmp_path):
    tokenizer = TOKENIZERS["byte-level"]("llama3")
    tokenizer.chat_template = "{{ bos_token }}" + LLAMA3
    start = save_llama(tmp_path / "start", tokenizer, 0)
    with pytest.raises(UserError, match="reads other tokens than those that are scored"):
        tune(str(pairs), model=str(start), out=tmp_path / "out", options=CPU)


def test_kto_reads_single_answers_in_an_order_of_the_seed(llamas, tmp_path):
    rows = read_preferences(str(write_pairs(tmp_path / "pairs.jsonl", 24))).rows
    reads = []
    for seed in (0, 1):
        model, reference = (AutoModelForCausalLM.from_pretrained(llamas / "sft", dtype=torch.float32) for _ in "ab")
        tokenizer = open_start(str(llamas / "sft"), load_registry(()), CPU)[1]
        place = Place(tmp_path / str(seed), "cpu", Progress(), "kto")
        trained = train(Training(loss="kto", seed=seed, **QUICK), model, reference, tokenizer, rows, place)
        assert trained.state.global_step == 6
        reads.append([(row["label"], row["prompt"][0]["content"]) for row in trained.train_dataset])
    wanted = {(label, row["prompt"][0]["content"]) for row in rows for label in (True, False)}
    assert [len(read) for read in reads] == [48, 48]
    assert set(reads[0]) == set(reads[1]) == wanted
    assert reads[0] != reads[1]
    for read in reads:  # pairs apart, and wanted answers among the others
        assert sum(a[1] == b[1] for a, b in itertools.pairwise(read)) < 8
        assert max(len(list(run)) for _, run in itertools.groupby(label for label, _ in read)) < 12


def test_adapters_are_written_beside_the_merged_model(llamas, pairs, tmp_path):
    peft = pytest.importorskip("peft")
    out = tmp_path / "lora"
    training = Training(loss="dpo", lora=Lora(4, 8, 0.0), **QUICK)
    tune(str(pairs), model=str(llamas / "sft"), out=out, training=training, weights="weight", options=CPU)
    base = AutoModelForCausalLM.from_pretrained(llamas / "sft", dtype=torch.float32)
    ids = torch.arange(20)[None]
    before = base(input_ids=ids).logits
    adapted = peft.PeftModel.from_pretrained(base, out / "adapter")(input_ids=ids).logits
    merged = AutoModelForCausalLM.from_pretrained(out / "model", dtype=torch.float32)(input_ids=ids).logits
    assert torch.allclose(adapted, merged, atol=1e-4)
    assert not torch.allclose(before, merged, atol=1e-3)


def test_stopped_killed_and_continued_ends_at_the_same_weights(llamas, tmp_path):
    data = write_pairs(tmp_path / "pairs.jsonl", 64)
    wanted = ("--loss", "dpo", "--batch", 4, "--epochs", 4, "--max-length", 128, "--lr", 1e-3, "--weights", "weight")
    arguments = ("tune", data, "--model", llamas / "sft", *wanted, "--save-every", 8, "--quiet")
    whole, cut = tmp_path / "a" / "tuned", tmp_path / "b" / "tuned"
    assert cdr_eval(*arguments, "--out", whole).code == 0
    for step, sent, code in ((16, signal.SIGINT, 130), (40, signal.SIGKILL, -signal.SIGKILL)):
        process = subprocess.Popen(command(*arguments, "--out", cut))
        while process.poll() is None and not (cut / f"checkpoints/checkpoint-{step}/trainer_state.json").exists():
            time.sleep(0.005)
        os.kill(process.pid, sent)
        assert process.wait() == code
        assert not (cut / "run.json").exists()
    half = cut / "checkpoints" / "checkpoint-999"  # as if the kill had come while a checkpoint was written
    half.mkdir()
    (half / "model.safetensors").write_bytes(b"half")
    subprocess.run(command(*arguments, "--out", cut), check=True)
    first, second = weights(whole), weights(cut)
    assert all(torch.equal(first[key], second[key]) for key in first)
    logs = [(folder / "training_log.csv").read_text() for folder in (whole, cut)]
    assert logs[0] == logs[1]


@pytest.mark.parametrize("extra", [(), ("--lora", "r=4,alpha=8,dropout=0")], ids=["whole", "lora"])
def test_two_processes_and_accumulation_take_the_step_of_one_process(llamas, pairs, tmp_path, extra):
    """One step of plain gradient descent: equal weights are equal gradients."""
    wanted = ("--loss", "dpo", "--batch", 16, "--max-length", 128, "--lr", 1, "--warmup", 0, "--optimizer", "sgd")
    arguments = ("tune", pairs, "--model", llamas / "sft", *wanted, "--weights", "weight", "--device", "cpu", *extra)
    config = tmp_path / "two.yaml"
    config.write_text("distributed_type: MULTI_GPU\nnum_machines: 1\nmixed_precision: 'no'\n")
    two = ("--launch", config, "--processes", 2)
    ways = {
        "one": ("--micro-batch", 16),
        "accumulated": ("--micro-batch", 4),
        "two": ("--micro-batch", 8, *two),
        "both": ("--micro-batch", 2, *two),
    }
    start = load_file(llamas / "sft" / "model.safetensors")
    moved = {}
    for name, way in ways.items():
        out = tmp_path / name
        asked = (*arguments, *way, "--out", out)
        if "--launch" in way:
            subprocess.run(command(*asked, "--quiet"), check=True)
        else:
            assert cdr_eval(*asked).code == 0
        assert json.loads((out / "run.json").read_text())["processes"] == (2 if "--launch" in way else 1)
        moved[name] = {key: value - start[key] for key, value in weights(out).items()}
    assert max(float(value.abs().max()) for value in moved["one"].values()) > 1e-2
    for name in ways:
        for key, value in moved["one"].items():
            assert torch.allclose(moved[name][key], value, atol=1e-6), (name, key)


def test_a_run_that_is_done_is_not_done_again_and_another_is_refused(llamas, pairs, tmp_path):
    out = tmp_path / "tuned"
    settings = {"model": str(llamas / "sft"), "out": out, "options": CPU}
    tune(str(pairs), training=Training(loss="dpo", **QUICK), **settings)
    before = (out / "model" / "model.safetensors").stat().st_mtime_ns
    tune(str(pairs), training=Training(loss="dpo", **QUICK), **settings)
    assert (out / "model" / "model.safetensors").stat().st_mtime_ns == before
    record = json.loads((out / "run.json").read_text())
    record["settings"].pop("template")  # as an earlier version, which did not record it
    (out / "run.json").write_text(json.dumps(record))
    assert tune(str(pairs), training=Training(loss="dpo", **QUICK), **settings).record == record
    with pytest.raises(UserError, match="other settings"):
        tune(str(pairs), training=Training(loss="ipo", **QUICK), **settings)


@pytest.mark.parametrize("train", [tune, train_annotator])
def test_a_start_whose_weights_or_template_changed_is_another_run(llamas, pairs, tmp_path, train):
    start = shutil.copytree(llamas / "sft", tmp_path / "start")
    out, training = tmp_path / "out", Training(loss="dpo", **QUICK)
    train(str(pairs), model=str(start), out=out, training=training, options=CPU)
    template = tmp_path / "template.jinja"
    template.write_text((start / "chat_template.jinja").read_text() + "{# another #}")
    with pytest.raises(UserError, match="other settings"):
        train(str(pairs), model=str(start), out=out, training=training, options=replace(CPU, chat_template=template))
    shutil.copy(llamas / "dpo" / "model.safetensors", start)
    with pytest.raises(UserError, match="other settings"):
        train(str(pairs), model=str(start), out=out, training=training, options=CPU)


def test_numbers_that_are_not_finite_stop_training_at_their_step(llamas, pairs, tmp_path):
    training = Training(loss="ipo", **QUICK | {"learning_rate": 1e30, "warmup": 0.0, "optimizer": "sgd", "epochs": 4})
    with pytest.raises(UserError, match=r"not finite at step [2-8]; the last checkpoint is kept in .*checkpoints"):
        tune(str(pairs), model=str(llamas / "sft"), out=tmp_path / "tuned", training=training, options=CPU)
    assert not (tmp_path / "tuned" / "run.json").exists()


def test_weights_that_are_sharded_are_saved_whole_in_the_type_of_their_start(llamas, pairs, tmp_path):
    out = tmp_path / "tuned"
    subprocess.run(
        [sys.executable, Path(__file__).with_name("sharded_training.py"), llamas / "sft", out, pairs], check=True
    )
    trained, saved = load_file(f"{out}.safetensors"), weights(out)
    start = load_file(llamas / "sft" / "model.safetensors")
    assert any(not torch.equal(trained[key], start[key]) for key in start)
    assert saved.keys() == trained.keys()
    assert all(torch.equal(saved[key], value.bfloat16()) for key, value in trained.items())


def train_simply(start, pairs, out, training, prepare):
    """A loss without a reference, on a model that `prepare` changes beforehand."""
    model = AutoModelForCausalLM.from_pretrained(start, dtype=torch.float32)
    prepare(model)
    tokenizer = open_start(str(start), load_registry(()), CPU)[1]
    return train(training, model, None, tokenizer, read_preferences(str(pairs)).rows, Place(out, "cpu", Progress(), ""))


def test_an_optimizer_that_steps_within_the_backward_pass_is_stopped_by_the_log(llamas, pairs, tmp_path):
    """As DeepSpeed's: no gradient is left to look at before the trainer's own step."""

    def step(parameter):
        parameter.data.sub_(1e30 * parameter.grad)
        parameter.grad = None

    def prepare(model):
        for parameter in model.parameters():
            parameter.register_post_accumulate_grad_hook(step)

    with pytest.raises(UserError, match=r"is not finite by step [2-8]: lower --learning-rate"):
        train_simply(llamas / "sft", pairs, tmp_path, Training(loss="simpo", epochs=4, **QUICK), prepare)


def test_memory_that_runs_out_in_training_is_said_in_a_sentence(llamas, pairs, tmp_path):
    def prepare(model):
        model.register_forward_pre_hook(lambda *_: torch.empty(1 << 58) and None)

    with pytest.raises(UserError, match="Memory ran out with 8 rows at once: pass a smaller --micro-batch, or --lora"):
        train_simply(llamas / "sft", pairs, tmp_path, Training(loss="simpo", **QUICK), prepare)


def test_tuning_is_deterministic_given_the_seed(llamas, pairs, tmp_path):
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        training = Training(loss="simpo", seed=seed, **QUICK)
        tune(str(pairs), model=str(llamas / "sft"), out=tmp_path / name, training=training, options=CPU)
    first, again, other = (weights(tmp_path / name) for name in "abc")
    assert all(torch.equal(first[key], again[key]) for key in first)
    assert not all(torch.equal(first[key], other[key]) for key in first)
