"""Grading a class: find the submissions, grade them side by side, and let one writer store each as it comes."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from ..build.release import release
from ..checkout import course_config, database_url
from ..exercise import lesson_exercises
from .feedback import FeedbackWriter
from .gradebook import GradebookWriter
from .process import Limits, Template
from .runner import Graded, grade_submission
from .submission import Master


@dataclass(frozen=True)
class Entry:
    """One student's hand-in of one lesson."""

    student: str
    lesson: str
    notebook: Path


class ClassError(ValueError):
    """A class that cannot be graded as asked, with the remedy, in one line."""


def find_submissions(submitted: Path, lessons: Sequence[str]) -> list[Entry]:
    """All `<student>/<lesson>/` folders below `submitted`: of these lessons or, with none named, of all."""
    if not submitted.is_dir():
        raise ClassError(f"{submitted} is not a folder; it should hold <student>/<lesson>/<name>.ipynb")
    folders = sorted(path for path in submitted.glob("*/*") if path.is_dir() and not path.name.startswith("."))
    entries = [
        Entry(folder.parent.name, folder.name, folder / f"{folder.name.partition('-')[2]}.ipynb")
        for folder in folders
        if (not lessons or folder.name in lessons) and not folder.parent.name.startswith(".")
    ]
    if not entries:
        wanted = f" of {', '.join(lessons)}" if lessons else ""
        raise ClassError(f"no submission{wanted} below {submitted}; expected <student>/<lesson>/<name>.ipynb")
    return entries


def grade_class(
    entries: Sequence[Entry],
    root: Path,
    out: Path,
    limits: Limits,
    *,
    jobs: int | None = None,
    sandbox: bool = True,
) -> list[Graded]:
    """Grade `entries` with the course at `root`; grade book, autograded notebooks and feedback go below `out`.

    Each submission is stored as soon as it is graded, so that an interrupted run loses none that was done.
    """
    config = course_config(root)
    out.mkdir(parents=True, exist_ok=True)
    lessons = sorted({entry.lesson for entry in entries if (root / "solutions" / entry.lesson).is_dir()})
    masters = {lesson: Master.load(root, lesson) for lesson in lessons}
    exercises = {lesson: lesson_exercises(lesson) for lesson in lessons}
    for lesson in lessons:
        release(lesson, root, root / "solutions", database_url(out, config))
    results = {e: _of_no_lesson(e) for e in entries if e.lesson not in masters}
    jobs = jobs or os.cpu_count() or 1
    with (
        Template(sandbox) as template,
        GradebookWriter(out, config) as book,
        ThreadPoolExecutor(jobs) as pool,
        _progress(Console(stderr=True)) as progress,
    ):
        feedback = FeedbackWriter(out, config, book.db_url)
        task = progress.add_task("grading", total=len(entries))
        futures = {
            pool.submit(
                grade_submission, e.notebook, e.student, masters[e.lesson], exercises[e.lesson], template, limits
            ): e
            for e in entries
            if e not in results
        }
        progress.advance(task, len(results))
        try:
            for entry, graded in _as_graded(futures):
                book.write(graded, masters[entry.lesson].name, entry.notebook.parent)
                feedback.write(graded, masters[entry.lesson].name)
                results[entry] = graded
                progress.advance(task)
        except KeyboardInterrupt:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return [results[entry] for entry in entries]


def _of_no_lesson(entry: Entry) -> Graded:
    return Graded(entry.student, entry.lesson, "failed", 0.0, (f"there is no lesson {entry.lesson!r}",), (), None)


def _as_graded(futures: dict[Future[Graded], Entry]) -> Iterator[tuple[Entry, Graded]]:
    for future in as_completed(futures):
        yield futures[future], future.result()


def _progress(console: Console) -> Progress:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    return Progress(*columns, console=console, transient=True)
