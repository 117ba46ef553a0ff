"""Fitted rewards and estimates without labels, on the shipped minilab, by the commands that a user gives."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from cdr_eval.errors import UserError
from cdr_eval.harness import Options, evaluate_grid, evaluate_pair
from cdr_eval.harness.annotate import annotate
from cdr_eval.harness.cli.main import cli
from cdr_eval.harness.fit import fit
from cdr_eval.harness.fitted_file import read_fitted
from cdr_eval.model_registry.registry import load_registry
from cdr_eval.reports.figures import draw_figures
from cdr_eval.reports.fit_report import fit_document
from cdr_eval.reports.markdown import render_markdown
from cdr_eval.reports.run_format.reading import read_run
from cdr_eval.tasks.catalog import load_task, task_of_rows
from cdr_eval.tasks.item import Item
from cdr_eval.tasks.task import limited
from click.testing import CliRunner

from tests.harness.in_process import cdr_eval

NAMES = ("minilab-base", "minilab-sft", "minilab-dpo-1", "minilab-dpo-3", "minilab-cpo")
MODELS = ",".join(NAMES)


def write(path: Path, items: list[Item], *, labelled: bool = True) -> Path:
    """Items as a file of one's own; without labels each second one's responses are swapped."""
    rows: list[dict[str, Any]] = []
    for number, item in enumerate(items):
        row: dict[str, Any] = {"id": item.id, "prompt": item.prompt[-1]["content"]}
        better, worse = item.responses
        if labelled:
            row |= {"chosen": better, "rejected": worse}
        else:
            row["responses"] = [worse, better] if number % 2 else [better, worse]
        rows.append(row)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files of labelled items, of others, of the others without labels; and a fit to the first."""
    folder = tmp_path_factory.mktemp("fit")
    items = list(load_task("minilab").items)
    write(folder / "mine.jsonl", items[::12])
    write(folder / "others.jsonl", items[5::16])
    write(folder / "unlabelled.jsonl", items[5::16], labelled=False)
    ended = cdr_eval(
        *("fit", "--models", MODELS, "--task", folder / "mine.jsonl", "--store", folder / "store"),
        *("--out", folder / "fit", "--resamples", "200", "--quiet"),
    )
    assert ended.code == 0, ended.err
    return folder


@pytest.fixture
def options(folder: Path) -> Options:
    return Options(store=folder / "store", resamples=200)


def test_a_fit_writes_a_run_that_judges_it_out_of_fold_and_two_files_that_are_rewards(folder: Path):
    run = read_run(folder / "fit")
    assert run.info.fit is not None
    assert (run.info.kind, run.info.fit.labels, run.info.fit.folds) == ("fit", 80, 5)
    overall = {row.strong: row for row in run.accuracy if row.scope == "overall" and row.variant == "fitted"}
    assert overall.keys() == {"fitted", "fitted-sparse", "pair chosen on the labels"}
    assert all(row.n == 80 and row.ci_low is not None for row in overall.values())
    assert {row.labels for row in run.learning_curve} == {20}
    assert [row.checkpoints for row in run.sparse_path] == [2, 3, 4, 5]
    whole, sparse = (read_fitted(folder / "fit" / name) for name in ("fitted.yaml", "fitted-sparse.yaml"))
    assert set(whole.checkpoints) == set(NAMES)
    assert len(sparse.checkpoints) == run.info.fit.sparse
    assert sum(term.coefficient for term in whole.terms) == pytest.approx(0, abs=1e-9)
    assert len(whole.problems.split()) == 80
    text = (folder / "fit" / "leaderboard.md").read_text()
    assert "How many labels it takes" in text
    assert "minilab-dpo-3" in text


def test_its_accuracy_is_that_of_fits_on_the_other_folds_and_not_of_the_file(folder: Path, options: Options):
    flattered = evaluate_pair(
        *("minilab-dpo-3", "minilab-sft"),
        task=str(folder / "mine.jsonl"),
        variants=["vanilla"],
        options=Options(
            store=options.store, resamples=200, fitted=(folder / "fit" / "fitted.yaml",), allow_overlap=True
        ),
    )
    assert any("is flattered" in note for note in flattered.run["notes"])
    assert flattered.run["fitted"][0]["overlap"] == 80
    judged = read_run(folder / "fit")
    margins = flattered.margins.query("variant == 'fitted'")["margin"].to_numpy()
    own = next(r for r in judged.accuracy if (r.scope, r.strong) == ("overall", "fitted"))
    assert (margins > 0).mean() >= (own.accuracy or 0)


