"""From sampled responses to a folder on the disk: rewards, labels, counts, formats, a kill."""

import hashlib
import json
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from cdr_eval.errors import UserError
from cdr_eval.harness import Options, evaluate_pair
from cdr_eval.harness.annotate import Annotation, annotate
from cdr_eval.harness.annotation.choosing import Choice, Pairs
from cdr_eval.harness.annotation.formats import FORMATS
from cdr_eval.harness.annotation.settings import Annotating
from cdr_eval.harness.annotation.statistics import Annotated, statistic_rows
from cdr_eval.harness.annotator import CWPO, train_annotator
from cdr_eval.harness.statistics.credits import Responses
from cdr_eval.harness.statistics.resampling import Bootstrap
from cdr_eval.harness.tuning.annotator import load_annotator
from cdr_eval.harness.tuning.pairs import read_preferences
from cdr_eval.reports.write import write_reports
from cdr_eval.tasks.catalog import load_task
from cdr_eval.tasks.minilab.world import CRITERIA, is_good, training_prompts
from datasets import load_dataset

from tests.harness.annotation.samples import PAIR, sampled_rows, write_rows
from tests.harness.tuning.preference_file import write_pairs

Annotate = Callable[..., Annotation]


def rows_of(folder: Path, split: str = "train") -> list[dict[str, object]]:
    return [row for file in sorted((folder / "data").glob(f"{split}-*")) for row in pq.read_table(file).to_pylist()]


def test_rewards_are_those_of_the_pair_command(annotated: Annotate, sampled: Path, tmp_path: Path):
    graded = [
        {**row, "responses": [r for r in row["responses"] if r["text"].strip()], "id": row["id"]}
        for row in sampled_rows()
    ]
    for row in graded:
        row["grades"] = [float(k) for k in range(len(row["responses"]))]
    texts = [{**row, "responses": [r["text"] for r in row["responses"]]} for row in graded]
    task = load_task(str(write_rows(tmp_path / "graded.jsonl", texts)))
    options = Options(store=tmp_path / "store", resamples=200)
    pair = evaluate_pair(
        *PAIR, task=replace(task, criteria=CRITERIA), variants=["cdr-adaptive-router"], options=options
    )
    found = annotated().result.table("responses")
    assert np.allclose(found["reward"], pair.rewards["reward"], atol=1e-9)
    assert np.allclose(found["reward"], found["strong"] + found["weak"], atol=1e-9)


def test_what_is_left_out_is_counted_and_never_chosen(annotated: Annotate, sampled: Path):
    made = annotated()
    info, responses = made.result.run["annotation"], made.result.table("responses")
    assert info["counts"]["responses"] == 24 * 6
    assert info["counts"]["empty"] == 1
    assert info["counts"]["truncated"] == 5
    assert info["counts"]["duplicates"] == int((responses["same_as"] != responses["response"]).sum()) > 0
    chosen = responses[responses["role"] != ""]
    assert not (chosen["finish"] == "length").any()
    assert (chosen["same_as"] == chosen["response"]).all()
    dropped = made.result.table("dropped")
    assert info["counts"]["prompts_kept"] + len(dropped) == 24
    assert sum(info["dropped"].values()) == len(dropped)
    kept = annotated(settings=Annotating(choice=Choice(keep_truncated=True)))
    finish = kept.result.table("responses")
    assert (finish[finish["role"] != ""]["finish"] == "length").any()


def test_a_limit_is_told_where_it_left_prompts_out(annotated: Annotate):
    notes = ["\n".join(annotated(options={"limit": limit}).result.run["notes"]) for limit in (20, 24)]
    assert ["(--limit)" in text for text in notes] == [True, False]


def test_the_same_text_of_one_prompt_has_one_reward(annotated: Annotate):
    found = annotated().result.table("responses")
    assert (found.groupby(["item", "text"], observed=True)["reward"].nunique() <= 1).all()


def test_the_card_names_checkpoints_weights_and_licences(llamas: Path, tmp_path: Path):
    folders = [Path(shutil.copytree(llamas / name, tmp_path / name)) for name in ("dpo", "sft")]
    (folders[0] / "README.md").write_text("---\nlicense: apache-2.0\n---\n", encoding="utf-8")
    data = write_rows(tmp_path / "a.jsonl", [{"prompt": f"{k}?", "responses": ["yes", "no"]} for k in range(4)])
    options = Options(store=tmp_path / "store", resamples=100)
    card = annotate(str(data), strong=str(folders[0]), weak=str(folders[1]), variant="vanilla", options=options).card
    assert re.findall(r"^- checkpoint (\w+), weights [0-9a-f]{64}$", card, re.MULTILINE) == ["dpo", "sft"]
    assert card.endswith("- dpo: apache-2.0\n- sft: none named beside its weights\n")


