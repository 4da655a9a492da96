"""What a report says of a lesson: everything that page, CSV and JSON show, computed once."""

from __future__ import annotations

import hmac
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np

from ..grading.graded import GRADED
from . import numbers
from .alike import Likeness
from .attention import Remark, remarks
from .numbers import Estimate
from .record import HandIn, Item, Record

_FILE = re.compile(r"'[^']*'|\S*\.(?:ipynb|zip|pdf|py|csv|json|txt|html?)\b", re.I)


@dataclass(frozen=True)
class Mistake:
    """A mistake that was recognised, with what its students were told, and how many of those who handed in made it."""

    name: str
    hint: str
    count: int
    share: Estimate


@dataclass(frozen=True)
class Check:
    """One hidden check: who passes it, and how that goes with the points of all other exercises."""

    what: str
    passed: Estimate
    discrimination: Estimate


@dataclass(frozen=True)
class Exercise:
    """One exercise or question. `count` hand-ins have a mark for it; `lost`: points lost by each of them, on average;
    of those who lost some, `unwritten` left the stub as it was and `unnamed` made a mistake without a name.
    """

    name: str
    points: float
    by_hand: bool
    count: int
    passed: Estimate
    lost: Estimate
    discrimination: Estimate
    unwritten: int
    unnamed: int
    waiting: int
    mistakes: tuple[Mistake, ...]
    checks: tuple[Check, ...]

    @property
    def named(self) -> int:
        """How many lost points by a mistake with a name."""
        return sum(mistake.count for mistake in self.mistakes)


@dataclass(frozen=True)
class Student:
    """A line for a student; `name` is a number unless names were asked for. Points are without the penalty."""

    name: str
    points: float
    waiting: float
    late: float
    penalty: float
    times: int
    status: str
    flags: tuple[str, ...]
    scores: Mapping[str, float | None]


@dataclass(frozen=True)
class AlikePair:
    """Two students whose answers are alike; see `alike.Pair`. `mistakes`: those that both made."""

    one: str
    other: str
    similarity: Estimate
    exercises: tuple[str, ...]
    mistakes: tuple[str, ...]
    shared: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Summary:
    """One lesson. `error`: the standard error of a student's points, √(1 - reliability) of their spread."""

    lesson: str
    due: datetime | None
    students: tuple[Student, ...]
    nothing: tuple[str, ...]
    ungraded: tuple[str, ...]
    max_points: float
    mean: Estimate
    median: float | None
    spread: float | None
    reliability: Estimate
    error: float | None
    exercises: tuple[Exercise, ...]
    alike: tuple[AlikePair, ...]
    similarities: tuple[float, ...]
    remarks: tuple[Remark, ...]

    @property
    def commonest(self) -> int:
        """How often the commonest mistake of all exercises was made."""
        return max((mistake.count for one in self.exercises for mistake in one.mistakes), default=0)

    @property
    def late(self) -> tuple[Student, ...]:
        """Who handed in late, latest first."""
        return tuple(sorted((one for one in self.students if one.late), key=lambda one: -one.late))

    @property
    def twice(self) -> tuple[Student, ...]:
        """Who handed in more than once."""
        return tuple(one for one in self.students if one.times > 1)

    @property
    def flagged(self) -> tuple[Student, ...]:
        """Whose hand-in had been changed, was found in an odd place, or had to be stopped."""
        return tuple(one for one in self.students if one.flags)

    @property
    def waiting(self) -> tuple[Exercise, ...]:
        """Questions of which some answers wait for a person."""
        return tuple(one for one in self.exercises if one.waiting)


Called = Callable[[str], str]


def called(students: Sequence[str], names: bool, secret: str) -> Called:
    """What a report calls a student: by name, or by a number that stays from report to report while nobody joins, and
    from which nobody finds the name without the course's secret.
    """
    if names:
        return lambda student: student
    order = sorted(students, key=lambda student: hmac.digest(secret.encode(), student.encode(), "sha256"))
    number = {student: f"student {place}" for place, student in enumerate(order, 1)}
    return lambda student: number.get(student, "a student")


