"""Which one change of a right answer, or which two, gives what the student gave: the search.

Candidates come in a fixed order: the result changed, an argument changed, one operation of a right formula changed, one
step of a right formula made in another way, then two changes at once. Each is put the questions that the student
answered, beginning with one that went wrong, and nearly all are ruled out by it. The student's process is asked
nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from ..difference import TOLERANCE
from .asked import Call, Function, Scene
from .batches import Batches
from .comparing import Raised, differs
from .kinds import Finding, vagueness
from .makers import Arguments, Maker, Unfit
from .modules import form_of, of_module
from .parts import Parts
from .quantities import EXAMPLES, cut
from .questions import Change, Questions, distinct, plain, unhandy
from .results import ResultMaker, change_result, of_results
from .work import Work

TRIES = 4  # candidates with the same finding that are compared with all answers
TRIES_OF_STEPS = 8  # of those where a step is replaced: one number alone may come about in many ways
NEAR = 1e-2  # how far off, as a share of the largest number, a small second change leaves an answer

RESULTS = of_results()
BESIDE = [result for result in RESULTS if not result.alone]  # of two changes
COUNTED = [result for result in RESULTS if result.kind.startswith(("mean over", "sum over"))]
COMPARED = 6  # what it costs to change a result and to compare it
REST = [result for result in BESIDE if result not in COUNTED and not result.undo]  # compared directly
SMALL = ("constant in", "floor of")
MODULE = 100  # what it costs to change a module that was made
SECONDS = 60  # what it costs to compare with the answer undone
SOLVED = 1_500  # what it costs to tell what a step must have been, and how it may have become that
ASKED = 5  # times that a formula is asked for that
TRACED = 150  # what it costs to trace formulas, and to put one question more
HANDY = 3  # calls that are tried for one that can be cut
MANY = 24  # different numbers of an answer, of which no more are looked for to tell what a step must have been
MOST_STEP = 8_000  # what one step may cost
MOST_TRIES = 120  # replacements of a step that are put the whole question
RARE = ("rest of the result", "one added", "one taken away", "exp of the result", "log of the result")  # in pairs


@dataclass(frozen=True)
class Candidate:
    """A wrong function, and what is wrong with it."""

    findings: tuple[Finding, ...]
    function: Function
    step: int = 0  # at which of the steps that are tried one by one

    @property
    def families(self) -> set[str]:
        """The families of its findings."""
        return {finding.family for finding in self.findings}

    @property
    def vagueness(self) -> int:
        """That of the vaguest finding."""
        return max(vagueness(finding.kind) for finding in self.findings)


def search(questions: Questions) -> list[Candidate]:
    """The candidates of the first tier in which one agrees with all that the student gave; none where none does."""
    if not questions.wrong or not questions.tellable():
        return []
    work = Work(questions)
    work.share("single")
    question, _ = questions.wrong[0]
    batches = Batches(questions, question, work) if isinstance(question, Call) else None
    tiers = {"single": _single, "solved": _solved, "step": _replaced, "vague": _vague, "pair": _double}
    for name, tier in tiers.items():
        work.share(name)
        found = _agreeing(questions, work, tier(questions, batches, work), where_wrong=tier in (_solved, _replaced))
        if found:
            return found
    return []


def _agreeing(questions: Questions, work: Work, candidates: Iterator[Candidate], where_wrong: bool) -> list[Candidate]:
    """Those that agree everywhere: of each finding the first, and only so many are tried of one. Where one does at a
    step, no further step is tried.
    """
    by_value = isinstance(questions.all[0], Call)
    found: list[Candidate] = []
    tried: Counter[tuple[Finding, ...]] = Counter()
    tries = TRIES_OF_STEPS if where_wrong else TRIES
    for candidate in candidates:
        if found and candidate.step != found[0].step:
            break
        if tried[candidate.findings] >= tries or not questions.agree(candidate.function, 1, where_wrong):
            continue
        tried[candidate.findings] += 1
        work.pays(len(questions.all) * (TRACED if where_wrong else COMPARED))
        if questions.agree(candidate.function, where_wrong=where_wrong, again=not by_value):
            found.append(candidate)
            tried[candidate.findings] = tries
    return found


# ---- one change


def _single(questions: Questions, batches: Batches | None, work: Work) -> Iterator[Candidate]:
    question, truth = questions.wrong[0]
    by_value = isinstance(question, Call)
    given = questions.named(question) if by_value else {}
    if by_value:  # the result is at hand: no function needs to be asked
        for result in RESULTS:
            if not differs(question.got, _changed(result, truth, given)):
                yield Candidate((result.finding,), questions.made(questions.right, after=result))
    for result in () if by_value else _of_modules(questions, question):
        function = questions.made(questions.right, after=result)
        if work.spent(None, MODULE):
            return
        if not differs(question.got, question.put(function)):
            yield Candidate((result.finding,), function)
    for maker in batches.singles() if batches else ():
        yield Candidate((Finding(maker.kind, maker.about),), questions.made(questions.right, [maker]))
    arguments = batches.others(questions.arguments) if batches else questions.arguments
    yield from _fitting(questions, work, questions.singles(vague=False, arguments=arguments))
    for result in () if by_value else RESULTS:
        function = questions.made(questions.right, after=result)
        if work.spent(None):
            return
        if not differs(question.got, question.put(function)):
            yield Candidate((result.finding,), function)


def _of_modules(questions: Questions, question: Call | Scene) -> list[ResultMaker]:
    made = form_of(questions.right, question.args, question.kwargs)
    return of_module(made, question.methods) if made is not None and isinstance(question, Scene) else []


def _vague(questions: Questions, batches: Batches | None, work: Work) -> Iterator[Candidate]:
    yield from _fitting(questions, work, questions.singles(vague=True, arguments=()))


def _fitting(questions: Questions, work: Work, changes: Iterable[Change]) -> Iterator[Candidate]:
    """The changes that give the first of the wrong answers."""
    question, _ = questions.wrong[0]
    for change in changes:
        if work.spent(change.formula):
            return
        if not differs(question.got, question.put(change.function)):
            yield Candidate(change.findings, change.function)


def _changed(result: ResultMaker, value: Any, given: Arguments) -> Any:
    """The result changed; a `Raised` where that cannot be done."""
    try:
        return change_result(result, value, given)
    except Unfit:
        return Raised("Unfit: ")
    except Exception as error:
        return Raised(f"{type(error).__name__}: {error}")


# ---- one step made in another way


def _solved(questions: Questions, batches: Batches | None, work: Work) -> Iterator[Candidate]:
    """Those in which a step is what it must have been, by `explaining`; step by step, the last ones first."""
    calls = _calls(questions)
    if not calls:
        return
    question = max((q for q, _ in calls), key=lambda q: min(distinct(q.got), MANY))
    parts = Parts(questions.formulas, questions.named(question), question.got, False)
    for number, (formula, site) in enumerate(parts.sites(work.spent)):
        if work.spent(formula, SOLVED, times=ASKED):
            return
        for part in parts.solved(formula, site):
            if work.spent(formula, TRACED):
                return
            yield Candidate((part.finding,), parts.made(part, questions.names), number)


def _replaced(questions: Questions, batches: Batches | None, work: Work) -> Iterator[Candidate]:
    calls = _calls(questions)
    if not calls:
        return
    cuts = [cut(questions.right, questions.named(q), truth, q.got) for q, truth in calls[:HANDY]]
    given, got = next((both for both in cuts if plain(both[1]) >= EXAMPLES), cuts[0])
    parts = Parts(questions.formulas, given, got, any(_holds_nan(q.got) for q, _ in calls))
    tries = 0
    for formula, site in parts.sites(work.spent):
        cost = parts.cost(formula, site)
        if cost > MOST_STEP:
            continue
        if work.pays(cost):
            return
        for part in parts.agreeing(formula, site):
            tries += 1
            if tries > MOST_TRIES or work.spent(formula, TRACED):
                return
            yield Candidate((part.finding,), parts.made(part, questions.names))


def _calls(questions: Questions) -> list[tuple[Call, Any]]:
    """The wrong answers in which steps can be told, the handiest first; with what is right."""
    calls = [(q, truth) for q, truth in questions.wrong if isinstance(q, Call) and not isinstance(q.got, Raised)]
    calls.sort(key=lambda pair: unhandy(pair[0], EXAMPLES))
    too_many = any(len(question.args) > len(questions.names) for question, _ in calls[:1])
    return [] if too_many or isinstance(questions.right, type) else calls


def _holds_nan(value: Any) -> bool:
    if isinstance(value, tuple | list):
        return any(map(_holds_nan, value))
    return isinstance(value, torch.Tensor) and bool(value.isnan().any())


# ---- two changes


def _double(questions: Questions, batches: Batches | None, work: Work) -> Iterator[Candidate]:
    """Two changes at once: one of the result on top of any other, or one that hardly changes anything; then two
    arguments, two operations, an argument and an operation.
    """
    question, _ = questions.wrong[0]
    together = batches is not None and batches.function is not None
    if batches and isinstance(question, Call):
        if together:
            yield from _together(questions, batches)
        yield from _on_top(questions, question, batches.others(questions.arguments), work)
    yield from _fitting(questions, work, questions.doubles(arguments=not together))


def _together(questions: Questions, batches: Batches) -> Iterator[Candidate]:
    for maker, result in batches.on_top(BESIDE):
        made = questions.made(questions.right, [maker], result)
        yield Candidate((Finding(maker.kind, maker.about), result.finding), made)
    for makers in batches.arguments():
        findings = tuple(Finding(maker.kind, maker.about) for maker in makers)
        yield Candidate(findings, questions.made(questions.right, makers))


def _on_top(questions: Questions, question: Call, arguments: Sequence[Maker], work: Work) -> Iterator[Candidate]:
    """A result changed that has been changed before: undone on the answer where that can be, and compared directly."""
    given, undone = questions.named(question), _Undone(question.got)
    changed: list[tuple[Change, Any]] = []
    for change in questions.singles(vague=False, arguments=arguments):
        if work.spent(change.formula, SECONDS):
            return
        value = question.put(change.function)
        if isinstance(value, Raised):
            continue
        changed.append((change, value))
        counted = [r for r in COUNTED if not differs(question.got, _changed(r, value, given))]
        yield from _results(questions, change, [*undone.near(value), *counted])
    yield from _with_small(questions, question, changed, work)
    for change, value in changed:
        if change.formula is None:
            if work.pays(COMPARED * len(REST)):
                return
            found = [r for r in REST if not differs(question.got, _changed(r, value, given))]
            yield from _results(questions, change, found)


def _results(questions: Questions, change: Change, results: Iterable[ResultMaker]) -> Iterator[Candidate]:
    for result in results:
        yield Candidate((*change.findings, result.finding), questions.made(change.function, after=result))


def _with_small(
    questions: Questions, question: Call, changed: Iterable[tuple[Change, Any]], work: Work
) -> Iterator[Candidate]:
    """A change, and one besides that hardly changes anything."""
    small = [maker for maker in questions.arguments if maker.kind in SMALL]
    for change, value in changed:
        for maker in small if _close(question.got, value) else ():
            if work.spent(change.formula):
                return
            made = questions.made(change.function, [maker])
            if not differs(question.got, question.put(made)):
                yield Candidate((*change.findings, Finding(maker.kind, maker.about)), made)


def _close(got: Any, value: Any) -> bool:
    """Whether an answer is off by next to nothing."""
    if not _real(got) or not _real(value) or got.shape != value.shape or not got.numel():
        return False
    apart, size = (got.double() - value.double()).abs(), value.abs().max()
    return bool((apart <= NEAR * size).all())


class _Undone:
    """An answer with each change of a result undone, so that many are compared at once."""

    def __init__(self, got: Any) -> None:
        self._got = got
        self._makers = [result for result in BESIDE if result.undo and result.kind not in RARE]
        plain = _real(got) and got.numel() > 0
        self._stack = torch.stack([m.undo(got.double()) for m in self._makers if m.undo]) if plain else None

    def near(self, value: Any) -> list[ResultMaker]:
        """The changes which, undone, leave this value."""
        if self._stack is None or not _real(value) or value.shape != self._got.shape:
            return []
        apart = (self._stack - value.double()).abs().reshape(len(self._makers), -1).amax(1)
        scale = self._stack.abs().reshape(len(self._makers), -1).amax(1)
        close = apart <= TOLERANCE.get(value.dtype, 1e-7) * scale
        return [maker for maker, near in zip(self._makers, close.tolist(), strict=True) if near]


def _real(value: Any) -> bool:
    return isinstance(value, torch.Tensor) and value.is_floating_point()
