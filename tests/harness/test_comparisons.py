"""Which checkpoints are compared: folders of one name, names of the user's own, circles, empty names."""

from pathlib import Path

import pytest
from cdr_eval.errors import UserError
from cdr_eval.harness.comparisons import grid_of, pair_of
from cdr_eval.model_registry.checkpoint_files import find_checkpoint
from cdr_eval.model_registry.registry import load_registry

from tests.harness.in_process import cdr_eval

CIRCLE = (
    "families: [{name: mine, description: x, members: [a, b, c]}]\n"
    "checkpoints:\n"
    "  - {name: a, label: a, model: org/a, stage: sft, trained_from: b}\n"
    "  - {name: b, label: b, model: org/b, stage: sft, trained_from: a}\n"
    "  - {name: c, label: c, model: org/c, stage: sft, trained_from: a}\n"
)


def folders(root: Path, *paths: str) -> list[str]:
    for path in paths:
        (root / path).mkdir(parents=True)
    return [str(root / path) for path in paths]


def test_folders_of_one_name_are_told_apart_by_those_above_them(tmp_path: Path) -> None:
    known = load_registry()
    strong, weak = folders(tmp_path, "runA/final", "runB/final")
    (pair,) = pair_of(strong, weak, known)
    assert pair.pairs == (("runA-final", "runB-final"),)
    assert [c.model for c in pair.checkpoints] == [strong, weak]
    more = folders(tmp_path, "x/runA/final", "y/other")
    (grid,) = grid_of(None, [strong, weak, *more], True, known, ())
    assert [c.name for c in grid.checkpoints] == [f"{tmp_path.name}-runA-final", "runB-final", "x-runA-final", "other"]
    assert len(grid.pairs) == 16


def test_one_folder_given_twice_is_one_checkpoint(tmp_path: Path) -> None:
    (folder,) = folders(tmp_path, "run/final")
    (pair,) = pair_of(folder, f"{folder}/../final", load_registry())
    assert pair.pairs == (("final", "final"),)


def test_a_name_of_the_user_s_own(tmp_path: Path) -> None:
    known = load_registry()
    strong, weak = folders(tmp_path, "a/final", "b/final")
    (pair,) = pair_of(f"ours={strong}", f"theirs={weak}", known)
    assert pair.pairs == (("ours", "theirs"),)
    assert find_checkpoint("sft=minilab-sft", known).model == known.find("minilab-sft").model
    (odd,) = folders(tmp_path, "lr=1e-6")
    assert find_checkpoint(odd, known).name == "lr=1e-6"


@pytest.mark.parametrize("name", ["", "a/b", " x", "a\nb", ".."])
def test_a_name_that_cannot_be_one_is_refused(tmp_path: Path, name: str) -> None:
    (folder,) = folders(tmp_path, "final")
    with pytest.raises(UserError, match=r"cannot be the name of a checkpoint|is empty"):
        find_checkpoint(f"{name}={folder}", load_registry())


def test_two_under_one_name_of_the_user_s_are_refused_with_how_to_mend_it(tmp_path: Path) -> None:
    strong, weak = folders(tmp_path, "a/final", "b/final")
    with pytest.raises(UserError, match=f"have the same name; give one of them another, as NAME={weak}"):
        pair_of(f"x={strong}", f"x={weak}", load_registry())


@pytest.mark.parametrize("named", ["", "  "])
def test_an_empty_name_is_no_folder(named: str) -> None:
    with pytest.raises(UserError, match="The name of a checkpoint is empty"):
        find_checkpoint(named, load_registry())


def test_a_checkpoint_that_is_its_own_ancestor_is_refused_by_check_and_grid(tmp_path: Path) -> None:
    file = tmp_path / "circle.yaml"
    file.write_text(CIRCLE)
    for arguments in (("models", "--check"), ("grid",), ("grid", "--models", "a,c")):
        done = cdr_eval(*arguments, "--registry", file)
        assert done.code == 2
        assert "'a' is, along trained_from, its own ancestor" in done.err


def test_a_family_declared_again_is_the_grid_s(tmp_path: Path) -> None:
    """As `minilab build` writes it: the built-in family with other checkpoints under the same names."""
    members = ["minilab-base", "minilab-sft"]
    file = tmp_path / "rebuilt.yaml"
    file.write_text(
        f"families: [{{name: minilab, members: [{', '.join(members)}]}}]\n"
        f"checkpoints: [{', '.join(f'{{name: {name}, model: ./{name}}}' for name in members)}]\n"
    )
    [found] = grid_of(None, (), True, load_registry((file,)), (file,))
    assert [c.model for c in found.checkpoints if c.name in members] == [str(tmp_path / name) for name in members]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("pair", "--strong", "", "--weak", "minilab-sft"), "The name of a checkpoint is empty"),
        (("pair", "--strong", "minilab-sft", "--weak", ""), "The name of a checkpoint is empty"),
        (("grid", "--models", ""), "--models is empty"),
        (("grid", "--models", " , "), "--models is empty"),
        (("grid", "--models", "minilab-sft", "--no-self"), "No checkpoint has another to make a pair with"),
        (("grid", "--task", "minilab," * 40 + "minilap"), "There is no task 'minilap'"),
    ],
)
def test_an_option_that_cannot_be_is_an_error(arguments: tuple[str, ...], words: str) -> None:
    done = cdr_eval(*arguments)
    assert done.code == 2
    assert words in done.err
