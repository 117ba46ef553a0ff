"""Mistakes are told before anything heavy is imported, in a process of their own."""

import subprocess
import sys
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import pytest

HEAVY = ("torch", "transformers", "datasets", "altair", "scipy", "pandas")
PROBE = """
import sys
from cdr_eval.harness.cli.main import main
sys.argv = ["cdr-eval", *sys.argv[1:]]
try:
    main()
finally:
    print("HEAVY", *[name for name in %r if name in sys.modules])
"""
NO_TORCHAO = pytest.mark.skipif(find_spec("torchao") is not None, reason="torchao is installed")
PAIR = ["pair", "--strong", "minilab-sft", "--weak", "minilab-base", "--task", "minilab"]
ROW = '{"prompt": "What is %d + 1?", "chosen": "It is %d.", "rejected": "It is five, of course."}'


def ended(folder: Path, arguments: list[str], heavy: tuple[str, ...] = HEAVY) -> tuple[int, str, list[str]]:
    """Exit code, the last line on standard error, and the heavy libraries that were imported."""
    done = subprocess.run(
        [sys.executable, "-c", PROBE % (heavy,), *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        cwd=folder,
    )
    told = (done.stderr.strip().splitlines() or [""])[-1]
    return done.returncode, told, done.stdout.split("HEAVY", 1)[1].split()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["pair", "--strong", "minilab-sfd", "--weak", "minilab-base"], "no checkpoint 'minilab-sfd'"),
        ([*PAIR, "--variants", "vanila"], "no reward variant 'vanila'"),
        (["pair", "--strong", "minilab-sft", "--weak", "minilab-base", "--task", "minilap"], "no task 'minilap'"),
        ([*PAIR, "--scorer", "shared"], "no scorer 'shared'"),
        ([*PAIR, "--device", "gpu"], "no device 'gpu'"),
        pytest.param([*PAIR, "--quantise", "int8"], "pip install 'cdr-eval[torchao]'", marks=NO_TORCHAO),
        ([*PAIR, "--router", "minilab-sfd"], "no checkpoint 'minilab-sfd'"),
        ([*PAIR, "--chat-template", "none.jinja"], "chat template none.jinja cannot be read"),
        ([*PAIR, "--criteria", "none.yaml"], "none.yaml"),
        ([*PAIR, "--registry", "none.yaml"], "none.yaml"),
        ([*PAIR, "--benchmark", "arena"], "No checkpoint has a score on 'arena'"),
        (["pair", "--strong", "empty", "--weak", "minilab-base", "--task", "minilab"], "no config.json"),
        (["pair", "--strong", "minilab-sft", "--weak", "zephyr-7b-beta", "--task", "minilab"], "share no family"),
        (["grid", "--family", "minilap"], "minilap"),
        (["plan", "--family", "minilab", "--task", "minilab", "--scorer", "shared"], "no scorer 'shared'"),
        (["sample", "minilab:train", "--model", "minilab-sfd", "--out", "r.jsonl"], "no checkpoint 'minilab-sfd'"),
        (["sample", "minilab:train", "--model", "minilab-sft", "--out", "sums.jsonl"], "holds something else already"),
        (["sample", "none.jsonl", "--model", "minilab-sft", "--out", "r.jsonl"], "no file none.jsonl"),
        (["tune", "sums.jsonl", "--model", "minilab-sfd", "--out", "t"], "no checkpoint 'minilab-sfd'"),
        (["tune", "none.jsonl", "--model", "minilab-sft", "--out", "t"], "no file none.jsonl"),
        (["annotate", "none.jsonl", "--strong", "minilab-sft", "--weak", "minilab-base"], "no file none.jsonl"),
        (["annotate", "sums.jsonl", "--strong", "minilab-sfd", "--weak", "minilab-base"], "'minilab-sfd'"),
        (["annotator", "train", "sums.jsonl", "--model", "minilab-sfd", "--out", "t"], "'minilab-sfd'"),
        (["annotator", "check", "none", "minilab"], "none holds no annotator.json"),
        (["models", "minilab-sft"], "takes no name"),
        (["minilab", "judge", "minilab-sfd"], "no checkpoint 'minilab-sfd'"),
        (["report", "none"], "none is not a folder"),
        (["report", "none", "none"], "none is not a folder"),
        (["export", "none", "--format", "evaleval", "--out", "o"], "none is not a folder"),
        (["export", "none", "--format", "trl", "--out", "o"], "none is not a folder"),
        (["tasks", "minilap"], "no task 'minilap'"),
    ],
)
def test_a_mistake_is_told_before_anything_heavy_is_imported(arguments: list[str], told: str, tmp_path: Path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "sums.jsonl").write_text("\n".join(ROW % (i, i + 1) for i in range(6)))
    code, sentence, heavy = ended(tmp_path, arguments)
    assert code == 2
    assert told in sentence
    assert heavy == []


@pytest.mark.skipif(not version("torch").endswith("+cpu"), reason="torch is asked which devices there are")
def test_a_run_that_the_store_answers_imports_neither_torch_nor_models(tmp_path: Path):
    command = [*PAIR, "--variants", "vanilla", "--limit", "6", "--resamples", "100", "--store", "s", "--quiet"]
    models = ("torch", "cdr_eval.harness.scoring.loading", "transformers.modeling_utils", "scipy.stats", "datasets")
    first, second = (ended(tmp_path, [*command, "--out", out], models) for out in ("first", "second"))
    assert {"torch", "transformers.modeling_utils"} <= set(first[2])
    assert second[0] == 0
    assert second[2] == []
