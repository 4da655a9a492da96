"""How far a student is: `course_lib.progress()`. Notes are taken where the checks of an exercise run in a notebook.

The notes lie in the user's data folder (`notes_file`), outlive the kernel, and are the student's own: whoever edits the
file deceives only themselves, since grading reads none of it.
"""

import json
import os
import re
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

from course_lib import checking
from course_lib.training.progress import is_watched

_CHECKS = re.compile(r"# Checks of (\w+)\s*")
_HEAD = ("lesson", "exercises done", "checks passed", "points open", "minutes left")
_before = 0  # checks that had passed when the cell began


def progress(lesson: str | None = None) -> None:
    """Print exercises done, checks passed, points open and minutes left on the shorter path, of every lesson begun.

    An exercise is done when its checks passed the last time they ran. Points are open until then, and those of written
    answers, which a person marks, always. Minutes are the lesson's own, as it announces them, from the exercises not
    done yet to the end.

    Args:
        lesson: such as "04-forward": this lesson alone, exercise by exercise.

    Raises:
        ValueError: there is no such lesson.
    """
    lessons, notes = _outline(), _read()
    if lesson is not None and lesson not in lessons:
        raise ValueError(f"progress({lesson!r}): there is {', '.join(lessons)}")
    begun = [name for name in lessons if notes.get(name)]
    rows = [_row(name, lessons[name], notes.get(name, {})) for name in ([lesson] if lesson else begun or lessons)]
    widths = [max(map(len, column)) for column in zip(_HEAD, *rows, strict=True)]
    for row in (_HEAD, *rows):
        print("  ".join(part.ljust(width) for part, width in zip(row, widths, strict=True)).rstrip())
    if lesson:
        for name, (points, checks, _) in lessons[lesson]["asked"].items():
            print(f"  {_line(name, points, checks, notes.get(lesson, {}).get(name))}")


def notes_file() -> Path:
    """Where the notes are: `progress.json` in this system's folder for a user's data, never beside a notebook."""
    from platformdirs import user_data_path

    return user_data_path("generative-models", appauthor=False) / "progress.json"


def install() -> None:
    """Take notes in this notebook; outside of one, or where nobody watches, do nothing."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    if shell is not None and is_watched():
        for event, function in (("pre_run_cell", _begin), ("post_run_cell", _end)):
            if function not in shell.events.callbacks[event]:
                shell.events.register(event, function)


def _begin(info: Any) -> None:
    global _before
    _before = checking.passed


def _end(result: Any) -> None:
    found = _CHECKS.fullmatch((result.info.raw_cell or "").split("\n")[0])
    if found:
        with suppress(OSError, ImportError):  # a full disk, a home that is read only: work goes on
            note(found[1], checking.passed - _before, bool(result.success))


def note(name: str, passed: int, done: bool) -> None:
    """Keep what the checks of exercise or step `name` said: how many passed, and whether all did."""
    notes = _read()
    lesson = _lesson_of(name, notes)
    if lesson is None:
        return
    notes.setdefault(lesson, {})[name] = {"passed": passed, "done": done}
    notes["last"] = lesson
    path = notes_file()
    path.parent.mkdir(parents=True, exist_ok=True)
    half = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    half.write_text(json.dumps(notes, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    half.replace(path)


def _lesson_of(name: str, notes: dict[str, Any]) -> str | None:
    """The lesson that asks for `name`; of several the one whose folder this is, else the one last worked at."""
    among = [lesson for lesson, entry in _outline().items() if name in entry["asked"]]
    for wanted in (Path.cwd().name, notes.get("last")):
        if wanted in among:
            return str(wanted)
    return among[0] if among else None


def _outline() -> dict[str, Any]:
    """What each lesson asks for: see `outline.json`, which `course build` writes."""
    return dict(json.loads(Path(__file__).with_name("outline.json").read_text(encoding="utf-8")))


def _read() -> dict[str, Any]:
    """The notes; what is no note is not kept."""
    try:
        held = json.loads(notes_file().read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    notes: dict[str, Any] = {}
    for lesson, taken in held.items() if isinstance(held, dict) else ():
        if isinstance(taken, dict):
            notes[lesson] = {name: one for name, one in taken.items() if _is_note(one)}
        elif lesson == "last":
            notes["last"] = taken
    return notes


def _is_note(one: Any) -> bool:
    return isinstance(one, dict) and isinstance(one.get("passed"), int) and isinstance(one.get("done"), bool)


def _row(lesson: str, entry: dict[str, Any], notes: dict[str, Any]) -> tuple[str, ...]:
    checked = {name: held for name, held in entry["asked"].items() if held[1] is not None}
    done = [name for name in checked if notes.get(name, {}).get("done")]
    passed = sum(min(notes[name]["passed"], held[1]) for name, held in checked.items() if name in notes)
    worth = {name: points for name, (points, _, _) in entry["asked"].items()}
    left = entry["rest"] + sum(held[2] for name, held in checked.items() if name not in done)
    return (
        lesson,
        f"{len(done)} of {len(checked)}",
        f"{passed} of {sum(held[1] for held in checked.values())}",
        f"{sum(worth.values()) - sum(worth[name] for name in done):g} of {sum(worth.values()):g}",
        f"{left:.0f} of {entry['minutes']}",
    )


def _line(name: str, points: float, checks: int | None, taken: dict[str, Any] | None) -> str:
    """One exercise: its mark, and what it is worth."""
    mark = "✓" if taken and taken["done"] else "✗" if taken else "·"
    passed = min(taken["passed"], checks or 0) if taken else 0
    said = "a written answer" if checks is None else f"{passed} of {checks} checks"
    worth = f", {points:g} {'point' if points == 1 else 'points'}" if points else ""
    return f"{mark} {name}: {said}{worth}"