def test_agreement_is_that_of_the_judge_counted_by_hand(annotated: Annotate, sampled: Path):
    made = annotated(minilab_judge=True)
    prompts = {prompt.text: prompt for prompt in training_prompts(24)}
    won: list[float] = []
    for _, row in made.data.rows():
        prompt = prompts[row["prompt"][0]["content"]]
        sides = [is_good(prompt, row[side][0]["content"]) for side in ("chosen", "rejected")]
        if sides[0] != sides[1]:
            won.append(float(sides[0] > sides[1]))
    table = made.result.table("statistics")
    accuracy = table[(table["statistic"] == "accuracy") & (table["name"] == "")].iloc[0]
    assert (accuracy["n"], accuracy["value"]) == (len(won), pytest.approx(np.mean(won)))


def test_a_column_of_scores_needs_no_model_and_is_what_is_written(annotated: Annotate, tmp_path: Path):
    rows = [
        {"prompt": f"{k}?", "responses": [f"a{k}", f"b{k}", "c"], "all_rm_scores": [k * 1.0, 5.0, -1.0], "id": str(k)}
        for k in range(10)
    ]
    dropped = {"prompt": "x?", "responses": ["a", " "], "all_rm_scores": [1.0, 2.0], "id": "x"}
    made = annotated(write_rows(tmp_path / "scored.jsonl", [*rows, dropped]), scores="all_rm_scores")
    counts = made.result.run["annotation"]["counts"]
    assert (counts["prompts"], counts["responses"], counts["empty"]) == (11, 32, 1)
    for split, row in made.data.rows():
        assert split == "train"
        scores = dict(zip(rows[int(row["id"])]["responses"], rows[int(row["id"])]["all_rm_scores"], strict=True))
        assert row["score_chosen"] == max(scores.values()) == scores[row["chosen"][0]["content"]]
        assert row["score_rejected"] == scores[row["rejected"][0]["content"]]
        assert row["reward_margin"] == row["score_chosen"] - row["score_rejected"]
    made.save(tmp_path / "out")
    assert made.result.run["checkpoints"] == []


def test_the_mean_confidence_of_the_pairs_that_are_kept_is_one_half(annotated: Annotate):
    made = annotated(settings=Annotating(top=0.3))
    assert made.data.confidence.mean() == pytest.approx(0.5)


def test_a_test_split_leaves_something_to_train_on_and_says_how_many_of_it_gave_no_pair(annotated: Annotate):
    with pytest.raises(UserError, match="--test 100 takes all of the 7 prompts that give a pair"):
        annotated(settings=Annotating(top=0.3, test=100))
    made = annotated(settings=Annotating(top=0.3, test=7))
    drawn = {row["prompt_id"] for split, row in made.data.rows() if split == "test"}
    assert len(drawn) < 7
    assert f"Of 7 prompts drawn for the test split {7 - len(drawn)} gave no pair." in made.result.run["notes"]


@pytest.mark.parametrize("change", [{"temperature": "5"}, {"test": 6}])
def test_another_temperature_or_test_split_is_another_question(
    change: dict[str, Any], annotated: Annotate, tmp_path: Path
):
    out = annotated().save(tmp_path / "out")
    annotated().save(out)
    with pytest.raises(UserError, match="holds a run of another question"):
        annotated(settings=Annotating(**change)).save(out)


def test_other_values_of_a_column_of_scores_are_another_question(tmp_path: Path):
    rows = [{"prompt": f"{i}?", "responses": ["a", "bb", "ccc"], "r": [1.0, 2.0, 3.0]} for i in range(8)]
    upside_down = [{**row, "r": row["r"][::-1]} for row in rows]
    data, out = tmp_path / "data.jsonl", tmp_path / "out"
    for values in (rows, rows):
        annotate(str(write_rows(data, values)), scores="r", options=Options(resamples=100)).save(out)
    made = annotate(str(write_rows(data, upside_down)), scores="r", options=Options(resamples=100))
    with pytest.raises(UserError, match="holds a run of another question"):
        made.save(out)


def test_other_labels_of_the_file_of_a_temperature_are_another_question(annotated: Annotate, tmp_path: Path):
    settings, out = Annotating(temperature=f"fit:{tmp_path / 'labelled.jsonl'}"), tmp_path / "out"
    for seed, same in ((1, True), (1, True), (2, False)):
        write_rows(tmp_path / "labelled.jsonl", sampled_rows(60, seed=seed))
        made = annotated(minilab_judge=True, settings=settings)
        if same:
            made.save(out)
        else:
            with pytest.raises(UserError, match="holds a run of another question"):
                made.save(out)


