"""What cannot be annotated is refused in one sentence, before a model is loaded; nothing is left behind."""

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from cdr_eval.errors import UserError
from cdr_eval.harness.annotate import annotate, score_shard
from cdr_eval.harness.annotation.settings import Annotating
from cdr_eval.harness.options import Options
from cdr_eval.model_registry.registry import load_registry

from tests.harness.annotation.samples import PAIR, sampled_rows, write_rows

GIVEN: dict[str, Any] = {"strong": PAIR[0], "weak": PAIR[1]}


def refused(data: Path, **arguments: Any) -> str:
    with pytest.raises(UserError) as caught:
        annotate(str(data), **{**GIVEN, **arguments})
    message = str(caught.value)
    assert "\n" not in message
    assert message[-1] in ".?"
    return message


def test_no_column_of_responses_lists_those_that_are_there(tmp_path: Path):
    message = refused(write_rows(tmp_path / "a.jsonl", [{"prompt": "Why?", "texts": ["a", "b"]}]))
    assert "`texts`" in message and "responses" in message


def test_a_rendered_prompt_is_no_prompt(tmp_path: Path):
    rows = [{"prompt": "<|user|> why?", "responses": ["a", "b"]}]
    special = load_registry().family("minilab").chat_template
    assert special
    message = refused(write_rows(tmp_path / "a.jsonl", [{**rows[0], "prompt": "<bos>user: why?"}]))
    assert "rendered already" in message


def test_responses_that_are_all_the_same_make_no_pair(tmp_path: Path):
    rows = [{"prompt": f"{k}?", "responses": ["a", "a", "a"]} for k in range(5)]
    assert "two different responses" in refused(write_rows(tmp_path / "a.jsonl", rows))


def test_a_checkpoint_over_itself(tmp_path: Path):
    data = write_rows(tmp_path / "a.jsonl", sampled_rows(3))
    assert "are one" in refused(data, weak=PAIR[0])


def test_half_a_pair_and_a_column_beside_a_pair(tmp_path: Path):
    data = write_rows(tmp_path / "a.jsonl", sampled_rows(3))
    assert "--strong and --weak" in refused(data, weak=None)
    assert "--strong and --weak" in refused(data, scores="x")
    assert "no column 'x'" in refused(data, strong=None, weak=None, scores="x")


def test_more_than_half_of_the_responses_cut(tmp_path: Path):
    rows = sampled_rows(6)
    for row in rows:
        for response in row["responses"][:4]:
            response["finish_reason"] = "length"
    assert "--keep-truncated" in refused(write_rows(tmp_path / "a.jsonl", rows))


def test_a_temperature_file_without_labels(tmp_path: Path):
    data = write_rows(tmp_path / "a.jsonl", sampled_rows(3))
    fitted = Annotating(temperature=f"fit:{data}")
    assert "has no labels" in refused(data, settings=fitted)
    scored = [{"prompt": f"{k}?", "responses": ["a", "b"], "grades": [1, 0], "c": [0.5, k]} for k in range(4)]
    data = write_rows(tmp_path / "b.jsonl", scored)
    assert "--scores takes no labels" in refused(data, strong=None, weak=None, scores="c", settings=fitted)


@pytest.mark.parametrize(
    "settings",
    [{"top": 0.0}, {"top": 1.2}, {"temperature": "warm"}, {"temperature": "-1"}, {"test": -1}, {"clip": 0.0}],
)
def test_settings_that_make_no_data(settings: dict[str, Any]):
    with pytest.raises(UserError):
        Annotating(**settings)


def test_prompts_that_the_judge_does_not_know(tmp_path: Path):
    data = write_rows(tmp_path / "a.jsonl", [{"prompt": "Who?", "responses": ["a", "b"]}])
    assert "training series" in refused(data, minilab_judge=True)


def test_variants_by_section_have_no_sections_here(tmp_path: Path):
    data = write_rows(tmp_path / "a.jsonl", sampled_rows(3))
    assert "cdr-adaptive-router" in refused(data, variant="cdr-adaptive-oracle")
    assert "did you mean" in refused(data, variant="vanila")


def test_templates_that_differ(llamas: Path, mistrals: Path, tmp_path: Path):
    changed = shutil.copytree(llamas / "base", tmp_path / "base")
    template = changed / "chat_template.jinja"
    assert template.is_file()
    template.write_text(template.read_text().replace("assistant", "helper"))
    data = write_rows(tmp_path / "a.jsonl", sampled_rows(3))
    options = Options(store=tmp_path / "store")
    assert "templates" in refused(data, strong=str(llamas / "sft"), weak=str(changed), options=options)
    asked = (str(llamas / "sft"), str(changed), "vanilla", (), (), options, (1, 1))
    with pytest.raises(UserError, match="templates"):
        score_shard(str(data), *asked)


def cli(*arguments: str, folder: Path) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "cdr_eval.harness", "annotate", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--top", "0"), "--top"),
        (("--choose", "best"), "--choose"),
        (("--choose", "best-quantile"), "--choose"),
        (("--choose", "best-worst", "--length-band", "0.5..2"), "--length-band"),
        (("--length-band", "2"), "LOW..HIGH"),
        (("--weight", "clip"), "--weight"),
        (("--out", "full"), "is not a run directory"),
    ],
)
def test_the_command_ends_with_2_and_one_sentence(arguments: tuple[str, ...], said: str, tmp_path: Path):
    write_rows(tmp_path / "a.jsonl", sampled_rows(3))
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("mine")
    done = cli("a.jsonl", "--strong", PAIR[0], "--weak", PAIR[1], *arguments, folder=tmp_path)
    assert done.returncode == 2
    assert said in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.jsonl", "full"]


def test_a_disk_that_fills_up_part_way_loses_nothing(tmp_path: Path):
    """A limit on the size of files, in KiB, fails a write midway, as a full disk does."""
    write_rows(tmp_path / "a.jsonl", sampled_rows(40))
    given = ("a.jsonl", "--strong", PAIR[0], "--weak", PAIR[1], "--variant", "vanilla", "--resamples", "100")
    given = (*given, "--store", "store", "--out", "out", "--quiet")
    assert cli(*given, folder=tmp_path).returncode == 0
    earlier = {path: path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file()}
    command = " ".join([sys.executable, "-m", "cdr_eval.harness", "annotate", *given, "--top", "50%", "--overwrite"])
    for blocks in (3, 12):
        limited = ["bash", "-c", f"ulimit -f {blocks}; {command}"]
        done = subprocess.run(limited, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 2, done.stderr
        assert "File too large" in done.stderr and len(done.stderr.strip().splitlines()) == 1
        assert {path: path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file()} == earlier
        assert sorted(path.name for path in tmp_path.iterdir()) == ["a.jsonl", "out", "store"]
