"""Reward heads and tuned checkpoints in the runs of `pair` and `grid`."""

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from cdr_eval.errors import UserError
from cdr_eval.harness import Options, evaluate_pair
from cdr_eval.harness.annotate import annotate
from cdr_eval.harness.annotator import CWPO, train_annotator
from cdr_eval.harness.cli.main import cli
from cdr_eval.harness.tune import tune
from cdr_eval.harness.tuning.annotator import load_annotator
from cdr_eval.harness.tuning.overlap import read_record
from cdr_eval.harness.tuning.pairs import read_preferences
from cdr_eval.harness.tuning.settings import Training
from cdr_eval.reports.run_format.reading import read_run
from cdr_eval.reports.write import write_reports
from cdr_eval.tasks.catalog import load_task
from cdr_eval.tasks.item import Turn, prompt_hash
from click.testing import CliRunner

from tests.harness.tuning.preference_file import write_pairs


@pytest.fixture(scope="module")
def head(llamas, tmp_path_factory):
    folder = tmp_path_factory.mktemp("heads")
    pairs = write_pairs(folder / "pairs.jsonl", 64)
    training = replace(CWPO, epochs=1.0, learning_rate=1e-3, batch=8, max_length=128)
    train_annotator(str(pairs), model=str(llamas / "base"), out=folder / "bt", training=training)
    return folder / "bt"


def test_an_annotator_stands_beside_the_pair_with_its_own_accuracy(llamas, items_file, options, head, tmp_path):
    options = replace(options, annotators=(head,))
    pair: dict[str, Any] = {"strong": str(llamas / "dpo"), "weak": str(llamas / "sft"), "task": str(items_file)}
    result = evaluate_pair(**pair, variants=["vanilla", "likelihood"], options=options)
    overall = result.accuracy.query("scope == 'overall' and variant == 'annotator'").iloc[0]
    rewards = load_annotator(head).rewards(load_task(str(items_file)).items).reshape(-1, 2)
    assert (overall["strong"], overall["weak"], overall["n"]) == ("bt", "", 24)
    subsets = result.accuracy.query("scope == 'subset' and variant == 'annotator'")
    assert (subsets["accuracy"] * subsets["n"]).sum() == np.sum(rewards[:, 0] > rewards[:, 1])
    result.save(tmp_path / "run", write_reports)
    run = read_run(tmp_path / "run")
    assert [annotator.name for annotator in run.info.annotators] == ["bt"]
    compared = {(row.strong_a, row.variant_a, row.strong_b, row.variant_b) for row in run.comparisons}
    assert ("bt", "annotator", "dpo", "vanilla") in compared
    assert {row.variant for row in run.calibration} == {"vanilla", "likelihood", "annotator"}
    page = (tmp_path / "run" / "leaderboard.md").read_text()
    assert "| annotator bt |" in page
    assert "the annotator bt, a Bradley-Terry reward head on base" in page


def test_a_grid_ranks_annotators_and_leaves_its_gap_analyses_as_they_are(llamas, items_file, tmp_path, head):
    names = ",".join(str(llamas / name) for name in ("base", "sft", "dpo"))
    arguments = ["grid", "--models", names, "--task", str(items_file), "--store", str(tmp_path / "store")]
    arguments += ["--resamples", "100", "--no-self", "--quiet", "--out"]
    for out, more in (("plain", []), ("judged", ["--annotator", str(head)])):
        ended = CliRunner().invoke(cli, [*arguments, str(tmp_path / out), *more])
        assert ended.exit_code == 0, ended.exception
    plain, judged = read_run(tmp_path / "plain"), read_run(tmp_path / "judged")
    assert plain.pairs == judged.pairs
    assert plain.gap_analysis == judged.gap_analysis
    assert len({row.strong for row in judged.accuracy}) == len({row.strong for row in plain.accuracy}) + 1
    assert "| bt | – | annotator |" in (tmp_path / "judged" / "leaderboard.md").read_text()


