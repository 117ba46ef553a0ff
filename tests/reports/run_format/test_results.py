"""The run directory: which files with which columns, written whole, and nothing else overwritten."""

import hashlib
import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from cdr_eval.errors import UserError
from cdr_eval.harness import Options, RunResult, evaluate_grid, evaluate_pair
from cdr_eval.reports.run_format.results import CHECKSUMS

from tests.checkpoints import CHATML
from tests.harness.small_task import write_criteria, write_items

COLUMNS = {
    "items.parquet": "item subset section problem domain_oracle domain_routed chosen_chars rejected_chars",
    "margins.parquet": "strong weak variant item margin",
    "accuracy.csv": "strong weak variant scope name n ties accuracy ci_low ci_high note",
    "comparisons.csv": "strong_a weak_a variant_a strong_b weak_b variant_b n difference ci_low ci_high p_value",
    "selection.csv": "strong weak variant fraction n accuracy ci_low ci_high",
    "calibration.csv": "strong weak variant bin n confidence accuracy ci_low ci_high",
    "confidence.csv": "strong weak variant statistic value ci_low ci_high",
    "length.csv": "strong weak variant statistic value ci_low ci_high",
}
GRID_COLUMNS = {
    "pairs.csv": "strong weak variant family gap_arena_hard gap_alpaca_eval_2_lc gap_alpaca_eval_2_wr gap_my_bench"
    " n accuracy ci_low ci_high",
    "gap_analysis.csv": "pair_set family scope benchmark statistic value ci_low ci_high p_permutation p_naive",
    "gap_fixed.csv": "family scope benchmark role checkpoint statistic n value ci_low ci_high",
    "effects.csv": "family scope role checkpoint objective effect ci_low ci_high",
    "saturation.csv": "family scope benchmark gap observed fitted ci_low ci_high isotonic",
}
RUN_KEYS = {
    *("format", "kind", "command", "versions", "seed", "mean_per_token", "created", "seconds", "resamples", "notes"),
    *("task", "family", "checkpoints", "pairs", "variants", "counts", "score_source"),
}


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Options:
    folder = tmp_path_factory.mktemp("settings")
    return Options(store=folder / "store", criteria=write_criteria(folder / "criteria.yaml"), resamples=100)


