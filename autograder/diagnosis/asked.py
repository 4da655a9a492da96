"""The questions that a student was asked, as they can be put to any other function."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch

from ..exercise import Exercise
from ..sandbox.responder import Responder
from ..sandbox.wire import Callback, Handle, Source, WireError, decode
from .comparing import Raised, differs
from .schemata import TooLong
from .transcript import Elsewhere, Exchange

Function = Callable[..., Any]
ELSEWHERE = Raised("Elsewhere: ")  # something was asked that nobody answered
MORE = 4  # times as often as the student did may a function of the check's be asked


class Otherwise(BaseException):
    """A function of the check's was asked something else than the student asked."""


class Heard:
    """A function of the check's: whatever it is asked, it answers what it answered the student, in the same order, and
    after that its last answer again. So what is asked can be compared one by one. `asked` holds it; with `only`,
    anything else than that ends the call.
    """

    def __init__(self, number: int, answers: Sequence[Any]) -> None:
        self.number, self.answers = number, answers
        self.asked: list[list[Any]] = []
        self.only: Sequence[Any] | None = None

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        self.asked.append([_kept(value) for value in (*args, *kwargs.values())])
        count = len(self.asked)
        if self.only is not None and (count > len(self.only) or differs(self.only[count - 1], self.asked[-1])):
            raise Otherwise
        if not self.answers or count > MORE * len(self.answers):
            raise LookupError("nobody was asked that")
        return fresh(self.answers[min(count, len(self.answers)) - 1])


def _kept(value: Any) -> Any:
    return value.detach().clone() if isinstance(value, torch.Tensor) else value


def fresh(value: Any) -> Any:
    """A value that may be overwritten, or a function that has heard nothing yet."""
    if isinstance(value, Heard):
        return Heard(value.number, value.answers)
    return value.clone() if isinstance(value, torch.Tensor) else value


def answer(function: Function, given: dict[str, Any]) -> Any:
    """What a function gives; where it asked functions of the check's, after what it asked them."""
    given = {name: fresh(value) for name, value in given.items()}
    return told(function(**given), given.values())


def told(value: Any, given: Any) -> Any:
    """`value` after what the functions of the check's among the arguments were asked."""
    heard = [argument.asked for argument in given if isinstance(argument, Heard)]
    return [*heard, value] if heard else value


@dataclass(frozen=True, eq=False)
class Call:
    """One call of the student's function by value, or with functions of the check's: its arguments, what came back, and
    the seed of what is drawn.
    """

    args: list[Any]
    kwargs: dict[str, Any]
    got: Any
    seed: int = 0

    def put(self, function: Function, whole: bool = False) -> Any:
        """What `function` gives here. Unless asked for the `whole`, it ends where a function of the check's is asked
        something else than the student asked.
        """
        torch.default_generator.manual_seed(self.seed)
        args, kwargs = [*map(fresh, self.args)], {key: fresh(value) for key, value in self.kwargs.items()}
        heard = [value for value in (*args, *kwargs.values()) if isinstance(value, Heard)]
        if not whole and isinstance(self.got, list):
            for one, asked in zip(heard, self.got, strict=False):
                one.only = asked
        try:
            return told(function(*args, **kwargs), heard)
        except Exception as error:
            return Raised(f"{type(error).__name__}: {str(error)[:400]}")
        except (TooLong, Otherwise) as error:
            return Raised(f"{type(error).__name__}: ")

    @property
    def coarse(self) -> bool:
        """Whether something in single precision went in: a plain float that comes out has no more digits than that."""
        given = (*self.args, *self.kwargs.values())
        return any(isinstance(value, torch.Tensor) and value.dtype == torch.float32 for value in given)

    @property
    def length(self) -> int:
        """How many times the student asked functions of the check's."""
        heard = sum(isinstance(value, Heard) for value in (*self.args, *self.kwargs.values()))
        return sum(map(len, self.got[:heard])) if heard and isinstance(self.got, list) else 0


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

    @cached_property
    def several(self) -> set[int]:
        """Which of the exchanges are one message that holds several calls."""
        requests = [decode(exchange.request, lambda reference: None) for exchange in self.exchanges]
        return {i for i, request in enumerate(requests) if request.get("op") == "several"}

    @cached_property
    def methods(self) -> list[str]:
        """The methods that objects were asked for."""
        requests = [decode(exchange.request, lambda reference: None) for exchange in self.exchanges]
        return list(dict.fromkeys(r.get("method") or "forward" for r in requests if r.get("target") != self.name))

    def put(self, function: Function, whole: bool = False) -> list[Any]:
        """What `function` gives, up to the first reply that is another than the student's; there is no `whole` here."""
        host, said = _Host({self.name: function}), []
        for exchange, got in zip(self.exchanges, self.got, strict=True):
            try:
                said.append(_counted(exchange.request, _value(host.answer(exchange.request, exchange.server()))))
            except (Elsewhere, WireError):
                said.append(ELSEWHERE)
            if differs(got, said[-1]):
                break
        return said


