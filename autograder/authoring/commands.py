"""`course new` and `course check`: options in, exit status out."""

from __future__ import annotations

import argparse
import time

from rich.console import Console

from ..builder.source import find_lessons
from ..checkout import course_root
from .check import check
from .new import new_lesson


def add_new(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `course new`."""
    parser = commands.add_parser(
        "new",
        description="Writes the files of a small lesson LESSON, such as 12-flows, with one exercise, one step, one "
        "figure and one widget, to be written over: see docs/authoring.md.",
    )
    parser.add_argument("lesson", metavar="LESSON", help="two digits, a dash and one word")
    parser.add_argument("--exercise", default="", metavar="NAME", help="its exercise (default: first_<word>)")
    parser.set_defaults(run=run_new)


def add_check(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `course check`."""
    parser = commands.add_parser(
        "check",
        description="Holds LESSON against the rules of docs/authoring.md: its cells and equations, what it promises, "
        "spoilers, points, budget; and that mistakes are named, right answers accepted, and visible checks as strong "
        "as hidden ones. Changes nothing.",
    )
    parser.add_argument("lesson", metavar="LESSON", help="such as 02-vae")
    parser.set_defaults(run=run_check)


def run_new(options: argparse.Namespace) -> int:
    """`course new LESSON`; 0 when the skeleton is written."""
    for place in new_lesson(course_root(), options.lesson, options.exercise):
        print(place)
    lesson = options.lesson
    print(f"Next: course build {lesson} && course doctor --record {lesson} && course check {lesson}")
    return 0


def run_check(options: argparse.Namespace) -> int:
    """`course check LESSON`; 0 when all proofs hold, 1 when some do not."""
    root, console = course_root(), Console(highlight=False, soft_wrap=True)
    (source,) = find_lessons(root, [options.lesson])
    wrong, begun = 0, time.process_time()
    for proof in check(source, root):
        mark = "[red]✗[/red]" if proof.problems else "[green]✓[/green]"
        console.print(f"{mark} {proof.name}: {proof.about}" if proof.about else f"{mark} {proof.name}")
        for problem in proof.problems:
            console.print(f"  {problem}", markup=False)
        wrong += len(proof.problems)
    said = f"{wrong} things to mend" if wrong > 1 else "one thing to mend" if wrong else "all proofs hold"
    console.print(f"{options.lesson}: {said}, {time.process_time() - begun:.0f} s of processor time")
    return int(bool(wrong))
