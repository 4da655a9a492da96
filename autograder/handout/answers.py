"""Which given cells of a lesson show what another lesson asks for: "From lesson 04: the forward sample" is its answer.

Lessons are released in order, so a student of lesson 05 has handed 04 in. Whoever publishes several at once must know.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from ..builder.source import find_lessons, parse, read_lesson
from ..cells import nbgrader

HEADED = re.compile(r"# From lessons? \d")


Asked = Mapping[tuple[str, str], str]  # by name and arguments, as `_signatures` has them: the lesson


def asked_for(root: Path) -> Asked:
    """The lesson of each exercise and step of the course."""
    found: dict[tuple[str, str], str] = {}
    for source in find_lessons(root):
        for cell in read_lesson(source, root).cells:
            if cell.kind in ("solution", "step"):
                found |= {one: source.parent.name for one in _signatures(cell.tree) if one[0] == cell.name}
    return found


def answered(cell: NotebookNode, lesson: str, asked: Asked) -> dict[str, str]:
    """What a given code cell of `lesson` defines that other lessons ask for: names with these lessons."""
    if cell.cell_type != "code" or nbgrader(cell):
        return {}
    made = {one[0]: asked.get(one, lesson) for one in _signatures(parse(cell.source))}
    return {name: other for name, other in made.items() if other != lesson}


def _signatures(tree: ast.Module) -> list[tuple[str, str]]:
    """Name and arguments' names of each function, name of each class, that a cell defines."""
    made = [node for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef)]
    return [
        (node.name, " ".join(argument.arg for argument in node.args.args) if isinstance(node, ast.FunctionDef) else "")
        for node in made
    ]


def gives_away(cell: NotebookNode, lesson: str, asked: Asked) -> bool:
    """Whether a cell of `lesson` is an answer to another lesson, or says that it is from one."""
    return bool(answered(cell, lesson, asked)) or (cell.cell_type == "code" and bool(HEADED.match(cell.source)))


def shown_in(notebook: Path, lesson: str, asked: Asked) -> dict[str, list[str]]:
    """By lesson, what `notebook` of `lesson` answers of it."""
    found: dict[str, list[str]] = {}
    for cell in nbformat.read(notebook, as_version=4).cells:
        for name, other in answered(cell, lesson, asked).items():
            found.setdefault(other, []).append(name)
    return dict(sorted(found.items()))
