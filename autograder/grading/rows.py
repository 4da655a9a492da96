"""The rows that the grade book has of hand-ins: one for each cell that counts, but for those that a release lacked.

nbgrader makes them once, when something is handed in; a lesson that changes afterwards finds some missing, and some
that must not count. Its API reads and stores them one by one; here those of many hand-ins take a few statements.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import astuple, dataclass, field
from datetime import datetime
from typing import Any

from nbgrader.api import (
    Assignment,
    BaseCell,
    Comment,
    Grade,
    Gradebook,
    GradeCell,
    MissingEntry,
    Notebook,
    SolutionCell,
    Student,
    SubmittedAssignment,
    SubmittedNotebook,
    TaskCell,
    new_uuid,
)
from nbgrader.utils import parse_utc
from sqlalchemy import bindparam, delete, insert, select, update

from ..cells import grade_id, lacking

KINDS = ((Grade, (GradeCell, TaskCell)), (Comment, (SolutionCell, TaskCell)))  # as nbgrader's add_submission has it
GRADED, COMMENTED = ({cell.__name__ for cell in cells} for _, cells in KINDS)


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


@dataclass(slots=True)
class GradeRow:
    """What is read and written of a row of `grade`; one that is not stored yet has what nbgrader has by default."""

    cell_id: str
    auto_score: float | None = None
    manual_score: float | None = None
    needs_manual_grade: bool = True
    id: str = field(default_factory=new_uuid)


@dataclass(slots=True)
class CommentRow:
    """The same of a row of `comment`."""

    cell_id: str
    auto_comment: str | None = None
    manual_comment: str | None = None
    id: str = field(default_factory=new_uuid)


Row = GradeRow | CommentRow
TABLES: tuple[tuple[Any, type[Row]], ...] = ((Grade.__table__, GradeRow), (Comment.__table__, CommentRow))


class Rows:
    """Those of a notebook that was handed in, by their cells' names; `left_out` names those that shall not be there."""

    def __init__(self, identity: str) -> None:
        self.id = identity
        self.grades: dict[str, GradeRow] = {}
        self.comments: dict[str, CommentRow] = {}
        self.left_out: frozenset[str] = frozenset()
        self._before: dict[str, tuple[Any, ...]] = {}  # what is stored, by a row's id

    def add(self, name: str, row: Row, stored: bool = False) -> None:
        """Take up a row, which is `stored` already or not."""
        held: dict[str, Any] = self.grades if isinstance(row, GradeRow) else self.comments
        held[name] = row
        if stored:
            self._before[row.id] = astuple(row)

    def changes(self, kind: type[Row]) -> tuple[list[dict[str, Any]], list[dict[str, Any]], list[str]]:
        """Of one kind of row: the new ones and the changed ones, by their columns, and the ids of those to delete."""
        held: Mapping[str, Row] = self.grades if kind is GradeRow else self.comments
        new, changed, deleted = [], [], []
        for name, row in held.items():
            before = self._before.get(row.id)
            if name in self.left_out:
                deleted += [row.id] if before else []
            elif before is None:
                new.append({"notebook_id": self.id, **_columns(row)})
            elif before != astuple(row):
                changed.append({f"new_{column}": value for column, value in _columns(row).items()})
        return new, changed, deleted


def _columns(row: Row) -> dict[str, Any]:
    return {name: getattr(row, name) for name in row.__slots__}


