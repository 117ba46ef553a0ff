"""What a user of Python may pass, and what a notebook shows of the result."""

import ast
import inspect
import pickle
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pandas as pd
import pytest
import torch
from cdr_eval.errors import UserError
from cdr_eval.harness import Options, RunResult, evaluate_grid, evaluate_pair
from cdr_eval.harness import options as options_module
from cdr_eval.tasks.catalog import load_task, task_of_rows

ROWS: list[dict[str, Any]] = [
    {"id": f"r{n}", "prompt": f"What is {n} + 1?", "chosen": f"It is {n + 1}.", "rejected": "Five, of course."}
    for n in range(6)
]


@pytest.fixture(scope="module")
def options(tmp_path_factory: pytest.TempPathFactory) -> Options:
    return Options(store=str(tmp_path_factory.mktemp("store")), resamples=100)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def pair(options: Options) -> RunResult:
    return evaluate_pair("minilab-sft", "minilab-base", task=ROWS, variants="vanilla", options=options)


def test_rows_of_every_kind_are_the_same_task(tmp_path: Path):
    path = tmp_path / "rows.jsonl"
    pd.DataFrame(ROWS).to_json(path, orient="records", lines=True)
    items = load_task(str(path)).items
    held: tuple[Any, ...] = (ROWS, tuple(ROWS), iter(ROWS), pd.DataFrame(ROWS), datasets.Dataset.from_list(ROWS))
    for rows in held:
        assert task_of_rows(rows).items == items


def test_a_missing_value_of_a_data_frame_is_none():
    frame = pd.DataFrame([{**ROWS[0], "subset": None}, {**ROWS[1], "subset": np.nan}])
    assert set(task_of_rows(frame).items.subsets) == {"all"}
    graded = pd.DataFrame({"prompt": ["q"], "responses": [np.array(["a", "b"], dtype=object)], "scores": [[1.0, 0.0]]})
    assert task_of_rows(graded).items[0].responses == ("a", "b")


@pytest.mark.parametrize("kind", [tuple, np.array, torch.tensor, lambda grades: list(np.array(grades, np.float32))])
def test_arrays_tuples_and_scalars_are_read_as_lists_and_numbers(kind: Callable[[Any], Any]):
    rows = [{"prompt": f"q{n}", "responses": ("a", "b", "c"), "scores": kind([3.0, 1.0, 2.5])} for n in range(2)]
    inside = [
        {"prompt": "q", "completions": [{"text": t, "score": s} for t, s in zip("ab", kind([1, 2]), strict=True)]}
    ]
    assert task_of_rows(rows).items.grades.tolist() == [3, 1, 2.5] * 2
    assert task_of_rows(inside).items.grades.tolist() == [1, 2]


NAMED = [
    {"prompt": f"q{n}", "response_1": "a", "response_2": f"b{n}", "subset": "xyz"[n], "winner": winner}
    for n, winner in enumerate(["response_2", "response_1", "tie"])
]


def labelled(rows: Sequence[Mapping[str, Any]], *names: str) -> Any:
    data = datasets.Dataset.from_list([dict(row) for row in rows])
    label: Any = datasets.ClassLabel(names=list(names))
    winner = datasets.List(label) if isinstance(rows[0]["winner"], list) else label
    subset = datasets.ClassLabel(names=["z", "y", "x"])
    return data.cast(datasets.Features({**data.features, "winner": winner, "subset": subset}))


@pytest.mark.parametrize("names", [("response_1", "response_2", "tie"), ("tie", "response_2", "response_1")])
@pytest.mark.parametrize("votes", [False, True])
def test_class_labels_are_read_by_their_names(tmp_path: Path, names: tuple[str, ...], votes: bool):
    rows = [{**row, "winner": [row["winner"]] * 2} for row in NAMED] if votes else NAMED
    expected, data = task_of_rows(rows).items, labelled(rows, *names)
    assert expected.subsets == ["x", "y"]
    data.to_parquet(tmp_path / "rows.parquet")
    data.save_to_disk(tmp_path / "folder")
    shown: list[Any] = [data.with_format(kind) for kind in (None, "numpy", "torch", "pandas", "arrow")]
    shown += [data.to_iterable_dataset(), data.to_iterable_dataset().with_format("arrow"), data.with_transform(dict)]
    for rows_of in shown:
        assert task_of_rows(rows_of).items == expected
    for path in (tmp_path / "rows.parquet", tmp_path / "folder"):
        assert load_task(str(path)).items == expected


def test_an_integer_that_has_no_name_is_no_label(tmp_path: Path):
    data = labelled([NAMED[0], *[NAMED[1]] * 38], "response_1", "response_2", "tie")
    data = data.map(lambda row, n: {"winner": -1 if n == 5 else row["winner"]}, with_indices=True)
    assert data[5]["winner"] == -1
    task = task_of_rows(data)
    assert (len(task.items), task.reading.reasons) == (38, {"unknown label": 1})


def test_a_text_with_half_a_character_is_no_row():
    rows = [*ROWS, {**ROWS[0], "id": "x", "chosen": "\udcff"}, *({**ROWS[0], "id": f"s{n}"} for n in range(20))]
    task = task_of_rows(rows)
    assert [(row.line, row.reason, row.sentence) for row in task.reading.left_out] == [
        (7, "no UTF-8", "the text is not UTF-8; save it as UTF-8")
    ]


