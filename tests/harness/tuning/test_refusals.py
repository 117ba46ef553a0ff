"""What a user of `tune` and `annotator` can get wrong: one sentence and exit code 2, before a model is loaded."""

import json
import re
import subprocess
import sys

import pytest
from cdr_eval.errors import UserError
from cdr_eval.harness.cli.main import cli
from cdr_eval.harness.tuning.launch import launch_command
from click.testing import CliRunner

from tests.checkpoints import byte_level_tokenizer, save_llama
from tests.harness.tuning.preference_file import write_pairs


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    return write_pairs(tmp_path_factory.mktemp("pairs") / "pairs.jsonl")


def refused(*arguments) -> str:
    error = CliRunner().invoke(cli, [str(argument) for argument in arguments]).exception
    assert isinstance(error, UserError), error
    assert "\n" not in str(error)
    return str(error)


SETTINGS = {
    "--beta must be above 0": ("--beta", 0),
    "--gamma-ratio must be above 0": ("--gamma-ratio", -0.3),
    "--label-noise must be from 0 to below 0.5": ("--loss", "robust-dpo", "--label-noise", 0.5),
    "--learning-rate must be above 0": ("--lr", "nan"),
    "--epochs must be above 0": ("--epochs", "nan"),
    "--warmup and --weight-decay must be 0 or more": ("--warmup", -1),
    "weight-decay must be 0 or more.": ("--weight-decay", "nan"),
    "no optimizer 'adam'; did you mean ada": ("--optimizer", "adam"),
    "do not divide into micro-batches of 3": ("--batch", 16, "--micro-batch", 3),
    "--lora 'r=eight' is not understood": ("--lora", "r=eight"),
    "r and alpha of 1 or more": ("--lora", "r=0"),
    "kto takes no weights": ("--loss", "kto", "--weights", "weight"),
    "no column 'w' of weights; its columns of numbers are weight": ("--weights", "w"),
    "There is no launch configuration 'two'; use fsdp1": ("--launch", "two"),
    "There is no accelerate configuration two.yaml": ("--launch", "two.yaml"),
    "--device auto or cpu": ("--device", "cuda:1"),
    "leave --dtype out": ("--dtype", "bfloat16"),
    "a micro-batch of 1 has none": ("--loss", "kto", "--batch", 17),
    "--processes goes with --launch": ("--processes", 2),
}


@pytest.mark.parametrize("sentence", SETTINGS)
def test_settings_that_nothing_can_be_trained_with_are_refused(pairs, tmp_path, sentence):
    said = refused("tune", pairs, "--model", "minilab-sft", "--out", tmp_path / "o", *SETTINGS[sentence])
    assert sentence in said
    assert not (tmp_path / "o").exists()


def test_a_batch_that_does_not_divide_among_processes_is_refused(pairs, tmp_path, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "3")
    said = refused("tune", pairs, "--model", "minilab-sft", "--out", tmp_path / "o", "--batch", 16)
    assert "A batch of 16 does not divide among 3 processes" in said
    assert "one process" in refused("annotator", "train", pairs, "--model", "minilab-sft", "--out", tmp_path / "o")


def test_several_gpus_without_a_launcher_are_refused(pairs, tmp_path, monkeypatch):
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    said = refused("tune", pairs, "--model", "minilab-sft", "--out", tmp_path / "o")
    assert "set CUDA_VISIBLE_DEVICES to one; `tune` also takes --launch multi_gpu" in said


def test_a_named_launch_starts_a_process_a_gpu_and_a_file_as_many_as_it_says(tmp_path, monkeypatch):
    monkeypatch.setattr("torch.cuda.device_count", lambda: 3)
    own = tmp_path / "own.yaml"
    own.write_text("distributed_type: MULTI_GPU\nnum_processes: 2\n")
    for launch, processes, wanted in (("multi_gpu", None, "3"), ("multi_gpu", 5, "5"), (str(own), None, None)):
        started = launch_command(launch, processes, ["tune"])
        assert started[-2:] == ["cdr_eval.harness", "tune"]
        counts = [started[place + 1] for place, part in enumerate(started) if part == "--num_processes"]
        assert counts == [wanted] * (wanted is not None)


def test_a_launch_with_deepspeed_that_is_missing_is_refused(pairs, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "deepspeed", None)
    own = tmp_path / "own.yaml"
    own.write_text("distributed_type: 'DEEPSPEED'\n")
    for launch in ("zero3", own):
        said = refused("tune", pairs, "--model", "minilab-sft", "--out", tmp_path / "o", "--launch", launch)
        assert said == f"--launch {launch} uses DeepSpeed: run pip install deepspeed."


