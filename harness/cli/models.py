"""`cdr-eval models`: what checkpoints and families there are, with their scores; importing scores."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ...errors import UserError
from ...model_registry.checks import check
from ...model_registry.registry import Conflict, Registry, load_registry
from ...model_registry.schema import BenchmarkScore, Checkpoint
from ...model_registry.score_import import FORMATS, match_scores, read_scores, registry_text

PIPED_WIDTH = 1000
"""Columns where the output is no terminal: nothing is wrapped, so that lines can be searched."""

HEADINGS = {"arena_hard": "ArenaHard", "alpaca_eval_2_lc": "AE2 LC", "alpaca_eval_2_wr": "AE2 WR"}

REGISTRY_OPTION = click.option(
    "--registry",
    "registry_files",
    type=click.Path(path_type=Path),
    multiple=True,
    metavar="FILE",
    help="YAML file merged over the built-in registry; may be repeated.",
)


class _Models(click.Group):
    """Lists checkpoints; a name is taken for that of one of them, and not for a command's."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Raises UserError for what is no command."""
        if args[0] not in self.commands:
            raise UserError(
                f"`cdr-eval models` takes no name, and {args[0]!r} is none of its commands "
                f"({', '.join(self.commands)}): it lists all checkpoints, or those of --family NAME."
            )
        return super().resolve_command(ctx, args)


@click.group(cls=_Models, invoke_without_command=True)
@REGISTRY_OPTION
@click.option("--family", metavar="NAME", help="Only the members of this family.")
@click.option("--score-source", metavar="KEY", help="Show scores from this source and no other.")
@click.option(
    "--json",
    "as_json",
    is_flag=True,
    help="Print everything as JSON; the scores used are those of --family, or of the first family that each is in.",
)
@click.option("--check", "only_check", is_flag=True, help="Only validate; exit code 2 where there are problems.")
@click.pass_context
def models(
    context: click.Context,
    registry_files: tuple[Path, ...],
    family: str | None,
    score_source: str | None,
    as_json: bool,
    only_check: bool,
) -> None:
    """List the checkpoints of the registry by family, with their benchmark scores."""
    if context.invoked_subcommand is not None:
        if registry_files or family or score_source or as_json or only_check:
            raise click.UsageError(f"Put options after {context.invoked_subcommand!r}.")
        return
    registry = load_registry(registry_files)
    if only_check:
        _report_problems(context, registry)
    elif as_json:
        click.echo(json.dumps(_as_json(registry, family, score_source), indent=2, ensure_ascii=False))
    else:
        _print_tables(registry, family, score_source)


@models.command("import")
@click.argument("table", type=click.Path(path_type=Path))
@click.option("--format", "file_format", type=click.Choice(list(FORMATS)), required=True)
@click.option("--out", type=click.Path(path_type=Path), required=True, help="YAML file to write.")
@click.option(
    "--name",
    "mappings",
    multiple=True,
    metavar="LISTED=CHECKPOINT",
    help="The table's model LISTED is this CHECKPOINT of the registry; may be repeated.",
)
@REGISTRY_OPTION
def import_scores(
    table: Path, file_format: str, out: Path, mappings: tuple[str, ...], registry_files: tuple[Path, ...]
) -> None:
    """Turn the scores of TABLE into a registry file for --registry.

    TABLE is an AlpacaEval 2 leaderboard (CSV) or an Arena-Hard result table (CSV, or as its script prints it).
    """
    if out.exists():
        raise UserError(f"{out} is there already; choose another file for --out.")
    registry = load_registry(registry_files)
    names = dict(_split_mapping(mapping) for mapping in mappings)
    matched, unmatched = match_scores(read_scores(table, file_format), registry, names)
    if unmatched:
        click.echo(f"Not in the registry, left out: {', '.join(unmatched)}", err=True)
    if not matched:
        raise UserError(
            f"No model of {table} is a checkpoint of the registry; say which is which with --name LISTED=CHECKPOINT."
        )
    text = registry_text(table, file_format, matched)
    try:
        out.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UserError(f"{out} cannot be written ({error.strerror}).") from None
    n_scores = sum(len(scores) for scores in matched.values())
    click.echo(f"{n_scores} scores of {len(matched)} checkpoints in {out}: pass it as --registry {out}")


def _split_mapping(mapping: str) -> tuple[str, str]:
    listed, separator, checkpoint = mapping.rpartition("=")
    if not separator or not listed or not checkpoint:
        raise UserError(f"--name {mapping!r} is not of the form LISTED=CHECKPOINT.")
    return listed, checkpoint


def _report_problems(context: click.Context, registry: Registry) -> None:
    problems = check(registry)
    for problem in problems:
        click.echo(problem, err=True)
    if problems:
        context.exit(2)
    n_scores = sum(len(c.scores) for c in registry.checkpoints.values())
    click.echo(
        f"No problems in {len(registry.checkpoints)} checkpoints, {len(registry.families)} families, "
        f"{n_scores} scores; {len(registry.conflicts())} disagreements between sources."
    )


