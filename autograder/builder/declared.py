"""What a lesson's hidden checks declare of themselves, read in their files: PyTorch and the checks are not imported."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..exercise import file_name, lesson_modules, lesson_package
from ..syntax import parse
from .source import LessonError, Problem


@dataclass(frozen=True)
class Declared:
    """An exercise as `@exercise("gaussian_kl", points=2)` declares it."""

    name: str
    points: float


def declared(lesson: str) -> dict[str, Declared]:
    """The lesson's exercises by name, in order; none if it has no hidden checks yet.

    Raises LessonError, in one line, where a file declares no such exercise.
    """
    module = lesson.partition("-")[2]
    if module not in lesson_modules():
        return {}
    try:
        package = lesson_package(lesson)
        files = {name: Path(package.__path__[0]) / f"{file_name(name)}.py" for name in package.EXERCISES}
        return {name: Declared(name, _points(name, file)) for name, file in files.items()}
    except Exception as error:  # whatever somebody has written there
        text = f"cannot be read: {type(error).__name__}: {error}"
        raise LessonError([Problem(f"autograder/lessons/{module}", 1, text)]) from error


def _points(name: str, file: Path) -> float:
    for node in parse(file.read_bytes()).body:
        for call in node.decorator_list if isinstance(node, ast.FunctionDef) else []:
            if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "exercise":
                given: dict[str | None, Any] = dict(
                    zip(("name", "points"), map(ast.literal_eval, call.args), strict=False)
                )
                given |= {one.arg: ast.literal_eval(one.value) for one in call.keywords}
                if given["name"] == name:
                    return float(given["points"])
    raise ValueError(f"{file.name} defines no exercise {name!r}")
