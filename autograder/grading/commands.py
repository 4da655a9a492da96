"""`course grade` and `course demo`: options in, exit status out."""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path

from rich.console import Console
from traitlets.config import Config

from ..builder.release import release
from ..checkout import WrongCall, course_config, course_root, database_url
from ..guard.enclosure import SandboxMissing, require
from ..guard.kept import NotOurs
from ..guard.limits import Limits
from ..hand_in.finding import ClassError, Entry, find_submissions
from ..plugins.outside import GradeOutside
from .changes import FILE, Change
from .classroom import Means, grade_class
from .demo import strangers, write_class
from .graded import FAILED, NOT_GRADED, Graded
from .options import LESSON, LIMITS
from .report import print_changes, print_table, write_json


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
            options.keep_warm,
            options.added or "",
        )
        results = grade_class(entries, root, out.resolve(), means, changes.extend)
    except (ClassError, FileNotFoundError, SandboxMissing, NotOurs) as error:
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