def test_a_temperature_is_fitted_on_another_file_and_judged_out_of_fold(annotated: Annotate, tmp_path: Path):
    labelled = write_rows(tmp_path / "labelled.jsonl", sampled_rows(60, seed=1))
    made = annotated(minilab_judge=True, settings=Annotating(temperature=f"fit:{labelled}"))
    found = made.result.run["annotation"]["temperature"]
    assert found["calibrated"] and found["value"] > 0 and found["pairs"] > 10 and len(found["error"]) == 3
    table = made.result.table("responses")
    assert np.isclose(
        made.data.confidence[0], 2 / (1 + np.exp(-made.data.pairs.margin[0] / found["value"])) - 1, atol=1e-12
    )
    assert len(table)
    write_rows(labelled, sampled_rows(60, seed=1)[:4])
    settings = Annotating(temperature=f"fit:{labelled}", choice=Choice(rule="all-pairs"))
    few = annotated(minilab_judge=True, settings=settings)
    assert few.result.run["annotation"]["temperature"]["error"][1:] == [None, None]
    assert re.search(r"calibration error out of fold 0\.\d+\)", few.card)
    few.save(tmp_path / "few")


@pytest.mark.parametrize("form", FORMATS)
def test_every_format_is_a_data_set_of_the_hub(form: str, annotated: Annotate, tmp_path: Path):
    made = annotated(settings=Annotating(format=form, test=6))  # type: ignore[arg-type]
    out = made.save(tmp_path / "out")
    data = load_dataset(str(out), cache_dir=str(tmp_path / "cache"))
    info = made.result.run["annotation"]
    assert {split: len(rows) for split, rows in data.items()} == info["splits"]
    assert set(data["train"]["prompt_id"]).isdisjoint(data["test"]["prompt_id"])
    assert "margin" not in data["train"].column_names
    tune = "`cdr-eval tune" in made.card
    assert tune == (form not in {"text", "ranked"})
    if tune:
        read = read_preferences(str(out), "weight" if "`--weights weight`" in made.card else None)
        assert len(read.rows) == len(data["train"])
        assert read.paired == ("--loss kto" not in made.card)
    rows = data["train"].to_list()
    assert len({row["id"] for row in rows}) == len(rows)
    if form == "ranked":
        assert all(row["rewards"] == sorted(row["rewards"], reverse=True) for row in rows)
    if form == "text":
        assert all(row["prompt"].count("user") == 1 for row in rows)
    if form == "unpaired":
        assert sum(row["label"] for row in rows) * 2 == len(rows)


def test_what_was_written_is_what_tuning_reads(annotated: Annotate, tmp_path: Path):
    made = annotated(settings=Annotating(test=4))
    read = read_preferences(str(made.save(tmp_path / "out")), "weight")
    train = [row for split, row in made.data.rows() if split == "train"]
    assert [row["chosen"] for row in read.rows] == [row["chosen"] for row in train]
    assert read.mean_weight == pytest.approx(np.mean([row["weight"] for row in train]))
    assert read.notes == ()


def test_what_was_written_is_a_task_of_the_evaluation(annotated: Annotate, tmp_path: Path):
    made = annotated()
    task = load_task(str(made.save(tmp_path / "out")))
    assert len(task.items) == len(made.data.pairs.margin)
    assert all(item.is_preference for item in task.items)
    options = Options(store=tmp_path / "store", resamples=200, criteria=None)
    assert evaluate_pair(*PAIR, task=task, variants=["vanilla"], options=options).accuracy.iloc[0]["n"] > 0


def test_the_choice_of_another_variant_is_set_beside_without_a_further_pass(annotated: Annotate):
    annotated(variant="vanilla", compare=["likelihood"])
    again = annotated(variant="likelihood", compare=["vanilla"])
    assert again.result.run["responses_scored"] == {}
    table = again.result.table("statistics")
    same = table[(table["statistic"] == "same choice") & (table["name"] == "vanilla")]["value"].item()
    kappa = table[(table["statistic"] == "κ of the choice") & (table["name"] == "vanilla")]["value"].item()
    assert 0 <= same <= 1 and kappa <= same


