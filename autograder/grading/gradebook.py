"""Writing what was graded in nbgrader's own shape: `gradebook.db` and `autograded/<student>/<lesson>/`.

Everything goes through nbgrader's API and its own preprocessors, so formgrader, manual grading, late penalties and
export go on from here. One writer at a time: SQLite knows no other way.
"""

from __future__ import annotations

import hashlib
import hmac
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from nbformat import NotebookNode
from nbgrader.api import (
    Assignment,
    BaseCell,
    Grade,
    Notebook,
    SubmittedAssignment,
    SubmittedNotebook,
)
from nbgrader.preprocessors import SaveAutoGrades
from sqlalchemy.engine import make_url
from sqlalchemy.exc import SAWarning
from traitlets.config import Config

from ..book import opened
from ..cells import lacking, nbgrader
from ..checkout import course_id, database_url
from ..hand_in.beside import SECRET, TIMESTAMP
from ..hand_in.finding import timestamp
from ..hand_in.notebook_file import SubmissionError, plain_bytes
from ..transaction import one_transaction
from . import byhand, lateness
from .exchange import Exchange
from .graded import NOT_GRADED, Graded
from .lateness import Extensions
from .rows import FirstRows, Rows, complete, first_rows, leave_out

LONGEST_SECRET = 1000  # characters; nbgrader's have 128


class GradebookWriter:
    """The grade book of `out`, open for writing; a context manager. `config` is that of nbgrader_config.py."""

    def __init__(self, out: Path, config: Config) -> None:
        self.out = out
        self.db_url = database_url(out, config)
        self._config = config
        # nbgrader adds rows by relationship before they are in the session, which SQLAlchemy remarks on every time.
        warnings.filterwarnings("ignore", category=SAWarning, message="Object of type .* not in session")
        self._saver = SaveAutoGrades(config=config)
        self.gradebook = opened(self.db_url, course_id(config))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.gradebook.close()

    def write(
        self,
        graded: Graded,
        name: str,
        submitted: Path,
        files: Exchange | None = None,
        release: Mapping[str, str] | None = None,
    ) -> Path:
        """Store one submission; `submitted` is its folder, whose timestamp goes along. Returns the folder written.

        `files`: the exchange of a block of `all_or_nothing`, to which this submission belongs; `release`: what
        `for_release` gave; the timestamp alone without it.
        """
        if graded.status == NOT_GRADED:
            raise ValueError(f"{graded.student}, {graded.lesson}: nothing is stored of what was not graded")
        folder = self.out / "autograded" / graded.student / graded.lesson
        with nullcontext(files) if files else self.all_or_nothing() as files:
            when, _ = timestamp(submitted)
            self.gradebook.update_or_create_student(graded.student)
            first = first_rows(self.gradebook, graded.lesson, graded.student, when)
            if not first:
                # One that vanished clears the stored one.
                self.gradebook.update_or_create_submission(graded.lesson, graded.student, timestamp=when)
            made = files.aside(folder)
            made.mkdir()
            if graded.notebook is not None:
                self._save(graded, name, graded.notebook, folder / f"{name}.ipynb", first.pop(name, None))
                (made / f"{name}.ipynb").write_text(graded.text, encoding="utf-8")
            for others in first.values():
                others.store(self.gradebook)
            if graded.notebook is None:
                self._zero(graded, name)
            self.settle(graded.lesson, graded.student)
            beside = {TIMESTAMP: when.isoformat()} if when else {}
            for place, text in (beside if release is None else release).items():
                (made / place).write_text(text, encoding="utf-8")
        return folder

    def auto_scores(self, lesson: str, name: str) -> dict[str, dict[str, float | None]]:
        """The scores by machine that the grade book holds of a lesson, by student and cell."""
        rows = (
            self.gradebook.db.query(SubmittedAssignment.student_id, BaseCell.name, Grade.auto_score)
            .select_from(Grade)
            .join(SubmittedNotebook, SubmittedNotebook.id == Grade.notebook_id)
            .join(SubmittedAssignment, SubmittedAssignment.id == SubmittedNotebook.assignment_id)
            .join(Assignment, Assignment.id == SubmittedAssignment.assignment_id)
            .join(Notebook, Notebook.id == SubmittedNotebook.notebook_id)
            .join(BaseCell, BaseCell.id == Grade.cell_id)
            .filter(Assignment.name == lesson, Notebook.name == name)
        )
        held: dict[str, dict[str, float | None]] = {}
        for student, cell, score in rows:
            held.setdefault(student, {})[cell] = score
        return held

    def enrol(self, student: str) -> None:
        """See to it that the grade book knows a student, of whom it may hold nothing else."""
        with one_transaction(self.gradebook):
            self.gradebook.update_or_create_student(student)

    def extend(self, student: str, lesson: str, until: datetime | None) -> str:
        """As `lateness.extend`."""
        extensions = Extensions.beside(self.gradebook, self.out)
        return lateness.extend(self.gradebook, self._config, extensions, student, lesson, until)

    @contextmanager
    def all_or_nothing(self) -> Iterator[Exchange]:
        """A block in which one submission is stored: left by an exception, the grade book and the files of the exchange
        are as they were.
        """
        with Exchange() as files, one_transaction(self.gradebook):
            yield files
            files.swap()

    def _save(self, graded: Graded, name: str, notebook: NotebookNode, earlier: Path, first: FirstRows | None) -> None:
        resources = resources_for(graded.student, graded.lesson, name, self.db_url)
        saver = self._saver
        rows: Rows
        if first is not None:
            rows = first
        else:
            held = self.gradebook.find_submission_notebook(name, graded.lesson, graded.student)
            complete(self.gradebook, held)
            rows = Rows.of(self.gradebook, held.id)
        saver.gradebook = rows
        before = byhand.held(rows.grades)
        saver.notebook_id, saver.assignment_id, saver.student_id = name, graded.lesson, graded.student
        for index, cell in enumerate(cell for cell in notebook.cells if not lacking(cell)):
            saver.preprocess_cell(cell if _is_worth(cell) else NotebookNode({**cell, "outputs": []}), resources, index)
        byhand.queue(rows.grades, before, lambda: byhand.stored(earlier), notebook)
        if first is None:
            leave_out(self.gradebook, held, notebook.cells)
        else:
            first.store(self.gradebook, notebook.cells)

    def settle(self, lesson: str | None = None, student: str | None = None) -> list[tuple[str, str]]:
        """As `lateness.settle`."""
        extensions = Extensions.beside(self.gradebook, self.out)
        return lateness.settle(self.gradebook, self._config, extensions, lesson, student)

    def _zero(self, graded: Graded, name: str) -> None:
        """Nothing for a hand-in without a notebook; what was marked by hand in an earlier one waits to be looked at
        again, with the old mark in the comment.
        """
        held = self.gradebook.find_submission_notebook(name, graded.lesson, graded.student)
        complete(self.gradebook, held)
        comments = {comment.name: comment for comment in held.comments}
        for grade in held.grades:
            old = grade.manual_score
            grade.needs_manual_grade = bool(grade.needs_manual_grade or old is not None)
            grade.auto_score, grade.manual_score = 0.0, None
            if old is not None and (comment := comments.get(grade.name)) is not None:
                said = f"{comment.comment} " if comment.comment else ""
                comment.manual_comment = f"{said}[An earlier hand-in had {old:g} here.]"
        self.gradebook.db.commit()


