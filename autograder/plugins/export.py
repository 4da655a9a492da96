"""`nbgrader export` to tables: quoted, rounded, without formulas, with 0 for who handed in nothing, and penalties as
they are now.

`CsvWithGaps` is nbgrader's own table with two columns more. `Canvas` and `Moodle` are what these platforms import.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from nbgrader.api import Assignment, Gradebook, Student
from nbgrader.plugins import ExportPlugin
from traitlets import Bool, Unicode

from .. import spreadsheet
from ..grading.earned import Earned, earned, handed_in
from ..grading.lateness import Extensions, settle

DIGITS = 2
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
    "status",
)


class Table(ExportPlugin):
    """What these exports have in common: who and what is chosen, and what has been earned."""

    default = "grades.csv"
    exercises = Bool(False, help="with the points of each exercise").tag(config=True)

    def export(self, gradebook: Gradebook) -> None:
        """Write the table to `--to`."""
        course = getattr(self.parent, "coursedir", None)
        extensions = Extensions.beside(gradebook, Path(course.root if course else ""))
        settle(gradebook, self.config, extensions)
        root = Path(course.root) if course else extensions.path.parent
        submitted = root / (course.submitted_directory if course else "submitted")
        students, lessons = ([str(one) for one in chosen] for chosen in (self.student, self.assignment))
        who = [one for one in gradebook.students if not students or one.id in students]
        chosen = [one for one in gradebook.assignments if not lessons or one.name in lessons]
        there = handed_in(submitted, [one.name for one in chosen])
        marks = {one.name: earned(gradebook, one, there) for one in chosen}
        spreadsheet.write(Path(self.to or self.default), self.rows(who, chosen, marks))

    def rows(
        self, students: list[Student], lessons: list[Assignment], marks: Mapping[str, Mapping[str, Earned]]
    ) -> Iterator[list[Any]]:
        """The table, its head first; `marks` by lesson and student."""
        raise NotImplementedError


class CsvWithGaps(Table):
    """nbgrader's columns and `status` (`grading.earned` has the words): a row for each lesson and student. Where there
    is no mark, though something was handed in or nothing is due, scores stay empty. `max_score` is the student's own.
    """

    def rows(
        self, students: list[Student], lessons: list[Assignment], marks: Mapping[str, Mapping[str, Earned]]
    ) -> Iterator[list[Any]]:
        """As `Table.rows`."""
        names = _exercises(marks[lesson.name] for lesson in lessons) if self.exercises else []
        yield [*COLUMNS, *names]
        for lesson in lessons:
            for student in students:
                one = marks[lesson.name][student.id]
                about = [lesson.name, lesson.duedate, one.when, student.id]
                about += [student.last_name, student.first_name, student.email]
                scores = [_rounded(value) for value in (one.raw, one.penalty, one.score, one.worth)]
                yield [*about, *scores, one.status, *(_points(one, name) for name in names)]


class Platform(Table):
    """One row for each student, one column for each lesson. A platform knows one maximum for all: the points of a
    student whose release lacked an exercise are scaled up to it, so that it is not held against them here either.
    """

    def columns(self, lessons: list[Assignment], marks: Mapping[str, Mapping[str, Earned]]) -> list[tuple[str, str]]:
        """(lesson, exercise), "" for the lesson itself."""
        found = []
        for lesson in lessons:
            found.append((lesson.name, ""))
            if self.exercises:
                found += [(lesson.name, name) for name in _exercises([marks[lesson.name]])]
        return found


class Canvas(Platform):
    """Canvas's gradebook: Grades, Import. Its columns `ID` and `SIS Login ID` are those of the roster."""

    default = "grades-canvas.csv"
    section = Unicode("", help="what stands in the column Section").tag(config=True)

    def rows(
        self, students: list[Student], lessons: list[Assignment], marks: Mapping[str, Mapping[str, Earned]]
    ) -> Iterator[list[Any]]:
        """As `Table.rows`."""
        columns = self.columns(lessons, marks)
        most = {lesson.name: lesson.max_score for lesson in lessons}
        yield ["Student", "ID", "SIS User ID", "SIS Login ID", "Section", *(" ".join(one).strip() for one in columns)]
        worth = [most[lesson] if not name else _most(marks[lesson], name) for lesson, name in columns]
        yield ["    Points Possible", "", "", "", "", *map(_rounded, worth)]
        for student in students:
            name = ", ".join(filter(None, (student.last_name, student.first_name))) or student.id
            about = [name, student.lms_user_id, "", student.id, self.section]
            yield [*about, *(_cell(marks[lesson][student.id], name, most[lesson]) for lesson, name in columns)]


class Moodle(Platform):
    """Moodle's grades: Import, CSV file; map by `Username`, `ID number` or `Email address`, and a lesson's status to
    its feedback.
    """

    default = "grades-moodle.csv"

    def rows(
        self, students: list[Student], lessons: list[Assignment], marks: Mapping[str, Mapping[str, Earned]]
    ) -> Iterator[list[Any]]:
        """As `Table.rows`."""
        columns = self.columns(lessons, marks)
        status = [f"{lesson.name} status" for lesson in lessons]
        about = ["Username", "ID number", "First name", "Last name", "Email address"]
        yield [*about, *(" ".join(one).strip() for one in columns), *status]
        most = {lesson.name: lesson.max_score for lesson in lessons}
        for student in students:
            about = [student.id, student.lms_user_id, student.first_name, student.last_name, student.email]
            cells = [_cell(marks[lesson][student.id], name, most[lesson]) for lesson, name in columns]
            yield [*about, *cells, *(marks[lesson.name][student.id].status for lesson in lessons)]


def _exercises(lessons: Any) -> list[str]:
    """The exercises and questions that anybody has points of, lesson by lesson, by name."""
    return list(
        dict.fromkeys(name for marks in lessons for name in sorted({n for one in marks.values() for n in one.points}))
    )


def _most(marks: Mapping[str, Earned], name: str) -> float:
    return max(one.points[name].worth for one in marks.values() if name in one.points)


def _points(one: Earned, name: str) -> float | None:
    return _rounded(one.points[name].score) if name in one.points else None


def _cell(one: Earned, name: str, most: float) -> float | None:
    """The points of an exercise, or, for "", of the lesson, out of `most`."""
    if name:
        return _points(one, name)
    if one.score is None or not one.worth:
        return one.score
    return _rounded(one.score * most / one.worth)


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, DIGITS)
