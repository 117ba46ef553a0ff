"""Results in the formats of others, against the run's own tables."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from cdr_eval.errors import UserError
from cdr_eval.reports.exports import export_evaleval, export_rewardbench
from cdr_eval.reports.run_format.results import RunResult


def test_evaleval_has_every_accuracy_with_its_interval(make_run: Callable[[str], Path], tmp_path: Path) -> None:
    run = make_run("pair")
    files = export_evaleval(run, tmp_path, "a lab")
    assert files == export_evaleval(run, tmp_path, "a lab"), "a second export replaces the first"
    accuracy = RunResult.load(run).accuracy
    records = {path: json.loads(path.read_text(encoding="utf-8")) for path in files}
    assert len(records) == accuracy[accuracy["strong"] != ""]["variant"].nunique()
    for record in records.values():
        about = record["model_info"]["additional_details"]
        assert all(isinstance(value, str) for value in about.values())
        rows = accuracy[(accuracy["strong"] == about["strong"]) & (accuracy["variant"] == about["variant"])]
        rows = rows[rows["accuracy"].notna()]
        results = record["evaluation_results"]
        assert [r["score_details"]["score"] for r in results] == rows["accuracy"].tolist()
        for result, row in zip(results, rows.to_dict("records"), strict=True):
            uncertainty = result["score_details"]["uncertainty"]
            assert uncertainty["num_samples"] == row["n"]
            if row["ci_low"] == row["ci_low"]:
                assert uncertainty["confidence_interval"]["lower"] == row["ci_low"]


def test_rewardbench_files_hold_scores_whose_mean_by_subset_is_the_accuracy(
    make_run: Callable[[str], Path], tmp_path: Path
) -> None:
    for path in export_rewardbench(make_run("pair"), tmp_path):
        if path.parent.name != "eval-set-scores":
            continue
        scores = json.loads(path.read_text(encoding="utf-8"))
        summary = json.loads((tmp_path / "eval-set" / path.name).read_text(encoding="utf-8"))
        assert len(scores["id"]) == 96
        for subset in set(scores["subset"]):
            of_subset = [r for r, name in zip(scores["results"], scores["subset"], strict=True) if name == subset]
            assert sum(of_subset) / len(of_subset) == pytest.approx(summary[subset])


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
