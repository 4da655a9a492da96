"""Grading a class: find the submissions, grade them side by side, and let one writer store each as it comes."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing, nullcontext
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from rich.console import Console
from traitlets.config import Config

from ..builder.release import ReleaseError, release
from ..cells import GRADED as GRADED_CELL
from ..checkout import counts_added, course_config, database_url
from ..exercise import lesson_exercises
from ..feedback.making import Pages
from ..feedback.markup import readable
from ..feedback.writer import FeedbackWriter, page_maker, refreshed
from ..guard.enclosure import require
from ..guard.limits import Limits
from ..hand_in.beside import SECRET, TIMESTAMP, Allowance, Beside
from ..hand_in.finding import IN_TIME, ClassError, Entry, misnamed, timestamp
from ..hand_in.notebook_file import SubmissionError, Unreadable, content
from ..hand_in.restoring import Master
from ..marks import score
from .alone import alone
from .changes import Change, Standings, changes, keep_changes
from .gradebook import GradebookWriter, is_there
from .graded import FAILED, GRADED, NOT_GRADED, Graded, failed, not_graded
from .keys import Keys
from .ledger import Ledger
from .progress import progress_bar
from .removal import as_removed, removed
from .storing import stored
from .workers import Client, Grading, Task, graded_as_they_come, workers


@dataclass(frozen=True)
class Means:
    """How a class is graded: with what limits, where, and whether results of an earlier run are kept."""

    limits: Limits = Limits()  # noqa: RUF009  (frozen)
    jobs: int | None = None
    scheduler: str | None = None
    sandbox: bool = True
    again: bool = False
    new_secret: bool = False  # grade again what was graded with another secret of the course
    db: str = ""  # the grade book's URL; nbgrader's own setting where there is none
    gpu_courtesy: bool = False  # whether full-mark answers are asked on a pretended GPU as well
    keep_warm: bool = False  # whether the template outlives the command
    added: str = ""  # "counts" or "left out": see `checkout.counts_added`; the course's setting where there is none


Tell = Callable[[Sequence[Change]], None]


def grade_class(
    entries: Sequence[Entry], root: Path, out: Path, means: Means, tell: Tell = lambda found: None
) -> list[Graded]:
    """Grade `entries` with the course at `root`; grade book, autograded notebooks and feedback go below `out`. `tell`
    is told whose marks have changed since the last run.

    Each submission is stored within a second of being graded, with those that are there by then, and not graded again
    by the next run unless something it depends on has changed: an interrupted run loses nothing that was stored, and
    the next one grades the rest. Whatever goes wrong with one submission costs that one alone.

    Raises:
        ClassError: another run is at work on `out`, its grade book is locked, or the secret is another one.
    """
    config = course_config(root)
    if means.db:
        config.CourseDirectory.db_url = means.db
    if means.added:
        config.Lessons.added = means.added
    out.mkdir(parents=True, exist_ok=True)
    with alone(out):
        return _grade_class(entries, root, out, means, config, tell)


def _grade_class(
    entries: Sequence[Entry], root: Path, out: Path, means: Means, config: Config, tell: Tell
) -> list[Graded]:
    known = sorted({entry.lesson for entry in entries if (root / "solutions" / entry.lesson).is_dir()})
    counts = counts_added(config)
    masters = {lesson: replace(Master.load(root, lesson), added_counts=counts) for lesson in known}
    ledger = Ledger(out)
    _ask_for_secret(masters, ledger, means)
    allowance = Allowance.of(config)
    keys = Keys(masters, means.limits, means.sandbox, config, allowance, means.gpu_courtesy)
    before = {lesson: Standings.kept(out, lesson) for lesson in known}
    results = _removed(entries, before, out, config)
    for entry in (entry for entry in entries if entry not in results):
        if held := _held(entry, masters, None if means.again else ledger, keys):
            results[entry] = held
    for entry in _lacking(results, masters, out, config):
        del results[entry]
    todo = [entry for entry in entries if entry not in results]
    if todo and means.sandbox and not means.scheduler:
        require()
    # The workers warm up, and so does what makes pages, while the grade book is made ready.
    plugin = Grading(masters, means.limits, means.sandbox, config, means.gpu_courtesy, means.keep_warm)
    with closing(page_maker(config)) as pages, _workers(todo, plugin, means, pages) as client:
        console = Console(stderr=True)
        refused = _released(known, root, out, config, console)
        with GradebookWriter(out, config) as book, progress_bar(console) as progress:
            feedback = FeedbackWriter(out, config, book.gradebook, pages)
            for entry in (entry for entry in todo if entry.lesson in refused):
                results[entry] = not_graded(entry.student, entry.lesson, refused[entry.lesson])
            todo = [entry for entry in todo if entry.lesson not in refused]
            bar = progress.add_task("grading", total=len(entries), completed=len(results))
            for together in _grade(todo, client, plugin, allowance):
                came = {entry: _flagged(entry, graded) for entry, graded in together}
                for entry, kept in stored(came, masters, book, feedback).items():
                    noted = kept if kept.status == NOT_GRADED else _noted(kept, ledger, keys.of(entry))
                    # It is written; a large class would fill the memory.
                    results[entry] = replace(noted, body=None, sheet=None)
                    progress.advance(bar)
            timeless = {who for lesson in known for who in book.settle(lesson)}
            for entry in set(entries) - set(todo):
                if results[entry].status == GRADED:
                    results[entry] = _refreshed(results[entry], out, masters[entry.lesson], feedback)
            tell([one for lesson in known for one in _changes(lesson, before[lesson], out, book, keys)])
    return [_timed(results[entry], timeless) for entry in entries]


def _released(lessons: Sequence[str], root: Path, out: Path, config: Config, console: Console) -> dict[str, str]:
    """See to it that the grade book knows these lessons as they are now; returns why it does not know some of them."""
    refused: dict[str, str] = {}
    for lesson in lessons:
        try:
            released = release(lesson, root, root / "solutions", database_url(out, config), copies=out)
        except ReleaseError as error:
            refused[lesson] = str(error)
        else:
            if released.told:
                console.print(released.told, highlight=False, soft_wrap=True)
    return refused


def _removed(
    entries: Sequence[Entry], before: Mapping[str, Standings], out: Path, config: Config
) -> dict[Entry, Graded]:
    """The hand-ins of those who were removed from the grade book."""
    if not is_there(database_url(out, config)):
        return {}
    with GradebookWriter(out, config) as book:
        now = {lesson: Standings.now(book.gradebook, lesson) for lesson in before}
        gone = removed(book.gradebook, out, before, now)
    return {entry: as_removed(entry.student, entry.lesson) for entry in entries if entry.student in gone}


def _changes(lesson: str, before: Standings, out: Path, book: GradebookWriter, keys: Keys) -> list[Change]:
    """What has changed in a lesson since the last run, which is kept; and what holds now is kept for the next."""
    now = Standings.now(book.gradebook, lesson).knowing(keys.parts.get(lesson, {}), before)
    found = changes(lesson, before, now)
    keep_changes(found, out, datetime.now())
    now.keep(out, lesson)
    return found


def _refreshed(graded: Graded, out: Path, master: Master, feedback: FeedbackWriter) -> Graded:
    """`graded` of an earlier run, with its page as the grade book is now."""
    try:
        refreshed(feedback, out, graded.student, graded.lesson, master.name, master.secret)
    except Exception as error:
        flag = readable(f"its page is as it was ({type(error).__name__}: {error})")
        return replace(graded, flags=(*graded.flags, flag))
    return graded


def _timed(graded: Graded, timeless: set[tuple[str, str]]) -> Graded:
    """`graded` with a flag where there is a due date and no time of handing in."""
    unread = any(IN_TIME in flag for flag in graded.flags)
    if unread or graded.status == NOT_GRADED or (graded.student, graded.lesson) not in timeless:
        return graded
    return replace(graded, flags=(*graded.flags, f"there is no {TIMESTAMP}, so it {IN_TIME}"))


def _ask_for_secret(masters: Mapping[str, Master], ledger: Ledger, means: Means) -> None:
    """Raise `ClassError` where other inputs would be drawn than those of the marks that are there, and nobody asked."""
    for secret in {master.secret for master in masters.values()}:
        if ledger.knows_other_secret(secret) and not means.new_secret:
            raise ClassError(
                "the course's secret is another one than that of the earlier marks: hidden inputs would change, and "
                "marks with them. Put the old one back (.course-secret, or COURSE_SECRET), or grade all of it anew "
                "with --new-secret"
            )
        ledger.note_secret(secret)


def _lacking(results: Mapping[Entry, Graded], masters: Mapping[str, Master], out: Path, config: Config) -> list[Entry]:
    """Those of which the ledger has a result and the grade book has not, or a folder lacks its notebook or page."""
    stored = {
        entry: graded
        for entry, graded in results.items()
        if entry.lesson in masters and graded.marks and not misnamed(entry.student)
    }
    if not stored:
        return []
    if not is_there(database_url(out, config)):
        return list(stored)
    missing = []
    with GradebookWriter(out, config) as book:
        scores = {lesson: book.auto_scores(lesson, master.name) for lesson, master in masters.items()}
    for entry, graded in stored.items():
        name, held = masters[entry.lesson].name, scores[entry.lesson].get(entry.student, {})
        files = [out / "feedback" / entry.student / entry.lesson / file for file in (f"{name}.html", SECRET)]
        if graded.status == GRADED:
            files.append(out / "autograded" / entry.student / entry.lesson / f"{name}.ipynb")
        wanted = {mark.name + GRADED_CELL: score(mark) for mark in graded.marks}
        if any(held.get(cell) != points for cell, points in wanted.items()) or not all(map(Path.is_file, files)):
            missing.append(entry)
    return missing


def _noted(graded: Graded, ledger: Ledger, key: str) -> Graded:
    """`graded`, which is stored, noted in the ledger; where that fails, the next run grades it again."""
    try:
        ledger.record(graded, key)
    except Exception as error:
        flag = readable(f"not noted as graded, so that the next run grades it again ({type(error).__name__}: {error})")
        return replace(graded, flags=(*graded.flags, flag))
    return graded


def _held(entry: Entry, masters: Mapping[str, Master], ledger: Ledger | None, keys: Keys) -> Graded | None:
    """What is known of a submission before it is graded: an earlier run's result, or why it cannot be graded."""
    try:
        if reason := misnamed(entry.student):
            return _failed(entry, reason)
        if entry.trouble:
            return not_graded(entry.student, entry.lesson, entry.trouble)
        if entry.lesson not in masters:
            return _failed(entry, f"there is no lesson {entry.lesson!r}")
        key = keys.of(entry)
    except Exception as error:
        return not_graded(readable(entry.student), readable(entry.lesson), _reason(error))
    return ledger.find(entry.student, entry.lesson, key) if ledger else None


