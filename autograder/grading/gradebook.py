"""Writing what was graded in nbgrader's own shape: `gradebook.db` and `autograded/<student>/<lesson>/`.

Everything goes through nbgrader's API and its own preprocessors, so formgrader, manual grading, late penalties and
export go on from here. One writer at a time: SQLite knows no other way.
"""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import nbformat
from nbformat import NotebookNode
from nbgrader.api import BaseCell, Comment, Grade, Gradebook
from nbgrader.preprocessors import AssignLatePenalties, SaveAutoGrades
from sqlalchemy.exc import SAWarning
from traitlets.config import Config

from ..checkout import course_id, database_url
from .hand_ins import timestamp
from .runner import Graded


class GradebookWriter:
    """The grade book of `out`, open for writing; a context manager. `config` is that of nbgrader_config.py."""

    def __init__(self, out: Path, config: Config) -> None:
        self.out = out
        self.db_url = database_url(out, config)
        self._config = config
        # nbgrader adds rows by relationship before they are in the session, which SQLAlchemy remarks on every time.
        warnings.filterwarnings("ignore", category=SAWarning, message="Object of type .* not in session")
        self.gradebook = Gradebook(self.db_url, course_id(config))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.gradebook.close()

    def write(self, graded: Graded, name: str, submitted: Path) -> Path:
        """Store one submission; `submitted` is its folder, whose timestamp goes along. Returns the folder written."""
        folder = self.out / "autograded" / graded.student / graded.lesson
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        extra = {"timestamp": when} if (when := timestamp(submitted)[0]) else {}
        with self._one_transaction():
            self.gradebook.update_or_create_student(graded.student)
            self.gradebook.update_or_create_submission(graded.lesson, graded.student, **extra)
            if graded.notebook is None:
                self._zero(graded, name)
            else:
                self._save(graded, name, graded.notebook)
            due = self.gradebook.find_assignment(graded.lesson).duedate
        if graded.notebook is not None:
            if due is not None:  # has a connection of its own
                resources = resources_for(graded.student, graded.lesson, name, self.db_url)
                AssignLatePenalties(config=self._config).preprocess(graded.notebook, resources)
            # Not `nbformat.write`, which validates once more what `restore` and `safe_outputs` have put together.
            text = nbformat.v4.writes(graded.notebook)
            (folder / f"{name}.ipynb").write_text(text + "\n", encoding="utf-8")
        if when:
            (folder / "timestamp.txt").write_text(when.isoformat(), encoding="utf-8")
        return folder

    @contextmanager
    def _one_transaction(self) -> Iterator[None]:
        """All of a submission or nothing: nbgrader's API commits some forty times, each of which would wait for the
        disk; here it writes into a transaction that is committed at the end.
        """
        session = self.gradebook.db
        session.remove()
        try:
            with self.gradebook.engine.begin() as connection:
                session.configure(bind=connection, join_transaction_mode="rollback_only", expire_on_commit=False)
                yield
                session.remove()
        finally:
            session.remove()
            own = {"join_transaction_mode": "conditional_savepoint", "expire_on_commit": True}
            session.configure(bind=self.gradebook.engine, **own)

    def _save(self, graded: Graded, name: str, notebook: NotebookNode) -> None:
        resources = resources_for(graded.student, graded.lesson, name, self.db_url)
        saver = SaveAutoGrades(config=self._config)
        saver.gradebook = _Rows(self.gradebook, graded, name)
        saver.notebook_id, saver.assignment_id, saver.student_id = name, graded.lesson, graded.student
        for index, cell in enumerate(notebook.cells):
            saver.preprocess_cell(cell, resources, index)

    def _zero(self, graded: Graded, name: str) -> None:
        """Nothing for a hand-in without a notebook; what was marked by hand in an earlier one waits to be looked at
        again, with the old mark in the comment.
        """
        held = self.gradebook.find_submission_notebook(name, graded.lesson, graded.student)
        comments = {comment.name: comment for comment in held.comments}
        for grade in held.grades:
            old = grade.manual_score
            grade.needs_manual_grade = bool(grade.needs_manual_grade or old is not None)
            grade.auto_score, grade.manual_score = 0.0, None
            if old is not None and (comment := comments.get(grade.name)) is not None:
                said = f"{comment.comment} " if comment.comment else ""
                comment.manual_comment = f"{said}[An earlier hand-in had {old:g} here.]"
        self.gradebook.db.commit()


class _Rows:
    """The grade book as SaveAutoGrades sees it: the rows of one submission, found by two queries instead of one for
    every cell, and stored when its transaction ends.
    """

    def __init__(self, gradebook: Gradebook, graded: Graded, name: str) -> None:
        held = gradebook.find_submission_notebook(name, graded.lesson, graded.student).id
        self._grades, self._comments = (
            dict(gradebook.db.query(BaseCell.name, kind).filter(kind.cell_id == BaseCell.id, kind.notebook_id == held))
            for kind in (Grade, Comment)
        )
        self.db = self

    def find_grade(self, cell: str, *_: str) -> Grade:
        return self._grades[cell]

    def find_comment(self, cell: str, *_: str) -> Comment:
        return self._comments[cell]

    def commit(self) -> None:
        """Later, with everything else."""


def resources_for(student: str, lesson: str, name: str, db_url: str) -> dict[str, Any]:
    """What nbgrader's preprocessors want to know of the notebook at hand."""
    about = {"student": student, "assignment": lesson, "notebook": name, "db_url": db_url}
    return {"unique_key": name, "output_files_dir": f"{name}_files", "nbgrader": about, "metadata": {"name": name}}
