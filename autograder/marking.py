"""From a student's function to marks: run the checks, follow an earlier mistake through, recognise what went wrong.

Marking one exercise is a pure function of (the student's code, the exercise, the student's name): the inputs are
drawn from a seed made of student, lesson and exercise, so a second marking gives the same marks.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from .case import Case, Outcome, difference, total
from .exercise import Exercise, Misconception, find_exercise
from .sandbox.host import Host
from .student import Failure, Link, LocalLink, Remote

PUBLIC = ("what", "points", "max_points", "passed", "message")


@dataclass(frozen=True)
class Mark:
    """What one exercise earned, and why; `diagnosis` is the misconception recognised, `message` what the student
    reads.
    """

    name: str
    points: float
    max_points: float
    passed: bool
    diagnosis: str | None
    message: str
    outcomes: tuple[Outcome, ...]

    def public(self) -> dict[str, Any]:
        """The mark as JSON, without a hidden input or expected value."""
        fields = {key: getattr(self, key) for key in ("name", "points", "max_points", "passed", "diagnosis", "message")}
        return {**fields, "outcomes": [{key: asdict(o)[key] for key in PUBLIC} for o in self.bare().outcomes]}

    def bare(self) -> Mark:
        """The same mark with the grader's own evidence removed."""
        gone: dict[str, Any] = {"got": None, "truth": None, "suspect": None, "evidence": None}
        return replace(self, outcomes=tuple(replace(outcome, **gone) for outcome in self.outcomes))


def seed_of(*parts: str) -> int:
    """A seed that depends on these words alone, the same on every machine."""
    return int.from_bytes(hashlib.sha256("/".join(parts).encode()).digest()[:7], "big")


def mark(exercise: Exercise, link: Link, student: str) -> Mark:
    """Mark one exercise of `student`, whose functions answer over `link`.

    The plain comparison comes first, with oracles for what the exercise builds on. Where it loses points, the checks
    run once more with the student's own earlier functions in their place, and the better result counts: one mistake
    costs one exercise.
    """
    seed = seed_of(student, exercise.lesson, exercise.name)
    oracles = {name: find_exercise(name).oracle for name in exercise.after}
    remote = Remote(link, exercise.name)
    upstream, outcomes = oracles, run_checks(exercise, remote, seed, oracles)
    if exercise.after and total(outcomes) < exercise.points:
        own: dict[str, Any] = {name: Remote(link, name) for name in exercise.after}
        followed = run_checks(exercise, remote, seed, own)
        if total(followed) > total(outcomes):
            upstream, outcomes = own, followed
    points = min(total(outcomes), exercise.points)
    passed = points >= exercise.points
    found = None if passed else recognise(exercise, outcomes, seed, upstream)
    return Mark(
        name=exercise.name,
        points=points,
        max_points=exercise.points,
        passed=passed,
        diagnosis=found.name if found else None,
        message=_message(outcomes, passed, found, followed=upstream is not oracles),
        outcomes=tuple(outcomes),
    )


def run_checks(exercise: Exercise, remote: Any, seed: int, upstream: Mapping[str, Any]) -> list[Outcome]:
    """All outcomes of one run. A check that the answer's form brings down counts as one failed outcome for the points
    left.
    """
    case = Case(seed, upstream)
    try:
        exercise.check(remote, case)
    except Exception as error:  # whatever shape an answer has, the other exercises go on
        left = exercise.points - sum(outcome.max_points for outcome in case.outcomes)
        text = f"your answer has a form that the checks cannot use ({type(error).__name__})"
        case.outcomes.append(Outcome("the remaining checks", 0.0, max(0.0, round(left, 6)), False, text))
    return case.outcomes


def recognise(
    exercise: Exercise, outcomes: Sequence[Outcome], seed: int, upstream: Mapping[str, Any]
) -> Misconception | None:
    """The misconception that gives what the student gave, on the very inputs the student was given.

    Each known mistake is put through the same checks. It is recognised when every outcome agrees, or else when all
    that it fails was failed in the same way; the one that explains most wins.
    """
    best: tuple[float, Misconception | None] = (0.0, None)
    for known in exercise.misconceptions:
        host = LocalLink(Host({exercise.name: known.function}))
        score = _agreement(outcomes, run_checks(exercise, Remote(host, exercise.name), seed, upstream))
        if score > best[0]:
            best = (score, known)
    return best[1]


def _agreement(student: Sequence[Outcome], known: Sequence[Outcome]) -> float:
    """How well a known mistake explains a student's outcomes: 0 not at all, at most 2 (all agree, and by value)."""
    if [o.what for o in student] != [o.what for o in known]:
        return 0.0
    pairs = [(s, k) for s, k in zip(student, known, strict=True) if not s.passed or not k.passed]
    failed = [(s, k) for s, k in pairs if not k.passed]
    if not failed or any(s.passed for s, _ in failed):
        return 0.0
    strengths = [_same_fault(s, k) for s, k in failed]
    if not all(strengths):
        return 0.0
    if len(failed) == len(pairs):  # it explains everything that went wrong
        return 1.0 + sum(strengths) / len(strengths)
    # Only part of the faults: trust values, not verdicts.
    return sum(s == 1.0 for s in strengths) / (len(pairs) + 1.0) if 1.0 in strengths else 0.0


def _same_fault(student: Outcome, known: Outcome) -> float:
    """1 where the two went wrong in the same way by value, suspect or evidence; 0.5 where only the verdict agrees;
    else 0.
    """
    if isinstance(student.got, Failure) or isinstance(known.got, Failure):
        kinds = [getattr(got, "kind", None) for got in (student.got, known.got)]
        return 0.25 if kinds[0] == kinds[1] else 0.0  # that both raised says little of why
    if student.evidence is not None or known.evidence is not None:
        return 1.0 if student.evidence == known.evidence else 0.0
    if student.suspect or known.suspect:
        return 1.0 if student.suspect == known.suspect else 0.0
    if known.truth is None or difference(student.truth, known.truth):
        return 0.5  # the truth depends on the student's own weights: values cannot be compared
    return 0.0 if difference(student.got, known.got, rtol=1e-5) else 1.0


def _message(outcomes: Sequence[Outcome], passed: bool, found: Misconception | None, followed: bool) -> str:
    note = " (judged with your own earlier functions)" if followed else ""
    if passed:
        return f"All {len(outcomes)} checks passed{note}."
    failed = [outcome for outcome in outcomes if not outcome.passed]
    if found:
        return f"{found.name[0].upper()}{found.name[1:]}. {found.hint}"
    same = {outcome.message for outcome in failed}
    if len(same) == 1 and isinstance(failed[0].got, Failure):
        return f"{failed[0].message[0].upper()}{failed[0].message[1:]}."
    shown = "; ".join(f"{outcome.what}: {outcome.message}" for outcome in failed[:3])
    more = f"; and {len(failed) - 3} more" if len(failed) > 3 else ""
    return f"{shown}{more}{note}."
