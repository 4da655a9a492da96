"""The lessons' own answers, of `autograder.authoring.answers`, for all lessons at once."""

from __future__ import annotations

import itertools
from typing import Any
from unittest.mock import patch

from autograder import marking
from autograder.authoring.answers import builders_on, lesson_source, mark_here, replaced, solution, stub
from autograder.diagnosis.naming import NOTHING
from autograder.exercise import Exercise, lesson_exercises, lesson_names
from autograder.seeds import VARIANTS, variant_of

__all__ = [
    "FEW",
    "all_exercises",
    "builders_on",
    "everyone",
    "lesson_source",
    "mark_here",
    "points_here",
    "replaced",
    "solution",
    "stub",
]

FEW = ("ada", "emmy", "sofia")  # students, where one might be lucky


def all_exercises() -> list[Exercise]:
    """Every exercise of every lesson that has hidden checks, in reading order."""
    found: list[Exercise] = []
    for lesson in lesson_names():
        try:
            found += lesson_exercises(lesson).values()
        except Exception:  # a test of its own says so; the other lessons are still tested
            continue
    return found


def everyone(exercise: Exercise, secret: str = "") -> list[str]:
    """A student for each variant of the exercise's inputs that anybody gets."""
    found: dict[int, str] = {}
    for number in itertools.count():
        found.setdefault(variant_of(exercise, f"student-{number}", secret), f"student-{number}")
        if len(found) == VARIANTS:
            return list(found.values())
    raise AssertionError


def points_here(exercise: Exercise, namespace: dict[str, Any], student: str = "", secret: str = "") -> float:
    """What one exercise earns, without looking for the mistake behind it: that takes longest and changes no point."""
    with patch.object(marking, "recognise", return_value=None), patch.object(marking, "explain", return_value=NOTHING):
        return mark_here(exercise, namespace, student, secret).points
