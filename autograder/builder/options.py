"""What `course build` can be told, without what it imports."""

from __future__ import annotations

import argparse
from pathlib import Path


def add_build(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `course build`."""
    parser = commands.add_parser(
        "build",
        description="Runs solutions/LESSON/*.py and writes the solution's and the student's notebook.",
    )
    parser.add_argument("lessons", nargs="*", metavar="LESSON", help="such as 02-vae; all lessons if none is named")
    parser.add_argument("--check", action="store_true", help="run nothing; name the notebooks that lag their source")
    parser.add_argument(
        "--draft", action="store_true", help="allow missing hidden checks and equation checks; needs --to"
    )
    parser.add_argument("--to", type=Path, metavar="DIR", help="where a draft goes: DIR/solutions and DIR/notebooks")
