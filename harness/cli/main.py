"""The command line: parse, call, print."""

import json
import signal
import sys
from dataclasses import asdict
from importlib import import_module
from pathlib import Path
from typing import Any, NoReturn

import click

from ...errors import UserError
from ..options import Options
from .catalog import print_cost
from .options import FILE, debug_option, options_of, output_options, run_options, split

_ELSEWHERE = {
    "annotator": ("tune", "annotator"),
    "models": ("models", "models"),
    "minilab": ("minilab", "minilab"),
    "sample": ("sample", "sample"),
    "store": ("store", "store"),
    "tune": ("tune", "tune"),
    "tasks": ("catalog", "tasks"),
    "variants": ("catalog", "variants"),
}
INCOMPLETE = 3
"""Exit code of a run in which some checkpoint gave log-probabilities that are not finite."""


class _Commands(click.Group):
    """Commands of other modules are imported when they are called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [*super().list_commands(ctx), *_ELSEWHERE]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name in _ELSEWHERE:
            module, name = _ELSEWHERE[cmd_name]
            return getattr(import_module(f".{module}", __package__), name)
        return super().get_command(ctx, cmd_name)


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="cdr-eval")
@debug_option
def cli() -> None:
    """Evaluate density-ratio rewards: log π_strong(y|x) − log π_weak(y|x), from two language models' likelihoods."""


@cli.command()
@click.option("--strong", required=True, metavar="X", help="Registry name, hub id or local folder.")
@click.option("--weak", required=True, metavar="Y", help="Registry name, hub id or local folder.")
@click.option("--variants", default="all", show_default=True, metavar="A,B,...", help="See `cdr-eval variants`.")
@run_options
@output_options
def pair(strong: str, weak: str, variants: str, task: str | None, registry: tuple[Path, ...], **settings: Any) -> None:
    """Every reward variant of one pair of checkpoints, on RewardBench or your own preference data."""
    from ...model_registry.registry import load_registry
    from ..evaluate import evaluate_pair, pair_of

    out: Path = settings["out"] or Path("runs") / f"pair-{_stem(strong)}-over-{_stem(weak)}"
    options = options_of(settings, quiet=settings["quiet"] or settings["as_json"])
    if settings["shard"]:
        known = load_registry(registry)
        _score_shard([pair_of(strong, weak, known)], task, variants, known, options, settings["shard"])
        return
    _check_out(out)
    result = evaluate_pair(strong, weak, task=task, variants=split(variants), registry=registry, options=options)
    _finish(result, out, settings)


@cli.command()
@click.option("--family", metavar="NAME", help="Every ordered pair of this family.")
@click.option("--models", metavar="A,B,...", help="Every ordered pair of these checkpoints.")
@click.option("--no-self", is_flag=True, help="Leave out the pairs of a checkpoint with itself.")
@click.option("--variants", default="vanilla", show_default=True, metavar="A,B,...", help="See `cdr-eval variants`.")
@run_options
@output_options
def grid(
    family: str | None,
    models: str | None,
    no_self: bool,
    variants: str,
    task: str | None,
    registry: tuple[Path, ...],
    **settings: Any,
) -> None:
    """Every pair of a registry, and whether the alignment gap predicts reward accuracy.

    Without --family, --models or --registry: the minilab's checkpoints, which need no download.
    """
    from ...model_registry.registry import load_registry
    from ..evaluate import evaluate_grid, grid_of

    out: Path = settings["out"] or Path("runs") / f"grid-{_stem(family or (models and 'models') or 'default')}"
    options = options_of(settings, quiet=settings["quiet"] or settings["as_json"])
    if settings["shard"]:
        known = load_registry(registry)
        comparisons = grid_of(family, split(models), not no_self, known, registry)
        _score_shard(comparisons, task, variants, known, options, settings["shard"])
        return
    _check_out(out)
    result = evaluate_grid(
        family=family,
        models=split(models),
        include_self=not no_self,
        task=task,
        variants=split(variants),
        registry=registry,
        options=options,
    )
    _finish(result, out, settings)


