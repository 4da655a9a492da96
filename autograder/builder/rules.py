"""What makes a lesson well formed. All that breaks a rule is reported together, each in one line with its place.

The rules are those of an author's daily mistakes: an exercise that is not graded or graded but not asked, a solution
that would reach the student, a numbered equation that nothing checks, an experiment that an exercise leans on. The
order and wording of all lessons is judged in `wording`.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Protocol

from ..exercise import file_name
from . import wording
from .kept import kept_pictures
from .names import bound_names, cell_names
from .source import Cell, Lesson, LessonError, Problem, RegionError, find_regions, parse, region_text, stubbed

_TAG = re.compile(r"\\tag\{([^}]*)\}")
_MARKS = ("SOLUTION", "MARK SCHEME", "HIDDEN TESTS")


class HasPoints(Protocol):
    """What the builder asks of an exercise's hidden checks."""

    @property
    def name(self) -> str: ...

    @property
    def points(self) -> float: ...


def validate(lesson: Lesson, exercises: Mapping[str, HasPoints], draft: bool = False) -> list[Problem]:
    """Raise LessonError for all that is wrong; a draft's pending problems are returned instead."""
    problems = [*_syntax(lesson), *_regions(lesson), *_exercises(lesson, exercises), *_written(lesson), *_shown(lesson)]
    if not any("syntax" in problem.text for problem in problems):
        problems += [*_experiments(lesson), *_steps(lesson), *_equations(lesson), *wording.problems(lesson, exercises)]
    fatal = [problem for problem in problems if not (draft and problem.pending)]
    if fatal:
        raise LessonError(fatal)
    return sorted(problems)


def _syntax(lesson: Lesson) -> Iterator[Problem]:
    for cell in lesson.cells:
        if cell.is_code:
            try:
                _ = cell.tree
            except SyntaxError as error:
                yield lesson.problem(cell.line_of((error.lineno or 1) - 1), f"syntax error: {error.msg}")


def _regions(lesson: Lesson) -> Iterator[Problem]:
    """Marked regions are whole, and stand where they belong."""
    allowed = {"solution": ("SOLUTION",), "step": ("SOLUTION",), "written": ("SOLUTION", "MARK SCHEME")}
    for cell in lesson.cells:
        for mark in _MARKS:
            try:
                regions = find_regions(cell.source, mark)
            except RegionError as error:
                yield lesson.problem(cell.line_of(error.line), str(error))
                continue
            if regions and mark not in allowed.get(cell.kind, ()):
                hint = ": the builder adds it" if mark == "HIDDEN TESTS" else ""
                yield lesson.problem(cell.line_of(regions[0][0]), f"### BEGIN {mark} in a {cell.kind} cell{hint}")
            if not regions and cell.kind in ("solution", "step") and mark == "SOLUTION":
                yield lesson.problem(cell.line, f"{cell.name} has no ### BEGIN SOLUTION / ### END SOLUTION region")


def _exercises(lesson: Lesson, exercises: Mapping[str, HasPoints]) -> Iterator[Problem]:
    """Each exercise has one solution cell that defines it, visible checks after it, and hidden checks; a step has none
    of the latter.
    """
    solutions: dict[str, Cell] = {}
    checked: dict[str, Cell] = {}
    current = ""
    seen: dict[str, int] = {}
    for cell in lesson.cells:
        if cell.kind in ("solution", "step", "written", "predict"):
            if cell.name in seen:
                yield lesson.problem(
                    cell.line, f"duplicate exercise {cell.name}: the first is at line {seen[cell.name]}"
                )
            seen.setdefault(cell.name, cell.line)
        if cell.kind in ("solution", "step"):
            solutions.setdefault(cell.name, cell)
            current = cell.name
            yield from _solution(lesson, cell)
            if cell.kind == "step" and cell.name in exercises:
                yield lesson.problem(cell.line, f"step {cell.name} has hidden checks: make it an exercise")
            if cell.kind == "solution" and cell.name not in exercises:
                file = f"autograder/lessons/{lesson.name}/{file_name(cell.name)}.py"
                yield lesson.problem(cell.line, f"exercise {cell.name} has no hidden checks in {file}", True)
        if cell.kind == "checks":
            if cell.name in checked:
                yield lesson.problem(cell.line, f"second checks cell of {cell.name}: join it with the first")
            elif cell.name not in solutions:
                yield lesson.problem(cell.line, f"checks of {cell.name}, which has no exercise cell above")
            elif cell.name != current:
                yield lesson.problem(cell.line, f"checks of {cell.name} stand after exercise {current}")
            checked.setdefault(cell.name, cell)
    for name, cell in solutions.items():
        if name not in checked:
            yield lesson.problem(cell.line, f'exercise {name} has no visible checks: add a cell checks="{name}"')
    for name in exercises:
        if name not in solutions:
            yield lesson.problem(1, f"hidden checks of {name} without an exercise cell", True)


