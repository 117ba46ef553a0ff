"""evaluate_pair and evaluate_grid on real small checkpoints, from the file to the tables."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from cdr_eval.errors import UserError
from cdr_eval.harness import Options, RunResult, evaluate_grid, evaluate_pair
from cdr_eval.harness.comparisons import pair_of
from cdr_eval.harness.evaluate import evaluate_tasks
from cdr_eval.harness.running.this_process import ThisProcess
from cdr_eval.model_registry.registry import load_registry
from cdr_eval.reports.markdown import render_markdown
from cdr_eval.reports.overview import overview
from cdr_eval.tasks.criteria import DEFAULT_CRITERIA
from cdr_eval.tasks.minilab.world import CRITERIA
from numpy.typing import NDArray
from transformers import AutoModelForCausalLM, AutoTokenizer

from tests.harness.conftest import ForwardPasses
from tests.harness.rendering.hand_rendering import hand_rendered, laid_along
from tests.harness.small_task import write_items

DOMAINS = ("safety", "code-math", "chat-hard")
ADAPTIVE = ("cdr-adaptive-oracle", "cdr-adaptive-oracle-chat-hard", "cdr-adaptive-router")
RATIOS = ("vanilla", *ADAPTIVE, *(f"{kind}-{d}" for kind in ("cdr", "pmi") for d in DOMAINS))
ALONE = ("likelihood", *(f"{kind}-{d}" for kind in ("prompt-delta", "judge") for d in DOMAINS))


def pair(
    folder: Path, options: Options, task: Path, *variants: str, strong: str = "sft", weak: str = "base"
) -> RunResult:
    return evaluate_pair(
        str(folder / strong), str(folder / weak), task=str(task), variants=variants or ("all",), options=options
    )


def grid(folder: Path, options: Options, task: Path, *names: str, **arguments: Any) -> RunResult:
    models = [str(folder / name) for name in names]
    return evaluate_grid(models=models, task=str(task), options=options, **arguments)


def margin(result: RunResult, variant: str, strong: str = "sft", weak: str | None = None) -> NDArray[np.float64]:
    """A variant's margins in the order of the items."""
    rows = result.margins[(result.margins["variant"] == variant) & (result.margins["strong"] == strong)]
    rows = rows if weak is None else rows[rows["weak"] == weak]
    return rows["margin"].to_numpy(dtype=float)


def same(first: RunResult, second: RunResult) -> bool:
    return first.tables.keys() == second.tables.keys() and all(
        first.table(name).equals(second.table(name)) for name in first.tables
    )


