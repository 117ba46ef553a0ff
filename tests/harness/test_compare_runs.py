"""Runs on the same items side by side, against the runs' own tables and plain counting."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from cdr_eval.errors import UserError
from cdr_eval.harness import Options, evaluate_grid, evaluate_pair
from cdr_eval.harness.compare_runs import compare_runs
from cdr_eval.reports.comparison_report import comparison_document
from cdr_eval.reports.markdown import render_markdown
from cdr_eval.reports.run_format.results import RunResult

Saved = Callable[[str], Path]


@pytest.fixture(scope="module")
def options(no_bars: None, tmp_path_factory: pytest.TempPathFactory) -> Options:
    return Options(store=tmp_path_factory.mktemp("store"), limit=96, resamples=400)


@pytest.fixture(scope="module")
def over_sft(options: Options, tmp_path_factory: pytest.TempPathFactory) -> Path:
    result = evaluate_pair("minilab-dpo-1", "minilab-sft", variants=("vanilla", "likelihood"), options=options)
    return result.save(tmp_path_factory.mktemp("runs") / "over-sft")


@pytest.fixture(scope="module")
def over_base(options: Options, tmp_path_factory: pytest.TempPathFactory) -> Path:
    result = evaluate_pair(
        "minilab-dpo-1", "minilab-base", variants=("vanilla", "likelihood", "pmi-safety"), options=options
    )
    return result.save(tmp_path_factory.mktemp("runs") / "over-base")


def test_two_pairs_are_compared_by_variant_as_one_grid_compares_them(
    options: Options, over_sft: Path, over_base: Path
) -> None:
    (run,) = compare_runs([over_sft, over_base])
    vanilla, likelihood = run.rewards
    assert (run.items, run.left_out, run.unmatched, run.by_margin) == (96, 0, 1, False)
    assert (likelihood.first, likelihood.difference) == (likelihood.second, 0)
    grid = evaluate_grid(models=["minilab-base", "minilab-sft", "minilab-dpo-1"], options=options)
    chain = grid.table("chain")
    (expected,) = chain[
        (chain["checkpoint"] == "minilab-dpo-1") & (chain["weak"] == "minilab-base") & (chain["scope"] == "overall")
    ].to_dict("records")
    assert vanilla.difference == pytest.approx(expected["difference"])
    assert (vanilla.ci_low, vanilla.ci_high) == pytest.approx((expected["diff_low"], expected["diff_high"]), abs=0.02)
    accuracy = grid.accuracy.set_index(["strong", "weak", "scope"])["accuracy"]
    for row in (vanilla.first, vanilla.second):
        assert row.accuracy == pytest.approx(accuracy[row.strong, row.weak, "overall"])


def test_items_of_equal_prompts_are_drawn_together_though_an_earlier_run_does_not_name_them(
    over_sft: Path, over_base: Path, tmp_path: Path
) -> None:
    runs: list[Path] = []
    for folder in (over_sft, over_base):
        result = RunResult.load(folder)
        prompts = result.table("prompts").assign(prompt_id="0" * 64)
        runs.append(replace(result, tables={**result.tables, "prompts": prompts}).save(tmp_path / folder.name))
    found, _ = compare_runs(runs)[0].rewards
    assert found.ci_low == found.ci_high == pytest.approx(found.difference)


def test_a_comparison_of_runs_is_that_of_two_rewards_within_one_run(over_sft: Path, tmp_path: Path) -> None:
    result = RunResult.load(over_sft)
    margins = result.margins.astype({"weak": str, "variant": str})
    likelihood = margins[margins["variant"] == "likelihood"].assign(weak="minilab-sft", variant="vanilla")
    other = replace(result, tables={**result.tables, "margins": likelihood}).save(tmp_path / "likelihood")
    (run,) = compare_runs([over_sft, other])
    (found,) = run.rewards
    (expected,) = result.table("comparisons").to_dict("records")
    assert (expected["variant_a"], expected["variant_b"]) == ("likelihood", "vanilla")
    for name in ("difference", "ci_low", "ci_high", "p_value"):
        assert getattr(found, name) == pytest.approx(expected[name]), name


def test_items_that_changed_sides_are_those_with_margins_of_two_signs(
    options: Options, over_sft: Path, over_base: Path
) -> None:
    (run,) = compare_runs([over_sft, over_base])
    vanilla, _ = run.rewards
    for items, side in ((vanilla.gained, 1), (vanilla.lost, -1)):
        assert items
        assert all(item.second * side > 0 > item.first * side for item in items)
        changes = [abs(item.second - item.first) for item in items]
        assert changes == sorted(changes, reverse=True)
    text = render_markdown(comparison_document([run]))
    assert f"| {len(vanilla.gained)} | {len(vanilla.lost)} |" in text
    assert vanilla.gained[0].item in text


def test_a_run_equals_itself_and_items_of_one_run_are_counted(options: Options, over_sft: Path, tmp_path: Path) -> None:
    fewer = evaluate_pair(
        "minilab-dpo-1", "minilab-sft", variants=("vanilla",), options=replace(options, limit=48)
    ).save(tmp_path / "fewer")
    same, part = compare_runs([over_sft, over_sft, fewer])
    for reward in same.rewards:
        assert (reward.difference, reward.gained, reward.lost, reward.p_value) == (0, (), (), 1)
    assert part.items + part.left_out >= 96
    assert part.rewards[0].difference == 0


def test_rewards_without_a_scored_item_have_no_difference(options: Options, tmp_path: Path) -> None:
    short = replace(options, max_length=4)
    run = evaluate_pair("minilab-dpo-1", "minilab-sft", variants=("vanilla",), options=short).save(tmp_path / "short")
    text = render_markdown(comparison_document(compare_runs([run, run])))
    assert "| 0 | – | – | – | – | 0 | 0 |" in text
    assert "nan" not in text


def test_runs_that_cannot_be_compared_are_a_sentence(options: Options, over_sft: Path, tmp_path: Path) -> None:
    task = tmp_path / "other.jsonl"
    task.write_text('{"prompt": "a?", "chosen": "yes", "rejected": "no"}\n' * 2, encoding="utf-8")
    other = evaluate_pair("minilab-dpo-1", "minilab-sft", task=str(task), variants=("vanilla",), options=options)
    with pytest.raises(UserError, match="share no item"):
        compare_runs([over_sft, other.save(tmp_path / "other")])
    judged = evaluate_pair("minilab-dpo-1", "minilab-sft", variants=("judge-safety",), options=options)
    with pytest.raises(UserError, match="share no reward variant"):
        compare_runs([over_sft, judged.save(tmp_path / "judged")])
    with pytest.raises(UserError, match="is not a folder"):
        compare_runs([over_sft, tmp_path / "nothing"])
