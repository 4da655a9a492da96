"""What of a graded submission is stored. Of its notebook that is made by whoever graded it: the time of a large class
is the time of its one writer.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nbformat import NotebookNode
from nbgrader.preprocessors import SaveAutoGrades

from ..cells import grade_id, lacking, nbgrader
from ..hand_in.beside import TIMESTAMP
from ..hand_in.finding import timestamp
from ..nodes import node, written
from .byhand import Worth, worth_of

if TYPE_CHECKING:
    from .graded import Graded


@dataclass(frozen=True)
class Sheet:
    """A notebook as a file holds it, and its `digest`; by cell, in the order of the notebook, the points that nbgrader
    finds in it (None: a person is to mark it), its comment, and what it is worth; and the cells that do not count.
    """

    content: bytes
    digest: str
    points: Mapping[str, float | None]
    comments: Mapping[str, str | None]
    worth: Mapping[str, Worth]
    left_out: frozenset[str]

    @classmethod
    def of(cls, notebook: NotebookNode) -> Sheet:
        """By nbgrader's own SaveAutoGrades."""
        kept = _Kept()
        saver = SaveAutoGrades()
        saver.gradebook, saver.notebook_id, saver.assignment_id, saver.student_id = kept, "", "", ""
        for index, cell in enumerate(cell for cell in notebook.cells if not lacking(cell)):
            worth = nbgrader(cell).get("points")  # of a cell that is worth nothing the outputs are the student's
            saver.preprocess_cell(cell if worth else node(cell, outputs=[]), {}, index)
        points = {name: row.auto_score for name, row in kept.grades.items()}
        comments = {name: row.auto_comment for name, row in kept.comments.items()}
        left_out = frozenset(grade_id(cell) for cell in notebook.cells if lacking(cell))
        content = written(notebook).encode()
        return cls(content, digest(content), points, comments, worth_of(notebook), left_out)

    @property
    def notebook(self) -> Any:
        """The notebook, read again."""
        return json.loads(self.content)


def digest(content: bytes) -> str:
    """Of a notebook as a file holds it."""
    return hashlib.sha256(content).hexdigest()


def light(graded: Graded) -> Graded:
    """A result with its sheet in the place of its notebook, which is large to send."""
    return graded if graded.notebook is None else replace(graded, notebook=None, sheet=Sheet.of(graded.notebook))


@dataclass(frozen=True)
class Finished:
    """A result on its way to its places: of the notebook `name`, handed in in the folder `submitted`. `release`: what
    `for_release` gave; the time of handing in alone without it.
    """

    graded: Graded
    name: str
    submitted: Path
    release: Mapping[str, str] | None = None

    @cached_property
    def sheet(self) -> Sheet | None:
        """What of its notebook is stored; None where there is none."""
        return light(self.graded).sheet

    @cached_property
    def when(self) -> datetime | None:
        """When it was handed in, as far as that is known."""
        return timestamp(self.submitted)[0]

    @property
    def beside(self) -> Mapping[str, str]:
        """The files beside the notebook, by name."""
        if self.release is not None:
            return self.release
        return {TIMESTAMP: self.when.isoformat()} if self.when else {}


class _Kept:
    """The grade book as SaveAutoGrades sees it, which asks for rows, sets columns of theirs, and commits each."""

    def __init__(self) -> None:
        self.grades: dict[str, _Grade] = {}
        self.comments: dict[str, _Comment] = {}
        self.db = self

    def find_grade(self, cell: str, *_: str) -> _Grade:
        return self.grades.setdefault(cell, _Grade())

    def find_comment(self, cell: str, *_: str) -> _Comment:
        return self.comments.setdefault(cell, _Comment())

    def commit(self) -> None:
        """With everything else, by whoever stores it."""


class _Grade:
    auto_score: float | None = None
    manual_score: float | None = None
    needs_manual_grade = True


class _Comment:
    auto_comment: str | None = None
