"""The judge as a source of labels for responses to the world's training prompts."""

from ...errors import UserError
from ..item import Item
from .prompts import Prompt
from .world import is_good, training_prompts

MOST = 64_000
"""Of the series of training prompts that are looked through."""


class TrainingJudge:
    """Grades responses to prompts of the training series: 1 for a good one, 0 for a bad one."""

    def __init__(self) -> None:
        self._known: dict[str, Prompt] = {}
        self._drawn = 500

    def __call__(self, item: Item) -> tuple[float, ...]:
        """The grades of the item's responses. Raises UserError for a prompt that is not of the world."""
        text = item.prompt[-1]["content"]
        while text not in self._known and self._drawn < MOST:
            self._drawn *= 2
            self._known = {prompt.text: prompt for prompt in training_prompts(self._drawn)}
        if text not in self._known:
            raise UserError(
                f"The prompt {item.id!r} is not of the minilab's training series, which --minilab-judge knows: sample "
                "from minilab:train, or leave the flag out."
            )
        return tuple(float(is_good(self._known[text], response)) for response in item.responses)
