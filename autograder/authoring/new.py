"""A lesson's skeleton: the files of a small lesson that builds and passes, to be written over."""

from __future__ import annotations

import argparse
import re
from pathlib import Path

from ..builder.source import LESSON_FOLDER
from ..checkout import WrongCall, course_root
from ..exercise import file_name, find_exercise
from .places import table_of

TEMPLATES = Path(__file__).with_name("skeleton")


def run_new(options: argparse.Namespace) -> int:
    """`course new LESSON`; 0 when the skeleton is written."""
    for place in new_lesson(course_root(), options.lesson, options.exercise):
        print(place)
    lesson = options.lesson
    print(f"Next: course build {lesson} && course doctor --record {lesson} && course check {lesson}")
    return 0


def new_lesson(root: Path, lesson: str, exercise: str) -> list[Path]:
    """Write the skeleton of `lesson`, with one exercise of that name, below `root`; returns what was written.

    Raises:
        WrongCall: the name is none, it is taken, or so is the exercise's.
    """
    if not LESSON_FOLDER.fullmatch(lesson):
        raise WrongCall(f"{lesson!r} is no lesson's name: two digits, a dash and one word, such as 12-flows")
    number, _, name = lesson.partition("-")
    exercise = exercise or f"first_{name}"
    _free(root, lesson, exercise)
    checks = Path("autograder/lessons") / name
    files = {
        "lesson.py": Path("solutions") / lesson / f"{name}.py",
        "package.py": checks / "__init__.py",
        "exercise.py": checks / f"{file_name(exercise)}.py",
        "points.toml": Path(table_of(lesson)),
    }
    for template, place in files.items():
        text = (TEMPLATES / f"{template}.txt").read_text(encoding="utf-8")
        for word, meant in (("@lesson@", lesson), ("@number@", number), ("@exercise@", exercise)):
            text = text.replace(word, meant)
        (root / place).parent.mkdir(parents=True, exist_ok=True)
        (root / place).write_text(text, encoding="utf-8")
    _list(root / "README.md", lesson)
    return [*files.values(), Path("README.md")]


def _free(root: Path, lesson: str, exercise: str) -> None:
    number, _, name = lesson.partition("-")
    taken = [path.name for path in (root / "solutions").glob("*-*") if path.name.split("-", 1)[0] == number]
    taken += [path.name for path in (root / "solutions").glob(f"*-{name}") if path.name not in taken]
    if taken:
        raise WrongCall(f"there is {', '.join(taken)} already: a lesson has a number and a word of its own")
    if not exercise.isidentifier():
        raise WrongCall(f"{exercise!r} is no name of a function")
    try:
        held = find_exercise(exercise)
    except LookupError:
        return
    raise WrongCall(f"{exercise} is an exercise of {held.lesson}; name another with --exercise")


def _list(readme: Path, lesson: str) -> None:
    """A row in README's table of lessons, below the last one before it."""
    lines = readme.read_text(encoding="utf-8").split("\n")
    rows = [
        place
        for place, line in enumerate(lines)
        if (found := re.match(r"\| \[`(\d\d-\w+)`", line)) and found[1] < lesson
    ]
    if not rows:
        raise WrongCall(f"{readme} has no table of lessons to put a row into")
    row = f"| [`{lesson}`](notebooks/{lesson}/{lesson.partition('-')[2]}.ipynb) | from … to … |"
    lines.insert(rows[-1] + 1, row)
    readme.write_text("\n".join(lines), encoding="utf-8")
