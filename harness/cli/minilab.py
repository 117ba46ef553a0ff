"""`cdr-eval minilab`: train the minilab's family from scratch, and measure checkpoints with the world's judge."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from ...model_registry.checkpoint_files import find_checkpoint, localise
from ...model_registry.registry import load_registry

if TYPE_CHECKING:
    from ..minilab.benchmark import Judgement


@click.group()
def minilab() -> None:
    """The study in miniature: a synthetic world, its judge, and a family of small checkpoints."""


@minilab.command()
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    required=True,
    metavar="DIR",
    help="Folder to write; an interrupted build goes on.",
)
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of weights, data, samples and order.")
def build(out: Path, seed: int) -> None:
    """Train the family from scratch (15 to 25 minutes of one core) and measure it."""
    from ..minilab.build import build as build_family

    _print(build_family(out, seed), "minilab-sft")
    click.echo(f"Run the grid on it with: cdr-eval grid --registry {out / 'minilab.yaml'}")


@minilab.command()
@click.argument("models", nargs=-1, required=True, metavar="MODEL...")
@click.option(
    "--against", default="minilab-sft", show_default=True, metavar="MODEL", help="The checkpoint whose answers to beat."
)
def judge(models: tuple[str, ...], against: str) -> None:
    """Measure checkpoints (registry names or folders) with the world's judge on held-out prompts."""
    registry = load_registry()
    checkpoints = {name: find_checkpoint(name, registry) for name in (against, *models)}
    from ..minilab.benchmark import baseline_outcomes, benchmark_prompts
    from ..minilab.benchmark import judge as judge_folder
    from ..minilab.recipe import SHIPPED
    from ..minilab.threads import one_thread

    folders = {name: localise(checkpoint).path for name, checkpoint in checkpoints.items()}
    prompts = benchmark_prompts(SHIPPED.benchmark_prompts)
    with one_thread():
        baseline = baseline_outcomes(folders[against], prompts)
        judgements = {name: judge_folder(folders[name], baseline, prompts) for name in models}
    _print(judgements, against)


def _print(judgements: "Mapping[str, Judgement]", against: str) -> None:
    """One row a checkpoint: win rates with intervals, and the good share of each section."""
    first = next(iter(judgements.values()))
    title = (
        f"Win rate against {against}'s greedy answers on {first.prompts} held-out prompts (%, 95% interval), and good "
        "greedy answers by section (%)"
    )
    table = Table(title=title, box=SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    table.add_column("checkpoint", no_wrap=True)
    for heading in ("greedy", "sampled"):
        table.add_column(heading, min_width=len("(39.7–44.7)"))
    for heading in first.good:
        table.add_column(heading.replace(" ", "\n"))
    for name, judgement in judgements.items():
        rates = (
            f"{rate.value:.1f} ({rate.ci_low:.1f}–{rate.ci_high:.1f})" for rate in (judgement.greedy, judgement.sampled)
        )
        table.add_row(name, *rates, *(f"{share:.0f}" for share in judgement.good.values()))
    Console().print(table)
