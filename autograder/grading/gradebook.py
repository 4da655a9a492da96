"""Writing what was graded in nbgrader's own shape: `gradebook.db` and `autograded/<student>/<lesson>/`.

Points and comments are nbgrader's own (`finished`), and so are the rows (`rows`), so formgrader, manual grading, late
penalties and export go on from here. One writer at a time, with many submissions at once: SQLite knows no other way.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from nbgrader.api import (
    Assignment,
    BaseCell,
    Grade,
    MissingEntry,
    Notebook,
    SubmittedAssignment,
    SubmittedNotebook,
)
from sqlalchemy.engine import make_url
from traitlets.config import Config

from ..book import indexed, opened
from ..checkout import course_id, database_url
from ..hand_in.beside import SECRET, TIMESTAMP
from ..hand_in.finding import timestamp
from ..hand_in.notebook_file import SubmissionError, plain_bytes
from ..transaction import one_transaction
from . import byhand, lateness
from .exchange import Exchange
from .finished import Finished
from .graded import NOT_GRADED, Graded
from .lateness import Extensions
from .rows import Rows, enter, store

LONGEST_SECRET = 1000  # characters; nbgrader's have 128


class GradebookWriter:
    """The grade book of `out`, open for writing; a context manager. `config` is that of nbgrader_config.py."""

    def __init__(self, out: Path, config: Config) -> None:
        self.out = out
        self.db_url = database_url(out, config)
        self._config = config
        self.gradebook = opened(self.db_url, course_id(config))
        indexed(self.gradebook)

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
        """Store one submission; returns the folder written. See `write_all`."""
        return self.write_all([Finished(graded, name, submitted, release)], files)[0]

    def write_all(self, finished: Sequence[Finished], files: Exchange | None = None) -> list[Path]:
        """Store submissions, all of them or none, in a few statements; returns the folders written.

        `files`: the exchange of a block of `all_or_nothing`, to which they belong.
        """
        for one in finished:
            if one.graded.status == NOT_GRADED:
                raise ValueError(f"{one.graded.student}, {one.graded.lesson}: nothing is stored of what was not graded")
        with nullcontext(files) if files else self.all_or_nothing() as files:
            for lesson in dict.fromkeys(one.graded.lesson for one in finished):
                self._write_lesson(lesson, [one for one in finished if one.graded.lesson == lesson])
            for one in finished:
                made = files.aside(self._folder(one))
                made.mkdir()
                if one.sheet is not None:
                    (made / f"{one.name}.ipynb").write_bytes(one.sheet.content)
                for place, text in one.beside.items():
                    (made / place).write_text(text, encoding="utf-8")
        return [self._folder(one) for one in finished]

    def _folder(self, one: Finished) -> Path:
        return self.out / "autograded" / one.graded.student / one.graded.lesson

    def _write_lesson(self, lesson: str, finished: Sequence[Finished]) -> None:
        """What the grade book holds of these hand-ins of a lesson, of a student each."""
        when = {one.graded.student: one.when for one in finished}
        rows = enter(self.gradebook, lesson, when)
        for one in finished:
            self._save(one, rows[one.graded.student])
        store(self.gradebook, (held for own in rows.values() for held in own.values()))
        self.settle(lesson, when)

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
        """A block in which submissions are stored: left by an exception, the grade book and the files of the exchange
        are as they were.
        """
        with Exchange() as files, one_transaction(self.gradebook):
            yield files
            files.swap()

    def _save(self, one: Finished, notebooks: Mapping[str, Rows]) -> None:
        """Bring a hand-in's rows to what it came to."""
        if (rows := notebooks.get(one.name)) is None:
            raise MissingEntry(f"no such notebook: {one.name}, {one.graded.lesson}")
        if (sheet := one.sheet) is None:
            _zero(rows)
            return
        earlier = self._folder(one) / f"{one.name}.ipynb"
        before = byhand.held(rows.grades)
        for cell, points in sheet.points.items():
            rows.grades[cell].auto_score = points
        for cell, comment in sheet.comments.items():
            rows.comments[cell].auto_comment = comment
        byhand.queue(rows.grades, before, sheet.worth, lambda: byhand.stored(earlier), lambda: sheet.notebook)
        rows.left_out = sheet.left_out

    def settle(self, lesson: str | None = None, students: Iterable[str] | None = None) -> list[tuple[str, str]]:
        """As `lateness.settle`."""
        extensions = Extensions.beside(self.gradebook, self.out)
        return lateness.settle(self.gradebook, self._config, extensions, lesson, students)


def _zero(rows: Rows) -> None:
    """Nothing for a hand-in without a notebook; what was marked by hand in an earlier one waits to be looked at again,
    with the old mark in the comment.
    """
    for name, grade in rows.grades.items():
        old = grade.manual_score
        grade.needs_manual_grade = grade.needs_manual_grade or old is not None
        grade.auto_score, grade.manual_score = 0.0, None
        if old is not None and (comment := rows.comments.get(name)) is not None:
            held = comment.auto_comment if comment.manual_comment is None else comment.manual_comment
            said = f"{held} " if held else ""
            comment.manual_comment = f"{said}[An earlier hand-in had {old:g} here.]"


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
