"""Grading as steps of nbgrader's own: `nbgrader autograde` and formgrader's button, with submissions in the sandbox.

`PutInOrder` restores what was handed in (`as_saved` has read it), as `course grade` does. `nbgrader_config.py` puts
`GradeOutside` where nbgrader has `Execute`. The notebook that comes out holds what a kernel
would have left, except that each graded cell holds a verdict reached outside the submission's process.
"""

from __future__ import annotations

import atexit
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

from nbformat import NotebookNode
from nbgrader.converters.base import NbGraderException
from nbgrader.preprocessors import NbGraderPreprocessor
from traitlets import Float

from ..checkout import counts_added, course_root
from ..exercise import lesson_exercises
from ..feedback.markup import readable
from ..grading.keeper import Keeper
from ..grading.runner import grade_notebook
from ..guard.enclosure import SandboxMissing
from ..guard.limits import Limits
from ..guard.template import Template
from ..hand_in.beside import NONE, Allowance, Beside
from ..hand_in.notebook_file import SubmissionError, plain, read
from ..hand_in.restoring import Master, lacking_in, restore

UNSAFE = "COURSE_UNSAFE_NO_SANDBOX"


class PutInOrder(NbGraderPreprocessor):
    """Finds the course's cells in a submission and puts them back; what had been changed is logged."""

    def preprocess(self, nb: NotebookNode, resources: dict[str, Any]) -> tuple[NotebookNode, dict[str, Any]]:
        about = resources["nbgrader"]
        try:
            submitted = NotebookNode(cells=nb.cells, flags=nb.metadata.get("flags", []))
            restored = restore(submitted, Master.load(course_root(), about["assignment"]))
        except FileNotFoundError as error:
            raise NbGraderException(str(error)) from None
        for flag in restored.flags:
            self.log.warning("%s, %s: %s", about["student"], about["assignment"], readable(flag, 300))
        return restored.notebook, resources


class GradeOutside(NbGraderPreprocessor):
    """Runs a submission's cells in a sandbox, marks its exercises from outside, and writes the verdicts down."""

    cell_seconds = Float(Limits.cell, help="seconds for one cell").tag(config=True)
    call_seconds = Float(Limits.call, help="seconds for one call of a student's function").tag(config=True)
    seconds = Float(Limits.submission, help="seconds for all of a submission's cells").tag(config=True)
    memory_gib = Float(Limits().all.memory / 2**30, help="memory of all of a submission's processes").tag(config=True)

    def limits(self) -> Limits:
        """Of one submission."""
        all_of_it = replace(Limits().all, memory=int(self.memory_gib * 2**30))
        return Limits(cell=self.cell_seconds, call=self.call_seconds, submission=self.seconds, all=all_of_it)

    def preprocess(self, nb: NotebookNode, resources: dict[str, Any]) -> tuple[NotebookNode, dict[str, Any]]:
        """`nb` with outputs and verdicts."""
        about = resources["nbgrader"]
        lesson = about["assignment"]
        cells = (plain(cell, [], "") for cell in nb.cells)  # a second time: nbgrader's own steps lie between
        submitted = NotebookNode(cells=[cell for cell in cells if cell is not None])
        limits = self.limits()
        try:
            master = Master.load(course_root(), lesson)
            keeper = _keeper(master.modules)
        except (FileNotFoundError, SandboxMissing) as error:
            raise NbGraderException(str(error)) from None
        master = replace(master, added_counts=counts_added(self.config))
        exercises, beside = lesson_exercises(lesson), self._beside(about)
        work = submitted, about["student"], master, exercises
        lacking = self._lacking(about, master)
        graded = keeper.grade(lambda template: grade_notebook(*work, template, limits, beside, lacking=lacking))
        for flag in graded.flags:
            self.log.warning("%s, %s: %s", about["student"], lesson, flag)
        assert graded.notebook is not None
        nb.cells, nb.metadata = graded.notebook.cells, graded.notebook.metadata
        return nb, resources

    def _beside(self, about: dict[str, str]) -> Beside:
        """What was handed in beside the notebook. nbgrader's copy of it follows links and lacks modules, so it is read
        where it was handed in.
        """
        path = self._handed_in(about)
        return NONE if path is None else Beside.of(path.parent, path.name, Allowance.of(self.config))

    def _lacking(self, about: dict[str, str], master: Master) -> frozenset[str] | None:
        """What the release of the hand-in lacked: its notebook says so, and this one has been restored."""
        path = self._handed_in(about)
        try:
            return None if path is None else lacking_in(read(path), master)
        except SubmissionError as error:
            raise NbGraderException(str(error)) from None

    def _handed_in(self, about: dict[str, str]) -> Path | None:
        course = getattr(getattr(self.parent, "parent", None), "coursedir", None)
        if course is None:
            return None
        folder = course.format_path(course.submitted_directory, about["student"], about["assignment"])
        return Path(folder) / f"{about['notebook']}.ipynb"


_kept: dict[tuple[str, ...], Keeper] = {}


def _keeper(modules: tuple[str, ...]) -> Keeper:
    """One warm template, for as long as this process grades what imports these modules."""
    if modules not in _kept:
        _end()
        _kept[modules] = Keeper(lambda: Template(sandbox=not os.environ.get(UNSAFE), modules=modules))
    return _kept[modules]


@atexit.register
def _end() -> None:
    while _kept:
        _kept.popitem()[1].close()