def summary(record: Record, likeness: Likeness, compared: Sequence[str], call: Called) -> Summary:
    """Of one lesson; `compared` are the students, in order, whom `likeness` has."""
    hand_ins = sorted(record.hand_ins.values(), key=lambda held: held.student)
    seen = [held for held in hand_ins if held.status == GRADED]
    by_machine = [item for item in record.items if not item.by_hand]
    scores = np.array([[held.scores[item.name] or 0.0 for item in by_machine] for held in seen], float)
    scores = scores.reshape(len(seen), len(by_machine))
    exercises = tuple(_exercise(item, seen, by_machine) for item in record.items)
    points = [held.points for held in seen]
    trusted = numbers.reliability(scores) if len(by_machine) > 1 else Estimate(None)
    spread = float(np.std(scores.sum(1), ddof=1)) if len(seen) > 1 else None
    error = None
    if spread is not None and trusted.value is not None:
        error = spread * float(np.sqrt(max(0.0, 1 - trusted.value)))
    pairs = tuple(
        AlikePair(
            *_two(call(compared[pair.one]), call(compared[pair.other])),
            pair.similarity,
            pair.exercises,
            _mistakes_of_both(record.hand_ins[compared[pair.one]], record.hand_ins[compared[pair.other]]),
            pair.shared,
        )
        for pair in likeness.pairs
    )
    return Summary(
        lesson=record.lesson,
        due=record.due,
        students=tuple(sorted((_student(held, record, call) for held in hand_ins), key=_by_number)),
        nothing=tuple(sorted(map(call, record.nothing), key=_number)),
        ungraded=tuple(sorted(map(call, record.ungraded), key=_number)),
        max_points=sum(item.points for item in record.items),
        mean=numbers.mean(points) if points else Estimate(None),
        median=float(np.median(points)) if points else None,
        spread=spread,
        reliability=trusted,
        error=error,
        exercises=exercises,
        alike=pairs,
        similarities=tuple(map(float, likeness.similarities)),
        remarks=tuple(remarks(exercises)),
    )


def _exercise(item: Item, hand_ins: Sequence[HandIn], by_machine: Sequence[Item]) -> Exercise:
    others = [other.name for other in by_machine if other.name != item.name]
    marked = [(held, score) for held in hand_ins if (score := held.scores[item.name]) is not None]
    rest = [sum(held.scores[name] or 0.0 for name in others) for held, _ in marked]
    full = [score >= item.points - 1e-9 for _, score in marked]
    failed = [
        held.marks[item.name]
        for (held, _), all_ in zip(marked, full, strict=True)
        if not all_ and item.name in held.marks
    ]
    told = {mark.diagnosis: mark.message.partition(". ")[2] for mark in failed if mark.diagnosis}
    counts = Counter(mark.diagnosis for mark in failed if mark.diagnosis)
    unwritten = sum(mark.unwritten for mark in failed)
    return Exercise(
        name=item.name,
        points=item.points,
        by_hand=item.by_hand,
        count=len(marked),
        passed=numbers.proportion(sum(full), len(full)),
        lost=numbers.mean([item.points - score for _, score in marked]) if marked else Estimate(None),
        discrimination=_goes_with([score for _, score in marked], rest),
        unwritten=unwritten,
        unnamed=len(failed) - sum(counts.values()) - unwritten,
        waiting=len(hand_ins) - len(marked),
        mistakes=tuple(
            Mistake(name, told[name], count, numbers.proportion(count, len(marked)))
            for name, count in sorted(counts.items(), key=lambda found: (-found[1], found[0]))
        ),
        checks=_checks(item, marked, rest),
    )


def _checks(item: Item, marked: Sequence[tuple[HandIn, float]], rest: Sequence[float]) -> tuple[Check, ...]:
    """Each check of an exercise that lost somebody something, in its order."""
    passed: dict[str, list[tuple[bool, float]]] = {}
    for (held, _), elsewhere in zip(marked, rest, strict=True):
        for outcome in held.marks[item.name].outcomes if item.name in held.marks else ():
            passed.setdefault(outcome.what, []).append((outcome.passed, elsewhere))
    return tuple(
        Check(
            what,
            numbers.proportion(sum(yes for yes, _ in rows), len(rows)),
            _goes_with([float(yes) for yes, _ in rows], [elsewhere for _, elsewhere in rows]),
        )
        for what, rows in passed.items()
    )


def _goes_with(scores: Sequence[float], rest: Sequence[float]) -> Estimate:
    return numbers.correlation(scores, rest) if len(scores) > 1 else Estimate(None)


def _mistakes_of_both(one: HandIn, other: HandIn) -> tuple[str, ...]:
    both = [(mark, other.marks[name]) for name, mark in one.marks.items() if name in other.marks]
    return tuple(f"{a.name}: {a.diagnosis}" for a, b in both if a.diagnosis and a.diagnosis == b.diagnosis)


def _two(one: str, other: str) -> tuple[str, str]:
    return (one, other) if _number(one) <= _number(other) else (other, one)


def _student(held: HandIn, record: Record, call: Called) -> Student:
    waiting = sum(item.points for item in record.items if held.scores[item.name] is None)
    named = call(held.student) == held.student
    flags = held.flags if named else tuple(_nameless(flag, held.student, record.name, call) for flag in held.flags)
    about = (held.points, waiting, held.late, held.penalty, held.times, held.status)
    return Student(call(held.student), *about, flags, dict(held.scores))


def _nameless(flag: str, student: str, notebook: str, call: Called) -> str:
    """A flag without the student's name, and without names of files and folders, where students put theirs."""
    ours = {f"{notebook}.ipynb", "timestamp.txt"}
    found = _FILE.sub(lambda name: name[0] if name[0] in ours else "…", flag)
    return re.sub(re.escape(student), call(student), found, flags=re.I)


def _by_number(student: Student) -> tuple[int, str]:
    return _number(student.name)


def _number(name: str) -> tuple[int, str]:
    found = re.fullmatch(r"student (\d+)", name)
    return (int(found[1]), "") if found else (0, name)
