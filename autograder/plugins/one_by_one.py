"""nbgrader's own route, one submission at a time: what goes wrong with one leaves no trace, and the others go on.

nbgrader ends the whole run at some errors, and at all of them it deletes what an earlier run had put into
`autograded/`, with marks half written. Here a submission that cannot be graded keeps its earlier notebook, marks and
comments; a first hand-in keeps none, so that nobody takes a mistake of ours for a mark of 0.
"""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from nbformat import NotebookNode
from nbgrader.api import Comment, Grade, Gradebook, MissingEntry, SubmittedAssignment, SubmittedNotebook
from nbgrader.converters import base as nbgraders
from nbgrader.converters.base import BaseConverter, NbGraderException

from ..feedback.markup import readable
from ..grading import byhand
from ..grading.lateness import Extensions, settle
from ..grading.rows import complete, leave_out
from ..hand_in.beside import EXCHANGE, Allowance, Beside
from ..hand_in.finding import IN_TIME, ClassError, misnamed, timestamp
from ..hand_in.notebook_file import SubmissionError, plain_bytes
from .as_saved import AsSaved


class OneByOne(AsSaved):
    """The exporter is all that nbgrader's configuration lets in before its loop over a class begins."""

    def __init__(self, parent: Any = None, **options: Any) -> None:
        super().__init__(parent=parent, **options)
        if isinstance(parent, BaseConverter):
            parent.convert_notebooks = partial(_one_by_one, parent, parent.convert_notebooks)

    def from_notebook_node(
        self, nb: NotebookNode, resources: dict[str, Any] | None = None, **options: Any
    ) -> tuple[NotebookNode, dict[str, Any]]:
        """As nbconvert's, which refuses a notebook for the letters of an id."""
        for number, cell in enumerate(nb.cells):
            if not re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", str(cell.get("id", "-"))):
                cell["id"] = f"own-{number}"
        return super().from_notebook_node(nb, resources, **options)


def _one_by_one(converter: BaseConverter, convert: Callable[[], None]) -> None:
    """Give the submissions of `converter` to nbgrader's loop one after the other. Raises `NbGraderException` at the end
    when some were not graded.
    """
    given, waiting = dict(converter.assignments), []
    settled(converter)  # nbgrader fails at an extension without a due date
    for folder in sorted(given):
        converter.assignments = {folder: given[folder]}
        try:
            with _kept(converter, folder), _what_travels(converter):
                convert()
        except Exception as error:
            waiting.append(folder)
            if not isinstance(error, NbGraderException):  # that one has been logged
                converter.log.exception("%s: %s", folder, error)
    converter.assignments = given
    reason = settled(converter)
    for folder in waiting:
        converter.log.error("not graded, earlier marks stand: %s", folder)
    if reason:
        raise NbGraderException(reason)
    if waiting:
        raise NbGraderException(f"{len(waiting)} of {len(given)} submissions were not graded; see above")


def settled(converter: BaseConverter) -> str:
    """Bring the lesson's extensions and penalties to what holds now; why that fails, "" where it does not."""
    course = converter.coursedir
    try:
        with Gradebook(course.db_url, course.course_id) as book:
            for student, lesson in _settle(book, converter, course.assignment_id):
                converter.log.warning("%s, %s: there is no time of handing in, so it %s", student, lesson, IN_TIME)
    except ClassError as error:
        converter.log.error("%s", error)
        return str(error)
    return ""


def _settle(
    book: Gradebook, converter: BaseConverter, lesson: str, students: Iterable[str] | None = None
) -> list[tuple[str, str]]:
    extensions = Extensions.beside(book, Path(converter.coursedir.root))
    return settle(book, converter.config, extensions, lesson, students)