def test_each_checkpoint_costs_a_pass_for_every_conditioning(folder: Path):
    run = read_run(folder / "fit")
    assert run.info.fit is not None
    few = run.info.fit.sparse
    info = run.info.fit.model_copy(update={"conditionings": ("identity", "empty"), "strength": 0.0002})
    text = render_markdown(fit_document(replace(run, info=run.info.model_copy(update={"fit": info})), ()))
    assert f"a response then costs {2 * few} passes" in text
    assert "| 10 |" in text.split("Passes")[1]
    assert "Ridge strength 0.0002," in text


def test_figures_call_two_fitted_rewards_as_the_tables_do(folder: Path, options: Options, tmp_path: Path):
    files = tuple(folder / "fit" / name for name in ("fitted.yaml", "fitted-sparse.yaml"))
    judged = replace(options, fitted=files)
    task = str(folder / "others.jsonl")
    found = evaluate_pair("minilab-dpo-3", "minilab-sft", task=task, variants=["vanilla"], options=judged)
    draw_figures(read_run(found.save(tmp_path / "run")), tmp_path)
    text = (tmp_path / "selection.svg").read_text()
    assert "fitted-sparse (n = 60)" in text
    assert "fitted (n = 60)" in text
    assert "(2)" not in text


def test_a_fitted_reward_judges_other_items_as_the_sum_that_its_file_says(folder: Path, options: Options):
    task = str(folder / "others.jsonl")
    fitted = folder / "fit" / "fitted.yaml"
    found = evaluate_pair(
        "minilab-dpo-3",
        "minilab-sft",
        task=task,
        variants=["vanilla"],
        options=Options(store=options.store, resamples=200, fitted=(fitted,)),
    )
    alone = evaluate_grid(models=NAMES, task=task, variants=["likelihood"], options=options).rewards
    wide = alone.pivot(index=["item", "response"], columns="strong", values="reward")
    terms = yaml.safe_load(fitted.read_text())["terms"]
    names, coefficients = zip(*((term["checkpoint"], term["coefficient"]) for term in terms), strict=True)
    expected = wide[list(names)] @ np.array(coefficients)
    own = found.rewards.query("variant == 'fitted'").set_index(["item", "response"])["reward"]
    assert own.to_numpy() == pytest.approx(expected.loc[list(own.index)].to_numpy(), abs=1e-9)
    overall = found.accuracy.query("scope == 'overall' and variant == 'fitted'").iloc[0]
    assert overall["n"] == 60
    assert overall["accuracy"] > 0.7
    compared = found.table("comparisons").iloc[0]
    assert (compared["strong_a"], compared["variant_b"]) == ("fitted", "vanilla")


def test_annotate_takes_it_and_needs_no_temperature(folder: Path, options: Options):
    made = annotate(str(folder / "unlabelled.jsonl"), fitted=folder / "fit" / "fitted.yaml", options=options)
    told = made.result.run["annotation"]["temperature"]
    assert (told["value"], told["calibrated"]) == (1.0, True)
    assert made.result.run["fitted"][0]["name"] == "fitted"
    known = dict(zip(made.data.items.ids, made.data.items, strict=True))
    assert len(known) == 60


def refused(folder: Path, *arguments: object) -> str:
    """The sentence of a command that was refused."""
    words = [str(word) for word in (*arguments, "--store", folder / "store", "--out", folder / "never")]
    ended = CliRunner().invoke(cli, words)
    assert isinstance(ended.exception, UserError), ended.output
    assert not (folder / "never").exists()
    return str(ended.exception)


def test_labels_that_made_a_reward_do_not_judge_it(folder: Path):
    pair = ("pair", "--strong", "minilab-dpo-3", "--weak", "minilab-sft", "--reward", folder / "fit" / "fitted.yaml")
    assert "80 of 80 items are among those that" in refused(folder, *pair, "--task", folder / "mine.jsonl")
    assert "80 of 960 items" in refused(folder, *pair, "--task", "minilab")
    label = ("annotate", folder / "mine.jsonl", "--reward", folder / "fit" / "fitted.yaml")
    assert "pass --allow-overlap" in refused(folder, *label)


def test_what_cannot_be_fitted_is_said_in_a_sentence(folder: Path, tmp_path: Path):
    items = list(load_task("minilab").items)[:30]
    few = write(tmp_path / "few.jsonl", items[:19])
    assert "19 items of few have a response that is labelled better" in refused(folder, "fit", "--task", few)
    assert "has no labels" in refused(folder, "fit", "--task", folder / "unlabelled.jsonl")
    one = tmp_path / "one.jsonl"
    row = '{"id": "%d", "problem_id": "p%d", "prompt": "What is %d?", "chosen": "It is %d.", "rejected": "No."}\n'
    one.write_text("".join(row % (i, i % 2, i, i) for i in range(30)))
    assert "about 2 problems" in refused(folder, "fit", "--task", one, "--columns", "problem=problem_id")
    assert "no conditioning 'criteria'" in refused(folder, "fit", "--conditionings", "criteria")
    assert "two checkpoints or more" in refused(folder, "fit", "--models", "minilab-sft")


