"""The lessons' own answers as a submission holds them: a namespace with the imports, given helpers and solutions."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path
from types import CodeType
from typing import Any

from ..builder.source import Lesson, read_lesson, stubbed
from ..exercise import Exercise, lesson_exercises
from ..marking import mark
from ..marks import Mark
from ..sandbox.responder import Responder
from ..student import LocalLink

HOUSE = Path(__file__).resolve().parents[2]  # where hidden checks and lessons lie side by side
GIVEN = (ast.Import, ast.ImportFrom, ast.FunctionDef, ast.ClassDef)


@cache
def lesson_source(lesson: str) -> Lesson:
    """The parsed source of a lesson."""
    return read_lesson(HOUSE / "solutions" / lesson / f"{lesson.partition('-')[2]}.py", HOUSE)


@cache
def _compiled(lesson: str) -> list[tuple[str, CodeType]]:
    """(exercise or "", code) of every cell that a submission needs; of a given cell, imports and definitions alone."""
    found = []
    for cell in lesson_source(lesson).cells:
        if cell.kind == "solution" or (cell.kind == "code" and not cell.is_experiment):
            wanted = [node for node in cell.tree.body if cell.kind == "solution" or isinstance(node, GIVEN)]
            found.append((cell.name, compile(ast.Module(wanted, []), f"<{lesson} line {cell.line}>", "exec")))
    return found


def _run(lesson: str, replacements: dict[str, Any]) -> dict[str, Any]:
    namespace: dict[str, Any] = {"__name__": "__notebook__"}
    for name, code in _compiled(lesson):
        exec(code, namespace)
        if name in replacements:
            namespace[name] = replacements[name]
    return namespace


@cache
def solution(lesson: str) -> dict[str, Any]:
    """What a perfect submission defines; experiments and plots are left out."""
    return _run(lesson, {})


def stub(exercise: Exercise) -> dict[str, Any]:
    """The solution with this one exercise as the student first finds it."""
    namespace = solution(exercise.lesson).copy()
    (cell,) = [c for c in lesson_source(exercise.lesson).cells if c.kind == "solution" and c.name == exercise.name]
    exec(stubbed(exercise.name, cell.source), namespace)
    return namespace


def replaced(exercise: Exercise, function: Any) -> dict[str, Any]:
    """A perfect submission but for one exercise, in whose place `function` stands for all others to call as well."""
    return _run(exercise.lesson, {exercise.name: function})


def builders_on(exercise: Exercise) -> list[Exercise]:
    """The other exercises whose solution calls this one, directly or through others."""
    exercises, names = lesson_exercises(exercise.lesson), solution(exercise.lesson)
    touched = {exercise.name}
    while more := [n for n in exercises if n not in touched and _mentions(names.get(n)) & touched]:
        touched.update(more)
    return [exercises[name] for name in exercises if name in touched - {exercise.name}]


def _mentions(value: Any) -> set[str]:
    if isinstance(value, type):
        return set().union(*(_mentions(item) for item in vars(value).values()))
    code = value if isinstance(value, CodeType) else getattr(value, "__code__", None)
    return set() if code is None else set(code.co_names).union(*(_mentions(item) for item in code.co_consts))


def mark_here(exercise: Exercise, namespace: dict[str, Any], student: str = "", secret: str = "") -> Mark:
    """Mark one exercise of a namespace in this process."""
    return mark(exercise, LocalLink(Responder(namespace)), student, secret)
