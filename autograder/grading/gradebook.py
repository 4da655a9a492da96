"""Writing what was graded in nbgrader's own shape: `gradebook.db` and `autograded/<student>/<lesson>/`.

Everything goes through nbgrader's API and its own preprocessors, so formgrader, manual grading, late penalties and
export go on from here. One writer at a time: SQLite knows no other way.
"""

from __future__ import annotations

import shutil
import warnings
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import nbformat
from nbformat import NotebookNode
from nbgrader.api import Gradebook
from nbgrader.preprocessors import AssignLatePenalties, SaveAutoGrades
from nbgrader.utils import parse_utc
from sqlalchemy.exc import SAWarning
from traitlets.config import Config

from ..checkout import course_id, database_url
from .runner import Graded
from .submission import content


class GradebookWriter:
    """The grade book of `out`, open for writing; a context manager. `config` is that of nbgrader_config.py."""

    def __init__(self, out: Path, config: Config) -> None:
        self.out = out
        self.db_url = database_url(out, config)
        self._config = config
        # nbgrader adds rows by relationship before they are in the session, which SQLAlchemy remarks on every time.
        warnings.filterwarnings("ignore", category=SAWarning, message="Object of type .* not in session")
        self._gradebook = Gradebook(self.db_url, course_id(config))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._gradebook.close()

    def write(self, graded: Graded, name: str, submitted: Path) -> Path:
        """Store one submission; `submitted` is its folder, whose timestamp goes along. Returns the folder written."""
        folder = self.out / "autograded" / graded.student / graded.lesson
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        self._gradebook.update_or_create_student(graded.student)
        extra = {"timestamp": when} if (when := timestamp(submitted)) else {}
        self._gradebook.update_or_create_submission(graded.lesson, graded.student, **extra)
        if graded.notebook is None:
            self._zero(graded, name)
        else:
            self._save(graded, name, graded.notebook)
            nbformat.write(graded.notebook, folder / f"{name}.ipynb")
        if when:
            (folder / "timestamp.txt").write_text(when.isoformat(), encoding="utf-8")
        return folder

    def _save(self, graded: Graded, name: str, notebook: NotebookNode) -> None:
        resources = resources_for(graded.student, graded.lesson, name, self.db_url)
        saver = SaveAutoGrades(config=self._config)
        saver.gradebook = self._gradebook  # one connection for the class, not one for every notebook
        saver.notebook_id, saver.assignment_id, saver.student_id = name, graded.lesson, graded.student
        for index, cell in enumerate(notebook.cells):
            saver.preprocess_cell(cell, resources, index)
        if self._gradebook.find_assignment(graded.lesson).duedate is not None:
            AssignLatePenalties(config=self._config).preprocess(notebook, resources)

    def _zero(self, graded: Graded, name: str) -> None:
        for grade in self._gradebook.find_submission_notebook(name, graded.lesson, graded.student).grades:
            grade.auto_score, grade.needs_manual_grade = 0.0, False
        self._gradebook.db.commit()


def resources_for(student: str, lesson: str, name: str, db_url: str) -> dict[str, Any]:
    """What nbgrader's preprocessors want to know of the notebook at hand."""
    about = {"student": student, "assignment": lesson, "notebook": name, "db_url": db_url}
    return {"unique_key": name, "output_files_dir": f"{name}_files", "nbgrader": about, "metadata": {"name": name}}


def timestamp(submitted: Path) -> datetime | None:
    """When it was handed in, from `timestamp.txt`; None where that is missing or unreadable."""
    try:
        return parse_utc(content(submitted / "timestamp.txt")[:100].decode().strip())
    except (OSError, ValueError, OverflowError):
        return None
