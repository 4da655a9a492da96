"""What a student was asked about an exercise and what is right, and wrong functions made to be asked the same."""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import combinations, product
from typing import Any

import torch

from ..exercise import Exercise
from . import makers
from .asked import ELSEWHERE, Call, Scene, questions_of
from .comparing import Raised, differs, finite, right, right_kept
from .kinds import Finding, vagueness
from .makers import Arguments, Maker, Unfit
from .results import ResultMaker
from .schemata import Board, Switch, switched
from .transcript import Exchange

EXTREME = 1e6
FEWEST = 6  # numbers that are handed over, else a mean is too much like a root of a mean square
ENOUGH = 3  # numbers that have to agree, and to vary
# Of the changes of arguments, those that are looked for after all operations.
LATE = ("times", "divided by", "plus", "minus", "hard", "diagonal", "order of axis", "signs of", "unit length")
SELDOM = (
    *("floor of", "constant in", "clip of", "average of", "order", "exp of", "log of", "inverse of", "size of"),
    *("fresh", "standardised", "normalised", "bent", "rounded", "one more", "one less", "at least", "at most"),
    *("one for all", "asked with", "asked exchanged", "asked with one", "unused in asking", "compared with"),
    *("answer clipped", "answer bent", "answer's root", "answer's logarithm", "answer averaged"),
    *("clipped guess", "larger variance", *LATE),
)
Function = Callable[..., Any]


