"""A lesson's proofs, one after the other, with what each came to."""

from __future__ import annotations

import contextlib
import os
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch

from ..builder import rules
from ..builder.source import Lesson, LessonError, Problem, read_lesson
from ..exercise import Exercise, lesson_exercises
from . import places, proofs, spoilers, structure


@dataclass(frozen=True)
class Proof:
    """One of them: what it is about, what was looked at, and what is wrong."""

    name: str
    about: str
    problems: tuple[Problem, ...]


def check(source: Path, root: Path) -> Iterator[Proof]:
    """All proofs of the lesson at `source`, as they come. Where the source cannot be read, or hidden checks cannot be
    imported, that is the last one.
    """
    name = source.parent.name
    try:
        lesson = read_lesson(source, root)
    except LessonError as error:
        yield Proof("cells", "", error.problems)
        return
    try:
        exercises = lesson_exercises(name)
    except Exception as error:  # whatever importing a lesson's files raises
        said = f"cannot be read: {type(error).__name__}: {error}"
        yield Proof("hidden checks", "", (Problem(f"autograder/lessons/{lesson.name}/__init__.py", 1, said),))
        return
    wrong = _rules(lesson, exercises)
    yield Proof("cells", f"{len(lesson.cells)} cells, their order and words, equations and their checks", wrong)
    yield Proof("promises", "minutes, what can be skipped, schematic, ending", tuple(structure.problems(lesson)))
    yield Proof("spoilers", "no answer stands above its exercise", tuple(spoilers.problems(lesson)))
    found = [*places.points(root, name, exercises), *places.named(root, name), *places.built(source, root, exercises)]
    yield Proof("places", "points, README, notebooks", tuple(found))
    seconds, late = places.budget(lesson)
    yield Proof(
        "budget", "" if seconds is None else f"about {seconds:.0f} of {places.SECONDS} s on a laptop", tuple(late)
    )
    if any("syntax" in one.text for one in wrong) or exercises.keys() - {cell.name for cell in lesson.cells}:
        return
    with _short():
        yield from _of_exercises(lesson, exercises)


def _of_exercises(lesson: Lesson, exercises: dict[str, Exercise]) -> Iterator[Proof]:
    every = exercises.values()
    mistakes = sum(len(exercise.misconceptions) for exercise in every)
    styles = sum(len(exercise.alternatives) for exercise in every)
    few = tuple(problem for exercise in every for problem in proofs.enough(exercise))
    yield Proof("exercises", f"mistakes, hints and alternatives enough for all {len(exercises)}", few)
    refused = tuple(problem for exercise in every for problem in proofs.right(exercise))
    yield Proof("right answers", f"{styles} alternatives and the lesson's own get full marks, stubs nothing", refused)
    unnamed = tuple(problem for exercise in every for problem in proofs.wrong(exercise))
    yield Proof("mistakes", f"{mistakes} lose points, are named, and cost their own exercise alone", unnamed)
    unseen = tuple(proofs.seen(lesson, exercises))
    yield Proof("visible checks", "stop the same mistakes, accept the same answers; all equations hold", unseen)


def _rules(lesson: Lesson, exercises: dict[str, Exercise]) -> tuple[Problem, ...]:
    try:
        return tuple(rules.validate(lesson, exercises))
    except LessonError as error:
        return error.problems


@contextlib.contextmanager
def _short() -> Iterator[None]:
    """Short training, one thread, no figures on a screen."""
    wanted = {"COURSE_BUDGET": "short", "COURSE_PROGRESS": "off", "COURSE_WIDGETS": "static", "MPLBACKEND": "agg"}
    before = {name: os.environ.get(name) for name in wanted}
    threads = torch.get_num_threads()
    os.environ.update(wanted)
    torch.set_num_threads(1)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        torch.set_num_threads(threads)
        for name, value in before.items():
            os.environ.pop(name, None) if value is None else os.environ.update({name: value})
