"""Wrong functions made of right ones from outside, by what is done to the result."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import permutations
from typing import Any

import torch

from .asked import Heard
from .kinds import Finding
from .makers import Arguments, Unfit, at_least, plus

LN2, LN10 = math.log(2.0), math.log(10.0)


@dataclass(frozen=True)
class ResultMaker:
    """`change(value, given)` gives the changed result; `undo` what the result was before, where that can be told."""

    kind: str
    change: Callable[[Any, Arguments], Any]
    undo: Callable[[torch.Tensor], torch.Tensor] | None = None
    alone: bool = False  # whether it is not looked for beside another change
    about: tuple[str, ...] = ()

    @property
    def finding(self) -> Finding:
        """What mistake it is."""
        return Finding(self.kind, self.about)


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
    ("bent result", lambda v: v.sigmoid(), None),
    ("bent result", lambda v: v.tanh(), None),
    ("bent result", lambda v: torch.nn.functional.silu(v), None),
    ("bent result", lambda v: torch.nn.functional.softplus(v), None),
    ("rounded result", lambda v: v.round(), None),
    ("base ten", lambda v: v / LN10, None),
    ("base ten", lambda v: v * LN2 / LN10, lambda s: s * LN10 / LN2),
    ("decibels", lambda v: 10 * v / LN10, None),
    ("halves exchanged", lambda v: _halves(v).flip(-2).flatten(-2), None),
    ("order of the result", lambda v: _halves(v).mT.flatten(-2), None),
    ("order of the result", lambda v: v.flip(-1), None),
)
# Not looked for beside another change.
FORMS: tuple[tuple[str, Change, Change | None], ...] = (
    ("summed away", lambda v: v.sum(-1), None),
    ("averaged away", lambda v: v.mean(-1), None),
    ("summed away", lambda v: v.sum(0), None),
    ("averaged away", lambda v: v.mean(0), None),
    ("summed away", lambda v: v.flatten(1).sum(1), None),
    ("averaged away", lambda v: v.flatten(1).mean(1), None),
    ("last of the result", lambda v: v[-1], None),
    ("first alone", lambda v: v[0], None),
    ("axes of the result", lambda v: v.transpose(0, 1), None),
    ("axes of the result", lambda v: v.transpose(1, 2), None),
    ("axes of the result", lambda v: v.movedim(1, -1), None),
    ("axes of the result", lambda v: v.movedim(-1, 0), None),
    ("axes of the result", lambda v: v.transpose(-1, -2).reshape(v.shape), None),
    ("axes of the result", lambda v: v.transpose(0, 1).reshape(v.shape), None),
    ("short result", lambda v: v[:, 1:], None),
    ("short result", lambda v: v[:, :-1], None),
    ("long result", lambda v: torch.cat([v, v[-1:]]), None),
    ("long result", lambda v: torch.cat([0 * v[:1], v]), None),
    ("early result", lambda v: v.roll(1, 0), None),
    ("late result", lambda v: v.roll(-1, 0), None),
    ("early result", lambda v: v.roll(1, -1), None),
    ("late result", lambda v: v.roll(-1, -1), None),
    ("order of the result", lambda v: v.flip(1), None),
    ("running result", lambda v: v.cumsum(-1), None),
    ("normalised result", lambda v: v / v.sum(0), None),
    ("normalised result", lambda v: v / v.sum(-1, keepdim=True), None),
    ("normalised result", lambda v: v.softmax(-1), None),
    ("average of the result", lambda v: v.mean(0, keepdim=True).expand(v.shape), None),
    ("average over the event", lambda v: v.mean(-1, keepdim=True).expand(v.shape), None),
    ("hard result", lambda v: _largest(v, -1), None),
    ("hard result", lambda v: _largest(v, 0), None),
    ("diagonal of the result", lambda v: v.diagonal(dim1=-2, dim2=-1).diag_embed(), None),
    ("negated logarithm", lambda v: -v.log(), None),
    ("negated logarithm", lambda v: (-v).exp(), None),
    ("complement of the exponential", lambda v: 1 - v.exp(), None),
)
PAIRED, PAIRED_PARTS = 14, 3  # of `SIMPLE`, and of the parts, those that are looked for beside another change
DIFFERENT = 10  # counts that are tried, one for another
PARTS = 4  # of a tuple that comes back, whose parts are changed one by one
SMALL = (1e-12, 1e-10, 1e-9, 1e-8, 1e-7, 1e-6, 1e-5, 1e-4, 1e-3)
LARGE = (0.999, 10.0, 20.0, 30.0, 100.0)
COUNTS: dict[str, Callable[[torch.Size], float]] = {
    "over the event": lambda shape: math.prod(shape[1:]),
    "over the batch": lambda shape: shape[0],
    "over everything": math.prod,
    "but one": lambda shape: (shape[0] - 1) / shape[0],
}


def _at_most(bound: float) -> Change:
    return lambda value: value.clamp(max=bound)


def of_results() -> list[ResultMaker]:
    """The makers of results, the likeliest first; one that does not fit raises, or changes nothing."""
    found = [ResultMaker(kind, _whole(change), undo) for kind, change, undo in SIMPLE]
    for kind, count in COUNTS.items():
        found.append(ResultMaker(f"mean {kind}", _counted(count, 1)))
        found.append(ResultMaker(f"sum {kind}", _counted(count, -1)))
    for small in SMALL:
        found.append(ResultMaker("floor of the result", _whole(at_least(small))))
        found.append(ResultMaker("constant in the result", _whole(plus(small))))
    found += [ResultMaker("clip of the result", _whole(_at_most(large))) for large in LARGE]
    found.append(ResultMaker("parts exchanged", _reordered))
    found += [ResultMaker("counted", _recounted(*both), alone=True) for both in permutations(range(DIFFERENT), 2)]
    found += [ResultMaker(kind, _whole(change), alone=True) for kind, change, _ in FORMS]
    for part in range(PARTS):
        for i, (kind, change, _) in enumerate((*SIMPLE, *FORMS)):
            found.append(ResultMaker(kind, _one_part(change, part), alone=part >= PAIRED_PARTS or i >= PAIRED))
    return found


def _largest(value: torch.Tensor, axis: int) -> torch.Tensor:
    """One where a row is largest, nothing elsewhere."""
    if value.ndim < 2:
        raise Unfit
    return torch.zeros_like(value).scatter(axis, value.argmax(axis, keepdim=True), 1.0)


def _halves(value: torch.Tensor) -> torch.Tensor:
    if not value.ndim or value.shape[-1] % 2 or value.shape[-1] < 4:
        raise Unfit
    return value.unflatten(-1, (2, -1))


def change_result(result: ResultMaker, value: Any, given: Arguments) -> Any:
    """The result changed, after what functions of the check's were asked."""
    heard = sum(isinstance(argument, Heard) for argument in given.values())
    if heard and isinstance(value, list):
        return [*value[:heard], result.change(value[heard], given)]
    return result.change(value, given)


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


def _recounted(one: int, other: int) -> Callable[[Any, Arguments], Any]:
    """Multiplied by one count of the arguments' entries, examples or places that are True, and divided by another."""

    def changed(value: Any, given: Arguments) -> Any:
        found = _counts(given)
        if max(one, other) >= len(found) or not found[other] or found[one] == found[other]:
            raise Unfit
        return _whole(lambda v: v * found[one] / found[other])(value, given)

    return changed


def _counts(given: Arguments) -> list[float]:
    """What may be counted: one first; then of every tensor, masks before others, its True entries, its
    rows with some, its size, examples, and the size of an example."""
    found, tensors = [1.0], [value for value in given.values() if isinstance(value, torch.Tensor) and value.ndim]
    for value in sorted(tensors, key=lambda value: value.dtype != torch.bool):
        if value.dtype == torch.bool:
            found += [float(value.sum()), float((~value).sum()), float(value.reshape(len(value), -1).any(1).sum())]
        found += [float(value.numel()), float(len(value)), value.numel() / max(len(value), 1)]
    return found


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
