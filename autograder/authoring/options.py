"""What `course new` and `course check` can be told, without what they import."""

from __future__ import annotations

import argparse


def add_new(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `course new`."""
    parser = commands.add_parser(
        "new",
        description="Writes the files of a small lesson LESSON, such as 12-flows, with one exercise, one step, one "
        "figure and one widget, to be written over: see docs/authoring.md.",
    )
    parser.add_argument("lesson", metavar="LESSON", help="two digits, a dash and one word")
    parser.add_argument("--exercise", default="", metavar="NAME", help="its exercise (default: first_<word>)")


def add_check(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `course check`."""
    parser = commands.add_parser(
        "check",
        description="Holds LESSON against the rules of docs/authoring.md: its cells and equations, what it promises, "
        "spoilers, points, budget; and that mistakes are named, right answers accepted, and visible checks as strong "
        "as hidden ones. Changes nothing.",
    )
    parser.add_argument("lesson", metavar="LESSON", help="such as 02-vae")
