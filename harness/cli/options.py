"""Click options that several commands share, handed on as typed settings."""

import os
from collections.abc import Callable, Collection
from dataclasses import dataclass, fields
from functools import wraps
from pathlib import Path
from typing import Any, TypeVar

import click
from click.core import ParameterSource

from ...errors import UserError
from ..options import DTYPES, Options

Command = TypeVar("Command", bound=Callable[..., object])
FILE = click.Path(path_type=Path)
_OPTIONS = {f.name for f in fields(Options)} - {"quiet"}


@dataclass(frozen=True, slots=True)
class Run:
    """What a command that scores was told, but for which checkpoints."""

    tasks: tuple[str | None, ...]
    """None: the family's default."""
    registry: tuple[Path, ...]
    options: Options


@dataclass(frozen=True, slots=True)
class Output:
    """Where results go and how they are printed."""

    out: Path | None
    shard: tuple[int, int] | None
    overwrite: bool
    quiet: bool
    as_json: bool


def go_offline(_ctx: click.Context, _param: click.Parameter, offline: bool) -> None:
    """huggingface_hub and datasets read these when they are imported, which no command has done yet."""
    if offline:
        os.environ |= {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1"}


def hush(_ctx: click.Context, _param: click.Parameter, quiet: bool) -> bool:
    """No library shows a bar either; they read these when they are imported, which no command has done yet."""
    if quiet:
        os.environ |= {
            "HF_HUB_DISABLE_PROGRESS_BARS": "1",
            "HF_DATASETS_DISABLE_PROGRESS_BARS": "1",
            "TQDM_DISABLE": "1",
        }
    return quiet


def read_shard(_ctx: click.Context, _param: click.Parameter, shard: str | None) -> tuple[int, int] | None:
    """ "i/n" as (i, n)."""
    if shard is None:
        return None
    index, _, count = shard.partition("/")
    if not (index.isdecimal() and count.isdecimal() and 1 <= int(index) <= int(count)):
        raise click.BadParameter(f"{shard!r} is no shard; write i/n with i from 1 to n, such as 1/4.")
    return int(index), int(count)


def read_names(_ctx: click.Context, _param: click.Parameter, names: str) -> tuple[str, ...]:
    """ "a,b" as (a, b)."""
    return split(names)


_DEVICE = click.option("--device", default="auto", show_default=True, help="cpu, cuda, cuda:1, mps, or auto.")
_LOADING = (
    _DEVICE,
    click.option(
        "--dtype",
        type=click.Choice(DTYPES),
        default="auto",
        show_default=True,
        help="auto: float32 on a CPU, half precision on an accelerator.",
    ),
    click.option(
        "--max-length",
        type=click.IntRange(min=8),
        help="Tokens a model reads at most; default: the shortest context compared.",
    ),
    click.option("--chat-template", type=FILE, help="Jinja file used instead of the family's or tokenizer's template."),
    click.option("--allow-pickle", is_flag=True, help="Load pickled weights, which can run code, where no others are."),
    click.option("--trust-remote-code", is_flag=True, help="Run model code that a checkpoint ships."),
)
_OFFLINE = click.option(
    "--offline",
    is_flag=True,
    expose_value=False,
    is_eager=True,
    callback=go_offline,
    help="Never try the network: what is not in the local hub cache is an error.",
)
_REGISTRY = click.option(
    "--registry", type=FILE, multiple=True, metavar="FILE", help="YAML merged over the registry; may be repeated."
)
_RUN = (
    *_LOADING,
    click.option("--quantise", type=click.Choice(["int8"]), help="Round weights to 8 bits while loading, by torchao."),
    click.option(
        "--scorer",
        default="shared-prefix",
        show_default=True,
        metavar="NAME",
        help="shared-prefix, reference, or lm-eval:<model>,<args>.",
    ),
    click.option(
        "--url",
        "urls",
        multiple=True,
        metavar="NAME=URL",
        help="Server of a checkpoint, for --scorer lm-eval:local-completions; one for each, such as a=http://host:8000.",
    ),
    click.option("--batch-tokens", type=click.IntRange(min=1), help="Tokens of one forward pass; default: as fits."),
    click.option("--allow-cross-family", is_flag=True, help="Compare checkpoints that share no family or tokenizer."),
    click.option("--store", type=FILE, help="Folder of the score store; default: in the user's cache."),
    _OFFLINE,
)
_ASKING = (
    click.option(
        "--columns",
        default="",
        callback=read_names,
        metavar="ROLE=COLUMN,...",
        help="Which columns of your own file hold what, such as prompt=question.",
    ),
    click.option("--strict", is_flag=True, help="Stop at the first row that cannot be used."),
    click.option("--criteria", type=FILE, help="Criteria file (YAML) instead of the task's own."),
    click.option(
        "--router", metavar="CHECKPOINT", help="Routes items for cdr-adaptive-router; default: the strong one."
    ),
    click.option(
        "--limit", type=click.IntRange(min=1), help="Only so many items, drawn by --seed: of every subset its share."
    ),
    click.option("--mean", is_flag=True, help="Log-probabilities as mean per token instead of the sum."),
    click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True),
    click.option(
        "--resamples",
        type=click.IntRange(min=100),
        default=10_000,
        show_default=True,
        help="Bootstrap resamples and permutations.",
    ),
    _REGISTRY,
)
_QUESTION = (
    click.option(
        "--task",
        metavar="NAME|FILE,...",
        help="Benchmarks (`cdr-eval tasks`), your own files or folders, hub datasets.",
    ),
    *_ASKING,
    click.option(
        "--protocol",
        type=click.Choice(["own", "official"]),
        default="own",
        show_default=True,
        help="official: cut texts and count ties as the benchmark's publication does.",
    ),
    click.option(
        "--benchmark", metavar="NAME", help="Benchmark whose alignment gap comes first; default: the family's."
    ),
    click.option("--score-source", metavar="KEY", help="Benchmark scores from this source only."),
)
EXECUTOR = click.option(
    "--executor",
    metavar="ray[:HOST:PORT]",
    help="Work on workers of Ray: ray starts them on this machine, with an address they are a cluster's; "
    "on CPUs each has OMP_NUM_THREADS threads, else one. Default: this process.",
)
_OUTPUT = (
    click.option("--out", type=FILE, help="Run directory to write; default: a new one in runs/."),
    click.option("--overwrite", is_flag=True, help="Replace a run of another question there."),
    click.option(
        "--shard",
        callback=read_shard,
        metavar="I/N",
        help="Score only the I-th of N parts of the work into the store, and write no report.",
    ),
    EXECUTOR,
    click.option(
        "--tensor-parallel",
        type=click.IntRange(min=1),
        default=1,
        metavar="N",
        help="Spread each model over N processes, a GPU each or all on the CPU.",
    ),
    click.option(
        "--offload", is_flag=True, help="Use all GPUs, layer after layer; what does not fit lies in memory or on disk."
    ),
    click.option(
        "--quiet",
        is_flag=True,
        callback=hush,
        is_eager=True,
        help="No progress bars, and only the run directory's path at the end.",
    ),
    click.option(
        "--json",
        "as_json",
        is_flag=True,
        callback=hush,
        is_eager=True,
        help="Print the run record and the accuracies as JSON.",
    ),
)


