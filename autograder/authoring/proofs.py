"""What hidden and visible checks must show of an exercise: mistakes are named, right answers are accepted, and what
passes every tick earns full marks.
"""

from __future__ import annotations

import inspect
import traceback
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch

from ..builder.source import Lesson, Problem
from ..case import Case
from ..exercise import Exercise, file_name, find_exercise
from ..marks import Mark
from ..student import local
from .answers import HOUSE, builders_on, mark_here, replaced, solution, stub
from .visible import Page, stops

STUDENTS = ("ada", "emmy", "sofia", "mary", "maryam")  # each draws other inputs
ALTERNATIVES, MISCONCEPTIONS, OF_ONE_POINT = 3, 5, 3  # at least; the last for exercises of one point at most


def enough(exercise: Exercise) -> Iterator[Problem]:
    """There are three right answers in other styles, and five mistakes; three for one point. Each has a hint."""
    wanted = MISCONCEPTIONS if exercise.points > 1 else OF_ONE_POINT
    has = len(exercise.misconceptions)
    if has < wanted:
        yield problem(exercise, f"{has} misconceptions: an exercise of {exercise.points:g} points has {wanted} or more")
    if len(exercise.alternatives) < ALTERNATIVES:
        text = (
            f"{len(exercise.alternatives)} right answers in other styles (@{exercise.name}.alternative): it has three"
        )
        yield problem(exercise, text)
    for known in exercise.misconceptions:
        if not (known.hint.endswith((".", "?", ")")) and len(known.hint) > 30):
            yield problem(
                exercise, f"“{known.name}”: its hint is a sentence or two, with its full stop", known.function
            )
        if known.name.endswith("."):
            yield problem(
                exercise, f"“{known.name}”: a mistake's name is a phrase, without a full stop", known.function
            )


def right(exercise: Exercise) -> Iterator[Problem]:
    """The lesson's own answer and every alternative get full marks, whatever is drawn; the stub gets nothing."""
    if raised := _raised(exercise):
        yield problem(exercise, f"its checks fail by themselves, whatever is answered: {raised}")
        return
    answers: list[tuple[str, Callable[..., Any] | None]] = [("the lesson's own answer", None)]
    answers += [(f"the alternative “{name}”", function) for name, function in exercise.alternatives.items()]
    for what, function in answers:
        names = solution(exercise.lesson) if function is None else replaced(exercise, function)
        for student in STUDENTS:
            found = mark_here(exercise, names, student)
            if not found.passed:
                yield problem(exercise, f"{what} gets {_points(found)}: {_first(found)}", function)
                break
    outcomes = mark_here(exercise, solution(exercise.lesson)).outcomes
    worth = sum(outcome.max_points for outcome in outcomes)
    if abs(worth - exercise.points) > 1e-9:
        yield problem(exercise, f"its checks are worth {worth:g} points in all, the exercise {exercise.points:g}")
    if mark_here(exercise, stub(exercise)).points:
        yield problem(exercise, "the stub, with nothing written, earns points")


def wrong(exercise: Exercise) -> Iterator[Problem]:
    """Every listed mistake loses points, is recognised by its name, and costs its own exercise alone."""
    later = builders_on(exercise)
    for known in exercise.misconceptions:
        names = replaced(exercise, known.function)
        found = mark_here(exercise, names, STUDENTS[0])
        if found.passed:
            text = f"the mistake “{known.name}” gets full marks: no hidden check tells it from a right answer"
            yield problem(exercise, text, known.function)
        elif found.diagnosis != known.name:
            taken = f"taken for “{found.diagnosis}”" if found.diagnosis else "not recognised"
            text = f"the mistake “{known.name}” is {taken}: let a check draw inputs on which it differs from the others"
            yield problem(exercise, text, known.function)
        for other in later:
            if not mark_here(other, names).passed:
                text = (
                    f"the mistake “{known.name}” costs points in {other.name} as well: say after=({exercise.name!r},)"
                )
                yield problem(exercise, f"{text} there", known.function)


def seen(lesson: Lesson, exercises: Mapping[str, Exercise]) -> Iterator[Problem]:
    """The visible checks stop every listed mistake and no right answer; all cells run, the checks of equations too."""
    page, line = Page(lesson.lesson), 1
    try:
        for cell in lesson.cells:
            if cell.kind != "checks" or cell.name not in exercises:
                continue
            line, exercise = cell.line, exercises[cell.name]
            code = page.run_to_checks(cell.name)
            for known in exercise.misconceptions:
                if not stops(page, code, exercise, known.function):
                    text = f"the visible checks of {cell.name} let “{known.name}” pass, which loses points when graded"
                    yield lesson.problem(line, text)
            for name, answer in exercise.alternatives.items():
                if stops(page, code, exercise, answer):
                    yield lesson.problem(line, f"the visible checks of {cell.name} refuse the right answer “{name}”")
            page.run(code)
        page.run_to_end()
    except Exception as error:  # whatever a lesson's cells raise
        text = f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
        yield lesson.problem(page.line or line, f"this cell fails: {text}")


def problem(exercise: Exercise, text: str, function: Callable[..., Any] | None = None) -> Problem:
    """What is wrong, at the function it is about, else at the top of the exercise's file."""
    about = getattr(function, "__wrapped__", function)
    lesson = exercise.lesson.partition("-")[2]
    path, line = f"autograder/lessons/{lesson}/{file_name(exercise.name)}.py", 1
    if about is not None:
        try:
            path = Path(inspect.getsourcefile(about) or path).resolve().relative_to(HOUSE).as_posix()
            line = inspect.getsourcelines(about)[1]
        except (OSError, TypeError, ValueError):
            pass
    return Problem(path, line, f"{exercise.name}: {text}")


def _points(mark: Mark) -> str:
    return f"{mark.points:g} of {mark.max_points:g} points"


def _raised(exercise: Exercise) -> str:
    """What the hidden checks themselves raise on the lesson's own answer, and where; a student is told otherwise."""
    upstream = {name: local(name, {name: find_exercise(name).oracle}) for name in exercise.after}
    try:
        with torch.enable_grad():
            exercise.check(local(exercise.name, solution(exercise.lesson)), Case(0, upstream))
    except Exception as error:
        ours = [frame for frame in traceback.extract_tb(error.__traceback__) if "lessons" in Path(frame.filename).parts]
        where = f" in line {ours[-1].lineno} of {Path(ours[-1].filename).name}" if ours else ""
        return f"{type(error).__name__}: {error}{where}"
    return ""


def _first(mark: Mark) -> str:
    """The first check that failed, and how."""
    return next((f"“{one.what}”: {one.message}" for one in mark.outcomes if not one.passed), mark.message)[:200]
