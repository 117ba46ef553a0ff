"""`cdr-eval pair`, `grid` and `plan`: which checkpoints, on what, and what comes out."""

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from ...errors import UserError
from ...model_registry.registry import Registry, load_registry
from ..comparisons import Comparison, grid_of, pair_of
from .catalog import print_cost
from .options import FILE, Command, Output, Run, output_options, run_options, split
from .run_folders import stem

if TYPE_CHECKING:
    from ...reports.run_format.results import RunResult
    from ..running.cost import RunCost

INCOMPLETE = 3
"""Exit code of a run that lacks a checkpoint, log-probabilities that are finite, or any item with a score."""


@dataclass(frozen=True, slots=True)
class Selection:
    """The checkpoints that a command was given: a pair, or else a grid."""

    strong: str | None = None
    weak: str | None = None
    family: str | None = None
    models: str | None = None
    include_self: bool = True

    @property
    def kind(self) -> Literal["pair", "grid"]:
        """Which of the two it is."""
        return "grid" if self.strong is None else "pair"

    def comparisons(self, registry: Registry, files: Sequence[Path]) -> list[Comparison]:
        """What is compared. Raises UserError for a selection that is neither a pair nor a grid."""
        if self.models is not None and not split(self.models):
            raise UserError("--models is empty: name at least two checkpoints, as --models a,b.")
        is_pair, is_grid = self.strong is not None, bool(self.family or self.models)
        if (self.weak is not None and not is_pair) or (is_pair and is_grid):
            raise UserError("Pass --strong and --weak for a pair, or --family or --models (or nothing) for a grid.")
        if self.strong is not None:
            return pair_of(self.strong, self.weak, registry)
        return grid_of(self.family, split(self.models), self.include_self, registry, files)

    @property
    def name(self) -> str:
        """What its run's folder is called, but for the task."""
        if self.strong is not None:
            return f"pair-{stem(self.strong)}-over-{stem(self.weak or 'its-base')}"
        return f"grid-{stem(self.family or (self.models and 'models') or 'default')}"


_TOKENS = click.option(
    "--tokens",
    type=click.IntRange(min=0),
    default=0,
    metavar="N",
    help="Keep what each token of a response earned, for the N items that the fewest pairs get right, which with one "
    "pair are those of the lowest margin; items.html shows it.",
)


_CHECK_QUANTISED = click.option(
    "--check-quantised",
    type=click.IntRange(min=1),
    metavar="N",
    help="Score N items with the full weights too, and count the margins that change sign.",
)


def _annotator_options(command: Command) -> Command:
    """Other rewards beside the pairs; they reach the command among the run's options."""
    allow = click.option("--allow-overlap", is_flag=True, help="Let these judge prompts that they were made from.")
    reward = click.option(
        "--reward",
        "fitted",
        type=FILE,
        multiple=True,
        metavar="FILE",
        help="A fitted.yaml of `cdr-eval fit` to compare with.",
    )
    return click.option(
        "--annotator", "annotators", type=FILE, multiple=True, metavar="DIR", help="A reward head to compare with."
    )(reward(allow(command)))


@click.command()
@click.option("--strong", required=True, metavar="X", help="Registry name, hub id or local folder.")
@click.option("--weak", metavar="Y", help="The same; default, for an adapter: the checkpoint that it stands on.")
@click.option("--variants", default="all", show_default=True, metavar="A,B,...", help="See `cdr-eval variants`.")
@_TOKENS
@_CHECK_QUANTISED
@_annotator_options
@output_options
@run_options
def pair(strong: str, weak: str | None, variants: str, run: Run, output: Output) -> None:
    """Every reward variant of one pair of checkpoints, on RewardBench or your own preference data."""
    _evaluate(Selection(strong=strong, weak=weak), variants, run, output)


@click.command()
@click.option("--family", metavar="NAME", help="Every ordered pair of this family.")
@click.option("--models", metavar="A,B,...", help="Every ordered pair of these checkpoints.")
@click.option("--no-self", is_flag=True, help="Leave out the pairs of a checkpoint with itself.")
@click.option("--variants", default="vanilla", show_default=True, metavar="A,B,...", help="See `cdr-eval variants`.")
@click.option("--ignore-labels", is_flag=True, help="Estimate every accuracy from how pairs agree, beside the labels'.")
@_TOKENS
@_CHECK_QUANTISED
@_annotator_options
@output_options
@run_options
def grid(family: str | None, models: str | None, no_self: bool, variants: str, run: Run, output: Output) -> None:
    """Every pair of a registry, and whether the alignment gap predicts reward accuracy.

    Without --family, --models or --registry: the minilab's checkpoints, which need no download. On items without
    labels every pair's accuracy is estimated from how the pairs agree.
    """
    _evaluate(Selection(family=family, models=models, include_self=not no_self), variants, run, output)