@contextmanager
def _kept(converter: BaseConverter, folder: str) -> Iterator[None]:
    """A block that grades the submission in `folder`; left by an exception, what was known of it is as it was."""
    student, lesson = whose(converter, folder)
    course = (converter.coursedir.db_url, converter.coursedir.course_id)
    place = Path(converter._format_dest(lesson, student))
    with tempfile.TemporaryDirectory(prefix="earlier-") as held:
        copy = Path(held) / "earlier"
        if place.is_dir():
            shutil.copytree(place, copy, symlinks=True)
        with Gradebook(*course) as book:
            rows = held_of(book, lesson, student)
            marks = {name: byhand.held(grades) for name, grades in _grades(book, lesson, student).items()}
            if rows:
                when, _ = timestamp(Path(folder))  # one that vanished clears the stored one
                for held in book.update_or_create_submission(lesson, student, timestamp=when).notebooks:
                    complete(book, held)  # nbgrader looks for a row of every cell
        try:
            yield
            with Gradebook(*course) as book:
                for name, grades in _grades(book, lesson, student).items():
                    _queue(grades, marks.get(name, {}), copy / f"{name}.ipynb", place / f"{name}.ipynb")
                    cells = (byhand.stored(place / f"{name}.ipynb") or {"cells": []})["cells"]
                    leave_out(book, book.find_submission_notebook(name, lesson, student), cells)
                _settle(book, converter, lesson, [student])
        except BaseException:
            shutil.rmtree(place, ignore_errors=True)
            if copy.is_dir():
                shutil.copytree(copy, place, symlinks=True)
            with Gradebook(*course) as book:
                put_back(book, lesson, student, rows)
            raise


def whose(converter: BaseConverter, folder: str) -> tuple[str, str]:
    """The student and the lesson of a folder that `converter` is to read. Raises `NbGraderException`."""
    form = converter._format_source("(?P<lesson>.*)", "(?P<student>.*)", escape=True)
    found = re.match(form, folder)
    if found is None:
        raise NbGraderException(f"{folder} does not match {form}")
    if reason := misnamed(found["student"]):
        raise NbGraderException(readable(f"{folder}: {reason}"))
    return found["student"], found["lesson"]


def _grades(book: Gradebook, lesson: str, student: str) -> dict[str, dict[str, Grade]]:
    """The grades of a submission's notebooks, by their names and those of the cells."""
    try:
        notebooks = book.find_submission(lesson, student).notebooks
    except MissingEntry:
        return {}
    return {notebook.name: {grade.name: grade for grade in notebook.grades} for notebook in notebooks}


def _queue(grades: dict[str, Grade], before: dict[str, byhand.Held], earlier: Path, now: Path) -> None:
    if (notebook := byhand.stored(now)) is not None:
        byhand.queue(grades, before, byhand.worth_of(notebook), lambda: byhand.stored(earlier), lambda: notebook)


@contextmanager
def _what_travels(converter: BaseConverter) -> Iterator[None]:
    """A block in which nbgrader copies of a hand-in its time and the small plain files that travel, and no others: by
    itself it follows links, and copies whatever there is, of any size, to where formgrader and students find it.
    """

    def files(folder: str, exclude: list[str] | None = None) -> list[str]:
        place = Path(folder)
        taken = Beside.of(place, "", Allowance.of(converter.config)).files
        return [str(place / name) for name in (*taken, *EXCHANGE) if _is_plain(place / name)]

    before, nbgraders.find_all_files = nbgraders.find_all_files, files
    try:
        yield
    finally:
        nbgraders.find_all_files = before


def _is_plain(path: Path) -> bool:
    try:
        return plain_bytes(path, 0) is not None
    except SubmissionError:
        return False


Row = tuple[type, str]


def held_of(book: Gradebook, lesson: str, student: str) -> dict[Row, dict[str, Any]]:
    """All that the grade book holds of a submission: the columns of its rows; nothing where it holds none."""
    try:
        submission = book.find_submission(lesson, student)
    except MissingEntry:
        return {}
    rows: list[SubmittedAssignment | SubmittedNotebook | Grade | Comment] = [submission, *submission.notebooks]
    for notebook in submission.notebooks:
        rows += [*notebook.grades, *notebook.comments]
    return {(type(row), row.id): {name: getattr(row, name) for name in row.__table__.columns.keys()} for row in rows}  # noqa: SIM118


def put_back(book: Gradebook, lesson: str, student: str, rows: dict[Row, dict[str, Any]]) -> None:
    """Bring a submission to what `held_of` found earlier."""
    book.db.rollback()
    now = held_of(book, lesson, student)
    if not rows:
        if now:
            book.remove_submission(lesson, student)
        return
    for (kind, identity), columns in rows.items():
        row = book.db.get(kind, identity)
        for name, value in columns.items():
            if row is not None and getattr(row, name) != value:
                setattr(row, name, value)
    for row in [book.db.get(*key) for key in now.keys() - rows.keys()]:
        book.db.delete(row)
    book.db.commit()
