"""The places that name a lesson, of which an author forgets one: see docs/authoring.md."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path

from course_lib.doctor.pace import Pace, read_costs

from ..builder.lag import stale
from ..builder.source import Lesson, Problem
from ..exercise import Exercise

SECONDS = 180  # for a lesson, from top to bottom, on a laptop
# Seconds that one quiet core of the reference machine takes for a step in which costs are recorded (194 s for 145,813):
# fixed, so that a busy machine accuses nobody; `course doctor` says how long a lesson takes on this one.
PACE = Pace(0.00133, 0.00133)
RECORD = "course_lib/doctor/pace.json"


def table_of(lesson: str) -> str:
    """Where the points of a lesson's exercises stand a second time, written by hand."""
    return f"tests/autograder/lessons/{lesson.partition('-')[2]}/points.toml"


def points(root: Path, lesson: str, exercises: Mapping[str, Exercise]) -> Iterator[Problem]:
    """The table of points has every exercise, in the lesson's order, with the points that its checks have."""
    shown = table_of(lesson)
    found = {name: exercise.points for name, exercise in exercises.items()}
    try:
        held = tomllib.loads((root / shown).read_text(encoding="utf-8"))
    except FileNotFoundError:
        wanted = "; ".join(f"{name} = {worth:g}" for name, worth in found.items())
        yield Problem(shown, 1, f"is missing: write by hand what each exercise is worth, a line each: {wanted}")
        return
    except tomllib.TOMLDecodeError as error:
        yield Problem(shown, 1, f"is no TOML: {error}")
        return
    for name in found.keys() | held.keys():
        if held.get(name) != found.get(name):
            here, there = (f"{one[name]:g}" if name in one else "nothing" for one in (held, found))
            yield Problem(shown, 1, f"{name} is worth {here} here, and {there} by its hidden checks")
    if found == held and list(found) != list(held):
        yield Problem(shown, 1, f"another order than the lesson's: {', '.join(found)}")


def named(root: Path, lesson: str) -> Iterator[Problem]:
    """README's table of lessons has a row."""
    row = f"| [`{lesson}`](notebooks/{lesson}/{lesson.partition('-')[2]}.ipynb) |"
    lines = (root / "README.md").read_text(encoding="utf-8").splitlines()
    if not any(line.startswith(row) for line in lines):
        rows = [number for number, line in enumerate(lines, 1) if re.match(r"\| \[`\d\d-", line)]
        yield Problem("README.md", rows[-1] if rows else 1, f"the table of lessons lacks a row: {row} from … to … |")


def built(source: Path, root: Path, exercises: Mapping[str, Exercise]) -> Iterator[Problem]:
    """The notebooks are there, and made of this source."""
    for outdated in stale(source, root, exercises):
        yield Problem(source.relative_to(root).as_posix(), 1, str(outdated))


def budget(lesson: Lesson) -> tuple[float | None, list[Problem]]:
    """About how many seconds the lesson takes, by what was recorded of it; and what is wrong with that."""
    cost = read_costs().get(lesson.lesson)
    if cost is None:
        return None, [Problem(RECORD, 1, f"its cost is not recorded: run `course doctor --record {lesson.lesson}`")]
    seconds = PACE.seconds(cost)
    if seconds <= SECONDS:
        return seconds, []
    text = f"takes about {seconds:.0f} s from top to bottom, and may take {SECONDS}: shorten what trains longest"
    return seconds, [lesson.problem(1, text)]
