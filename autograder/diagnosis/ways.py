"""How a quantity may have been made of two others, and what may stand there instead, with the kind of mistake it is."""

from __future__ import annotations

from collections.abc import Callable

import torch

Tensor = torch.Tensor
Change = Callable[..., Tensor]

# How V may have come of x and a second quantity y: (operation, y from V and x, whether x stands first).
PAIRS: tuple[tuple[str, Callable[[Tensor, Tensor], Tensor], bool], ...] = (
    ("Add", lambda v, x: v - x, True),
    ("Sub", lambda v, x: x - v, True),
    ("Sub", lambda v, x: v + x, False),
    ("Mult", lambda v, x: v / x, True),
    ("Div", lambda v, x: x / v, True),
    ("Div", lambda v, x: v * x, False),
)
SUMS = 3  # of these
WAYS = [(name, second, first, upside) for upside in (False, True) for name, second, first in PAIRS]
OPERATIONS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "Add": lambda a, b: a + b,
    "Sub": lambda a, b: a - b,
    "Mult": lambda a, b: a * b,
    "Div": lambda a, b: a / b,
    "Pow": lambda a, b: a**b,
    "FloorDiv": lambda a, b: a // b,
    "Mod": lambda a, b: a % b,
}
# What may stand in the place of a sum or difference, and of a product or quotient; whatever else, `splits` tries.
IN_SUMS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "Add": lambda a, b: a + b,
    "Sub": lambda a, b: a - b,
    "turned Sub": lambda a, b: b - a,
    "first": lambda a, b: a,
    "second": lambda a, b: b,
    "minus second": lambda a, b: -b,
}
IN_PRODUCTS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "Mult": lambda a, b: a * b,
    "Div": lambda a, b: a / b,
    "turned Div": lambda a, b: b / a,
    "first": lambda a, b: a,
    "second": lambda a, b: b,
    "one over second": lambda a, b: 1 / b,
}


def kind_of(right: str, wrong: str) -> str:
    """What mistake it is to do one thing where another belongs."""
    sums, products = ("Add", "Sub", "turned Sub"), ("Mult", "Div", "turned Div")
    if "first" in wrong or "second" in wrong:
        return "term" if right in sums else "factor"
    if right in sums and wrong in sums:
        return "sign"
    return "inverse" if right in products and wrong in products else "operation"


# What may be done to V by itself.
ALONE: tuple[tuple[str, Callable[[Tensor], Tensor]], ...] = (
    ("sign", lambda v: -v),
    ("power", lambda v: v.sqrt()),
    ("power", lambda v: v * v),
    ("inverse", lambda v: 1 / v),
    ("factor", lambda v: 2 * v),
    ("factor", lambda v: v / 2),
    ("logarithm", lambda v: v.exp()),
    ("logarithm", lambda v: v.log()),
    ("rest", lambda v: 1 - v),
    ("constant", lambda v: v + 1),
    ("constant", lambda v: v - 1),
    ("constant", lambda v: 3 * v),
    ("constant", lambda v: 1.5 * v),
    ("constant", lambda v: v / 3),
    ("constant", lambda v: 0.75 * v),
    ("constant", lambda v: 1.25 * v),
    ("constant", lambda v: 0 * v),
    ("power", lambda v: v**3),
    ("power", lambda v: v**1.5),
    ("constant", lambda v: v / (1 + v)),  # of 1/v, 1 more, and 1 less
    ("constant", lambda v: v / (1 - v)),
    ("rest", lambda v: v / (v - 1)),
)
# What a quantity may have been put through.
BENT: tuple[Change, ...] = (
    torch.sigmoid,
    torch.tanh,
    torch.nn.functional.softplus,
    torch.relu,
    torch.exp,
    torch.log,
    torch.square,
)
# What should have been done to a quantity that stands in a step's place.
MEANT: tuple[tuple[str, Change], ...] = (
    ("logarithm", torch.exp),
    ("logarithm", lambda x: (x / 2).exp()),
    ("logarithm", torch.log),
    ("power", torch.sqrt),
    ("power", torch.square),
    ("rest", lambda x: 1 - x),
)
# What may be done to y by itself: what is not had by another way of making V.
SECOND = tuple(
    (kind, change) for kind, change in ALONE if kind in ("power", "logarithm", "rest", "inverse", "constant", "factor")
)[:14]
EACH = 2 * len(PAIRS) * (len(IN_SUMS) + len(SECOND))  # replacements for each quantity
# x ** c y was meant; what stands there, parentheses forgotten as well.
POWERS = (0.5, 2.0, -1.0)
NOT_POWERS: tuple[tuple[str, Callable[[Tensor, Tensor, float], Tensor]], ...] = (
    ("power", lambda x, y, c: x * y),
    ("operation", lambda x, y, c: (x + c) * y),
    ("operation", lambda x, y, c: (x - c) * y),
    ("operation", lambda x, y, c: x * c * y),
    ("operation", lambda x, y, c: x / c * y),
    ("operation", lambda x, y, c: x // c * y),
    ("operation", lambda x, y, c: x % c * y),
    ("operation", lambda x, y, c: x + c * y),
    ("operation", lambda x, y, c: x - c * y),
)
# x + y, or x - y, was meant; what stands there, y being b c: a second factor, parentheses forgotten.
THREES: tuple[Callable[[Tensor, Tensor, Tensor], Tensor], ...] = (
    lambda x, b, c: x / b * c,
    lambda x, b, c: x // b * c,
    lambda x, b, c: x % b * c,
    lambda x, b, c: x**b * c,
)


Told = tuple[str, Change, Change | None]  # kind, change, and what a second quantity has to be for that to be said


def fixed(kind: str, change: Change, other: Change | None, which: int) -> Told:
    """One kind and one change, whichever is asked for."""
    return kind, change, other


def wrongly(wrong: str, products: bool, which: int) -> Told:
    """One operation in the place of another on x and y; `which` counts the ways that are sums, or else products. The
    kind is "" where nothing of V is left: x alone would explain whatever somebody made of it.
    """
    upside, pair = divmod(which, SUMS)
    way = len(PAIRS) * upside + SUMS * products + pair
    right, _, first, _ = WAYS[way]
    do = (IN_PRODUCTS if products else IN_SUMS)[wrong]
    bare = wrong == "first" if first else "second" in wrong
    return "" if bare else kind_of(right, wrong), _paired(way, do if first else lambda x, y: do(y, x)), None


def second_changed(kind: str, change: Change, which: int) -> Told:
    """The right operation on x and a changed y."""
    right, _, first, _ = WAYS[which]
    do = OPERATIONS[right]
    return kind, _paired(which, lambda x, y: do(x, change(y)) if first else do(change(y), x)), None


def _paired(which: int, wrong: Change) -> Change:
    _, second, _, upside = WAYS[which]

    def change(value: Tensor, x: Tensor) -> Tensor:
        made = wrong(x, second(1 / value if upside else value, x))
        return 1 / made if upside else made

    return change


def unpowered(kind: str, other: Change, c: float, which: int) -> Told:
    """x and c, with the rest of a product, where x ** c belongs."""
    return kind, lambda value, x: other(x, value / x**c, c), lambda value, x: value / x**c


def of_both(three: Change, sign: int) -> Change:
    """What stands where x + y, or x - y, belongs, y being a product with b."""
    return lambda value, x, b: three(x, b, sign * (value - x) / b)


def third(sign: int) -> Change:
    """The second factor of y, b being the first."""
    return lambda value, x, b: sign * (value - x) / b
