"""Which one wrong operation turns a quantity V into what it must have been, V': found from these two alone.

Around the wrong operation stand right ones. They are peeled off V and V' alike, with quantities z at hand, until
v = A op B and v' = A op' B. Of two operations and of v and v', A and B follow: v = A + B and v' = A / B leave
B = v / (1 + v') and A = v' B. If one of the two is at hand, as a quantity of a right formula or made of two such, it
was this operation: one look into a table. For //, % and ** in the place of another, which leave no such equation, every
quantity is tried. A number in the place of another shows as well: v' is a multiple or a power of v, or differs from it
by a number or by a multiple of a quantity at hand. All this is done for two entries first, and what fits these is tried
on all.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch

from .peels import APART, MADE, OUTER, AtHand, Change, Inside, Peels, Way
from .quantities import Quantity
from .ways import OPERATIONS

Tensor = torch.Tensor

ENTRIES = 24  # of a quantity, by which it is compared
NEAR = {torch.float64: 1e-7, torch.float32: 1e-4}
FEWEST = 3  # entries that a step must have otherwise
NOUGHT = 1e-12  # what rounding leaves of 0
OPERATION = "operation"  # the kind of all that takes a quantity at hand: which it is may hang on the draw
MOST, EACH = 2, 12  # ways of one kind that are told, and that are tried of one operation or number
POWERS = (2.0, 0.5, 3.0, -1.0, -0.5)
INSTEAD_OF_POWER: dict[str, Callable[[Tensor, float], Tensor]] = {
    "Add": lambda a, c: a + c,
    "Sub": lambda a, c: a - c,
    "turned Sub": lambda a, c: c - a,
    "Mult": lambda a, c: a * c,
    "Div": lambda a, c: a / c,
    "turned Div": lambda a, c: c / a,
    "FloorDiv": lambda a, c: a // c,
    "Mod": lambda a, c: a % c,
}


class Table:
    """The quantities that can stand beside a step of one form, for all steps of that form."""

    def __init__(self, quantities: Sequence[tuple[Quantity, ...]], x: Tensor) -> None:
        self._x, self.quantities = x, quantities
        self._at_hand: dict[Any, AtHand] = {}

    def explained(self, value: Tensor, wrong: Tensor, told: Tensor) -> list[Way]:
        """The ways in which `value` becomes `wrong`, by the entries that are `told`; none where fewer than `FEWEST` of
        them become others.
        """
        off = told & ((value - wrong).abs() > APART * (value.abs() + wrong.abs())).flatten()
        told = told.nonzero().flatten()
        entries = told[torch.linspace(0, len(told) - 1, min(ENTRIES, len(told))).long()]
        v, w = (item.flatten()[entries].double() for item in (value, wrong))
        probes = off[entries].nonzero().flatten()
        if not len(self._x) or len(probes) < FEWEST or not bool(torch.isfinite(v + w).all()):
            return []
        by_size = probes[v[probes].argsort(stable=True)]
        ends = int(by_size[-1]), int(by_size[0])
        own = self._own(value)
        key = tuple(entries.tolist()), ends, own
        if key not in self._at_hand:
            x = self._x.reshape(len(self._x), -1)[:, entries].double()
            x[list(own)] = torch.nan
            self._at_hand[key] = AtHand(x, ends, NEAR[value.dtype])
        return _explained(v, w, self._at_hand[key])

    def _own(self, value: Tensor) -> tuple[int, ...]:
        """The numbers of the quantities that are V itself, up to its sign, or forms of it: these explain anything."""
        size = value.abs()
        alike = ((self._x.abs() - size).abs() <= 1e-9 * size).flatten(1).all(1).tolist()
        same = {(q.formula, q.key) for (q,), one in zip(self.quantities, alike, strict=True) if one and not q.form}
        found = []
        for i, (quantity,) in enumerate(self.quantities):
            parts = (quantity, quantity.over) if quantity.over else (quantity,)
            if any((part.formula, part.key) in same for part in parts):
                found.append(i)
        return tuple(found)


def _explained(v: Tensor, w: Tensor, at_hand: AtHand) -> list[Way]:
    """Of each kind those that take the fewest quantities: no matter in which order the numbers of this draw come."""
    found: list[Way] = []
    peels = Peels(v[at_hand.probes], w[at_hand.probes], at_hand)
    for search in (_numbers, _operations, _tried) if len(at_hand.rows) else ():
        if not found or search is _operations:
            ways = search(peels, at_hand)
            found += [
                way for way in ways if _fits(way.change(v, *(at_hand.x[i] for i in way.quantities)), w, at_hand.near)
            ]
    found.sort(key=lambda way: (len(way.quantities), way.quantities))
    kinds: Counter[str] = Counter()
    kept = []
    for way in found:
        kinds[way.kind] += 1
        if kinds[way.kind] <= MOST:
            kept.append(way)
    return kept


def _fits(made: Tensor, w: Tensor, near: float) -> bool:
    return bool(((made - w).abs() <= near * w.abs().max()).all())


# ---- one operation in the place of another


def _roots(total: Tensor, product: Tensor) -> list[Tensor]:
    """The two numbers of which total and product are known."""
    root = (total * total - 4 * product).sqrt()
    return [(total + root) / 2, (total - root) / 2]


def _sides(v: Tensor, w: Tensor) -> Iterator[tuple[str, str, list[Tensor], list[Tensor]]]:
    """(op, op', what A may be, what B may be) where v = A op B and w = A op' B."""
    yield "Add", "Sub", [(v + w) / 2], [(v - w) / 2]
    yield "Sub", "Add", [(v + w) / 2], [(v - w) / 2]
    yield "Add", "Mult", _roots(v, w), []
    yield "Mult", "Add", _roots(w, v), []
    for right, wrong, total, product in (("Sub", "Mult", v, w), ("Mult", "Sub", w, v)):
        first = _roots(total, -product)
        yield right, wrong, first, [one - total for one in first]
    for right, wrong, one, other, less in (
        ("Add", "Div", v, w, w + 1),
        ("Sub", "Div", v, w, w - 1),
        ("Div", "Add", w, v, v + 1),
        ("Div", "Sub", w, v, v - 1),
    ):
        yield right, wrong, [other * one / less], [one / less]
    root = (v * w).abs().sqrt()
    yield "Mult", "Div", [root], [(v / w).abs().sqrt()]
    yield "Div", "Mult", [root], [(w / v).abs().sqrt()]


def _other(op: str, v: Tensor, a: Tensor, first: bool) -> Tensor:
    """B of v = a op B, or of v = B op a where a does not stand `first`."""
    if op == "Add":
        return v - a
    if op == "Sub":
        return a - v if first else v + a
    if op == "Mult":
        return v / a
    return a / v if first else v * a


def _done(op: str, a: Tensor, b: Tensor, first: bool) -> Tensor:
    return OPERATIONS[op](a, b) if first else OPERATIONS[op](b, a)


def _operations(peels: Peels, at_hand: AtHand) -> Iterator[Way]:
    """+, -, * or / in the place of another of these."""
    cases: list[tuple[str, str, bool]] = []
    wanted: list[Tensor] = []
    for op, wrong, firsts, seconds in _sides(peels.v[:, 0], peels.w[:, 0]):
        cases += [(op, wrong, True)] * len(firsts) + [(op, wrong, False)] * len(seconds)
        wanted += [*firsts, *seconds]
    every = torch.stack(wanted)
    number, row = at_hand.find(every.flatten())
    case, of = number // every.shape[1], number % every.shape[1]
    order = torch.argsort(of, stable=True)
    case, of, row = case[order], of[order], row[order]
    sign = (every[case, of] * at_hand.rows[row, 0]).sign()
    a = sign * at_hand.rows[row, 1]
    for which, (op, wrong, first) in enumerate(cases):
        own = (case == which).nonzero().flatten()
        b = _other(op, peels.v[of[own], 1], a[own], first)
        made, w = _done(wrong, a[own], b, first), peels.w[of[own], 1]
        good = (made - w).abs() <= 10 * at_hand.near * (made.abs() + w.abs())
        for i in own[good].tolist()[:EACH]:
            yield _operation(peels, int(of[i]), at_hand, int(row[i]), (op, wrong, first, float(sign[i])))


def _operation(peels: Peels, number: int, at_hand: AtHand, row: int, what: tuple[str, str, bool, float]) -> Way:
    op, wrong, first, sign = what
    quantities, made = at_hand.made(row)

    def inside(v: Tensor, left: Sequence[Tensor]) -> Tensor:
        a = sign * made(left)
        return _done(wrong, a, _other(op, v, a, first), first)

    return peels.way(number, OPERATION, inside, quantities)


def _tried(peels: Peels, at_hand: AtHand) -> Iterator[Way]:
    """//, % or ** in the place of another, and another in the place of a power."""
    seen = at_hand.x[:OUTER, at_hand.probes]
    near = at_hand.near * peels.w.abs().amax(1)
    whole = ((peels.w - peels.w.round()).abs() <= 1e-5).all(1)
    for wrong, which in (("FloorDiv", whole), ("Mod", ~whole), ("Pow", ~whole)):
        of = (peels.once & which).nonzero().flatten()
        v, w = peels.v[of, None], peels.w[of, None]
        for op in MADE if len(of) else ():
            for first in (True, False):
                made = _quick(wrong, seen[None, :, 0], _other(op, v[..., 0], seen[None, :, 0], first), first)
                i, j = ((made - w[..., 0]).abs() <= near[of, None]).nonzero().unbind(1)
                made = _quick(wrong, seen[j, 1], _other(op, v[i, 0, 1], seen[j, 1], first), first)
                good = (made - w[i, 0, 1]).abs() <= near[of[i]]
                for k in good.nonzero().flatten().tolist()[:EACH]:
                    a = int(j[k])
                    yield peels.way(int(of[i[k]]), OPERATION, _with(op, wrong, first), (a,))
    for power in POWERS:
        for sign in (1, -1):
            a = sign * peels.v ** (1 / power)
            for do in INSTEAD_OF_POWER.values():
                good = ((do(a, power) - peels.w).abs() <= near[:, None]).all(1)
                for k in good.nonzero().flatten().tolist()[:1]:
                    yield peels.way(k, OPERATION, _without_power(do, power, sign))


def _quick(op: str, a: Tensor, b: Tensor, first: bool) -> Tensor:
    """The operation with quotients rounded down, twenty times as fast as by itself."""
    one, two = (a, b) if first else (b, a)
    if op == "Pow":
        return one**two
    floor = (one / two).floor()
    return floor if op == "FloorDiv" else one - two * floor


def _with(op: str, wrong: str, first: bool) -> Inside:
    return lambda v, left: _done(wrong, left[0], _other(op, v, left[0], first), first)


def _without_power(do: Callable[[Tensor, float], Tensor], power: float, sign: int) -> Inside:
    return lambda v, left: do(sign * v ** (1 / power), power)


# ---- one number in the place of another


def _numbers(peels: Peels, at_hand: AtHand) -> Iterator[Way]:
    v, w = peels.v, peels.w
    varied = _varied(v) & _varied(w)
    for found, change, kind in (
        (w / v, lambda v, r: r * v, _of_ratio),
        (w * v, lambda v, r: r / v, lambda r: "inverse"),
        (w + v, lambda v, r: r - v, lambda r: "rest" if _is(r, 1) else "constant"),
        (w / v.log(), lambda v, r: r * v.log(), lambda r: "logarithm"),
        (w.log() / v, lambda v, r: (r * v).exp(), lambda r: "logarithm"),
        (w.log() / v.log(), lambda v, r: v**r, _of_power),
        (w - v, lambda v, r: v + r, lambda r: "constant"),
    ):
        same = varied & ((found[:, 0] - found[:, 1]).abs() <= at_hand.near * found.abs().amax(1))
        for number in same.nonzero().flatten().tolist()[:EACH]:
            r = float(found[number, 0])
            yield peels.way(number, kind(r), _by_number(change, r))
    rows = at_hand.rows
    varied = _varied(rows)
    for number in peels.bare.nonzero().flatten().tolist():
        more: tuple[tuple[Tensor, Change], ...] = (
            ((w - v)[number] / rows, lambda v, a, r: v + r * a),
            ((w / v)[number] / rows, lambda v, a, r: r * v * a),
            ((w / v)[number] * rows, lambda v, a, r: r * v / a),
        )
        for shares, by in more:
            same = varied & ((shares[:, 0] - shares[:, 1]).abs() <= at_hand.near * shares.abs().amax(1))
            for row in same.nonzero().flatten().tolist()[:EACH]:
                r, (quantities, made) = float(shares[row, 0]), at_hand.made(row)
                yield peels.way(number, OPERATION, _by_quantity(by, made, r), quantities)


def _varied(rows: Tensor) -> Tensor:
    """Which rows hold two numbers that are not much the same: else a number and a quantity could not be told apart."""
    return (rows[:, 0] - rows[:, 1]).abs() > (1e-3 * rows.abs().amax(1)).clamp(min=NOUGHT)


def _by_number(change: Callable[[Tensor, float], Tensor], r: float) -> Inside:
    return lambda v, left: change(v, r)


def _by_quantity(change: Change, made: Callable[[Sequence[Tensor]], Tensor], r: float) -> Inside:
    return lambda v, left: change(v, made(left), r)


def _is(r: float, *wanted: float) -> bool:
    return any(abs(r - one) <= 1e-5 for one in wanted)


def _of_ratio(r: float) -> str:
    return "sign" if _is(r, -1) else "factor" if _is(r, 2, 0.5) else "constant"


def _of_power(r: float) -> str:
    return "inverse" if _is(r, -1) else "power" if _is(r, 2, 0.5) else "constant"
