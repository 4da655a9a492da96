"""Who may hand in until when, and what a late hand-in costs, kept as the grade book's due dates and marks are now.

nbgrader asks its late plug-in once, while it grades, and stores the number: a due date that moves, an extension or a
person's mark leave it as it was. `settle` asks again.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from nbgrader.api import Assignment, Gradebook, MissingEntry, SubmittedAssignment, SubmittedNotebook
from nbgrader.preprocessors import AssignLatePenalties
from sqlalchemy import or_
from traitlets.config import Config

from ..dates import in_utc
from ..feedback.markup import readable
from ..hand_in.finding import ClassError

FILE = "extensions.json"  # {lesson: {student: until when, in UTC}}


class Extensions:
    """Until when some students may hand in: dates, which stay when a due date moves, and which are there before
    anything is handed in. nbgrader's own field is a span of time, in the row of a hand-in.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / FILE

    @classmethod
    def beside(cls, gradebook: Gradebook, otherwise: Path) -> Extensions:
        """Those of a grade book, which lie in its folder; in the folder `otherwise` where it is no file."""
        place = gradebook.engine.url
        is_file = place.get_backend_name() == "sqlite" and place.database
        return cls(Path(place.database).parent if is_file else otherwise)

    def all(self) -> dict[str, dict[str, datetime]]:
        """By lesson and student. Raises `ClassError` where they cannot be read."""
        try:
            held = json.loads(self.path.read_text(encoding="utf-8"))
            return {
                lesson: {student: datetime.fromisoformat(until) for student, until in students.items()}
                for lesson, students in held.items()
            }
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, AttributeError, TypeError) as error:
            raise ClassError(f"{self.path} cannot be read ({readable(error, 100)}): mend it, or remove it") from None

    def grant(self, student: str, lesson: str, until: datetime | None) -> None:
        """Note that a student may hand in until then; None withdraws it."""
        held = self.all()
        students = held.setdefault(lesson, {})
        if until is None:
            students.pop(student, None)
        else:
            students[student] = until
        content = {name: {one: when.isoformat() for one, when in dates.items()} for name, dates in held.items()}
        half = self.path.with_suffix(".tmp")
        half.write_text(json.dumps(content, indent=1, sort_keys=True) + "\n", encoding="utf-8")
        half.replace(self.path)


def settle(
    gradebook: Gradebook,
    config: Config,
    extensions: Extensions,
    lesson: str | None = None,
    students: Iterable[str] | None = None,
) -> list[tuple[str, str]]:
    """Bring due dates, extensions and penalties to what holds now: of all hand-ins, or of a lesson's or some students'.

    A penalty is what the late plug-in of `config` answers for the whole score, a person's marks included: at least 0
    and at most that score. There is none without a due date, nor in time, nor where the plug-in answers None.

    Returns those, as (student, lesson), who have a due date and no time of handing in: they count as in time.

    Raises:
        ClassError: a due date of the settings is none; or the late plug-in fails, or answers no number, for some. Their
            penalties are as they were, all others are settled.
    """
    known = extensions.all()
    _set_due_dates(gradebook, config, lesson)
    query = (
        gradebook.db.query(SubmittedNotebook, SubmittedAssignment, Assignment, SubmittedNotebook.score)
        .join(SubmittedAssignment, SubmittedAssignment.id == SubmittedNotebook.assignment_id)
        .join(Assignment, Assignment.id == SubmittedAssignment.assignment_id)
        .filter(
            or_(
                Assignment.duedate.is_not(None),
                SubmittedAssignment.extension.is_not(None),
                SubmittedNotebook.late_submission_penalty.is_not(None),
            )
        )
    )
    if lesson is not None:
        query = query.filter(Assignment.name == lesson)
    if students is not None:
        query = query.filter(SubmittedAssignment.student_id.in_(list(students)))
    if not (found := query.all()):
        gradebook.db.commit()
        return []
    plugin = _plugin(config)
    timeless: dict[tuple[str, str], None] = {}
    wrong: list[str] = []
    for notebook, submission, assignment, score in found:
        _extend(submission, assignment, known)
        who = submission.student_id, assignment.name
        if assignment.duedate is not None and submission.timestamp is None:
            timeless[who] = None
        try:
            penalty = _penalty(plugin, who[0], score, submission.total_seconds_late)
        except Exception as error:
            wrong.append(f"{who[0]}, {who[1]} ({readable(f'{type(error).__name__}: {error}', 200)})")
            continue
        if notebook.late_submission_penalty != penalty:
            notebook.late_submission_penalty = penalty
    gradebook.db.commit()
    if wrong:
        more = f", and for {len(wrong) - 1} more" if len(wrong) > 1 else ""
        raise ClassError(
            f"the late plug-in {type(plugin).__name__} fails for {wrong[0]}{more}: earlier penalties stand"
        )
    return list(timeless)