@cli.command()
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
    task: str | None,
    registry: tuple[Path, ...],
    **settings: Any,
) -> None:
    """What a pair or grid would cost: checkpoints, scoring passes, tokens, and what the store has."""
    if (strong is None) != (weak is None) or (strong and (family or models)):
        raise UserError("Pass --strong and --weak for a pair, or --family or --models (or nothing) for a grid.")
    from ...model_registry.registry import load_registry
    from ..evaluate import grid_of, open_session, pair_of
    from ..running.cost import run_cost

    known = load_registry(registry)
    pairs = [pair_of(strong, weak, known)] if strong and weak else grid_of(family, split(models), True, known, registry)
    asked = split(variants) or (("all",) if strong else ("vanilla",))
    cost = run_cost(open_session(pairs, task, asked, known, options_of(settings, quiet=as_json)), calibrate)
    if as_json:
        click.echo(json.dumps(asdict(cost), indent=2))
    else:
        print_cost(cost)


@cli.command()
@click.argument("run", type=FILE, required=False)
@click.option("--published", is_flag=True, help="The paper's Tables 1 and 2, and where score sources disagree.")
@debug_option
def report(run: Path | None, published: bool) -> None:
    """Rebuild leaderboard and figures of a RUN directory; no model is needed."""
    if (run is None) != published:
        raise UserError("Pass either a run directory or --published.")
    if run is None:
        from ...model_registry.registry import load_registry
        from ...reports.published import published_report

        conflicts = [
            (c.checkpoint.name, c.benchmark, [(s.value, s.source, s == c.scores[0]) for s in c.scores])
            for c in load_registry().conflicts()
        ]
        click.echo(published_report(conflicts))
        return
    from ...reports.write import write_reports

    click.echo(write_reports(run))


class _Terminated(BaseException):
    """SIGTERM: ends a run as Ctrl-C does."""


def _terminate(_signal: int, _frame: object) -> NoReturn:
    raise _Terminated


def main() -> None:
    """Run the command line; exit 0, 2 for what the user can mend, 3 for missing scores, 130 Ctrl-C, 143 SIGTERM."""
    signal.signal(signal.SIGTERM, _terminate)
    try:
        cli.main(standalone_mode=False)
    except UserError as error:
        if "--debug" in sys.argv:
            raise
        click.echo(f"Error: {error}", err=True)
        sys.exit(2)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (KeyboardInterrupt, click.Abort, _Terminated) as stop:
        click.echo("Stopped. Run the same command again to continue; every score written so far is kept.", err=True)
        sys.exit(143 if isinstance(stop, _Terminated) else 130)
    except click.exceptions.Exit as stop:
        sys.exit(stop.exit_code)


def _stem(name: str) -> str:
    return "".join(c if c.isalnum() or c in "-_." else "-" for c in Path(name).name)[:80]


def _check_out(out: Path) -> None:
    from ...reports.run_format.results import check_out

    check_out(out)


def _score_shard(
    comparisons: Any, task: str | None, variants: str, known: Any, options: Options, shard: tuple[int, int]
) -> None:
    from ..evaluate import score_shard

    names = score_shard(comparisons, task, split(variants), known, options, shard)
    index, count = shard
    click.echo(
        f"Shard {index}/{count} is scored ({', '.join(names) or 'no checkpoint'}); "
        "run the same command without --shard once all shards are to get the report."
    )


def _finish(result: Any, out: Path, settings: dict[str, Any]) -> None:
    """Write the run directory and its reports, and print what the user asked to see."""
    from ...reports.summary import summary
    from ...reports.write import write_reports

    result.save(out, write_reports)
    if settings["as_json"]:
        click.echo(
            json.dumps(
                {"out": str(out), "run": result.run, "accuracy": json.loads(result.accuracy.to_json(orient="records"))}
            )
        )
    elif settings["quiet"]:
        click.echo(out)
    else:
        click.echo(summary(out))
        click.echo(f"All of it, with figures: {out / 'leaderboard.md'}, or {out / 'report.html'} in a browser.")
    if result.incomplete:
        click.echo("Error: some log-probabilities are not finite; see the notes.", err=True)
        sys.exit(INCOMPLETE)
