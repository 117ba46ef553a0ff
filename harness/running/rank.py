"""One of the processes that share a model: python -m cdr_eval.harness.running.rank ADDRESS, started by torchrun.

It does what the driver says, unit after unit; all ranks are told the same, so that they compute the same passes.
"""

import os
import sys
from multiprocessing.connection import Client
from typing import Any

from ...errors import UserError
from ..scoring.memory import is_out_of_memory
from .rank_group import OutOfMemory, Refused
from .unit_queue import Job


def main() -> None:
    """Answer until the driver hangs up. Rank 0's answers count, of the others only whether they could."""
    rank = int(os.environ["RANK"])
    with Client(sys.argv[1], authkey=bytes.fromhex(os.environ["CDR_RANK_KEY"])) as driver:
        driver.send(rank)
        answer: Any = None
        while True:
            try:
                asked: tuple[Job | None, Any] = driver.recv()
            except EOFError:
                os._exit(0)  # others may wait in a pass for this one
            job, unit = asked
            try:
                if job is not None:
                    answer = None
                    answer = job.open()
                    driver.send(None)
                else:
                    found = answer(unit)
                    driver.send(found if rank == 0 else None)
            except UserError as error:
                driver.send(Refused(str(error)))
            except Exception as error:
                if not is_out_of_memory(error):
                    raise
                driver.send(OutOfMemory(getattr(answer, "batch_tokens", None)))


if __name__ == "__main__":
    main()
