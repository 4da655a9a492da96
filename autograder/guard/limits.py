"""How long and how much: the clock of a submission, and the limits of what it may use."""

from __future__ import annotations

import time
from dataclasses import dataclass

from ..sandbox.jail import Rlimits
from .supervisor import Totals

MAX_PATIENCE = 10.0  # a time limit grows to this many times itself while others have the processor
PAGE, MAX_PAGE = 0.1, 10.0  # of a submission's seconds, and seconds at most, that are kept for its page


class Clock:
    """The seconds a submission has left for all that is done for it before its page; time in which other processes
    kept it from running does not count.
    """

    def __init__(self, seconds: float) -> None:
        self._most = time.monotonic() + seconds * MAX_PATIENCE
        self._end = time.monotonic() + seconds

    def left(self) -> float:
        """Seconds left, negative when over."""
        return self._end - time.monotonic()

    def extend(self, seconds: float) -> None:
        """Give back time in which the submission could not run."""
        self._end = min(self._end + seconds, self._most)


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
