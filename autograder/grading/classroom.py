"""Grading a class: find the submissions, grade them side by side, and let one writer store each as it comes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

from distributed import Client
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.progress import Task as ProgressTask
from rich.text import Text

from ..build.release import release
from ..checkout import course_config, database_url
from ..exercise import lesson_exercises
from .enclosure import require
from .feedback import FeedbackWriter
from .gradebook import GradebookWriter
from .ledger import Ledger, course_key, key_of
from .markup import readable
from .process import Limits
from .runner import Graded, failed
from .submission import Master, SubmissionError, content
from .workers import Grading, Task, graded_as_they_come, workers

GAVE_UP = "the grader gave up"


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


@dataclass(frozen=True)
class Means:
    """How a class is graded: with what limits, where, and whether results of an earlier run are kept."""

    limits: Limits = Limits()  # noqa: RUF009  (frozen)
    jobs: int | None = None
    scheduler: str | None = None
    sandbox: bool = True
    again: bool = False
    db: str = ""  # the grade book's URL; nbgrader's own setting where there is none


def grade_class(entries: Sequence[Entry], root: Path, out: Path, means: Means) -> list[Graded]:
    """Grade `entries` with the course at `root`; grade book, autograded notebooks and feedback go below `out`.

    Each submission is stored as soon as it is graded, and not graded again by the next run unless something it depends
    on has changed: an interrupted run loses nothing.
    """
    config = course_config(root)
    if means.db:
        config.CourseDirectory.db_url = means.db
    out.mkdir(parents=True, exist_ok=True)
    known = sorted({entry.lesson for entry in entries if (root / "solutions" / entry.lesson).is_dir()})
    masters = {lesson: Master.load(root, lesson) for lesson in known}
    keys, ledger = _Keys(masters, means), Ledger(out)
    results: dict[Entry, Graded] = {}
    for entry in entries:
        if held := _held(entry, masters, None if means.again else ledger, keys):
            results[entry] = held
    todo = [entry for entry in entries if entry not in results]
    if todo and means.sandbox and not means.scheduler:
        require()
    # The workers warm up while the grade book is made ready.
    with _workers(todo, masters, means) as client:
        for lesson in known:
            release(lesson, root, root / "solutions", database_url(out, config))
        with GradebookWriter(out, config) as book, _progress(Console(stderr=True)) as progress:
            feedback = FeedbackWriter(out, config, book.gradebook)
            bar = progress.add_task("grading", total=len(entries), completed=len(results))
            for entry, graded in _grade(todo, client):
                book.write(graded, masters[entry.lesson].name, entry.notebook.parent)
                feedback.write(graded, masters[entry.lesson].name)
                if not graded.flags or not graded.flags[0].startswith(GAVE_UP):  # the next run tries again
                    ledger.record(graded, keys.of(entry))
                results[entry] = replace(graded, notebook=None)  # it is written; a large class would fill the memory
                progress.advance(bar)
    return [results[entry] for entry in entries]


def _held(entry: Entry, masters: dict[str, Master], ledger: Ledger | None, keys: _Keys) -> Graded | None:
    """What is known of a submission before it is graded: an earlier run's result, or why it cannot be graded."""
    if readable(entry.student) != entry.student:  # no UTF-8, or what a terminal would obey
        return _failed(entry, "the name of the student's folder is no plain text; rename the folder")
    if entry.lesson not in masters:
        return _failed(entry, f"there is no lesson {entry.lesson!r}")
    return ledger.find(entry.student, entry.lesson, keys.of(entry)) if ledger else None


def _workers(todo: Sequence[Entry], masters: dict[str, Master], means: Means) -> AbstractContextManager[Client | None]:
    if not todo:
        return nullcontext()
    return workers(Grading(masters, means.limits, means.sandbox), means.jobs, means.scheduler)


def _grade(todo: Sequence[Entry], client: Client | None) -> Iterator[tuple[Entry, Graded]]:
    if client is None:
        return
    tasks = (Task(i, e.student, e.lesson, _content(e.notebook)) for i, e in enumerate(todo))
    for task, result in graded_as_they_come(client, tasks):
        entry = todo[task.number]
        if isinstance(result, BaseException):
            yield entry, _failed(entry, f"{GAVE_UP}: {type(result).__name__}: {result}"[:300])
        else:
            yield entry, result


class _Keys:
    """The ledger's keys of a class."""

    def __init__(self, masters: dict[str, Master], means: Means) -> None:
        package = Path(__file__).resolve().parents[1]
        code = [path for path in package.rglob("*.py") if "build" not in path.parts]
        self._course = {
            lesson: course_key(master, means.limits, means.sandbox, code) for lesson, master in masters.items()
        }

    def of(self, entry: Entry) -> str:
        """The key of one submission as it lies there now."""
        return key_of(self._course.get(entry.lesson, ""), _content(entry.notebook), entry.student, entry.lesson)


def _content(path: Path) -> bytes | None:
    try:
        return content(path)
    except SubmissionError:  # missing, or a link to somebody else's file
        return None


def _failed(entry: Entry, reason: str) -> Graded:
    try:
        exercises = lesson_exercises(entry.lesson)
    except ValueError:
        exercises = {}
    return failed(readable(entry.student), readable(entry.lesson), exercises, readable(reason), 0.0)


def _progress(console: Console) -> Progress:
    times = (_Rate(), TimeElapsedColumn(), TimeRemainingColumn())
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), *times)
    return Progress(*columns, console=console, transient=True)


class _Rate(ProgressColumn):
    """Submissions per second."""

    def render(self, task: ProgressTask) -> Text:
        """The rate so far, once there is one."""
        return Text(f"{task.speed:.1f}/s" if task.speed else "", style="progress.data.speed")
