"""One small grid and its undisturbed run for all fault tests."""

from collections.abc import Iterator

import pytest

from tests.faults.rounds import Rounds, rounds, small_grid


@pytest.fixture(scope="session")
def grid(no_bars: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rounds]:
    folder = tmp_path_factory.mktemp("faults")
    with rounds(folder, small_grid(folder)) as ready:
        yield ready
