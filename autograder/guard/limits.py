"""How long and how much: the clock of a submission, and the limits of what it may use."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from ..sandbox.jail import Rlimits
from .supervisor import Totals

MAX_PATIENCE = 10.0  # a time limit grows to this many times itself while others have the processor
PAGE, MAX_PAGE = 0.1, 10.0  # of a submission's seconds, and seconds at most, that are kept for its page


class Clock:
    """The seconds a submission has left for all that is done for it before its page: those for which its process is
    waited for, and processor time of the thread that reads, cleans and checks. Time in which others kept one of the two
    from running does not count. Belongs to the thread that made it.
    """

    def __init__(self, seconds: float) -> None:
        self._begun, self._seconds = time.thread_time(), seconds
        self._most = time.monotonic() + seconds * MAX_PATIENCE
        self._waited, self._since = 0.0, math.nan  # seconds idle for its process; since when, while it is waited for

    def left(self) -> float:
        """Seconds left, negative when over."""
        now = time.monotonic()
        waited = self._waited if math.isnan(self._since) else self._waited + self._idle() - self._since
        return min(self._seconds - waited - (time.thread_time() - self._begun), self._most - now)

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """A block in which the submission's process is waited for; within another such block it changes nothing."""
        if not math.isnan(self._since):
            yield
            return
        self._since = self._idle()
        try:
            yield
        finally:
            self._waited += self._idle() - self._since
            self._since = math.nan

    def extend(self, seconds: float) -> None:
        """Give back time in which the submission could not run."""
        self._waited -= seconds

    @staticmethod
    def _idle() -> float:
        """A clock that stands while this thread runs."""
        return time.monotonic() - time.thread_time()


@dataclass(frozen=True)
class Limits:
    """What a submission may use. A cell or call over its seconds is interrupted, and `grace` seconds later ended."""

    cell: float = 30.0
    call: float = 10.0
    submission: float = 300.0
    grace: float = 2.0
    each: Rlimits = Rlimits()  # noqa: RUF009  (frozen)
    all: Totals = Totals()  # noqa: RUF009  (frozen)

    def clock(self) -> Clock:
        """The clock of a submission that is begun now."""
        return Clock(self.submission - self.page)

    @property
    def page(self) -> float:
        """Seconds of a submission's that are kept for its page, whatever its cells and calls take."""
        return min(PAGE * self.submission, MAX_PAGE)
