"""Runs `cdr-eval` commands in forked processes, and ends some of them; a script of its own, started by `rounds.py`.

Imports take longer than the small grids of these tests do, so they are done once. Each line on standard input is a JSON
list of jobs, which run at the same time; the answer is a JSON list of [exit code or −signal, output].

A job: {"argv": [...], "kill_at": n, "under": [folders], "kill_after": seconds}. `kill_at`
ends the process just before its n-th change of a file in one of the folders, without any clean-up; `kill_after` is a
SIGKILL; `largest_file` fails writes beyond so many bytes, as a full disk does.
"""

import json
import os
import resource
import signal
import sys
import time
from importlib import import_module
from typing import Any

CRASHED = 70
KILLED = 99
_CHANGES = {"os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.link", "os.truncate"}


def _kill_at(step: int, folders: list[str]) -> None:
    """End the process before its `step`-th change (from 1) of a file in the folders."""
    left = step

    def watch(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal left
        if event == "open":
            path, _, flags = arguments
            changes = isinstance(flags, int) and flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
        else:
            path, changes = arguments[0] if arguments else None, event in _CHANGES
        if changes and isinstance(path, (str, bytes, os.PathLike)) and os.fsdecode(path).startswith(tuple(folders)):
            left -= 1
            if left == 0:
                os._exit(KILLED)

    sys.addaudithook(watch)


def _run(job: dict[str, Any], output: int) -> None:
    """The forked process; what it prints goes to a pipe, which no limit on files touches."""
    code = CRASHED
    try:
        os.dup2(output, 1)
        os.dup2(output, 2)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        if job.get("kill_at"):
            _kill_at(job["kill_at"], job["under"])
        if "largest_file" in job:
            resource.setrlimit(resource.RLIMIT_FSIZE, (job["largest_file"],) * 2)
        sys.argv = ["cdr-eval", *job["argv"]]
        sys.stdout = os.fdopen(1, "w", closefd=False)
        sys.stderr = os.fdopen(2, "w", closefd=False)
        import_module("cdr_eval.harness.cli.main").main()
        code = 0
    except SystemExit as stop:
        code = int(stop.code or 0)
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _all(jobs: list[dict[str, Any]]) -> list[tuple[int, str]]:
    started: list[tuple[int, int, float, dict[str, Any]]] = []
    for job in jobs:
        reading, writing = os.pipe()
        pid = os.fork()
        if pid == 0:
            _run(job, writing)
        os.close(writing)
        started.append((pid, reading, time.monotonic(), job))
    ended: list[tuple[int, str]] = []
    for pid, reading, since, job in started:
        if "kill_after" in job:
            time.sleep(max(0.0, since + job["kill_after"] - time.monotonic()))
            os.kill(pid, signal.SIGKILL)
        _, status = os.waitpid(pid, 0)
        with os.fdopen(reading, encoding="utf-8") as output:
            ended.append((os.waitstatus_to_exitcode(status), output.read()))
    return ended


def main() -> None:
    os.environ |= {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
    for module in (
        "evaluate",
        "session",
        "running.scoring_run",
        "cli.main",
        "scoring.shared_prefix",
        "running.store_upkeep",
    ):
        import_module(f"cdr_eval.harness.{module}")
    for module in ("run_format.results", "write", "figures", "html"):
        import_module(f"cdr_eval.reports.{module}")
    from cdr_eval.harness.rendering import chat
    from cdr_eval.harness.running import claims, runner, work_units

    # A small grid in many small steps: a unit of some responses, each written at once.
    runner.CHUNK_SECONDS, runner.POLL_SECONDS, claims.BEAT_SECONDS, claims.DEAD_SECONDS = 0.0, 0.05, 0.1, 2.0
    work_units.UNIT_TOKENS["cpu"] = 800
    chat._RENDER_SECONDS = 1.0
    import_module("transformers.models.llama.modeling_llama")
    print("ready", flush=True)
    for line in sys.stdin:
        print(json.dumps(_all(json.loads(line))), flush=True)


if __name__ == "__main__":
    main()
