"""`course`: one command for those who write lessons and grade them."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module

# Where `run_<name>` stands, and what the command is for; `add_<name>` stands beside it, in `options`, which imports
# nothing that takes time. Only the one that is asked for is imported, and only to run it: most bring nbgrader or
# PyTorch along, and the doctor must run where others cannot even be imported.
COMMANDS = {
    "new": ("authoring.new", "begin a lesson: a skeleton that builds and passes"),
    "build": ("builder.commands", "make the notebooks of lessons from their sources"),
    "check": ("authoring.commands", "run a lesson's proofs alone, and say in words what is missing"),
    "pack": ("handout.commands", "make the zip that students get"),
    "site": ("handout.commands", "make the lessons without solutions, and the guides, a static site"),
    "roster": ("grading.students", "enter the students of a learning platform's list"),
    "grade": ("grading.commands", "grade submissions, with grade book and feedback pages"),
    "extend": ("grading.students", "let a student hand in later"),
    "feedback": ("feedback.commands", "bring feedback pages to what the grade book says"),
    "report": ("report.commands", "show how the class is doing: marks, exercises, mistakes, answers that are alike"),
    "demo": ("grading.commands", "grade a small sample class and show what everybody gets"),
    "page": ("feedback.preview", "show what feedback pages look like, without grading"),
    "doctor": ("doctor.commands", "say what works on this machine, and how to mend what does not"),
}
# jsonschema, which nbformat imports, would take a second to build a grammar for a format that no notebook has.
sys.modules.setdefault("rfc3987_syntax", None)  # type: ignore[arg-type]
DOCTOR = "`course doctor` says what is missing and how to mend it"


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit status: 0 if all is well, 1 if a lesson, notebook or submission is not, 2 for a wrong call."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    parser = argparse.ArgumentParser(prog="course", description=__doc__)
    commands = parser.add_subparsers(metavar="COMMAND", dest="command", required=True)
    for name, (room, purpose) in COMMANDS.items():
        if name not in given[:1]:
            commands.add_parser(name, help=purpose)
        else:
            told = import_module(f".{room.partition('.')[0]}.options", __package__)
            getattr(told, f"add_{name}")(commands)
    options = parser.parse_args(given)
    try:
        module = import_module(f".{COMMANDS[options.command][0]}", __package__)
    except ImportError as error:
        print(f"{error}: {DOCTOR}", file=sys.stderr)
        return 1
    try:
        return int(getattr(module, f"run_{options.command}")(options))
    except Exception as error:
        from .builder.source import LessonError
        from .checkout import WrongCall

        if isinstance(error, WrongCall):
            parser.error(str(error))
        if isinstance(error, ModuleNotFoundError):
            print(f"{error}: {DOCTOR}", file=sys.stderr)
            return 1
        if not isinstance(error, LessonError):
            raise
        print(error, file=sys.stderr)
        return 1
