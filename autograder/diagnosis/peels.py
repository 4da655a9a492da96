"""Right operations peeled off a quantity V and off what it must have been, V', alike.

What is left of both is looked at by `explaining`: in the end a wrong operation has one of its sides at hand, as a
quantity of a right formula or made of two such.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from .ways import OPERATIONS

Tensor = torch.Tensor
Change = Callable[..., Tensor]
Inside = Callable[[Tensor, Sequence[Tensor]], Tensor]  # v' of v and the quantities that make A

PAIRED = 40  # quantities of which two make a third
OUTER, INNER, AROUND = 40, 8, 6  # quantities peeled off alone, two at a time, and beside a function
APART = 1e-4  # share of themselves by which v and v' differ
MADE = ("Mult", "Div", "Add", "Sub")

# What is left of V, and V again.
PEELS: tuple[tuple[Change, Change], ...] = (
    (lambda v, z: v - z, lambda w, z: w + z),
    (lambda v, z: z - v, lambda w, z: z - w),
    (lambda v, z: v / z, lambda w, z: w * z),
    (lambda v, z: v * z, lambda w, z: w / z),
)
BENDS: tuple[tuple[Change, Change], ...] = (
    (lambda v: v, lambda w: w),
    (lambda v: -v, lambda w: -w),
    (lambda v: 1 / v, lambda w: 1 / w),
    (lambda v: v.log(), lambda w: w.exp()),
    (lambda v: v.exp(), lambda w: w.log()),
    (lambda v: v * v, lambda w: w.sqrt()),
    (lambda v: v.sqrt(), lambda w: w * w),
)


@dataclass(frozen=True)
class Way:
    """How V may have become V': the kind of mistake, the quantities that takes, and V' of V and these."""

    kind: str
    quantities: tuple[int, ...]
    change: Change


class AtHand:
    """Quantities at hand, each a row of numbers, and those made of two, in the order of the first of two `probes`."""

    def __init__(self, x: Tensor, probes: tuple[int, int], near: float) -> None:
        self.x, self.probes, self.near = x, list(probes), near
        seen = x[:, self.probes]
        few, numbers = seen[:PAIRED], torch.arange(len(seen))
        pairs = torch.cartesian_prod(numbers[:PAIRED], numbers[:PAIRED])
        rows = torch.cat([seen, *(OPERATIONS[name](few[:, None], few[None]).flatten(0, 1) for name in MADE)])
        members = torch.cat([torch.stack([numbers, numbers], 1), pairs.repeat(len(MADE), 1)])
        made = torch.cat([torch.full_like(numbers, -1), torch.arange(len(MADE)).repeat_interleave(len(pairs))])
        order = rows[:, 0].abs().argsort(stable=True)
        rows, members, made = rows[order], members[order], made[order]
        new = torch.ones(len(rows), dtype=torch.bool)
        new[1:] = ((rows[1:].abs() - rows[:-1].abs()).abs() > 1e-11 * rows[1:].abs()).any(1)
        kept = new & torch.isfinite(rows).all(1) & (rows != 0).all(1)
        self.rows, self._members, self._made = rows[kept], members[kept], made[kept]
        self._keys = self.rows[:, 0].abs().contiguous()

    def find(self, wanted: Tensor) -> tuple[Tensor, Tensor]:
        """(number of what is wanted, row that is it up to its sign), by one entry."""
        size = wanted.abs().nan_to_num(0.0, 0.0, 0.0)
        after = torch.searchsorted(self._keys, size)
        hits = []
        for at in (after.clamp(max=len(self._keys) - 1), (after - 1).clamp(min=0)):
            of = ((self._keys[at] - size).abs() <= self.near * size).nonzero().flatten()
            hits.append(torch.stack([of, at[of]]))
        of, row = torch.cat(hits, 1)
        return of, row

    def made(self, row: int) -> tuple[tuple[int, ...], Callable[[Sequence[Tensor]], Tensor]]:
        """The quantities of a row, and what it is of these."""
        one, two = self._members[row].tolist()
        made = int(self._made[row])
        if made < 0:
            return (one,), lambda left: left[0]
        return (one, two), lambda left: OPERATIONS[MADE[made]](left[0], left[1])


class Peels:
    """V and V' peeled in all ways, two entries of them. A row of `how` is (outer quantity, which of PEELS, which of
    BENDS, inner quantity, which of PEELS), -1 for no quantity.
    """

    def __init__(self, v: Tensor, w: Tensor, at_hand: AtHand) -> None:
        both, seen = torch.stack([v, w]), at_hand.x[:, at_hand.probes]
        how: list[Tensor] = []
        made: list[Tensor] = []

        def keep(values: Tensor, *parts: Tensor | int) -> None:
            made.append(values)
            how.append(torch.stack([torch.as_tensor(part).expand(values.shape[1]) for part in parts], 1))

        outer, inner, around = (torch.arange(min(most, len(seen))) for most in (OUTER, INNER, AROUND))
        one, two = torch.cartesian_prod(inner, inner).unbind(1)
        for bend, (into, _) in enumerate(BENDS):
            bent = into(both)[:, None]
            keep(bent, -1, 0, bend, -1, 0)
            for by, (peel, _) in enumerate(PEELS):
                if bend:
                    keep(into(peel(both[:, None], seen[around])), around, by, bend, -1, 0)
                    keep(peel(bent, seen[around]), -1, 0, bend, around, by)
                    continue
                keep(peel(bent, seen[outer]), outer, by, 0, -1, 0)
                for then, (again, _) in enumerate(PEELS):
                    keep(again(peel(bent, seen[one]), seen[two]), one, by, 0, two, then)
        self.how, (self.v, self.w) = torch.cat(how), torch.cat(made, 1)
        apart = (self.v - self.w).abs() > APART * (self.v.abs() + self.w.abs())  # else anything would explain it
        usable = torch.isfinite(self.v).all(1) & torch.isfinite(self.w).all(1) & apart.all(1)
        self.how, self.v, self.w = self.how[usable], self.v[usable], self.w[usable]
        self.bare = (self.how[:, 0] < 0) & (self.how[:, 3] < 0)
        self.once = self.bare | ((self.how[:, 3] < 0) & (self.how[:, 2] == 0))

    def way(self, number: int, kind: str, inside: Inside, more: tuple[int, ...] = ()) -> Way:
        """What follows from v' being `inside` of v and of some `more` quantities, peeled in this way."""
        outer, by, bend, inner, then = self.how[number].tolist()
        peeled = tuple(z for z in (outer, inner) if z >= 0)

        def change(value: Tensor, *given: Tensor) -> Tensor:
            z, left = given[: len(peeled)], given[len(peeled) :]
            v = PEELS[by][0](value, z[0]) if outer >= 0 else value
            v = BENDS[bend][0](v)
            w = inside(v, left) if inner < 0 else PEELS[then][1](inside(PEELS[then][0](v, z[-1]), left), z[-1])
            w = BENDS[bend][1](w)
            return PEELS[by][1](w, z[0]) if outer >= 0 else w

        return Way(kind, (*peeled, *more), change)
