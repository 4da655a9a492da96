"""What is known of a class: the grade book for marks and times, the ledger for mistakes and flags, and the folders of
hand-ins for what has not been graded.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from nbgrader.api import Assignment, BaseCell, Grade, Gradebook, SubmittedAssignment, SubmittedNotebook
from traitlets.config import Config

from ..cells import GRADED as GRADED_CELL
from ..checkout import course_id
from ..grading.graded import GRADED, Graded
from ..grading.ledger import place_of
from ..hand_in.finding import ClassError, find_submissions
from ..marks import Mark

EXCHANGE = "/usr/local/share/nbgrader/exchange"  # nbgrader's own default


@dataclass(frozen=True)
class Item:
    """What points are given for: an exercise, or a question that a person marks."""

    name: str
    points: float
    by_hand: bool = False


@dataclass(frozen=True)
class HandIn:
    """One student's hand-in of one lesson, as the grade book and the ledger have it.

    `scores`: by item, None where a person's mark is missing. `status`: as `Graded` has it. `marks`: what the ledger
    says of each exercise; nothing where nbgrader's own command graded it. `times`: how often something was handed in,
    as far as folders tell.
    """

    student: str
    scores: Mapping[str, float | None]
    status: str = GRADED
    when: datetime | None = None
    late: float = 0.0  # seconds
    penalty: float = 0.0
    times: int = 1
    marks: Mapping[str, Mark] = field(default_factory=dict)
    flags: tuple[str, ...] = ()

    @property
    def points(self) -> float:
        """Points so far, without a penalty."""
        return sum(score for score in self.scores.values() if score is not None)


@dataclass(frozen=True)
class Record:
    """One lesson of a class. `students`: all whom the grade book knows; `ungraded`: who handed in what has no marks
    yet.
    """

    lesson: str
    items: tuple[Item, ...]
    students: tuple[str, ...]
    hand_ins: Mapping[str, HandIn]
    due: datetime | None = None
    ungraded: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The notebook's name, without its ending."""
        return self.lesson.partition("-")[2]

    @property
    def nothing(self) -> tuple[str, ...]:
        """Who handed in nothing."""
        return tuple(one for one in self.students if one not in self.hand_ins and one not in self.ungraded)


def records(gradebook: Gradebook, out: Path, submitted: Path, config: Config, wanted: Sequence[str]) -> list[Record]:
    """The lessons of `gradebook` of which something was handed in, those of `wanted` alone if any are named.

    Raises:
        ClassError: there are none.
    """
    assignments = sorted(gradebook.assignments, key=lambda one: str(one.name))
    known = [assignment.name for assignment in assignments]
    found = [
        _record(gradebook, assignment, out, submitted, known, config)
        for assignment in assignments
        if not wanted or assignment.name in wanted
    ]
    found = [record for record in found if record.hand_ins or record.ungraded]
    if missing := [lesson for lesson in wanted if lesson not in {record.lesson for record in found}]:
        raise ClassError(f"nothing of {', '.join(missing)} has been graded in {out}: run `course grade` first")
    if not found:
        raise ClassError(f"nothing has been graded in {out}: run `course grade` first")
    return found


def _record(
    gradebook: Gradebook, assignment: Assignment, out: Path, submitted: Path, known: Sequence[str], config: Config
) -> Record:
    lesson = assignment.name
    items: dict[str, Item] = {}
    for notebook in assignment.notebooks:
        for cells, by_hand in ((notebook.grade_cells, False), (notebook.task_cells, True)):
            worth = {cell.name: float(cell.max_score or 0.0) for cell in cells}
            items |= {name: Item(name.removesuffix(GRADED_CELL), most, by_hand) for name, most in worth.items() if most}
    scores = _scores(gradebook, lesson)
    times, there = _handed_in(submitted, lesson, known, config)
    hand_ins = {}
    for submission in gradebook.db.query(SubmittedAssignment).filter(SubmittedAssignment.assignment == assignment):
        student = submission.student_id
        held = _ledger(out, student, lesson)
        rows = scores.get(student, {})
        hand_ins[student] = HandIn(
            student=student,
            scores={item.name: rows.get(cell, 0.0) for cell, item in items.items()},
            status=held.status if held else GRADED,
            when=submission.timestamp,
            late=float(submission.total_seconds_late),
            penalty=float(submission.late_submission_penalty or 0.0),
            times=max(times[student], 1),
            marks={mark.name: mark for mark in held.marks} if held else {},
            flags=held.flags if held else (),
        )
    students = tuple(sorted({student.id for student in gradebook.students} | there))
    ungraded = tuple(sorted(there - hand_ins.keys()))
    return Record(lesson, _in_order(items, hand_ins), students, hand_ins, assignment.duedate, ungraded)


def _scores(gradebook: Gradebook, lesson: str) -> dict[str, dict[str, float | None]]:
    """By student and cell; None where a person's mark is still missing."""
    columns = (Grade.score, Grade.needs_manual_grade, Grade.manual_score)
    rows = (
        gradebook.db.query(SubmittedAssignment.student_id, BaseCell.name, *columns)
        .select_from(Grade)
        .join(SubmittedNotebook, SubmittedNotebook.id == Grade.notebook_id)
        .join(SubmittedAssignment, SubmittedAssignment.id == SubmittedNotebook.assignment_id)
        .join(Assignment, Assignment.id == SubmittedAssignment.assignment_id)
        .join(BaseCell, BaseCell.id == Grade.cell_id)
        .filter(Assignment.name == lesson)
    )
    found: dict[str, dict[str, float | None]] = {}
    for student, cell, score, waits, by_hand in rows:
        found.setdefault(student, {})[cell] = None if waits and by_hand is None else float(score)
    return found


def _in_order(items: Mapping[str, Item], hand_ins: Mapping[str, HandIn]) -> tuple[Item, ...]:
    """Exercises in the order in which they were marked, then questions."""
    order = next((list(held.marks) for held in hand_ins.values() if held.marks), [])
    places = {name: place for place, name in enumerate(order)}
    return tuple(sorted(items.values(), key=lambda item: (item.by_hand, places.get(item.name, len(places)), item.name)))


def _ledger(out: Path, student: str, lesson: str) -> Graded | None:
    """What the last `course grade` noted, whatever has changed since: the grade book has the marks."""
    try:
        text = place_of(out, student, lesson, ".json").read_text(encoding="utf-8")
        return Graded.from_public(json.loads(text)["result"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _handed_in(submitted: Path, lesson: str, known: Sequence[str], config: Config) -> tuple[Counter[str], set[str]]:
    """How often each student handed a lesson in, by nbgrader's exchange and by folders beside each other; and all whose
    folders hold something of it.
    """
    times: Counter[str] = Counter()
    root = Path(str(config.Exchange.get("root", "") or EXCHANGE))
    for place in root.glob(f"{course_id(config)}/inbound/*"):
        parts = place.name.split("+")
        if len(parts) >= 3 and parts[1] == lesson:
            times[parts[0]] += 1
    try:
        entries = [entry for entry in find_submissions(submitted, [lesson], known) if entry.lesson == lesson]
    except ClassError:
        return times, set()
    there = {entry.student for entry in entries if entry.notebook.exists() or entry.flags or entry.trouble}
    for entry in entries:
        others = sum("was not taken" in flag for flag in entry.flags)
        times[entry.student] = max(times[entry.student], (entry.student in there) + others)
    return times, there
