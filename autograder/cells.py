"""What a cell of a lesson's notebook is: its name, its role, nbgrader's metadata, and the notebook's seal.

An exercise `x` has four cells: `x` to write in, its visible checks, its graded cell, and, of a written question, the
answer. Their ids are its name with the role behind it.
"""

from __future__ import annotations

import hashlib
import json
import re
from typing import Any

from nbformat import NotebookNode

CHECKS, GRADED, ANSWER = "-checks", "-graded", "-answer"
ROLES = ("", CHECKS, GRADED, ANSWER)  # in the order in which they stand


def nbgrader(cell: NotebookNode) -> dict[str, Any]:
    """A cell's nbgrader metadata, if it has any that is a table."""
    meta = cell.get("metadata", {}).get("nbgrader", {})
    return meta if isinstance(meta, dict) else {}


def grade_id(cell: NotebookNode) -> str:
    """The id that nbgrader knows a cell by; "" where it has none."""
    name = nbgrader(cell).get("grade_id")
    return name if isinstance(name, str) else ""


def label(cell: NotebookNode) -> str:
    """A cell as an instructor is told of it."""
    return f"cell {grade_id(cell) or cell.get('id')}"


def exercise_graded_in(cell: NotebookNode) -> str:
    """The exercise whose graded cell this is; "" for any other cell."""
    name = grade_id(cell)
    return name.removesuffix(GRADED) if name.endswith(GRADED) else ""


def note_verdict(cell: NotebookNode, passed: bool, message: str) -> None:
    """Keep in a graded cell what its student is told in a line; it travels with the notebook."""
    cell.metadata["verdict"] = {"passed": passed, "message": message}


def verdict(cell: NotebookNode) -> tuple[bool, str]:
    """What `note_verdict` has kept: whether the exercise passed, and the message; (False, "") where nothing is."""
    held = cell.metadata.get("verdict", {})
    return bool(held.get("passed")), str(held.get("message", ""))


def note_lacking(cell: NotebookNode) -> None:
    """Keep in a cell that the release of whoever handed in lacked its exercise, which does not count for them."""
    cell.metadata["lacking"] = True


def lacking(cell: NotebookNode) -> bool:
    """What `note_lacking` has kept: then the grade book has no row for the cell."""
    return bool(cell.get("metadata", {}).get("lacking"))


def place(name: str) -> tuple[str, int]:
    """Sorts `x`, `x-checks`, `x-graded`, `x-answer` in this order."""
    exercise, dash, role = name.partition("-")
    return exercise, ROLES.index(dash + role) if dash + role in ROLES else len(ROLES)


def open_to_students(cell: NotebookNode) -> bool:
    """Whether a student is to write in a cell."""
    meta = nbgrader(cell)
    return bool(meta.get("solution") and not meta.get("locked"))


def metadata(name: str, points: float | None = None, **flags: bool) -> dict[str, Any]:
    """Cell metadata in nbgrader's schema, version 3."""
    known = {"grade": False, "locked": False, "solution": False, "task": False, **flags}
    worth = {} if points is None else {"points": points}
    return {"nbgrader": {"grade_id": name, "schema_version": 3, **worth, **known}}


def stub_line(name: str, source: str) -> str:
    """The line a student finds in place of a solution region of `name`."""
    part = "this part of the class" if re.search(rf"^class {re.escape(name)}\b", source, re.M) else "this function"
    return f'raise NotImplementedError("{name}: write {part}, then run the cell again")'


def digest(notebook: NotebookNode) -> str:
    """sha256 of a notebook's whole content but this digest, to tell a built notebook from one edited by hand."""
    course = {key: value for key, value in notebook.metadata.get("course", {}).items() if key != "digest"}
    content = {**notebook, "metadata": {**notebook.metadata, "course": course}}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def sealed(notebook: NotebookNode) -> NotebookNode:
    """The notebook with its digest recorded."""
    notebook.metadata.course.digest = digest(notebook)
    return notebook