def test_pairs_over_the_limit_are_counted_beforehand_or_left_out(llamas, pairs, tmp_path):
    arguments = ("tune", pairs, "--model", llamas / "sft", "--out", tmp_path / "o", "--batch", 8, "--max-length")
    found = re.search(r"16 of 16 rows are longer than 8 tokens \(the longest has (\d+)\)", refused(*arguments, 8))
    assert found
    most = int(found[1]) - 1
    assert f"rows are longer than {most} tokens" in refused(*arguments, most)
    ended = CliRunner().invoke(cli, [str(a) for a in (*arguments, most, "--drop-long", "--device", "cpu", "--json")])
    assert 0 < json.loads(ended.stdout)["data"]["too_long"] < 16


@pytest.mark.parametrize("command", [("tune",), ("annotator", "train")])
def test_pairs_over_the_models_own_positions_are_counted_beforehand(pairs, tmp_path, command):
    start = save_llama(tmp_path / "short", byte_level_tokenizer("chatml"), 0, positions=40)
    said = refused(*command, pairs, "--model", start, "--out", tmp_path / "o")
    assert re.search(r"of 16 rows are longer than the 40 tokens that the model reads .*: pass --drop-long", said)


@pytest.mark.parametrize("command", [("tune",), ("annotator", "train")])
def test_turns_that_the_template_refuses_are_named(mistrals, tmp_path, command):
    path = tmp_path / "pairs.jsonl"
    prompt = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "What is 2 + 2?"}]
    path.write_text(json.dumps({"prompt": prompt, "chosen": "4.", "rejected": "5."}) + "\n")
    said = refused(*command, path, "--model", mistrals / "sft", "--out", tmp_path / "o")
    assert "refuses turns of system, user, assistant (Only user and assistant roles are supported!)" in said


def test_a_template_without_an_end_of_turn_token_is_refused(pairs, tmp_path):
    template = tmp_path / "template.jinja"
    template.write_text("{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}")
    for command in (("tune",), ("annotator", "train")):
        out = tmp_path / "o"
        said = refused(*command, pairs, "--model", "minilab-sft", "--out", out, "--chat-template", template)
        assert "ends no answer with a special token" in said


def test_prompts_that_are_rendered_already_are_refused(tmp_path):
    path = tmp_path / "pairs.jsonl"
    row = {"prompt": "<bos><user>what is 2 plus 2?<end><assistant>", "chosen": "4.", "rejected": "5."}
    path.write_text(json.dumps(row) + "\n")
    assert "is rendered already" in refused("tune", path, "--model", "minilab-sft", "--out", tmp_path / "o")


@pytest.mark.parametrize("package", ["trl", "peft"])
def test_a_package_that_is_missing_is_named_with_its_extra_before_torch_is_imported(pairs, tmp_path, package):
    check = (
        f"import sys; sys.modules['{package}'] = None\nimport cdr_eval.harness.cli.main as m\n"
        "try: m.main()\nfinally: assert 'torch' not in sys.modules"
    )
    arguments = ["tune", pairs, "--model", "minilab-sft", "--out", tmp_path / "o", "--lora", "r=4"]
    ended = subprocess.run(
        [sys.executable, "-c", check, *map(str, arguments)], capture_output=True, text=True, check=False
    )
    assert ended.stderr == f"Error: Training needs {package}: run pip install 'cdr-eval[train]'.\n"
    assert ended.returncode == 2


ANNOTATOR = {
    "--share must be above 0": ("--share", 0),
    "No prompt of": ("--share", 1e-9),
}


@pytest.mark.parametrize("sentence", ANNOTATOR)
def test_annotators_that_cannot_be_trained_are_refused(pairs, tmp_path, sentence):
    said = refused("annotator", "train", pairs, "--model", "minilab-sft", "--out", tmp_path / "o", *ANNOTATOR[sentence])
    assert sentence in said


def test_a_folder_that_holds_no_annotator_is_refused(tmp_path):
    assert "holds no annotator.json" in refused("annotator", "check", tmp_path, "minilab")


@pytest.mark.parametrize("option", ["--dtype", "--max-length", "--chat-template", "--registry"])
def test_a_check_has_no_option_that_a_head_does_not_read(tmp_path, option):
    ended = CliRunner().invoke(cli, ["annotator", "check", str(tmp_path), "minilab", option, "1"])
    assert "No such option" in ended.output
    assert option in ended.output
