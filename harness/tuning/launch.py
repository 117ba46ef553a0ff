"""Running a command again under accelerate, one process a GPU."""

import os
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import NoReturn

from ...errors import UserError


def accelerate_config(launch: str) -> Path:
    """The configuration file that a name (multi_gpu, zero3, ...) or a path stands for. Raises UserError."""
    given = Path(launch)
    if given.suffix in {".yaml", ".yml"}:
        if not given.is_file():
            raise UserError(f"There is no accelerate configuration {launch}: check the path.")
        return given
    package = find_spec("trl")
    folder = Path((package and package.origin) or "").parent / "accelerate_configs"
    known = sorted(path.stem for path in folder.glob("*.yaml"))
    if launch not in known:
        raise UserError(f"There is no launch configuration {launch!r}; use {', '.join(known)} or a .yaml file.")
    return folder / f"{launch}.yaml"


def launch_command(launch: str, processes: int | None, arguments: Sequence[str]) -> list[str]:
    """The command line that runs `cdr-eval` with the arguments in several processes."""
    count = [] if processes is None else ["--num_processes", str(processes)]
    head = [sys.executable, "-m", "accelerate.commands.launch", "--config_file", str(accelerate_config(launch))]
    return [*head, *count, "-m", "cdr_eval.harness", *arguments]


def relaunch(launch: str, processes: int | None, arguments: Sequence[str]) -> NoReturn:
    """Become that command."""
    command = launch_command(launch, processes, arguments)
    sys.stdout.flush()
    os.execv(command[0], command)
