"""Wrong functions made of right ones from outside, by what goes in.

A maker changes what the right function is given. It knows the kind of mistake that it is, and fits only where there is
something to change: `t` in a batch of times, a table, two arguments of one shape. `results` does it to what comes out.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from itertools import permutations
from typing import Any

import torch

from .asking import of_asking
from .reshapes import RESHAPES
from .steps import of_steps

Arguments = dict[str, Any]


@dataclass(frozen=True)
class Maker:
    """`change` gives the changed arguments, or the changed result; `kind` and `about` say what mistake that is."""

    kind: str
    about: tuple[str, ...]
    change: Callable[[Any], Any]


class Unfit(Exception):
    """There is nothing here that this maker could change."""


def of_arguments(
    given: Arguments, words: Mapping[str, Collection[Any]], defaults: Arguments | None = None
) -> list[Maker]:
    """The makers that fit a call with these named arguments, the likeliest first. `words`: what else was handed over
    for an argument that is a word or a switch; `defaults`: what goes without saying.
    """
    fixed = [Maker("unused", (name,), _always(name, word)) for name in words for word in sorted(words[name])]
    mixed = [
        Maker(kind, (name,), _on(name, change(one, other)))
        for name in words
        for one, other in permutations(sorted(words[name]), 2)
        for kind, change in (("choices of", _mixed), ("choice of", _taken))
    ]
    exchanges = list(_exchanges(given))
    return [
        *_times(given),
        *_masks(given),
        *_together(given),
        *(maker for maker in exchanges if maker.kind == "exchanged"),
        *fixed,
        *mixed,
        *_tensors(given),
        *_reshaped(given),
        *_numbers(given),
        *(maker for maker in exchanges if maker.kind != "exchanged"),
        *(Maker(*made) for made in (*of_asking(given), *of_steps(given))),
        Maker("single", (), _singly),
        *_defaults(defaults or {}),
    ]


def _singly(given: Arguments) -> Arguments:
    """Every floating tensor rounded to single precision."""
    return {
        name: value.float().to(value.dtype) if isinstance(value, torch.Tensor) and value.is_floating_point() else value
        for name, value in given.items()
    }


def _always(name: str, word: Any) -> Callable[[Arguments], Arguments]:
    return lambda given: {**given, name: word}


def _mixed(one: Any, other: Any) -> Callable[[Any], Any]:
    """Two words or switches, each taken for the other."""
    return lambda word: {one: other, other: one}.get(word, word)


def _taken(one: Any, other: Any) -> Callable[[Any], Any]:
    """One word taken for another."""
    return lambda word: other if word == one else word


def _on(name: str, change: Callable[[Any], Any]) -> Callable[[Arguments], Arguments]:
    def changed(given: Arguments) -> Arguments:
        return {**given, name: change(given[name])} if name in given else given

    return changed


def at_least(bound: float) -> Callable[[Any], Any]:
    return lambda value: value.clamp(min=bound)


def _within(bound: float) -> Callable[[Any], Any]:
    return lambda value: value.clamp(-bound, bound)


def plus(constant: float) -> Callable[[Any], Any]:
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
                yield Maker("at least", (name,), _on(name, _risen))
                yield Maker("at most", (name,), _on(name, lambda t: t.clamp(max=int(t.max()) - 1)))


def _risen(value: torch.Tensor) -> torch.Tensor:
    """The smallest whole number, which is the same for all calls, taken for the next one."""
    return value.clamp(min=2 if bool((value > 0).all()) else 1)


def _masks(given: Arguments) -> Iterator[Maker]:
    for name, value in given.items():
        if isinstance(value, torch.Tensor) and value.dtype == torch.bool:
            yield Maker("turned", (name,), _on(name, torch.logical_not))
            yield Maker("unused", (name,), _on(name, torch.ones_like))
            yield Maker("unused", (name,), _on(name, torch.zeros_like))
            if value.ndim > 1:
                yield Maker("first of", (name,), _on(name, _first))


def _together(given: Arguments) -> Iterator[Maker]:
    """All times at once, as somebody has them who counts from 0."""
    names = [n for n, v in given.items() if is_times(v) or (isinstance(v, int) and not isinstance(v, bool))]
    if len(names) > 1:
        for kind, step in (("early", -1), ("late", 1)):
            yield Maker(kind, (" and ".join(names),), _shift(names, step))
    models = [
        name for name, value in given.items() if value is None or callable(value)
    ]  # a function of the check's, asked from afar
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


def _hard(value: torch.Tensor) -> torch.Tensor:
    """All weight on the largest entry of a row."""
    return torch.zeros_like(value).scatter(-1, value.argmax(-1, keepdim=True), 1.0)


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
            yield Maker("floor of", (name,), _on(name, at_least(small)))
            yield Maker("constant in", (name,), _on(name, plus(small)))
        for large in (10, 20, 30):
            yield Maker("clip of", (name,), _on(name, _within(large)))
        if value.ndim and len(value) > 1:
            yield Maker("first of", (name,), _on(name, _first))
            yield Maker("order", (name,), _on(name, lambda v: v.flip(0)))
            yield Maker("average of", (name,), _on(name, lambda v: v.mean(0, keepdim=True).expand(v.shape)))
        if value.ndim > 1:
            yield Maker("average of", (name,), _on(name, lambda v: v.mean(-1, keepdim=True).expand(v.shape)))
        yield Maker("one more", (name,), _on(name, lambda v: v + 1))
        yield Maker("one less", (name,), _on(name, lambda v: v - 1))
        if value.ndim > 1:
            yield Maker("one for all", (name,), _on(name, lambda v: v[-1:].expand(v.shape)))
            yield Maker("one for all", (name,), _on(name, lambda v: v[1:2].expand(v.shape)))
            yield Maker("order of axis", (name,), _on(name, lambda v: v.flip(-1)))
            yield Maker("order of axis", (name,), _on(name, lambda v: v.flip(1)))
        if value.ndim and value.shape[-1] > 1:
            yield Maker("hard", (name,), _on(name, _hard))
        if value.ndim > 1 and value.shape[-2] == value.shape[-1]:
            yield Maker("transpose of", (name,), _on(name, lambda v: v.mT))
            yield Maker("diagonal", (name,), _on(name, lambda v: v.diagonal(dim1=-2, dim2=-1).diag_embed()))
            yield Maker("inverse of", (name,), _on(name, torch.linalg.inv))
        if value.ndim == 1 and len(value) > 2:
            yield Maker("early table", (name,), _on(name, lambda v: torch.cat([v[:1], v[:-1]])))
            yield Maker("early table", (name,), _on(name, lambda v: v.roll(1)))
            yield Maker("late table", (name,), _on(name, lambda v: torch.cat([v[1:], v[-1:]])))
            yield Maker("running table", (name,), _on(name, lambda v: v.cumprod(0)))
            yield Maker("running table", (name,), _on(name, lambda v: 1 - (1 - v).cumprod(0)))
            yield Maker("running table", (name,), _on(name, lambda v: v.cumsum(0)))
            yield Maker("steps of table", (name,), _on(name, lambda v: torch.cat([v[:1], v[1:] / v[:-1]])))
            yield Maker("steps of table", (name,), _on(name, lambda v: torch.cat([0 * v[:1], 1 - v[1:] / v[:-1]])))
            yield Maker("order", (name,), _on(name, lambda v: v[:1].expand(v.shape)))
            yield Maker("order", (name,), _on(name, lambda v: v[-1:].expand(v.shape)))


def _reshaped(given: Arguments) -> Iterator[Maker]:
    """Data that were given another form, or drawn anew. What is drawn comes of the seed that goes along with a call."""
    for name, value in given.items():
        if isinstance(value, torch.Tensor) and value.is_floating_point() and value.ndim:
            for kind, change in RESHAPES:
                yield Maker(kind, (name,), _on(name, change))


def _numbers(given: Arguments) -> Iterator[Maker]:
    for name, value in given.items():
        if isinstance(value, bool) or not isinstance(value, int | float):
            continue
        if isinstance(value, int):
            yield Maker("early", (name,), _on(name, lambda v: v - 1))
            yield Maker("late", (name,), _on(name, lambda v: v + 1))
            yield Maker("unused", (name,), _on(name, lambda v: 0))
            yield Maker("unused", (name,), _on(name, lambda v: -1))
            yield Maker("unused", (name,), _on(name, lambda v: 1))
            yield Maker("at least", (name,), _on(name, lambda v: max(v, 1)))
            continue
        yield Maker("one more", (name,), _on(name, lambda v: v + 1))
        yield Maker("one less", (name,), _on(name, lambda v: v - 1))
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


def _defaults(defaults: Arguments) -> Iterator[Maker]:
    """Another number where nothing is said."""
    for name, value in defaults.items():
        if isinstance(value, int | float) and not isinstance(value, bool):
            for other in (value + 1, value - 1, 2 * value, value / 2, 10 * value, value / 10):
                if type(other) is type(value):
                    yield Maker("default of", (name,), _on(name, _else(value, other)))


def _else(value: float, other: float) -> Callable[[Any], Any]:
    return lambda given: other if given == value else given


def _exchange(one: str, other: str) -> Callable[[Arguments], Arguments]:
    return lambda given: {**given, one: given[other], other: given[one]}


def _replace(one: str, other: str) -> Callable[[Arguments], Arguments]:
    return lambda given: {**given, other: given[one]}


def _joined(one: str, other: str, how: Callable[[Any, Any], Any]) -> Callable[[Arguments], Arguments]:
    """Two arguments together in the place of the first of them, whose form stays."""

    def changed(given: Arguments) -> Arguments:
        value = how(given[one], given[other])
        if isinstance(value, torch.Tensor) and value.shape != given[one].shape:
            raise Unfit
        return {**given, one: value}

    return changed


def _exchanges(given: Arguments) -> Iterator[Maker]:
    names = list(given)
    for i, one in enumerate(names):
        for other in names[i + 1 :]:
            a, b = given[one], given[other]
            tensors = isinstance(a, torch.Tensor) and isinstance(b, torch.Tensor) and a.dtype == b.dtype
            plain = type(a) is type(b) and isinstance(a, int | float) and not isinstance(a, bool)
            if tensors or plain:
                yield Maker("exchanged", (one, other), _exchange(one, other))
                if a.is_floating_point() if tensors else isinstance(a, float):
                    for first, second in ((one, other), (other, one)):
                        yield Maker("times", (first, second), _joined(first, second, operator.mul))
                        yield Maker("divided by", (first, second), _joined(first, second, operator.truediv))
                        yield Maker("plus", (first, second), _joined(first, second, operator.add))
                        yield Maker("minus", (first, second), _joined(first, second, operator.sub))
                if (tensors and a.shape == b.shape) or plain:
                    yield Maker("in place of", (one, other), _replace(one, other))
                    yield Maker("in place of", (other, one), _replace(other, one))


def named(names: tuple[str, ...], args: list[Any], kwargs: Mapping[str, Any]) -> Arguments:
    """A call's arguments by name; raises Unfit where there are more than names."""
    if len(args) > len(names):
        raise Unfit
    return {**dict(zip(names, args, strict=False)), **kwargs}
