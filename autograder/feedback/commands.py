"""`course feedback`: every page as the grade book is now."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

from ..checkout import course_config, course_root, course_secret, database_url
from ..grading.alone import alone
from ..grading.gradebook import GradebookWriter, is_there
from ..grading.removal import enrolled
from ..hand_in.finding import ClassError, misnamed
from .markup import readable
from .writer import FeedbackWriter, page_maker, refreshed


def run_feedback(options: argparse.Namespace) -> int:
    """`course feedback`; 0 when all pages are as the grade book is, 1 when some could not be brought to it, 2 when none
    could.
    """
    root = course_root()
    out = (options.out or root).resolve()
    try:
        config = course_config(root)
        if options.db:
            config.CourseDirectory.db_url = options.db
        graded = list(_graded(out, options.lessons))
        if not graded or not is_there(database_url(out, config)):
            wanted = f" of {', '.join(options.lessons)}" if options.lessons else ""
            raise ClassError(f"nothing{wanted} has been graded in {out}: run `course grade` first")
        secret, written, wrong, gone = course_secret(root), 0, [], set[str]()
        with alone(out), GradebookWriter(out, config) as book, closing(page_maker(config)) as pages:
            for lesson in sorted({lesson for _, lesson, _ in graded}):
                book.settle(lesson)
            gone = {student for student, *_ in graded} - enrolled(book.gradebook)
            graded = [one for one in graded if one[0] not in gone]
            writer = FeedbackWriter(out, config, book.gradebook, pages)
            for student, lesson, name in graded:
                try:
                    written += refreshed(writer, out, student, lesson, name, secret)
                except Exception as error:
                    wrong.append(f"{student}, {lesson}: its page is as it was ({type(error).__name__}: {error})")
    except (ClassError, OSError) as error:
        print(error, file=sys.stderr)
        return 2
    for line in wrong:
        print(readable(line), file=sys.stderr)
    for student in sorted(gone):
        print(readable(f"{student} was removed from the grade book: earlier pages stay as they are"))
    print(
        f"{written} of {len(graded)} pages written; the others are as the grade book is"
        if not wrong
        else f"{written} of {len(graded)} pages written, {len(wrong)} could not be"
    )
    return int(bool(wrong))


def _graded(out: Path, lessons: Sequence[str]) -> Iterator[tuple[str, str, str]]:
    """Student, lesson and name of the notebooks that have been graded."""
    for path in sorted((out / "autograded").glob("*/*/*.ipynb")):
        student, lesson = path.parts[-3:-1]
        if not misnamed(student) and not student.startswith(".") and (not lessons or lesson in lessons):
            yield student, lesson, path.stem
