"""Which cells of a hand-in the grade book has rows for: all, but those of what its release lacked.

nbgrader makes the rows once, when something is handed in; a lesson that changes afterwards finds some missing, and some
that must not count.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from nbgrader.api import (
    Assignment,
    BaseCell,
    Comment,
    Grade,
    Gradebook,
    GradeCell,
    Notebook,
    SolutionCell,
    SubmittedAssignment,
    SubmittedNotebook,
    TaskCell,
    new_uuid,
)
from nbgrader.utils import parse_utc
from sqlalchemy import and_, insert, select

from ..cells import grade_id, lacking

KINDS = ((Grade, (GradeCell, TaskCell)), (Comment, (SolutionCell, TaskCell)))  # as nbgrader's add_submission has it


def complete(gradebook: Gradebook, held: SubmittedNotebook) -> None:
    """Add the rows that are missing, with nothing in them."""
    added = False
    for kind, cells in KINDS:
        there = {row.cell_id for row in getattr(held, f"{kind.__name__.lower()}s")}
        for cell in held.notebook._base_cells:
            if isinstance(cell, cells) and cell.id not in there:
                gradebook.db.add(kind(cell_id=cell.id, notebook_id=held.id))
                added = True
    if added:
        gradebook.db.commit()
        gradebook.db.expire(held)


def leave_out(gradebook: Gradebook, held: SubmittedNotebook, cells: Iterable[Mapping[str, Any]]) -> None:
    """Delete the rows of those `cells` that are noted as lacking."""
    names = {grade_id(cell) for cell in cells if lacking(cell)}  # type: ignore[arg-type]
    if not names:
        return
    session = gradebook.db
    for kind, _ in KINDS:
        rows = session.query(kind).join(BaseCell, BaseCell.id == kind.cell_id)
        for row in rows.filter(kind.notebook_id == held.id, BaseCell.name.in_(names)).all():
            session.delete(row)
    session.commit()
    session.expire(held)


class Rows:
    """The grade book as SaveAutoGrades sees it: the rows of one submission, by their cells' names. They are stored when
    its transaction ends.
    """

    def __init__(self, grades: dict[str, Any], comments: dict[str, Any]) -> None:
        self.grades, self.comments = grades, comments
        self.db = self

    @classmethod
    def of(cls, gradebook: Gradebook, held: str) -> Rows:
        """Those of a hand-in that the grade book knows: two queries instead of one for every cell."""
        cells = BaseCell.id
        grades = gradebook.db.query(BaseCell.name, Grade).filter(Grade.cell_id == cells, Grade.notebook_id == held)
        comments = gradebook.db.query(BaseCell.name, Comment)
        return cls(dict(grades), dict(comments.filter(Comment.cell_id == cells, Comment.notebook_id == held)))

    def find_grade(self, cell: str, *_: str) -> Any:
        return self.grades[cell]

    def find_comment(self, cell: str, *_: str) -> Any:
        return self.comments[cell]

    def commit(self) -> None:
        """Later, with everything else."""


@dataclass
class NewGrade:
    """A row of `grade` that is not stored yet, with what nbgrader has by default."""

    cell_id: str
    auto_score: float | None = None
    manual_score: float | None = None
    needs_manual_grade: bool = True


@dataclass
class NewComment:
    """A row of `comment` that is not stored yet."""

    cell_id: str
    auto_comment: str | None = None


class FirstRows(Rows):
    """Those of a student's first hand-in of a lesson, which the grade book does not hold yet. They go there in a few
    statements, where nbgrader's API makes an object for each, stores it empty, reads it again, and stores it filled.
    """

    def __init__(self, held: str, cells: Iterable[tuple[str, str, str]]) -> None:
        super().__init__({}, {})
        self._held = held
        for identity, name, kind in cells:
            if kind in ("GradeCell", "TaskCell"):
                self.grades[name] = NewGrade(identity)
            if kind in ("SolutionCell", "TaskCell"):
                self.comments[name] = NewComment(identity)

    def store(self, gradebook: Gradebook, cells: Iterable[Mapping[str, Any]] = ()) -> None:
        """Put them into the grade book, all but those of the `cells` that are noted as lacking."""
        names = {grade_id(cell) for cell in cells if lacking(cell)}  # type: ignore[arg-type]
        for kind, rows in ((Grade, self.grades), (Comment, self.comments)):
            values = [{**asdict(row), "notebook_id": self._held} for name, row in rows.items() if name not in names]
            if values:
                gradebook.db.execute(insert(kind.__table__), values)


def first_rows(gradebook: Gradebook, lesson: str, student: str, when: datetime | None) -> dict[str, FirstRows]:
    """By notebook the rows of a hand-in of a known student, which is entered; none where there has been one before, or
    the grade book does not know the lesson.
    """
    session, ours = gradebook.db, SubmittedAssignment.student_id == student
    found = session.execute(
        select(Assignment.id, SubmittedAssignment.id)
        .outerjoin(SubmittedAssignment, and_(SubmittedAssignment.assignment_id == Assignment.id, ours))
        .where(Assignment.name == lesson)
    ).one_or_none()
    if found is None or found[1] is not None:
        return {}
    about = {"id": new_uuid(), "assignment_id": found[0], "student_id": student, "timestamp": parse_utc(when)}
    session.execute(insert(SubmittedAssignment.__table__), about)
    cells, made = BaseCell.__table__.c, {}
    for notebook, name in session.execute(select(Notebook.id, Notebook.name).where(Notebook.assignment_id == found[0])):
        own = session.execute(select(cells.id, cells.name, cells.type).where(cells.notebook_id == notebook)).all()
        made[name] = FirstRows(new_uuid(), own)
        held = {"id": made[name]._held, "notebook_id": notebook, "assignment_id": about["id"]}
        session.execute(insert(SubmittedNotebook.__table__), held)
    return made
