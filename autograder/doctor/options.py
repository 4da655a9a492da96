"""What `course doctor` can be told, without what it imports."""

from __future__ import annotations

import argparse


def add_doctor(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `course doctor`."""
    parser = commands.add_parser(
        "doctor",
        description="Looks at Python, packages, device, memory, disk, data, sandbox, notebooks and grade book, and "
        "estimates each lesson's time here. Students have `python -m course_lib.doctor`.",
    )
    parser.add_argument("--json", action="store_true", help="for programs")
    parser.add_argument(
        "--record",
        nargs="*",
        metavar="LESSON",
        help="instead, run these lessons (all if none is named) and record what they cost",
    )
