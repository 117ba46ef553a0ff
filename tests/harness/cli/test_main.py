"""The command line as a user meets it: what it prints, and one sentence with exit code 2 for what they can mend."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from tests.harness.in_process import Ended, cdr_eval

ROW = '{"id": "%s", "prompt": "What is %d + 1?", "chosen": "It is %d.", "rejected": "It is five, of course."}'


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., Ended]:
    """Run a command in this process, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    return cdr_eval


@pytest.fixture
def sums(tmp_path: Path) -> Path:
    """A preference file of six items."""
    path = tmp_path / "sums.jsonl"
    path.write_text("\n".join(ROW % (i, i, i + 1) for i in range(6)))
    return path


def refused(ended: Ended) -> str:
    """The one sentence of a command that was refused."""
    assert ended.code == 2, ended
    lines = ended.err.strip().splitlines()
    assert len(lines) == 1, ended.err
    assert lines[0].startswith("Error: ")
    assert "Traceback" not in ended.err
    return lines[0]


@pytest.mark.parametrize(
    ("command", "told"),
    [
        (("fit", "--router", "minilab-sft"), "--router is for cdr-adaptive-router"),
        (("annotate", "d.jsonl", "--scores", "s", "--variant", "vanilla"), "--variant belongs to the reward of a pair"),
        (("annotate", "d.jsonl", "--reward", "f.yaml", "--router", "minilab-sft"), "--router belongs to the reward of"),
        (("annotate", "d.jsonl", "--annotator", "bt", "--scorer", "reference"), "--scorer belongs to the scoring of"),
        (
            ("export", "r", "--out", "o", "--format", "trl", "--organization", "us"),
            "--organization belongs to",
        ),
        (("export", "r", "--out", "o", "--format", "evaleval", "--reference", "m"), "--reference belongs to"),
        (("tasks", "x" * 300), "is longer than the name of a file may be"),
        (("pair", "--strong", "x" * 300, "--weak", "minilab-sft"), "is longer than the name of a file may be"),
        (("report", "x" * 300), "is longer than the name of a file may be"),
    ],
)
def test_options_that_would_not_be_read_and_names_that_no_file_has(
    run: Callable[..., Ended], command: tuple[str, ...], told: str
) -> None:
    assert told in refused(run(*command))


@pytest.mark.parametrize("command", ["fit", "plan"])
def test_what_does_not_check_quantised_weights_does_not_take_the_option(
    run: Callable[..., Ended], command: str
) -> None:
    ended = run(command, "--check-quantised", "3")
    assert ended.code == 2
    assert "No such option '--check-quantised'" in ended.err


@pytest.mark.parametrize(
    ("rows", "sentence"),
    [
        ('{"prompt": "p", "chosen": "a"}', "rejected"),
        ('{"prompt": "p", "chosen": "", "rejected": "b"}', "empty"),
        ('{"prompt": "p", "chosen": "a", "rejected": "a"}', "equal"),
        ('{"prompt": "p", "chosen": "a", "rejected": "b"}\n{"prompt": "p", "chosen": ', "line 2"),
        ("\n".join([ROW % (1, 1, 2), ROW % (1, 2, 3)]), "unique"),
    ],
)
def test_bad_preference_files(
    run: Callable[..., Ended], llamas: Path, tmp_path: Path, rows: str, sentence: str
) -> None:
    path = tmp_path / "bad.jsonl"
    path.write_text(rows)
    said = refused(run("pair", "--strong", llamas / "dpo", "--weak", llamas / "base", "--task", path))
    assert "bad.jsonl" in said
    assert sentence in said


def test_bad_checkpoints(run: Callable[..., Ended], llamas: Path, mistrals: Path, sums: Path, tmp_path: Path) -> None:
    empty = tmp_path / "no-weights"
    empty.mkdir()
    for file in (llamas / "base").glob("*.json"):
        (empty / file.name).write_bytes(file.read_bytes())

    def said(strong: object, weak: object, *more: object) -> str:
        return refused(run("pair", "--strong", strong, "--weak", weak, "--task", sums, *more))

    assert "did you mean Mistral-7B-Base-SFT-DPO" in said("Mistral-7B-Base-SFT-DP", llamas / "base")
    assert "local folder" in said("nobody/nothing", llamas / "base")
    assert "no folder" in said(tmp_path / "nowhere", llamas / "base")
    assert "no weights" in said(empty, llamas / "base")
    assert "different tokenizers" in said(llamas / "dpo", mistrals / "base")
    assert "--allow-cross-family" in said("Mistral-7B-Base-SFT-DPO", "Llama-3-Base-8B-SFT")


def test_no_chat_template(run: Callable[..., Ended], llamas: Path, sums: Path, tmp_path: Path) -> None:
    bare = tmp_path / "bare"
    bare.mkdir()
    for file in (llamas / "base").iterdir():
        if file.name != "chat_template.jinja":
            (bare / file.name).write_bytes(file.read_bytes())
    assert "--chat-template" in refused(run("pair", "--strong", bare, "--weak", bare, "--task", sums))


