"""nbgrader's own generate_assignment, in process and quiet: a student's notebook, and a grade book that knows it."""

from __future__ import annotations

import logging
import shutil
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import nbformat
from nbgrader.api import Gradebook, MissingEntry
from nbgrader.converters import GenerateAssignment
from nbgrader.converters.base import NbGraderException
from nbgrader.coursedir import CourseDirectory
from nbgrader.preprocessors import ComputeChecksums
from sqlalchemy.exc import SQLAlchemyError
from traitlets.config import Config

from ..book import opened
from ..checkout import course_config, course_id
from ..plugins.preprocessors import NamedStubs
from .migration import migrated
from .replacing import replace_folder


class ReleaseError(Exception):
    """nbgrader refused to make the student's version; the message is nbgrader's, in one line."""


class _Kept(logging.Handler):
    """Keeps what nbgrader logs as an error, to be raised instead of printed."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines += [line for line in record.getMessage().splitlines() if line.strip()]


def generate(lesson: str, folder: Path, db_url: str, config: Config, copies: Path) -> str:
    """Make `folder/notebooks/<lesson>` of `folder/solutions/<lesson>` and enter the lesson in the grade book.

    Where nbgrader would refuse, since there are submissions and cells were added, taken out or renamed, the grade book
    is migrated first, with a copy in the folder `copies`. Returns what is to be said of that; "" where it was not.
    Raises ReleaseError.
    """
    told = _migrate(lesson, folder / "solutions" / lesson, db_url, config, copies)
    log, kept = logging.Logger("nbgrader"), _Kept()
    log.addHandler(kept)
    config = Config(config)
    config.CourseDirectory.merge({"root": str(folder), "source_directory": "solutions", "db_url": db_url})
    config.CourseDirectory.merge({"release_directory": "notebooks", "assignment_id": lesson})
    course = CourseDirectory(config=config, log=log)
    converter = GenerateAssignment(coursedir=course, config=config, log=log)
    converter.force = True
    try:
        converter.start()
    except NbGraderException as error:
        reasons = [line for line in kept.lines if "Error" in line] or kept.lines or [str(error)]
        raise ReleaseError(
            f"nbgrader cannot release {lesson}: {reasons[-1] if 'Error' in reasons[-1] else reasons[0]}"
        ) from None
    return told


def _migrate(lesson: str, source: Path, db_url: str, config: Config, copies: Path) -> str:
    told = []
    for path in sorted(source.glob("*.ipynb")):
        try:
            made = migrated(_as_saved(path), lesson, path.stem, db_url, course_id(config), copies)
        except SQLAlchemyError as error:
            reason = str(error).splitlines()[0]
            raise ReleaseError(f"the grade book cannot be migrated to {lesson}, and is as it was: {reason}") from error
        told += [made.told(lesson)] if made else []
    return "; ".join(told)


class Released(NamedTuple):
    """Whether a grade book had to be brought to a lesson, and what is to be said of it."""

    anew: bool
    told: str = ""


def release(
    lesson: str, root: Path, source_dir: Path, db_url: str, release_dir: Path | None = None, copies: Path | None = None
) -> Released:
    """See to it that the grade book at `db_url` knows the lesson as `source_dir/<lesson>` has it now.

    Runs generate_assignment only where the grade book lacks the lesson or differs from its built notebook; points may
    change, and manual scores survive. The student's version is put into `release_dir/<lesson>` if one is given, in
    which case it is also made when missing there. Copies of a grade book that is migrated go into `copies`, else
    `root`. Raises ReleaseError.
    """
    config = course_config(root)
    wanted = release_dir / lesson if release_dir else None
    if (wanted is None or wanted.is_dir()) and is_known(lesson, source_dir, db_url, config):
        return Released(False)
    with tempfile.TemporaryDirectory() as folder:
        staged = stage(source_dir / lesson, Path(folder), config)
        told = generate(lesson, staged, db_url, config, copies or root)
        if wanted:
            replace_folder(staged / "notebooks" / lesson, wanted)
    return Released(True, told)


def is_known(lesson: str, source_dir: Path, db_url: str, config: Config) -> bool:
    """Whether the grade book holds just the cells and points of the lesson's built notebooks."""
    with opened(db_url, course_id(config)) as gradebook:
        for path in sorted((source_dir / lesson).glob("*.ipynb")):
            try:
                notebook = gradebook.find_notebook(path.stem, lesson)
            except MissingEntry:
                return False
            worth = {cell.name: float(cell.max_score) for cell in [*notebook.grade_cells, *notebook.task_cells]}
            held = {cell.name: (cell.checksum, worth.get(cell.name)) for cell in notebook.source_cells}
            if held != _expected(path):
                return False
    return True


def submissions(lesson: str, db_url: str, config: Config) -> int:
    """How many hand-ins of a lesson the grade book knows."""
    with Gradebook(db_url, course_id(config)) as gradebook:
        try:
            return len(gradebook.find_assignment(lesson).submissions)
        except MissingEntry:
            return 0


def _as_saved(path: Path) -> Any:
    """A built notebook with its cells as generate_assignment saves them."""
    notebook: Any = nbformat.read(path, as_version=4)
    for step in (NamedStubs(), ComputeChecksums()):
        notebook, _ = step.preprocess(notebook, {})
    return notebook


def _expected(path: Path) -> dict[str, tuple[str, float | None]]:
    """Checksum and points of each nbgrader cell, as generate_assignment would enter them."""
    notebook = _as_saved(path)
    cells = [cell.metadata.nbgrader for cell in notebook.cells if "nbgrader" in cell.metadata]
    return {cell["grade_id"]: (cell["checksum"], float(cell["points"]) if "points" in cell else None) for cell in cells}


def stage(source: Path, folder: Path, config: Config) -> Path:
    """Copy a lesson's folder to `folder/solutions`, without what the config keeps from students. Returns `folder`."""
    ignored = shutil.ignore_patterns(*config.CourseDirectory.get("ignore", []))
    shutil.copytree(source, folder / "solutions" / source.name, ignore=ignored)
    return folder