def enter(gradebook: Gradebook, lesson: str, when: Mapping[str, datetime | None]) -> dict[str, dict[str, Rows]]:
    """Let the grade book know that these students have handed in a lesson, and when: None clears an earlier time.
    Returns their rows by student and notebook, those that are missing among them, for `store`.

    Raises `MissingEntry` where the grade book does not know the lesson.
    """
    session = gradebook.db
    if (assignment := session.execute(select(Assignment.id).where(Assignment.name == lesson)).scalar()) is None:
        raise MissingEntry(f"no such assignment: {lesson}")
    known = set(session.execute(select(Student.id).where(Student.id.in_(when))).scalars())
    _insert(session, Student.__table__, [{"id": student} for student in when if student not in known])
    made = {student: {"id": new_uuid(), "assignment_id": assignment, "student_id": student} for student in when}
    table = SubmittedAssignment.__table__
    columns = table.c.student_id, table.c.id, table.c.timestamp
    of_lesson = table.c.assignment_id == assignment, table.c.student_id.in_(when)
    there = {student: rest for student, *rest in session.execute(select(*columns).where(*of_lesson))}
    times = {student: parse_utc(date) for student, date in when.items()}
    new = [{**row, "timestamp": times[student]} for student, row in made.items() if student not in there]
    _insert(session, table, new)
    moved = [
        {"new_id": identity, "new_timestamp": times[student]}
        for student, (identity, before) in there.items()
        if before != times[student]
    ]
    _update(session, table, moved)
    whose = {**{row["id"]: row["student_id"] for row in new}, **{rest[0]: student for student, rest in there.items()}}
    notebooks = dict(
        session.execute(select(Notebook.id, Notebook.name).where(Notebook.assignment_id == assignment)).all()
    )
    rows = _of_first(session, notebooks, [row["id"] for row in new])
    if there:
        rows += _of_earlier(session, [rest[0] for rest in there.values()])
    found: dict[str, dict[str, Rows]] = {student: {} for student in when}
    cells = _cells(session, notebooks)
    for submission, notebook, held in rows:
        found[whose[submission]][notebooks[notebook]] = held
        for cell, name, kind in cells[notebook]:
            if kind in GRADED and name not in held.grades:
                held.add(name, GradeRow(cell))
            if kind in COMMENTED and name not in held.comments:
                held.add(name, CommentRow(cell))
    return found


def store(gradebook: Gradebook, rows: Iterable[Rows]) -> None:
    """Put into the grade book what is new or has changed, and take out what is left out."""
    rows = list(rows)
    for table, kind in TABLES:
        parts = [one.changes(kind) for one in rows]
        _insert(gradebook.db, table, [row for new, _, _ in parts for row in new])
        _update(gradebook.db, table, [row for _, changed, _ in parts for row in changed])
        if deleted := [identity for *_, some in parts for identity in some]:
            gradebook.db.execute(delete(table).where(table.c.id.in_(deleted)))


def _of_first(session: Any, notebooks: Iterable[str], submissions: Iterable[str]) -> list[tuple[str, str, Rows]]:
    """(submission, notebook, no rows yet) of hand-ins that are new."""
    made = [(submission, notebook, Rows(new_uuid())) for submission in submissions for notebook in notebooks]
    values = [{"id": rows.id, "notebook_id": notebook, "assignment_id": one} for one, notebook, rows in made]
    _insert(session, SubmittedNotebook.__table__, values)
    return made


def _of_earlier(session: Any, submissions: Iterable[str]) -> list[tuple[str, str, Rows]]:
    """(submission, notebook, the rows that are stored) of hand-ins that were there before."""
    table = SubmittedNotebook.__table__.c
    wanted = select(table.assignment_id, table.notebook_id, table.id).where(table.assignment_id.in_(submissions))
    found = [(submission, notebook, Rows(identity)) for submission, notebook, identity in session.execute(wanted)]
    rows = {one.id: one for *_, one in found}
    for own, kind in TABLES:
        columns = [own.c[name] for name in kind.__slots__]
        query = select(BaseCell.name, own.c.notebook_id, *columns).where(
            BaseCell.id == own.c.cell_id, own.c.notebook_id.in_(rows)
        )
        for row in session.execute(query):
            rows[row[1]].add(row[0], kind(*row[2:]), stored=True)
    return found


def _cells(session: Any, notebooks: Iterable[str]) -> dict[str, list[tuple[str, str, str]]]:
    """By notebook the (id, name, type) of the lesson's cells."""
    table = BaseCell.__table__.c
    found: dict[str, list[tuple[str, str, str]]] = {notebook: [] for notebook in notebooks}
    columns = table.notebook_id, table.id, table.name, table.type
    for notebook, *about in session.execute(select(*columns).where(table.notebook_id.in_(found))):
        found[notebook].append(tuple(about))
    return found


def _insert(session: Any, table: Any, rows: list[dict[str, Any]]) -> None:
    if rows:
        session.execute(insert(table), rows)


def _update(session: Any, table: Any, rows: list[dict[str, Any]]) -> None:
    """Of `rows` each key is a column's name after "new_", the id among them, which stays."""
    if rows:
        names = [name.removeprefix("new_") for name in rows[0]]
        values: dict[str, Any] = {name: bindparam(f"new_{name}") for name in names if name != "id"}
        session.connection().execute(update(table).where(table.c.id == bindparam("new_id")).values(values), rows)
