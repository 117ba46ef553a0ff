"""Results in the formats of others, against the run's own tables."""

import json
import re
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
from cdr_eval.errors import UserError
from cdr_eval.harness import Options, evaluate_pair
from cdr_eval.reports.export_evaleval import export_evaleval
from cdr_eval.reports.export_rewardbench import export_rewardbench
from cdr_eval.reports.run_format.results import RunResult

UUID4 = r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"
"""What EvalEval's validator takes for a file's name."""
LETTERS = [
    {"question": "the red ogre", "response_A": "grumpy", "response_B": "the ogre", "label": "B>A"},
    {"question": "the green ogre", "response_A": "grumpy", "response_B": "the ogre", "label": "A>B"},
]
"""Items whose better response is not always the first."""


@pytest.fixture(scope="module")
def lettered(no_bars: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("letters")
    (folder / "letters.jsonl").write_text("".join(json.dumps(row) + "\n" for row in LETTERS), encoding="utf-8")
    result = evaluate_pair(
        "minilab-dpo-3",
        "minilab-sft",
        task=str(folder / "letters.jsonl"),
        variants="vanilla",
        options=Options(store=folder / "store", resamples=100),
    )
    return result.save(folder / "run")


def test_evaleval_has_every_accuracy_with_its_interval(make_run: Callable[[str], Path], tmp_path: Path) -> None:
    run = make_run("pair")
    accuracy = RunResult.load(run).accuracy
    rewards = accuracy[accuracy["strong"] != ""]["variant"].nunique()
    assert export_evaleval(run, tmp_path, "a lab") == export_evaleval(run, tmp_path, "a lab") == (rewards, 0)
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(files) == rewards, "a second export replaces the first"
    for path in files:
        assert re.fullmatch(rf"data/minilab/cdr-eval/[\w.-]+/{UUID4}\.json", path.relative_to(tmp_path).as_posix())
        record = json.loads(path.read_text(encoding="utf-8"))
        about = record["model_info"]["additional_details"]
        assert all(isinstance(value, str) for value in about.values())
        rows = accuracy[(accuracy["strong"] == about["strong"]) & (accuracy["variant"] == about["variant"])]
        rows = rows[rows["accuracy"].notna()]
        results = record["evaluation_results"]
        assert [r["score_details"]["score"] for r in results] == rows["accuracy"].tolist()
        for result, row in zip(results, rows.to_dict("records"), strict=True):
            metric = result["metric_config"]["metric_id"]
            assert metric == ("prefers longer" if row["name"] == "prefers longer" else "accuracy")
            uncertainty = result["score_details"]["uncertainty"]
            assert uncertainty["num_samples"] == row["n"]
            if row["ci_low"] == row["ci_low"]:
                assert uncertainty["confidence_interval"]["lower"] == row["ci_low"]


def test_samples_belong_to_the_accuracy_that_is_their_mean(make_run: Callable[[str], Path], tmp_path: Path) -> None:
    run = make_run("pair")
    assert export_evaleval(run, tmp_path, "a lab", samples=True)[1] == 0
    aggregates = sorted(tmp_path.rglob("*.json"))
    assert len(aggregates) == 17
    for path in aggregates:
        record = json.loads(path.read_text(encoding="utf-8"))
        details = record["detailed_evaluation_results"]
        content = (tmp_path / details["file_path"]).read_bytes()
        assert details["file_path"] == path.relative_to(tmp_path).as_posix().replace(".json", "_samples.jsonl")
        assert details["checksum"] == sha256(content).hexdigest()
        lines = [json.loads(line) for line in content.decode().splitlines()]
        assert len(lines) == details["total_rows"] == 96
        assert {line["model_id"] for line in lines} == {record["model_info"]["id"]}
        scores: dict[str, list[float]] = {}
        for line in lines:
            scores.setdefault(line["evaluation_result_id"], []).append(line["evaluation"]["score"])
            assert line["output"]["raw"][0] in line["input"]["choices"]
            right = line["output"]["raw"] == line["input"]["reference"]
            assert right == line["evaluation"]["is_correct"]
        results = {
            result["evaluation_result_id"]: result["score_details"]["score"] for result in record["evaluation_results"]
        }
        assert {name: results[name] for name in scores} == pytest.approx({n: np.mean(s) for n, s in scores.items()})


def test_rewards_whose_items_have_no_credit_of_their_own_are_counted(
    make_run: Callable[[str], Path], tmp_path: Path
) -> None:
    run = make_run("pair")
    accuracy = (run / "accuracy.csv").read_text(encoding="utf-8")
    (run / "accuracy.csv").write_text(re.sub(r"(vanilla,subset,math,\d+,\d+),[\d.]+", r"\1,0.123", accuracy))
    (run / "SHA256SUMS").unlink()
    assert export_evaleval(run, tmp_path, "", samples=True) == (17, 1)
    assert len(list(tmp_path.rglob("*_samples.jsonl"))) == 16


def test_rewardbench_files_hold_scores_whose_mean_by_subset_is_the_accuracy(
    make_run: Callable[[str], Path], lettered: Path, tmp_path: Path
) -> None:
    for run, n in ((make_run("pair"), 96), (lettered, 2)):
        for path in export_rewardbench(run, tmp_path / run.name):
            if path.parent.name != "eval-set-scores":
                continue
            scores = json.loads(path.read_text(encoding="utf-8"))
            summary = json.loads((path.parents[1] / "eval-set" / path.name).read_text(encoding="utf-8"))
            assert len(scores["id"]) == n
            for subset in set(scores["subset"]):
                of_subset = [r for r, name in zip(scores["results"], scores["subset"], strict=True) if name == subset]
                assert sum(of_subset) / len(of_subset) == pytest.approx(summary[subset])


def test_scores_of_the_chosen_are_those_of_the_better_response_wherever_it_stands(
    lettered: Path, tmp_path: Path
) -> None:
    scores = json.loads(export_rewardbench(lettered, tmp_path)[1].read_text(encoding="utf-8"))
    margins = RunResult.load(lettered).margins["margin"]
    assert np.subtract(scores["scores_chosen"], scores["scores_rejected"]) == pytest.approx(margins)


def test_hostile_names_stay_in_the_folder_and_apart(make_run: Callable[[str], Path], tmp_path: Path) -> None:
    out = tmp_path / "out"
    files = export_rewardbench(make_run("hostile"), out)
    assert len(set(files)) == len(files) == 2 * 81
    assert all(path.resolve().is_relative_to(out.resolve()) for path in files)


def test_what_a_format_cannot_hold_is_a_sentence(make_run: Callable[[str], Path], tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is not a folder"):
        export_evaleval(tmp_path / "none", tmp_path, "")
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="pass another folder with --out"):
        export_evaleval(make_run("pair"), tmp_path / "file", "")
