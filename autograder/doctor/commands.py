"""`course doctor`: options in, exit status out."""

from __future__ import annotations

import argparse
import sys

from course_lib.doctor import lesson_times
from course_lib.doctor.findings import (
    BROKEN,
    OPTIONAL,
    TIMES,
    WORKS,
    Report,
    as_text,
    duration,
    examine,
    marks_for,
    terminal_width,
)

from .probes import instructor_probes

COLOURS = {WORKS: "green", OPTIONAL: "yellow", BROKEN: "red"}


def run_doctor(options: argparse.Namespace) -> int:
    """`course doctor`; 0 when everything an instructor needs works, 1 when something is broken."""
    if options.record is not None:
        return _record(options.record)
    report = examine(instructor_probes(), lesson_times)
    if options.json:
        print(report.as_json())
    else:
        _print(report)
    return 0 if report.healthy else 1


def _print(report: Report) -> None:
    marks = marks_for(sys.stdout)
    try:
        from rich.console import Console
        from rich.table import Table
        from rich.text import Text
    except ImportError:
        print(as_text(report, terminal_width(), marks))
        return
    table = Table.grid(padding=(0, 2, 0, 0))
    for finding in report.findings:
        found = Text(finding.text)
        if finding.remedy:
            found.append(f"\n→ {finding.remedy}", style="bold" if finding.status == BROKEN else "")
        table.add_row(Text(marks[finding.status], COLOURS[finding.status]), Text(finding.what, "bold"), found)
    console = Console(width=terminal_width(), highlight=False)
    console.print(table)
    if report.seconds:
        lessons = Table.grid(padding=(0, 2, 0, 0))
        for lesson, seconds in report.seconds.items():
            lessons.add_row(f"  {lesson}", duration(seconds))
        console.print(f"\n{TIMES}", lessons)
    console.print(f"\n{report.verdict}", style="green" if report.healthy else "red")


def _record(wanted: list[str]) -> int:
    from course_lib.doctor.pace import RECORD, read_costs, write_costs

    from ..builder.source import LessonError, find_lessons
    from ..checkout import WrongCall, course_root
    from .recording import record

    root, failed = course_root(), 0
    try:
        sources = find_lessons(root, wanted)
    except WrongCall as error:
        print(error, file=sys.stderr)
        return 2
    for source in sources:
        try:
            cost = record(source, root)
        except LessonError as error:
            print(error, file=sys.stderr)
            failed = 1
            continue
        # One lesson after the other, so that what is recorded stays when the next one is stopped.
        write_costs({**read_costs(), source.parent.name: cost})
        print(f"{source.parent.name}: {cost.other} + {cost.training} steps, {cost.memory} MiB, in {RECORD}")
    return failed