@pytest.fixture(scope="module")
def task(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(write_items(tmp_path_factory.mktemp("results") / "items.jsonl"))


@pytest.fixture(scope="module")
def pair(llamas: Path, settings: Options, task: str) -> RunResult:
    names = ("vanilla", "cdr-adaptive-router", "judge-safety")
    return evaluate_pair(str(llamas / "sft"), str(llamas / "base"), task=task, variants=names, options=settings)


@pytest.fixture(scope="module")
def grid(llamas: Path, settings: Options, task: str, tmp_path_factory: pytest.TempPathFactory) -> RunResult:
    """A grid over a family of a user's registry file, with scores on benchmarks known and unknown."""

    def checkpoint(name: str, **scores: float) -> dict[str, Any]:
        listed = [{"benchmark": b, "value": v, "source": "mine"} for b, v in scores.items()]
        return {"name": name, "model": str(llamas / name), "label": name, "stage": "sft", "scores": listed}

    registry = {
        "sources": {"mine": {"title": "Mine"}},
        "families": [{"name": "f", "description": "d", "members": ["base", "sft", "dpo"], "chat_template": CHATML}],
        "checkpoints": [
            checkpoint("base", arena_hard=1.5, my_bench=40.0),
            checkpoint("sft", arena_hard=7.5, my_bench=60.0),
            checkpoint("dpo", my_bench=65.0),
        ],
    }
    file = tmp_path_factory.mktemp("registry") / "registry.yaml"
    file.write_text(yaml.safe_dump(registry))
    return evaluate_grid(task=task, registry=[file], options=settings)


def read(path: Path) -> pd.DataFrame:
    return pd.read_parquet(path) if path.suffix == ".parquet" else pd.read_csv(path)


@pytest.mark.parametrize("kind", ["pair", "grid"])
def test_files_have_the_documented_columns(kind: str, request: pytest.FixtureRequest, tmp_path: Path):
    result: RunResult = request.getfixturevalue(kind)
    out = result.save(tmp_path / "run")
    expected = COLUMNS if kind == "pair" else {**{k: COLUMNS[k] for k in list(COLUMNS)[:4]}, **GRID_COLUMNS}
    for name, columns in expected.items():
        assert read(out / name).columns.tolist() == columns.split(), name
    run = json.loads((out / "run.json").read_text(encoding="utf-8"))
    assert run.keys() >= RUN_KEYS
    assert run == result.run
    assert (run["format"], run["kind"], run["seed"], run["resamples"]) == (1, kind, 0, 100)
    assert run["task"]["items"] == 24
    assert len(run["task"]["content_hash"]) == 64
    assert set(run["counts"]) >= {"truncated", "unscored", "no_end_of_turn", "ties"}
    assert all(len(checkpoint["weights"]) == 64 for checkpoint in run["checkpoints"])


def test_tables_come_back_from_their_files(pair: RunResult, tmp_path: Path):
    out = pair.save(tmp_path / "run")
    for name, table in pair.tables.items():
        (file,) = out.glob(f"{name}.*")
        back = read(file)
        for column in table.columns:
            if table[column].dtype.kind in "fiu":
                assert np.allclose(back[column], table[column], equal_nan=True), (name, column)
            else:
                assert back[column].fillna("").tolist() == table[column].tolist(), (name, column)


def test_items_and_margins_agree_with_each_other(pair: RunResult):
    items = pair.tables["items"]
    assert pair.margins.groupby("variant", observed=True)["item"].apply(list).map(items["item"].tolist().__eq__).all()
    judged = pair.margins[pair.margins["variant"] == "judge-safety"]
    assert set(judged["weak"]) == {""}
    overall = pair.accuracy[(pair.accuracy["scope"] == "overall") & (pair.accuracy["strong"] != "")]
    assert overall[["strong", "weak", "variant"]].to_numpy().tolist() == [
        ["sft", "base", "vanilla"],
        ["sft", "base", "cdr-adaptive-router"],
        ["sft", "", "judge-safety"],
    ]
    compared = pair.tables["comparisons"][["variant_a", "variant_b"]].to_numpy().tolist()
    assert compared == [["cdr-adaptive-router", "vanilla"], ["judge-safety", "vanilla"]]


def test_gaps_are_scores_of_strong_minus_weak_and_empty_where_one_has_none(grid: RunResult):
    pairs: dict[tuple[str, str], dict[Any, Any]] = {
        (row["strong"], row["weak"]): row for row in grid.tables["pairs"].to_dict("records")
    }
    assert len(pairs) == 9
    assert {row["family"] for row in pairs.values()} == {"f"}
    assert pairs["sft", "base"]["gap_arena_hard"] == 6.0
    assert pairs["base", "sft"]["gap_arena_hard"] == -6.0
    assert pairs["dpo", "base"]["gap_my_bench"] == 25.0
    assert np.isnan(pairs["dpo", "base"]["gap_arena_hard"])
    assert all(np.isnan(row["gap_alpaca_eval_2_lc"]) for row in pairs.values())
    assert pairs["sft", "sft"]["accuracy"] == 50
    overall = grid.accuracy[(grid.accuracy["scope"] == "overall") & (grid.accuracy["strong"] != "")]
    for row in overall.to_dict("records"):
        assert pairs[row["strong"], row["weak"]]["accuracy"] == pytest.approx(100 * row["accuracy"])
    used = {checkpoint["name"]: checkpoint["scores_used"] for checkpoint in grid.run["checkpoints"]}
    assert used["dpo"] == {"my_bench": 65.0}
    assert any("arena_hard" in note and "dpo" in note for note in grid.run["notes"])


def test_checksums_are_those_of_the_files(pair: RunResult, tmp_path: Path):
    out = pair.save(tmp_path / "run")
    lines = (out / CHECKSUMS).read_text().splitlines()
    listed = {line[66:]: line[:64] for line in lines}
    assert listed.keys() == {file.name for file in out.iterdir()} - {CHECKSUMS}
    assert all(hashlib.sha256((out / name).read_bytes()).hexdigest() == digest for name, digest in listed.items())


def test_an_earlier_run_is_replaced_and_nothing_is_left_of_it(pair: RunResult, grid: RunResult, tmp_path: Path):
    out = grid.save(tmp_path / "run")
    (out / "report.html").write_text("old")
    pair.save(out)
    assert not (out / "pairs.csv").exists()
    assert not (out / "report.html").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_a_failure_leaves_the_earlier_run_alone(pair: RunResult, tmp_path: Path):
    out = pair.save(tmp_path / "run")
    before = {file.name: file.read_bytes() for file in out.iterdir()}

    def fail(folder: Path) -> None:
        (folder / "leaderboard.md").write_text("half")
        raise OSError(28, "No space left on device")

    with pytest.raises(UserError, match="No space left on device"):
        pair.save(out, fail)
    assert {file.name: file.read_bytes() for file in out.iterdir()} == before
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_a_folder_that_is_no_run_directory_is_not_overwritten(pair: RunResult, tmp_path: Path):
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.tex").write_text("mine")
    (tmp_path / "file").write_text("mine")
    for name in ("thesis", "file"):
        with pytest.raises(UserError, match="is not a run directory, so it is not overwritten"):
            pair.save(tmp_path / name)
    assert (tmp_path / "thesis" / "chapter.tex").read_text() == "mine"
    (tmp_path / "empty").mkdir()
    assert pair.save(tmp_path / "empty").is_dir()


def test_names_that_a_spreadsheet_would_run_are_made_inert(llamas: Path, settings: Options, task: str, tmp_path: Path):
    folder = Path(shutil.copytree(llamas / "sft", tmp_path / "=cmd()"))
    options = replace(settings, resamples=10)
    result = evaluate_pair(str(folder), str(llamas / "base"), task=task, variants=["vanilla"], options=options)
    out = result.save(tmp_path / "run")
    lines = (out / "accuracy.csv").read_text().splitlines()
    assert not any(line.startswith("=") for line in lines)
    assert any(line.startswith("'=cmd(),base") for line in lines)
    assert set(pd.read_parquet(out / "margins.parquet")["strong"]) == {"=cmd()"}
