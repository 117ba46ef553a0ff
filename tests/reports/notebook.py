"""Runs the cells of reports/notebook.ipynb; `python -m tests.reports.notebook` writes what they give into it."""

import ast
import io
import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

NOTEBOOK = Path(__file__).parents[2] / "reports" / "notebook.ipynb"


def outputs() -> Iterator[tuple[dict[str, Any], list[dict[str, Any]]]]:
    """Each code cell with its outputs: what it printed, and the value of its last line."""
    names: dict[str, Any] = {}
    for cell in json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]:
        if cell["cell_type"] != "code":
            continue
        tree, printed = ast.parse("".join(cell["source"])), io.StringIO()
        last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
        with redirect_stdout(printed):
            exec(compile(tree, str(NOTEBOOK), "exec"), names)
            value = eval(compile(ast.Expression(last.value), str(NOTEBOOK), "eval"), names) if last else None  # pyright: ignore
        found: list[dict[str, Any]] = []
        if printed.getvalue():
            found.append({"output_type": "stream", "name": "stdout", "text": printed.getvalue().splitlines(True)})
        if value is not None:
            data = {"text/plain": repr(value).splitlines(True)}
            if hasattr(value, "_repr_html_"):
                data["text/html"] = str(value._repr_html_()).splitlines(True)
            found.append({"output_type": "execute_result", "execution_count": None, "metadata": {}, "data": data})
        yield cell, found


def main() -> None:
    """Run the notebook and write its outputs into it."""
    book = json.loads(NOTEBOOK.read_text(encoding="utf-8"))
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        found = [given for _, given in outputs()]
    cells = [cell for cell in book["cells"] if cell["cell_type"] == "code"]
    for cell, given in zip(cells, found, strict=True):
        cell["outputs"] = given
    NOTEBOOK.write_text(json.dumps(book, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