def _as_json(registry: Registry, family: str | None, source: str | None) -> dict[str, object]:
    shown = registry.checkpoints.values() if family is None else registry.members(family)
    families = registry.families.values() if family is None else [registry.family(family)]
    return {
        "checkpoints": [
            checkpoint.model_dump()
            | {
                "families": [f.name for f in registry.families_of(checkpoint.name)],
                "scores_used": {
                    benchmark: score.model_dump()
                    for benchmark, score in _used(registry, checkpoint, family, source).items()
                },
            }
            for checkpoint in shown
        ],
        "families": [f.model_dump() for f in families],
        "sources": {key: value.model_dump() for key, value in registry.sources.items()},
        "score_preference": registry.score_preference,
        "conflicts": [
            {
                "checkpoint": conflict.checkpoint.name,
                "benchmark": conflict.benchmark,
                "scores": [score.model_dump() for score in conflict.scores],
            }
            for conflict in registry.conflicts()
            if conflict.checkpoint in shown
        ],
    }


def _used(
    registry: Registry, checkpoint: Checkpoint, family: str | None, source: str | None
) -> dict[str, BenchmarkScore]:
    """The scores that a grid of the family uses; without one, of the first that the checkpoint is a member of."""
    found = registry.families_of(checkpoint.name) if family is None else (registry.family(family),)
    return registry.used_scores(checkpoint.name, source, found[0].members if found else ())


def _print_tables(registry: Registry, family: str | None, source: str | None) -> None:
    console = Console(highlight=False, markup=False, emoji=False)
    if not console.is_terminal:
        console.width = PIPED_WIDTH
    families = [*registry.families.values()] if family is None else [registry.family(family)]
    groups = [(f"{f.name}: {f.description}", registry.members(f.name), f.name) for f in families]
    if family is None:
        loose = tuple(c for c in registry.checkpoints.values() if not registry.families_of(c.name))
        groups += [("In no family", loose, None)] if loose else []
    shown = list({c.name: c for _, members, _ in groups for c in members}.values())
    conflicts = [c for c in registry.conflicts() if c.checkpoint in shown]
    letters = _source_letters(registry, shown)
    name_width = max((len(c.name) for c in shown), default=0)
    for title, members, name in groups:
        n = len(members)
        console.print(Text(f"{title} ({n} checkpoints, {n * n} ordered pairs)", style="bold"))
        used = {c.name: _used(registry, c, name, source) for c in members}
        console.print(_table(registry, members, used, conflicts, letters, name_width))
        console.print()
    _print_legend(console, registry, shown, conflicts, letters)


def _source_letters(registry: Registry, shown: Sequence[Checkpoint]) -> dict[str, str]:
    """A letter for each source with a shown score, in order of preference."""
    used = {score.source for checkpoint in shown for score in checkpoint.scores}
    ranked = dict.fromkeys([*registry.score_preference, *registry.sources, *sorted(used)])
    return {key: _letter(rank) for rank, key in enumerate(key for key in ranked if key in used)}


def _letter(rank: int) -> str:
    return chr(ord("a") + rank) if rank < 26 else f"z{rank}"


def _table(
    registry: Registry,
    members: Sequence[Checkpoint],
    used: Mapping[str, Mapping[str, BenchmarkScore]],
    conflicts: Sequence[Conflict],
    letters: dict[str, str],
    name_width: int,
) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("checkpoint", min_width=name_width, overflow="fold")
    table.add_column("stage", min_width=len("preference"))
    table.add_column("objective", min_width=len("objective"))
    scored = registry.benchmarks(members)
    benchmarks = [b for b in HEADINGS if b in scored] + [b for b in scored if b not in HEADINGS]
    for benchmark in benchmarks:
        table.add_column(_heading(benchmark), justify="right", overflow="fold")
    disagreeing = {(c.checkpoint.name, c.benchmark) for c in conflicts}
    for checkpoint in members:
        cells: list[str] = []
        for benchmark in benchmarks:
            score = used[checkpoint.name].get(benchmark)
            conflict = (checkpoint.name, benchmark) in disagreeing
            cells.append(_score_cell(score, conflict, letters))
        table.add_row(checkpoint.name, checkpoint.stage, checkpoint.objective or "-", *cells)
    return table


def _score_cell(score: BenchmarkScore | None, conflict: bool, letters: dict[str, str]) -> str:
    if score is None:
        return "-"
    mark = "!" if conflict else "*" if score.note else ""
    return f"{mark}{score.value:.1f} {letters[score.source]}"


def _print_legend(
    console: Console,
    registry: Registry,
    shown: Sequence[Checkpoint],
    conflicts: Sequence[Conflict],
    letters: dict[str, str],
) -> None:
    console.print(
        "Scores in per cent, from the most preferred source that scores all of a family but base models, or else the "
        "most preferred of each checkpoint, unless --score-source names another:"
    )
    for key, letter in letters.items():
        title = registry.sources[key].title if key in registry.sources else "not among the sources"
        console.print(f"  {letter}  {key}: {title}")
    for conflict in conflicts:
        values = ", ".join(f"{score.value:.1f} {score.source}" for score in conflict.scores)
        console.print(f"  !  {conflict.checkpoint.name}, {_heading(conflict.benchmark)}: {values}")
    for checkpoint in shown:
        for score in checkpoint.scores:
            if score.note:
                what = f"{checkpoint.name}, {_heading(score.benchmark)} {score.value:.1f} {score.source}"
                console.print(f"  *  {what}: {score.note}")


def _heading(benchmark: str) -> str:
    return HEADINGS.get(benchmark, benchmark)