def debug_option(command: Command) -> Command:
    """--debug: `main` looks for it in the command line and lets the traceback through."""
    return click.option("--debug", is_flag=True, expose_value=False, help="Show the traceback of an error.")(command)


def run_options(command: Callable[..., object]) -> Callable[..., object]:
    """What a run asks and how it is done, as the argument `run`."""

    @wraps(command)
    def with_run(*, task: str | None, registry: tuple[Path, ...], **values: Any) -> object:
        quiet = bool(values.get("as_json")) or bool(getattr(values.get("output"), "quiet", False))
        options = options_of(values, quiet=quiet)
        others = {name: value for name, value in values.items() if name not in _OPTIONS}
        return command(run=Run(split_tasks(task), registry, options), **others)

    return debug_option(_decorated(with_run, (*_QUESTION, *_RUN)))


def scoring_options(command: Command) -> Command:
    """How checkpoints are asked and loaded, for commands that take no task."""
    for option in reversed((*_ASKING, *_RUN)):
        command = option(command)
    return debug_option(command)


def output_options(command: Callable[..., object]) -> Callable[..., object]:
    """Where results go and how they are printed, as the argument `output`; stands above `run_options`."""

    @wraps(command)
    def with_output(
        *, out: Path | None, shard: tuple[int, int] | None, overwrite: bool, quiet: bool, as_json: bool, **values: Any
    ) -> object:
        return command(output=Output(out, shard, overwrite, quiet or as_json, as_json), **values)

    return _decorated(with_output, _OUTPUT)


def _decorated(
    command: Callable[..., object], options: tuple[Callable[[Callable[..., object]], Callable[..., object]], ...]
) -> Callable[..., object]:
    for option in reversed(options):
        command = option(command)
    return command


def loading_options(command: Command) -> Command:
    """Which registry a checkpoint comes from, and how it is loaded."""
    for option in reversed((*_LOADING, _OFFLINE, _REGISTRY)):
        command = option(command)
    return debug_option(command)


def device_options(command: Command) -> Command:
    """Where a model runs that is loaded in one way only."""
    return debug_option(_DEVICE(_OFFLINE(command)))


def options_of(settings: dict[str, Any], *, quiet: bool) -> Options:
    """The `Options` among a command's settings; those that are not the run's are left out."""
    return Options(**{name: settings[name] for name in _OPTIONS & settings.keys()}, quiet=quiet)


def refuse(names: Collection[str], why: str) -> None:
    """Raise UserError where the command line has one of these options of the command that runs."""
    context = click.get_current_context()
    for option in context.command.params:
        name = option.name or ""
        if name in names and context.get_parameter_source(name) is ParameterSource.COMMANDLINE:
            raise UserError(f"{option.opts[0]} {why}: leave it out.")


def split_tasks(spec: str | None) -> tuple[str | None, ...]:
    """The tasks of a comma-separated list; a file may have a comma in its name."""
    if spec is None or os.path.exists(spec):  # noqa: PTH110 - Path.exists raises where a list is too long for a name
        return (spec,)
    return split(spec) or (spec,)


def split(names: str | None) -> tuple[str, ...]:
    """A comma-separated list."""
    return tuple(name.strip() for name in names.split(",") if name.strip()) if names else ()