def _solution(lesson: Lesson, cell: Cell) -> Iterator[Problem]:
    """The cell defines its name, and so does its stub, with the docstring that is the exercise's specification."""
    if _breaks(cell.source):
        return  # reported already
    try:
        stub = parse(stubbed(cell.name, cell.source))
    except SyntaxError as error:
        yield lesson.problem(cell.line, f"{cell.name}: without its solution region the cell is no Python ({error.msg})")
        return
    except ValueError:
        return  # reported with the regions
    if cell.name not in bound_names(cell.tree.body):
        yield lesson.problem(cell.line, f"exercise {cell.name}: the cell does not define {cell.name}")
        return
    made = [node for node in stub.body if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name == cell.name]
    if not made:
        yield lesson.problem(
            cell.line, f"exercise {cell.name}: the solution region hides its signature, start it below the docstring"
        )
    elif not ast.get_docstring(made[0]):
        yield lesson.problem(cell.line, f"exercise {cell.name} keeps no docstring, which is its specification")
    if any(isinstance(node, ast.Raise) for node in stub.body):
        text = f"the stub of {cell.name} fails when its cell runs: keep the region in a function"
        yield lesson.problem(cell.line, text)


def _breaks(source: str) -> bool:
    try:
        parse(source)
    except SyntaxError:
        return True
    return False


def _written(lesson: Lesson) -> Iterator[Problem]:
    """A question graded by hand has points, a question, a mark scheme and a model answer."""
    for cell in lesson.cells:
        if cell.kind != "written":
            continue
        if cell.points is None:
            yield lesson.problem(
                cell.line, f'written question {cell.name} has no points: written="{cell.name}" points=3'
            )
        for mark, what in (("MARK SCHEME", "mark scheme"), ("SOLUTION", "model answer")):
            try:
                regions = find_regions(cell.source, mark)
            except ValueError:
                continue  # reported with the regions
            if len(regions) != 1 or not region_text(cell.source, regions[0]).strip():
                yield lesson.problem(
                    cell.line, f"written question {cell.name} wants one {what}: ### BEGIN {mark} … ### END {mark}"
                )


def _shown(lesson: Lesson) -> Iterator[Problem]:
    """A picture that a cell shows from a file is there."""
    for cell in lesson.cells:
        try:
            kept_pictures("" if cell.is_code else cell.source, lesson.path.parent)
        except FileNotFoundError as error:
            yield lesson.problem(cell.line, f"shows {Path(error.filename).name}, which is not beside the lesson")


def _experiments(lesson: Lesson) -> Iterator[Problem]:
    """Grading need not run an experiment, so nothing that is always run may need what one defines."""
    last: dict[str, Cell] = {}
    for cell in lesson.cells:
        if not cell.is_code:
            continue
        names = cell_names(cell.tree)
        if not cell.is_experiment:
            for name in sorted(names.needed):
                if name in last and last[name].is_experiment:
                    yield lesson.problem(
                        last[name].line,
                        f"experiment defines {name}, which the {cell.kind} cell at line {cell.line} needs: "
                        "drop the tag there, or tag both",
                    )
        last.update(dict.fromkeys(names.bound, cell))


def _steps(lesson: Lesson) -> Iterator[Problem]:
    """A step is worth no points and may be skipped, so its checks alone need it."""
    steps: dict[str, Cell] = {}
    for cell in lesson.cells:
        if cell.kind == "step":
            steps[cell.name] = cell
        elif cell.is_code:
            for name in sorted(cell_names(cell.tree).needed & steps.keys()):
                if cell.name != name:
                    text = f"step {name} is needed by the {cell.kind} cell at line {cell.line}: a step may be skipped"
                    yield lesson.problem(steps[name].line, text)


def _equations(lesson: Lesson) -> Iterator[Problem]:
    r"""Displayed equations are numbered; every `\tag{n}` is unique and checked by a call `verify_equation(n, …)` with a
    literal number.
    """
    tagged: dict[str, int] = {}
    for cell in lesson.cells:
        if cell.is_code:
            continue
        for offset, text in enumerate(cell.source.split("\n")):
            for number in _TAG.findall(text):
                line = cell.line_of(offset)
                if number in tagged:
                    yield lesson.problem(line, f"duplicate \\tag{{{number}}}: the first is at line {tagged[number]}")
                tagged.setdefault(number, line)
    verified: dict[str, int] = {}
    for cell in lesson.cells:
        for node in ast.walk(cell.tree) if cell.is_code else ():
            if isinstance(node, ast.Call) and _called(node) == "verify_equation":
                line = cell.line_of(node.lineno - 1)
                if node.args and isinstance(node.args[0], ast.Constant):
                    verified.setdefault(str(node.args[0].value), line)
                else:
                    yield lesson.problem(line, "verify_equation wants the equation's number first, as a literal")
    if not tagged and not verified and any("$$" in cell.source for cell in lesson.cells if not cell.is_code):
        text = r"no equation carries \tag{n}: number the displayed ones, and check each by verify_equation(n, …)"
        yield lesson.problem(1, text, True)
    for number, line in tagged.items():
        if number not in verified:
            yield lesson.problem(line, f"\\tag{{{number}}} is never checked: call verify_equation({number}, …)", True)
    for number, line in verified.items():
        if number not in tagged:
            yield lesson.problem(line, f"verify_equation({number}, …), but no equation carries \\tag{{{number}}}", True)


def _called(node: ast.Call) -> str:
    return node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