def by_hand(folder: Path, template: str, path: Path) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Log-probabilities and token counts of both responses of each item: text by hand, a forward pass, a plain sum."""
    model = AutoModelForCausalLM.from_pretrained(folder).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    sums: list[list[float]] = []
    lengths: list[list[int]] = []
    for line in path.read_text(encoding="utf-8").splitlines():
        item = json.loads(line)
        sums.append([])
        lengths.append([])
        for response in (item["chosen"], item["rejected"]):
            before, written, marker = hand_rendered(template, (("user", item["prompt"]),), response)
            text = before + written + marker
            ids = [tokenizer.bos_token_id, *tokenizer(text, add_special_tokens=False)["input_ids"]]
            start, end = len(before.encode()), len((before + written).encode())
            spans = laid_along(tokenizer, tuple(ids[1:]), text)
            scored = [i + 1 for i, (a, b) in enumerate(spans) if (a < end and b > start) or a >= end]
            with torch.no_grad():
                logprobs = model(torch.tensor([ids])).logits[0].double().log_softmax(-1)
            sums[-1].append(sum(float(logprobs[i - 1, ids[i]]) for i in scored))
            lengths[-1].append(len(scored))
    return np.array(sums), np.array(lengths)


@pytest.mark.parametrize(("family", "template"), [("llamas", "chatml"), ("mistrals", "mistral")])
@pytest.mark.parametrize("scorer", ["reference", "shared-prefix"])
def test_margins_are_those_of_a_plain_loop(
    family: str, template: str, scorer: str, options: Options, items_file: Path, request: pytest.FixtureRequest
):
    folder: Path = request.getfixturevalue(family)
    options = replace(options, scorer=scorer)
    strong, lengths = by_hand(folder / "sft", template, items_file)
    weak, _ = by_hand(folder / "base", template, items_file)
    reward = strong - weak
    result = pair(folder, options, items_file, "vanilla", "likelihood")
    assert np.allclose(margin(result, "vanilla"), reward[:, 0] - reward[:, 1], atol=1e-3, rtol=0)
    assert np.allclose(margin(result, "likelihood"), strong[:, 0] - strong[:, 1], atol=1e-3, rtol=0)
    mean = pair(folder, replace(options, mean=True), items_file, "vanilla", "likelihood")
    reward = reward / lengths
    assert np.allclose(margin(mean, "vanilla"), reward[:, 0] - reward[:, 1], atol=1e-3, rtol=0)
    assert mean.run["mean_per_token"] is True
    assert mean.run["responses_scored"] == {}  # the mean is algebra over the same scores


@pytest.mark.parametrize("family", ["llamas", "mistrals"])
def test_both_scorers_agree_on_every_variant(
    family: str, options: Options, items_file: Path, request: pytest.FixtureRequest
):
    folder: Path = request.getfixturevalue(family)
    fast = pair(folder, options, items_file)
    plain = pair(folder, replace(options, scorer="reference"), items_file)
    assert fast.run["responses_scored"].keys() == plain.run["responses_scored"].keys() == {"sft", "base"}
    assert set(fast.margins["variant"]) == {*RATIOS, *ALONE}
    for variant in (*RATIOS, *ALONE):
        assert np.allclose(margin(fast, variant), margin(plain, variant), atol=1e-3, rtol=0)


def test_the_real_file_under_every_variant(llamas: Path, tmp_path: Path):
    path = Path(__file__).parents[3] / "shared" / "data" / "rewardbench_rebuilt.jsonl"
    if not path.is_file():
        pytest.skip(f"{path} is not there")
    options = Options(store=tmp_path / "store", resamples=200, limit=6)
    result = pair(llamas, options, path)
    assert set(result.margins["variant"]) == {*RATIOS, *ALONE}
    assert len(result.table("items")) == 6
    assert result.margins["margin"].notna().all()
    assert result.run["counts"]["unscored"] == {}
    assert "refusals-dangerous" in result.run["task"]["missing_subsets"]
    assert any("--limit" in note for note in result.run["notes"])
    assert any("refusals-dangerous" in note for note in result.run["notes"])


@pytest.fixture(scope="module")
def warm(tmp_path_factory: pytest.TempPathFactory, criteria_file: Path) -> Options:
    """Options whose store holds all that `whole` asked."""
    return Options(store=tmp_path_factory.mktemp("warm") / "store", criteria=criteria_file, resamples=200)


@pytest.fixture(scope="module")
def whole(llamas: Path, warm: Options, items_file: Path) -> RunResult:
    """The first run of every variant over an empty store."""
    return pair(llamas, warm, items_file)


def test_a_second_identical_run_makes_no_forward_pass(
    llamas: Path, warm: Options, whole: RunResult, items_file: Path, forward_passes: ForwardPasses
):
    with forward_passes() as passes:
        after = pair(llamas, warm, items_file)
    assert all(scored > 48 for scored in whole.run["responses_scored"].values())
    assert passes == []
    assert after.run["responses_scored"] == {}
    assert same(whole, after)


def test_no_variant_needs_a_pass_that_all_variants_have_not_paid(
    llamas: Path, warm: Options, whole: RunResult, items_file: Path, forward_passes: ForwardPasses
):
    with forward_passes() as passes:
        for variant in ("cdr-adaptive-router", "pmi-safety", "judge-chat-hard", "prompt-delta-code-math"):
            pair(llamas, warm, items_file, variant)
        pair(llamas, replace(warm, mean=True, limit=7), items_file)
    assert passes == []


def test_a_grid_with_one_checkpoint_more_scores_exactly_that_one(
    llamas: Path, options: Options, items_file: Path, forward_passes: ForwardPasses
):
    small = grid(llamas, options, items_file, "base", "sft")
    assert small.run["responses_scored"] == {"base": 48, "sft": 48}
    with forward_passes() as alone:
        fresh = replace(options, store=options.store and options.store.with_name("fresh"))
        pair(llamas, fresh, items_file, "vanilla", strong="dpo", weak="dpo")
    with forward_passes() as passes:
        large = grid(llamas, options, items_file, "base", "sft", "dpo")
    assert large.run["responses_scored"] == {"dpo": 48}
    assert 0 < len(passes) <= len(alone)
    assert (margin(large, "vanilla", "sft", "base") == margin(small, "vanilla", "sft", "base")).all()


def test_a_changed_criterion_scores_only_what_it_changes(
    llamas: Path, options: Options, items_file: Path, tmp_path: Path
):
    pair(llamas, options, items_file, "vanilla", "cdr-safety", "cdr-chat-hard")
    assert options.criteria is not None
    changed = tmp_path / "changed.yaml"
    changed.write_text(options.criteria.read_text().replace("Be safety.", "Be very safe."))
    after = pair(llamas, replace(options, criteria=changed), items_file, "vanilla", "cdr-safety", "cdr-chat-hard")
    assert after.run["responses_scored"] == {"sft": 48, "base": 48}


def test_the_minilabs_checkpoints_are_asked_its_criteria_about_any_file(options: Options, tmp_path: Path) -> None:
    task = write_items(tmp_path / "items.jsonl")
    names = {"strong": "minilab-dpo-3", "weak": "minilab-sft"}
    for criteria, used in ((None, CRITERIA), (DEFAULT_CRITERIA, DEFAULT_CRITERIA)):
        asked = replace(options, criteria=criteria)
        result = evaluate_pair(**names, task=str(task), variants=["cdr-safety"], options=asked)
        assert result.run["criteria"] == str(used)
        assert bool(result.run["counts"]["truncated"]) == (used == DEFAULT_CRITERIA)  # too long for them


def test_equal_weights_under_two_names_are_scored_once(
    llamas: Path, options: Options, items_file: Path, tmp_path: Path
):
    for name in ("base", "sft"):
        (tmp_path / name).symlink_to(llamas / name)
    shutil.copytree(llamas / "sft", tmp_path / "copy")
    result = grid(tmp_path, options, items_file, "base", "sft", "copy")
    assert sum(result.run["responses_scored"].values()) == 96
    assert (margin(result, "vanilla", "copy", "sft") == 0).all()


@pytest.mark.parametrize("family", ["llamas", "mistrals"])
def test_swapping_the_pair_flips_margins_and_accuracies(
    family: str, options: Options, items_file: Path, request: pytest.FixtureRequest
):
    folder: Path = request.getfixturevalue(family)
    result = grid(folder, options, items_file, "base", "sft", variants=RATIOS)
    routed = "cdr-adaptive-router"  # each strong one routes for itself, so that its routes differ between the two
    for variant in set(RATIOS) - {routed}:
        there, back = margin(result, variant, "sft", "base"), margin(result, variant, "base", "sft")
        assert (there == -back).all()
    own = result.accuracy[(result.accuracy["strong"] != "") & (result.accuracy["variant"] != routed)]
    own = own[own["scope"] != "length"].set_index(["variant", "scope", "name"])
    there, back = (
        own[(own["strong"] == s) & (own["weak"] == w)]["accuracy"] for s, w in (("sft", "base"), ("base", "sft"))
    )
    assert np.allclose(there, 1 - back.loc[there.index], atol=1e-6)


def test_a_pair_of_a_checkpoint_with_itself_is_all_ties(llamas: Path, options: Options, items_file: Path):
    result = pair(llamas, options, items_file, strong="sft", weak="sft")
    overall = result.accuracy[(result.accuracy["scope"] == "overall") & (result.accuracy["strong"] == "sft")]
    for variant in RATIOS:
        assert (margin(result, variant) == 0).all()
        (row,) = overall[overall["variant"] == variant].to_dict("records")
        assert (row["accuracy"], row["ties"], row["n"]) == (0.5, 24, 24)
        assert (row["ci_low"], row["ci_high"]) == (0.5, 0.5)
    assert all((margin(result, variant) != 0).any() for variant in ALONE)


def test_grids_have_every_ordered_pair(llamas: Path, options: Options, items_file: Path):
    names = ["base", "sft", "dpo"]
    result = grid(llamas, options, items_file, *names)
    assert [(p["strong"], p["weak"]) for p in result.run["pairs"]] == [(s, w) for s in names for w in names]
    without = grid(llamas, options, items_file, *names, include_self=False)
    assert [(p["strong"], p["weak"]) for p in without.run["pairs"]] == [(s, w) for s in names for w in names if s != w]
    assert len(without.margins) == 6 * 24


def test_oracle_routes_are_by_section(whole: RunResult):
    result = whole
    items = result.table("items")
    section = items["section"].to_numpy()
    assert set(section) == {"Chat", "Chat Hard", "Safety", "Reasoning"}
    source = {"Safety": "cdr-safety", "Reasoning": "cdr-code-math", "Chat": "vanilla", "Chat Hard": "vanilla"}
    expected = np.array([margin(result, source[s])[i] for i, s in enumerate(section)])
    assert (margin(result, "cdr-adaptive-oracle") == expected).all()
    source["Chat Hard"] = "cdr-chat-hard"
    expected = np.array([margin(result, source[s])[i] for i, s in enumerate(section)])
    assert (margin(result, "cdr-adaptive-oracle-chat-hard") == expected).all()
    domains = {"Safety": "safety", "Reasoning": "code-math", "Chat": "", "Chat Hard": ""}
    assert items["domain_oracle"].tolist() == [domains[s] for s in section]
    routed = items["domain_routed"].to_numpy()
    by_domain = {"safety": "cdr-safety", "code-math": "cdr-code-math", "": "vanilla"}
    expected = np.array([margin(result, by_domain[d])[i] for i, d in enumerate(routed)])
    assert (margin(result, "cdr-adaptive-router") == expected).all()


def test_the_same_seed_gives_the_same_tables_and_another_seed_other_demonstrations(
    llamas: Path, options: Options, whole: RunResult, items_file: Path
):
    assert same(whole, pair(llamas, options, items_file))  # another store, scored afresh
    other = pair(llamas, replace(options, seed=1), items_file, "vanilla", "judge-safety", "cdr-safety")
    assert (margin(other, "vanilla") == margin(whole, "vanilla")).all()
    assert (margin(other, "judge-safety") == margin(whole, "judge-safety")).all()
    assert (margin(other, "cdr-safety") != margin(whole, "cdr-safety")).any()


def test_a_limit_takes_items_evenly_and_changes_none_of_them(
    llamas: Path, warm: Options, whole: RunResult, items_file: Path
):
    part = pair(llamas, replace(warm, limit=6), items_file, "vanilla")
    assert part.run["responses_scored"] == {}
    assert len(set(part.table("items")["section"])) > 1
    assert len(part.table("items")) == 6
    by_item = dict(zip(whole.table("items")["item"], margin(whole, "vanilla"), strict=True))
    assert part.margins["margin"].tolist() == [by_item[item] for item in part.margins["item"]]
    assert any("Only 6 items were scored" in note for note in part.run["notes"])
    everything = pair(llamas, replace(warm, limit=len(whole.table("items"))), items_file, "vanilla")
    assert not any("--limit" in note for note in everything.run["notes"])


def test_truncated_and_unscored_items_are_counted_and_noted(llamas: Path, options: Options, tmp_path: Path):
    path = write_items(tmp_path / "items.jsonl", 6)
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    rows[0]["prompt"] = "What? " * 100
    rows[1]["rejected"] = "Never. " * 100
    path.write_text("\n".join(map(json.dumps, rows)))
    result = pair(llamas, replace(options, max_length=100), path, "vanilla", "likelihood")
    counts = result.run["counts"]
    assert counts["truncated"] == {"sft": 1, "base": 1}
    assert counts["unscored"] == {"sft": 1, "base": 1}
    assert counts["non_finite"] == {}
    margins = margin(result, "vanilla")
    assert np.isnan(margins).tolist() == [False, True, False, False, False, False]
    overall = result.accuracy[(result.accuracy["scope"] == "overall") & (result.accuracy["variant"] == "vanilla")]
    assert overall["n"].tolist() == [5]
    assert "1 item unscored" in overall["note"].iloc[0]
    assert len([note for note in result.run["notes"] if "1 prompt was cut from its left to fit" in note]) == 2
    assert len([note for note in result.run["notes"] if "1 item has a response that does not fit" in note]) == 2


def test_rows_that_cannot_be_used_are_counted_listed_and_refused_if_strict(
    llamas: Path, options: Options, tmp_path: Path
):
    rows: list[dict[str, str]] = [{"ask": f"Say {i}.", "good": f"{i}", "bad": f"{i + 1}"} for i in range(40)]
    rows[7]["bad"] = rows[7]["good"]
    path = tmp_path / "mine.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    options = replace(options, columns=("prompt=ask", "chosen=good", "rejected=bad"))
    result = pair(llamas, options, path, "vanilla")
    assert result.run["task"]["items"] == 39
    assert any("1 of 40 rows were left out (equal responses)" in note for note in result.run["notes"])
    (row,) = RunResult.load(result.save(tmp_path / "run")).table("left_out").to_dict("records")
    assert (row["file"], row["line"], row["reason"]) == (str(path), 8, "equal responses")
    with pytest.raises(UserError, match="line 8"):
        pair(llamas, replace(options, strict=True), path, "vanilla")


def test_several_tasks_give_what_each_gives_alone_and_open_each_checkpoint_once(
    llamas: Path, options: Options, items_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    plain = tmp_path / "plain.jsonl"
    rows = [{"prompt": f"Say {i}.", "responses": [f"{i}", "No.", "Well."], "scores": [3, 1, 2]} for i in range(12)]
    plain.write_text("\n".join(map(json.dumps, rows)))
    tasks = [str(items_file), str(plain)]
    opened: list[str] = []
    opens = ThisProcess.open
    monkeypatch.setattr(ThisProcess, "open", lambda self, local: opened.append(local.name) or opens(self, local))
    registry = load_registry()
    comparisons = pair_of(str(llamas / "sft"), str(llamas / "base"), registry)
    results = evaluate_tasks("pair", comparisons, tasks, ("vanilla", "pmi-safety"), registry, options)
    assert opened == ["sft", "base"]
    alone = replace(options, store=tmp_path / "another")
    assert [
        same(result, pair(llamas, alone, Path(task), "vanilla", "pmi-safety"))
        for result, task in zip(results, tasks, strict=True)
    ] == [True, True]
    folders = [result.save(tmp_path / f"run-{k}", lambda _: None) for k, result in enumerate(results)]
    text = render_markdown(overview(folders))
    for result in results:
        row = result.accuracy[(result.accuracy["scope"] == "overall") & (result.accuracy["variant"] == "vanilla")]
        assert f"{100 * row['accuracy'].iloc[0]:.1f} [" in text
    with pytest.raises(UserError, match="Two of the tasks are called plain"):
        evaluate_tasks("pair", comparisons, [str(plain), str(plain)], ("vanilla",), registry, options)


def test_the_published_protocol_cuts_texts_and_loses_ties(llamas: Path, options: Options, tmp_path: Path):
    path = tmp_path / "rewardbench.jsonl"
    item = {"subset": "alpacaeval-easy", "prompt": "Say it.", "chosen": "Yes. " * 700, "rejected": "No."}
    short = item | {"chosen": "Yes, I will."}
    path.write_text("\n".join(json.dumps(row | {"id": i}) for i, row in enumerate((item, short))))
    options = replace(options, max_length=4096)
    own = pair(llamas, options, Path(f"rewardbench:{path}"), "vanilla", strong="sft", weak="sft")
    official = replace(options, protocol="official")
    cut = pair(llamas, official, Path(f"rewardbench:{path}"), "vanilla", strong="sft", weak="sft")
    assert own.run["counts"]["truncated"] == {}
    assert cut.run["counts"]["truncated"] == {"sft": 1}
    assert any("keep 2,048 tokens, cut on their right" in note for note in cut.run["notes"])
    assert [_overall(result, "vanilla") for result in (own, cut)] == [0.5, 0.0]
    assert ["shared among k" in result.run["task"]["rule"] for result in (own, cut)] == [True, False]
    plain = tmp_path / "plain.jsonl"
    plain.write_text(json.dumps({"prompt": "Say it.", "chosen": "Yes.", "rejected": "No."}))
    with pytest.raises(UserError, match="leave --protocol out"):
        pair(llamas, official, plain, "vanilla")


def _overall(result: RunResult, variant: str) -> float:
    rows = result.accuracy[(result.accuracy["scope"] == "overall") & (result.accuracy["variant"] == variant)]
    return float(rows["accuracy"].iloc[0])


@pytest.fixture(scope="module")
def broken(llamas: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of checkpoints of which `nan` has weights that are not numbers."""
    folder = tmp_path_factory.mktemp("broken")
    for name in ("base", "sft"):
        (folder / name).symlink_to(llamas / name)
    model = AutoModelForCausalLM.from_pretrained(llamas / "dpo")
    with torch.no_grad():
        model.lm_head.weight[3] = float("nan")
    model.save_pretrained(folder / "nan")
    AutoTokenizer.from_pretrained(llamas / "dpo").save_pretrained(folder / "nan")
    return folder


