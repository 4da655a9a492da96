"""The questions that a student was asked, as they can be put to any other function, and functions made to be asked."""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations, product
from typing import Any

import torch

from ..exercise import Exercise
from ..sandbox.responder import Responder
from ..sandbox.wire import Handle, WireError, decode
from . import makers
from .comparing import Raised, differs, finite, fresh, right, right_kept
from .kinds import Finding, vagueness
from .makers import Arguments, Maker, Unfit
from .results import ResultMaker
from .schemata import Board, Switch, TooLong, switched
from .transcript import Elsewhere, Exchange

ENOUGH = 3  # numbers that have to agree, and to vary
SELDOM = (
    *("floor of", "constant in", "clip of", "average of", "order", "exp of", "log of", "inverse of", "size of"),
    *("fresh", "standardised", "normalised", "bent", "rounded"),
)
Function = Callable[..., Any]


@dataclass(frozen=True, eq=False)
class Call:
    """One call of the student's function by value: its arguments, what came back, and the seed of what is drawn."""

    args: list[Any]
    kwargs: dict[str, Any]
    got: Any
    seed: int = 0

    def put(self, function: Function) -> Any:
        """What `function` gives here."""
        torch.default_generator.manual_seed(self.seed)
        try:
            return function(*map(fresh, self.args), **{key: fresh(value) for key, value in self.kwargs.items()})
        except Exception as error:
            return Raised(f"{type(error).__name__}: {str(error)[:400]}")
        except TooLong:
            return Raised("TooLong: ")


@dataclass(frozen=True, eq=False)
class Scene:
    """Requests that belong together: with callbacks, gradients, or objects that stay on the student's side, which
    later requests are about. `args` are those of the first call among them, for as far as they are values.
    """

    name: str
    exchanges: tuple[Exchange, ...]
    args: list[Any]
    kwargs: dict[str, Any]
    got: list[Any]

    def put(self, function: Function) -> list[Any]:
        """What `function` gives, up to the first reply that is another than the student's."""
        host, said = _Host({self.name: function}), []
        for exchange, got in zip(self.exchanges, self.got, strict=True):
            try:
                said.append(_counted(exchange.request, _value(host.answer(exchange.request, exchange.server()))))
            except (Elsewhere, WireError):
                said.append(Raised("Elsewhere: "))
            if differs(got, said[-1]):
                break
        return said


class _Host(Responder):
    """Answers for a function that is only compared: where it runs is not asked."""

    def _elsewhere(self, target: Any, args: list, method: str | None = None) -> None:
        return None


def _counted(frame: bytes, value: Any) -> Any:
    """A reply without what was asked of devices along with other things."""
    if not isinstance(value, list) or b"elsewhere" not in frame:
        return value
    asked = decode(frame, lambda reference: None).get("asked", value)
    pairs = zip(asked, value, strict=True)
    return [reply for one, reply in pairs if not (isinstance(one, dict) and one.get("op") == "elsewhere")]


class Questions:
    """What a student was asked about one exercise, and the right answers; those that went wrong come first."""

    def __init__(self, exercise: Exercise, exchanges: Sequence[Exchange]) -> None:
        self.right = _first_right(exercise)
        parameters = inspect.signature(self.right).parameters
        self.names = tuple(parameters)
        self._defaults = {n: p.default for n, p in parameters.items() if isinstance(p.default, int | float | str)}
        asked = _questions(exercise, exchanges)
        truths = [(question, question.put(self.right)) for question in asked]
        self._truths = {id(question): truth for question, truth in truths}
        self.wrong = [(q, truth) for q, truth in truths if not right(q.got, truth)]
        self.all = [q for q, _ in self.wrong] + [q for q, truth in truths if right(q.got, truth)]
        self.formulas = formulas(exercise) if self.wrong else []
        self.arguments = self._arguments() if self.wrong else []

    def _arguments(self) -> list[Maker]:
        try:
            return makers.of_arguments(self.named(self.wrong[0][0]), self._words())
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

    def tellable(self) -> bool:
        """Whether the wrong answers hold enough finite numbers that vary: agreement by less would prove nothing. Where
        all of these are exceptions, the right ones have to hold them.
        """
        raised = all(isinstance(question.got, Raised) for question, _ in self.wrong)
        counted = self.all if raised else [question for question, _ in self.wrong]
        found = torch.cat([torch.zeros(0, dtype=torch.float64), *(finite(q.got) for q in counted)])
        return len(found) >= ENOUGH and bool((found - found[0]).abs().max() > 1e-9 * found.abs().max())

    def agree(self, function: Function, first: int | None = None, where_wrong: bool = False) -> bool:
        """Whether `function` gives what the student gave, everywhere, or in answer to the first questions. With
        `where_wrong`, the entries of an answer that are right need no explanation.
        """
        for question in self.all[:first]:
            value, truth = question.put(function), self._truths[id(question)]
            if where_wrong:
                value = right_kept(question.got, truth, value)
            refused = isinstance(truth, Raised) and right(question.got, truth) and right(value, truth)
            if not refused and differs(question.got, value):
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

    def singles(self, vague: bool) -> Iterator[Change]:
        """Every function with one argument or one operation changed, the kinds that say most first; or those whose kind
        says little.
        """
        if vague:
            for level in (1, 2):
                for i, (function, board) in enumerate(self.formulas[:1]):
                    for switch in board.switches:
                        if vagueness(switch.kind) == level:
                            yield Change((Finding(switch.kind),), _turned(function, board, [switch]), i)
            return
        for i, (function, board) in enumerate(self.formulas):  # where there is an optimiser, it is the first suspect
            for switch in board.switches:
                if switch.kind == "gradient":
                    yield Change((Finding(switch.kind),), _turned(function, board, [switch]), i)
        for maker in self.arguments:
            yield Change((Finding(maker.kind, maker.about),), self.made(self.right, [maker]), None)
        for i, (function, board) in enumerate(self.formulas):
            for switch in board.switches:
                if not vagueness(switch.kind):
                    yield Change((Finding(switch.kind),), _turned(function, board, [switch]), i)
            for switches in board.alike():
                yield Change((Finding(switches[0].kind),), _turned(function, board, switches), i)

    def doubles(self) -> Iterator[Change]:
        """Every function with two of them changed, those of clear kinds alone; seldom ones at the end."""
        clear = [maker for maker in self.arguments if maker.kind not in SELDOM]
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
        yield from self._two_arguments(product(clear, seldom))

    def _two_arguments(self, pairs: Iterable[tuple[Maker, Maker]]) -> Iterator[Change]:
        for one, other in pairs:
            if one.about != other.about:
                findings = Finding(one.kind, one.about), Finding(other.kind, other.about)
                yield Change(findings, self.made(self.right, [one, other]), None)


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
            board.on = {}

    return changed