def _reason(error: Exception) -> Exception | str:
    if isinstance(error, OSError):
        return f"{Path(error.filename).name if error.filename else 'it'} cannot be read: {error.strerror}"
    return str(error) if isinstance(error, SubmissionError) else error


def _workers(
    todo: Sequence[Entry], plugin: Grading, means: Means, pages: Pages
) -> AbstractContextManager[Client | None]:
    if not todo:
        return nullcontext()
    pages.start()  # before this process has the workers' threads
    return workers(plugin, min(means.jobs or os.cpu_count() or 1, len(todo)), means.scheduler)


def _grade(
    todo: Sequence[Entry], client: Client | None, plugin: Grading, allowance: Allowance
) -> Iterator[list[tuple[Entry, Graded]]]:
    if client is None:
        return
    left = dict(enumerate(todo))
    unread: list[tuple[Entry, Graded]] = []
    reason: Exception | str = "the workers gave no result"
    try:
        for results in graded_as_they_come(client, _tasks(todo, plugin.name, allowance, unread)):
            entries = [left.pop(task.number) for task, _ in results]
            yield [
                (e, not_graded(e.student, e.lesson, result) if isinstance(result, BaseException) else result)
                for e, (_, result) in zip(entries, results, strict=True)
            ]
    except Exception as error:  # the scheduler is lost, say: what has been graded is stored, the rest waits
        reason = error
    yield unread
    done = {entry for entry, _ in unread}
    yield [(e, not_graded(e.student, e.lesson, reason)) for e in left.values() if e not in done]