@click.command()
@click.option("--strong", metavar="X", help="Plan a pair: its strong checkpoint.")
@click.option("--weak", metavar="Y", help="Plan a pair: its weak checkpoint.")
@click.option("--family", metavar="NAME", help="Plan a grid: this family.")
@click.option("--models", metavar="A,B,...", help="Plan a grid: these checkpoints.")
@click.option("--variants", metavar="A,B,...", help="Default: all for a pair, vanilla for a grid.")
@click.option("--time", "calibrate", is_flag=True, help="Score for a few seconds and predict the time it takes.")
@click.option("--json", "as_json", is_flag=True, help="Print the costs as JSON.")
@run_options
def plan(
    strong: str | None,
    weak: str | None,
    family: str | None,
    models: str | None,
    variants: str | None,
    calibrate: bool,
    as_json: bool,
    run: Run,
) -> None:
    """What a pair or grid would cost: checkpoints, scoring passes, tokens, and what the store has."""
    selection, known = Selection(strong, weak, family, models), load_registry(run.registry)
    comparisons = selection.comparisons(known, run.registry)
    from ..question import ask

    asked = split(variants) or (("all",) if selection.kind == "pair" else ("vanilla",))
    labelled = selection.kind == "pair"
    questions = [ask(task, asked, comparisons, known, run.options, labelled=labelled) for task in run.tasks]
    from ..running.cost import Costing
    from ..session import open_session

    costs: list[RunCost] = []
    for question in questions:
        session = open_session(question, comparisons, known, run.options)
        costs.append(Costing(session.planner, session.runner, calibrate).run_cost(session.groups, session.router))
    if as_json:
        found = [asdict(cost) for cost in costs]
        click.echo(json.dumps(found[0] if len(found) == 1 else found, indent=2))
        return
    for question, cost in zip(questions, costs, strict=True):
        if len(costs) > 1:
            click.echo(f"{question.task.name}:")
        print_cost(cost)


def _evaluate(selection: Selection, variants: str, run: Run, output: Output) -> None:
    known = load_registry(run.registry)
    comparisons = selection.comparisons(known, run.registry)
    from ..evaluate import ask_tasks, evaluate_questions, score_shard

    if output.shard:
        index, count = output.shard
        names, left_out = score_shard(
            selection.kind, comparisons, run.tasks, split(variants), known, run.options, output.shard
        )
        click.echo(
            f"Shard {index}/{count} is scored ({', '.join(names) or 'no checkpoint'}); "
            "run the same command without --shard once all shards are to get the report."
        )
        for name, why in left_out.items():
            click.echo(f"Error: {name} was left out: {why}", err=True)
        if left_out:
            sys.exit(INCOMPLETE)
        return
    from .run_folders import run_folders

    kind, options = selection.kind, run.options
    asked = split(variants)
    questions = ask_tasks(run.tasks, asked, comparisons, known, options, labelled=kind == "pair")
    out, folders = run_folders(
        kind, selection.name, comparisons, questions, known, options, output.out, output.overwrite
    )
    results = evaluate_questions(kind, comparisons, questions, known, options)
    if len(results) == 1:
        _finish(results[0], out, output)
    else:
        _finish_several(results, out, folders, output)
    end_incomplete(results)


def _finish(result: "RunResult", out: Path, output: Output) -> None:
    """Write the run directory and its reports, and print what the user asked to see."""
    from ...reports.write import write_reports

    result.save(out, write_reports, overwrite=output.overwrite)
    items = out / "items.html"  # which a run on items without labels does not have
    show(result, out, output, all_of_it(out), *([f"Its items, to filter and read: {items}."] if items.exists() else []))


def all_of_it(out: Path) -> str:
    """Where a run's reports are."""
    return f"All of it, with figures: {out / 'leaderboard.md'}, or {out / 'report.html'} in a browser."


def show(result: "RunResult", out: Path, output: Output, *lines: str) -> None:
    """Print a run that was written to `out` as the user asked: as JSON, its folder alone, or a summary and `lines`."""
    from ...reports.summary import summary
    from ...reports.terminal import print_document

    if output.as_json:
        accuracy = json.loads(result.accuracy.to_json(orient="records"))
        click.echo(json.dumps({"out": str(out), "run": result.run, "accuracy": accuracy}))
    elif output.quiet:
        click.echo(out)
    else:
        print_document(summary(out))
        for line in lines:
            click.echo(line)


def _finish_several(results: "Sequence[RunResult]", out: Path, folders: Sequence[Path], output: Output) -> None:
    """The same for several tasks: a run directory each in `out`, and one leaderboard over them."""
    from ...reports.overview import overview, write_overview
    from ...reports.terminal import print_document
    from ...reports.write import write_reports

    for result, folder in zip(results, folders, strict=True):
        result.save(folder, write_reports, overwrite=output.overwrite)
    write_overview(folders, out)
    if output.as_json:
        runs = [
            {"out": str(folder), "run": result.run, "accuracy": json.loads(result.accuracy.to_json(orient="records"))}
            for result, folder in zip(results, folders, strict=True)
        ]
        click.echo(json.dumps({"out": str(out), "runs": runs}))
    elif output.quiet:
        click.echo(out)
    else:
        print_document(overview(folders))
        click.echo(
            f"All of it: {out / 'leaderboard.md'}, and a folder with report and figures for each task beside it."
        )


def end_incomplete(results: "Sequence[RunResult]") -> None:
    """Exit 3, with a sentence, where a run has no answer to what was asked."""
    if any(result.incomplete for result in results):
        click.echo("Error: some checkpoints or log-probabilities are missing; see the notes.", err=True)
        sys.exit(INCOMPLETE)
    if any(result.unscored for result in results):
        click.echo("Error: a reward could not be had for any item; see the notes.", err=True)
        sys.exit(INCOMPLETE)
