"""The built-in benchmarks on rows of their published columns, real files beside the checkout, and the loader."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from cdr_eval.errors import UserError
from cdr_eval.harness.rules import check_rules
from cdr_eval.tasks.benchmarks.load import recognise
from cdr_eval.tasks.benchmarks.schema import FOLDER, benchmarks, load_benchmark
from cdr_eval.tasks.catalog import load_task
from cdr_eval.tasks.item import content_hash
from cdr_eval.tasks.task import Task
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

FUZZ = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
DATA = Path(__file__).parents[3] / "shared" / "data"


def write(path: Path, *rows: Mapping[str, Any]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def said(role: str, text: str) -> dict[str, str]:
    return {"role": role, "content": text}


def ppe(**more: object) -> dict[str, object]:
    return {
        "question_id": "q", "model_name": "m", "prompt": "q", "scores": [n % 2 == 0 for n in range(32)],
        "sampled_conflict_pairs": [[0, 1], [3, 2], [1, 0]], **{f"response_{n}": f"r{n}" for n in range(1, 33)}, **more,
    }  # fmt: skip


JUDGEBENCH = {
    "pair_id": "p", "original_id": None, "source": "mmlu-pro-law", "question": "q", "response_A": "a",
    "response_B": "b", "label": "B>A", "response_model": "gpt-4o-2024-05-13",
}  # fmt: skip
TURNS = [said("user", "q"), said("assistant", "a"), said("user", "q2"), said("assistant", "a2")]
MT = {"question_id": 81, "model_a": "x", "model_b": "y", "judge": "expert_0", "turn": 1, "conversation_a": TURNS}
MT |= {"conversation_b": [said("user", "q"), said("assistant", "b"), *TURNS[2:]]}
TURNED = MT | {"model_a": "y", "model_b": "x"}
TURNED |= {"conversation_a": MT["conversation_b"], "conversation_b": MT["conversation_a"]}
"""The same two answers, shown in the other order."""
STEPS = [
    {"problem": "p", "eval_solution": [f"s{n}", "end"], "solution_type": "rejected" if n else "chosen", "problem_id": 7}
    for n in range(10)
]
PUBLISHED: dict[str, tuple[list[dict[str, Any]], dict[str, Any]]] = {
    "rewardbench": (
        [{"prompt": "q", "chosen": "a", "rejected": "b", "subset": "hep-go", "id": 3}],
        {"id": "hep-go-3", "subset": "hep-go", "grades": (1, 0)},
    ),
    "rewardbench-2": (
        [{"id": "ref:12", "prompt": "q", "chosen": ["a"], "rejected": ["b", "c"], "num_correct": 1, "num_incorrect": 2,
          "total_completions": 3, "models": [], "subset": "Ties", "additional_metadata": None},
         {"id": "tied:12", "prompt": "q2", "chosen": ["a", "d"], "rejected": ["b", "c"], "num_correct": 2,
          "num_incorrect": 2, "total_completions": 4, "models": [], "subset": "Ties", "additional_metadata": None}],
        {"group": "12", "role": "ref", "grades": (1, 0, 0), "responses": ("a", "b", "c")},
    ),
    "rm-bench": (
        [{"id": 4, "prompt": "q", "chosen": ["a", "b", "c"], "rejected": ["d", "e", "c"], "domain": "safety-refuse"}],
        {"id": "safety-refuse-4", "styles": (0, 1, 2, 0, 1, 2), "grades": (1, 1, 1, 0, 0, 0)},
    ),
    "judgebench": ([JUDGEBENCH], {"id": "p", "grades": (0, 1), "subset": "mmlu-pro-law", "problem": "q"}),
    "judgebench-claude": (
        [JUDGEBENCH | {"response_model": "claude-3-5-sonnet-20240620", "label": "A>B"}], {"grades": (1, 0)},
    ),
    "ppe-human": (
        [{"question_id": "q", "model_a": "x", "model_b": "y", "winner": "model_b", "prompt": "q", "response_1": "a",
          "response_2": "b", "language": "English", "conv_metadata": {}, "hard_prompt": True}],
        {"grades": (0, 1), "labels": {"model_a": "x", "model_b": "y", "language": "English"}},
    ),
    "ppe-mmlu-pro": (
        [ppe(options=["x"], answer_index=0, category="law")],
        {"pairs": ((0, 1), (2, 3)), "grades": (1, 0) * 16, "problem": "q", "id": "q-m"},
    ),
    "ppe-gpqa": ([ppe(**{"Record ID": "r", "choices": ["x"]})], {"pairs": ((0, 1), (2, 3))}),
    "ppe-math": ([ppe()], {"grades": (1, 0) * 16}),
    "ppe-ifeval": ([ppe()], {"grades": (1, 0) * 16}),
    "ppe-mbpp-plus": ([ppe(scores=[1.0, 0.0] * 16)], {"grades": (1, 0) * 16}),
    "rewardmath": (STEPS, {"id": "7", "responses": tuple(f"s{n}\nend" for n in range(10)), "grades": (1,) + (0,) * 9}),
    "helpsteer2": (
        [{"split": "train", "prompt": "no", "response_1": "a", "response_2": "b", "preference_strength": 1,
          "preference_statement": "", "preference_elaboration": ""},
         {"split": "val", "prompt": "q\n<extra_id_1>Assistant\nr\n<extra_id_1>User\ns", "response_1": "a",
          "response_2": "b", "preference_strength": -2, "preference_statement": "", "preference_elaboration": ""}],
        {"grades": (1, 0), "prompt": (said("user", "q"), said("assistant", "r"), said("user", "s"))},
    ),
    "helpsteer3": (
        [{"domain": "code", "language": "python", "context": [said("user", "q")], "response1": "a", "response2": "b",
          "overall_preference": 3, "individual_preference": []}],
        {"grades": (0, 1), "subset": "code", "labels": {"language": "python"}},
    ),
    "m-rewardbench": (
        [{"id": 3, "language": lang, "source": "hep-go", "category": "Reasoning", "prompt": lang, "chosen": "a",
          "rejected": "b", "chosen_model": "", "rejected_model": ""} for lang in ("arb_Arab", "deu_Latn")],
        {"id": "arb_Arab-hep-go-3", "subset": "arb_Arab/hep-go", "problem": "hep-go-3"},
    ),
    "ultrafeedback": (
        [{"prompt": "q", "prompt_id": "1", "chosen": [said("user", "q"), said("assistant", "a")], "messages": [],
          "rejected": [said("user", "q"), said("assistant", "b")], "score_chosen": 8, "score_rejected": 7}],
        {"responses": ("a", "b"), "grades": (1, 0)},
    ),
    "ultrafeedback-completions": (
        [{"source": "flan", "instruction": "q", "models": [], "correct_answers": [], "incorrect_answers": [],
          "completions": [{"response": t, "overall_score": s} for t, s in (("a", 8.5), ("b", 4.0), ("c", 4.0))]}],
        {"grades": (8.5, 4, 4), "subset": "flan"},
    ),
    "nectar": (
        [{"prompt": "\n\nHuman: q\n\nAssistant: ",
          "answers": [{"answer": "a", "rank": 1.0}, {"answer": "b", "rank": 2.0}],
          "turns": 1, "num_responses": 2, "good_natured": True, "source": []}],
        {"grades": (-1, -2), "prompt": (said("user", "q"),)},
    ),
    "shp": (
        [{"post_id": "x", "domain": "legaladvice_test", "history": "q", "human_ref_A": "a", "human_ref_B": "b",
          "labels": 1, "score_ratio": 2.0}],
        {"grades": (1, 0), "problem": "x", "subset": "legaladvice_test"},
    ),
    "hh-rlhf": (
        [{"chosen": "\n\nHuman: q\n\nAssistant: a", "rejected": "\n\nHuman: q\n\nAssistant: b"}],
        {"prompt": (said("user", "q"),), "responses": ("a", "b")},
    ),
    "pandalm": (
        [{"idx": 0, "motivation_app": "", "cmp_key": "x_y", "instruction": "q", "input": "i", "response1": "a",
          "response2": "b", "annotator1": 2, "annotator2": 0, "annotator3": 2}],
        {"grades": (0, 1), "prompt": (said("user", "q\n\ni"),), "problem": "q-i"},
    ),
    "mt-bench": (
        [MT | {"winner": "model_a"}, MT | {"winner": "model_b", "judge": "expert_1"},
         TURNED | {"winner": "model_b", "judge": "expert_2"}, MT | {"winner": "model_b", "judge": "author_0"},
         MT | {"winner": "model_b", "turn": 2}],
        {"grades": (1, 0), "responses": ("a", "b"), "problem": "81", "prompt": (said("user", "q"),)},
    ),
    "llmbar-casestudy": ([{"input": "q", "output_1": "a", "output_2": "b", "label": 2}], {"grades": (0, 1)}),
}  # fmt: skip
BARE = set(PUBLISHED) - {"ppe-math", "ppe-ifeval", "ppe-mbpp-plus", "hh-rlhf", "llmbar-casestudy"}
"""Known by their columns alone; the others share theirs."""


def test_every_benchmark_is_tried() -> None:
    assert set(PUBLISHED) == set(benchmarks())


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_local_copy_is_read_by_the_published_columns(tmp_path: Path, name: str) -> None:
    rows, expected = PUBLISHED[name]
    path = write(tmp_path / "mine.jsonl", *rows)
    task = load_task(f"{name}:{path}")
    item = task.items[0]
    assert {key: getattr(item, key) for key in expected} == expected
    assert not task.reading.left_out
    assert task.reading.taken_for == f"{benchmarks()[name].title} ({name})"
    assert "was published with" in task.reading.remarks[0]
    assert (task.name, task.source) == ("mine", path)
    assert all(item.subset in subsets for subsets in [{s for x in task.sections for s in x.counts}] if subsets)


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_bare_file_is_taken_for_the_one_benchmark_with_its_columns(tmp_path: Path, name: str) -> None:
    rows, _ = PUBLISHED[name]
    found = recognise(rows)
    assert (found.name if found else None) == (name if name in BARE else None)
    task = load_task(write(tmp_path / "mine.jsonl", *rows))
    assert (task.reading.taken_for == f"{benchmarks()[name].title} ({name}), by its columns") == (name in BARE)


def test_what_lies_outside_a_benchmark_is_not_taken_for_it(tmp_path: Path) -> None:
    rows, _ = PUBLISHED["rm-bench"]
    other = rows[0] | {"domain": "cooking", "id": 500}
    assert load_task(write(tmp_path / "a.jsonl", other)).sections == ()
    many = [rows[0] | {"id": n} for n in range(99)]
    plain = load_task(write(tmp_path / "b.jsonl", *many, other))
    assert (plain.sections, len(plain.items)) == ((), 100)
    forced = load_task(f"rm-bench:{write(tmp_path / 'b.jsonl', *many, other)}")
    assert forced.reading.reasons == {"unknown subset": 1}


def test_an_item_whose_group_has_lost_another_is_left_out_with_it(tmp_path: Path) -> None:
    ref, tied = PUBLISHED["rewardbench-2"][0]
    rows = [row | {"id": f"{role}:{n}"} for n in range(40) for role, row in (("ref", ref), ("tied", tied))]
    rows[3] = rows[3] | {"prompt": " "}
    task = load_task(f"rewardbench-2:{write(tmp_path / 'p.jsonl', *rows)}")
    assert len(task.items) == 78
    assert [(row.line, row.reason) for row in task.reading.left_out] == [(4, "no prompt"), (3, "broken group")]
    assert "one each of ref and tied" in task.reading.left_out[1].sentence
    check_rules(task)


def test_votes_and_rows_that_are_not_asked_for(tmp_path: Path) -> None:
    task = load_task(f"mt-bench:{write(tmp_path / 'p.jsonl', *PUBLISHED['mt-bench'][0])}")
    assert (len(task.items), task.reading.rows, task.reading.passed_over) == (1, 5, 2)
    draw = load_task_or_say(f"mt-bench:{write(tmp_path / 'p.jsonl', *PUBLISHED['mt-bench'][0][:2])}")
    assert "`winner` prefers no response" in draw


def test_a_gathered_source_is_refused_by_its_groups(tmp_path: Path) -> None:
    """One empty step costs all ten rows of an item."""
    rows = [row | {"problem_id": n} for n in range(20) for row in STEPS]
    rows[0] |= {"eval_solution": [""]}
    task = load_task(f"rewardmath:{write(tmp_path / 'p.jsonl', *rows)}")
    assert (len(task.items), task.reading.tried) == (19, "20 groups of rows")
    rows[10] |= {"eval_solution": [""]}
    said = load_task_or_say(f"rewardmath:{write(tmp_path / 'p.jsonl', *rows)}")
    assert "2 of 20 groups of rows cannot be used" in said


def load_task_or_say(spec: str) -> str:
    with pytest.raises(UserError) as error:
        load_task(spec)
    return str(error.value)


def test_what_the_benchmarks_say() -> None:
    weights = {name: sum(s.counts[x] for s in b.task_sections for x in s.counts) for name, b in benchmarks().items()}
    assert weights["rewardbench-2"] == benchmarks()["rewardbench-2"].rows == 1865
    assert weights["rm-bench"] == benchmarks()["rm-bench"].rows == 1327
    assert weights["judgebench"] == benchmarks()["judgebench"].rows == 350
    assert weights["judgebench-claude"] == benchmarks()["judgebench-claude"].rows == 270
    assert weights["m-rewardbench"] == 23 * (2869 - 447 + 983)
    assert sum(benchmarks()[name].rows for name in benchmarks() if name.startswith("ppe-")) - 16_038 == 2555
    assert all(len(s.revision or "0" * 40) == 40 for b in benchmarks().values() for s in b.source)


def test_a_benchmark_that_is_not_on_the_hub_says_where_its_files_are() -> None:
    said = load_task_or_say("pandalm")
    assert "fetch them from https://github.com/WeOpenML/PandaLM" in said
    assert "pandalm:FILE" in said


def test_a_name_with_a_file_that_is_not_there() -> None:
    assert load_task_or_say("rm-bench:nothing") == "There is no file nothing: check the path after rm-bench:."
    assert "There is no file no/where.jsonl" in load_task_or_say("rm-bench:no/where.jsonl")


def test_a_users_own_benchmark_is_a_file_of_the_same_kind(tmp_path: Path) -> None:
    rows = [{"ask": "q", "yes": ["a", "b"], "no": ["c"], "kind": kind} for kind in ("x", "y")]
    write(tmp_path / "rows.jsonl", *rows)
    text = """
