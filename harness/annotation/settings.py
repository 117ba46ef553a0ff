"""How rewards become preference data."""

from dataclasses import asdict, dataclass, field
from typing import Any, Final, Literal

from ...errors import UserError
from .choosing import Choice
from .formats import Format

Weights = Literal["none", "confidence", "sigmoid", "clip"]
WEIGHTS: Final[tuple[Weights, ...]] = ("none", "confidence", "sigmoid", "clip")


@dataclass(frozen=True, kw_only=True)
class Annotating:
    """Settings of an annotation, checked."""

    choice: Choice = field(default_factory=Choice)
    temperature: str = "auto"
    """"auto", a number in nats, or "fit:FILE" for maximum likelihood on a labelled file."""
    weight: Weights = "confidence"
    clip: float = 1.0
    """Of the weight "clip": min(clip · m/τ, 1)."""
    top: float = 1.0
    """Keep this share of the pairs, the most confident ones."""
    test: int = 0
    """Prompts of the test split, drawn from all, whether they give a pair or not."""
    format: Format = "preference"

    def __post_init__(self) -> None:
        """Raise UserError for settings that make no data."""
        if not 0 < self.top <= 1:
            raise UserError("--top must be above 0 and at most 100%: it is the share of pairs to keep.")
        if self.test < 0 or self.clip <= 0:
            raise UserError("--test must be 0 or more, and A of --weight clip:A above 0.")
        if self.temperature != "auto" and not self.temperature.startswith("fit:") and not _positive(self.temperature):
            raise UserError("--temperature must be auto, fit:FILE or a number above 0.")
        if self.format == "unpaired" and self.choice.rule == "all-pairs":
            raise UserError(
                "--format unpaired takes one pair a prompt, since in all pairs a response is chosen here and rejected "
                "there: pass another --choose."
            )


def settings_record(settings: Annotating) -> dict[str, Any]:
    """Those by which run.json knows an annotation again."""
    return {
        "choice": {**asdict(settings.choice), "band": list(settings.choice.band)},
        "weights": f"clip:{settings.clip:g}" if settings.weight == "clip" else settings.weight,
        "top": settings.top,
        "format": settings.format,
    }


def _positive(text: str) -> bool:
    try:
        return 0 < float(text) < float("inf")
    except ValueError:
        return False
