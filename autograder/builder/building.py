"""Building for a person: a lesson's notebooks made, and what is to be said of it."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from ..exercise import Exercise, lesson_exercises, lesson_modules
from ..grading.changes import Standings
from ..grading.ledger import CHECK, of_files
from ..grading.sources import check_sources
from .notebooks import build
from .source import LessonError, Problem


def hidden_checks(lesson: str, draft: bool = False) -> Mapping[str, Exercise]:
    """The lesson's exercises by name; none if it has no hidden checks yet, or, for a draft, none that can be imported.

    Raises LessonError, in one line, for hidden checks that cannot be imported.
    """
    module = lesson.partition("-")[2]
    if module not in lesson_modules():
        return {}
    try:
        return lesson_exercises(lesson)
    except Exception as error:  # whatever importing the module raises
        problem = Problem(f"autograder/lessons/{module}", 1, f"cannot be imported: {type(error).__name__}: {error}")
        if not draft:
            raise LessonError([problem]) from error
        print(problem, file=sys.stderr)
        return {}


def build_or_say_why_not(source: Path, root: Path, to: Path | None) -> int:
    """0 if built; 1, with the reasons printed, if not: the other lessons are built all the same."""
    try:
        _build_one(source, root, to)
    except LessonError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _build_one(source: Path, root: Path, to: Path | None) -> None:
    console, started = Console(stderr=True), time.perf_counter()
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    lesson = source.parent.name
    exercises = hidden_checks(lesson, draft=to is not None)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task(lesson, total=None)
        built = build(
            source,
            root,
            exercises,
            to=to,
            on_start=lambda cells: progress.update(task, total=cells),
            on_cell=lambda position, line: progress.update(
                task, completed=position, description=f"{lesson}, line {line}"
            ),
        )
    for problem in built.pending:
        print(problem, file=sys.stderr)
    print(f"{lesson}: {built.solution} and {built.student} in {time.perf_counter() - started:.1f} s")
    for line in (*built.means, *(mended(lesson, root) if to is None else ())):
        print(f"  {line}")


def mended(lesson: str, root: Path) -> list[str]:
    """A line on hidden checks that are others than those by which hand-ins have been graded into `root`."""
    now = {name: of_files(files) for name, files in check_sources(lesson).items()}
    graded = [standing.parts for standing in Standings.kept(root, lesson).students.values()]
    others = {name: sum(parts.get(CHECK + name, one) != one for parts in graded) for name, one in now.items()}
    changed = {name: count for name, count in others.items() if count}
    if not changed:
        return []
    said = f"hidden checks of {', '.join(changed)} have changed since {max(changed.values())} were graded by them: "
    return [f"{said}the next `course grade` grades these again"]
