"""A quantity taken apart: V is x + y, x - y, x y or x / y, or this times or plus a third quantity z.

Somebody else's formula may hold the same V in another form: (a + b) / z where one of ours has a / z + b / z, or
z + x y where ours adds in another order. So for every x and z at hand, y is what is left. Beside a z it counts where
it is at hand as well: it stands in a formula, or is the sum, difference, product or quotient of two quantities that
do. All y are looked up together, by a weighted sum of their entries.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate

import torch

from .blocks import Part
from .kinds import Finding
from .quantities import Quantity
from .ways import OPERATIONS, kind_of

Tensor = torch.Tensor
Change = Callable[..., Tensor]

ENTRIES = 24  # of a quantity, by which it is looked up
PAIRED = 40  # quantities whose sums, differences, products and quotients are at hand
THIRDS = 12  # quantities that are tried as z
MOST = 400  # ways of one kind of taking a quantity apart
MOST_NUMBERS = 2_000  # of these together
NEAR = {torch.float64: 1e-9, torch.float32: 1e-5}

# What is left of V without z, and V again.
CONTEXTS: tuple[tuple[Change, Change], ...] = (
    (lambda v, z: v, lambda w, z: w),
    (lambda v, z: -v, lambda w, z: -w),
    (lambda v, z: 1 / v, lambda w, z: 1 / w),
    (lambda v, z: v.log(), lambda w, z: w.exp()),
    (lambda v, z: v * v, lambda w, z: w.sqrt()),
    (lambda v, z: v * z, lambda w, z: w / z),
    (lambda v, z: v / z, lambda w, z: w * z),
    (lambda v, z: v - z, lambda w, z: w + z),
    (lambda v, z: z - v, lambda w, z: z - w),
)
ALONE = 5  # of these, without z
BARE = 2  # of those, where y need not be at hand
# What w is, of x and y: (operation, its two sides).
Way = tuple[str, Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]]
# y of w and x, and what w is then.
LEFT: tuple[tuple[Change, tuple[Way, ...]], ...] = (
    (
        lambda w, x: w - x,
        (
            ("Add", lambda x, y: (x, y)),
            ("Add", lambda x, y: (y, x)),
            ("Sub", lambda x, y: (x, -y)),
            ("Sub", lambda x, y: (y, -x)),
        ),
    ),
    (
        lambda w, x: w + x,
        (("Sub", lambda x, y: (y, x)), ("Add", lambda x, y: (y, -x)), ("Add", lambda x, y: (-x, y))),
    ),
    (
        lambda w, x: w / x,
        (("Mult", lambda x, y: (x, y)), ("Mult", lambda x, y: (y, x)), ("Mult", lambda x, y: (-x, -y))),
    ),
    (lambda w, x: x / w, (("Div", lambda x, y: (x, y)), ("Div", lambda x, y: (-x, -y)))),
    (lambda w, x: w * x, (("Div", lambda x, y: (y, x)), ("Div", lambda x, y: (-y, -x)))),
    (lambda w, x: w.sqrt() * x.sign(), (("Pow", lambda x, y: (y, torch.full_like(y, 2.0))),)),
)
# What may stand there instead, and beside the other operations one more or one less on the second side.
WRONG = (*OPERATIONS, "one more", "one less")


class AtHand:
    """Quantities, each a row of numbers, with the sums, differences, products and quotients of two. `bases` are the
    numbers of the one or two quantities that each is a form of.
    """

    def __init__(self, x: Tensor, bases: Tensor) -> None:
        x = x.reshape(len(x), -1)
        self._entries = torch.linspace(0, x.shape[1] - 1, min(ENTRIES, x.shape[1])).long()
        self.near, self.bases = NEAR.get(x.dtype, 1e-5), bases
        self.x = self.part(x)
        self._weights = 1 + (0.6180339887 * torch.arange(1, self.x.shape[1] + 1, dtype=torch.float64)) % 1
        few, of = self.x[:PAIRED], torch.arange(len(self.x))
        one, two = few[:, None], few[None]
        rows = torch.stack([one * two, one / two, one + two, one - two]).flatten(1, 2)
        members = torch.cartesian_prod(of[:PAIRED], of[:PAIRED])
        keys = torch.cat([self.x @ self._weights, (rows @ self._weights).flatten()]).abs()
        sums = torch.tensor([0, 0, 1, 1]).repeat_interleave(len(members))
        kinds = torch.cat([torch.full_like(of, -1), sums])
        self._table = _Table(keys, torch.cat([torch.stack([of, of], 1), members.repeat(4, 1)]), kinds)

    def part(self, rows: Tensor) -> Tensor:
        """The entries by which rows are looked up."""
        return rows[..., self._entries].double()

    def left(self, w: Tensor, z: Tensor, sums: Tensor, same: Tensor) -> Iterator[Tensor]:
        """For each of `LEFT`, which of all y, (rows of w, x), are at hand without those quantities that are the `same`
        as V. `z` and `sums` tell of each w the third quantity, -1 for none, and whether it was added.
        """
        x, weighted = self.x, w * self._weights
        keys = (w @ self._weights)[:, None], (x @ self._weights)[None]
        sizes = (w.abs() @ self._weights)[:, None], (x.abs() @ self._weights)[None]
        roots = w.sqrt() * self._weights
        looked_up = (
            (1, keys[0] - keys[1], sizes[0] + sizes[1]),
            (1, keys[0] + keys[1], sizes[0] + sizes[1]),
            (0, weighted @ (1 / x).T, weighted.abs() @ (1 / x).abs().T),
            (0, (self._weights / w) @ x.T, (self._weights / w).abs() @ x.abs().T),
            (0, weighted @ x.T, weighted.abs() @ x.abs().T),
            (-2, roots @ x.sign().T, (roots @ x.sign().abs().T)),
        )
        for added, key, size in looked_up:
            key, near = key.abs(), self.near * size
            yield self._table.find(
                key,
                near,
                lambda of, i, pair, kind, added=added: (
                    ~same[pair].any(1)
                    & ~((kind == added) & (pair == i[:, None]).any(1))  # x + (y - x), x (y / x)
                    & ~((kind == added) & (kind == sums[of]) & (pair == z[of][:, None]).any(1))
                ),
            )


class _Table:
    """Keys in order, with what each belongs to."""

    def __init__(self, keys: Tensor, members: Tensor, kinds: Tensor) -> None:
        usable = torch.isfinite(keys) & (keys > 0)
        self._keys, order = keys[usable].sort()
        self._members, self._kinds = members[usable][order], kinds[usable][order]

    def find(self, keys: Tensor, near: Tensor, counts: Callable[..., Tensor]) -> Tensor:
        """Which keys are there, (rows, columns), and belong to something that counts."""
        found = torch.zeros(keys.shape, dtype=torch.bool)
        if not len(self._keys):
            return found
        after = torch.searchsorted(self._keys, keys.nan_to_num(0.0, 0.0, 0.0).contiguous())
        for at in (after.clamp(max=len(self._keys) - 1), (after - 1).clamp(min=0)):
            of, i = (((self._keys[at] - keys).abs() <= near) & (keys > near)).nonzero().unbind(1)
            which = at[of, i]
            found[of, i] |= counts(of, i, self._members[which], self._kinds[which])
        return found


class Splits:
    """`value` taken apart in all ways that are at hand, and put together by every operation, the right one among them.
    `x` are the `quantities` in its form.
    """

    def __init__(self, value: Tensor, x: Tensor, quantities: Sequence[tuple[Quantity, ...]], at_hand: AtHand) -> None:
        self._quantities = quantities
        z = x[:THIRDS]
        self._third = [(context, i) for context in range(ALONE, len(CONTEXTS)) for i in range(len(z))]
        w = torch.cat(
            [
                torch.stack([into(value, value) for into, _ in CONTEXTS[:ALONE]]),
                *(into(value, z) for into, _ in CONTEXTS[ALONE:]),
            ]
        )
        most = min(max(MOST_NUMBERS // value.numel(), 1), MOST)
        contexts = torch.tensor([*range(ALONE), *(context for context, _ in self._third)])
        self._ways: list[tuple[int, Way]] = []  # of each part of the rows, with the rows of w and x
        self._of: list[tuple[Tensor, Tensor]] = []
        parts: list[tuple[Tensor, ...]] = []
        for left, there in enumerate(_there(value, w, at_hand)):
            of, i = there.nonzero()[:most].unbind(1)
            y = LEFT[left][0](w[of], x[i])
            for way in LEFT[left][1] if len(of) else ():
                one, two = way[1](x[i], y)
                self._ways.append((left, way))
                self._of.append((of, i))
                more = (do_wrong(way[0], name, one, two) for name in WRONG[len(OPERATIONS) :])
                parts.append((one, two, *more))
        self._starts = [0, *accumulate(len(of) for of, _ in self._of)]
        if not parts:
            self.rows = value[None][:0]
            return
        one, two, *others = map(torch.cat, zip(*parts, strict=True))
        made = torch.stack([*(do(one, two) for do in OPERATIONS.values()), *others])
        of = torch.cat([of for of, _ in self._of])
        context, third = contexts[of], (of - ALONE).clamp(min=0) % len(z)
        for number in context.unique().tolist():
            rows = context == number
            made[:, rows] = CONTEXTS[number][1](made[:, rows], z[third[rows]])
        self.rows = made.flatten(0, 1)

    def part(self, row: int, formula: int, site: int) -> Part:
        """What one of the rows is; its kind is "" where the operation is the right one."""
        wrong, which = divmod(row, self._starts[-1])
        block = bisect_right(self._starts, which) - 1
        (left, way), (of, i) = self._ways[block], self._of[block]
        at, x = (int(numbers[which - self._starts[block]]) for numbers in (of, i))
        context, third = (at, None) if at < ALONE else self._third[at - ALONE]
        quantities = self._quantities[x] + (() if third is None else self._quantities[third])
        change = _changed(context, left, way, WRONG[wrong])
        return Part(Finding(_kind(way[0], WRONG[wrong])), formula, site, quantities, change, None)


def _there(value: Tensor, w: Tensor, at_hand: AtHand) -> Iterator[Tensor]:
    """For each of `LEFT`, which of all y, (rows of w, x), count, being no mere form of the value itself."""
    v, w = (at_hand.part(rows.reshape(len(rows), -1)) for rows in (value[None], w))
    x = at_hand.x
    z, with_z = x[:THIRDS], len(CONTEXTS) - ALONE
    same = _alike(v, x, at_hand.near)[0][at_hand.bases].any(1)
    itself = torch.cat([same.expand(ALONE, -1), (same | _alike(z, x, at_hand.near)).repeat(with_z, 1)])
    itself[ALONE:] |= same[:THIRDS].repeat(with_z)[:, None]
    itself |= _alike(w, x, at_hand.near)
    third = torch.cat([torch.full((ALONE,), -1), torch.arange(len(z)).repeat(with_z)])
    added = torch.cat([torch.full((ALONE,), -1), torch.tensor([0, 0, 1, 1]).repeat_interleave(len(z))])
    for there in at_hand.left(w, third, added, same):
        there[:BARE] = True
        yield there & ~itself


def _alike(one: Tensor, other: Tensor, near: float) -> Tensor:
    """Which rows are the same up to their sign, (rows of one, rows of other)."""
    a, b = one.abs()[:, None], other.abs()[None]
    return ((a - b).abs() <= near * (a + b)).all(-1)


def _kind(right: str, wrong: str) -> str:
    if wrong == right:
        return ""
    return "constant" if wrong not in OPERATIONS else kind_of(right, wrong)


def do_wrong(right: str, wrong: str, one: Tensor, two: Tensor) -> Tensor:
    """Another operation, or the right one of another number."""
    if wrong in OPERATIONS:
        return OPERATIONS[wrong](one, two)
    return OPERATIONS[right](one, two + 1 if wrong == "one more" else two - 1)


def _changed(context: int, left: int, way: Way, wrong: str) -> Change:
    (into, back), second = CONTEXTS[context], LEFT[left][0]

    def change(value: Tensor, x: Tensor, z: Tensor | None = None) -> Tensor:
        one, two = way[1](x, second(into(value, z), x))
        return back(do_wrong(way[0], wrong, one, two), z)

    return change
