"""Grading as a step of nbgrader's own: `nbgrader autograde` and formgrader's button, with submissions in the sandbox.

`nbgrader_config.py` puts `GradeOutside` where nbgrader has `Execute`. The notebook that comes out holds what a kernel
would have left, except that each graded cell holds a verdict reached outside the submission's process.
"""

from __future__ import annotations

import atexit
import os
from functools import cache
from typing import Any

from nbformat import NotebookNode
from nbgrader.converters.base import NbGraderException
from nbgrader.preprocessors import NbGraderPreprocessor
from traitlets import Float

from ..checkout import course_root
from ..exercise import lesson_exercises
from .enclosure import SandboxMissing
from .keeper import Keeper
from .process import Limits, Template
from .runner import grade_notebook
from .submission import Master, plain

UNSAFE = "COURSE_UNSAFE_NO_SANDBOX"


class GradeOutside(NbGraderPreprocessor):
    """Runs a submission's cells in a sandbox, marks its exercises from outside, and writes the verdicts down."""

    cell_seconds = Float(Limits.cell, help="seconds for one cell").tag(config=True)
    call_seconds = Float(Limits.call, help="seconds for one call of a student's function").tag(config=True)
    seconds = Float(Limits.submission, help="seconds for all of a submission's cells").tag(config=True)

    def preprocess(self, nb: NotebookNode, resources: dict[str, Any]) -> tuple[NotebookNode, dict[str, Any]]:
        """`nb` with outputs and verdicts."""
        about = resources["nbgrader"]
        lesson = about["assignment"]
        submitted = NotebookNode(cells=[plain(cell) for cell in nb.cells])
        limits = Limits(cell=self.cell_seconds, call=self.call_seconds, submission=self.seconds)
        try:
            master, keeper = Master.load(course_root(), lesson), _keeper()
        except (FileNotFoundError, SandboxMissing) as error:
            raise NbGraderException(str(error)) from None
        exercises = lesson_exercises(lesson)
        graded = keeper.grade(
            lambda template: grade_notebook(submitted, about["student"], master, exercises, template, limits)
        )
        for flag in graded.flags:
            self.log.warning("%s, %s: %s", about["student"], lesson, flag)
        assert graded.notebook is not None
        nb.cells, nb.metadata = graded.notebook.cells, graded.notebook.metadata
        return nb, resources


@cache
def _keeper() -> Keeper:
    """One warm template for as long as this process grades."""
    keeper = Keeper(lambda: Template(sandbox=not os.environ.get(UNSAFE)))
    atexit.register(keeper.close)
    return keeper
