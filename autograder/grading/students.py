"""`course extend` and `course roster`: what a person tells the grade book of students."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from ..checkout import course_config, course_root
from ..dates import in_utc
from ..feedback.markup import readable
from ..hand_in.finding import ClassError, misnamed
from ..transaction import one_transaction
from .alone import alone
from .gradebook import GradebookWriter
from .options import WITHDRAW
from .roster import enrol, read_roster


def run_extend(options: argparse.Namespace) -> int:
    """`course extend`; 0 when it is noted, 2 when it cannot be."""
    root = course_root()
    out = (options.out or root).resolve()
    try:
        until = None if options.date == WITHDRAW else in_utc(options.date, whole_day=True)
        _is_one(root, out, options.lesson, options.student)
        config = course_config(root)
        if options.db:
            config.CourseDirectory.db_url = options.db
        with alone(out), GradebookWriter(out, config) as book:
            print(book.extend(options.student, options.lesson, until))
    except (ValueError, OSError) as error:  # ClassError, too
        print(error, file=sys.stderr)
        return 2
    return 0


def run_roster(options: argparse.Namespace) -> int:
    """`course roster`; 0 when all are in the grade book, 2 when the list cannot be taken."""
    root = course_root()
    out = (options.out or root).resolve()
    try:
        listed, config = read_roster(options.file, options.column), course_config(root)
        if options.db:
            config.CourseDirectory.db_url = options.db
        with alone(out), GradebookWriter(out, config) as book, one_transaction(book.gradebook):
            told = enrol(book.gradebook, listed)
    except (ValueError, OSError) as error:  # ClassError, too
        print(readable(str(error)), file=sys.stderr)
        return 2
    print(readable(told))
    return 0


def _is_one(root: Path, out: Path, lesson: str, student: str) -> None:
    """Raise `ClassError` where there is no such lesson or folder, or nobody can be called so."""
    lessons = sorted(place.parent.name for place in (root / "solutions").glob("*/*.ipynb"))
    if lesson not in lessons:
        raise ClassError(f"there is no lesson {lesson!r}; there are {', '.join(lessons)}")
    if reason := misnamed(student) or ("" if student.strip() else "a student has a name"):
        raise ClassError(reason)
    if not out.is_dir():
        raise ClassError(f"{out} is not a folder")
