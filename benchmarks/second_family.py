"""The minilab's main line trained again from other random weights, on other documents and samples.

It shares with the shipped family the world, the tokenizer and the recipe, and no weight and no training text that is
not drawn twice by chance.
"""

from dataclasses import replace
from pathlib import Path
from typing import Final

from cdr_eval.harness.minilab.build import build
from cdr_eval.harness.minilab.manifest import MANIFEST
from cdr_eval.harness.minilab.recipe import SHIPPED

SEED: Final = 1
LINE: Final = ("minilab-base", "minilab-sft", "minilab-dpo-1", "minilab-dpo-2", "minilab-dpo-3")


def second_family(folder: Path) -> Path:
    """The folder with the line's checkpoints; trains them where they are not there yet, ten minutes of one core."""
    if not (folder / MANIFEST).is_file():
        build(folder, SEED, replace(SHIPPED, checkpoints=tuple(c for c in SHIPPED.checkpoints if c.name in LINE)))
    return folder
