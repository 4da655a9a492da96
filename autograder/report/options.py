"""What `course report` can be told, without what it imports."""

from __future__ import annotations

import argparse
from pathlib import Path

PAGE, JSON = "report.html", "report.json"


def add_report(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `course report`."""
    parser = commands.add_parser(
        "report",
        description=f"Writes {PAGE}, one page that needs no network, {JSON} and CSV files, of what the grade book and "
        "the last `course grade` say. Runs nothing, changes nothing.",
    )
    parser.add_argument("lessons", nargs="*", metavar="LESSON", help="such as 02-vae; all that were graded if none")
    parser.add_argument("--names", action="store_true", help="call students by name, not by number")
    parser.add_argument(
        "--to", type=Path, metavar="DIR", help="where the report goes (default: report/ beside results)"
    )
    parser.add_argument("--out", type=Path, metavar="DIR", help="where results are (default: the checkout)")
    parser.add_argument("--submitted", type=Path, metavar="DIR", help="where the submissions are (default: submitted/)")
    parser.add_argument("--db", default="", metavar="URL", help="grade book, such as postgresql://… (as nbgrader's)")
