"""`course grade`, `course extend` and `course demo`: options in, exit status out."""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path

from rich.console import Console
from traitlets.config import Config

from ..builder.release import release
from ..checkout import ADDED, WrongCall, course_config, course_root, database_url
from ..dates import in_utc
from ..feedback.markup import readable
from ..guard.enclosure import SandboxMissing, require
from ..guard.limits import Limits
from ..hand_in.finding import ClassError, Entry, find_submissions, misnamed
from ..plugins.outside import GradeOutside
from ..transaction import one_transaction
from .alone import alone
from .changes import FILE, Change
from .classroom import Means, grade_class
from .demo import LESSON, strangers, write_class
from .gradebook import GradebookWriter
from .graded import FAILED, NOT_GRADED, Graded
from .report import print_changes, print_table, write_json
from .roster import enrol, read_roster

WITHDRAW = "none"
LIMITS = {
    "cell-seconds": "seconds per cell",
    "call-seconds": "seconds per call",
    "seconds": "seconds in all",
    "memory-gib": "GiB of all its processes",
}


def add_grade(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `course grade`."""
    parser = commands.add_parser(
        "grade",
        description="Grades DIR/<student>/<lesson>/<name>.ipynb and leaves nbgrader's gradebook.db, autograded/ and "
        "feedback/ in the checkout, or below --out.",
    )
    parser.add_argument("lessons", nargs="*", metavar="LESSON", help="such as 02-vae; all that were handed in if none")
    parser.add_argument("--submitted", type=Path, metavar="DIR", help="where the submissions are (default: submitted/)")
    parser.add_argument("--student", action="append", metavar="NAME", help="only this one's; may be given again")
    parser.add_argument("--out", type=Path, metavar="DIR", help="where results go (default: the checkout)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all marks there, as JSON")
    parser.add_argument("--new-secret", action="store_true", help="grade again with another secret of the course")
    parser.add_argument(
        "--gpu-courtesy",
        action="store_true",
        help="say where an answer with full marks would stop on a GPU; no points hang on it",
    )
    _add_limits(parser)
    parser.set_defaults(run=run_grade)


def add_demo(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `course demo`."""
    parser = commands.add_parser(
        "demo",
        description=f"Writes sample submissions of {LESSON} to DIR/submitted, grades them, prints marks and messages.",
    )
    parser.add_argument("--out", type=Path, default=Path("demo"), metavar="DIR", help="default: demo/")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all marks there, as JSON")
    _add_limits(parser)
    parser.set_defaults(run=run_demo, new_secret=True, student=None, gpu_courtesy=False, cell_seconds=5.0)


def add_extend(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `course extend`."""
    parser = commands.add_parser(
        "extend",
        description='Lets STUDENT hand in LESSON until DATE, such as "2031-06-01 11:30 PM Europe/Berlin" (UTC without '
        "a zone; the whole day without a time); before a due date is set, before or after the hand-in. "
        f'DATE "{WITHDRAW}" withdraws it.',
    )
    for name in ("student", "lesson", "date"):
        parser.add_argument(name, metavar=name.upper())
    _add_places(parser)
    parser.set_defaults(run=run_extend)


def add_roster(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `course roster`."""
    parser = commands.add_parser(
        "roster",
        description="Enters the students of FILE, a CSV as Canvas, Moodle or a spreadsheet writes it, into the grade "
        "book, so that those who hand in nothing are in the export. Takes nobody out.",
    )
    parser.add_argument("file", type=Path, metavar="FILE")
    parser.add_argument("--column", metavar="NAME", help="the column that has the names of the folders in submitted/")
    _add_places(parser)
    parser.set_defaults(run=run_roster)


def _add_places(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--out", type=Path, metavar="DIR", help="where results are (default: the checkout)")
    parser.add_argument("--db", default="", metavar="URL", help="grade book, such as postgresql://… (as nbgrader's)")


def _add_limits(parser: argparse.ArgumentParser) -> None:
    limits = parser.add_argument_group("limits of a submission, else those of c.GradeOutside in the course's settings")
    for option, words in LIMITS.items():
        default = getattr(GradeOutside, option.replace("-", "_")).default_value
        limits.add_argument(f"--{option}", type=float, metavar="N", help=f"{words} ({default:g})")
    parser.add_argument("--scheduler", metavar="tcp://…", help="grade on the workers of this Dask scheduler")
    parser.add_argument("--db", default="", metavar="URL", help="grade book, such as postgresql://… (as nbgrader's)")
    parser.add_argument("--again", action="store_true", help="grade also what an earlier run has graded already")
    parser.add_argument(
        "--added",
        choices=ADDED,
        help='exercises that came after a student\'s release: "counts" holds them against everybody (c.Lessons.added)',
    )
    parser.add_argument("--jobs", type=int, metavar="N", help="submissions at a time (default: one per core)")
    parser.add_argument(
        "--unsafe-no-sandbox",
        action="store_true",
        help="run submissions with your own rights on your own files; only for code you trust",
    )


def run_grade(options: argparse.Namespace) -> int:
    """`course grade`; 0 when all were graded, 1 when some hand-ins cannot be, 2 when the class cannot be graded as
    asked, 3 when some were not graded through no fault of their own: run it again.
    """
    root = course_root()
    return _grade(options, root, options.submitted or root / "submitted", options.out or root)


def run_demo(options: argparse.Namespace) -> int:
    """`course demo`; 0 when it ran, whatever the sample students earn."""
    options.lessons, root, out = [LESSON], course_root(), options.out.resolve()
    if out == root:
        raise WrongCall("--out is the checkout itself, where your own class is: name another folder")
    if others := strangers(out / "submitted"):
        raise WrongCall(f"{out / 'submitted'} holds hand-ins of a class ({others[0]}, …): name another folder")
    try:
        out.mkdir(parents=True, exist_ok=True)
        book = options.db or database_url(out, course_config(root))
        release(LESSON, root, root / "solutions", book, out / "notebooks")
        write_class(root, out / "submitted")
    except (FileNotFoundError, ClassError) as error:
        print(error, file=sys.stderr)
        return 1
    try:
        require()
    except SandboxMissing as reason:
        # The samples are the course's own: they may do without.
        print(f"without a sandbox, since {reason}", file=sys.stderr)
        options.unsafe_no_sandbox = True
    print(f"The student's version of {LESSON}: {options.out / 'notebooks' / LESSON}")
    failed = _grade(options, root, out / "submitted", options.out)
    return failed if failed > 1 else 0


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


def _grade(options: argparse.Namespace, root: Path, submitted: Path, out: Path) -> int:
    console, changes = Console(), list[Change]()
    try:
        known = [place.parent.name for place in (root / "notebooks").glob("*/*.ipynb")]
        entries = _of_students(find_submissions(submitted, options.lessons, known), options.student)
        sandbox = not options.unsafe_no_sandbox
        means = Means(
            _limits(options, course_config(root)),
            options.jobs,
            options.scheduler,
            sandbox,
            options.again,
            options.new_secret,
            options.db,
            options.gpu_courtesy,
            options.added or "",
        )
        results = grade_class(entries, root, out.resolve(), means, changes.extend)
    except (ClassError, FileNotFoundError, SandboxMissing) as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("stopped; what had been graded is saved, run the same command again for the rest", file=sys.stderr)
        return 130
    if options.unsafe_no_sandbox:
        results = [replace(graded, flags=(*graded.flags, "graded without a sandbox")) for graded in results]
    if options.json:
        write_json(results, options.json)
    print_table(results, console)
    print_changes(changes, out / FILE, console)
    _tell_where(results, out, console)
    statuses = {graded.status for graded in results}
    return 3 if NOT_GRADED in statuses else int(FAILED in statuses)


def _of_students(entries: list[Entry], students: list[str] | None) -> list[Entry]:
    """The hand-ins of these students, or of all. Raises `ClassError` where one of them has handed in nothing."""
    if missing := sorted({*(students or ())} - {entry.student for entry in entries}):
        raise ClassError(f"{', '.join(missing)} handed in nothing of what is to be graded")
    return [entry for entry in entries if not students or entry.student in students]


def _limits(options: argparse.Namespace, config: Config) -> Limits:
    """Those that were asked for, else the course's own."""
    given = {name: getattr(options, name) for option in LIMITS if getattr(options, name := option.replace("-", "_"))}
    return GradeOutside(config=config, **given).limits()


def _tell_where(results: list[Graded], out: Path, console: Console) -> None:
    if waiting := sum(graded.status == NOT_GRADED for graded in results):
        told = f"{waiting} of {len(results)} were not graded: earlier marks stand; run the same command again."
        console.print(told, style="bold", highlight=False)
    console.print(f"{len(results)} submissions. Grade book: {out / 'gradebook.db'}. Feedback pages:", highlight=False)
    console.print(f"  {out / 'feedback'}/<student>/<lesson>/<name>.html", highlight=False, soft_wrap=True)
