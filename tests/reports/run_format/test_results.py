"""The run directory: which files with which columns, written whole, and nothing else overwritten."""

import hashlib
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import yaml
from cdr_eval.errors import UserError
from cdr_eval.harness import Options, RunResult, evaluate_grid, evaluate_pair
from cdr_eval.harness.comparisons import pair_of
from cdr_eval.harness.question import ask, asked_of
from cdr_eval.model_registry.registry import load_registry
from cdr_eval.reports.export_evaleval import export_evaleval
from cdr_eval.reports.run_format.checksums import CHECKSUMS
from cdr_eval.reports.run_format.frames import declared_columns, make_frame
from cdr_eval.reports.run_format.tables import TABLES
from cdr_eval.reports.write import write_reports
from cdr_eval.tasks.catalog import load_task
from pydantic import ValidationError

from tests.checkpoints import CHATML
from tests.harness.small_task import write_criteria, write_items

PAIR_TABLES = {"items", "margins", "accuracy", "comparisons", "selection", "calibration", "confidence", "length"}
GRID_TABLES = {"items", "margins", "accuracy", "pairs", "gap_analysis", "gap_fixed", "effects", "saturation"}
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


Asked = Callable[..., dict[str, Any]]


@pytest.fixture
def asked(llamas: Path, task: str) -> Asked:
    """What run.json would say that a pair of these options, and of this strong checkpoint, is asked."""

    def told(
        options: Options, strong: str = str(llamas / "sft"), weak: str = str(llamas / "base"), **more: Any
    ) -> dict[str, Any]:
        known = load_registry(more.get("registry", ()))
        pair = pair_of(strong, weak, known)
        question = ask(more.get("task", task), ["vanilla"], pair, known, options)
        return asked_of("pair", question, pair, known, options)

    return told


def read(path: Path) -> pd.DataFrame:
    return pd.read_parquet(path) if path.suffix == ".parquet" else pd.read_csv(path)


@pytest.mark.parametrize("kind", ["pair", "grid"])
def test_files_have_the_documented_columns(kind: str, request: pytest.FixtureRequest, tmp_path: Path):
    result: RunResult = request.getfixturevalue(kind)
    out = result.save(tmp_path / "run")
    assert result.tables.keys() >= (PAIR_TABLES if kind == "pair" else GRID_TABLES)
    benchmarks = ["arena_hard", "alpaca_eval_2_lc", "alpaca_eval_2_wr", "my_bench"]
    for name in result.tables:
        columns = [column.name for column in declared_columns(name, benchmarks)]
        assert read(out / TABLES[name].file).columns.tolist() == columns, name
    run = json.loads((out / "run.json").read_text(encoding="utf-8"))
    assert run.keys() >= RUN_KEYS
    assert run == result.run
    assert (run["format"], run["kind"], run["seed"], run["resamples"]) == (2, kind, 0, 100)
    assert run["task"]["items"] == 24
    assert len(run["task"]["content_hash"]) == 64
    assert set(run["counts"]) >= {"truncated", "unscored", "no_end_of_turn", "ties"}
    assert all(len(checkpoint["weights"]) == 64 for checkpoint in run["checkpoints"])


@pytest.mark.parametrize("kind", ["pair", "grid"])
def test_a_run_that_is_loaded_is_the_run_that_was_saved(kind: str, request: pytest.FixtureRequest, tmp_path: Path):
    result: RunResult = request.getfixturevalue(kind)
    back = RunResult.load(str(result.save(tmp_path / "run")))
    assert back.run == result.run
    assert back.tables.keys() == result.tables.keys()
    for name in result.tables:
        pd.testing.assert_frame_equal(back.table(name), result.table(name), check_dtype=False, check_categorical=False)
    again = back.save(tmp_path / "again")
    for file in (tmp_path / "run").iterdir():
        assert read(again / file.name).equals(read(file)) if file.suffix in {".csv", ".parquet"} else True


