"""The result of a class for people (a table) and for programs (JSON)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ..feedback.markup import readable
from .changes import Change
from .graded import FAILED, NOT_GRADED, Graded


def write_json(results: Sequence[Graded], path: Path) -> None:
    """All results as one JSON object; written aside first, so that a crash leaves no half file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(path.name + ".part")
    content = {"submissions": [graded.public() for graded in results]}
    aside.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8", errors="replace")
    aside.replace(path)


def print_table(results: Sequence[Graded], console: Console) -> None:
    """One row per submission: marks by exercise, then what each student is told where points were lost."""
    lessons = dict.fromkeys(graded.lesson for graded in results)
    for lesson in lessons:
        rows = [graded for graded in results if graded.lesson == lesson and _has_row(graded)]
        if rows:
            console.print(_marks(lesson, rows))
    messages = Table(title="What each student is told", title_justify="left", show_lines=True)
    for column in ("student", "exercise", "message"):
        messages.add_column(column, overflow="fold")
    for graded in results:
        _tell(messages, graded)
    if messages.row_count:
        console.print(messages)
    noted = [graded for graded in results if graded.status != FAILED or not graded.marks]
    flagged = [(_name(graded), escape(readable(flag))) for graded in noted for flag in graded.flags]
    if flagged:
        console.print("For the instructor:", style="bold")
        for student, flag in flagged:
            console.print(f"  {student}: {flag}")


def print_changes(changes: Sequence[Change], kept: Path, console: Console) -> None:
    """Whose marks have changed since the last run, and why; where all that were so are kept."""
    if not changes:
        return
    table = Table(title="Changed since the last run", title_justify="left")
    for column in ("student", "lesson", "what"):
        table.add_column(column, overflow="fold")
    for column in ("from", "to"):
        table.add_column(column, justify="right")
    table.add_column("why", overflow="fold")
    for one in changes:
        name = escape(readable(one.student, 100))
        table.add_row(name, one.lesson, one.what, _side(one.before), _side(one.after), ", ".join(one.why))
    console.print(table)
    console.print(f"Kept in {kept}", highlight=False, soft_wrap=True)


def _side(points: tuple[float, float] | None) -> str:
    if points is None:
        return "-"
    score, worth = (round(value, 2) for value in points)
    return f"{score:g}/{worth:g}" if worth else f"{score:g}"


def _has_row(graded: Graded) -> bool:
    return bool(graded.marks) or graded.status == NOT_GRADED


def _name(graded: Graded) -> str:
    """The student's name as a terminal may have it: it is that of a folder, which may be called anything."""
    return escape(readable(graded.student, 100))


def _marks(lesson: str, rows: Sequence[Graded]) -> Table:
    names = next(([mark.name for mark in graded.marks] for graded in rows if graded.marks), [])
    short = len(names) <= 5
    table = Table(title=f"Marks of {lesson}", title_justify="left")
    table.add_column("student")
    table.add_column("status")
    for name in names if short else []:
        table.add_column(name, justify="right")
    table.add_column("points", justify="right")
    table.add_column("full marks", justify="right")
    table.add_column("seconds", justify="right")
    for graded in rows:
        if not graded.marks:
            none = ["-"] * (len(names) * short + 2)
            table.add_row(_name(graded), graded.status, *none, f"{graded.seconds:.1f}")
            continue
        marks = [f"{mark.points:g}/{mark.max_points:g}" for mark in graded.marks] if short else []
        total = f"{graded.points:g}/{graded.max_points:g}"
        full = f"{sum(mark.passed for mark in graded.marks)} of {len(graded.marks)}"
        table.add_row(_name(graded), graded.status, *marks, total, full, f"{graded.seconds:.1f}")
    return table


def _tell(table: Table, graded: Graded) -> None:
    lost = [mark for mark in graded.marks if not mark.passed]
    groups: dict[str, list[str]] = {}
    for mark in lost:
        key = "Not written yet." if mark.unwritten else mark.message
        groups.setdefault(key, []).append(mark.name)
    for number, (message, names) in enumerate(groups.items()):
        listed = ", ".join(names) if len(names) <= 3 else f"{len(names)} exercises"
        table.add_row(_name(graded) if number == 0 else "", listed, escape(readable(message)))
    for number, mark in enumerate((mark for mark in graded.marks if mark.remark), len(groups)):
        table.add_row(_name(graded) if number == 0 else "", mark.name, escape(readable(mark.remark)))
