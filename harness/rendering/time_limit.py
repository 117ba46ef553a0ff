"""A limit on the processor time of code that others wrote, in whatever thread it runs."""

import ctypes
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager

_POLL_SECONDS = 0.05


class OutOfTime(BaseException):
    """The limit was reached; no `except Exception` of the limited code can swallow it."""


@contextmanager
def cpu_limit(seconds: float) -> Generator[None]:
    """Raise OutOfTime in this thread once it has computed for so many seconds within the block.

    Waiting and suspension do not count where the system keeps a clock for each thread. What runs inside one call of
    compiled code is stopped when it returns.
    """
    clock, limited = _clock(), threading.get_ident()
    over, lock, fired = threading.Event(), threading.Lock(), False
    end = clock() + seconds

    def watch() -> None:
        nonlocal fired
        while not over.wait(min(_POLL_SECONDS, seconds)):
            with lock:
                if not over.is_set() and clock() >= end:
                    fired = True
                    _raise_in(limited, OutOfTime)
                    return

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        with lock:
            over.set()
            if fired:
                _raise_in(limited, None)  # takes back one that has not been raised yet


def _clock() -> Callable[[], float]:
    """The processor time of the calling thread, readable from others; that of the process where there is none."""
    if not hasattr(time, "pthread_getcpuclockid"):
        return time.process_time
    number = time.pthread_getcpuclockid(threading.get_ident())
    return lambda: time.clock_gettime(number)


def _raise_in(thread: int, error: type[BaseException] | None) -> None:
    """Have a thread raise an error before its next step; None takes back what it has not raised yet."""
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), ctypes.py_object(error) if error else None)
