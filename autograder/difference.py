"""What sets an answer apart from the truth, in words that a student may read."""

from __future__ import annotations

import math
from typing import Any

import numpy
import torch

from .student import Failure, Remote

# Relative to the largest entry of the truth. Wide enough for every correct formula, far below any mistake worth a name.
TOLERANCE = {torch.float64: 1e-7, torch.float32: 2e-4, torch.complex128: 1e-7, torch.complex64: 2e-4}
COARSE = TOLERANCE[torch.float32]


def failure_in(value: Any) -> Failure | None:
    """The first `Failure` in a value or in the lists, tuples and dicts it is made of."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list | tuple):
        return next((found for item in value if (found := failure_in(item))), None)
    return value if isinstance(value, Failure) else None


def form(value: Any) -> str:
    """A value's form in a few words: what a student may be told instead of the value itself."""
    if isinstance(value, torch.Tensor):
        return f"a tensor of shape {tuple(value.shape)}"
    if isinstance(value, list | tuple):
        return f"a {type(value).__name__} of {len(value)}"
    if value is None:
        return "None (is the return statement missing?)"
    if isinstance(value, Remote):
        return "a function or an object"
    return f"{'an' if type(value) is int else 'a'} {type(value).__name__}"


def difference(got: Any, truth: Any, rtol: float | None = None, atol: float = 0.0, dtype: bool = False) -> str:
    """What sets `got` apart from `truth`, in words that name forms and shares but no hidden value; "" where nothing
    does.
    """
    if isinstance(truth, dict):
        if not isinstance(got, dict) or got.keys() != truth.keys():
            return f"expected a dict with {', '.join(truth)}, got {form(got)}"
        parts = [(f"{key}: ", got[key], truth[key]) for key in truth]
    elif isinstance(truth, list | tuple):
        if not isinstance(got, list | tuple) or len(got) != len(truth):
            return f"expected {len(truth)} values, got {form(got)}"
        parts = [(f"value {i + 1}: ", a, b) for i, (a, b) in enumerate(zip(got, truth, strict=True))]
    else:
        return _leaf_difference(got, truth, rtol, atol, dtype)
    return next((label + problem for label, a, b in parts if (problem := difference(a, b, rtol, atol, dtype))), "")


def _leaf_difference(got: Any, truth: Any, rtol: float | None, atol: float, dtype: bool) -> str:
    if truth is None or isinstance(truth, str):
        return "" if type(got) is type(truth) and got == truth else f"expected {truth!r}, got {form(got)}"
    if isinstance(truth, torch.Tensor) != isinstance(got, torch.Tensor) or isinstance(got, str):
        return f"expected {form(truth)}, got {form(got)}"
    if not isinstance(got, torch.Tensor | int | float) or isinstance(got, bool) != isinstance(truth, bool):
        return f"expected {form(truth)}, got {form(got)}"
    a, b = _number(got), _number(truth)
    if a.shape != b.shape:
        return f"expected shape {tuple(b.shape)}, got {tuple(a.shape)}"
    if dtype and isinstance(truth, torch.Tensor) and a.dtype != b.dtype:
        return f"expected dtype {b.dtype}, got {a.dtype}"
    share = rtol if rtol is not None else max(TOLERANCE.get(d, TOLERANCE[torch.float64]) for d in (a.dtype, b.dtype))
    wide = torch.complex128 if a.is_complex() or b.is_complex() else torch.float64
    return _values_difference(_plain(a, wide), _plain(b, wide), share, atol)


def _values_difference(a: numpy.ndarray, b: numpy.ndarray, share: float, atol: float) -> str:
    """What sets arrays of one shape apart. In NumPy: of a few numbers, calling torch would take most of the time."""
    if numpy.array_equal(a, b):
        return ""
    finite = numpy.isfinite(b)
    everywhere = finite.all()
    sizes = numpy.abs(b if everywhere else b[finite])
    scale = sizes.max() if sizes.size else 0.0
    with numpy.errstate(all="ignore"):
        same = numpy.abs(a - b) <= atol + share * scale
    if not everywhere:
        same = numpy.where(finite, same, (a == b) | (numpy.isnan(a) & numpy.isnan(b)))
    if same.all():
        return ""
    if (numpy.isnan(a) & ~numpy.isnan(b)).any():
        return "some values are NaN"
    if (numpy.isinf(a) & finite).any():
        return "some values are infinite"
    return "the value is wrong" if a.size == 1 else f"{int((~same).sum())} of {a.size} values are wrong"


def _plain(value: torch.Tensor, dtype: torch.dtype) -> numpy.ndarray:
    if value.is_complex() or value.is_neg():
        value = value.resolve_conj().resolve_neg()
    return value.detach().to("cpu", dtype).numpy()


def _number(value: Any) -> torch.Tensor:
    if isinstance(value, torch.Tensor):
        return value
    try:
        return torch.tensor(float(value), dtype=torch.float64)
    except OverflowError:  # an integer beyond every float
        return torch.tensor(math.inf if value > 0 else -math.inf, dtype=torch.float64)
