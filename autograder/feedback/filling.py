"""A page in two halves: what a notebook comes to, with gaps, and what the grade book has to say in them.

The first half is rendered once, by whoever graded the notebook. The second is a few strings, so that a page follows
every mark, comment and penalty at once.
"""

from __future__ import annotations

import itertools
import json
import secrets
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from nbformat import NotebookNode
from nbgrader.api import (
    Assignment,
    BaseCell,
    Comment,
    Grade,
    Gradebook,
    MissingEntry,
    Notebook,
    SubmittedAssignment,
    SubmittedNotebook,
)
from sqlalchemy import select

from ..cells import exercise_graded_in, grade_id, lacking, nbgrader, open_to_students, verdict
from ..nodes import node
from .page import in_box, marks_template

HINTS = "<details><summary>Hint"  # how a cell of hints begins
WAITS, BY_HAND = "Still to be marked by a person.", "Marked by a person."
Render = Callable[[NotebookNode, str], str]  # a notebook and a token, to a page with that token around each gap's name


@dataclass(frozen=True)
class Row:
    """A line of the page's table: an exercise, or a written question, whose cell `to` has the points.

    `message` says what became of an exercise, `hints` whether there are some to look at; a question has neither.
    """

    name: str
    cell: str
    to: str
    message: str = ""
    hints: bool = False
    by_hand: bool = False


@dataclass(frozen=True)
class Body:
    """The first half: HTML and gaps' names by turns, and the table's rows. `refused` says why there is none. What is
    this long is kept as bytes.
    """

    parts: tuple[bytes, ...] = ()
    rows: tuple[Row, ...] = ()
    refused: str = ""

    @classmethod
    def of(cls, notebook: NotebookNode, render: Render) -> Body:
        """What `render` makes of a notebook that holds its verdicts. The gaps are marked by a token drawn now, which
        nothing in the notebook can have known.
        """
        notebook = node(notebook, cells=list(notebook.cells))
        rows = tuple(_rows(notebook.cells))
        token = secrets.token_hex(16)
        return cls(tuple(in_bytes(part) for part in render(notebook, token).split(token)), rows)

    def written(self) -> tuple[bytes, ...]:
        """As a file holds it, in pieces: a line of JSON with the lengths of the parts, and the parts as they are."""
        rows, lengths = [asdict(row) for row in self.rows], [len(part) for part in self.parts]
        head = json.dumps({"lengths": lengths, "rows": rows, "refused": self.refused})
        return (f"{head}\n".encode(), *self.parts)

    @classmethod
    def read(cls, content: bytes) -> Body:
        """The inverse. Raises ValueError, KeyError or TypeError where it is none."""
        head, _, rest = content.partition(b"\n")
        held = json.loads(head)
        ends = list(itertools.accumulate(held["lengths"], initial=0))
        if len(rest) != ends[-1]:
            raise ValueError("half a page")
        parts = tuple(rest[start:end] for start, end in itertools.pairwise(ends))
        return cls(parts, tuple(Row(**row) for row in held["rows"]), held["refused"])


