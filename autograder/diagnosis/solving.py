"""What a step of a formula must have been for the formula to give what came back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from ..difference import TOLERANCE
from .makers import Unfit
from .quantities import aligned, close

Tensor = torch.Tensor
ROUNDS = 12  # of the secant method; where the rest of a formula is linear, the first one ends it
NUDGE = {torch.float64: 1e-4, torch.float32: 1e-2}  # share of a step's size by which it is moved
MOST = 2_000  # entries of a step


def solved(put: Callable[[Tensor], Any], value: Tensor, got: Any) -> tuple[Tensor, Tensor] | None:
    """(what a step must have been, which of its entries can be told), where each entry of what came back depends on one
    entry of the step; None where it does not, or no value would do. `put(instead)` is the answer with the step
    replaced by `instead`, and `value` what the step is.
    """
    if not 0 < value.numel() <= MOST or value.dtype not in NUDGE:
        return None
    size = value.abs().nan_to_num(0.0, 0.0, 0.0)
    before, now = value, value + NUDGE[value.dtype] * (size + size.mean() + 1e-3)
    first, second = leaves(put(before)), leaves(put(now))
    chosen = _chosen(value, first, second, leaves(got))
    if chosen is None:
        return None
    leaf, entries, told = chosen
    wanted = leaves(got)[leaf].flatten()[entries].to(value.dtype)
    was, is_ = (leaves[leaf].flatten()[entries].to(value.dtype) for leaves in (first, second))
    for _ in range(ROUNDS):
        slope = (is_ - was) / (now - before).flatten()
        moved = (wanted - is_) / slope
        moved = torch.where(told & torch.isfinite(moved), moved, 0.0).reshape(value.shape)
        before, was, now = now, is_, now + moved
        answer = put(now)
        is_ = leaves(answer)[leaf].flatten()[entries].to(value.dtype)
        if not bool(torch.isfinite(now).all()):
            return None
        if len(close(_rowed(answer), got)):
            return torch.where(told.reshape(value.shape), _once_more(before, now, was, is_, wanted), value), told
        if not bool(moved.any()):
            return None
    return None


def _once_more(before: Tensor, now: Tensor, was: Tensor, is_: Tensor, wanted: Tensor) -> Tensor:
    """One more step of the secant method: what agrees up to the tolerance is not exact yet."""
    slope = (is_ - was) / (now - before).flatten()
    moved = ((wanted - is_) / slope).reshape(now.shape)
    return torch.where(torch.isfinite(moved) & (moved.abs() <= (now - before).abs()), now + moved, now)


def leaves(answer: Any) -> list[Tensor]:
    """The tensors of an answer."""
    if isinstance(answer, tuple | list):
        return [leaf for item in answer for leaf in leaves(item)]
    if isinstance(answer, float):
        return [torch.tensor(answer, dtype=torch.float64)]
    return [answer.detach()] if isinstance(answer, Tensor) and answer.is_floating_point() else []


def multiple(value: Tensor, wrong: Tensor, got: Any) -> float | None:
    """The number by which each entry of a step is multiplied that is the whole answer, or its last part; else None."""
    whole = leaves(got)[-1]
    ratio = (wrong / value).flatten()
    if whole.shape != value.shape or not len(close(wrong[None], whole)) or len(value.unique()) == 1:
        return None
    same = (ratio - ratio[0]).abs() <= TOLERANCE[value.dtype] * ratio[0].abs()
    return float(ratio[0]) if bool(same.all()) else None


def _rowed(answer: Any) -> Any:
    if isinstance(answer, tuple | list):
        return type(answer)(_rowed(item) for item in answer)
    if isinstance(answer, float):
        answer = torch.tensor(answer, dtype=torch.float64)
    return answer.detach()[None] if isinstance(answer, Tensor) else answer


def _chosen(
    value: Tensor, first: list[Tensor], second: list[Tensor], got: list[Tensor]
) -> tuple[int, Tensor, Tensor] | None:
    """(number of a tensor of the answer, its entry for each entry of the step, which of these move with the step)."""
    if len(first) != len(got) or len(second) != len(got):
        return None
    places = torch.arange(value.numel()).reshape(value.shape)
    for i, (one, two, wanted) in enumerate(zip(first, second, got, strict=True)):
        if not one.shape == two.shape == wanted.shape or one.numel() < value.numel():
            continue
        try:
            place = aligned(places, one.shape).flatten()
        except Unfit:
            continue
        moved = (two - one).flatten().abs().nan_to_num(0.0, 0.0, 0.0)
        moved = torch.where(torch.isfinite(wanted.flatten()), moved, 0.0)
        order = moved.argsort(stable=True)
        order = order[place[order].argsort(stable=True)]  # entries of one place together, the one moved most last
        last = torch.cat([place[order][1:] != place[order][:-1], torch.ones(1, dtype=torch.bool)])
        entries = order[last]
        told = moved[entries] > 0
        if len(entries) == value.numel() and bool(told.any()):
            return i, entries, told
    return None
