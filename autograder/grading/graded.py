"""What came of one submission."""

from __future__ import annotations

import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nbformat import NotebookNode

from ..exercise import Exercise
from ..feedback.filling import Body
from ..feedback.markup import readable
from ..marks import Mark, Outcome, score
from .finished import Sheet

GRADED, FAILED, NOT_GRADED, REMOVED = "graded", "failed", "not graded", "removed"


@dataclass(frozen=True)
class Graded:
    """The outcome for one submission. `notebook` is what goes into `autograded/`; None where there was nothing to
    grade, or `sheet` is there in its place. `left`: seconds of the submission's own that its page may take; `body`:
    that page, but for what the grade book says.

    "failed" is the submission's own fault, such as a file that is no notebook, and earns nothing. "not graded" may be
    ours: there are no marks, and whatever an earlier run has stored stands. "removed" is whoever was removed from the
    grade book.
    """

    student: str
    lesson: str
    status: str  # "graded" | "failed" | "not graded" | "removed"
    seconds: float
    flags: tuple[str, ...]
    marks: tuple[Mark, ...]
    notebook: NotebookNode | None
    left: float = 0.0
    body: Body | None = None
    sheet: Sheet | None = None

    @property
    def points(self) -> float:
        """Points earned by machine-graded exercises."""
        return round(sum(score(mark) for mark in self.marks), 2)

    @property
    def max_points(self) -> float:
        """Points there were to earn."""
        return round(sum(mark.max_points for mark in self.marks), 2)

    def public(self) -> dict[str, Any]:
        """As JSON: see README, "Grading from a script"."""
        return {
            "student": self.student,
            "lesson": self.lesson,
            "status": self.status,
            "seconds": round(self.seconds, 3),
            "flags": list(self.flags),
            "exercises": [mark.public() for mark in self.marks],
        }

    @classmethod
    def from_public(cls, held: dict[str, Any]) -> Graded:
        """The inverse of `public`, without the notebook."""
        marks = tuple(
            Mark(**{**mark, "outcomes": tuple(Outcome(**outcome) for outcome in mark["outcomes"])})
            for mark in held["exercises"]
        )
        about = {key: held[key] for key in ("student", "lesson", "status", "seconds")}
        return cls(**about, flags=tuple(held["flags"]), marks=marks, notebook=None)


def failed(student: str, lesson: str, exercises: Mapping[str, Exercise], reason: str, seconds: float) -> Graded:
    """A submission that could not be graded: nothing for every exercise, with the reason."""
    marks = tuple(Mark(e.name, 0.0, e.points, False, None, f"Not graded: {reason}.", ()) for e in exercises.values())
    return Graded(student, lesson, FAILED, seconds, (reason,), marks, None)


def not_graded(student: str, lesson: str, reason: BaseException | str, seconds: float = 0.0) -> Graded:
    """A submission that could not be graded although it may be in order: no marks, so that earlier ones stand."""
    if isinstance(reason, BaseException):
        frames = traceback.extract_tb(reason.__traceback__)
        where = f", in {Path(frames[-1].filename).name} line {frames[-1].lineno}" if frames else ""
        reason = f"{type(reason).__name__}: {reason}"[:300] + where
    return Graded(student, lesson, NOT_GRADED, seconds, (readable(f"not graded: {reason}", 400),), (), None)
