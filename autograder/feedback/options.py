"""What `course feedback` and `course page` can be told, without what they import."""

from __future__ import annotations

import argparse
from pathlib import Path


def add_feedback(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `course feedback`."""
    parser = commands.add_parser(
        "feedback",
        description="Fills scores, comments and penalties of the grade book into "
        "feedback/<student>/<lesson>/<name>.html; runs nothing, and writes only what has changed. "
        "`nbgrader generate_feedback` does the same.",
    )
    parser.add_argument("lessons", nargs="*", metavar="LESSON", help="such as 02-vae; all that were graded if none")
    parser.add_argument("--out", type=Path, metavar="DIR", help="where results are (default: the checkout)")
    parser.add_argument("--db", default="", metavar="URL", help="grade book, such as postgresql://… (as nbgrader's)")


def add_page(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `course page`."""
    parser = commands.add_parser(
        "page",
        description="Writes page.html, of a made-up hand-in of LESSON, and refusal.html, of one that cannot be shown.",
    )
    parser.add_argument("lesson", nargs="?", default="02-vae", metavar="LESSON", help="default: %(default)s")
    parser.add_argument("--to", type=Path, default=Path("build"), metavar="DIR", help="default: build/")
