"""How a run is done, by trade: loading and scoring checkpoints, what is asked of them, what is made of the answers."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Literal

from ..errors import UserError

DTYPES = ("auto", "float32", "float16", "bfloat16")
_CHOICES = {"dtype": DTYPES, "quantise": (None, "int8"), "protocol": ("own", "official")}
_ONE = ("limit", "resamples", "max_length", "batch_tokens", "check_quantised", "tensor_parallel")
_LEAST = {"seed": 0, "tokens": 0, **dict.fromkeys(_ONE, 1)}


def default_store() -> Path:
    """The score store that runs share unless told otherwise."""
    import platformdirs

    return platformdirs.user_cache_path("cdr-eval") / "scores"


def paths(given: str | Path | Sequence[str | Path]) -> tuple[Path, ...]:
    """One path or several, each of which may be a string."""
    return tuple(Path(path) for path in ([given] if isinstance(given, str | Path) else given))


@dataclass(frozen=True, kw_only=True)
class Loading:
    """How checkpoints are loaded and scored."""

    device: str = "auto"
    """A torch device, or "auto" for the best there is."""
    dtype: str = "auto"
    """"float32", "float16" or "bfloat16"; "auto" is float32 on a CPU and half precision on an accelerator."""
    quantise: Literal["int8"] | None = None
    """"int8" rounds the weights of linear layers to 8 bits while loading (torchao); None leaves them as they are."""
    scorer: str = "shared-prefix"
    """"shared-prefix", "reference", or "lm-eval:<model>,<args>"."""
    urls: tuple[str, ...] = ()
    """The server of each checkpoint, as "name=http://host:port", for the scorer "lm-eval:local-completions"."""
    batch_tokens: int | None = None
    """Tokens of one forward pass; None fits them to the free memory."""
    max_length: int | None = None
    """Tokens that a model reads at most; None takes the shortest context among the checkpoints compared."""
    chat_template: Path | None = None
    """A Jinja file instead of the family's or the checkpoints' own template."""
    allow_cross_family: bool = False
    """Compare checkpoints that share no family or tokenizer."""
    allow_pickle: bool = False
    """Load pickled weights, which can run code, where no others are."""
    trust_remote_code: bool = False
    """Run model code that a checkpoint ships."""
    store: Path | None = None
    """Folder of the score store; None is the one in the user's cache."""
    executor: str | None = None
    """"ray" or "ray:HOST:PORT" for workers on a cluster; None is this process."""
    tensor_parallel: int = 1
    """Processes, of a GPU each or all on the CPU, that a model's weights are spread over."""
    offload: bool = False
    """Let layers that do not fit on the GPUs lie in memory or on the disk."""
    quiet: bool = True
    """No progress bars."""


@dataclass(frozen=True, kw_only=True)
class Asking:
    """What is asked of the checkpoints."""

    columns: tuple[str, ...] = ()
    """Which columns of a file hold what, as "role=column"."""
    strict: bool = False
    """Stop at the first row that cannot be used, instead of leaving it out."""
    protocol: Literal["own", "official"] = "own"
    """"official" cuts texts and counts ties as the benchmark's publication does."""
    mean: bool = False
    """Take log-probabilities as the mean per token instead of the sum."""
    limit: int | None = None
    """Score only this many items, drawn by the seed: of every subset its share."""
    criteria: Path | None = None
    """A criteria file instead of the task's own."""
    router: str | None = None
    """The checkpoint that routes items for cdr-adaptive-router; None lets the strong one of each pair."""
    seed: int = 0
    """Seeds the demonstrations drawn, the bootstrap and the permutations."""
    tokens: int = 0
    """Keep what each token earned for so many items, those that the fewest pairs get right."""
    annotators: tuple[Path, ...] = ()
    """Folders of reward heads whose accuracy stands beside that of the pairs."""
    fitted: tuple[Path, ...] = ()
    """Files of fitted rewards whose accuracy stands beside that of the pairs."""
    allow_overlap: bool = False
    """Let an annotator or a fitted reward judge prompts that it was made from."""
    ignore_labels: bool = False
    """Of a grid: estimate every pair's accuracy as if there were no labels."""


@dataclass(frozen=True, kw_only=True)
class Measuring:
    """What is made of the answers."""

    check_quantised: int | None = None
    """Score this many items with the full weights too, and count the margins that change sign."""
    resamples: int = 10_000
    """Bootstrap resamples and permutations."""
    benchmark: str | None = None
    """The benchmark whose alignment gap comes first; None takes the family's default."""
    score_source: str | None = None
    """Take benchmark scores from this source only, instead of the registry's preference."""


@dataclass(frozen=True, kw_only=True)
class Options(Loading, Asking, Measuring):
    """Settings of a run; the defaults are those of the command line.

    Paths may be given as strings, and what may be several as one alone. Raises UserError for values that cannot be.
    """

    def __post_init__(self) -> None:
        for name in ("chat_template", "store", "criteria"):
            path: Path | str | None = getattr(self, name)
            object.__setattr__(self, name, None if path is None else Path(path))
        for name in ("columns", "urls"):
            texts: str | Sequence[str] = getattr(self, name)
            object.__setattr__(self, name, (texts,) if isinstance(texts, str) else tuple(texts))
        for name in ("annotators", "fitted"):
            object.__setattr__(self, name, paths(getattr(self, name)))
        for name, least in _LEAST.items():
            value: object = getattr(self, name)
            unsaid = value is None and getattr(Options, name) is None
            if not unsaid and (type(value) is not int or value < least):
                raise UserError(f"{name} must be a whole number from {least}, not {value!r}.")
        for name, choices in _CHOICES.items():
            if getattr(self, name) not in choices:
                told = ", ".join(map(repr, choices))
                raise UserError(f"{name} must be one of {told}, not {getattr(self, name)!r}.")
        for field in fields(self):
            if field.type is bool and not isinstance(getattr(self, field.name), bool):
                raise UserError(f"{field.name} must be True or False, not {getattr(self, field.name)!r}.")
