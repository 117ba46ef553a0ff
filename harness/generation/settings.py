"""How responses are drawn."""

from dataclasses import dataclass

from ...errors import UserError


@dataclass(frozen=True, slots=True)
class Sampling:
    """How responses are drawn."""

    n: int = 32
    """Samples a prompt."""
    temperature: float = 1.0
    """0 takes the likeliest token."""
    top_p: float = 1.0
    """Draw from the smallest set of likeliest tokens that has this much probability."""
    max_new_tokens: int = 1024
    seed: int = 0
    batch: int = 128
    """Sequences in a forward pass."""

    def __post_init__(self) -> None:
        """Raise UserError for settings that nothing can be sampled with."""
        if not 0 <= self.temperature < float("inf"):
            raise UserError("The temperature must be 0 or more: 0 takes the likeliest token, 1 samples from the model.")
        if not 0 < self.top_p <= 1:
            raise UserError("--top-p must be above 0 and at most 1, which keeps every token.")
        if min(self.n, self.max_new_tokens, self.batch) < 1:
            raise UserError("-n, --max-new-tokens and --batch must each be 1 or more.")
