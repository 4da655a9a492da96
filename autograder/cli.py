"""`course`: one command for those who write lessons and grade them."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from .doctor.commands import add_doctor


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit status: 0 if all is well, 1 if a lesson, notebook or submission is not, 2 for a wrong call."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    parser = argparse.ArgumentParser(prog="course", description=__doc__)
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    if given[:1] == ["doctor"]:  # the one that must run where others cannot even be imported
        add_doctor(commands)
        options = parser.parse_args(given)
        return int(options.run(options))
    # jsonschema, which nbformat imports, would take a second to build a grammar for a format that no notebook has.
    sys.modules.setdefault("rfc3987_syntax", None)  # type: ignore[arg-type]
    try:
        from .authoring.commands import add_check, add_new
        from .builder.commands import add_build
        from .builder.source import LessonError
        from .checkout import WrongCall
        from .feedback.commands import add_feedback
        from .feedback.preview import add_page
        from .grading.commands import add_demo, add_extend, add_grade, add_roster
        from .handout.commands import add_pack
        from .report.commands import add_report
    except ImportError as error:
        print(f"{error}: `course doctor` says what is missing and how to mend it", file=sys.stderr)
        return 1
    authors = (add_new, add_build, add_check)
    teachers = (add_pack, add_roster, add_grade, add_extend, add_feedback, add_report, add_demo, add_page)
    for add in (*authors, *teachers, add_doctor):
        add(commands)
    options = parser.parse_args(given)
    try:
        return int(options.run(options))
    except WrongCall as error:
        parser.error(str(error))
    except LessonError as error:
        print(error, file=sys.stderr)
        return 1
