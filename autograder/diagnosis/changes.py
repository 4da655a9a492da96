"""What each operation of a formula may be changed into, and what kind of mistake that is."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from typing import Any

import torch

BINARY: dict[str, Callable[[Any, Any], Any]] = {
    "Add": operator.add,
    "Sub": operator.sub,
    "Mult": operator.mul,
    "Div": operator.truediv,
    "Pow": operator.pow,
    "MatMult": operator.matmul,
    "FloorDiv": operator.floordiv,
    "Mod": operator.mod,
}


def _left(a: Any, b: Any) -> Any:
    return a


def _right(a: Any, b: Any) -> Any:
    return b


def _less(a: Any, b: Any) -> Any:
    return -b


def _exchanged(name: str) -> Callable[[Any, Any], Any]:
    return lambda a, b: BINARY[name](b, a)


def _others(name: str) -> list[tuple[str, Callable[[Any, Any], Any]]]:
    return [
        ("operation", BINARY[other])
        for other in ("Add", "Sub", "Mult", "Div", "Pow", "FloorDiv", "Mod")
        if other != name
    ]


# What each operation may be changed into, by kind of mistake; the first that agrees gives the name.
BINARY_CHANGES: dict[str, list[tuple[str, Callable[[Any, Any], Any]]]] = {
    "Add": [("sign", operator.sub), ("sign", lambda a, b: b - a), ("term", _left), ("term", _right)],
    "Sub": [
        ("sign", operator.add),
        ("sign", _exchanged("Sub")),
        ("term", _left),
        ("term", _less),
        ("term", _right),
    ],
    "Mult": [("factor", _left), ("factor", _right), ("inverse", operator.truediv), ("inverse", _exchanged("Div"))],
    "Div": [("factor", _left), ("inverse", operator.mul), ("inverse", _exchanged("Div")), ("factor", _right)],
    "Pow": [("power", _left), ("power", lambda a, b: a ** (b / 2)), ("inverse", lambda a, b: a ** (-b))],
    "MatMult": [
        ("order", _exchanged("MatMult")),
        ("order", lambda a, b: a.mT @ b),
        ("order", lambda a, b: a @ b.mT),
        ("factor", _left),
        ("factor", _right),
    ],
}
# What one of the two sides may have been turned into before the operation.
SIDES: tuple[tuple[str, Callable[[Any], Any]], ...] = (
    ("factor", lambda v: 2 * v),
    ("factor", lambda v: v / 2),
    ("power", lambda v: v**0.5),
    ("power", lambda v: v * v),
)


def _turned(name: str, side: int, change: Callable[[Any], Any]) -> Callable[[Any, Any], Any]:
    if side:
        return lambda a, b: BINARY[name](a, change(b))
    return lambda a, b: BINARY[name](change(a), b)


for _name, _changes in BINARY_CHANGES.items():
    if _name in ("Add", "Sub", "Mult", "Div"):
        for _kind, _change in SIDES[2:] if _name in ("Mult", "Div") else SIDES:
            _changes.extend((_kind, _turned(_name, side, _change)) for side in (0, 1))
    _changes.extend(_others(_name))

COMPARISONS: dict[str, list[Callable[[Any, Any], Any]]] = {
    "Lt": [operator.le, operator.ge, operator.gt],
    "LtE": [operator.lt, operator.gt, operator.ge],
    "Gt": [operator.ge, operator.le, operator.lt],
    "GtE": [operator.gt, operator.lt, operator.le],
    "Eq": [operator.ne, operator.le, operator.ge],
    "NotEq": [operator.eq],
}
COMPARE: dict[str, Callable[[Any, Any], Any]] = {
    "Lt": operator.lt,
    "LtE": operator.le,
    "Gt": operator.gt,
    "GtE": operator.ge,
    "Eq": operator.eq,
    "NotEq": operator.ne,
}

# Calls that may be left out, or stand for one another: (kind, the call in its place; None where it is left out).
CALLS: dict[str, list[tuple[str, str | None]]] = {
    "sqrt": [("root", None), ("root", "square"), ("root", "root of the root")],
    "rsqrt": [("root", "reciprocal"), ("inverse", "sqrt")],
    "square": [("square", None), ("square", "abs")],
    "exp": [("logarithm", None), ("logarithm", "exp of the half"), ("logarithm", "exp of the double")],
    "log": [("logarithm", None), ("base", "log2"), ("base", "log10"), ("logarithm", "log1p")],
    "log1p": [("term", "log"), ("logarithm", None)],
    "expm1": [("term", "exp")],
    "reciprocal": [("inverse", None)],
    "abs": [("call", None)],
    "sigmoid": [("call", None), ("call", "tanh")],
    "softplus": [("call", None), ("call", "relu")],
    "silu": [("call", None), ("call", "relu")],
    "tanh": [("call", None), ("call", "sigmoid")],
    "sin": [("exchange", "cos"), ("call", None)],
    "cos": [("exchange", "sin"), ("call", None)],
    "sum": [("mean", "mean"), ("axis", "over everything"), ("axis", "over the other axis"), ("mean", None)],
    "mean": [("mean", "sum"), ("axis", "over everything"), ("axis", "over the other axis"), ("mean", None)],
    "logsumexp": [
        ("logarithms", "average of logarithms"),
        ("logarithms", "surrogate"),
        ("axis", "over the other axis"),
        ("mean", "mean"),
        ("mean", "sum"),
    ],
    "softmax": [("axis", "over the other axis"), ("call", None)],
    "log_softmax": [("axis", "over the other axis"), ("call", None)],
    "cumsum": [("call", None), ("running", "cumprod"), ("running", "from the end")],
    "cumprod": [("call", None), ("running", "cumsum"), ("running", "from the end")],
    "flip": [("order", None)],
    "flipud": [("order", None)],
    "clamp": [("clip", None)],
    "clip": [("clip", None)],
    "round": [("rounding", None), ("rounding", "floor"), ("rounding", "ceil")],
    "floor": [("rounding", "round"), ("rounding", "ceil")],
    "ceil": [("rounding", "round"), ("rounding", "floor")],
    "relu": [("clip", None)],
    "amax": [("exchange", "amin"), ("axis", "over everything")],
    "amin": [("exchange", "amax"), ("axis", "over everything")],
    "max": [("exchange", "min")],
    "min": [("exchange", "max")],
    "prod": [("running", "sum"), ("axis", "over everything")],
    "triu": [("exchange", "tril")],
    "tril": [("exchange", "triu")],
    "range": [("index", "one more"), ("index", "one less"), ("index", "begins later"), ("order", "the other way")],
    "arange": [("index", "one more"), ("index", "one less"), ("index", "begins later")],
    "linspace": [("index", "one more"), ("index", "one less")],
    "reversed": [("order", None)],
    "where": [("exchange", "branches exchanged")],
    "det": [("logarithm", None)],
    "logdet": [("logarithm", "det")],
    "inv": [("inverse", None)],
    "transpose": [("order", None)],
    "along": [("axis", None), ("axis", "two axes"), ("axis", "four axes")],
    "reshape": [("axis", None), ("axis", "two axes"), ("axis", "four axes")],
    "backward": [("gradient", "times itself"), ("gradient", None)],
    "zero_grad": [("gradient", None)],
    "step": [("gradient", None)],
    "view": [("axis", None)],
    "unsqueeze": [("axis", None)],
    "expand": [("axis", None)],
    "detach": [],
    "float": [("rounding", None)],
}


def instead_of_number(value: Any) -> list[Any]:
    """What may stand in a number's place."""
    if isinstance(value, int):
        return [value + 1, value - 1, 2 * value, -value]
    return [2 * value, value / 2, -value, value + 1, value - 1, value**0.5 if value > 0 else value]


