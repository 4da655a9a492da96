"""`course_lib/outline.json`: what each lesson asks for, for `course_lib.progress`. Written by `course build`.

For each exercise, step and written question: points, the number of visible checks (as many as passed when the lesson
was built; none for a written question), and the minutes of the shorter path that lead to it.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import nbformat
from nbformat import NotebookNode

from ..cells import CHECKS, GRADED, nbgrader
from .minutes import announced_shorter, stretches
from .replacing import replace_file
from .source import Lesson

OUTLINE = Path("course_lib/outline.json")
TICK = "✓"


def outline(lesson: Lesson, solution: NotebookNode) -> dict[str, Any]:
    """The lesson's entry, of its source and its executed notebook."""
    led, rest = stretches(lesson)
    cells = {nbgrader(cell)["grade_id"]: cell for cell in solution.cells if nbgrader(cell)}
    asked: dict[str, list[float | None]] = {}
    for cell in lesson.cells:
        if cell.kind in ("solution", "step"):
            graded = cells.get(cell.name + GRADED)
            points = float(nbgrader(graded)["points"]) if graded else 0.0
            asked[cell.name] = [points, _ticks(cells[cell.name + CHECKS]), led[cell.name]]
        elif cell.kind == "written":
            asked[cell.name] = [float(cell.points or 0), None, 0.0]
    source = solution.metadata.course.source_hash
    return {"source_hash": source, "minutes": announced_shorter(lesson), "rest": rest, "asked": asked}


def _ticks(checks: NotebookNode) -> int:
    printed = "".join(output.get("text", "") for output in checks.outputs)
    return sum(line.startswith(TICK) for line in printed.splitlines())


def read_outlines(root: Path) -> dict[str, Any]:
    """The entries there are, by lesson; none where there is no file."""
    path = root / OUTLINE
    return dict(json.loads(path.read_text(encoding="utf-8"))) if path.exists() else {}


def note_outline(lesson: Lesson, root: Path) -> None:
    """Bring the lesson's entry to what its built notebook says."""
    notebook = nbformat.read(lesson.path.with_suffix(".ipynb"), as_version=4)
    entries = read_outlines(root) | {lesson.lesson: outline(lesson, notebook)}
    lines = ",\n".join(f" {json.dumps(name)}: {_written(entries[name])}" for name in sorted(entries))
    replace_file(root / OUTLINE, f"{{\n{lines}\n}}\n".encode())


def _written(entry: dict[str, Any]) -> str:
    """A line for each thing asked for, so that a change of one is a change of one line."""
    asked = ",\n".join(f"   {json.dumps(name)}: {json.dumps(held)}" for name, held in entry["asked"].items())
    head = json.dumps({key: value for key, value in entry.items() if key != "asked"})
    return f'{head[:-1]}, "asked": {{\n{asked}\n  }}}}'
