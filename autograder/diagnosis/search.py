"""Which one change of a right answer, or which two, gives what the student gave: the search.

Candidates come in a fixed order: the result changed, an argument changed, one operation of a right formula changed,
then two of these at once. Each is put the questions that the student answered, beginning with one that went wrong, and
nearly all are ruled out by it. The student's process is asked nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch

from ..case import TOLERANCE
from . import makers
from .kinds import Finding, vagueness
from .makers import Arguments, ResultMaker, Unfit
from .questions import Call, Function, Questions, Raised, Scene, differs

MAX_WORK = 60_000  # operations that are spent on one exercise
MESSAGE = 50  # operations that a message to or from a host costs
BASE = 8  # operations that a candidate costs beside its formula's own


@dataclass(frozen=True)
class Candidate:
    """A wrong function, and what is wrong with it."""

    findings: tuple[Finding, ...]
    function: Function

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
    for tier in (_single, _double):
        found = [candidate for candidate in tier(questions, work) if questions.agree(candidate.function)]
        if found:
            return found
    return []


# ---- one change


def _single(questions: Questions, work: Work) -> Iterator[Candidate]:
    question, truth = questions.wrong[0]
    by_value = isinstance(question, Call)
    given = questions.named(question) if by_value else {}
    if by_value:  # the result is at hand: no function needs to be asked
        for result in makers.of_results():
            if not differs(question.got, _changed(result, truth, given)):
                yield Candidate((Finding(result.kind),), questions.made(questions.right, after=result))
    for finding, function in questions.singles():
        if work.spent():
            return
        if not differs(question.got, question.put(function)):
            yield Candidate((finding,), function)
    for result in () if by_value else makers.of_results():
        function = questions.made(questions.right, after=result)
        if work.spent():
            return
        if not differs(question.got, question.put(function)):
            yield Candidate((Finding(result.kind),), function)


def _changed(result: ResultMaker, value: Any, given: Arguments) -> Any:
    """The result changed; a `Raised` where that cannot be done."""
    try:
        return result.change(value, given)
    except Unfit:
        return Raised("Unfit: ")
    except Exception as error:
        return Raised(f"{type(error).__name__}: {error}")


# ---- two changes


def _double(questions: Questions, work: Work) -> Iterator[Candidate]:
    """Two changes at once: one of the result on top of any other, which can be undone on the answer and compared
    directly; then two arguments, two operations, an argument and an operation.
    """
    question, _ = questions.wrong[0]
    if isinstance(question, Call):
        given, undone = questions.named(question), _Undone(question.got)
        for finding, function in questions.singles():
            if work.spent():
                return
            value = question.put(function)
            counted = [r for r in COUNTED if not differs(question.got, _changed(r, value, given))]
            for result in (*undone.near(value), *counted):
                yield Candidate((finding, Finding(result.kind)), questions.made(function, after=result))
    for findings, function in questions.doubles():
        if work.spent():
            return
        if not differs(question.got, question.put(function)):
            yield Candidate(findings, function)


COUNTED = [result for result in makers.of_results() if result.kind.startswith(("mean over", "sum over"))]


RARE = ("rest of the result", "one added", "one taken away", "exp of the result", "log of the result")  # in pairs


class _Undone:
    """An answer with each change of a result undone, so that many are compared at once."""

    def __init__(self, got: Any) -> None:
        self._got = got
        self._makers = [result for result in makers.of_results() if result.undo and result.kind not in RARE]
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


class Work:
    """Counts what the search has done, in operations of the formula: the same on every machine, unlike a clock."""

    def __init__(self, questions: Questions) -> None:
        question, _ = questions.wrong[0]
        self._each, self._done = BASE, 0
        if questions.formulas:
            function, board = questions.formulas[0]
            board.on, board.ticks = {}, 0
            question.put(function)
            self._each += board.ticks
        if isinstance(question, Scene):  # messages to and fro cost more than what is computed
            self._each += sum(MESSAGE * (1 + len(exchange.callbacks)) for exchange in question.exchanges)

    def spent(self) -> bool:
        """Counts one more candidate; whether the room is used up."""
        self._done += self._each
        return self._done > MAX_WORK