def instead_of_call(name: str, stands: str | None, function: Any, args: tuple, kwargs: dict[str, Any]) -> Any:
    """A call changed as `CALLS` says."""
    first = args[0]
    match stands:
        case None:
            return first
        case "two axes":
            return first.reshape(-1, 1)
        case "four axes":
            return first.reshape(-1, 1, 1, 1)
        case "times itself":
            return (first * first.detach()).sum().backward()  # a gradient handed over would import sympy
        case "average of logarithms":
            return (torch.softmax(first, *args[1:], **kwargs) * first).sum(*args[1:], **kwargs)
        case "surrogate":  # right in its slope alone, and not divided by the number of terms
            weights = torch.softmax(first, *args[1:], **kwargs).detach()
            count = first.numel() / torch.logsumexp(first, *args[1:], **kwargs).numel()
            return (weights * first).sum(*args[1:], **kwargs) + math.log(count)
        case "root of the root":
            return _plain(name, args, kwargs) ** 0.5
        case "exp of the half":
            return (first / 2).exp()
        case "exp of the double":
            return (2 * first).exp()
        case "over everything":
            return getattr(first, name)()
        case "over the other axis":
            axis = kwargs.get("dim", args[1] if len(args) > 1 else None)
            if not isinstance(axis, int):
                raise TypeError("no axis to take another for")
            other = 0 if axis % first.ndim else -1
            rest = {key: value for key, value in kwargs.items() if key != "dim"}
            return getattr(torch, name)(first, other, *args[2:], **rest)
        case "from the end":
            return getattr(torch, name)(first.flip(0), *args[1:], **kwargs).flip(0)
        case "branches exchanged":
            condition, yes, no = args
            return torch.where(condition, no, yes)
        case "one more" | "one less":
            step = 1 if stands == "one more" else -1
            if name == "linspace":
                return function(*args[:2], args[2] + step, *args[3:], **kwargs)
            if len(args) == 1:
                return function(args[0] + step, **kwargs)
            return function(args[0], args[1] + step, *args[2:], **kwargs)
        case "begins later":
            return function(1, *args, **kwargs) if len(args) == 1 else function(args[0] + 1, *args[1:], **kwargs)
        case "the other way":
            return reversed(function(*args))
    if stands in ("mean", "sum", "square", "abs", "log2", "log10", "log1p", "log", "exp", "reciprocal", "sqrt"):
        return getattr(torch, stands)(_tensor(first), *args[1:], **kwargs)
    if hasattr(torch, stands):
        return getattr(torch, stands)(_tensor(first), *args[1:], **kwargs)
    return getattr(torch.nn.functional, stands)(first, *args[1:], **kwargs)


def _plain(name: str, args: tuple, kwargs: dict[str, Any]) -> Any:
    return getattr(torch, name)(_tensor(args[0]), *args[1:], **kwargs)


def _tensor(value: Any) -> torch.Tensor:
    return value if isinstance(value, torch.Tensor) else torch.as_tensor(value, dtype=torch.float64)