def test_a_prompt_that_another_variant_gives_no_reward_is_no_agreement():
    three, chosen = np.arange(3), np.array([0, 2, 5])
    pairs = Pairs(three, chosen, chosen + 1, np.ones(3), ("", "", ""), 0, 0)
    counts, none = np.array([2, 3, 2]), np.full(7, np.nan)
    responses = Responses(counts, none, np.zeros(7, dtype=int), ("",) * 3, ("",) * 3, {})
    data = Annotated(
        pairs,
        confidence=np.full(3, 0.5),
        rewards=np.array([2.0, 1.0, 2.0, 1.0, np.nan, 2.0, 1.0]),
        lengths=np.ones(7),
        numbers=np.array([0, 1, 0, 1, 2, 0, 1]),
        first=np.arange(7),
        usable=np.arange(7) != 4,
        responses=responses,
        subsets=("all",) * 3,
        domains=("",) * 3,
        clusters=three,
        others={"judge-safety": np.array([5.0, 4.0, np.nan, np.nan, np.nan, 1.0, 9.0])},
        bootstrap=Bootstrap.of(three, np.zeros(3, dtype=int), 100, 0),
    )
    found = {row[1]: row[3:5] for row in statistic_rows(data) if row[0] == "variants"}
    assert found == {"same choice": (2, 0.5), "κ of the choice": (2, 0.0)}


def test_a_judge_says_nothing_of_how_long_the_responses_are(annotated: Annotate, tmp_path: Path):
    few = write_rows(tmp_path / "few.jsonl", sampled_rows(prompts=3, n=3))
    alone, beside = (annotated(few, variant="vanilla", compare=c).result for c in ([], ["judge-safety"]))
    assert alone.run["annotation"]["length_unit"] == "tokens"
    assert beside.table("responses").equals(alone.table("responses"))
    judged = annotated(few, variant="judge-safety").result
    assert judged.run["annotation"]["length_unit"] == "characters"
    found = judged.table("responses")
    assert found["length"].tolist() == found["text"].str.len().tolist()


def test_best_of_n_begins_at_a_random_response_and_stays_below_the_best(annotated: Annotate):
    table = annotated(minilab_judge=True).result.table("best_of")
    by = {name: rows.set_index("k")["grade"] for name, rows in table.groupby("variant")}
    assert by["cdr-adaptive-router"][1] == pytest.approx(by["random"][6])
    assert (by["oracle"] >= by["cdr-adaptive-router"] - 1e-12).all()
    assert by["oracle"].is_monotonic_increasing


def digests(folder: Path) -> dict[str, str]:
    """Of every file but those that say when and how long."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    timed = {"run.json", "SHA256SUMS", "report.html", "report.md"}
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in files
        if path.name not in timed
    }


def test_killed_twice_and_continued_gives_the_same_bytes(sampled: Path, tmp_path: Path):
    command = [
        *(sys.executable, "-m", "cdr_eval.harness", "annotate", str(sampled), "--strong", PAIR[0], "--weak", PAIR[1]),
        *("--quiet", "--resamples", "200", "--out", "out", "--store", "store"),
    ]
    for folder in ("whole", "killed"):
        (tmp_path / folder).mkdir()
    subprocess.run(command, cwd=tmp_path / "whole", check=True, capture_output=True)
    for after in (6.0, 9.0):
        process = subprocess.Popen(command, cwd=tmp_path / "killed", stdout=subprocess.DEVNULL)
        time.sleep(after)
        process.send_signal(signal.SIGKILL)
        process.wait()
    subprocess.run(command, cwd=tmp_path / "killed", check=True, capture_output=True)
    assert digests(tmp_path / "killed" / "out") == digests(tmp_path / "whole" / "out")
    runs = [json.loads((tmp_path / name / "out" / "run.json").read_text()) for name in ("whole", "killed")]
    assert runs[0]["annotation"] == runs[1]["annotation"]
    assert not [path for path in (tmp_path / "killed").iterdir() if path.name not in {"out", "store"}]


def test_many_chunks_give_what_one_chunk_gives(annotated: Annotate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    whole = annotated()
    monkeypatch.setattr("cdr_eval.tasks.items.CHUNK_RESPONSES", 10)
    parts = annotated()
    assert len(parts.data.items.chunks) > len(whole.data.items.chunks)
    assert list(parts.data.rows()) == list(whole.data.rows())
    pd.testing.assert_frame_equal(parts.result.table("statistics"), whole.result.table("statistics"))


def test_a_trained_head_labels_prompts_that_it_has_not_seen(annotated: Annotate, llamas: Path, tmp_path: Path):
    pytest.importorskip("trl")
    pairs = write_pairs(tmp_path / "pairs.jsonl", 48)
    training = replace(CWPO, epochs=1.0, learning_rate=1e-3, batch=8, max_length=128)
    train_annotator(str(pairs), model=str(llamas / "base"), out=tmp_path / "head", training=training)
    made = annotated(strong=None, weak=None, annotator=tmp_path / "head")
    rewards = load_annotator(tmp_path / "head").rewards(made.data.items)
    assert np.allclose(made.result.table("responses")["reward"], rewards)
    made.save(tmp_path / "out", write_reports)
    assert made.result.run["annotation"]["reward"] == "annotator head"
    with pytest.raises(UserError, match="--annotator DIR"):
        annotated(annotator=tmp_path / "head")