def ties_file(path: Path, prompts: int = 4) -> Path:
    """Rows of RewardBench 2's subset Ties: each prompt with one right answer, and with three."""
    wrong = ["blue", "red", "a fox", "water", "No.", "green tea"]
    rows = [
        {"id": f"{role}:{n}", "prompt": f"Name {many} prime {n}.", "chosen": ["2", "3", "5"][:many], "rejected": wrong}
        | {"subset": "Ties", "num_correct": many, "total_completions": many + len(wrong)}
        for n in range(prompts)
        for role, many in (("ref", 1), ("tied", 3))
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def test_a_run_with_credits_of_ties_below_0_is_saved_told_and_read_back(
    llamas: Path, settings: Options, tmp_path: Path
):
    models, task = [str(llamas / n) for n in ("base", "sft")], f"rewardbench-2:{ties_file(tmp_path / 'ties.jsonl')}"
    result = evaluate_grid(models=models, task=task, options=settings)
    out = result.save(tmp_path / "run", write_reports)
    assert result.table("items")["problem"].tolist() == [f"group {n}" for n in range(4) for _ in range(2)]
    back = RunResult.load(out).accuracy
    below = back[back["accuracy"] < 0]
    assert {"subset", "section", "overall"} <= set(below["scope"])
    assert below["accuracy"].ge(-0.01).all()
    assert (below["ci_low"] < 0).any()
    assert "−0." in (out / "leaderboard.md").read_text(encoding="utf-8")
    export_evaleval(out, tmp_path / "out", "us")
    exported = [json.loads(file.read_text(encoding="utf-8")) for file in (tmp_path / "out").rglob("*.json")]
    results = [result for record in exported for result in record["evaluation_results"]]
    assert all(r["score_details"]["score"] >= r["metric_config"]["min_score"] for r in results)


def test_items_that_share_a_prompt_are_named_and_counted(llamas: Path, settings: Options):
    rows = [{"prompt": f"Prime {n % 3 + (n == 5)}?", "chosen": f"{n}.", "rejected": "No."} for n in range(6)]
    result = evaluate_pair(str(llamas / "sft"), str(llamas / "base"), task=rows, variants="vanilla", options=settings)
    assert result.table("items")["problem"].tolist() == ["item 1", "item 2", "", "item 1", "item 2", ""]
    (note,) = [note for note in result.run["notes"] if "prompt" in note and "taken for" not in note]
    assert note == (
        "4 of 6 items share their prompt with another (2 prompts): resampling draws the items of one prompt together."
    )


def test_streams_are_written_frame_by_frame_and_equal_the_whole(pair: RunResult, tmp_path: Path):
    made: list[str] = []

    def stream(stem: str):
        def frames():
            table = pair.table(stem)
            for start in range(0, len(table), 7):
                made.append(stem)
                yield table.iloc[start : start + 7]

        return frames

    streams = RunResult(pair.run, {stem: stream(stem) for stem in pair.tables})
    assert not made, "nothing is made before it is asked for"
    pd.testing.assert_frame_equal(streams.margins, pair.margins, check_categorical=False)
    whole, parts = pair.save(tmp_path / "whole"), streams.save(tmp_path / "parts")
    for file in whole.glob("*.csv"):
        assert (parts / file.name).read_bytes() == file.read_bytes()
    for file in whole.glob("*.parquet"):
        written = pq.ParquetFile(parts / file.name)
        assert written.num_row_groups == -(-written.metadata.num_rows // 7)
        pd.testing.assert_frame_equal(read(parts / file.name), read(file), check_categorical=False)


def test_a_table_without_rows_keeps_its_columns_and_types(pair: RunResult, tmp_path: Path):
    empty = RunResult(pair.run, {**pair.tables, "rewards": lambda: (), "chain": lambda: (), "margins": lambda: ()})
    back = RunResult.load(empty.save(tmp_path / "run"))
    for stem in ("rewards", "chain", "margins"):
        assert back.table(stem).columns.tolist() == make_frame(stem, ()).columns.tolist()
        assert len(back.table(stem)) == 0


def test_rewards_of_every_response_come_back(pair: RunResult, tmp_path: Path):
    rows = [
        [f"i{i}", k, "sft", "base", "vanilla", i - k if k else float("nan")] for i in range(3) for k in range(i + 2)
    ]
    back = RunResult.load(
        RunResult(pair.run, {**pair.tables, "rewards": make_frame("rewards", rows)}).save(tmp_path / "run")
    )
    assert [row[:5] for row in back.rewards.to_numpy().tolist()] == [row[:5] for row in rows]
    assert back.rewards["reward"].isna().sum() == 3


@pytest.mark.parametrize(
    ("stem", "change", "message"),
    [
        ("accuracy", lambda t: t.drop(columns="chance"), r"accuracy\.csv is to have the columns"),
        ("accuracy", lambda t: t[[*t.columns[::-1]]], r"accuracy\.csv is to have the columns"),
        ("accuracy", lambda t: t.assign(n=t["n"].astype(float)), r"accuracy\.csv: n is to hold count, not float64"),
        (
            "accuracy",
            lambda t: t.assign(accuracy=1),
            r"accuracy is to hold share, 0 to 1, by the rule ties −0.01 to 1.01, not int64",
        ),
        ("margins", lambda t: t.assign(item=range(len(t))), r"margins\.parquet: item is to hold text"),
        ("margins", lambda t: t.assign(variant=None), r"margins\.parquet: variant is to hold text"),
        ("my_table", lambda t: t, "declares no table 'my_table'"),
    ],
)
def test_a_table_that_the_schema_does_not_have_so_is_a_programming_error(
    pair: RunResult, tmp_path: Path, stem: str, change: Callable[[pd.DataFrame], pd.DataFrame], message: str
):
    wrong = RunResult(pair.run, {**pair.tables, stem: change(pair.table(stem) if stem in TABLES else pair.accuracy)})
    with pytest.raises(TypeError, match=message):
        wrong.save(tmp_path / "run")
    assert list(tmp_path.iterdir()) == []


def test_a_record_that_the_schema_does_not_have_so_is_a_programming_error(pair: RunResult, tmp_path: Path):
    for run in ({**pair.run, "mood": "good"}, {k: v for k, v in pair.run.items() if k != "trials"}):
        with pytest.raises(ValidationError):
            RunResult(run, pair.tables).save(tmp_path / "run")
    assert list(tmp_path.iterdir()) == []


def test_items_and_margins_agree_with_each_other(pair: RunResult):
    items = pair.table("items")
    assert pair.margins.groupby("variant", observed=True)["item"].apply(list).map(items["item"].tolist().__eq__).all()
    judged = pair.margins[pair.margins["variant"] == "judge-safety"]
    assert set(judged["weak"]) == {""}
    overall = pair.accuracy[(pair.accuracy["scope"] == "overall") & (pair.accuracy["strong"] != "")]
    assert overall[["strong", "weak", "variant"]].to_numpy().tolist() == [
        ["sft", "base", "vanilla"],
        ["sft", "base", "cdr-adaptive-router"],
        ["sft", "", "judge-safety"],
    ]
    compared = pair.table("comparisons")[["variant_a", "variant_b"]].to_numpy().tolist()
    assert compared == [["cdr-adaptive-router", "vanilla"], ["judge-safety", "vanilla"]]


def test_gaps_are_scores_of_strong_minus_weak_and_empty_where_one_has_none(grid: RunResult):
    pairs: dict[tuple[str, str], dict[Any, Any]] = {
        (row["strong"], row["weak"]): row for row in grid.table("pairs").to_dict("records")
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


def test_a_run_of_another_question_is_kept_unless_told_otherwise(pair: RunResult, grid: RunResult, tmp_path: Path):
    out = grid.save(tmp_path / "run")
    before = {file.name: file.read_bytes() for file in out.iterdir()}
    with pytest.raises(UserError, match="holds a run of another question; pass another --out, or --overwrite"):
        pair.save(out)
    assert {file.name: file.read_bytes() for file in out.iterdir()} == before
    old = {key: value for key, value in pair.run.items() if key != "asked"}
    for text in ("{", "[]", json.dumps(old)):
        (out / "run.json").write_text(text)
        with pytest.raises(UserError, match="holds a run that does not say what it was asked; pass another --out"):
            pair.save(out)


def test_the_same_question_with_new_answers_takes_the_place_of_the_old(pair: RunResult, tmp_path: Path):
    out = pair.save(tmp_path / "run")
    again = {**pair.run, "notes": ["again"], "seconds": 1.0, "command": "another"}
    RunResult(again, pair.tables).save(str(out))
    assert RunResult.load(out).run["notes"] == ["again"]


def test_a_run_of_an_earlier_version_is_known_by_what_it_says(pair: RunResult, tmp_path: Path):
    out = pair.save(tmp_path / "run")
    less = {key: value for key, value in pair.run["asked"].items() if key not in ("rules", "registry")}
    for seed, says in ((0, True), (1, False)):
        (out / "run.json").write_text(json.dumps({**pair.run, "asked": {**less, "seed": seed}}))
        if says:
            pair.save(out)
        else:
            with pytest.raises(UserError, match="holds a run of another question"):
                pair.save(out)


@pytest.mark.parametrize(
    "change",
    [
        {"protocol": "official"},
        {"dtype": "bfloat16"},
        {"quantise": "int8"},
        {"scorer": "reference"},
        {"router": "minilab-sft"},
        {"seed": 99},
        {"limit": 5},
        {"resamples": 99},
        {"mean": True},
        {"benchmark": "arena_hard"},
    ],
    ids=str,
)
def test_what_is_asked_otherwise_is_another_question(asked: Asked, settings: Options, change: dict[str, Any]):
    assert asked(replace(settings, **change)) != asked(settings)


def test_files_are_known_by_what_they_hold_and_how_the_work_is_done_is_not_asked(
    asked: Asked, settings: Options, tmp_path: Path
):
    (criteria := tmp_path / "same.yaml").write_bytes((settings.criteria or Path()).read_bytes())
    (template := tmp_path / "chat.jinja").write_text(CHATML)
    done = {"device": "cuda:3", "batch_tokens": 8, "executor": "ray", "store": tmp_path, "quiet": False}
    same = asked(replace(settings, criteria=criteria, **done))
    assert same == asked(settings)
    rendered = asked(replace(settings, chat_template=template))
    assert rendered != same
    criteria.write_text(criteria.read_text() + "# changed\n")
    template.write_text(CHATML + " ")
    assert asked(replace(settings, criteria=criteria)) != same
    assert asked(replace(settings, chat_template=template)) != rendered


def test_the_registry_s_scores_and_templates_and_the_rule_are_asked_labels_are_not(
    asked: Asked, settings: Options, task: str, tmp_path: Path
):
    def told(**changed: Any) -> dict[str, Any]:
        record = {"name": "minilab-sft", "label": "S", **changed}
        family = {"name": "minilab", "description": "d", "members": []}
        found = {"sources": {"mine": {"title": "Mine"}}, "checkpoints": [record], "families": [family]}
        if "chat_template" in record:
            family["chat_template"] = record.pop("chat_template")
        (tmp_path / "registry.yaml").write_text(yaml.safe_dump(found))
        return asked(settings, "minilab-sft", "minilab-base", registry=[tmp_path / "registry.yaml"])

    whole = asked(settings, "minilab-sft", "minilab-base")
    assert told() == whole
    assert told(scores=[{"benchmark": "new", "value": 1.0, "source": "mine"}]) != whole
    assert told(chat_template=CHATML) != whole
    plain = load_task(task)
    assert asked(settings, task=plain) == asked(settings)
    assert asked(settings, task=replace(plain, rule=replace(plain.rule, tie=0.0))) != asked(settings)


def test_checkpoints_of_one_name_in_two_folders_are_two(asked: Asked, settings: Options, llamas: Path, tmp_path: Path):
    other = shutil.copytree(llamas / "sft", tmp_path / "sft")
    assert asked(settings, str(other)) != asked(settings)


def test_an_earlier_run_is_replaced_and_nothing_is_left_of_it(pair: RunResult, grid: RunResult, tmp_path: Path):
    out = grid.save(tmp_path / "run")
    (out / "report.html").write_text("old")
    pair.save(out, overwrite=True)
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
