"""A class of 200 of whom everything is known: what each can, who copied from whom, and which checks are wrong.

It is written into a grade book and a ledger as `course grade` would. Points follow from abilities by the model of
Birnbaum (1968): a student of ability θ solves an exercise of difficulty b with probability 1 / (1 + exp(-a (θ - b))).
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

import nbformat
from handwriting import disguised, own_words, renamed, reordered, source_of
from nbformat import NotebookNode

from autograder.builder.release import release
from autograder.cells import nbgrader
from autograder.checkout import course_config, database_url
from autograder.cli import main
from autograder.exercise import Exercise, lesson_exercises
from autograder.grading.gradebook import GradebookWriter
from autograder.grading.graded import GRADED, Graded
from autograder.grading.ledger import Ledger
from autograder.grading.runner import with_verdicts
from autograder.marks import Mark, Outcome

STUDENTS = 200
LESSON, NAME, QUESTION = "02-vae", "vae", "blurry"
CHECKS = ("value on random inputs", "extremes", "conventions")
DUE = datetime(2031, 5, 20, 22)
SLOPE = 1.7
BACKWARDS, AT_RANDOM, PASSES_ALL = "gaussian_log_likelihood", "iwae_bound", "traverse"  # whose checks are wrong
COMMONEST = "gaussian_kl"  # of whose mistakes half are the first one listed
COPIES: dict[tuple[int, int], Callable[[str, random.Random], str]] = {
    (10, 11): lambda source, draw: source,
    (20, 21): renamed,
    (30, 31): reordered,
    (40, 41): disguised,
    (50, 51): disguised,
}
IN_PART = (60, 61)  # the second has the first half of the exercises from the first
LATE = {3: timedelta(hours=2), 4: timedelta(days=1, hours=5), 5: timedelta(minutes=20)}
TWICE = (6, 7)
FLAGGED = {8: "locked cell gaussian_kl-graded had been changed; restored", 9: "{name}.ipynb was taken"}
NOTHING, UNGRADED = 6, 2  # students besides the 200


def name_of(number: int) -> str:
    """What the folder of a student is called."""
    return f"anna-{number:03d}"


@dataclass
class Class:
    """What was simulated, student by student."""

    ability: list[float]
    marks: list[dict[str, Mark]] = field(default_factory=list)
    notebooks: list[NotebookNode] = field(default_factory=list)
    names: list[str] = field(default_factory=list)

    def made(self, exercise: str, mistake: str | None) -> int:
        """How many lost points of an exercise by a mistake; None: by one without a name."""
        held = [one[exercise] for one in self.marks]
        lost = [mark for mark in held if not mark.passed and not mark.message.startswith("Not written")]
        return sum(mark.diagnosis == mistake for mark in lost)


def simulate(root: Path, seed: int = 1, wrong_checks: bool = True, notebooks: bool = True) -> Class:
    """The class, its notebooks where they are wanted."""
    draw = random.Random(seed)
    exercises = lesson_exercises(LESSON)
    released = nbformat.read(root / "notebooks" / LESSON / f"{NAME}.ipynb", as_version=4)
    released.cells = [cell for cell in released.cells if nbgrader(cell)]  # the others would be the same for everybody
    right = {name: [source_of(one, name) for one in e.alternatives.values()] for name, e in exercises.items()}
    made = Class([draw.gauss(0, 1) for _ in range(STUDENTS)], names=[name_of(number) for number in range(STUDENTS)])
    hard = {name: -1.2 + 2.2 * place / len(exercises) for place, name in enumerate(exercises)}
    answers: list[dict[str, str]] = []
    for ability in made.ability:
        marks, sources = {}, {}
        for name, exercise in exercises.items():
            marks[name], wrong = _marked(exercise, ability, hard[name], draw, wrong_checks)
            if notebooks:
                sources[name] = own_words(wrong or draw.choice(right[name]), draw)
        made.marks.append(marks)
        answers.append(sources)
    if not notebooks:
        return made
    for (one, other), disguise in COPIES.items():
        made.marks[other] = made.marks[one]
        answers[other] = {name: disguise(source, draw) for name, source in answers[one].items()}
    for name in list(exercises)[: len(exercises) // 2 + 1]:
        made.marks[IN_PART[1]][name] = made.marks[IN_PART[0]][name]
        answers[IN_PART[1]][name] = disguised(answers[IN_PART[0]][name], draw)
    for sources in answers:
        notebook = deepcopy(released)
        for cell in notebook.cells:
            meta = nbgrader(cell)
            if meta.get("solution") and cell.cell_type == "code":
                cell.source = sources.get(meta["grade_id"], cell.source)
        made.notebooks.append(notebook)
    return made


def store(made: Class, root: Path, out: Path) -> None:
    """Write the class below `out` as `course grade` leaves it, hand-ins and a half-marked question included."""
    config = course_config(root)
    release(LESSON, root, root / "solutions", database_url(out, config), out / "notebooks")
    ledger = Ledger(out)
    with GradebookWriter(out, config) as book:
        book.gradebook.update_or_create_assignment(LESSON, duedate=DUE)
        for number, (name, marks) in enumerate(zip(made.names, made.marks, strict=True)):
            place = out / "submitted" / name / LESSON
            place.mkdir(parents=True)
            when = DUE + LATE.get(number, -timedelta(hours=1 + number))
            (place / "timestamp.txt").write_text(f"{when} UTC")
            (place / f"{NAME}.ipynb").write_text('{"cells": []}')
            if number in TWICE:
                again = place.with_name(f"{LESSON} (1)")
                again.mkdir()
                (again / f"{NAME}.ipynb").write_text('{"cells": []}')
            flags = (FLAGGED[number].format(name=name),) if number in FLAGGED else ()
            notebook = with_verdicts(made.notebooks[number], marks)
            graded = Graded(name, LESSON, GRADED, 1.0, flags, tuple(marks.values()), notebook)
            book.write(graded, NAME, place)
            ledger.record(graded, "simulated")
            if number % 2:
                grade = book.gradebook.find_grade(QUESTION, NAME, LESSON, name)
                grade.manual_score, grade.needs_manual_grade = 3.0 if number % 4 == 1 else 2.0, False
                book.gradebook.db.commit()
        for number in range(NOTHING):
            book.enrol(f"nobody-{number}")
        for number in range(UNGRADED):
            place = out / "submitted" / f"new-{number}" / LESSON
            place.mkdir(parents=True)
            (place / f"{NAME}.ipynb").write_text('{"cells": []}')


def report(out: Path, *options: str) -> None:
    """`course report` of a class that `store` has written."""
    assert main(["report", LESSON, "--out", str(out), "--submitted", str(out / "submitted"), *options]) == 0


def _marked(
    exercise: Exercise, ability: float, hard: float, draw: random.Random, wrong_checks: bool
) -> tuple[Mark, str]:
    """A mark, and the text of the wrong answer that it is for; "" for a right one."""

    def chance(x: float) -> bool:
        return draw.random() < 1 / (1 + math.exp(-x))

    passed = dict.fromkeys(CHECKS, True)
    diagnosis, said, wrong, unwritten = None, "All 3 checks passed.", "", False
    if (not wrong_checks or exercise.name != PASSES_ALL) and not chance(SLOPE * (ability - hard)):
        passed = {CHECKS[0]: False, CHECKS[1]: draw.random() < 0.5, CHECKS[2]: draw.random() < 0.5}
        if draw.random() < 0.1:
            passed, unwritten = dict.fromkeys(CHECKS, False), True
            said = "Not written yet: the cell still raises NotImplementedError."
        elif draw.random() < 0.85:
            half = exercise.name == COMMONEST and draw.random() < 0.5
            known = exercise.misconceptions[0] if half else draw.choice(exercise.misconceptions)
            diagnosis, said, wrong = (
                known.name,
                f"{known.name.capitalize()}. {known.hint}",
                source_of(known.function, exercise.name),
            )
        else:
            said = "value on random inputs: no value agrees."
    if wrong_checks and exercise.name == BACKWARDS:
        passed["extremes"] = not chance(2 * SLOPE * ability)  # refuses what the able write
    if wrong_checks and exercise.name == AT_RANDOM:
        passed["conventions"] = draw.random() < 0.5
    if not all(passed.values()) and said.startswith("All"):
        said = "extremes: no value agrees."
    worth = dict(zip(CHECKS, (0.5 * exercise.points, 0.25 * exercise.points, 0.25 * exercise.points), strict=True))
    outcomes = tuple(
        Outcome(what, worth[what] * yes, worth[what], yes, "" if yes else "wrong") for what, yes in passed.items()
    )
    points = sum(outcome.points for outcome in outcomes)
    mark = Mark(
        exercise.name, points, exercise.points, all(passed.values()), diagnosis, said, outcomes, unwritten=unwritten
    )
    return mark, wrong
