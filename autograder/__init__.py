"""Builds, grades and gives feedback on the course. Instructors alone install it; `course --help` is the way in."""

from typing import Any


def grade(name: str, namespace: dict[str, Any]) -> float:
    """Mark exercise `name` as defined in a notebook's `globals()`; print what the student is told, return the points.

    This is the hidden line of a graded cell, for nbgrader's own route and for an instructor with a notebook open.
    """
    from .notebook import grade_in_notebook

    return grade_in_notebook(name, namespace)
