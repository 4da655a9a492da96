"""`nbgrader generate_feedback` with the page of `course feedback`, brought to what the grade book says each time.

By itself nbgrader leaves a page that is there alone, marks and comments that came later with it, and makes a new one,
with --force, that runs scripts from elsewhere.
"""

from __future__ import annotations

from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

from nbconvert.exporters import HTMLExporter
from nbgrader.api import Gradebook
from nbgrader.converters.base import BaseConverter, NbGraderException

from ..checkout import course_secret
from ..feedback.writer import FeedbackWriter, page_maker
from ..grading.gradebook import for_release
from .one_by_one import settled, whose


class OnePage(HTMLExporter):
    """The exporter is all that nbgrader's configuration lets in before its loop over a class begins."""

    def __init__(self, parent: Any = None, **options: Any) -> None:
        super().__init__(parent=parent, **options)
        if isinstance(parent, BaseConverter):
            parent.convert_notebooks = partial(_pages, parent)


def _pages(converter: BaseConverter) -> None:
    """In the place of nbgrader's loop. Raises `NbGraderException` at the end when some pages are as they were."""
    course, wrong = converter.coursedir, []
    root = Path(course.root)
    excluded = course.student_id_exclude.split(",")
    reason = settled(converter)
    with (
        Gradebook(course.db_url, course.course_id) as book,
        closing(page_maker(converter.config)) as pages,
    ):
        writer = FeedbackWriter(root, converter.config, book, pages)
        for folder, notebooks in sorted(converter.assignments.items()):
            try:
                student, lesson = whose(converter, folder)
                if student in excluded:
                    continue
                converter.notebooks = sorted(notebooks)
                converter.run_pre_convert_hook()
                release = for_release(Path(folder), student, lesson, course_secret(root))
                for notebook in map(Path, converter.notebooks):
                    page = Path(converter._format_dest(lesson, student)) / f"{notebook.stem}.html"
                    said = "written" if writer.refresh(notebook, page, student, lesson, release) else "as it was"
                    converter.log.info("%s: %s", page, said)
                converter.set_permissions(lesson, student)
                converter.run_post_convert_hook()
            except Exception as error:
                wrong.append(folder)
                converter.log.error("no new page of %s: %s: %s", folder, type(error).__name__, error)
    if reason:
        raise NbGraderException(reason)
    if wrong:
        raise NbGraderException(f"{len(wrong)} of {len(converter.assignments)} pages are as they were; see above")
