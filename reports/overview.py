"""Runs of the same rewards on several tasks: one leaderboard with a column for each task."""

from collections.abc import Sequence
from pathlib import Path
from statistics import fmean

from ..errors import UserError
from .common_sections import reward_name
from .document import Bullets, Document, Paragraph, Section
from .formatting import plural
from .markdown import render_markdown
from .run_format.reading import Run, read_run
from .run_format.tables import AccuracyRow
from .scores import Line, Reward, Scope, Scores, collect_scores, score_table


def overview(folders: Sequence[Path]) -> Document:
    """The leaderboard. Raises UserError as `read_run`."""
    runs = [read_run(folder) for folder in folders]
    scores = _overall_scores(runs)
    lines = [Line((reward_name(reward),), reward) for reward in _ranked(scores) if reward[0] != reward[1]]
    baselines = [Line((variant,), (strong, weak, variant)) for strong, weak, variant in scores.baselines]
    text = (
        f"Overall accuracy on {plural(len(runs), 'task')}, in per cent with 95% intervals; what overall is on "
        "a task, and what its rule and chance are, its own report says. Ranked by the plain mean over the tasks."
    )
    table = score_table(scores, [*lines, *baselines], scores.sections, ("Reward",))
    links = [
        f"{run.info.task.name}: {plural(run.info.task.items, 'item')}, {plural(len(run.info.notes), 'note')}, "
        f"{folder.name}/leaderboard.md"
        for run, folder in zip(runs, folders, strict=True)
    ]
    sections = (Section("Leaderboard", (Paragraph(text), table)), Section("Reports", (Bullets(tuple(links)),)))
    return Document(f"{plural(len(lines), 'reward')} on {plural(len(runs), 'task')}", sections)


def write_overview(folders: Sequence[Path], out: Path) -> None:
    """Write the leaderboard to `out`/leaderboard.md. Raises UserError where that is not possible."""
    try:
        (out / "leaderboard.md").write_text(render_markdown(overview(folders)), encoding="utf-8", newline="\n")
    except OSError as error:
        raise UserError(f"{out} cannot be written to ({error.strerror}): make the folder writable.") from error


def _overall_scores(runs: Sequence[Run]) -> Scores:
    """The overall accuracies of all runs, each as a column of its task."""
    columns: list[Scope] = [("task", run.info.task.name) for run in runs]
    by_reward: dict[Reward, dict[Scope, AccuracyRow]] = {}
    baselines: dict[Reward, None] = {}
    for run, column in zip(runs, columns, strict=True):
        scores = collect_scores(run)
        baselines |= dict.fromkeys(scores.baselines)
        for reward in (*scores.rewards, *scores.baselines):
            row = scores.row(reward, scores.overall)
            if row is not None:
                by_reward.setdefault(reward, {})[column] = row
    rewards = tuple(reward for reward in by_reward if reward not in baselines)
    return Scores(rewards, tuple(baselines), by_reward, tuple(columns), ())


def _ranked(scores: Scores) -> list[Reward]:
    """By the mean accuracy over the tasks, the highest first; what lacks one comes last."""

    def mean(reward: Reward) -> float:
        rows = [scores.row(reward, column) for column in scores.sections]
        values = [row.accuracy for row in rows if row is not None and row.accuracy is not None]
        return fmean(values) if len(values) == len(rows) else -1.0

    return sorted(scores.rewards, key=mean, reverse=True)
