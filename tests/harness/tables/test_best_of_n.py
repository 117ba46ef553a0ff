"""The table of best of N against subsets counted one by one."""

import json
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from cdr_eval.harness import Options, evaluate_pair
from cdr_eval.harness.statistics.credits import Responses
from cdr_eval.harness.statistics.resampling import Bootstrap
from cdr_eval.harness.tables.best_of_n import best_of_table, sizes
from cdr_eval.reports.write import write_reports


def responses_of(grades: list[list[float]]) -> Responses:
    counts = np.array([len(row) for row in grades])
    flat = np.array([g for row in grades for g in row])
    return Responses(counts, flat, np.full(len(flat), -1), ("",) * len(grades), ("",) * len(grades), {})


def bootstrap(n: int) -> Bootstrap:
    return Bootstrap.of(np.arange(n), np.zeros(n, dtype=np.intp), 200, 0)


def test_every_k_is_the_mean_over_all_subsets_of_k_in_the_unit_of_the_grades():
    rng = np.random.default_rng(0)
    grades = [(10 * rng.random(5) - 3).tolist() for _ in range(6)]
    rewards = rng.normal(size=30)
    table = best_of_table([("s", "w", "v")], rewards[None], responses_of(grades), np.arange(30), bootstrap(6))
    of_reward = table[table["variant"] == "v"].set_index("k")
    for k in range(1, 6):
        by_hand = np.mean(
            [
                grades[p][max(chosen, key=lambda j: rewards[5 * p + j])]
                for p in range(6)
                for chosen in combinations(range(5), k)
            ]
        )
        low, value, high = of_reward.loc[[k], ["ci_low", "grade", "ci_high"]].to_numpy(dtype=float)[0].tolist()
        assert value == pytest.approx(by_hand)
        assert low <= value <= high
    assert table[table["variant"] == "oracle"].set_index("k").loc[5, "grade"] == pytest.approx(
        np.mean([max(row) for row in grades])
    )
    longest = np.mean([row[-1] for row in grades])
    assert table[table["variant"] == "longest"].set_index("k").loc[5, "grade"] == pytest.approx(longest)


def test_all_rows_are_over_the_prompts_that_every_reward_scored_whole():
    grades = [[0.0, 1.0, 0.5]] * 4
    rewards = np.arange(24.0).reshape(2, 12)
    rewards[1, 4] = np.nan
    labels = [("s", "w", "a"), ("s", "w", "b")]
    table = best_of_table(labels, rewards, responses_of(grades), np.ones(12, dtype=np.intp), bootstrap(4))
    assert set(table["n"]) == {3}
    rewards[1] = np.nan
    left = best_of_table(labels, rewards, responses_of(grades), np.ones(12, dtype=np.intp), bootstrap(4))
    assert "b" not in set(left["variant"]) and set(left["n"]) == {4}


def test_two_responses_a_prompt_are_no_best_of_n():
    pairs = responses_of([[1.0, 0.0]] * 3)
    assert not len(best_of_table([("s", "w", "v")], np.zeros((1, 6)), pairs, np.ones(6, dtype=np.intp), bootstrap(3)))


def test_large_numbers_go_by_powers_of_two():
    assert sizes(8) == [1, 2, 3, 4, 5, 6, 7, 8]
    assert sizes(32) == [1, 2, 4, 8, 16, 32]
    assert sizes(40) == [1, 2, 4, 8, 16, 32, 40]


def test_a_pair_on_graded_responses_has_the_table_and_the_section(no_bars: None, tmp_path: Path):
    rows = [
        {
            "prompt": f"what is {k} plus 1?",
            "responses": [f"it is {k + n}." for n in range(4)],
            "grades": [0, 1, 0.5, 0.2],
        }
        for k in range(1, 9)
    ]
    task = tmp_path / "graded.jsonl"
    task.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    options = Options(store=tmp_path / "store", resamples=100)
    result = evaluate_pair("minilab-dpo-3", "minilab-sft", task=str(task), variants=["vanilla"], options=options)
    assert set(result.table("best_of")["variant"]) == {"vanilla", "random", "longest", "oracle"}
    text = (result.save(tmp_path / "run", write_reports) / "leaderboard.md").read_text(encoding="utf-8")
    assert "## Best of N" in text and "figures/best-of-n.svg" in text
