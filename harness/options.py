"""How a run is done, by trade: loading and scoring checkpoints, what is asked of them, what is made of the answers."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal


def default_store() -> Path:
    """The score store that runs share unless told otherwise."""
    import platformdirs

    return platformdirs.user_cache_path("cdr-eval") / "scores"


@dataclass(frozen=True, kw_only=True)
class Loading:
    """How checkpoints are loaded and scored."""

    device: str = "auto"
    """A torch device, or "auto" for the best there is."""
    dtype: str = "auto"
    """"float32", "float16" or "bfloat16"; "auto" is float32 on a CPU and half precision on an accelerator."""
    scorer: str = "shared-prefix"
    """"shared-prefix", "reference", or "lm-eval:<model>,<args>"."""
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
    """Score only this many items, spread evenly over the task."""
    criteria: Path | None = None
    """A criteria file instead of the task's own."""
    router: str | None = None
    """The checkpoint that routes items for cdr-adaptive-router; None lets the strong one of each pair."""
    seed: int = 0
    """Seeds the demonstrations drawn, the bootstrap and the permutations."""
    annotators: tuple[Path, ...] = ()
    """Folders of reward heads whose accuracy stands beside that of the pairs."""
    allow_overlap: bool = False
    """Let an annotator judge prompts that it was trained on."""


@dataclass(frozen=True, kw_only=True)
class Measuring:
    """What is made of the answers."""

    resamples: int = 10_000
    """Bootstrap resamples and permutations."""
    benchmark: str | None = None
    """The benchmark whose alignment gap comes first; None takes the family's default."""
    score_source: str | None = None
    """Take benchmark scores from this source only, instead of the registry's preference."""


@dataclass(frozen=True, kw_only=True)
class Options(Loading, Asking, Measuring):
    """Settings of a run; the defaults are those of the command line."""
