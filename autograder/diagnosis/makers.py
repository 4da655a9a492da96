"""Wrong functions made of right ones from outside: by what goes in, or by what is done to the result.

A maker of arguments changes what the right function is given; one of results, what it gave. Each knows the kind of
mistake that it is, and fits only where there is something to change: `t` in a batch of times, a table, two arguments of
one shape.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch

Arguments = dict[str, Any]
LN2 = math.log(2.0)


@dataclass(frozen=True)
class Maker:
    """`change` gives the changed arguments, or the changed result; `kind` and `about` say what mistake that is."""

    kind: str
    about: tuple[str, ...]
    change: Callable[[Any], Any]


class Unfit(Exception):
    """There is nothing here that this maker could change."""


# ---- what goes in


def of_arguments(given: Arguments, words: Mapping[str, Collection[Any]]) -> list[Maker]:
    """The makers that fit a call with these named arguments, the likeliest first. `words`: what else was handed over
    for an argument that is a word or a switch.
    """
    fixed = [Maker("unused", (name,), _always(name, word)) for name in words for word in sorted(words[name])]
    return [
        *_times(given),
        *_together(given),
        *fixed,
        *_tensors(given),
        *_numbers(given),
        *_exchanges(given),
        Maker("single", (), _singly),
    ]


def _singly(given: Arguments) -> Arguments:
    """Every floating tensor rounded to single precision."""
    return {
        name: value.float().to(value.dtype) if isinstance(value, torch.Tensor) and value.is_floating_point() else value
        for name, value in given.items()
    }


def _always(name: str, word: Any) -> Callable[[Arguments], Arguments]:
    return lambda given: {**given, name: word}


def _on(name: str, change: Callable[[Any], Any]) -> Callable[[Arguments], Arguments]:
    def changed(given: Arguments) -> Arguments:
        return {**given, name: change(given[name])} if name in given else given

    return changed


def _at_least(bound: float) -> Callable[[Any], Any]:
    return lambda value: value.clamp(min=bound)


def _at_most(bound: float) -> Callable[[Any], Any]:
    return lambda value: value.clamp(max=bound)


def _within(bound: float) -> Callable[[Any], Any]:
    return lambda value: value.clamp(-bound, bound)


def _plus(constant: float) -> Callable[[Any], Any]:
    return lambda value: value + constant


def is_times(value: Any) -> bool:
    """Whether an argument is a batch of times, or one."""
    return isinstance(value, torch.Tensor) and not value.is_floating_point() and value.dtype != torch.bool


def _times(given: Arguments) -> Iterator[Maker]:
    for name, value in given.items():
        if is_times(value):
            yield Maker("early", (name,), _on(name, lambda t: t - 1))
            yield Maker("late", (name,), _on(name, lambda t: t + 1))
            if value.ndim == 1 and len(value) > 1:
                yield Maker("one time", (name,), _on(name, _first))
                yield Maker("one time", (name,), _on(name, lambda t: t.max().expand(t.shape)))
                yield Maker("one time", (name,), _on(name, lambda t: t[-1:].expand(t.shape)))
                yield Maker("order", (name,), _on(name, lambda t: t.flip(0)))


def _together(given: Arguments) -> Iterator[Maker]:
    """All times at once, as somebody has them who counts from 0."""
    names = [n for n, v in given.items() if is_times(v) or (isinstance(v, int) and not isinstance(v, bool))]
    if len(names) > 1:
        for kind, step in (("early", -1), ("late", 1)):
            yield Maker(kind, (" and ".join(names),), _shift(names, step))
    models = [name for name, value in given.items() if value is None]  # a function of the check's, asked from afar
    lengths = [len(v) for v in given.values() if isinstance(v, torch.Tensor) and v.ndim == 1]
    rows = [n for n, v in given.items() if isinstance(v, torch.Tensor) and v.ndim > 1 and len(v) in lengths]
    for name in models:
        for kind, step in (("asked early", -1), ("asked late", 1)):
            yield Maker(kind, (name,), _on(name, _asked(step)))
            for row in rows:
                both = _then(_on(name, _asked(step)), _on(row, _rolled(-step)))
                yield Maker("early" if step < 0 else "late", (f"{name} and {row}",), both)
    for row in rows:
        for kind, step in (("early", 1), ("late", -1)):
            yield Maker(kind, (row,), _on(row, _rolled(step)))


def _asked(step: int) -> Callable[[Any], Any]:
    """A function of (x, t) asked at another time."""
    return lambda function: lambda x, t, *more: function(x, t + step, *more)


def _rolled(step: int) -> Callable[[Any], Any]:
    return lambda value: value.roll(step, 0)


def _then(one: Callable[[Arguments], Arguments], other: Callable[[Arguments], Arguments]) -> Callable[..., Arguments]:
    return lambda given: other(one(given))


def _shift(names: list[str], step: int) -> Callable[[Arguments], Arguments]:
    return lambda given: {**given, **{name: given[name] + step for name in names if name in given}}


def _first(value: torch.Tensor) -> torch.Tensor:
    return value[:1].expand(value.shape)


def _tensors(given: Arguments) -> Iterator[Maker]:
    for name, value in given.items():
        if not isinstance(value, torch.Tensor) or not value.is_floating_point():
            continue
        yield Maker("sign of", (name,), _on(name, torch.neg))
        yield Maker("half of", (name,), _on(name, lambda v: v / 2))
        yield Maker("twice", (name,), _on(name, lambda v: 2 * v))
        yield Maker("root of", (name,), _on(name, torch.sqrt))
        yield Maker("square of", (name,), _on(name, torch.square))
        yield Maker("exp of", (name,), _on(name, torch.exp))
        yield Maker("log of", (name,), _on(name, torch.log))
        yield Maker("unused", (name,), _on(name, torch.zeros_like))
        yield Maker("unused", (name,), _on(name, torch.ones_like))
        yield Maker("inverse of", (name,), _on(name, torch.reciprocal))
        yield Maker("rest of", (name,), _on(name, lambda v: 1 - v))
        yield Maker("size of", (name,), _on(name, torch.abs))
        yield Maker("clip of", (name,), _on(name, lambda v: v.clamp(-1, 1)))
        yield Maker("clip of", (name,), _on(name, lambda v: v.clamp(0, 1)))
        for small in (1e-12, 1e-10, 1e-8, 1e-7, 1e-6, 1e-5, 1e-4, 1e-3):
            yield Maker("floor of", (name,), _on(name, _at_least(small)))
            yield Maker("constant in", (name,), _on(name, _plus(small)))
        for large in (10, 20, 30):
            yield Maker("clip of", (name,), _on(name, _within(large)))
        if value.ndim and len(value) > 1:
            yield Maker("first of", (name,), _on(name, _first))
            yield Maker("order", (name,), _on(name, lambda v: v.flip(0)))
            yield Maker("average of", (name,), _on(name, lambda v: v.mean(0, keepdim=True).expand(v.shape)))
        if value.ndim > 1:
            yield Maker("average of", (name,), _on(name, lambda v: v.mean(-1, keepdim=True).expand(v.shape)))
        if value.ndim == 2 and value.shape[0] == value.shape[1]:
            yield Maker("transpose of", (name,), _on(name, lambda v: v.mT))
        if value.ndim == 1 and len(value) > 2:
            yield Maker("early table", (name,), _on(name, lambda v: torch.cat([v[:1], v[:-1]])))
            yield Maker("early table", (name,), _on(name, lambda v: v.roll(1)))
            yield Maker("late table", (name,), _on(name, lambda v: torch.cat([v[1:], v[-1:]])))
            yield Maker("running table", (name,), _on(name, lambda v: v.cumprod(0)))
            yield Maker("steps of table", (name,), _on(name, lambda v: torch.cat([v[:1], v[1:] / v[:-1]])))
            yield Maker("steps of table", (name,), _on(name, lambda v: torch.cat([0 * v[:1], 1 - v[1:] / v[:-1]])))
            yield Maker("order", (name,), _on(name, lambda v: v[:1].expand(v.shape)))
            yield Maker("order", (name,), _on(name, lambda v: v[-1:].expand(v.shape)))


def _numbers(given: Arguments) -> Iterator[Maker]:
    for name, value in given.items():
        if isinstance(value, bool) or not isinstance(value, int | float):
            continue
        if isinstance(value, int):
            yield Maker("early", (name,), _on(name, lambda v: v - 1))
            yield Maker("late", (name,), _on(name, lambda v: v + 1))
            yield Maker("unused", (name,), _on(name, lambda v: 0))
            yield Maker("unused", (name,), _on(name, lambda v: -1))
            continue
        yield Maker("sign of", (name,), _on(name, lambda v: -v))
        yield Maker("half of", (name,), _on(name, lambda v: v / 2))
        yield Maker("twice", (name,), _on(name, lambda v: 2 * v))
        yield Maker("root of", (name,), _on(name, lambda v: v**0.5 if v >= 0 else math.nan))
        yield Maker("square of", (name,), _on(name, lambda v: v * v))
        yield Maker("unused", (name,), _on(name, lambda v: 1.0))
        yield Maker("unused", (name,), _on(name, lambda v: 0.0))
        yield Maker("inverse of", (name,), _on(name, lambda v: 1 / v if v else math.inf))
        yield Maker("rest of", (name,), _on(name, lambda v: 1 - v))
        yield Maker("exp of", (name,), _on(name, lambda v: math.exp(min(v, 700.0))))
        yield Maker("log of", (name,), _on(name, lambda v: math.log(v) if v > 0 else math.nan))


def _exchange(one: str, other: str) -> Callable[[Arguments], Arguments]:
    return lambda given: {**given, one: given[other], other: given[one]}


def _replace(one: str, other: str) -> Callable[[Arguments], Arguments]:
    return lambda given: {**given, other: given[one]}


def _exchanges(given: Arguments) -> Iterator[Maker]:
    names = list(given)
    for i, one in enumerate(names):
        for other in names[i + 1 :]:
            a, b = given[one], given[other]
            tensors = isinstance(a, torch.Tensor) and isinstance(b, torch.Tensor) and a.dtype == b.dtype
            plain = type(a) is type(b) and isinstance(a, int | float) and not isinstance(a, bool)
            if tensors or plain:
                yield Maker("exchanged", (one, other), _exchange(one, other))
                if (tensors and a.shape == b.shape) or plain:
                    yield Maker("in place of", (one, other), _replace(one, other))
                    yield Maker("in place of", (other, one), _replace(other, one))


# ---- what comes out


@dataclass(frozen=True)
class ResultMaker:
    """`change(value, given)` gives the changed result; `undo` what the result was before, where that can be told."""

    kind: str
    change: Callable[[Any, Arguments], Any]
    undo: Callable[[torch.Tensor], torch.Tensor] | None = None


Change = Callable[[torch.Tensor], torch.Tensor]
SIMPLE: tuple[tuple[str, Change, Change | None], ...] = (
    ("twice the result", lambda v: 2 * v, lambda s: s / 2),
    ("half the result", lambda v: v / 2, lambda s: 2 * s),
    ("sign of the result", lambda v: -v, lambda s: -s),
    ("square of the result", lambda v: v * v, None),
    ("root of the result", lambda v: v.sqrt(), lambda s: s * s),
    ("inverse of the result", lambda v: 1 / v, lambda s: 1 / s),
    ("exp of the result", lambda v: v.exp(), lambda s: s.log()),
    ("log of the result", lambda v: v.log(), lambda s: s.exp()),
    ("bits", lambda v: v / LN2, lambda s: s * LN2),
    ("nats", lambda v: v * LN2, lambda s: s / LN2),
    ("rest of the result", lambda v: 1 - v, lambda s: 1 - s),
    ("size of the result", lambda v: v.abs(), None),
    ("one added", lambda v: v + 1, lambda s: s - 1),
    ("one taken away", lambda v: v - 1, lambda s: s + 1),
    ("average", lambda v: v.mean(), None),
    ("total", lambda v: v.sum(), None),
    ("average of the result", lambda v: v.mean().expand(v.shape), None),
    ("floor of the result", lambda v: v.clamp(min=0.0), None),
    ("clip of the result", lambda v: v.clamp(-1, 1), None),
    ("clip of the result", lambda v: v.clamp(0, 1), None),
    ("clip of the result", lambda v: v.clamp(max=0.0), None),
    ("single precision", lambda v: v.float(), None),
    ("double precision", lambda v: v.double(), None),
    ("single precision", lambda v: v.float().to(v.dtype), None),
    ("order of the result", lambda v: v.flip(0), None),
    ("order of the result", lambda v: v.mT, None),
    ("running result", lambda v: v.cumsum(0), None),
    ("running result", lambda v: v.cumprod(0), None),
    ("early result", lambda v: torch.cat([v[:1], v[:-1]]), None),
    ("late result", lambda v: torch.cat([v[1:], v[-1:]]), None),
    ("short result", lambda v: v[1:], None),
    ("short result", lambda v: v[:-1], None),
    ("long result", lambda v: torch.cat([v[:1], v]), None),
    ("first of the result", lambda v: v[:1].expand(v.shape), None),
    ("form of the result", lambda v: v.unsqueeze(-1), None),
    ("form of the result", lambda v: v.unsqueeze(0), None),
    ("form of the result", lambda v: v.squeeze(-1), None),
    ("form of the result", lambda v: v.flatten(), None),
    ("form of the result", lambda v: v.unsqueeze(1), None),
    ("normalised result", lambda v: v / v.sum(), None),
)
SMALL = (1e-12, 1e-10, 1e-9, 1e-8, 1e-7, 1e-6, 1e-5, 1e-4, 1e-3)
LARGE = (0.999, 10.0, 20.0, 30.0, 100.0)
COUNTS: dict[str, Callable[[torch.Size], float]] = {
    "over the event": lambda shape: math.prod(shape[1:]),
    "over the batch": lambda shape: shape[0],
    "over everything": math.prod,
    "but one": lambda shape: (shape[0] - 1) / shape[0],
}


def of_results() -> list[ResultMaker]:
    """The makers of results, the likeliest first; one that does not fit raises, or changes nothing."""
    found = [ResultMaker(kind, _whole(change), undo) for kind, change, undo in SIMPLE]
    for kind, count in COUNTS.items():
        found.append(ResultMaker(f"mean {kind}", _counted(count, 1)))
        found.append(ResultMaker(f"sum {kind}", _counted(count, -1)))
    for small in SMALL:
        found.append(ResultMaker("floor of the result", _whole(_at_least(small))))
        found.append(ResultMaker("constant in the result", _whole(_plus(small))))
    found += [ResultMaker("clip of the result", _whole(_at_most(large))) for large in LARGE]
    found.append(ResultMaker("parts exchanged", _reordered))
    for part in range(3):
        for kind, change, _ in SIMPLE[:14]:
            found.append(ResultMaker(kind, _one_part(change, part)))
    return found


def _whole(change: Change) -> Callable[[Any, Arguments], Any]:
    def changed(value: Any, given: Arguments) -> Any:
        if isinstance(value, list | tuple):
            return type(value)(_apply(change, part) for part in value)
        return _apply(change, value)

    return changed


def _one_part(change: Change, part: int) -> Callable[[Any, Arguments], Any]:
    def changed(value: Any, given: Arguments) -> Any:
        if not isinstance(value, tuple) or part >= len(value):
            raise Unfit
        return tuple(_apply(change, item) if i == part else item for i, item in enumerate(value))

    return changed


def _counted(count: Callable[[torch.Size], float], sign: int) -> Callable[[Any, Arguments], Any]:
    """Divided (or, with sign -1, multiplied) by a count of the entries of the largest data among the arguments."""

    def changed(value: Any, given: Arguments) -> Any:
        data = [v.shape for v in given.values() if isinstance(v, torch.Tensor) and v.ndim > 1]
        if not data or not isinstance(value, torch.Tensor | float):
            raise Unfit
        return value / count(max(data, key=len)) ** sign

    return changed


def _reordered(value: Any, given: Arguments) -> Any:
    if not isinstance(value, tuple) or len(value) != 2:
        raise Unfit
    return value[1], value[0]


def _apply(change: Change, value: Any) -> Any:
    if isinstance(value, float | int) and not isinstance(value, bool):
        return float(change(torch.tensor(float(value), dtype=torch.float64)))
    if not isinstance(value, torch.Tensor) or not value.is_floating_point():
        raise Unfit
    return change(value)


def named(names: tuple[str, ...], args: list[Any], kwargs: Mapping[str, Any]) -> Arguments:
    """A call's arguments by name; raises Unfit where there are more than names."""
    if len(args) > len(names):
        raise Unfit
    return {**dict(zip(names, args, strict=False)), **kwargs}
