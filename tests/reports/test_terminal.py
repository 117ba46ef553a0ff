"""Reports on a terminal of a width, and where the output is piped."""

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from collections.abc import Callable
from pathlib import Path

import pytest
from cdr_eval.reports.document import Bullets, Cell, Document, Paragraph, Section, Table
from cdr_eval.reports.run_format.reading import read_run
from cdr_eval.reports.summary import summary
from cdr_eval.reports.terminal import print_document
from rich.cells import cell_len

SHOW = (
    "import sys; from pathlib import Path; from cdr_eval.reports.summary import summary;"
    "from cdr_eval.reports.terminal import print_document; print_document(summary(Path(sys.argv[1])))"
)


def on_terminal(run: Path, columns: int) -> list[str]:
    """What a real pseudo-terminal of so many columns receives, without the codes for bold and italic."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
    env = {name: value for name, value in os.environ.items() if name not in {"COLUMNS", "LINES", "NO_COLOR"}}
    with subprocess.Popen(
        [sys.executable, "-c", SHOW, str(run)], stdout=theirs, env=env | {"TERM": "xterm"}
    ) as process:
        os.close(theirs)
        found = bytearray()
        while True:
            try:
                found += os.read(ours, 65536)
            except OSError:  # the other end is closed
                break
        os.close(ours)
    assert process.returncode == 0
    return re.sub(r"\x1b\[[0-9;]*m", "", found.decode()).splitlines()


@pytest.mark.parametrize("columns", [80, 120])
@pytest.mark.parametrize("name", ["pair", "grid", "paper", "hostile"])
def test_nothing_is_wider_than_the_terminal_and_no_cell_is_broken(
    make_run: Callable[[str], Path], name: str, columns: int
) -> None:
    path = make_run(name)
    lines = on_terminal(path, columns)
    breakable = [line for line in lines if max(map(len, line.split()), default=0) <= columns - 2]  # a path stays whole
    assert max(map(cell_len, breakable)) <= columns
    text = "\n".join(lines)
    assert not re.search(r"<sup>|\| :--|\*\*|&#", text)
    for row in read_run(path).accuracy:
        if name == "pair" and row.scope in ("section", "overall") and row.strong and row.accuracy is not None:
            assert f"{100 * row.accuracy:.1f} [{100 * (row.ci_low or 0):.1f}, {100 * (row.ci_high or 0):.1f}]" in text


def test_a_pipe_gets_the_same_words_unwrapped(
    make_run: Callable[[str], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    path = make_run("pair")
    print_document(summary(path))
    piped = capsys.readouterr().out
    assert "\x1b" not in piped
    assert set(piped.split()) == set(" ".join(on_terminal(path, 80)).split())
    row = next(line for line in piped.splitlines() if line.startswith("vanilla "))
    assert row.count("[") == 5


def test_wide_tables_go_on_below_with_their_first_columns(capsys: pytest.CaptureFixture[str]) -> None:
    cells = [Cell(str(10**9 + k)) for k in range(150)]
    table = Table(("name", *(f"c{k}" for k in range(150))), ((Cell("a|b\x1b[31m"), *cells),), footnotes=("why",))
    print_document(Document("T", (Section("S", (Paragraph("p"), Bullets(("one", "two")), table)),)))
    out = capsys.readouterr().out
    assert out.count("a|b\ufffd[31m") == 2
    assert all(cell.text in out for cell in cells)
    assert "• one\n• two\n" in out
    assert out.rstrip().endswith("¹ why")
