"""`cdr-eval models` as a user runs it."""

import json
import re
from pathlib import Path

import pytest
from cdr_eval.errors import UserError
from cdr_eval.harness.cli.models import models
from click.testing import CliRunner, Result


def run(*arguments: str) -> Result:
    return CliRunner().invoke(models, arguments)


def sentence(*arguments: str) -> str:
    result = run(*arguments)
    assert isinstance(result.exception, UserError), result.output
    return str(result.exception)


def test_list_shows_names_whole_with_used_scores_and_conflicts() -> None:
    result = run("--family", "llama3")
    assert result.exit_code == 0
    lines = result.output.splitlines()
    assert "10 checkpoints, 100 ordered pairs" in lines[0]
    assert re.fullmatch(r"Llama-3-Base-8B-SFT-SimPO\s+preference\s+simpo\s+!23\.4 a\s+22\.0 a\s+20\.3 a\s*", lines[10])
    assert re.fullmatch(r"Meta-Llama-3-8B\s+base\s+-\s+0\.0 c\s+0\.0 c\s+-\s*", lines[2])
    assert re.fullmatch(r"Meta-Llama-3-8B-Instruct\s+preference\s+ppo\s+22\.3 a\s+!26\.0 a\s+!25\.3 a\s*", lines[11])
    legend = result.output.partition("Scores in per cent")[2]
    assert "a  simpo: SimPO release" in legend and "c  paper-c2:" in legend
    assert "!  Llama-3-Base-8B-SFT-SimPO, ArenaHard: 23.4 simpo, 20.3 paper-c2" in legend
    assert "Meta-Llama-3-8B-Instruct, AE2 LC: 26.0 simpo, 22.9 alpaca-eval, 26.0 paper-c2, 22.9 paper-t2" in legend
    assert "zephyr" not in result.output


def test_a_score_is_the_one_that_a_grid_of_the_family_uses() -> None:
    """One source scores all of it but the base: not the preferred one."""
    family = ("--family", "mistral-iterative-dpo")
    assert re.search(r"zephyr-7b-sft-full\s+sft\s+-\s+!6\.2 d", run(*family).output)
    for arguments, source in ((family, "paper-c1"), ((), "simpo")):
        found = {c["name"]: c for c in json.loads(run(*arguments, "--json").output)["checkpoints"]}
        assert found["zephyr-7b-sft-full"]["scores_used"]["arena_hard"]["source"] == source


def test_list_takes_one_score_source() -> None:
    result = run("--family", "llama3", "--score-source", "paper-c2")
    assert re.search(r"Llama-3-Base-8B-SFT-SimPO\s+preference\s+simpo\s+!20\.3 c\s+22\.0 c\s+-", result.output)
    assert "did you mean" in sentence("--score-source", "paper-c9")


def test_json_holds_all_scores_and_those_used() -> None:
    content = json.loads(run("--json").output)
    by_name = {c["name"]: c for c in content["checkpoints"]}
    simpo = by_name["Llama-3-Base-8B-SFT-SimPO"]
    assert simpo["families"] == ["llama3", "llama3-base-simpo"]
    assert simpo["scores_used"]["arena_hard"]["value"] == 23.4
    assert len(simpo["scores"]) == 5
    assert content["score_preference"][0] == "simpo"
    assert len(content["conflicts"]) == 6


def test_check_exits_2_with_a_sentence_a_problem(tmp_path: Path) -> None:
    assert run("--check").exit_code == 0
    mine = tmp_path / "mine.yaml"
    mine.write_text("families: [{name: f, description: d, members: [ghost]}]\n")
    result = run("--check", "--registry", str(mine))
    assert result.exit_code == 2
    assert len(result.stderr.splitlines()) == 3
    assert "'ghost'" in result.stderr


def test_import_writes_a_registry_that_models_reads(tmp_path: Path) -> None:
    table, out = tmp_path / "shown.txt", tmp_path / "scores.yaml"
    table.write_text(
        "gpt-4-0314 | score: 50.0 | 95% CI: (0.0, 0.0) | average #tokens: 423\n"
        "llama-3-8b-instruct | score: 20.6 | 95% CI: (-1.8, 1.7) | average #tokens: 585\n"
    )
    common = ("import", "--format", "arena-hard", str(table), "--out", str(out))
    assert "--name" in sentence(*common)
    assert not out.exists()
    result = run(*common, "--name", "llama-3-8b-instruct=Meta-Llama-3-8B-Instruct")
    assert result.exit_code == 0
    assert "Not in the registry, left out: gpt-4-0314" in result.stderr
    assert f"--registry {out}" in result.stdout
    shown = run("--registry", str(out), "--family", "llama3", "--score-source", "arena-hard-shown")
    assert re.search(r"Meta-Llama-3-8B-Instruct\s+preference\s+ppo\s+!20\.6", shown.output)
    assert "there already" in sentence(*common)


@pytest.mark.parametrize("mapping", ["a", "=b", "a="])
def test_import_refuses_a_mapping_without_two_sides(tmp_path: Path, mapping: str) -> None:
    out = str(tmp_path / "o.yaml")
    assert "LISTED=CHECKPOINT" in sentence("import", "--format", "arena-hard", "t", "--out", out, "--name", mapping)


def test_options_before_the_subcommand_are_not_ignored(tmp_path: Path) -> None:
    result = run("--registry", "x.yaml", "import", "--format", "arena-hard", "t", "--out", str(tmp_path / "o"))
    assert result.exit_code == 2
    assert "Put options after 'import'" in result.stderr
