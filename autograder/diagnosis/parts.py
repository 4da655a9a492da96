"""One quantity of a right formula made in another way: mistakes without a switch, whatever the student's code is like.

A right formula is run once, and each of its steps V kept. Somebody else may have made the same V as x + y, x - y, x y
or x / y of quantities that stand elsewhere in one of the right formulas, or of their complements: y = V - x, y = V / x.
So for every x at hand, every such pair and every wrong operation on it, V is replaced and the rest of the formula
computed, thousands at once by `torch.vmap`; `splits` does so within a product or sum with a third quantity. Nothing is
asked of how the student wrote it down.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from itertools import accumulate, zip_longest
from typing import Any

import torch
from torch.distributions import Distribution

from .asked import answer
from .blocks import Block, Part
from .explaining import Table
from .kinds import Finding
from .makers import Arguments, Unfit, named
from .quantities import FORMS, Quantity, close, fitted, trace
from .schemata import Board, TooLong
from .solving import multiple, solved
from .splits import AtHand, Splits
from .ways import (
    ALONE,
    BENT,
    EACH,
    IN_PRODUCTS,
    IN_SUMS,
    MEANT,
    NOT_POWERS,
    OPERATIONS,
    PAIRS,
    POWERS,
    SECOND,
    THREES,
    WAYS,
    fixed,
    of_both,
    second_changed,
    third,
    unpowered,
    wrongly,
)

Function = Callable[..., Any]
Tensor = torch.Tensor

BLOCKS = 4_500  # what it costs to make the replacements of one step, in units of `work`
MOST_PLAIN = 40  # quantities whose forms and quotients are taken
MOST_QUANTITIES = 120
MOST_ENTRIES = 2_000  # of a step that is taken apart
MOST_APART = 64  # that a step is taken apart by
MOST_NUMBERS = 200_000  # of one step's replacements together: larger steps get fewer
FEW = 24  # quantities that are taken two at a time
AT_HAND = 40  # quantities of which a second one may be made
FEWEST = 8  # quantities for which a step is tried at all


class Parts:
    """All replacements of the steps of some formulas, tried on one call. Where a replacement is NaN, the step stays as
    it is, unless the answer holds NaN (`nan`).
    """

    def __init__(self, formulas: Sequence[tuple[Function, Board]], given: Arguments, got: Any, nan: bool) -> None:
        self._formulas, self._given, self._nan = formulas, given, nan
        self._got = torch.tensor(got, dtype=torch.float64) if isinstance(got, float) else got
        self._traces = [trace(function, board, given) for function, board in formulas]
        self._quantities = self._at_hand()
        self._formed: dict[Any, tuple[list[tuple[Quantity, ...]], Tensor]] = {}  # by shape and dtype
        self._looked_up: dict[Any, AtHand] = {}
        self._tables: dict[Any, Table] = {}  # as well

    def _at_hand(self) -> list[tuple[Quantity, Tensor]]:
        """The quantities of all formulas, each value once: arguments, steps, 1 and 2, then their other forms, then the
        quotients of two.
        """
        plain = [Quantity(None, name) for name in self._given]
        plain += [Quantity(i, site) for i, steps in enumerate(self._traces) for site in steps]
        plain += [Quantity(None, 1.0), Quantity(None, 2.0)]
        found: list[tuple[Quantity, Tensor]] = []
        seen: set[tuple[Any, ...]] = set()
        for quantity in plain:
            self._keep(quantity, found, seen)
        few = [quantity for quantity, _ in found[:MOST_PLAIN]]
        for form in range(1, len(FORMS)):
            for quantity in few:
                self._keep(replace(quantity, form=form), found, seen)
        for above in few[: MOST_PLAIN // 2]:
            for below in few[: MOST_PLAIN // 2]:
                if above is not below and len(found) < MOST_QUANTITIES:
                    self._keep(replace(above, over=below), found, seen)
        return found

    def _keep(self, quantity: Quantity, found: list[tuple[Quantity, Tensor]], seen: set[Any]) -> None:
        try:
            value = quantity.value(self._given, self._traces).detach()
        except (Unfit, RuntimeError):
            return
        mark = _mark(value)
        if mark is not None and mark not in seen:
            seen.add(mark)
            found.append((quantity, value))

    def sites(self, spent: Callable[[int], bool]) -> Iterator[tuple[int, int]]:
        """(formula, step) of all steps whose replacement may be tried; of those with one value and one effect, the
        first. `spent` counts each time that a formula is run, and says when there is no room left.
        """
        seen: set[Any] = set()
        late = [list(reversed(steps)) for steps in self._traces]
        for row in zip_longest(*late):  # the last steps of all formulas first
            for i, site in enumerate(row):
                if site is None:
                    continue
                if spent(i):
                    return
                try:
                    value = self._traces[i][site].value.detach()  # what `torch.func` made has ended with it
                    nudge = 1 + 0.01 * torch.arange(1, value.numel() + 1, dtype=value.dtype).reshape(value.shape)
                    effect = _mark(self._put(i, site, value * nudge + 0.01))
                except (Exception, TooLong):
                    continue
                mark = _mark(value), effect
                if value.numel() and effect is not None and mark not in seen:
                    seen.add(mark)
                    yield i, site

    def solved(self, formula: int, site: int) -> Iterator[Part]:
        """The replacements of one step by what it must have been, where that can be told."""
        value = self._traces[formula][site].value.detach()
        try:
            found = solved(partial(self._put, formula, site), value, self._got)
        except (Exception, TooLong):
            return
        if found is None:
            return
        if (ratio := multiple(value, found[0], self._got)) is not None:
            yield Part(Finding("multiple of the result"), formula, site, (), lambda value: ratio * value, None)
            return
        key = value.shape, value.dtype
        table = self._tables[key] = self._tables.get(key) or Table(*self._fitting(value, MOST_QUANTITIES))
        for way in table.explained(value, *found):
            used = tuple(q for i in way.quantities for q in table.quantities[i])
            yield Part(Finding(way.kind), formula, site, used, way.change, None)

    def cost(self, formula: int, site: int) -> float:
        """What it costs to try a step, in units of `work`."""
        steps = self._traces[formula]
        room = MOST_NUMBERS // steps[site].value.numel()
        rows = min(room, EACH * len(self._quantities)) if room >= EACH * FEWEST else len(ALONE)
        later = list(steps)[list(steps).index(site) :]
        return BLOCKS + 10 * len(later) + rows * sum(steps[i].value.numel() for i in later) / 1_500

    def agreeing(self, formula: int, site: int) -> Iterator[Part]:
        """The replacements of one step that give what came back."""
        value = self._traces[formula][site].value.detach()
        blocks: list[Block | Splits] = [*_alone(value), *self._another(value), *self._of_two(value)]
        blocks += self._apart(value)
        stack = torch.cat([block.rows for block in blocks])
        stack = self._filled(stack, value)
        try:
            with _unvalidated():  # one impossible replacement must not end all others
                got = torch.vmap(lambda instead: self._put(formula, site, instead))(stack)
        except (Exception, TooLong):
            return
        starts = [0, *accumulate(len(block.rows) for block in blocks)]
        for row in close(got, self._got).tolist():
            i = bisect_right(starts, row) - 1
            part = blocks[i].part(row - starts[i], formula, site)
            if part.finding.kind and (part.other is None or self._is_at_hand(part, value)):
                yield part

    def _is_at_hand(self, part: Part, value: Tensor) -> bool:
        """Whether the second quantity of a replacement stands in one of the formulas, or is the product, quotient, sum
        or difference of two that do: else it would explain anything.
        """
        assert part.other is not None
        others = [fitted(q.value(self._given, self._traces), value.shape).to(value.dtype) for q in part.quantities]
        other = part.other(value, *others).detach()
        _, x = self._fitting(value, AT_HAND)
        made = [x, *(OPERATIONS[name](x[:, None], x[None]).flatten(0, 1) for name in ("Mult", "Div", "Add", "Sub"))]
        return any(len(close(rows, sign * other)) for rows in made for sign in (1, -1))

    def _fitting(self, value: Tensor, most: int) -> tuple[list[tuple[Quantity, ...]], Tensor]:
        """The quantities that can stand beside `value`, in its form; no more than so many."""
        key = value.shape, value.dtype
        if key not in self._formed:
            found = []
            for quantity, x in self._quantities:
                with suppress(Unfit):
                    found.append(((quantity,), fitted(x, value.shape).to(value.dtype)))
            stack = torch.stack([x for _, x in found]) if found else value[None][:0]
            self._formed[key] = [quantity for quantity, _ in found], stack
        quantities, stack = self._formed[key]
        return quantities[:most], stack[:most]

    def _another(self, value: Tensor) -> Iterator[Block]:
        """Another quantity in the place of `value`, as it is or bent."""
        quantities, x = self._fitting(value, MOST_NUMBERS // value.numel() // 4)
        if not quantities:
            return
        yield Block(partial(fixed, "quantity", _other, None), x, quantities)
        for kind, meant in MEANT:
            near = close(meant(x), value)
            if len(near):
                yield Block(partial(fixed, kind, _other, None), x[near], [quantities[i] for i in near.tolist()])
        some = slice(MOST_PLAIN)
        for change in BENT:
            yield Block(
                partial(fixed, "another function", partial(_bent, change), None), change(x[some]), quantities[some]
            )

    def _of_two(self, value: Tensor) -> Iterator[Block]:
        """`value` as x and a second quantity, and something wrong made of these."""
        quantities, x = self._fitting(value, MOST_NUMBERS // value.numel() // EACH)
        if len(quantities) < min(FEWEST, len(self._quantities)):
            return
        # all pairs one below the other, those whose result is turned upside down again at the end
        ys = [second(1 / value if upside else value, x) for _, second, _, upside in WAYS]
        one = torch.cat([x if way[2] else y for way, y in zip(WAYS, ys, strict=True)])
        two = torch.cat([y if way[2] else x for way, y in zip(WAYS, ys, strict=True)])
        ones, twos = (side.reshape(2, 2, -1, *value.shape) for side in (one, two))
        for half, operations in enumerate((IN_SUMS, IN_PRODUCTS)):
            for name, wrong in operations.items():
                made = wrong(ones[:, half], twos[:, half])
                rows = torch.cat([made[0], 1 / made[1]])
                yield Block(partial(wrongly, name, bool(half)), rows, quantities)
        y = torch.cat(ys)
        for kind, change in SECOND:
            parts = zip(WAYS, change(y).split(len(x)), strict=True)
            both = [OPERATIONS[w[0]](*((x, part) if w[2] else (part, x))) for w, part in parts]
            rows = torch.cat([*both[: len(PAIRS)], 1 / torch.cat(both[len(PAIRS) :])])
            yield Block(partial(second_changed, kind, change), rows, quantities)
        for c in POWERS:
            y = value / x**c
            for kind, other in NOT_POWERS:
                yield Block(partial(unpowered, kind, other, c), other(x, y, c), quantities)
        few = [quantity for (quantity,) in quantities[:FEW]]
        i, j = torch.cartesian_prod(torch.arange(len(few)), torch.arange(len(few))).unbind(1)
        a, b = x[i], x[j]
        products = _Products(few)
        for sign in (1, -1):
            for three in THREES:
                change = of_both(three, sign)
                yield Block(partial(fixed, "operation", change, third(sign)), change(value, a, b), products)

    def _apart(self, value: Tensor) -> Iterator[Splits]:
        """`value` taken apart in the ways of `splits`, and put together by another operation."""
        key = value.shape, value.dtype
        quantities, x = self._fitting(value, MOST_APART)
        if not quantities or not 0 < value.numel() <= MOST_ENTRIES:
            return
        if key not in self._looked_up:
            self._looked_up[key] = AtHand(x, _bases([quantity for (quantity,) in quantities]))
        yield Splits(value, x, quantities, self._looked_up[key])

    def _filled(self, instead: Tensor, value: Tensor) -> Tensor:
        return instead if self._nan else torch.where(instead.isnan(), value, instead)

    def _put(self, formula: int, site: int, instead: Tensor) -> Any:
        function, board = self._formulas[formula]
        with board.replacing(site, instead.unbind() if self._traces[formula][site].times else [instead]):
            return answer(function, self._given)

    def made(self, part: Part, names: tuple[str, ...]) -> Function:
        """The wrong function that a replacement is."""
        function, board = self._formulas[part.formula]

        def changed(*args: Any, **kwargs: Any) -> Any:
            given = named(names, list(args), kwargs)
            wanted = {part.formula, *(formula for quantity in part.quantities for formula in quantity.formulas)}
            traces = [trace(f, b, given) if i in wanted else {} for i, (f, b) in enumerate(self._formulas)]
            if part.site not in traces[part.formula]:
                function(**given)  # which refuses these arguments, or does not get there
                raise Unfit
            step = traces[part.formula][part.site]
            value = step.value
            found = [fitted(q.value(given, traces), value.shape).to(value.dtype) for q in part.quantities]
            instead = part.change(value, *found)
            instead = self._filled(instead, value)
            with board.replacing(part.site, instead.unbind() if step.times else [instead]):
                return function(**given)

        return changed


@contextmanager
def _unvalidated() -> Iterator[None]:
    """Within the block, distributions take whatever parameters they get."""
    asked = Distribution._validate_args
    Distribution.set_default_validate_args(False)
    try:
        yield
    finally:
        Distribution.set_default_validate_args(asked)


def _mark(value: Any) -> Any:
    """The first numbers of a value, rounded; None where it has none, or some are NaN."""
    if isinstance(value, tuple | list):
        return tuple(map(_mark, value))
    if isinstance(value, float):
        value = torch.tensor(value, dtype=torch.float64)
    if not isinstance(value, Tensor) or not value.numel():
        return None
    numbers = value.detach().flatten()[:6].tolist()
    if any(number != number for number in numbers):
        return None
    return value.shape, *(f"{number:.8g}" for number in numbers)


class _Products(Sequence[tuple[Quantity, ...]]):
    """All pairs of some quantities, made when they are asked for."""

    def __init__(self, quantities: Sequence[Quantity]) -> None:
        self._quantities = quantities

    def __len__(self) -> int:
        return len(self._quantities) ** 2

    def __getitem__(self, index: Any) -> Any:
        return tuple(self._quantities[i] for i in divmod(index, len(self._quantities)))


def _bases(quantities: Sequence[Quantity]) -> Tensor:
    """The numbers of the one or two quantities that each is a form of, (quantities, 2)."""
    number = {quantity: i for i, quantity in enumerate(quantities)}
    plain = [(replace(q, form=0, over=None), q.over or q) for q in quantities]
    return torch.tensor([[number.get(q, i) for q in both] for i, both in enumerate(plain)])


def _other(value: Tensor, x: Tensor) -> Tensor:
    return x


def _bent(change: Callable[[Tensor], Tensor], value: Tensor, x: Tensor) -> Tensor:
    return change(x)


def _alone(value: Tensor) -> Iterator[Block]:
    for kind, change in ALONE:
        yield Block(partial(fixed, kind, change, None), change(value)[None], [()])
