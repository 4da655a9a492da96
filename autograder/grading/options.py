"""What `course grade`, `demo`, `extend` and `roster` can be told, without what they import."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..checkout import ADDED
from ..guard.limits import Limits

LESSON = "02-vae"  # of `course demo`
WITHDRAW = "none"
LIMITS = {
    "cell-seconds": ("seconds per cell", Limits.cell),
    "call-seconds": ("seconds per call", Limits.call),
    "seconds": ("seconds in all", Limits.submission),
    "memory-gib": ("GiB of all its processes", Limits().all.memory / 2**30),
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
    parser.add_argument(
        "--keep-warm",
        action="store_true",
        help="leave the process that submissions are forked from for the next command, for ten minutes; where two or "
        "fewer are graded at a time",
    )
    _add_limits(parser)


def add_demo(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `course demo`."""
    parser = commands.add_parser(
        "demo",
        description=f"Writes sample submissions of {LESSON} to DIR/submitted, grades them, prints marks and messages.",
    )
    parser.add_argument("--out", type=Path, default=Path("demo"), metavar="DIR", help="default: demo/")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all marks there, as JSON")
    _add_limits(parser)
    parser.set_defaults(new_secret=True, student=None, gpu_courtesy=False, keep_warm=False, cell_seconds=5.0)


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


def _add_places(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--out", type=Path, metavar="DIR", help="where results are (default: the checkout)")
    parser.add_argument("--db", default="", metavar="URL", help="grade book, such as postgresql://… (as nbgrader's)")


def _add_limits(parser: argparse.ArgumentParser) -> None:
    limits = parser.add_argument_group("limits of a submission, else those of c.GradeOutside in the course's settings")
    for option, (words, default) in LIMITS.items():
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
