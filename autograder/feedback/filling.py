"""A page in two halves: what a notebook comes to, with gaps, and what the grade book has to say in them.

The first half is rendered once, by whoever graded the notebook. The second is a few strings, so that a page follows
every mark, comment and penalty at once.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from nbformat import NotebookNode
from nbgrader.api import BaseCell, Comment, Grade, Gradebook

from ..cells import exercise_graded_in, grade_id, lacking, nbgrader, open_to_students, verdict
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
    """The first half: HTML and gaps' names by turns, and the table's rows. `refused` says why there is none."""

    parts: tuple[str, ...] = ()
    rows: tuple[Row, ...] = ()
    refused: str = ""

    @classmethod
    def of(cls, notebook: NotebookNode, render: Render) -> Body:
        """What `render` makes of a notebook that holds its verdicts. The gaps are marked by a token drawn now, which
        nothing in the notebook can have known.
        """
        rows = tuple(_rows(notebook))
        token = secrets.token_hex(16)
        return cls(tuple(render(notebook, token).split(token)), rows)

    def text(self) -> str:
        """As JSON."""
        rows = [asdict(row) for row in self.rows]
        return json.dumps({"parts": self.parts, "rows": rows, "refused": self.refused}, ensure_ascii=False)

    @classmethod
    def from_json(cls, held: dict[str, Any]) -> Body:
        """The inverse, of what has been read. Raises KeyError or TypeError where it is none."""
        return cls(tuple(held["parts"]), tuple(Row(**row) for row in held["rows"]), held["refused"])


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
    def by(cls, gradebook: Gradebook, student: str, lesson: str, name: str) -> Said:
        """Three queries of a grade book that is open, where nbgrader's GetGrades has two for every cell of one that it
        opens anew: the time of a large class is the time of its one writer. Raises `MissingEntry`.
        """
        held = gradebook.find_submission_notebook(name, lesson, student)
        columns = (Grade.score, Grade.max_score, Grade.needs_manual_grade, Grade.manual_score)
        cells = {
            cell: (score, most, waits, by_hand is not None)
            for cell, score, most, waits, by_hand in _of(gradebook, held.id, Grade, *columns)
        }
        comments = dict(_of(gradebook, held.id, Comment, Comment.comment))
        gradebook.db.refresh(held, ["late_submission_penalty"])
        return cls(cells, comments, held.late_submission_penalty or 0.0)


def _of(gradebook: Gradebook, notebook: str, kind: Any, *columns: Any) -> list[tuple[Any, ...]]:
    """These columns of every graded or commented cell of a submission, after the cell's name."""
    query = gradebook.db.query(BaseCell.name, *columns)
    return [tuple(row) for row in query.filter(kind.cell_id == BaseCell.id, kind.notebook_id == notebook)]


def filled(body: Body, name: str, said: Said) -> str:
    """The page of the notebook `name`."""
    template = marks_template()
    text = list(body.parts)
    for place in range(1, len(text), 2):
        what, _, cell = text[place].partition(" ")
        if what == "head":
            text[place] = template.head(name, said.about)
        elif what == "table":
            text[place] = template.table([_line(row, said) for row in body.rows])
        elif what == "score":
            text[place] = template.score(*said.cells.get(cell, (0.0, 0.0))[:2])
        else:
            comment = said.comments.get(cell)
            text[place] = template.comment(in_box(comment)) if comment else ""
    return "".join(text)


def _line(row: Row, said: Said) -> dict[str, Any]:
    points, most, waits, by_hand = said.cells.get(row.cell, (0.0, 0.0, False, False))
    message = row.message
    if row.by_hand:
        message = WAITS if waits else BY_HAND
    elif by_hand:
        message = f"{BY_HAND} {message}".strip()
    about = {"name": row.name, "to": row.to, "points": points, "max_points": most, "message": message}
    return {**about, "hints": row.hints}


def _rows(notebook: NotebookNode) -> list[Row]:
    """A row for each exercise and written question that counts, in the order of the notebook. Cells of hints get their
    exercise's name, so that its row can point to them.
    """
    exercises = {name: verdict(cell) for cell in notebook.cells if (name := exercise_graded_in(cell))}
    rows: list[Row] = []
    hints: set[str] = set()
    above = ""
    for cell in notebook.cells:
        if lacking(cell):
            continue
        meta, name = nbgrader(cell), grade_id(cell)
        above = name if open_to_students(cell) else above
        if cell.cell_type == "markdown" and not meta and above in exercises and cell.source.startswith(HINTS):
            cell.metadata["hints_of"] = above
            hints.add(above)
        if exercise := exercise_graded_in(cell):
            passed, message = exercises[exercise]
            rows.append(Row(exercise, name, name, message, exercise in hints and not passed))
        elif meta.get("task"):
            rows.append(Row(name, name, f"comment-{name}", by_hand=True))
    return rows
