"""Whether two answers are the same, or right: values up to rounding, and exceptions."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch

from ..difference import TOLERANCE, difference

SINGLE = 1e-5  # how far apart two plain floats made in single precision may be: more would agree with anything


@dataclass(frozen=True)
class Raised:
    """A call that ended in an exception."""

    cause: str


def right(got: Any, truth: Any) -> bool:
    """Whether an answer is right; an exception that belongs there may say what it likes."""
    if isinstance(got, Raised) and isinstance(truth, Raised):
        return got.cause.partition(":")[0] == truth.cause.partition(":")[0]
    return not differs(got, truth)


def differs(got: Any, value: Any, coarse: bool = False) -> bool:
    """Whether two answers are not the same, up to rounding; exceptions are the same when they say the same. `coarse`:
    plain floats hold single precision.
    """
    if coarse and isinstance(got, float) and isinstance(value, float):
        return not (math.isclose(got, value, rel_tol=SINGLE) or (math.isnan(got) and math.isnan(value)))
    if isinstance(got, Raised) or isinstance(value, Raised):
        return got != value
    if isinstance(got, list) and isinstance(value, list):
        return len(got) != len(value) or any(differs(*pair) for pair in zip(got, value, strict=True))
    if isinstance(got, torch.Tensor) and isinstance(value, torch.Tensor):
        if got.shape != value.shape or got.dtype != value.dtype:
            return True
        if got.dtype in (torch.float64, torch.float32):
            size = float(value.abs().nan_to_num(0.0, 0.0, 0.0).max()) if value.numel() else 0.0
            return not torch.allclose(got, value, rtol=0.0, atol=TOLERANCE[got.dtype] * size, equal_nan=True)
    return bool(difference(got, value, dtype=True))


def right_kept(got: Any, truth: Any, value: Any) -> Any:
    """`value` with the entries of `got` that are right in the place of its own."""
    several = all(isinstance(item, tuple | list) for item in (got, truth, value))
    if several and len(got) == len(truth) == len(value):
        return type(value)(right_kept(*parts) for parts in zip(got, truth, value, strict=True))
    tensors = [item for item in (got, truth, value) if isinstance(item, torch.Tensor) and item.is_floating_point()]
    if len(tensors) < 3 or not got.shape == truth.shape == value.shape or not got.dtype == truth.dtype == value.dtype:
        return value
    return torch.where(apart(got, truth), value, got)


def apart(got: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    """Which entries of two tensors of one shape are not the same, up to rounding."""
    size = float(truth.abs().nan_to_num(0.0, 0.0, 0.0).max()) if truth.numel() else 0.0
    return ~torch.isclose(got, truth, rtol=0.0, atol=TOLERANCE.get(truth.dtype, 1e-7) * size, equal_nan=True)


def finite(value: Any) -> torch.Tensor:
    """The finite numbers of an answer."""
    if isinstance(value, list | tuple):
        return torch.cat([torch.zeros(0, dtype=torch.float64), *map(finite, value)])
    if isinstance(value, bool) or not isinstance(value, torch.Tensor | int | float):
        return torch.zeros(0, dtype=torch.float64)
    numbers = torch.as_tensor(value).detach().double().flatten()[:1000]
    return numbers[torch.isfinite(numbers)]