def test_bad_words(run: Callable[..., Ended], llamas: Path, sums: Path, tmp_path: Path) -> None:
    criteria = tmp_path / "criteria.yaml"
    criteria.write_text(
        "domains: {tidy: {instruction: Be tidy., demonstrations: [{query: q, good: g, bad: b, why: w}], colour: red}}"
    )
    taken = tmp_path / "taken"
    taken.mkdir()
    (taken / "thesis.txt").write_text("years of work")

    def said(*more: object) -> str:
        return refused(run("pair", "--strong", llamas / "dpo", "--weak", llamas / "base", "--task", sums, *more))

    assert "did you mean vanilla" in said("--variants", "vanila")
    assert "colour" in said("--criteria", criteria)
    assert "--out" in said("--out", taken)
    assert (taken / "thesis.txt").read_text() == "years of work"
    assert "shared-prefix" in said("--scorer", "fastest")
    assert "one model for every checkpoint" in said("--scorer", "lm-eval:hf,pretrained=gpt2")
    assert "simpo" in said("--score-source", "simpol")
    assert "no family" in refused(run("grid", "--family", "mistral-zephir"))
    assert "not both" in refused(run("grid", "--family", "llama3", "--models", "a,b"))
    assert "rewardbench" in refused(run("grid", "--task", "rewardbensh"))


def test_a_pair_and_its_report(run: Callable[..., Ended], llamas: Path, sums: Path, tmp_path: Path) -> None:
    out = tmp_path / "pair"
    asked = ("pair", "--strong", llamas / "dpo", "--weak", llamas / "base", "--task", sums, "--out", out)
    settings = ("--store", tmp_path / "store", "--resamples", 200, "--variants", "vanilla,likelihood")
    first = run(*asked, *settings)
    assert first.code == 0, first.err
    assert "\nvanilla  " in first.out
    before = {path.name: path.read_bytes() for path in out.glob("*.csv")}

    as_json = json.loads(run(*asked, *settings, "--json").out)
    overall = [row for row in as_json["accuracy"] if row["variant"] == "vanilla" and row["scope"] == "overall"]
    margins = pd.read_parquet(out / "margins.parquet")
    vanilla = margins[margins["variant"] == "vanilla"]["margin"]
    assert overall[0]["n"] == 6
    assert overall[0]["accuracy"] == pytest.approx(((vanilla > 0) + 0.5 * (vanilla == 0)).mean())
    assert as_json["run"]["responses_scored"] == {}
    assert {path.name: path.read_bytes() for path in out.glob("*.csv")} == before

    assert run(*asked, *settings, "--quiet").out.strip() == str(out)
    told = (out / "leaderboard.md").read_bytes()
    (out / "leaderboard.md").unlink()
    assert run("report", out).code == 0
    assert (out / "leaderboard.md").read_bytes() == told
    assert refused(run("report", tmp_path)).startswith("Error: ")


def test_plan_counts_what_the_store_lacks(run: Callable[..., Ended], llamas: Path, sums: Path, tmp_path: Path) -> None:
    pair = ("--strong", llamas / "dpo", "--weak", llamas / "base", "--task", sums, "--store", tmp_path / "store")
    before = json.loads(run("plan", *pair, "--variants", "vanilla", "--json").out)
    assert [row["responses"] for row in before["checkpoints"]] == [12, 12]
    assert all(row["in_store"] == 0 and row["seconds"] is None for row in before["checkpoints"])
    assert all(0 < row["tokens_shared"] < row["tokens_separate"] for row in before["checkpoints"])
    ran = run("pair", *pair, "--variants", "vanilla", "--resamples", 200, "--out", tmp_path / "out")
    assert ran.code == 0, ran.err
    after = json.loads(run("plan", *pair, "--variants", "vanilla", "--json").out)
    assert all(row["in_store"] == 12 and row["tokens_shared"] == 0 for row in after["checkpoints"])


@pytest.mark.parametrize(("options", "told"), [((), True), (("--json",), False)])
def test_long_work_is_told_on_a_terminal(
    run: Callable[..., Ended],
    llamas: Path,
    sums: Path,
    monkeypatch: pytest.MonkeyPatch,
    options: tuple[str, ...],
    told: bool,
) -> None:
    monkeypatch.setenv("TTY_COMPATIBLE", "1")  # rich then takes any stream for a terminal
    pair = ("--strong", llamas / "dpo", "--weak", llamas / "base", "--task", sums, "--store", sums.parent / "store")
    ended = run("plan", *pair, "--variants", "vanilla", "--time", *options)
    assert ("Rendering 6 items" in ended.err, "Calibrating with" in ended.err) == (told, told)
    assert "Rendering" not in ended.out


