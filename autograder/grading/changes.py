"""Whose marks a run has changed, from what to what, and why.

What the grade book says of a lesson at the end of a run is kept, with what each result depended on then. The next run
holds it against what the grade book says now: so a mark that a person gave, or a date that moved, in between is told as
well.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from nbgrader.api import Assignment, BaseCell, Grade, Gradebook, MissingEntry, SubmittedAssignment, SubmittedNotebook

from .. import spreadsheet
from ..cells import place
from .ledger import FOLDER, Parts, changed

FILE = "regrades.csv"
HEAD = ("when", "student", "lesson", "what", "from", "of", "to", "of now", "why")
PENALTY = "late penalty"


class Points(NamedTuple):
    """Of an exercise or a question: the score that counts, what it is worth, and a person's mark where there is one."""

    score: float
    worth: float
    by_hand: float | None = None


@dataclass(frozen=True)
class Standing:
    """What the grade book says of one hand-in; `dates`: when it was handed in, and until when it could be."""

    points: Mapping[str, Points] = field(default_factory=dict)
    penalty: float = 0.0
    dates: tuple[str, str] = ("", "")
    parts: Parts = field(default_factory=dict)  # what the result depended on


@dataclass(frozen=True)
class Standings:
    """Of a lesson, by student; `book` tells one grade book from another."""

    book: str = ""
    students: Mapping[str, Standing] = field(default_factory=dict)

    @classmethod
    def now(cls, gradebook: Gradebook, lesson: str) -> Standings:
        """By two queries; without parts."""
        try:
            book = gradebook.find_assignment(lesson).id
        except MissingEntry:
            return cls()
        held: dict[str, dict[str, Points]] = {}
        columns = (SubmittedAssignment.student_id, BaseCell.name, Grade.score, Grade.max_score, Grade.manual_score)
        rows = _of(gradebook, lesson, *columns).join(Grade, Grade.notebook_id == SubmittedNotebook.id)
        for student, cell, score, worth, by_hand in rows.join(BaseCell, BaseCell.id == Grade.cell_id):
            if worth:
                held.setdefault(student, {})[place(cell)[0]] = Points(score, worth, by_hand)
        students = {}
        about = (SubmittedAssignment, Assignment.duedate, SubmittedNotebook.late_submission_penalty)
        for one, due, penalty in _of(gradebook, lesson, *about):
            until = due + one.extension if due and one.extension else due
            handed_in, last = (when.isoformat() if when else "" for when in (one.timestamp, until))
            students[one.student_id] = Standing(held.get(one.student_id, {}), penalty or 0.0, (handed_in, last))
        return cls(book, students)

    @classmethod
    def kept(cls, out: Path, lesson: str) -> Standings:
        """Those that the last run has kept; none where it has kept none that can be read."""
        try:
            held = json.loads(_path(out, lesson).read_text(encoding="utf-8"))
            students = {name: _standing(one) for name, one in held["students"].items()}
            return cls(held["book"], students)
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return cls()

    def keep(self, out: Path, lesson: str) -> None:
        """Write them down, for the next run."""
        path = _path(out, lesson)
        path.parent.mkdir(parents=True, exist_ok=True)
        half = path.with_suffix(".tmp")
        half.write_text(json.dumps(asdict(self), sort_keys=True), encoding="utf-8")
        half.replace(path)

    def knowing(self, parts: Mapping[str, Parts], before: Standings) -> Standings:
        """These with what each result depends on: by student, else as it was kept."""
        parts = {**{name: one.parts for name, one in before.students.items()}, **parts}
        return Standings(
            self.book, {name: replace(one, parts=parts.get(name, {})) for name, one in self.students.items()}
        )


def _of(gradebook: Gradebook, lesson: str, *columns: Any) -> Any:
    return (
        gradebook.db.query(*columns)
        .select_from(SubmittedNotebook)
        .join(SubmittedAssignment, SubmittedAssignment.id == SubmittedNotebook.assignment_id)
        .join(Assignment, Assignment.id == SubmittedAssignment.assignment_id)
        .filter(Assignment.name == lesson)
    )


def _standing(held: Mapping[str, Any]) -> Standing:
    points = {name: Points(*values) for name, values in held["points"].items()}
    return Standing(points, held["penalty"], tuple(held["dates"]), held["parts"])


def _path(out: Path, lesson: str) -> Path:
    return out / FOLDER / f"{lesson}.standings.json"


@dataclass(frozen=True)
class Change:
    """One mark that changed: points and what they are out of, None where there was, or is, no row; and the words that
    say why: "check", "lesson", "submission", "date", "person", and what else a result depends on.
    """

    student: str
    lesson: str
    what: str
    before: tuple[float, float] | None
    after: tuple[float, float] | None
    why: tuple[str, ...]


def changes(lesson: str, before: Standings, after: Standings) -> list[Change]:
    """All of them, by student and exercise. None where another grade book, or none, was kept."""
    if before.book != after.book:
        return []
    both = sorted(before.students.keys() & after.students.keys())
    return [one for name in both for one in _of_one(name, lesson, before.students[name], after.students[name])]


def _of_one(student: str, lesson: str, before: Standing, after: Standing) -> Iterator[Change]:
    words = changed(before.parts, after.parts)
    told: dict[str, None] = {}
    for name in sorted(before.points.keys() | after.points.keys()):
        old, new = before.points.get(name), after.points.get(name)
        if old and new and (old.score, old.worth) == (new.score, new.worth):
            continue
        why = _why(name, old, new, words)
        told |= dict.fromkeys(why)
        yield Change(student, lesson, name, old and old[:2], new and new[:2], why)
    if before.penalty != after.penalty:
        why = ("date",) if before.dates != after.dates else tuple(told) or ("late plug-in",)
        yield Change(student, lesson, PENALTY, (before.penalty, 0.0), (after.penalty, 0.0), why)


def _why(name: str, old: Points | None, new: Points | None, words: Sequence[str]) -> tuple[str, ...]:
    """A check of another exercise is no reason."""
    by_hand = (old.by_hand if old else None) != (new.by_hand if new else None)
    if by_hand and old and new and old.worth == new.worth:
        return ("person",)
    reasons = [
        "check" if word == f"check {name}" else word for word in words if word == f"check {name}" or " " not in word
    ]
    reasons += ["points"] if old and new and old.worth != new.worth else []
    reasons += ["person"] if by_hand and old and new else []
    return tuple(reasons) or ("not by `course grade`",)


def keep_changes(found: Sequence[Change], out: Path, when: datetime) -> None:
    """Add them to the table of all that have been."""
    if found:
        stamp = when.isoformat(sep=" ", timespec="seconds")
        spreadsheet.append(out / FILE, HEAD, [_row(stamp, one) for one in found])


def _row(stamp: str, one: Change) -> list[Any]:
    sides = [value for side in (one.before, one.after) for value in (side or (None, None))]
    points = (value if value is None else round(value, 2) for value in sides)
    return [stamp, one.student, one.lesson, one.what, *points, ", ".join(one.why)]
