"""What a class has earned in a lesson, by the grade book: marks, and why there are none."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from nbgrader.api import Assignment, Gradebook, SubmittedAssignment, SubmittedNotebook

from ..hand_in.finding import ClassError, find_submissions
from .changes import Points, Standings

GRADED, WAITING, MISSING, NOT_GRADED, OPEN = "graded", "to be marked", "missing", "not graded", "open"


@dataclass(frozen=True)
class Earned:
    """Of one student in one lesson. `status`: "graded"; "to be marked" by a person, in part; "missing", with 0: nothing
    was handed in, and it should have been; "not graded": it was, and the grade book has no marks; "open": nothing was,
    and nothing is due. `worth` is the student's own maximum, without what their release lacked.
    """

    status: str
    raw: float | None = None
    penalty: float | None = None
    worth: float = 0.0
    when: datetime | None = None
    points: Mapping[str, Points] = field(default_factory=dict)

    @property
    def score(self) -> float | None:
        """The points that count; None where there is no mark."""
        return None if self.raw is None else max(0.0, self.raw - (self.penalty or 0.0))


def earned(gradebook: Gradebook, assignment: Assignment, handed_in: Set[tuple[str, str]]) -> dict[str, Earned]:
    """By student, for all whom the grade book knows. `handed_in`: (student, lesson) of what lies there."""
    lesson = assignment.name
    standings = Standings.now(gradebook, lesson).students
    rows = (
        gradebook.db.query(
            SubmittedAssignment.student_id,
            SubmittedAssignment.timestamp,
            SubmittedAssignment.needs_manual_grade,
            SubmittedNotebook.score,
            SubmittedNotebook.late_submission_penalty,
        )
        .join(SubmittedNotebook, SubmittedNotebook.assignment_id == SubmittedAssignment.id)
        .filter(SubmittedAssignment.assignment_id == assignment.id)
    )
    held = {}
    for student, when, waits, raw, penalty in rows:
        points = standings[student].points
        worth = sum(one.worth for one in points.values())
        held[student] = Earned(WAITING if waits else GRADED, raw, penalty or 0.0, worth, when, points)
    due = assignment.duedate
    is_due = due <= datetime.now(UTC).replace(tzinfo=None) if due else bool(held)
    rest = Earned(MISSING, 0.0, 0.0, assignment.max_score) if is_due else Earned(OPEN, worth=assignment.max_score)
    waiting = Earned(NOT_GRADED, worth=assignment.max_score)
    return {
        one.id: held.get(one.id) or (waiting if (one.id, lesson) in handed_in else rest) for one in gradebook.students
    }


def handed_in(submitted: Path, lessons: Iterable[str]) -> set[tuple[str, str]]:
    """(student, lesson) of what lies below the folder of hand-ins, be it gradable or not."""
    try:
        entries = find_submissions(submitted, [], list(lessons))
    except ClassError:
        return set()
    return {(entry.student, entry.lesson) for entry in entries}