class _Host(Responder):
    """Answers for a function that is only compared: where it runs is not asked, and what its parameters are called does
    not matter.
    """

    def _elsewhere(self, target: Any, args: list, method: str | None = None) -> None:
        return None

    def _load(self, target: torch.nn.Module, values: dict[str, torch.Tensor]) -> None:
        left, renamed = dict(values), {}
        for name, own in target.named_parameters():
            fitting = (other for other, value in left.items() if value.shape == own.shape)
            other = name if name in left and left[name].shape == own.shape else next(fitting, None)
            if other is not None:
                renamed[name] = left.pop(other)
        super()._load(target, renamed)


def _counted(frame: bytes, value: Any) -> Any:
    """A reply without what was asked of devices along with other things, and without the names of parameters."""
    if isinstance(value, dict) and all(item is None or isinstance(item, torch.Tensor) for item in value.values()):
        return sorted(value.values(), key=lambda item: (-1,) if item is None else tuple(item.shape))
    if not isinstance(value, list) or b"elsewhere" not in frame:
        return value
    asked = decode(frame, lambda reference: None).get("asked", value)
    pairs = zip(asked, value, strict=True)
    return [reply for one, reply in pairs if not (isinstance(one, dict) and one.get("op") == "elsewhere")]


def questions_of(exercise: Exercise, exchanges: Sequence[Exchange]) -> list[Call | Scene]:
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
        elif request["op"] == "call" and not request.get("inputs") and request["plain"]:
            found.append(_call(exchange, request))
        elif not _untouched(request, exchange):
            found.append(_scene(exercise.name, (exchange,)))
    return [*found, _scene(exercise.name, tuple(joined))] if joined else found


def _request(exchange: Exchange) -> tuple[dict[str, Any], bool]:
    """A request, with "plain" where it holds values and functions of the check's alone; and whether it stands by
    itself, without objects.
    """
    seen: list[Any] = []
    answers = _answers(exchange)

    def resolve(reference: Any) -> Any:
        seen.append(reference)
        if isinstance(reference, Source):
            return reference.run()
        return Heard(reference.id, (answers or {}).get(reference.id, [])) if isinstance(reference, Callback) else None

    request = decode(exchange.request, resolve)
    objects: list[Any] = []
    decode(exchange.reply, lambda reference: objects.append(reference))
    apart = not any(isinstance(reference, Handle) for reference in seen)
    plain = apart and answers is not None and not request.get("method")
    return {**request, "plain": plain}, not objects and apart and "target" in request


def _answers(exchange: Exchange) -> dict[int, list[Any]] | None:
    """What each function of the check's answered, in order; None where it was not by value each time."""
    found: dict[int, list[Any]] = {}
    for question, reply in exchange.callbacks:
        asked, answered = decode(question, lambda reference: None), _value(reply)
        if "grad" in asked or isinstance(answered, Raised):
            return None
        found.setdefault(asked["callback"], []).append(answered)
    return found


def _call(exchange: Exchange, request: dict[str, Any]) -> Call:
    """A call by value; its answer stands after what the functions of the check's were asked."""
    args, kwargs, got = request["args"], request["kwargs"], _value(exchange.reply)
    heard = [value for value in (*args, *kwargs.values()) if isinstance(value, Heard)]
    if heard and not isinstance(got, Raised):
        asked = [decode(question, lambda reference: None) for question, _ in exchange.callbacks]
        lists = [[[*q["args"], *q["kwargs"].values()] for q in asked if q["callback"] == one.number] for one in heard]
        got = [*lists, got]
    return Call(args, kwargs, got, request.get("seed") or 0)


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