class Questions:
    """What a student was asked about one exercise, and the right answers; those that went wrong come first."""

    def __init__(self, exercise: Exercise, exchanges: Sequence[Exchange]) -> None:
        self.right = _first_right(exercise)
        parameters = inspect.signature(self.right).parameters
        self.names = tuple(parameters)
        self._defaults = {n: p.default for n, p in parameters.items() if isinstance(p.default, int | float | str)}
        asked = questions_of(exercise, exchanges)
        truths = [(question, question.put(self.right, whole=True)) for question in asked]
        self._truths = {id(question): truth for question, truth in truths}
        wrong = [(q, truth) for q, truth in truths if not right(q.got, truth)]
        self.wrong = sorted(wrong, key=lambda pair: unhandy(pair[0], ENOUGH))
        self.all = [q for q, _ in self.wrong] + [q for q, truth in truths if right(q.got, truth)]
        self.formulas = formulas(exercise) if self.wrong else []
        self.arguments = self._arguments() if self.wrong else []

    def prefer(self, formula: int) -> None:
        """Takes another formula for the right answer that others are made of."""
        self.right = _turned(*self.formulas[formula], [])

    def _arguments(self) -> list[Maker]:
        try:
            return makers.of_arguments(self.named(self.wrong[0][0]), self._words(), self._defaults)
        except Unfit:
            return []

    def _words(self) -> dict[str, set[Any]]:
        """The words and switches that were handed over as arguments, and what goes without saying, by the argument's
        name.
        """
        seen: dict[str, set[Any]] = {name: {value} for name, value in self._defaults.items()}
        for question in self.all:
            refused = isinstance(self._truths[id(question)], Raised)
            for name, value in self.named(question).items():
                if isinstance(value, str | bool) and not refused:
                    seen.setdefault(name, set()).add(value)
        return seen

    def right_elsewhere(self) -> bool:
        """Whether another right formula than the first gives all that the student gave: nothing is wrong in it then,
        and a change that changes nothing of that formula would be told as a mistake.
        """
        for function, board in self.formulas:
            board.on, board.ticks = {}, 0
            if self.agree(function, 1) and self.agree(function):
                return True
        return False

    def tellable(self) -> bool:
        """Whether the wrong answers hold enough finite numbers that vary: agreement by less would prove nothing. Where
        all of these are exceptions, the right ones have to hold them.
        """
        raised = all(isinstance(question.got, Raised) for question, _ in self.wrong)
        counted = self.all if raised else [question for question, _ in self.wrong]
        found = torch.cat([torch.zeros(0, dtype=torch.float64), *(finite(q.got) for q in counted)])
        return len(found) >= ENOUGH and bool((found - found[0]).abs().max() > 1e-9 * found.abs().max())

    def agree(
        self, function: Function, first: int | None = None, where_wrong: bool = False, again: bool = True
    ) -> bool:
        """Whether `function` gives what the student gave, everywhere, or in answer to the first questions. With
        `where_wrong`, the entries of an answer that are right need no explanation, nor does a scene in which more was
        asked of the check's functions than the student asked, as by tracing a formula's steps; without `again`, nothing
        does that asks the same in other types and other orders of axes in memory, where chance draws otherwise.
        """
        by_value = any(isinstance(question, Call) for question, _ in self.wrong)
        for question in self.all[:first]:
            value, truth = question.put(function, whole=where_wrong), self._truths[id(question)]
            if where_wrong and by_value and isinstance(question, Scene) and value and value[-1] == ELSEWHERE:
                continue
            if not again and isinstance(question, Scene) and len(value) - 1 in question.several:
                continue  # up to there all is the same
            if where_wrong:
                value = right_kept(question.got, truth, value)
            refused = isinstance(truth, Raised) and right(question.got, truth) and right(value, truth)
            if not refused and differs(question.got, value, isinstance(question, Call) and question.coarse):
                return False
        return True

    def named(self, question: Call | Scene) -> Arguments:
        """A call's arguments by name, with what goes without saying."""
        return {**self._defaults, **makers.named(self.names, question.args, question.kwargs)}

    def made(self, function: Function, before: Sequence[Maker] = (), after: ResultMaker | None = None) -> Function:
        """`function` with its arguments, and its result, changed."""

        def changed(*args: Any, **kwargs: Any) -> Any:
            given = {**self._defaults, **makers.named(self.names, list(args), kwargs)}
            asked = given
            for maker in before:
                asked = maker.change(asked)
            value = function(**asked)
            return value if after is None else after.change(value, given)

        return changed

    def singles(self, vague: bool, arguments: Sequence[Maker]) -> Iterator[Change]:
        """Every function with one of these arguments or one operation changed, the kinds that say most first; or those
        whose kind says little.
        """
        if vague:
            for level in (2, 1):  # one number, one operation; then one quantity for another, which are many
                for i, (function, board) in enumerate(self.formulas):
                    for switch in board.switches:
                        if vagueness(switch.kind) == level:
                            yield Change((Finding(switch.kind),), _turned(function, board, [switch]), i)
            return
        for i, (function, board) in enumerate(self.formulas):  # where there is an optimiser, it is the first suspect
            for switch in board.switches:
                if switch.kind == "gradient":
                    yield Change((Finding(switch.kind),), _turned(function, board, [switch]), i)
        yield from self._one_argument(maker for maker in arguments if maker.kind not in LATE)
        for i, (function, board) in enumerate(self.formulas):
            for switch in board.switches:
                if not vagueness(switch.kind):
                    yield Change((Finding(switch.kind),), _turned(function, board, [switch]), i)
            for switches in board.alike():
                yield Change((Finding(switches[0].kind),), _turned(function, board, switches), i)
        yield from self._one_argument(maker for maker in arguments if maker.kind in LATE)

    def _one_argument(self, arguments: Iterable[Maker]) -> Iterator[Change]:
        for maker in arguments:
            yield Change((Finding(maker.kind, maker.about),), self.made(self.right, [maker]), None)

    def doubles(self, arguments: bool) -> Iterator[Change]:
        """Every function with two of them changed, those of clear kinds alone; seldom ones at the end. `arguments`:
        whether two arguments are among them.
        """
        clear = [maker for maker in self.arguments if maker.kind not in SELDOM]
        if arguments:
            yield from self._two_arguments(combinations(clear, 2))
        for function, board in self.formulas[:1]:
            switches = [switch for switch in board.switches if not vagueness(switch.kind)]
            for a, b in combinations(switches, 2):
                if a.site != b.site:
                    yield Change((Finding(a.kind), Finding(b.kind)), _turned(function, board, [a, b]), 0)
            for maker in clear:
                for switch in switches:
                    made = self.made(_turned(function, board, [switch]), [maker])
                    yield Change((Finding(maker.kind, maker.about), Finding(switch.kind)), made, 0)
        seldom = [maker for maker in self.arguments if maker.kind in SELDOM]
        if arguments:
            yield from self._two_arguments(product(clear, seldom))

    def _two_arguments(self, pairs: Iterable[tuple[Maker, Maker]]) -> Iterator[Change]:
        for one, other in pairs:
            if one.about != other.about:
                findings = Finding(one.kind, one.about), Finding(other.kind, other.about)
                yield Change(findings, self.made(self.right, [one, other]), None)


