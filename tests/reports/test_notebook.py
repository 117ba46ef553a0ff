"""The notebook of reports/ runs as it stands, and shows what it gives."""

from pathlib import Path

import pytest

from tests.reports.notebook import outputs


def test_the_notebook_shows_what_its_cells_give(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    ran = list(outputs())
    assert len(ran) >= 6
    for cell, found in ran:
        shown = cell["outputs"]
        assert [output["output_type"] for output in shown] == [output["output_type"] for output in found]
        for stored, given in zip(shown, found, strict=True):
            assert stored.get("text") == given.get("text"), "".join(cell["source"])
            assert stored.get("data") == given.get("data"), "".join(cell["source"])