def _is_worth(cell: NotebookNode) -> bool:
    """Whether points depend on what a cell shows: of any other one the outputs are the student's to choose."""
    return bool(nbgrader(cell).get("points"))


def for_release(folder: Path, student: str, lesson: str, secret: str) -> dict[str, str]:
    """The files that `nbgrader release_feedback` wants beside a page: when it was handed in, as far as that is known,
    and the secret by which its author finds the page in the exchange, both from the `folder` of the hand-in. Who handed
    in by another way has none; one that nobody can guess, drawn from the course's `secret`, stands in for it, so that
    the pages of the others are released.
    """
    when, _ = timestamp(folder)
    text = f"{student}/{lesson}".encode(errors="surrogateescape")
    made_up = hmac.new(secret.encode(), text, hashlib.sha512).hexdigest()
    return {TIMESTAMP: when.isoformat() if when else "", SECRET: _secret(folder) or made_up}


def _secret(folder: Path) -> str:
    try:
        content = plain_bytes(folder / SECRET, LONGEST_SECRET)
        return content.decode("ascii").strip() if len(content) <= LONGEST_SECRET else ""
    except (SubmissionError, UnicodeError):
        return ""


def is_there(db_url: str) -> bool:
    """Whether there may be a grade book: of a file that is missing it is known, and looking would make one."""
    place = make_url(db_url)
    return place.get_backend_name() != "sqlite" or bool(place.database and Path(place.database).is_file())


def resources_for(student: str, lesson: str, name: str, db_url: str) -> dict[str, Any]:
    """What nbgrader's preprocessors want to know of the notebook at hand."""
    about = {"student": student, "assignment": lesson, "notebook": name, "db_url": db_url}
    return {"unique_key": name, "output_files_dir": f"{name}_files", "nbgrader": about, "metadata": {"name": name}}