def test_nothing_is_told_where_there_is_no_terminal(
    run: Callable[..., Ended], llamas: Path, sums: Path, tmp_path: Path
) -> None:
    pair = ("--strong", llamas / "dpo", "--weak", llamas / "base", "--task", sums, "--store", tmp_path / "store")
    assert run("plan", *pair, "--variants", "vanilla", "--time").err == ""


def test_published_tables(run: Callable[..., Ended]) -> None:
    said = run("report", "--published")
    assert said.code == 0
    assert "72.6" in said.out  # the mean of the sections of vanilla DPO over Base, where the paper prints 71.9
    assert "Llama-3-Base-8B-SFT-SimPO" in said.out


def test_listings_do_not_import_torch() -> None:
    """What needs no model must answer at once."""
    script = (
        "import sys; from cdr_eval.harness.cli.main import cli\n"
        "for words in (['--help'], ['models'], ['tasks'], ['variants'], ['report', '--published']):\n"
        "    try: cli.main(words, standalone_mode=False)\n"
        "    except SystemExit: pass\n"
        "heavy = {'torch', 'transformers', 'lm_eval', 'datasets'} & sys.modules.keys()\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, timeout=60)


def test_as_a_module_and_debug(llamas: Path, sums: Path) -> None:
    command = [sys.executable, "-m", "cdr_eval.harness", "pair", "--strong", str(llamas / "dpo"), "--weak", "nowhere"]
    plain = subprocess.run([*command, "--task", str(sums)], capture_output=True, text=True, timeout=120, check=False)
    assert plain.returncode == 2
    assert "Traceback" not in plain.stderr
    debug = subprocess.run([*command, "--debug"], capture_output=True, text=True, timeout=120, check=False)
    assert "Traceback" in debug.stderr


@pytest.mark.parametrize(
    ("command", "printed"),
    [("--help", "log ?_strong(y|x) - log ?_weak(y|x)"), ("variants", "L_s(y|T(x)) - L_w(y|T(x)), T by section: ")],
)
def test_letters_that_an_encoding_lacks_do_not_end_a_command(command: str, printed: str):
    done = subprocess.run(
        [sys.executable, "-m", "cdr_eval.harness", command],
        capture_output=True,
        timeout=120,
        check=False,
        env={**os.environ, "PYTHONIOENCODING": "cp1252"},
    )
    assert done.returncode == 0, done.stderr
    assert printed in done.stdout.decode("cp1252")


def test_a_run_of_another_question_gets_a_folder_of_its_own(run: Callable[..., Ended], sums: Path):
    pair = ("pair", "--strong", "minilab-sft", "--weak", "minilab-base", "--store", "store", "--resamples", 100)
    asked = (*pair, "--quiet", "--task", sums, "--variants", "vanilla")
    first = run(*asked).out.strip()
    assert first == "runs/pair-minilab-sft-over-minilab-base-on-sums"
    assert run(*asked).out.strip() == first
    assert run(*asked, "--seed", 1).out.strip() == f"{first}-2"
    assert run(*asked, "--dtype", "bfloat16").out.strip() == f"{first}-3"
    assert run(*asked, "--seed", 1).out.strip() == f"{first}-2"
    assert run(*asked, "--seed", 3, "--overwrite").out.strip() == first
    assert json.loads((Path(first) / "run.json").read_text())["seed"] == 3


def test_an_out_folder_with_another_run_is_refused_before_anything_is_scored(
    run: Callable[..., Ended], sums: Path, tmp_path: Path
):
    pair = ("pair", "--strong", "minilab-sft", "--weak", "minilab-base", "--resamples", 100, "--task", sums)
    asked = (*pair, "--quiet", "--variants", "vanilla", "--out", "mine")
    assert run(*asked, "--store", "store").code == 0
    told = refused(run(*asked, "--seed", 1, "--store", "untouched"))
    assert "mine holds a run of another question; pass another --out, or --overwrite to replace it." in told
    assert not (tmp_path / "untouched").exists()


def test_a_pair_without_an_item_that_fits_exits_3_with_a_report(run: Callable[..., Ended], tmp_path: Path):
    rows = [{"prompt": "Why?", "chosen": f"Because {n} " * 20, "rejected": "No, " * 40} for n in range(3)]
    (tmp_path / "long.jsonl").write_text("\n".join(map(json.dumps, rows)))
    ended = run(
        *("pair", "--strong", "minilab-sft", "--weak", "minilab-base", "--task", "long.jsonl", "--max-length", 8),
        *("--store", "store", "--resamples", 100, "--variants", "vanilla,judge-safety", "--out", "out"),
    )
    assert ended.code == 3, ended
    assert ended.err.strip().splitlines()[-1] == "Error: a reward could not be had for any item; see the notes."
    assert "unscored" in (tmp_path / "out" / "leaderboard.md").read_text()
    assert (tmp_path / "out" / "report.html").is_file()