def test_a_limit_draws_of_every_subset_its_share_by_the_seed():
    rows = [{"prompt": f"q{n}", "chosen": "a", "rejected": "b", "subset": "AB"[n % 2]} for n in range(200)]
    task, told = task_of_rows(rows), list[Any]()

    def stop(question: Any) -> None:
        told.append(question["task"]["content_hash"])
        raise UserError("Seen.")

    for seed in (0, 1):
        with pytest.raises(UserError, match="Seen"):
            fit(models=NAMES, task=task, options=Options(limit=100, seed=seed), asked=stop)
        assert told[seed] == limited(task, 100, seed).items.content_hash
    assert told[0] != told[1]


def test_a_folder_of_another_question_is_refused_before_anything_is_scored(folder: Path, tmp_path: Path):
    """With a store that is empty: where nothing is scored none is made."""
    store, pair = tmp_path / "store", ("--strong", "minilab-dpo-3", "--weak", "minilab-sft")
    for words in (
        ("fit", "--models", MODELS, "--task", folder / "others.jsonl"),
        ("fit", "--models", MODELS, "--task", folder / "mine.jsonl", "--conditionings", "empty"),
        ("annotate", folder / "unlabelled.jsonl", *pair),
        ("annotate", folder / "unlabelled.jsonl", "--reward", folder / "fit" / "fitted.yaml"),
    ):
        line = [str(word) for word in (*words, "--store", store, "--out", folder / "fit", "--resamples", "200")]
        ended = CliRunner().invoke(cli, line)
        assert "fit holds a run of another question" in str(ended.exception), ended.output
        assert not store.exists()


def test_an_annotation_may_be_made_again_but_not_by_another_rule(folder: Path, tmp_path: Path):
    words = ["annotate", str(folder / "unlabelled.jsonl"), "--strong", "minilab-dpo-3", "--weak", "minilab-sft"]
    words += ["--variant", "vanilla", "--store", str(folder / "store"), "--out", str(tmp_path / "data"), "--quiet"]
    for _ in range(2):
        made = CliRunner().invoke(cli, words)
        assert made.exit_code == 0, made.output
    for other in (["--top", "50%"], ["--choose", "best-worst"], ["--variant", "likelihood"], ["--seed", "1"]):
        assert "holds a run of another question" in str(CliRunner().invoke(cli, [*words, *other]).exception)


def test_a_file_of_another_version_or_with_a_checkpoint_that_nobody_knows_is_refused(folder: Path, tmp_path: Path):
    written = yaml.safe_load((folder / "fit" / "fitted.yaml").read_text())
    pair = ("pair", "--strong", "minilab-dpo-3", "--weak", "minilab-sft", "--task", folder / "others.jsonl", "--reward")

    def changed(**values: Any) -> Path:
        path = tmp_path / "changed.yaml"
        path.write_text(yaml.safe_dump({**written, **values}))
        return path

    assert "has format '2', this version reads 1" in refused(folder, *pair, changed(format=2))
    terms: list[dict[str, Any]] = written["terms"]
    stranger = [{**terms[0], "checkpoint": "nobody", "model": "no/body"}, *terms[1:]]
    assert "takes the checkpoint nobody, which the registry lacks" in refused(folder, *pair, changed(terms=stranger))
    other = [{**terms[0], "weights": "0" * 64}, *terms[1:]]
    assert "was fitted with other weights of minilab-base" in refused(folder, *pair, changed(terms=other))
    assert "coefficient" in refused(folder, *pair, changed(terms=[{**terms[0], "coefficient": ".nan"}]))
    assert "was fitted to sums over tokens" in refused(folder, *pair, changed(), "--mean")
    assert "has the name of another reward" in refused(folder, *pair, changed(name="minilab-sft"))


