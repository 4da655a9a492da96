"""`nbgrader export` to a table in which what was not graded is a gap, and no 0."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

from nbgrader.api import Assignment, Gradebook, MissingEntry, Student
from nbgrader.plugins import ExportPlugin

from ..grading.lateness import Extensions, settle

COLUMNS = (
    "assignment",
    "duedate",
    "timestamp",
    "student_id",
    "last_name",
    "first_name",
    "email",
    "raw_score",
    "late_submission_penalty",
    "score",
    "max_score",
)
FORMULA = "=+-@\t\r"


class CsvWithGaps(ExportPlugin):
    """nbgrader's columns, with penalties as they are now. Where the grade book holds no submission, time and scores
    stay empty: nothing was handed in, or it was not graded.
    """

    def export(self, gradebook: Gradebook) -> None:
        course = getattr(self.parent, "coursedir", None)
        settle(gradebook, self.config, Extensions.beside(gradebook, Path(course.root if course else "")))
        students, assignments = ([str(one) for one in chosen] for chosen in (self.student, self.assignment))
        with Path(self.to or "grades.csv").open("w", newline="", encoding="utf-8") as file:
            table = csv.DictWriter(file, COLUMNS, lineterminator="\n")
            table.writeheader()
            for assignment in gradebook.assignments:
                for student in gradebook.students:
                    wanted = not students or student.id in students
                    if wanted and (not assignments or assignment.name in assignments):
                        table.writerow(_row(gradebook, assignment, student))


def _row(gradebook: Gradebook, assignment: Assignment, student: Student) -> dict[str, Any]:
    row = {
        "assignment": _text(assignment.name),
        "duedate": assignment.duedate,
        "student_id": _text(student.id),
        "last_name": _text(student.last_name),
        "first_name": _text(student.first_name),
        "email": _text(student.email),
        "max_score": assignment.max_score,
    }
    try:
        submission = gradebook.find_submission(assignment.name, student.id)
    except MissingEntry:
        return row
    penalty = submission.late_submission_penalty
    score = max(0.0, submission.score - penalty)
    scores = {"raw_score": submission.score, "late_submission_penalty": penalty, "score": score}
    return {**row, **scores, "timestamp": submission.timestamp}


def _text(value: str | None) -> str | None:
    """A text that no spreadsheet takes for a formula."""
    return f"'{value}" if value and value[0] in FORMULA else value