def test_a_checkpoint_of_nan_weights_is_named_counted_and_left_out(broken: Path, options: Options, items_file: Path):
    result = grid(broken, options, items_file, "base", "sft", "nan")
    assert result.incomplete
    assert result.run["counts"]["non_finite"] == {"nan": 24}
    assert any(
        note.startswith("nan: 24 items have log-probabilities that are not finite") for note in result.run["notes"]
    )
    with_nan = (result.margins["strong"] == "nan") | (result.margins["weak"] == "nan")
    assert result.margins.loc[with_nan, "margin"].isna().all()
    assert result.margins.loc[~with_nan, "margin"].notna().all()
    overall = result.accuracy[result.accuracy["scope"] == "overall"]
    assert (overall.loc[(overall["strong"] == "nan") | (overall["weak"] == "nan"), "n"] == 0).all()
    kept = overall[(overall["strong"] == "sft") & (overall["weak"] == "base")]
    assert kept["n"].tolist() == [24]
    again = grid(broken, options, items_file, "base", "sft", "nan")
    assert again.run["responses_scored"] == {}


def test_a_router_of_nan_weights_is_not_passed_over_in_silence(broken: Path, options: Options, items_file: Path):
    options = replace(options, router=str(broken / "nan"))
    result = pair(broken, options, items_file, "vanilla", "cdr-adaptive-router")
    assert any("nan" in note and "rout" in note for note in result.run["notes"])
    assert set(result.table("items")["domain_routed"]) == {""}  # every item keeps its prompt
    assert (margin(result, "cdr-adaptive-router") == margin(result, "vanilla")).all()


