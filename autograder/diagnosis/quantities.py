"""The quantities that stand in right formulas: their values in one call, and calls cut down to a few numbers."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from ..difference import TOLERANCE
from .asked import answer
from .comparing import apart
from .makers import Arguments, Unfit
from .schemata import Board, TooLong

Function = Callable[..., Any]
Tensor = torch.Tensor
MOST_TIMES = 64  # of a step in a loop
EXAMPLES = 2  # that a call is cut to

# What of a quantity may be the x of a pair.
FORMS: tuple[Callable[[Tensor], Tensor], ...] = (
    lambda x: x,
    lambda x: 1 - x,
    lambda x: x.sqrt(),
    lambda x: x * x,
    lambda x: 1 / x,
)


@dataclass(frozen=True)
class Step:
    """What a step of a formula gave; `times` is how often it was made, 0 for once and for all."""

    value: Tensor
    times: int


Trace = dict[int, Step]


@dataclass(frozen=True)
class Quantity:
    """Something that stands in a right formula: an argument, a step of one, a number; in one of `FORMS`."""

    formula: int | None
    key: int | str | float
    form: int = 0
    over: Quantity | None = None  # divided by

    @property
    def formulas(self) -> set[int | None]:
        """The formulas it is taken from."""
        return {self.formula} | (self.over.formulas if self.over else set())

    def value(self, given: Arguments, traces: Sequence[Trace]) -> Tensor:
        """What it is for these arguments. Raises Unfit where it is not there."""
        if self.formula is not None:
            step = traces[self.formula].get(self.key)  # type: ignore[arg-type]
            found = step and step.value
        else:
            found = given.get(self.key) if isinstance(self.key, str) else torch.tensor(self.key, dtype=torch.float64)
        if isinstance(found, float):
            found = torch.tensor(found, dtype=torch.float64)
        if not isinstance(found, Tensor) or not found.is_floating_point():
            raise Unfit
        found = FORMS[self.form](found)
        if self.over is None:
            return found
        below = self.over.value(given, traces)
        return found / aligned(below, found.shape)


def aligned(value: Tensor, shape: torch.Size) -> Tensor:
    """`value` as it meets a tensor of this shape: one number for each example goes along the first axis. Raises Unfit
    where it cannot.
    """
    if value.ndim == 1 and len(shape) > 1 and len(value) == shape[0]:
        value = value.reshape(-1, *[1] * (len(shape) - 1))
    elif value.ndim > 1 and len(shape) and len(value) == shape[0]:
        if value.numel() == len(value):
            value = value.reshape(-1, *[1] * (len(shape) - 1))
        elif value.numel() == math.prod(shape):
            value = value.reshape(shape)
    axes = zip(reversed(value.shape), reversed(shape), strict=False)
    if value.ndim > len(shape) or any(own not in (1, wanted) for own, wanted in axes):
        raise Unfit  # which `expand` would say as well, a hundred times as slowly
    return value.expand(shape)


def fitted(value: Tensor, shape: torch.Size) -> Tensor:
    """`value` as it stands beside a tensor of this shape; what is larger is summed over its events, and a batch of
    numbers averaged where one number is wanted. Raises Unfit where neither can be.
    """
    if value.ndim > len(shape) and value.shape[: len(shape)] == shape:
        sums = value.flatten(1).sum(1) if value.ndim > 1 else value
        value = sums if len(shape) == 1 else sums.mean() if not len(shape) else value.flatten(len(shape)).sum(-1)
    return aligned(value, shape)


def trace(function: Function, board: Board, given: Arguments) -> Trace:
    """The steps of a formula in a call, by their number; those of a loop one below the other, (times, ...). Empty where
    it cannot be run.
    """
    board.on, board.ticks, board.kept = {}, 0, {}
    try:
        answer(function, given)
    except (Exception, TooLong):
        return {}
    finally:
        kept, board.kept = board.kept, None
    steps = {site: _step(values) for site, values in kept.items()}
    return {site: step for site, step in steps.items() if step is not None}


def _step(values: Sequence[Any]) -> Step | None:
    numbers = [torch.tensor(v, dtype=torch.float64) if isinstance(v, float) else v for v in values]
    if not all(isinstance(v, Tensor) and v.is_floating_point() and v.shape == numbers[0].shape for v in numbers):
        return None
    if len(values) == 1:
        return Step(numbers[0], 0)
    return Step(torch.stack(numbers), len(numbers)) if len(numbers) <= MOST_TIMES else None


def _cut(value: Any, shape: torch.Size, rows: Tensor, axes: int, tables: bool) -> Any:
    """What of an argument belongs to a part of the answer. A row of numbers is a table, or has one for each example."""
    if not isinstance(value, Tensor) or not value.ndim or len(value) != shape[0]:
        return value
    if value.ndim == 1 and value.is_floating_point() and not tables:
        return value
    both = zip(value.shape[1:], shape[1:], strict=False)
    rest = [slice(1) if i < axes and own == others else slice(None) for i, (own, others) in enumerate(both, 1)]
    return value[rows][(slice(None), *rest)]


def cut(right: Function, given: Arguments, truth: Any, got: Any) -> tuple[Arguments, Any]:
    """A call and its answer with fewer examples and fewer entries, where a right answer to that is a part of the
    whole one; else as they are.
    """
    form = tuple if isinstance(got, tuple) else list
    gots, truths = (form(value) if isinstance(value, tuple | list) else [value] for value in (got, truth))
    if len(gots) != len(truths) or not all(_comparable(*pair) for pair in zip(gots, truths, strict=True)):
        return given, got
    size = len(gots[0])
    if any(len(item) != size for item in gots):
        return given, got
    shape = max((item.shape for item in gots), key=len)
    for axes in (len(shape), 1) if len(gots) == 1 else (1,):
        wrong = [(torch.isfinite(a) & apart(a, b)).reshape(size, -1) for a, b in zip(gots, truths, strict=True)]
        telling = wrong[0][:, 0] if axes > 1 else torch.cat(wrong, 1).any(1)
        rows = telling.nonzero().flatten()[:EXAMPLES]
        part = (rows, *[slice(1)] * (axes - 1))
        wanted, kept = ([item[part] for item in items] for items in (truths, gots))
        for tables in (False, True):
            less = {name: _cut(value, shape, rows, axes, tables) for name, value in given.items()}
            try:
                value = answer(right, less)
            except Exception:
                continue
            values = [item[None] for item in (value if isinstance(value, tuple | list) else [value])]
            if len(rows) and len(close(values, wanted)):
                return less, kept[0] if isinstance(got, Tensor) else form(kept)
    return given, got


def _comparable(got: Any, truth: Any) -> bool:
    if not isinstance(got, Tensor) or not isinstance(truth, Tensor) or got.shape != truth.shape:
        return False
    return bool(got.ndim and got.numel() and got.dtype == truth.dtype and got.is_floating_point())


def close(rows: Any, got: Any) -> Tensor:
    """The numbers of the rows that are what came back, up to rounding."""
    same = _same(rows, got)
    return torch.zeros(0, dtype=torch.long) if same is None else same.nonzero().flatten()


def _same(rows: Any, got: Any) -> Tensor | None:
    """Which rows are what came back; None where their form is another."""
    if isinstance(got, tuple | list):
        if not isinstance(rows, tuple | list) or len(rows) != len(got):
            return None
        found = [_same(*pair) for pair in zip(rows, got, strict=True)]
        kept = [same for same in found if same is not None]
        return torch.stack(kept).all(0) if kept and len(kept) == len(found) else None
    if not isinstance(rows, Tensor) or not isinstance(got, Tensor) or rows.shape[1:] != got.shape:
        return None
    if rows.dtype != got.dtype or not got.numel():
        return None
    if len(rows) > 1 and rows.stride(0) == 0:  # one and the same in all rows
        return _rows_same(rows[:1], got).expand(len(rows))
    return _rows_same(rows, got)


def _rows_same(rows: Tensor, got: Tensor) -> Tensor:
    flat, wanted = rows.reshape(len(rows), got.numel()), got.reshape(1, -1)
    if not got.is_floating_point():
        return (flat == wanted).all(1)
    size = float(wanted.abs().nan_to_num(0.0, 0.0, 0.0).max())
    near = (flat - wanted).abs() <= TOLERANCE.get(got.dtype, 1e-7) * size
    same = near | (flat == wanted) | (flat.isnan() & wanted.isnan())
    return same.all(1)
