"""From a student's function to marks: run the checks, follow an earlier mistake through, recognise what went wrong.

Marking one exercise is a pure function of (the student's code, the exercise, the student's name, the course's secret):
the inputs are drawn from a seed made of these (`seeds`), so a second marking gives the same marks.
"""

from __future__ import annotations

import re
import warnings
from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from threading import Lock
from typing import Any

import torch

from .case import Case, total
from .diagnosis.naming import NOTHING, Explanation, explain
from .diagnosis.transcript import Exchange, Transcript
from .difference import difference
from .exercise import Exercise, Misconception
from .lineup import Own, lineups, oracle, own, truth
from .marks import Mark, Outcome
from .recall import Following, Recall
from .seeds import Seeds
from .student import Failure, Link, Remote, Sitting, StandIn, Tell, local

FULLY = 2.0
FOLLOWED = "judged with your own earlier functions"
STOOD_IN = "judged with right earlier functions"
# All that is said of a check that fails with stand-ins in place: any other word could carry what these answered.
UNSAID = "not right, even with right earlier functions in place"


def mark(exercise: Exercise, link: Link, student: str, secret: str = "") -> Mark:
    """Mark one exercise of `student`, whose functions answer over `link`: `judge` it, then `reconsider`.

    The best result counts: one mistake costs one exercise.
    """
    return reconsider(exercise, link, student, judge(exercise, link, student, secret), secret)


def judge(exercise: Exercise, link: Link, student: str, secret: str = "", tell: Tell | None = None) -> Mark:
    """The mark by what the student wrote alone; `tell` puts a failed call into words.

    The plain comparison comes first, with oracles for what the exercise builds on. Where it loses points, the checks
    run again with the student's own earlier functions in their place.
    """
    seeds = Seeds.of(exercise, student, secret)
    transcript = Transcript(link)
    following = Following(transcript)
    link = Sitting(following, tell)
    remote = Remote(link, exercise.name, seed=seeds.calls)
    upstream: dict[str, Any] = {}
    outcomes: list[Outcome] = []
    followed = False
    for chosen in lineups(exercise.after):
        lineup = {
            name: own(link, name, seeds.calls) if name in chosen else oracle(name, seeds.calls)
            for name in exercise.after
        }
        checks = partial(run_checks, exercise, remote, seeds.draws, lineup)
        tried = checks() if chosen else _recall.run(_key(exercise, seeds), following, checks, exercise.points)
        transcript.listening = False  # what follows asks the same again
        if not chosen or (total(tried) > total(outcomes) and all(lineup[name].responds() for name in chosen)):
            upstream, outcomes, followed = lineup, tried, bool(chosen)
        if total(outcomes) >= exercise.points or _silent(outcomes):
            break
    heard = () if followed or total(outcomes) >= exercise.points else transcript.exchanges
    return _result(exercise, outcomes, seeds, upstream, FOLLOWED if followed else "", heard)


_recall = Recall()


def _key(exercise: Exercise, seeds: Seeds) -> Hashable:
    """All that decides what an exercise's checks ask and find beside the student's replies, with oracles in the places
    of earlier functions.
    """
    return exercise.check, exercise.name, seeds, *map(truth, exercise.after)


def to_reconsider(exercise: Exercise, judged: Mark) -> bool:
    """Whether right earlier functions could still earn something."""
    stopped = any(isinstance(o.got, Failure) and o.got.kind in ("timeout", "died") for o in judged.outcomes)
    return bool(_stand_ins(exercise)) and not (judged.passed or stopped or _silent(judged.outcomes))


def reconsider(exercise: Exercise, link: Link, student: str, judged: Mark, secret: str = "") -> Mark:
    """`judged`, or a better mark with right functions put under the student's code in the place of earlier ones, which
    may be missing or of a wrong form.

    The student's process learns what these answer. So nothing that it says from then on may reach the student: judge
    all exercises of a submission before any is reconsidered.
    """
    if not to_reconsider(exercise, judged):
        return judged
    seeds = Seeds.of(exercise, student, secret)
    link = Sitting(link)
    link.stand_ins = _stand_ins(exercise)
    lineup = {name: oracle(name, seeds.calls) for name in exercise.after}
    tried = run_checks(exercise, Remote(link, exercise.name, seed=seeds.calls), seeds.draws, lineup)
    if total(tried) <= judged.points:
        return judged
    return _result(exercise, tried, seeds, lineup, STOOD_IN)


