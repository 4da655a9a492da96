"""`course`: one command for those who write lessons and grade them."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from .build.commands import add_build
from .build.source import LessonError
from .grading.commands import add_demo, add_grade


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit status: 0 if all is well, 1 if a lesson, notebook or submission is not, 2 for a wrong call."""
    parser = argparse.ArgumentParser(prog="course", description=__doc__)
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for add in (add_build, add_grade, add_demo):
        add(commands)
    options = parser.parse_args(arguments)
    try:
        return int(options.run(options))
    except LookupError as error:
        parser.error(str(error.args[0]))
    except LessonError as error:
        print(error, file=sys.stderr)
        return 1