name: mine
title: Mine
licence: MIT
citation: none
about: mine
source: {page: here, rows: 2}
columns: {prompt: ask, chosen: "yes", rejected: "no", subset: kind, id: [], problem: []}
sections: [{name: Both, subsets: {x: 3, y: 1}}]
rule: {name: best}
chance: 0.667
responses: "3"
"""
    (tmp_path / "mine.yaml").write_text(text.replace("source: {", "source:\n  - {"))
    task = load_task(f"{tmp_path / 'mine.yaml'}:{tmp_path / 'rows.jsonl'}")
    assert task.items[0].responses == ("a", "b", "c")
    assert task.sections[0].counts == {"x": 3, "y": 1}


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("rule: {name: matrix}", "rule: {name: cube}", "rule.name"),
        ("chance: 0.5", "chance: 2", "chance"),
        ("chance: 0.5", "chance: 0.5\nchanse: 1", "chanse: this key is unknown"),
        ("title: RM-Bench", "", "title: this key is missing"),
        ("hub: THU-KEG/RM-Bench", "config: x", "say where the data lie"),
        ("{prompt: prompt", "{promt: prompt", "columns.promt: this key is unknown"),
    ],
)
def test_a_wrong_benchmark_file_is_told_with_its_line(tmp_path: Path, old: str, new: str, sentence: str) -> None:
    text = (FOLDER / "rm-bench.yaml").read_text()
    assert old in text
    path = tmp_path / "mine.yaml"
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(UserError) as error:
        load_benchmark(path)
    assert sentence in str(error.value)
    assert "line" in str(error.value)


def real(name: str) -> Task:
    if not (DATA / name).is_file():
        pytest.skip(f"{DATA / name} is not there")
    return load_task(str(DATA / name))


def test_the_real_files_need_no_flag() -> None:
    alpaca = real("alpaca_eval_8.jsonl")
    assert (len(alpaca.items), alpaca.reading.reasons, alpaca.rule.name) == (159, {"tied label": 1}, "pairwise")
    assert sorted(set(alpaca.items.counts.tolist())) == [7, 8]
    hh = real("hh_harmless_test.jsonl")
    assert (len(hh.items), hh.reading.reasons) == (2303, {"different prompts": 5, "empty response": 4})
    judge = real("judgebench_gpt.jsonl")
    assert (len(judge.items), judge.reading.left_out, judge.overall) == (350, (), "items")
    assert int((judge.items.grades[::2] == 1).sum()) == 193, "A is better in 193 of 350"
    rm = real("rm_bench.jsonl")
    assert (len(rm.items), rm.reading.duplicates, set(rm.items.counts.tolist())) == (798, 66, {6})
    assert list(rm.levels)[:4] == ["Hard", "Normal", "Easy", "concise over concise"]
    assert len(rm.levels) == 3 + 3 * 3
    assert real("rewardbench_rebuilt.jsonl").name == "rewardbench_rebuilt"


def test_tasks_that_were_there_before_keep_their_hash() -> None:
    """Hashes of the version that knew pairs only."""
    old = {
        "minilab": "57cd3f846ce59dc4c61d641d9b4ff1488b418587746839dcafaa13fb2bc1763a",
        "rewardbench_rebuilt.jsonl": "9eafd56e0bf4ab5f9d65ce8263fc7e3afaee07b96417315a89a818c215beb315",
    }
    assert content_hash(load_task("minilab").items) == old["minilab"]
    assert content_hash(real("rewardbench_rebuilt.jsonl").items) == old["rewardbench_rebuilt.jsonl"]


@FUZZ
@given(st.binary(max_size=200), st.integers(0, 2000))
def test_any_bytes_in_a_benchmark_file_give_a_benchmark_or_a_sentence(tmp_path: Path, noise: bytes, place: int) -> None:
    raw = (FOLDER / "rm-bench.yaml").read_bytes()
    path = tmp_path / "mine.yaml"
    path.write_bytes(raw[:place] + noise + raw[place + len(noise) // 2 :])
    load_benchmark.cache_clear()
    try:
        assert load_benchmark(path).name
    except UserError as error:
        assert "\n" not in str(error)


values = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4) | st.lists(st.text(max_size=3))


@FUZZ
@given(st.sampled_from(sorted(PUBLISHED)), st.data())
def test_any_rows_under_a_benchmark_give_items_or_a_sentence(tmp_path: Path, name: str, data: st.DataObject) -> None:
    rows = [dict(row) for row in PUBLISHED[name][0]] * 2
    for _ in range(data.draw(st.integers(1, 3))):
        row = data.draw(st.sampled_from(rows))
        row[data.draw(st.sampled_from(sorted(row)))] = data.draw(values)
    path = write(tmp_path / "p.jsonl", *rows)
    try:
        task = load_task(data.draw(st.sampled_from([f"{name}:{path}", path])))
    except UserError as error:
        assert "\n" not in str(error)
        return
    assert all(len(item.responses) >= 2 for item in task.items)