def unhandy(question: Call | Scene, enough: int) -> tuple[bool | int, ...]:
    """What speaks against beginning with a question: that it is not answered by numbers, or by fewer plain ones than
    enough, or not in double precision; axes of length one, where more than `enough` is looked for; large arguments.
    """
    if isinstance(question, Scene) or isinstance(question.got, Raised):
        return (True,)
    given = [value for value in (*question.args, *question.kwargs.values()) if isinstance(value, torch.Tensor)]
    short = enough >= ENOUGH and any(value.ndim > 1 and 1 in value.shape for value in given)
    largest = max((value.numel() for value in given), default=0)
    few = plain(question.got) < enough
    precise = isinstance(question.got, float) or _dtype(question.got) == torch.float64
    return False, not precise, few, few and largest < FEWEST, short, largest


def plain(value: Any) -> int:
    """How many numbers of an answer are neither 0 nor extreme."""
    size = finite(value).abs()
    return int(((size > 1 / EXTREME) & (size < EXTREME)).sum())


def distinct(value: Any) -> int:
    """How many different numbers an answer holds."""
    return len(finite(value).unique())


def _dtype(value: Any) -> torch.dtype | None:
    return _dtype(value[-1]) if isinstance(value, tuple | list) and value else getattr(value, "dtype", None)


@dataclass(frozen=True)
class Change:
    """A wrong function, what is wrong with it, and which of the formulas it is; None for the first right answer."""

    findings: tuple[Finding, ...]
    function: Function
    formula: int | None


def _turned(function: Function, board: Board, switches: Sequence[Switch]) -> Function:
    on = {switch.site: switch.change for switch in switches}

    def changed(*args: Any, **kwargs: Any) -> Any:
        board.on, board.ticks = on, 0
        try:
            return function(*args, **kwargs)
        finally:
            if not isinstance(function, type):  # an object goes on being asked after it was made
                board.on = {}

    return changed


_switched: dict[Function, tuple[Function, Board] | None] = {}


def formulas(exercise: Exercise) -> list[tuple[Function, Board]]:
    """The right answers of an exercise, the oracle last, each with its board; made once."""
    found = []
    for function in (*_alternatives(exercise), *([exercise.oracle] if exercise.has_oracle else [])):
        if function not in _switched:
            _switched[function] = None
            with contextlib.suppress(OSError, SyntaxError, TypeError):  # no source at hand
                _switched[function] = switched(function)
        if made := _switched[function]:
            found.append(made)
    return found


def _alternatives(exercise: Exercise) -> list[Function]:
    """The right answers in other styles, but for those by `torch.func`, where there are others: its first derivative
    imports the compiler, which takes a second or more and 100 MB.
    """
    every = list(exercise.alternatives.values())
    return [function for function in every if not _by_torch_func(function)] or every


@cache
def _by_torch_func(function: Function) -> bool:
    try:
        return "torch.func." in inspect.getsource(function)
    except (OSError, TypeError):  # no source at hand
        return False


def _first_right(exercise: Exercise) -> Function:
    if alternatives := _alternatives(exercise):
        return alternatives[0]
    if not exercise.has_oracle:
        raise Unfit
    return exercise.oracle
