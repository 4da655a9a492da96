"""Keeps a warm template at hand: one that ended is replaced, and what was being graded with it is graded once more."""

from __future__ import annotations

import threading
from collections.abc import Callable

from ..guard.template import GraderBroken, Template
from .graded import Graded

TRIES = 2
SOON = 0.05  # seconds from the end of a template's submissions to its own


class Keeper:
    """Holds the template that `start` gives; usable from several threads."""

    def __init__(self, start: Callable[[], Template]) -> None:
        self._start, self._lock = start, threading.Lock()
        self._template = start()

    def grade(self, job: Callable[[Template], Graded]) -> Graded:
        """What `job` gives with a living template. Raises `GraderBroken` when two templates ended under it.

        A submission whose process went down with the template seems to have ended by itself: it is not blamed, but
        graded again.
        """
        for _ in range(TRIES):
            template = self.living()
            try:
                graded = job(template)
            except GraderBroken:
                template.ended(20 * SOON)  # so that it is not taken for alive below
                continue
            if not (graded.flags and template.ended(SOON)):
                return graded
        raise GraderBroken("the grading process ended, and so did the one that took its place")

    def living(self) -> Template:
        """The template, or another where it has ended."""
        with self._lock:
            if self._template.ended():
                self._template.__exit__()
                self._template = self._start()
            return self._template

    def close(self) -> None:
        """End the template."""
        self._template.__exit__()
