"""The command line: parse, call, print."""

import codecs
import errno
import io
import signal
import sys
from importlib import import_module
from typing import NoReturn

import click

from ...errors import UserError
from .options import debug_option

_COMMANDS = {
    "pair": "evaluate",
    "grid": "evaluate",
    "fit": "fit",
    "plan": "evaluate",
    "report": "report",
    "export": "export",
    "models": "models",
    "sample": "sample",
    "annotate": "annotate",
    "tune": "tune",
    "annotator": "annotator",
    "minilab": "minilab",
    "store": "store",
    "tasks": "catalog",
    "variants": "catalog",
}
"""Command → the module that has it."""
_PLAIN = "plain-letters"
"""How letters are printed that an encoding lacks: a minus sign and a bullet as in ASCII, so that no number loses its
sign, others as question marks."""


class _Commands(click.Group):
    """Commands are imported when they are called."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in _COMMANDS:
            return None
        return getattr(import_module(f".{_COMMANDS[cmd_name]}", __package__), cmd_name)


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="cdr-eval")
@debug_option
def cli() -> None:
    """Evaluate density-ratio rewards: log π_strong(y|x) − log π_weak(y|x), from two language models' likelihoods."""


class _Terminated(BaseException):
    """SIGTERM: ends a run as Ctrl-C does."""


def _terminate(_signal: int, _frame: object) -> NoReturn:
    raise _Terminated


def _plain(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    text = error.object[error.start : error.end].translate({ord("−"): "-", ord("•"): "*"})
    return "".join(letter if letter.isascii() else "?" for letter in text), error.end


codecs.register_error(_PLAIN, _plain)


def main() -> None:
    """Run the command line; exit 0, 2 for what the user can mend, 3 for missing scores, 130 Ctrl-C, 143 SIGTERM."""
    signal.signal(signal.SIGTERM, _terminate)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=_PLAIN)  # a letter that the terminal's encoding lacks does not end a run
    try:
        code: object = cli.main(standalone_mode=False)
        if isinstance(code, int):  # of a command that left by Context.exit
            sys.exit(code)
    except UserError as error:
        if "--debug" in sys.argv:
            raise
        click.echo(f"Error: {error}", err=True)
        sys.exit(2)
    except OSError as error:
        if error.errno != errno.ENAMETOOLONG or "--debug" in sys.argv:
            raise
        told = f"{str(error.filename)[:60]!r}..."
        click.echo(f"Error: {told} is longer than the name of a file may be: pass a shorter one.", err=True)
        sys.exit(2)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (KeyboardInterrupt, click.Abort, _Terminated) as stop:
        click.echo("Stopped. Run the same command again to continue; every score written so far is kept.", err=True)
        sys.exit(143 if isinstance(stop, _Terminated) else 130)
    except click.exceptions.Exit as stop:
        sys.exit(stop.exit_code)