def _tasks(todo: Sequence[Entry], by: str, allowance: Allowance, unread: list[tuple[Entry, Graded]]) -> Iterator[Task]:
    """The submissions as they are sent to workers; what cannot be read any more goes to `unread`."""
    for number, entry in enumerate(todo):
        try:
            content, beside = _content(entry.notebook), _beside(entry, allowance)
        except Exception as error:
            unread.append((entry, not_graded(entry.student, entry.lesson, _reason(error))))
        else:
            yield Task(number, entry.student, entry.lesson, content, beside, by)


def _beside(entry: Entry, allowance: Allowance) -> Beside:
    return Beside.of(entry.notebook.parent, entry.notebook.name, allowance)


def _flagged(entry: Entry, graded: Graded) -> Graded:
    """The result with what was unusual in finding the hand-in, which is the reason where no notebook was found."""
    try:
        if graded.status == FAILED and entry.flags and _content(entry.notebook) is None:
            graded = _failed(entry, "; ".join(entry.flags))
        found = [*entry.flags, timestamp(entry.place)[1]]
    except Exception as error:
        return not_graded(graded.student, graded.lesson, _reason(error), graded.seconds)
    return replace(graded, flags=(*(flag for flag in found if flag and flag not in graded.flags), *graded.flags))


def _content(path: Path) -> bytes | None:
    """A submission's bytes; None where the file is missing, or a link to somebody else's. Raises `Unreadable`."""
    try:
        return content(path)
    except Unreadable:
        raise
    except SubmissionError:
        return None


def _failed(entry: Entry, reason: str) -> Graded:
    try:
        exercises = lesson_exercises(entry.lesson)
    except ValueError:
        exercises = {}
    return failed(readable(entry.student), readable(entry.lesson), exercises, readable(reason), 0.0)
