"""Running a command again under accelerate, one process a GPU."""

import os
import re
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
    """The command line that runs `cdr-eval` with the arguments in several processes.

    Of a named configuration as many as there are GPUs, of a file as many as it says, unless `processes` are given.
    Raises UserError.
    """
    config = accelerate_config(launch)
    uses_deepspeed = re.search(r"^distributed_type:\W*DEEPSPEED", config.read_text(encoding="utf-8"), re.MULTILINE)
    if uses_deepspeed and find_spec("deepspeed") is None:
        raise UserError(f"--launch {launch} uses DeepSpeed: run pip install deepspeed.")
    if processes is None and config != Path(launch):
        import torch

        processes = torch.cuda.device_count() or None
    count = [] if processes is None else ["--num_processes", str(processes)]
    head = [sys.executable, "-m", "accelerate.commands.launch", "--config_file", str(config)]
    return [*head, *count, "-m", "cdr_eval.harness", *arguments]


def relaunch(launch: str, processes: int | None, arguments: Sequence[str]) -> NoReturn:
    """Become that command."""
    command = launch_command(launch, processes, arguments)
    sys.stdout.flush()
    os.execv(command[0], command)
