"""A command in the process of the tests, which has long imported what a process of its own takes seconds for."""

import io
import os
import sys
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass

import pytest
from cdr_eval.harness.cli.main import main


@dataclass(frozen=True)
class Ended:
    """How a command ended, and what it printed."""

    code: int
    out: str
    err: str


def cdr_eval(*arguments: object) -> Ended:
    """`cdr-eval` with these arguments; what it sets in the environment goes with it, as a process would take it."""
    out, err, code = io.StringIO(), io.StringIO(), 0
    environment = dict(os.environ)
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
        patch.setattr(sys, "argv", ["cdr-eval", *map(str, arguments)])
        try:
            main()
        except SystemExit as ended:
            code = int(ended.code or 0)
        finally:
            os.environ.clear()
            os.environ.update(environment)
    return Ended(code, out.getvalue(), err.getvalue())