def _set_due_dates(gradebook: Gradebook, config: Config, lesson: str | None) -> None:
    """Bring due dates to what the settings say, `c.Lessons.due = {lesson: date}`; of a lesson that they do not name,
    the grade book's own stands. Raises `ClassError` for what is no date.
    """
    for name, text in config.get("Lessons", {}).get("due", {}).items():
        if lesson is not None and name != lesson:
            continue
        try:
            due = None if text is None else in_utc(str(text), whole_day=True)
        except ValueError as error:
            raise ClassError(f"c.Lessons.due, {name}: {error}") from None
        for assignment in gradebook.db.query(Assignment).filter(Assignment.name == name):
            if assignment.duedate != due:
                assignment.duedate = due


def _extend(submission: SubmittedAssignment, assignment: Assignment, known: Mapping[str, Mapping[str, Any]]) -> None:
    """Bring nbgrader's own field to what `course extend` has noted; one that an instructor has set otherwise stays,
    but not without a due date, where nbgrader adds it to nothing and fails.
    """
    extension, until = submission.extension, known.get(assignment.name, {}).get(submission.student_id)
    if assignment.duedate is None:
        extension = None
    elif until is not None:
        extension = until - assignment.duedate if until > assignment.duedate else None
    if submission.extension != extension:
        submission.extension = extension


def _plugin(config: Config) -> Any:
    step = AssignLatePenalties(config=config)
    step.init_plugin()
    return step.plugin_inst


def _penalty(plugin: Any, student: str, score: float, late: float) -> float | None:
    if late <= 0:
        return None
    penalty = plugin.late_submission_penalty(student, score, late)
    if penalty is None:
        return None
    penalty = float(penalty)
    if math.isnan(penalty):
        raise ValueError("the penalty is no number")
    return min(max(penalty, 0.0), score)


def extend(
    gradebook: Gradebook, config: Config, extensions: Extensions, student: str, lesson: str, until: datetime | None
) -> str:
    """Let a student hand in until then, or withdraw that where it is None; returns what came of it.

    Raises:
        ClassError: the date is not after the due date; or as `settle` does.
    """
    duedate = gradebook.find_assignment(lesson).duedate if _has(gradebook.find_assignment, lesson) else None
    if until is not None and duedate is not None and until <= duedate:
        raise ClassError(f"{said(until)}, is not after the due date of {lesson}, {said(duedate)}")
    extensions.grant(student, lesson, until)
    what = f"{student} may hand in {lesson} until {said(until)}" if until else f"{student} has no extension of {lesson}"
    if duedate is None:
        what += "; the lesson has no due date yet"
    if not _has(gradebook.find_student, student):
        return f"{what}; nothing was handed in under this name so far"
    if not _has(gradebook.find_submission, lesson, student):
        return what
    submission = gradebook.find_submission(lesson, student)
    if until is None:
        submission.extension = None
    settle(gradebook, config, extensions, lesson, [student])
    if duedate is None or submission.timestamp is None:
        return what
    late = timedelta(seconds=submission.total_seconds_late)
    when = f"late by {late}, with a penalty of {submission.late_submission_penalty:g}" if late else "in time"
    return f"{what}; handed in on {said(submission.timestamp)}, {when}"


def _has(find: Callable[..., Any], *names: str) -> bool:
    try:
        find(*names)
    except MissingEntry:
        return False
    return True


def said(when: datetime) -> str:
    """A date as an instructor is told it: with a month that no country reads otherwise."""
    return f"{when:%A, %d %B %Y, %H:%M} UTC"
