"""A lesson's notebook, before it runs: one cell after another with nbgrader's v3 metadata and ids that stay.

A solution cell is followed by its checks (a locked grade cell worth 0 points: nbgrader's Validate reports it when it
fails, and it costs nothing) and by the graded cell, whose hidden region runs the hidden checks; a step's by its
checks alone. A written question becomes a task cell with points and mark scheme, and an answer cell worth 0 points.
Other cells carry none of this. Given code is folded (`jupyter.source_hidden`): what a student writes stays in sight.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass
from pathlib import Path

import nbformat
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from .. import cells as roles
from ..cells import ANSWER, CHECKS, GRADED
from .kept import attach, kept_pictures
from .source import Cell, Lesson, find_regions
from .taint import TAG, uncertain_cells

FORMAT = 2  # part of the source's hash: raise it when the builder makes something else of the same source
SIZE_LIMIT = 2_000_000  # bytes of a built notebook
KERNELSPEC = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}
LANGUAGE_INFO = {
    "codemirror_mode": {"name": "ipython", "version": 3},
    "file_extension": ".py",
    "mimetype": "text/x-python",
    "name": "python",
    "nbconvert_exporter": "python",
    "pygments_lexer": "ipython3",
}


@dataclass(frozen=True)
class Assembled:
    """A notebook, and for each of its cells the line in the lesson's file where its first line stands."""

    notebook: NotebookNode
    lines: tuple[int, ...]


def assemble(lesson: Lesson, points: Mapping[str, float], edition: int = 1) -> Assembled:
    """The notebook of a valid lesson. An exercise that `points` does not hold gets 0 and no hidden checks (a draft).

    `edition`: which of the releases that ask for something else each (`Releases.edition`). From the second on every
    graded cell names it, so that a notebook tells what its reader was asked, also where an exercise has been deleted.
    """
    uncertain = uncertain_cells(lesson.cells)
    steps = {cell.name for cell in lesson.cells if cell.kind == "step"}
    taken: set[str] = set()
    cells, lines = [], []
    for position, cell in enumerate(lesson.cells):
        tags = {*cell.tags, *([TAG] if position in uncertain else []), *(["experiment"] if cell.is_experiment else [])}
        for node, line in _nodes(cell, points, steps, edition):
            node.id = _unique(node.id, taken)
            if node.cell_type == "markdown":
                attach(node, lesson.path.parent)
            if node.cell_type == "code" and tags:
                node.metadata.tags = sorted(tags)
            if node.cell_type == "code" and cell.is_folded:
                node.metadata.jupyter = {"source_hidden": True}
            cells.append(node)
            lines.append(line)
    course = {"lesson": lesson.lesson, "source_hash": source_hash(lesson.text, points, lesson.path.parent)}
    metadata = {"course": course, "kernelspec": KERNELSPEC, "language_info": LANGUAGE_INFO}
    return Assembled(new_notebook(cells=cells, metadata=metadata), tuple(lines))


def _nodes(
    cell: Cell, points: Mapping[str, float], steps: Set[str], edition: int
) -> Iterator[tuple[NotebookNode, int]]:
    start, name = cell.line_of(0), cell.name
    if cell.kind == "markdown":
        yield new_markdown_cell(cell.source, id=content_id("text", cell.source)), start
    elif cell.kind == "code":
        yield new_code_cell(cell.source, id=content_id("code", cell.source)), start
    elif cell.kind == "predict":
        yield new_code_cell(cell.source, id=f"predict-{name}"), start
    elif cell.kind in ("solution", "step"):
        yield new_code_cell(cell.source, id=name, metadata=roles.metadata(name, solution=True)), start
    elif cell.kind == "checks":
        checks = roles.metadata(name + CHECKS, grade=True, locked=True, points=0)
        yield new_code_cell(cell.source, id=name + CHECKS, metadata=checks), start
        if name in steps:
            return
        graded = roles.metadata(name + GRADED, grade=True, locked=True, points=points.get(name, 0))
        yield new_code_cell(graded_source(name, points.get(name), edition), id=name + GRADED, metadata=graded), start
    else:
        question, answer, offset = _split_written(cell)
        task = roles.metadata(name, task=True, locked=True, points=cell.points or 0)
        yield new_markdown_cell(question, id=name, metadata=task), start
        metadata = roles.metadata(name + ANSWER, grade=True, solution=True, points=0)
        yield new_markdown_cell(answer, id=name + ANSWER, metadata=metadata), cell.line_of(offset)


def graded_source(name: str, points: float | None, edition: int = 1) -> str:
    """The graded cell: a sentence for the student, and the hidden line. With `None` points there are no checks yet."""
    worth = f"{points or 0:g} {'point' if points == 1 else 'points'}"
    hidden = (
        "0.0  # no hidden checks yet" if points is None else f'from autograder import grade; grade("{name}", globals())'
    )
    worth += f" (edition {edition} of the lesson)" if edition > 1 else ""
    sentence = f"# {name}, {worth}: hidden checks run here when your notebook is graded. There is nothing to write."
    return "\n".join([sentence, "### BEGIN HIDDEN TESTS", hidden, "### END HIDDEN TESTS"])


def _split_written(cell: Cell) -> tuple[str, str, int]:
    """The question with its mark scheme, the model answer with its markers, and the answer's first line."""
    (begin, end), lines = find_regions(cell.source, "SOLUTION")[0], cell.source.split("\n")
    question = "\n".join(lines[:begin] + lines[end + 1 :]).strip()
    return question, "\n".join(lines[begin : end + 1]), begin


def content_id(role: str, source: str) -> str:
    """An id from what the cell says: a cell put in elsewhere changes no other cell's id."""
    return f"{role}-{hashlib.sha256(source.encode()).hexdigest()[:10]}"


def _unique(wanted: str, taken: set[str]) -> str:
    """`wanted`, or `wanted-2`, `wanted-3`, … for cells that say the same."""
    found = next(name for n in range(1, len(taken) + 2) if (name := wanted if n == 1 else f"{wanted}-{n}") not in taken)
    taken.add(found)
    return found


def source_hash(text: str, points: Mapping[str, float], folder: Path) -> str:
    """sha256 of all that the builder makes a notebook of: the source, the pictures beside it, the points, and the
    builder's own format.
    """
    table = json.dumps({name: float(worth) for name, worth in points.items()}, sort_keys=True)
    made_of = hashlib.sha256("\0".join([str(FORMAT), table, text]).encode())
    for name, picture in sorted(kept_pictures(text, folder).items()):
        made_of.update(name.encode() + picture)
    return made_of.hexdigest()


def as_text(notebook: NotebookNode) -> str:
    """The notebook as it lies on disk: sorted keys, one space of indentation, a newline at the end."""
    nbformat.validate(notebook)
    return nbformat.writes(notebook, version=4).rstrip("\n") + "\n"