_formulas: dict[tuple[str, ...], list[tuple[Function, Board]]] = {}


def formulas(exercise: Exercise) -> list[tuple[Function, Board]]:
    """The right answers of an exercise, the oracle last, each with its board; made once."""
    key = (exercise.name, *exercise.alternatives)
    if key not in _formulas:
        _formulas[key] = []
        for function in (*exercise.alternatives.values(), *([exercise.oracle] if exercise.has_oracle else [])):
            with contextlib.suppress(OSError, SyntaxError, TypeError):  # no source at hand
                _formulas[key].append(switched(function))
    return _formulas[key]


# ---- what was asked


def _first_right(exercise: Exercise) -> Function:
    if exercise.alternatives:
        return next(iter(exercise.alternatives.values()))
    if not exercise.has_oracle:
        raise Unfit
    return exercise.oracle


def _questions(exercise: Exercise, exchanges: Sequence[Exchange]) -> list[Call | Scene]:
    """The exchanges as questions: calls by value each for itself, and all that hangs together by objects as one."""
    found: list[Call | Scene] = []
    joined: list[Exchange] = []
    for exchange in exchanges:
        request, alone = _request(exchange)
        if request["op"] == "elsewhere":  # no value is at stake
            continue
        if isinstance(request.get("target"), str) and request["target"] != exercise.name:
            continue
        if not alone:
            joined.append(exchange)
        elif request["op"] == "call" and not exchange.callbacks and not request.get("inputs") and request["plain"]:
            found.append(Call(request["args"], request["kwargs"], _value(exchange.reply), request.get("seed") or 0))
        elif not _untouched(request, exchange):
            found.append(_scene(exercise.name, (exchange,)))
    return [*found, _scene(exercise.name, tuple(joined))] if joined else found


def _request(exchange: Exchange) -> tuple[dict[str, Any], bool]:
    """A request, with "plain" where it holds values alone; and whether it stands by itself, without objects."""
    seen: list[Any] = []
    request = decode(exchange.request, lambda reference: seen.append(reference))
    objects: list[Any] = []
    decode(exchange.reply, lambda reference: objects.append(reference))
    alone = not objects and not any(isinstance(reference, Handle) for reference in seen)
    return {**request, "plain": not seen and not request.get("method")}, alone and "target" in request


def _scene(name: str, exchanges: tuple[Exchange, ...]) -> Scene:
    requests = [decode(exchange.request, lambda reference: None) for exchange in exchanges]
    first: dict[str, Any] = next((r for r in requests if r.get("target") == name and "args" in r), {})
    got = [_counted(exchange.request, _value(exchange.reply)) for exchange in exchanges]
    return Scene(name, exchanges, first.get("args", []), first.get("kwargs", {}), got)


def _value(reply: bytes) -> Any:
    """What a reply holds: its value, objects by their kind, or what was raised."""
    said = decode(reply, lambda reference: f"<{reference.kind}>" if isinstance(reference, Handle) else None)
    if not isinstance(said, dict):
        return Raised("")
    if "value" in said:
        return said["value"]
    error = said.get("error")
    return Raised(f"{error.get('type')}: {error.get('message')}" if isinstance(error, dict) else "")


def _untouched(request: dict[str, Any], exchange: Exchange) -> bool:
    """Whether an exchange asked for the arguments after a call, and they are as they were."""
    value = _value(exchange.reply)
    return bool(request.get("inputs")) and not isinstance(value, Raised) and not differs(value, request["args"])
