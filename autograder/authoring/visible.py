"""A lesson's visible checks, put to wrong and to right answers: what passes every tick should earn full marks."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable, Iterator
from types import CodeType
from typing import Any

from ..exercise import Exercise
from .answers import lesson_source


class Page:
    """A lesson's cells, run in order as far as they are needed, without the experiments."""

    def __init__(self, lesson: str) -> None:
        self.namespace: dict[str, Any] = {"__name__": "__notebook__"}
        self.line = 0  # of the cell that was run last
        self._cells = iter([cell for cell in lesson_source(lesson).cells if cell.is_code and not cell.is_experiment])

    def run_to_checks(self, name: str) -> CodeType:
        """Run all above the checks of `name`, with the lesson's own answers; returns these checks' code."""
        for cell in self._cells:
            self.line = cell.line
            code = compile(cell.source, f"<checks of {cell.name}>", "exec")
            if cell.kind == "checks" and cell.name == name:
                return code
            self.run(code)
        raise LookupError(f"{name} has no checks")

    def run_to_end(self) -> None:
        """Run what is left, the checks of equations among it."""
        for cell in self._cells:
            self.line = cell.line
            self.run(compile(cell.source, f"<line {cell.line}>", "exec"))

    def run(self, code: CodeType) -> None:
        """Run a cell, and print nothing."""
        with contextlib.redirect_stdout(io.StringIO()):
            exec(code, self.namespace)

    @contextlib.contextmanager
    def with_answer(self, name: str, answer: Callable[..., Any]) -> Iterator[None]:
        """`answer` in the place of `name`; afterwards everything is as before."""
        kept = dict(self.namespace)
        self.namespace[name] = answer
        yield
        self.namespace.clear()
        self.namespace.update(kept)


def stops(page: Page, code: CodeType, exercise: Exercise, answer: Callable[..., Any]) -> bool:
    """Whether the visible checks of an exercise, `code`, refuse an answer."""
    with page.with_answer(exercise.name, answer):
        try:
            page.run(code)
        except Exception:
            return True
    return False
