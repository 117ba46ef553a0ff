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

if TYPE_CHECKING:
    from ...reports.run_format.results import RunResult
    from ..running.cost import RunCost

INCOMPLETE = 3
"""Exit code of a run in which some checkpoint gave log-probabilities that are not finite."""


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
        if (self.strong is None) != (self.weak is None) or (self.strong is not None and (self.family or self.models)):
            raise UserError("Pass --strong and --weak for a pair, or --family or --models (or nothing) for a grid.")
        if self.strong is not None and self.weak is not None:
            return pair_of(self.strong, self.weak, registry)
        return grid_of(self.family, split(self.models), self.include_self, registry, files)

    @property
    def folder(self) -> Path:
        """Where its run goes unless told otherwise."""
        if self.strong is not None:
            return Path("runs") / f"pair-{_stem(self.strong)}-over-{_stem(self.weak or '')}"
        return Path("runs") / f"grid-{_stem(self.family or (self.models and 'models') or 'default')}"


def _annotator_options(command: Command) -> Command:
    """Reward heads beside the pairs; they reach the command among the run's options."""
    allow = click.option("--allow-overlap", is_flag=True, help="Let annotators judge prompts they were trained on.")
    return click.option(
        "--annotator", "annotators", type=FILE, multiple=True, metavar="DIR", help="A reward head to compare with."
    )(allow(command))


@click.command()
@click.option("--strong", required=True, metavar="X", help="Registry name, hub id or local folder.")
@click.option("--weak", required=True, metavar="Y", help="Registry name, hub id or local folder.")
@click.option("--variants", default="all", show_default=True, metavar="A,B,...", help="See `cdr-eval variants`.")
@_annotator_options
@output_options
@run_options
def pair(strong: str, weak: str, variants: str, run: Run, output: Output) -> None:
    """Every reward variant of one pair of checkpoints, on RewardBench or your own preference data."""
    _evaluate(Selection(strong=strong, weak=weak), variants, run, output)


@click.command()
@click.option("--family", metavar="NAME", help="Every ordered pair of this family.")
@click.option("--models", metavar="A,B,...", help="Every ordered pair of these checkpoints.")
@click.option("--no-self", is_flag=True, help="Leave out the pairs of a checkpoint with itself.")
@click.option("--variants", default="vanilla", show_default=True, metavar="A,B,...", help="See `cdr-eval variants`.")
@_annotator_options
@output_options
@run_options
def grid(family: str | None, models: str | None, no_self: bool, variants: str, run: Run, output: Output) -> None:
    """Every pair of a registry, and whether the alignment gap predicts reward accuracy.

    Without --family, --models or --registry: the minilab's checkpoints, which need no download.
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
    questions = [ask(task, asked, comparisons, known, run.options) for task in run.tasks]
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
    from ..evaluate import evaluate_tasks, score_shard

    if output.shard:
        index, count = output.shard
        names = score_shard(comparisons, run.tasks, split(variants), known, run.options, output.shard)
        click.echo(
            f"Shard {index}/{count} is scored ({', '.join(names) or 'no checkpoint'}); "
            "run the same command without --shard once all shards are to get the report."
        )
        return
    from ...reports.run_format.results import check_out

    out = output.out or selection.folder
    if len(run.tasks) == 1:
        check_out(out)
    elif (out / "run.json").exists():
        raise UserError(f"{out} holds the run of one task; pass another folder with --out.")
    results = evaluate_tasks(selection.kind, comparisons, run.tasks, split(variants), known, run.options)
    if len(results) == 1:
        _finish(results[0], out, output)
    else:
        _finish_several(results, out, output)


def _finish(result: "RunResult", out: Path, output: Output) -> None:
    """Write the run directory and its reports, and print what the user asked to see."""
    from ...reports.summary import summary
    from ...reports.write import write_reports

    result.save(out, write_reports)
    if output.as_json:
        accuracy = json.loads(result.accuracy.to_json(orient="records"))
        click.echo(json.dumps({"out": str(out), "run": result.run, "accuracy": accuracy}))
    elif output.quiet:
        click.echo(out)
    else:
        click.echo(summary(out))
        click.echo(f"All of it, with figures: {out / 'leaderboard.md'}, or {out / 'report.html'} in a browser.")
    if result.incomplete:
        click.echo("Error: some log-probabilities are not finite; see the notes.", err=True)
        sys.exit(INCOMPLETE)


def _finish_several(results: "Sequence[RunResult]", out: Path, output: Output) -> None:
    """The same for several tasks: a run directory each in `out`, and one leaderboard over them."""
    from ...reports.overview import overview, write_overview
    from ...reports.run_format.results import check_out
    from ...reports.write import write_reports

    folders = [out / _stem(result.run["task"]["name"]) for result in results]
    for folder in folders:
        check_out(folder)
    for result, folder in zip(results, folders, strict=True):
        result.save(folder, write_reports)
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
        click.echo(overview(folders))
        click.echo(
            f"All of it: {out / 'leaderboard.md'}, and a folder with report and figures for each task beside it."
        )
    if any(result.incomplete for result in results):
        click.echo("Error: some log-probabilities are not finite; see the notes.", err=True)
        sys.exit(INCOMPLETE)


def _stem(name: str) -> str:
    return "".join(c if c.isalnum() or c in "-_." else "-" for c in Path(name).name)[:80]