def _stand_ins(exercise: Exercise) -> dict[str, StandIn]:
    return {name: StandIn(right) for name in exercise.after if not isinstance(right := truth(name), type)}


def _result(
    exercise: Exercise,
    outcomes: Sequence[Outcome],
    seeds: Seeds,
    upstream: Mapping[str, Any],
    note: str,
    heard: Sequence[Exchange] = (),
) -> Mark:
    points = min(total(outcomes), exercise.points)
    passed = points >= exercise.points
    found = NOTHING
    if not passed and not _silent(outcomes):
        with warnings.catch_warnings(action="ignore"):  # of what wrong formulas do
            known = recognise(exercise, outcomes, seeds, upstream)
            found = Explanation(known.name, known.hint) if known else explain(exercise, heard)
    if note == STOOD_IN:
        outcomes = [outcome if outcome.passed else replace(outcome, message=UNSAID, got=None) for outcome in outcomes]
    stubs = [isinstance(o.got, Failure) and o.got.kind == "stub" for o in outcomes if not o.passed]
    return Mark(
        name=exercise.name,
        points=points,
        max_points=exercise.points,
        passed=passed,
        diagnosis=found.name,
        message=_message(outcomes, passed, found, note, exercise.name),
        outcomes=tuple(outcomes),
        followed=note == FOLLOWED,
        unwritten=bool(stubs) and all(stubs),
    )


def _silent(outcomes: Sequence[Outcome]) -> bool:
    """Whether every outcome failed because nothing answered: no earlier function and no known mistake explains that."""
    return all(isinstance(o.got, Failure) and o.got.kind in ("missing", "stub", "timeout", "died") for o in outcomes)


def run_checks(
    exercise: Exercise,
    remote: Any,
    seed: int,
    upstream: Mapping[str, Any],
    watch: Callable[[int, Outcome], None] | None = None,
) -> list[Outcome]:
    """All outcomes of one run. A check that the answer's form brings down counts as one failed outcome for the points
    left.
    """
    case = Case(seed, upstream, watch)
    try:
        with torch.enable_grad():  # in nbgrader's own route a cell may have left gradients off
            exercise.check(remote, case)
    except Exception as error:  # whatever shape an answer has, the other exercises go on
        left = exercise.points - sum(outcome.max_points for outcome in case.outcomes)
        text = f"your answer has a form that the checks cannot use ({type(error).__name__})"
        case.outcomes.append(Outcome("the remaining checks", 0.0, max(0.0, round(left, 6)), False, text))
    return case.outcomes


class _RuledOut(BaseException):
    """Ends the checks of a known mistake that the student did not make."""


@dataclass
class _Known:
    """What a known mistake gives on some draws, as far as anybody had to know: its outcomes one after the other."""

    outcomes: list[Outcome]
    complete: bool = False


# The same draws come again with other students: what known mistakes give there is found once. No more than a few
# megabytes.
_remembered: OrderedDict[tuple[Any, ...], _Known] = OrderedDict()
REMEMBERED = 1_000
_lock = Lock()


def _known(exercise: Exercise, known: Misconception, seeds: Seeds) -> _Known:
    key = exercise.check, known, seeds
    with _lock:
        found = _remembered.setdefault(key, _Known([]))
        _remembered.move_to_end(key)
        while len(_remembered) > REMEMBERED:
            _remembered.popitem(last=False)
    return found


def recognise(
    exercise: Exercise, outcomes: Sequence[Outcome], seeds: Seeds, upstream: Mapping[str, Any]
) -> Misconception | None:
    """The misconception that gives what the student gave, on the very inputs the student was given.

    Each known mistake is put through the same checks. It is recognised when every outcome agrees, or else when all
    that it fails was failed in the same way, and at least one of them provably so: by value, suspect or evidence. The
    one that explains most wins.
    """
    # With an earlier function of the student's among the truths, outcomes are the student's own.
    followed = any(isinstance(function, Own) for function in upstream.values())

    def compare(index: int, known: Outcome) -> None:
        student = outcomes[index] if index < len(outcomes) else None
        if student is None or student.what != known.what:
            raise _RuledOut
        if not known.passed and (student.passed or not _same_fault(student, known)):
            raise _RuledOut

    best: tuple[float, Misconception | None] = (0.0, None)
    for known in exercise.misconceptions:
        try:
            score = _agreement(outcomes, _outcomes(exercise, known, seeds, upstream, followed, compare))
        except _RuledOut:
            continue
        if score > best[0]:
            best = (score, known)
        if score >= FULLY:
            break
    return best[1]


