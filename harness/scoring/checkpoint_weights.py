"""Whether a model's weights are all there: what loading found beside the files."""

import logging
import re
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ...errors import UserError

_NO_WEIGHTS = re.compile(r"(^|\.)attn\.(attention\.)?(masked_)?bias$|(^|\.)(masked_bias|inv_freq|position_ids)$")
"""Constants that older transformers saved among the weights: causal masks, rotary frequencies, positions."""
_NAMED = 3
"""Tensors that a refusal names; it counts the others."""


def check_loading(path: Path, found: dict[str, Any]) -> None:
    """Raise UserError where a model's tensors and those of its files differ.

    `found` is what transformers' `output_loading_info` gives. It leaves out tied weights and what an architecture is
    known to have been saved with; a tensor that is missing would be filled with random numbers.
    """
    mismatched: list[str] = sorted(f"{name} {tuple(saved)} for {tuple(own)}" for name, saved, own in _shapes(found))
    unexpected = sorted(name for name in found["unexpected_keys"] if not _NO_WEIGHTS.search(name))
    for problem, names in (
        ("lacks weights that its config.json asks for", sorted(found["missing_keys"])),
        ("holds weights of other shapes than its config.json asks for", mismatched),
        ("holds weights that its config.json has no place for", unexpected),
    ):
        if names:
            raise UserError(
                f"The model in {path} {problem}: {_listed(names)}; restore the folder from where the checkpoint came, "
                "or mend config.json."
            )
    if found["error_msgs"]:
        raise UserError(f"The model in {path} cannot be loaded: {' '.join(found['error_msgs'][0].split())[:300]}.")


def _shapes(found: dict[str, Any]) -> set[tuple[str, Any, Any]]:
    return set(found["mismatched_keys"])


def _listed(names: list[str]) -> str:
    more = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {more} more" if more > 0 else "")


@contextmanager
def no_loading_report() -> Generator[None]:
    """Leave out the table that transformers prints of the tensors that `check_loading` refuses."""
    logger = logging.getLogger("transformers.modeling_utils")

    def is_no_report(record: logging.LogRecord) -> bool:
        return "LOAD REPORT" not in record.getMessage()

    logger.addFilter(is_no_report)
    try:
        yield
    finally:
        logger.removeFilter(is_no_report)
