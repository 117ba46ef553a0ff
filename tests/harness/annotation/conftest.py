"""Sampled responses, and a store that all annotations of the session share."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cdr_eval.harness import Options
from cdr_eval.harness.annotate import Annotation, annotate

from tests.harness.annotation.samples import PAIR, sampled_rows, write_rows


@pytest.fixture(scope="session")
def sampled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """24 prompts of the world with 6 responses each."""
    return write_rows(tmp_path_factory.mktemp("sampled") / "responses.jsonl", sampled_rows())


@pytest.fixture(scope="session")
def annotated(no_bars: None, sampled: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Annotation]:
    """Annotate the sampled responses with DPO-3 over SFT, or as the arguments say."""
    store = tmp_path_factory.mktemp("annotation") / "store"

    def run(data: Path = sampled, options: dict[str, Any] | None = None, **arguments: Any) -> Annotation:
        strong, weak = PAIR if "scores" not in arguments else (None, None)
        given = Options(store=store, resamples=200, **(options or {}))
        return annotate(str(data), **{"strong": strong, "weak": weak, **arguments}, options=given)

    return run
