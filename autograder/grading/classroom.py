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
from .beside import Allowance, Beside
from .enclosure import require
from .feedback import FeedbackWriter
from .gradebook import GradebookWriter
from .hand_ins import Entry, timestamp
from .ledger import Ledger, course_key, key_of
from .markup import readable
from .notebook_file import SubmissionError, content
from .process import Limits
from .runner import Graded, failed
from .submission import Master
from .workers import Grading, Task, graded_as_they_come, workers

GAVE_UP = "the grader gave up"


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
    allowance = Allowance.of(config)
    keys, ledger = _Keys(masters, means, allowance), Ledger(out)
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
            for entry, graded in _grade(todo, client, allowance):
                graded = _flagged(entry, graded)
                book.write(graded, masters[entry.lesson].name, entry.place)
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


def _grade(todo: Sequence[Entry], client: Client | None, allowance: Allowance) -> Iterator[tuple[Entry, Graded]]:
    if client is None:
        return
    tasks = (Task(i, e.student, e.lesson, _content(e.notebook), _beside(e, allowance)) for i, e in enumerate(todo))
    for task, result in graded_as_they_come(client, tasks):
        entry = todo[task.number]
        if isinstance(result, BaseException):
            yield entry, _failed(entry, f"{GAVE_UP}: {type(result).__name__}: {result}"[:300])
        else:
            yield entry, result


class _Keys:
    """The ledger's keys of a class."""

    def __init__(self, masters: dict[str, Master], means: Means, allowance: Allowance) -> None:
        self._allowance = allowance
        package = Path(__file__).resolve().parents[1]
        code = [path for path in package.rglob("*.py") if "build" not in path.parts]
        self._course = {
            lesson: course_key(master, means.limits, means.sandbox, code) for lesson, master in masters.items()
        }

    def of(self, entry: Entry) -> str:
        """The key of one submission as it lies there now."""
        flags = (*entry.flags, timestamp(entry.place)[1])
        about = (entry.student, entry.lesson, flags, _beside(entry, self._allowance).digest)
        return key_of(self._course.get(entry.lesson, ""), _content(entry.notebook), *about)


def _beside(entry: Entry, allowance: Allowance) -> Beside:
    return Beside.of(entry.notebook.parent, entry.notebook.name, allowance)


def _flagged(entry: Entry, graded: Graded) -> Graded:
    """The result with what was unusual in finding the hand-in, which is the reason where no notebook was found."""
    if graded.status == "failed" and entry.flags and _content(entry.notebook) is None:
        graded = _failed(entry, "; ".join(entry.flags))
    found = [*entry.flags, timestamp(entry.place)[1]]
    return replace(graded, flags=(*(flag for flag in found if flag and flag not in graded.flags), *graded.flags))


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