def test_an_annotator_that_saw_the_prompts_or_takes_a_name_is_refused(llamas, head, options, tmp_path):
    pairs: dict[str, Any] = {
        "strong": str(llamas / "dpo"),
        "weak": str(llamas / "sft"),
        "task": str(head.parent / "pairs.jsonl"),
    }
    with pytest.raises(UserError, match=r"of 64 prompts are among those .* --allow-overlap"):
        evaluate_pair(**pairs, variants=["vanilla"], options=replace(options, annotators=(head,)))
    allowed = replace(options, annotators=(head,), allow_overlap=True)
    result = evaluate_pair(**pairs, variants=["vanilla"], options=allowed)
    assert any("--allow-overlap" in note for note in result.run["notes"])
    with pytest.raises(UserError, match="name of another model of this run"):
        evaluate_pair(**pairs, variants=["vanilla"], options=replace(allowed, annotators=(head, head)))


def test_a_tuned_checkpoint_is_compared_by_the_registry_that_was_written_beside_it(llamas, items_file, head, tmp_path):
    out = tmp_path / "mine"
    training = Training(loss="dpo", batch=8, max_length=128, learning_rate=1e-3)
    tune(str(head.parent / "pairs.jsonl"), model=str(llamas / "sft"), out=out, training=training)
    arguments = ["grid", "--registry", str(out / "registry.yaml"), "--task", str(items_file), "--no-self", "--json"]
    arguments += ["--store", str(tmp_path / "store"), "--resamples", "100", "--out", str(tmp_path / "grid")]
    ended = CliRunner().invoke(cli, arguments)
    assert ended.exit_code == 0, ended.exception
    run = json.loads(ended.stdout)["run"]
    assert {(pair["strong"], pair["weak"]) for pair in run["pairs"]} == {("sft", "mine"), ("mine", "sft")}
    assert run["checkpoints"][1]["trained_from"] == "sft"


def test_a_head_labels_the_prompts_that_it_has_not_seen_and_tune_reads_them(head, tmp_path):
    options = Options(device="cpu", resamples=100)
    made = annotate(str(head.parent / "pairs.jsonl"), annotator=head, options=options)
    made.save(tmp_path / "data", write_reports)
    rows = read_preferences(str(tmp_path / "data"), "weight").rows
    known = set(read_record(head)["training_prompts"])
    assert len(rows) == 64 - len(known)
    assert not known & {prompt_hash(row["prompt"]) for row in rows}
    sides = [[(row["prompt"], row[side][0]["content"]) for row in rows] for side in ("chosen", "rejected")]
    chosen, rejected = (load_annotator(head).scores(side) for side in sides)
    assert (chosen > rejected).all()
    run = read_run(tmp_path / "data")
    assert [annotator.name for annotator in run.info.annotators] == ["bt"]
    assert f"{len(known)} prompts gave no pair (the annotator was trained on it)." in run.info.notes
    insisted = annotate(str(head.parent / "pairs.jsonl"), annotator=head, options=replace(options, allow_overlap=True))
    assert insisted.data.splits == {"train": 64}
    with pytest.raises(UserError, match="--annotator DIR"):
        annotate(str(head.parent / "pairs.jsonl"), annotator=head, scores="weight", options=options)


def test_a_head_that_saw_every_prompt_labels_none(head, tmp_path):
    known = set(read_record(head)["training_prompts"])
    path = tmp_path / "seen.jsonl"
    rows = [json.loads(line) for line in (head.parent / "pairs.jsonl").read_text().splitlines()]
    hashes = [prompt_hash((Turn(role="user", content=row["prompt"]),)) for row in rows]
    path.write_text("".join(json.dumps(r) + "\n" for r, name in zip(rows, hashes, strict=True) if name in known))
    with pytest.raises(UserError, match="was trained on every prompt"):
        annotate(str(path), annotator=head)