def test_a_grid_of_items_without_labels_estimates_what_their_labels_would_say(folder: Path, options: Options):
    blind = evaluate_grid(models=NAMES, include_self=False, task=str(folder / "unlabelled.jsonl"), options=options)
    table = blind.table("unlabelled")
    assert len(blind.accuracy) == 0
    assert len(table) == 20
    assert table["accuracy"].isna().all()
    assert (table["ci_low"] <= table["estimate"]).all()
    assert (table["estimate"] <= table["ci_high"]).all()
    assert "place among the responses" in set(blind.table("controls")["control"])
    seeing = evaluate_grid(
        models=NAMES,
        include_self=False,
        task=str(folder / "others.jsonl"),
        options=Options(store=options.store, resamples=200, ignore_labels=True),
    )
    key = ["strong", "weak"]
    again = seeing.table("unlabelled").set_index(key)
    assert table.set_index(key)["estimate"].to_numpy() == pytest.approx(
        again["estimate"].loc[list(table.set_index(key).index)].to_numpy(), abs=1e-6
    )
    measured = seeing.table("pairs").set_index(key)["accuracy"]
    assert again["accuracy"].to_numpy() == pytest.approx(measured.loc[list(again.index)].to_numpy())
    assert "place among the responses" not in set(seeing.table("controls")["control"])
    assert np.corrcoef(again["estimate"], again["accuracy"])[0, 1] > 0.8
    models = [f"mine-{name}={load_registry().find(name).model}/." for name in NAMES]
    unregistered = evaluate_grid(models=models, task=str(folder / "unlabelled.jsonl"), options=options)
    assert unregistered.table("unlabelled")["cheapest"].sum() == 1, "by the parameters that the files say"


def test_an_estimate_without_labels_from_too_little_is_refused_before_anything_is_scored(folder: Path):
    task = "--task", folder / "unlabelled.jsonl"
    before = set(folder.glob("store/*.parquet"))
    four = "--models", ",".join(NAMES[:4])
    for shard in ((), ("--shard", "1/2")):
        assert "takes five checkpoints" in refused(folder, "grid", *four, *task, *shard)
        told = refused(folder, "grid", "--models", MODELS, *task, "--tokens", "3", *shard)
        assert "unlabelled has no labels: leave it out" in told
        told = refused(folder, "grid", "--models", MODELS, *task, "--variants", "likelihood,judge-safety", *shard)
        assert "no variant of likelihood, judge-safety takes both" in told
    assert cdr_eval("plan", "--models", MODELS, *task, "--store", folder / "store").code == 0
    assert "an estimate without labels takes 20" in refused(
        folder, "grid", "--models", f"{MODELS},minilab-kto", *task, "--limit", "19"
    )
    assert set(folder.glob("store/*.parquet")) == before


def test_a_report_of_an_unlabelled_grid_says_why_it_recommends_nothing(folder: Path):
    ended = cdr_eval(
        *("grid", "--models", MODELS, "--task", folder / "unlabelled.jsonl", "--store", folder / "store"),
        *("--out", folder / "grid", "--resamples", "200"),
    )
    assert ended.code == 0, ended.err
    assert "No pair is recommended" in ended.out
    assert (folder / "grid" / "unlabelled.csv").is_file()
    assert not (folder / "grid" / "mean.yaml").exists()
    assert "items.html" not in ended.out
    report = (folder / "grid" / "leaderboard.md").read_text()
    assert "from 200 resamples of problems" in report
    assert not [word for word in ("mean credit", "bootstrap", "a comparison of accuracies") if word in report]


def test_the_mean_of_the_pairs_of_highest_estimate_is_a_reward_that_labels_may_judge(folder: Path, options: Options):
    more = ("base-300", "base-700", "base-1000", "base", "sft-300", "sft", "dpo-1", "dpo-3", "orpo", "simpo")
    names = [f"minilab-{name}" for name in more]
    ended = cdr_eval(
        *("grid", "--models", ",".join(names), "--task", folder / "unlabelled.jsonl", "--store", folder / "store"),
        *("--out", folder / "mean", "--resamples", "200"),
    )
    assert ended.code == 0, ended.err
    assert "By agreement alone, use minilab-" in ended.out
    assert "mean.yaml is the mean of the 10 pairs of highest estimate" in " ".join(ended.out.split())
    mean = folder / "mean" / "mean.yaml"
    judging = Options(store=options.store, resamples=200, fitted=(mean,))
    pair = (names[7], names[3])
    found = evaluate_pair(*pair, task=str(folder / "others.jsonl"), variants=["vanilla"], options=judging)
    alone = evaluate_grid(
        models=names, task=str(folder / "others.jsonl"), variants=["vanilla"], options=options
    ).rewards
    top = read_run(folder / "mean").unlabelled[:10]
    rows = [alone.query("strong == @one.strong and weak == @one.weak")["reward"].to_numpy() for one in top]
    assert len(rows) == 10
    own = found.rewards.query("variant == 'fitted'")["reward"].to_numpy()
    assert own == pytest.approx(np.mean(rows, axis=0), abs=1e-9)
    made = annotate(str(folder / "unlabelled.jsonl"), fitted=mean, options=options)
    assert not made.result.run["annotation"]["temperature"]["calibrated"]