def test_columns_of_rows_are_named_as_those_of_files():
    rows = [{"question": row["prompt"], "good": row["chosen"], "bad": row["rejected"]} for row in ROWS]
    task = task_of_rows(rows, columns=("prompt=question", "chosen=good", "rejected=bad"))
    assert task.items[0].responses == ("It is 1.", "Five, of course.")


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        (datasets.DatasetDict({"train": datasets.Dataset.from_list(ROWS)}), "this is a mapping of train; pass one of"),
        (3, "A task is a name, a path, a list of dictionaries, a DataFrame or a datasets.Dataset, not 3"),
        ([], "holds no rows"),
        (["text"], "a row must be an object with named columns"),
        (pd.DataFrame(ROWS).assign(n=[1, "a", 2, 3, 4, 5]), "Could not convert 'a'.* column n .*: give each column"),
        (
            pd.DataFrame([{**ROWS[0], "chosen": "\udcff"}], dtype=object),
            "cannot be read: the text is not UTF-8; save it",
        ),
        (pd.DataFrame(ROWS).rename(columns={"id": "prompt"}), "Duplicate column names .*: give each column"),
    ],
)
def test_what_holds_no_rows_is_refused_in_a_sentence(rows: Any, told: str):
    with pytest.raises(UserError, match=told):
        task_of_rows(rows)


def test_names_and_paths_may_be_plain_texts(pair: RunResult, options: Options, tmp_path: Path):
    path, registry = tmp_path / "rows.jsonl", tmp_path / "mine.yaml"
    pd.DataFrame(ROWS).to_json(path, orient="records", lines=True)
    registry.write_text("sources: {lab: {title: our own runs}}\n")
    asked: dict[str, Any] = {"variants": "vanilla", "registry": str(registry), "options": options}
    for task in (str(path), path):
        again = evaluate_pair("minilab-sft", "minilab-base", task=task, **asked)
        assert again.margins["margin"].tolist() == pair.margins["margin"].tolist()
    grid = evaluate_grid(models="minilab-sft, minilab-base", task=ROWS, **asked)
    assert len(grid.run["pairs"]) == 4


@pytest.mark.parametrize(
    "wrong",
    [
        *({"limit": 0}, {"limit": 2.5}, {"limit": True}, {"seed": -1}, {"seed": None}, {"resamples": "9"}),
        *({"tokens": -1}, {"check_quantised": 0}, {"tensor_parallel": 0}),
    ],
)
def test_a_number_that_cannot_be_is_refused_where_it_is_written(wrong: dict[str, Any]):
    (name,) = wrong
    with pytest.raises(UserError, match=f"{name} must be a whole number from"):
        Options(**wrong)


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"dtype": "half"}, "dtype must be one of 'auto', 'float32', 'float16', 'bfloat16', not 'half'."),
        ({"protocol": "offical"}, "protocol must be one of 'own', 'official', not 'offical'."),
        ({"quantise": "int4"}, "quantise must be one of None, 'int8', not 'int4'."),
        ({"mean": "no"}, "mean must be True or False, not 'no'."),
        ({"offload": 1}, "offload must be True or False, not 1."),
    ],
)
def test_a_choice_that_there_is_not_is_refused_where_it_is_written(wrong: dict[str, Any], told: str):
    with pytest.raises(UserError) as error:
        Options(**wrong)
    assert str(error.value) == told


def test_one_of_several_may_be_given_alone_and_paths_as_texts():
    given: dict[str, Any] = {"columns": "prompt=q", "urls": ["a=http://b"], "annotators": "bt", "fitted": ("f.yaml",)}
    options = Options(**given)
    assert (options.columns, options.urls) == (("prompt=q",), ("a=http://b",))
    assert (options.annotators, options.fitted) == ((Path("bt"),), (Path("f.yaml"),))


def test_every_option_says_what_it_is():
    tree = ast.parse(inspect.getsource(options_module))
    for made in (node for node in tree.body if isinstance(node, ast.ClassDef)):
        for field, after in zip(made.body, made.body[1:], strict=False):
            if isinstance(field, ast.AnnAssign):
                said = isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant)
                assert said, f"{made.name}.{ast.unparse(field.target)} has no docstring"


def test_a_result_is_shown_in_a_line_and_in_a_notebook_as_a_table(pair: RunResult):
    assert repr(pair) == "RunResult(pair: minilab-sft over minilab-base, vanilla, on 6 items of rows)"
    shown: str = pair._repr_html_()  # pyright: ignore[reportPrivateUsage]
    accuracy = pair.accuracy.query("scope == 'overall' and variant == 'vanilla'")["accuracy"].item()
    assert f"<td>{100 * accuracy:.1f}</td>" in shown
    assert "minilab-sft over minilab-base" in shown


def test_names_in_a_notebook_cannot_be_markup(pair: RunResult):
    frame = pair.accuracy.assign(strong="<script>")
    run = {**pair.run, "pairs": [{"strong": "<script>", "weak": "w"}]}
    assert "<script>" not in RunResult(run, {"accuracy": frame})._repr_html_()  # pyright: ignore[reportPrivateUsage]


def test_a_result_comes_back_from_its_folder(pair: RunResult, tmp_path: Path):
    back = RunResult.load(str(pair.save(str(tmp_path / "run"))))
    assert repr(back) == repr(pair)
    assert back.accuracy.equals(pair.accuracy)


def test_a_result_that_was_pickled_saves_the_same_files(pair: RunResult, tmp_path: Path):
    saved = pair.save(tmp_path / "run")
    for number, result in enumerate((pair, RunResult.load(saved))):
        again = pickle.loads(pickle.dumps(result)).save(tmp_path / str(number))
        files = {path.name: path.read_bytes() for path in again.iterdir()}
        assert files == {path.name: path.read_bytes() for path in saved.iterdir()}


def test_what_is_done_to_a_frame_does_not_change_the_result(pair: RunResult, tmp_path: Path):
    shown = pair.accuracy
    shown["accuracy"] *= 100
    assert shown["accuracy"].max() > 1
    assert RunResult.load(pair.save(tmp_path / "run")).accuracy["accuracy"].max() <= 1