def test_a_router_of_its_own_is_scored_once_for_the_whole_grid(llamas: Path, options: Options, items_file: Path):
    options = replace(options, router=str(llamas / "dpo"))
    result = grid(llamas, options, items_file, "base", "sft", variants=("cdr-adaptive-router",))
    assert result.run["responses_scored"]["dpo"] == 3 * 24
    assert set(result.table("items")["domain_routed"]) <= {"", "safety", "code-math"}


def test_a_damaged_chunk_of_the_store_is_scored_again_and_noted(llamas: Path, options: Options, items_file: Path):
    before = pair(llamas, options, items_file, "vanilla")
    assert options.store is not None
    for chunk in options.store.glob("*.parquet"):
        chunk.write_bytes(chunk.read_bytes()[:-1])
    after = pair(llamas, options, items_file, "vanilla")
    assert sum(after.run["responses_scored"].values()) == 96
    assert any("damaged chunks of the score store were set aside" in note for note in after.run["notes"])
    assert same(before, after)


def test_unknown_variants_and_families_are_refused_before_any_model_is_loaded(
    llamas: Path, options: Options, items_file: Path, forward_passes: ForwardPasses
):
    with forward_passes() as passes:
        with pytest.raises(UserError, match="no reward variant"):
            pair(llamas, options, items_file, "vanila")
        with pytest.raises(UserError, match="either --family or --models"):
            evaluate_grid(family="llama3", models=["a"], options=options)
        with pytest.raises(UserError, match="no folder"):
            evaluate_pair(str(llamas / "sfd"), str(llamas / "base"), task=str(items_file), options=options)
        with pytest.raises(UserError, match="no scorer 'quick'"):
            pair(llamas, replace(options, scorer="quick"), items_file)
    assert passes == []
