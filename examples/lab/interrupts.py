"""Being interrupted once: the first signal stops the work, the next do not stop the stopping."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

SENTENCE = "interrupted; finished runs are kept, and the same command goes on from there"


class InterruptedBySignal(KeyboardInterrupt):
    """What an interrupt raises; knows the exit status that shells expect."""

    def __init__(self, number: int) -> None:
        super().__init__(SENTENCE)
        self.status = 128 + number


@contextmanager
def interruptible() -> Iterator[None]:
    """Let SIGINT and SIGTERM raise `InterruptedBySignal` in the block, the first of them alone."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    signals = signal.SIGINT, signal.SIGTERM

    def stop(number: int, frame: object) -> None:
        for each in signals:
            signal.signal(each, signal.SIG_IGN)
        raise InterruptedBySignal(number)

    before = [(each, signal.signal(each, stop)) for each in signals]
    try:
        yield
    finally:
        for each, handler in before:
            signal.signal(each, handler)
