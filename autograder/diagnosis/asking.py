"""Wrong functions made of right ones that ask a function of the check's: it is asked something else, or its answer is
taken for another.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import permutations
from typing import Any

import torch

Function = Callable[..., Any]
Arguments = dict[str, Any]
Made = tuple[str, tuple[str, ...], Callable[[Arguments], Arguments]]  # kind, what it is about, the change
PLACES = 3  # of what such a function takes
ANSWERS: tuple[tuple[str, Callable[[torch.Tensor], torch.Tensor]], ...] = (
    ("answer's sign", lambda v: -v),
    ("answer's double", lambda v: 2 * v),
    ("answer's half", lambda v: v / 2),
    ("answer unused", torch.zeros_like),
    ("answer unused", torch.ones_like),
    ("answer clipped", lambda v: v.clamp(-1, 1)),
    ("answer clipped", lambda v: v.clamp(min=0)),
    ("answer clipped", lambda v: v.clamp(0, 1)),
    ("answer bent", torch.sigmoid),
    ("answer bent", torch.tanh),
    ("answer's root", torch.square),
    ("answer's root", torch.sqrt),
    ("answer's logarithm", torch.exp),
    ("answer's logarithm", torch.log),
    ("answer averaged", lambda v: v.mean().expand(v.shape)),
    ("answer averaged", lambda v: v.mean(0, keepdim=True).expand(v.shape)),
)


def answered(change: Callable[[torch.Tensor], torch.Tensor]) -> Callable[[Function], Function]:
    """A function whose answers are changed."""

    def changed(function: Function) -> Function:
        def asked(*args: Any) -> Any:
            value = function(*args)
            if isinstance(value, tuple):
                return tuple(map(change, value))
            return change(value)

        return asked

    return changed


def once(function: Function) -> Function:
    """Asked once, and taken for the answer ever after."""
    kept: list[Any] = []

    def asked(*args: Any) -> Any:
        if not kept:
            kept.append(function(*args))
        return kept[0]

    return asked


def turned(function: Function) -> Function:
    """Asked with its first two arguments in each other's place."""
    return lambda one, two, *more: function(two, one, *more)


def last_turned(function: Function) -> Function:
    """Asked with its last two arguments in each other's place."""

    def asked(*args: Any) -> Any:
        *first, one, two = args
        return function(*first, two, one)

    return asked


def with_first(place: int) -> Callable[[Function], Function]:
    """Asked with the first example's entry for all of them."""

    def changed(function: Function) -> Function:
        def asked(*args: Any) -> Any:
            given = list(args)
            given[place] = given[place][:1].expand(given[place].shape)
            return function(*given)

        return asked

    return changed


def without_last(function: Function) -> Function:
    """Not told the last of what it takes."""
    return lambda *args: function(*args[:-1])


def with_another(value: Any, place: int) -> Callable[[Function], Function]:
    """Asked with an argument of the exercise's in one place, where that has the same form."""

    def changed(function: Function) -> Function:
        def asked(*args: Any) -> Any:
            given = list(args)
            if not isinstance(given[place], torch.Tensor) or given[place].shape != value.shape:
                raise TypeError("of another form")
            given[place] = value
            return function(*given)

        return asked

    return changed


WAYS: tuple[tuple[str, Callable[[Function], Function]], ...] = (
    ("asked exchanged", turned),
    ("asked exchanged", last_turned),
    ("asked once", once),
    ("asked with one", with_first(0)),
    ("asked with one", with_first(1)),
    ("unused in asking", without_last),
)


def of_asking(given: Arguments) -> Iterator[Made]:
    """The changes that fit a call with these arguments, some of them functions of the check's."""
    data = [name for name, value in given.items() if isinstance(value, torch.Tensor) and value.ndim]
    for name in [name for name, value in given.items() if value is None or callable(value)]:
        for kind, change in (*WAYS, *((kind, answered(after)) for kind, after in ANSWERS)):
            yield kind, (name,), _changed(name, change)
        for one, other in permutations(data, 2):
            if given[one].is_floating_point() and given[one].shape == given[other].shape:
                yield "compared with", (name, one, other), _compared(name, one, other)
        for other in data:
            for place in range(PLACES):
                yield "asked with", (name, other), _asked_with(name, other, place)


def _changed(name: str, change: Callable[[Function], Function]) -> Callable[[Arguments], Arguments]:
    return lambda given: {**given, name: change(given[name])} if name in given else given


def _compared(name: str, one: str, other: str) -> Callable[[Arguments], Arguments]:
    """What a function answers moved so that comparing it with `other` is to compare it with `one`."""

    def change(given: Arguments) -> Arguments:
        moved = given[other] - given[one]
        return {**given, name: answered(lambda value: value + moved)(given[name])}

    return change


def _asked_with(name: str, other: str, place: int) -> Callable[[Arguments], Arguments]:
    return lambda given: {**given, name: with_another(given[other], place)(given[name])}