def _outcomes(
    exercise: Exercise,
    known: Misconception,
    seeds: Seeds,
    upstream: Mapping[str, Any],
    followed: bool,
    compare: Callable[[int, Outcome], None],
) -> list[Outcome]:
    """All outcomes of a known mistake. `compare` is told of each, and ends it by raising; what was found is kept."""
    kept = _Known([]) if followed else _known(exercise, known, seeds)
    for index, outcome in enumerate(kept.outcomes):
        compare(index, outcome)
    if kept.complete:
        return kept.outcomes

    def watch(index: int, outcome: Outcome) -> None:
        kept.outcomes[index : index + 1] = [outcome]  # at once: another thread may be as far with the same
        compare(index, outcome)

    remote = local(exercise.name, {exercise.name: known.function}, seeds.calls)
    kept.outcomes, kept.complete = run_checks(exercise, remote, seeds.draws, upstream, watch), True
    return kept.outcomes


def _agreement(student: Sequence[Outcome], known: Sequence[Outcome]) -> float:
    """How well a known mistake explains a student's outcomes: 0 not at all, `FULLY` when all agree, and by value."""
    if [o.what for o in student] != [o.what for o in known]:
        return 0.0
    pairs = [(s, k) for s, k in zip(student, known, strict=True) if not s.passed or not k.passed]
    failed = [(s, k) for s, k in pairs if not k.passed]
    if any(s.passed for s, _ in failed):
        return 0.0
    strengths = [_same_fault(s, k) for s, k in failed]
    if not all(strengths) or 1.0 not in strengths:
        return 0.0
    if len(failed) == len(pairs):  # it explains everything that went wrong
        return FULLY / 2 + sum(strengths) / len(strengths)
    return sum(s == 1.0 for s in strengths) / (len(pairs) + 1.0)


def _same_fault(student: Outcome, known: Outcome) -> float:
    """1 where the two went wrong in the same way by value, suspect, evidence or exception; 0.5 where only the verdict
    agrees; else 0.
    """
    if isinstance(student.got, Failure) or isinstance(known.got, Failure):
        if not (isinstance(student.got, Failure) and isinstance(known.got, Failure)):
            return 0.0
        if student.got.kind != known.got.kind:
            return 0.0
        return 1.0 if student.got.cause and student.got.cause == known.got.cause else 0.25
    if student.evidence is not None or known.evidence is not None:
        return 1.0 if student.evidence == known.evidence else 0.0
    if student.suspect or known.suspect:
        return 1.0 if student.suspect == known.suspect else 0.0
    if known.truth is None or difference(student.truth, known.truth):
        return 0.5  # the truth depends on the student's own weights: values cannot be compared
    return 0.0 if difference(student.got, known.got) else 1.0


def _message(outcomes: Sequence[Outcome], passed: bool, found: Explanation, note: str, exercise: str) -> str:
    note = f" ({note})" if note else ""
    if passed:
        return f"{'The check' if len(outcomes) == 1 else f'All {len(outcomes)} checks'} passed{note}."
    failed = [outcome for outcome in outcomes if not outcome.passed]
    if found.name:
        return f"{_sentence(found.name, exercise)}. {found.text}"
    same = {outcome.message for outcome in failed}
    if len(same) == 1 and isinstance(failed[0].got, Failure):
        return f"{_sentence(failed[0].message.rstrip('.'), exercise)}."
    shown = "; ".join(f"{outcome.what}: {outcome.message}" for outcome in failed[:3])
    more = f"; and {len(failed) - 3} more" if len(failed) > 3 else ""
    return f"{found.text} {shown}{more}{note}.".lstrip()


def _sentence(text: str, exercise: str) -> str:
    """`text` with a capital, unless it begins with a name of the code: `gaussian_kl is not defined` stays as it is."""
    first = re.split(r"[\s.:(]", text, maxsplit=1)[0]
    return text if "_" in first or first == exercise else text[:1].upper() + text[1:]
