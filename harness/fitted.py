"""Fitted rewards beside the checkpoints of a run: checked before anything is loaded, then a row of rewards each."""

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import UserError
from ..model_registry.checkpoint_files import find_checkpoint
from ..model_registry.registry import Registry
from ..model_registry.schema import Checkpoint
from ..reports.run_format.run_info import FITTED
from ..tasks.conditioning import Conditioning
from .fitted_file import FittedFile, FittedTerm, read_conditioning, read_fitted
from .options import Options
from .question import Question, criteria_hash
from .statistics.arrays import Floats
from .term_scores import each_alone, scored_terms, term_question

if TYPE_CHECKING:
    from .running.scoring_run import GroupScores
    from .running.work_units import Executor
    from .session import Session


@dataclass(frozen=True, slots=True)
class FittedRow:
    """A fitted reward that may judge the items of a run."""

    path: Path
    file: FittedFile
    checkpoints: tuple[Checkpoint, ...]
    terms: tuple[tuple[str, Conditioning], ...]
    """(K,) in the file's order, by the checkpoints' names here."""
    question: Question
    info: dict[str, Any]
    """As run.json has it."""
    notes: tuple[str, ...]

    @property
    def label(self) -> tuple[str, str, str]:
        """What stands for strong, weak and variant in tables."""
        return self.file.name, "", FITTED

    def rewards(
        self, registry: Registry, options: Options, executor: "Callable[[], Executor]"
    ) -> "tuple[Floats, Session, list[GroupScores]]":
        """Logits (R,) of the responses: their differences within an item are log-odds of preference.

        Scores what the store lacks. Raises UserError where the checkpoints cannot be compared, or are others than
        those that it was fitted with.
        """
        from .session import open_session

        family = registry.common_family(self.checkpoints)
        session = open_session(self.question, [each_alone(self.checkpoints, family)], registry, options, executor)
        weights = {member.local.name: member.local.weights for group in session.groups for member in group.members}
        for (name, _), term in zip(self.terms, self.file.terms, strict=True):
            if weights[name] != term.weights:
                raise UserError(
                    f"{self.path} was fitted with other weights of {name} than those that it names now: fit again, or "
                    "pass the registry that it was fitted with."
                )
        found, scored = scored_terms(session, self.terms)
        return np.array([term.coefficient for term in self.file.terms]) @ found.scores, session, scored


def open_fitted(
    paths: Sequence[Path], question: Question, registry: Registry, options: Options, names: Collection[str] = ()
) -> list[FittedRow]:
    """The fitted rewards of some files; `names` are those of the run's checkpoints and annotators.

    Raises UserError for a file of another version, a checkpoint that the registry lacks, a name that is taken, and
    items whose labels it was fitted on.
    """
    rows: list[FittedRow] = []
    for path in paths:
        row = _opened(path, read_fitted(path), question, registry, options)
        if row.file.name in {*names, *(other.file.name for other in rows)}:
            raise UserError(f"{path} has the name of another reward of this run, {row.file.name}: change its `name`.")
        rows.append(row)
    return rows


def fitted_rewards(
    rows: Sequence[FittedRow], registry: Registry, options: Options, executor: "Callable[[], Executor]"
) -> "tuple[list[Floats], list[str]]":
    """Rewards (R,) of each, and notes on them."""
    return [row.rewards(registry, options, executor)[0] for row in rows], [note for row in rows for note in row.notes]


def _opened(path: Path, file: FittedFile, question: Question, registry: Registry, options: Options) -> FittedRow:
    if file.mean_per_token != options.mean:
        means = "means per token: pass --mean" if file.mean_per_token else "sums over tokens: leave --mean out"
        raise UserError(f"{path} was fitted to {means}.")
    conditionings = [read_conditioning(term.conditioning, question.criteria) for term in file.terms]
    if file.criteria and file.criteria != criteria_hash(question):
        raise UserError(f"{path} was fitted under other criteria: pass the same file with --criteria.")
    checkpoints = {term.checkpoint: _checkpoint(path, term.checkpoint, term.model, registry) for term in file.terms}
    overlap, notes = _overlap(path, file, question, allow=options.allow_overlap)
    return FittedRow(
        path,
        file,
        tuple({checkpoint.name: checkpoint for checkpoint in checkpoints.values()}.values()),
        tuple((checkpoints[term.checkpoint].name, c) for term, c in zip(file.terms, conditionings, strict=True)),
        term_question(question, conditionings),
        {
            "name": file.name,
            "told": file.told,
            "checkpoints": list(file.checkpoints),
            "labels": file.labels,
            "overlap": overlap,
        },
        notes,
    )


def fitted_terms(
    scored: "Sequence[GroupScores]", coefficients: Iterable[tuple[tuple[str, Conditioning], float]]
) -> tuple[FittedTerm, ...]:
    """The terms of a file, of coefficients by checkpoint and conditioning; those that are 0 are left out."""
    member = {m.local.name: m.local for group in scored for m in group.group.members}
    return tuple(
        FittedTerm(
            checkpoint=name,
            model=member[name].checkpoint.model,
            weights=member[name].weights,
            conditioning=str(asked),
            coefficient=coefficient,
        )
        for (name, asked), coefficient in coefficients
        if coefficient != 0
    )


def _checkpoint(path: Path, name: str, model: str, registry: Registry) -> Checkpoint:
    known = registry.lookup(name) or registry.lookup(model)
    if known is not None:
        return known
    if Path(model).is_dir():
        return find_checkpoint(model, registry)
    raise UserError(
        f"{path} takes the checkpoint {name}, which the registry lacks: pass the registry file that has it with "
        "--registry."
    )


def _overlap(path: Path, file: FittedFile, question: Question, *, allow: bool) -> tuple[int, tuple[str, ...]]:
    """How many items gave it a label, with a note; UserError unless that is allowed."""
    count = int(file.seen(question.task).sum())
    if not count:
        return 0, ()
    told = f"{count:,} of {len(question.task.items):,} items are among those that {path} was fitted on"
    if not allow:
        raise UserError(
            f"{told}, and labels used to fit it do not judge it: take other items, or pass --allow-overlap."
        )
    return count, (f"{told} (--allow-overlap): its accuracy here is flattered.",)
