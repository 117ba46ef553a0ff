"""A reward fitted to labels: score checkpoints, fit their scores, judge the fit on items that it has not seen."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from ..errors import UserError
from ..model_registry.registry import load_registry
from ..tasks.items import Items
from ..tasks.task import Task, limited
from .comparisons import Comparison, grid_of
from .fitted_file import FittedFile, read_conditioning
from .fitting.compared import FOLDS
from .options import Options
from .question import Question, ask, asked_of
from .rules import responses_of
from .statistics.credits import without_comparison
from .term_scores import scored_terms, term_question

if TYPE_CHECKING:
    from ..reports.run_format.results import RunResult

LEAST_LABELS: Final = 20
MOST_LABELS: Final = 50_000
"""fitted.yaml names each."""
WITHOUT: Final = "choose a pair without labels instead, with `cdr-eval grid --ignore-labels`"


@dataclass(frozen=True, slots=True, eq=False)
class FittedReward:
    """A fitted reward, and the run that judged it."""

    result: "RunResult"
    files: tuple[FittedFile, FittedFile]
    """On all checkpoints, and the sparse one."""

    def save(
        self, out: Path, add_reports: Callable[[Path], object] = lambda _: None, *, overwrite: bool = False
    ) -> Path:
        """Write run directory, fitted.yaml and fitted-sparse.yaml, whole or not at all. Raises UserError."""
        return self.result.save(out, add_reports, overwrite=overwrite)


def fit(
    *,
    family: str | None = None,
    models: Sequence[str] = (),
    task: str | Task | None = None,
    conditionings: Sequence[str] = ("identity",),
    registry: Sequence[Path] = (),
    options: Options | None = None,
    asked: Callable[[Mapping[str, Any]], object] = lambda _: None,
) -> FittedReward:
    """Fit a linear combination of checkpoints' log-probabilities to the labels of a task.

    Args:
        family, models: which checkpoints, as in `evaluate_grid`.
        task: a benchmark's name, a file, a hub dataset, or a task with labels; None takes the family's default.
        conditionings: what each is asked under: "identity", "empty", "criteria:DOMAIN".
        registry: registry files merged over the built-in one.
        options: how to run.
        asked: is told what run.json will say of the question before anything is scored, and may raise.

    Raises UserError for everything that the caller can mend.
    """
    started, options, known = time.monotonic(), options or Options(), load_registry(registry)
    comparison = _comparison(grid_of(family, models, False, known, registry))
    question = _labelled(ask(task, ("vanilla",), [comparison], known, replace(options, limit=None)), options)
    terms = [
        (checkpoint.name, read_conditioning(text, question.criteria))
        for text in dict.fromkeys(conditionings)
        for checkpoint in comparison.checkpoints
    ]
    under = list(dict.fromkeys(str(term) for _, term in terms))
    whole = {**asked_of("fit", question, [comparison], known, options), "conditionings": under}
    asked(whole)
    from .executors import open_executor
    from .session import open_session
    from .tables.fit_tables import fit_result, fitted_files
    from .tables.judged_fit import Fitting

    about = term_question(question, [asked for _, asked in terms])
    with open_executor(options) as executor:
        session = open_session(about, [comparison], known, options, executor)
        table, scored = scored_terms(session, terms)
    fitting = Fitting(question, table, scored, session, options, whole)
    result, files = fit_result(fitting, time.monotonic() - started), fitted_files(fitting)
    texts = {f"{file.name}.yaml": file.text() for file in files}
    return FittedReward(replace(result, files=texts), files)


def _comparison(found: Sequence[Comparison]) -> Comparison:
    if len(found) > 1:
        names = ", ".join(c.family.name for c in found if c.family is not None)
        raise UserError(f"A reward is fitted to the checkpoints of one family: pass --family with one of {names}.")
    return found[0]


def _labelled(question: Question, options: Options) -> Question:
    """The question about the labelled items alone, `--limit` of them drawn. Raises UserError."""
    useful = np.flatnonzero(~without_comparison(responses_of(question.task.items))).tolist()
    whole = replace(question.task, items=Items(question.task.items[place] for place in useful))
    task = limited(whole, options.limit, options.seed)
    if len(task.items) < LEAST_LABELS:
        raise UserError(
            f"{len(task.items):,} items of {task.name} have a response that is labelled better than another, and a fit "
            f"takes {LEAST_LABELS}: label more, or {WITHOUT}."
        )
    if len(task.items) > MOST_LABELS:
        raise UserError(f"{len(task.items):,} labels are more than a fit can use: pass --limit {MOST_LABELS}.")
    problems = len(set(task.items.clusters))
    if problems < FOLDS:
        raise UserError(
            f"The labelled items of {task.name} are about {problems} problems, and a fit is judged on others than it "
            f"has seen, which takes {FOLDS}: label items of more problems, or {WITHOUT}."
        )
    return replace(question, task=task)
