"""A limit on the processor time of code that others wrote."""

import signal
import threading
from collections.abc import Generator
from contextlib import contextmanager


class OutOfTime(BaseException):
    """The limit was reached; no `except Exception` of the limited code can swallow it."""


@contextmanager
def cpu_limit(seconds: float) -> Generator[None]:
    """Raise OutOfTime once the process has computed for so many seconds within the block.

    Waiting and suspension do not count. Only the main thread of a system with interval timers can be interrupted;
    elsewhere there is no limit.
    """
    if threading.current_thread() is not threading.main_thread() or not hasattr(signal, "setitimer"):
        yield
        return

    def stop(_signal: int, _frame: object) -> None:
        raise OutOfTime

    before = signal.signal(signal.SIGVTALRM, stop)
    signal.setitimer(signal.ITIMER_VIRTUAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)
