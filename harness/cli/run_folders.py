"""Where runs go: a folder named for what is asked, which no run of another question takes."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import Any

from ...errors import UserError
from ...model_registry.registry import Registry
from ...reports.run_format.out_folder import check_out
from ..comparisons import Comparison
from ..options import Options
from ..question import Question, asked_of
from .options import Output


def run_folders(
    kind: str,
    name: str,
    comparisons: Sequence[Comparison],
    questions: Sequence[Question],
    registry: Registry,
    options: Options,
    out: Path | None,
    overwrite: bool,
) -> tuple[Path, list[Path]]:
    """The folder of a command and that of each task's run, which is the same where there is one task.

    Without `out` it is runs/NAME-on-TASK, or the first of NAME-on-TASK-2, -3, ... that holds no other run. Raises
    UserError where `out` holds another run and `overwrite` does not say to replace it.
    """
    asked = [asked_of(kind, question, comparisons, registry, options) for question in questions]
    if out is not None:
        return out, _checked(out, asked, overwrite)
    tasks = "-".join(stem(question.task.name) for question in questions)
    return next(_free(f"{name}-on-{tasks}"[:200], asked, overwrite))


def check_of(output: Output) -> Callable[[Mapping[str, Any]], None]:
    """Raises UserError for a question, as run.json will tell it, of which `--out` may not hold the run."""

    def check(asked: Mapping[str, Any]) -> None:
        if output.out is not None:
            check_out(output.out, asked, overwrite=output.overwrite)

    return check


def free_folder(name: str, asked: Mapping[str, Any], *, overwrite: bool) -> Path:
    """The same for a run that is done: the first of runs/NAME, NAME-2, ... that holds no other run."""
    return next(_free(name, [asked], overwrite))[0]


def _free(name: str, asked: Sequence[Mapping[str, Any]], overwrite: bool) -> Iterator[tuple[Path, list[Path]]]:
    for number in count(1):
        folder = Path("runs") / (name if number == 1 else f"{name}-{number}")
        with suppress(UserError):
            yield folder, _checked(folder, asked, overwrite)


def _checked(out: Path, asked: Sequence[Mapping[str, Any]], overwrite: bool) -> list[Path]:
    if len(asked) == 1:
        check_out(out, asked[0], overwrite=overwrite)
        return [out]
    if (out / "run.json").exists():
        raise UserError(f"{out} holds the run of one task; pass another folder with --out.")
    folders = [out / stem(of_task["task"]["name"]) for of_task in asked]
    for folder, of_task in zip(folders, asked, strict=True):
        check_out(folder, of_task, overwrite=overwrite)
    return folders


def stem(name: str) -> str:
    """A name as a part of a file's name."""
    return "".join(c if c.isalnum() or c in "-_." else "-" for c in Path(name).name)[:80]