@dataclass(frozen=True)
class Said:
    """What the grade book says of a submission: by a cell's name its score, the points it is worth, whether it waits
    for a person and whether a person has marked it; comments; and in all.
    """

    cells: Mapping[str, tuple[float, float, bool, bool]]
    comments: Mapping[str, str | None] = field(default_factory=dict)
    late_penalty: float = 0.0

    @property
    def about(self) -> dict[str, float]:
        """The head's numbers."""
        score = sum(points for points, *_ in self.cells.values())
        return {
            "score": score - self.late_penalty,
            "max_score": sum(most for _, most, *_ in self.cells.values()),
            "late_penalty": self.late_penalty,
            "waiting": sum(most for _, most, waits, _ in self.cells.values() if waits),
        }

    @classmethod
    def by(cls, gradebook: Gradebook, lesson: str, name: str, students: Iterable[str]) -> dict[str, Said]:
        """By student, in three queries of a grade book that is open, where nbgrader's GetGrades has two for every cell
        of one that it opens anew: the time of a large class is the time of its one writer. Raises `MissingEntry`.
        """
        students, session = list(students), gradebook.db
        hand_in, late = SubmittedAssignment, SubmittedNotebook.late_submission_penalty
        held = session.execute(
            select(hand_in.student_id, SubmittedNotebook.id, SubmittedNotebook.notebook_id, late)
            .join(hand_in, hand_in.id == SubmittedNotebook.assignment_id)
            .join(Assignment, Assignment.id == hand_in.assignment_id)
            .join(Notebook, Notebook.id == SubmittedNotebook.notebook_id)
            .where(Assignment.name == lesson, Notebook.name == name, hand_in.student_id.in_(students))
        ).all()
        if missing := set(students) - {row.student_id for row in held}:
            raise MissingEntry(f"no such hand-in: {name}, {lesson}, {min(missing)}")
        notebooks = {row.id: row.student_id for row in held}
        cells: dict[str, dict[str, tuple[float, float, bool, bool]]] = {student: {} for student in students}
        comments: dict[str, dict[str, str | None]] = {student: {} for student in students}
        graded = select(
            *(BaseCell.name, Grade.notebook_id, Grade.score, Grade.max_score),
            *(Grade.needs_manual_grade, Grade.manual_score),
        ).where(Grade.cell_id == BaseCell.id, Grade.notebook_id.in_(notebooks))
        for cell, notebook, score, most, waits, by_hand in session.execute(graded):
            cells[notebooks[notebook]][cell] = (score, most, waits, by_hand is not None)
        commented = select(BaseCell.name, Comment.notebook_id, Comment.comment).where(
            Comment.cell_id == BaseCell.id, Comment.notebook_id.in_(notebooks)
        )
        for cell, notebook, comment in session.execute(commented):
            comments[notebooks[notebook]][cell] = comment
        return {
            row.student_id: cls(cells[row.student_id], comments[row.student_id], row.late_submission_penalty or 0.0)
            for row in held
        }


def filled(body: Body, name: str, said: Said) -> tuple[bytes, ...]:
    """The page of the notebook `name`, in pieces."""
    template = marks_template()
    pieces = list(body.parts)
    for place in range(1, len(pieces), 2):
        what, _, cell = pieces[place].decode().partition(" ")
        if what == "head":
            text = template.head(name, said.about)
        elif what == "table":
            text = template.table([_line(row, said) for row in body.rows])
        elif what == "score":
            text = template.score(*said.cells.get(cell, (0.0, 0.0))[:2])
        else:
            comment = said.comments.get(cell)
            text = template.comment(in_box(comment)) if comment else ""
        pieces[place] = in_bytes(text)
    return tuple(pieces)


def in_bytes(text: str) -> bytes:
    """A text as a page's file holds it: what no encoding knows is a question mark."""
    return text.encode("utf-8", "replace")


def _line(row: Row, said: Said) -> dict[str, Any]:
    points, most, waits, by_hand = said.cells.get(row.cell, (0.0, 0.0, False, False))
    message = row.message
    if row.by_hand:
        message = WAITS if waits else BY_HAND
    elif by_hand:
        message = f"{BY_HAND} {message}".strip()
    about = {"name": row.name, "to": row.to, "points": points, "max_points": most, "message": message}
    return {**about, "hints": row.hints}


def _rows(cells: list[NotebookNode]) -> list[Row]:
    """A row for each exercise and written question that counts, in the order of the notebook. In the place of a cell of
    hints comes one with its exercise's name, so that its row can point to it.
    """
    exercises = {name: verdict(cell) for cell in cells if (name := exercise_graded_in(cell))}
    rows: list[Row] = []
    hints: set[str] = set()
    above = ""
    for index, cell in enumerate(cells):
        if lacking(cell):
            continue
        meta, name = nbgrader(cell), grade_id(cell)
        above = name if open_to_students(cell) else above
        if cell.cell_type == "markdown" and not meta and above in exercises and cell.source.startswith(HINTS):
            cells[index] = node(cell, metadata=node(cell.metadata, hints_of=above))
            hints.add(above)
        if exercise := exercise_graded_in(cell):
            passed, message = exercises[exercise]
            rows.append(Row(exercise, name, name, message, exercise in hints and not passed))
        elif meta.get("task"):
            rows.append(Row(name, name, f"comment-{name}", by_hand=True))
    return rows
