"""Writing reports: complete, repeatable, and never leaving a half of them behind."""

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from cdr_eval.errors import UserError
from cdr_eval.reports.write import write_reports


def digests(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_reports_are_written_beside_the_run_and_rewritten_alike(make_run: Callable[[str], Path]) -> None:
    path = make_run("paper")
    before = digests(path)
    assert write_reports(path) == path / "leaderboard.md"
    first = digests(path)
    assert {name: first[name] for name in before} == before
    made = {name for name in set(first) - set(before) if not name.startswith("tables/")}
    assert {"tables/accuracy.csv", "tables/accuracy.tex"} <= set(first)
    assert made == {
        *("leaderboard.md", "report.html", "items.html"),
        *(f"figures/{stem}.{suffix}" for stem in ("accuracy", "selection", "calibration") for suffix in ("svg", "png")),
    }
    write_reports(path)
    assert digests(path) == first


def test_pictures_in_the_leaderboard_exist(make_run: Callable[[str], Path]) -> None:
    path = make_run("families")
    text = write_reports(path).read_text(encoding="utf-8")
    links = [part.split(")")[0] for part in text.split("](")[1:]]
    assert links
    assert all((path / link).is_file() for link in links)


def test_a_damaged_run_leaves_earlier_reports_alone(make_run: Callable[[str], Path]) -> None:
    path = make_run("paper")
    write_reports(path)
    (path / "accuracy.csv").write_text("strong\nx\n", encoding="utf-8")
    (path / "SHA256SUMS").unlink()
    before = digests(path)
    with pytest.raises(UserError, match=r"accuracy\.csv is damaged"):
        write_reports(path)
    assert digests(path) == before


def test_a_folder_that_cannot_be_written_is_a_sentence(make_run: Callable[[str], Path]) -> None:
    if os.geteuid() == 0:
        pytest.skip("root may write to a read-only folder")
    path = make_run("paper")
    path.chmod(0o555)
    try:
        with pytest.raises(UserError, match="make the folder writable"):
            write_reports(path)
    finally:
        path.chmod(0o755)


def test_a_full_disk_is_a_sentence_and_leaves_nothing_half_written(
    make_run: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = make_run("paper")
    before = digests(path)
    original = Path.write_text

    def full(self: Path, *args: str, **keywords: str) -> int:
        if self.name == "report.html":
            raise OSError(28, "No space left on device")
        return original(self, *args, **keywords)

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(UserError, match="No space left on device"):
        write_reports(path)
    assert digests(path) == before
    assert not list(path.glob(".reports-*"))
