"""Which marks wait for a person: formgrader's queue, "needs manual grade".

nbgrader queues everything again that a person has marked, whenever it is graded again; what it cannot mark itself it
queues for ever, be it worth nothing; and a task that has been marked stays marked, whatever is handed in later.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from ..cells import grade_id, nbgrader, open_to_students, place


class Held(NamedTuple):
    """What the grade book held of a cell before it was graded again."""

    auto: float | None
    manual: float | None
    waits: bool


def held(grades: Mapping[str, Any]) -> dict[str, Held]:
    """The same of each cell, by name, as it is now."""
    return {
        name: Held(grade.auto_score, grade.manual_score, grade.needs_manual_grade) for name, grade in grades.items()
    }


class Worth(NamedTuple):
    """Whether points depend on a cell, and whether a person alone marks it."""

    points: bool
    task: bool


def worth_of(notebook: Mapping[str, Any]) -> dict[str, Worth]:
    """The same of each cell that nbgrader knows, by name."""
    cells = ((grade_id(cell), nbgrader(cell)) for cell in notebook["cells"])
    return {name: Worth(bool(meta.get("points")), bool(meta.get("task"))) for name, meta in cells if name}


def queue(
    grades: Mapping[str, Any],
    before: Mapping[str, Held],
    worth: Mapping[str, Worth],
    earlier: Callable[[], Any],
    notebook: Callable[[], Any],
) -> None:
    """Set which of a submission's `grades`, by their cells' names and just stored, wait for a person.

    What is worth nothing never waits: its 0 is entered. What a person has not marked waits where no machine has, tasks
    above all. A person's mark stands, and waits to be looked at again once the answer, or the machine's own mark, has
    changed; until somebody does, it counts.

    Args:
        before: what `held` gave beforehand.
        worth: what `worth_of` gives for the notebook that is stored now.
        earlier: gives the notebook that was there beforehand, None where there is none: then any answer has changed.
        notebook: gives the one that is stored now.
    """
    answered: tuple[dict[str, Any], dict[str, Any]] | None = None  # then and now
    for cell, grade in grades.items():
        points, task = worth.get(cell, (False, False))
        if task:
            grade.auto_score = None  # what a hand-in without a notebook has left
        if not points:
            grade.auto_score, grade.needs_manual_grade = grade.auto_score or 0.0, False
        elif grade.manual_score is None:
            grade.needs_manual_grade = grade.auto_score is None
        else:
            answered = answered or (answers(earlier() or {"cells": []}), answers(notebook()))
            then, now = answered
            old, name = before.get(cell), place(cell)[0]
            same = old is not None and old.auto == grade.auto_score and then.get(name) == now.get(name)
            grade.needs_manual_grade = not same or bool(old and old.waits)


def answers(notebook: Mapping[str, Any]) -> dict[str, list[Any]]:
    """What a student has written for each exercise or question, with its pictures."""
    found: dict[str, list[Any]] = {}
    for cell in notebook["cells"]:
        if open_to_students(cell):
            name = place(grade_id(cell))[0]
            found.setdefault(name, []).append((_text(cell["source"]), cell.get("attachments")))
    return found


def stored(path: Path) -> Any:
    """The notebook that was stored at `path`; None where there is none."""
    try:
        notebook = json.loads(path.read_bytes())
        return notebook if isinstance(notebook.get("cells"), list) else None
    except (OSError, ValueError, AttributeError):
        return None


def _text(source: str | list[str]) -> str:
    """A cell's source, which a file holds as lines."""
    return source if isinstance(source, str) else "".join(source)
