"""nbgrader's own generate_assignment, in process and quiet: a student's notebook, and a grade book that knows it."""

from __future__ import annotations

import logging
import shutil
import tempfile
from pathlib import Path
from typing import Any

import nbformat
from nbgrader.api import Gradebook, MissingEntry
from nbgrader.converters import GenerateAssignment
from nbgrader.converters.base import NbGraderException
from nbgrader.coursedir import CourseDirectory
from nbgrader.preprocessors import ComputeChecksums
from traitlets.config import Config

from ..checkout import course_config, course_id
from ..plugins.preprocessors import NamedStubs


class ReleaseError(Exception):
    """nbgrader refused to make the student's version; the message is nbgrader's, in one line."""


class _Kept(logging.Handler):
    """Keeps what nbgrader logs as an error, to be raised instead of printed."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines += [line for line in record.getMessage().splitlines() if line.strip()]


def generate(lesson: str, folder: Path, db_url: str, config: Config) -> None:
    """Make `folder/notebooks/<lesson>` of `folder/solutions/<lesson>` and enter the lesson in the grade book.

    Raises ReleaseError, such as when submissions exist and an exercise was added, taken out or renamed.
    """
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


def release(lesson: str, root: Path, source_dir: Path, db_url: str, release_dir: Path | None = None) -> bool:
    """See to it that the grade book at `db_url` knows the lesson as `source_dir/<lesson>` has it now.

    Runs generate_assignment only where the grade book lacks the lesson or differs from its built notebook; points may
    change, and manual scores survive. The student's version is put into `release_dir/<lesson>` if one is given, in
    which case it is also made when missing there. Returns whether anything had to be done. Raises ReleaseError.
    """
    config = course_config(root)
    wanted = release_dir / lesson if release_dir else None
    if (wanted is None or wanted.is_dir()) and is_known(lesson, source_dir, db_url, config):
        return False
    with tempfile.TemporaryDirectory() as folder:
        staged = stage(source_dir / lesson, Path(folder), config)
        generate(lesson, staged, db_url, config)
        if wanted:
            replace_folder(staged / "notebooks" / lesson, wanted)
    return True


def is_known(lesson: str, source_dir: Path, db_url: str, config: Config) -> bool:
    """Whether the grade book holds just the cells and points of the lesson's built notebooks."""
    with Gradebook(db_url, course_id(config)) as gradebook:
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


def _expected(path: Path) -> dict[str, tuple[str, float | None]]:
    """Checksum and points of each nbgrader cell, as generate_assignment would enter them."""
    notebook: Any = nbformat.read(path, as_version=4)
    for step in (NamedStubs(), ComputeChecksums()):
        notebook, _ = step.preprocess(notebook, {})
    cells = [cell.metadata.nbgrader for cell in notebook.cells if "nbgrader" in cell.metadata]
    return {cell["grade_id"]: (cell["checksum"], float(cell["points"]) if "points" in cell else None) for cell in cells}


def stage(source: Path, folder: Path, config: Config) -> Path:
    """Copy a lesson's folder to `folder/solutions`, without what the config keeps from students. Returns `folder`."""
    ignored = shutil.ignore_patterns(*config.CourseDirectory.get("ignore", []))
    shutil.copytree(source, folder / "solutions" / source.name, ignore=ignored)
    return folder


def replace_folder(made: Path, wanted: Path) -> None:
    """Bring `wanted` to the files of `made`, each replaced in one step; what was there besides goes."""
    wanted.mkdir(parents=True, exist_ok=True)
    files = {path.relative_to(made) for path in made.rglob("*") if path.is_file()}
    for name in sorted(files):
        replace_file(wanted / name, (made / name).read_bytes())
    for path in wanted.rglob("*"):
        hidden = any(part.startswith(".") for part in path.relative_to(wanted).parts)
        if path.is_file() and path.relative_to(wanted) not in files and not hidden:
            path.unlink()


def replace_file(path: Path, content: bytes) -> None:
    """Write a file in one step, so that nobody ever sees half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    half = path.with_name(path.name + ".tmp")
    half.write_bytes(content)
    half.replace(path)
