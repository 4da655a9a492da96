"""What a step of a formula may be replaced by, many replacements at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from .kinds import Finding
from .quantities import Quantity
from .ways import Told

Tensor = torch.Tensor


@dataclass(frozen=True)
class Block:
    """Some changes, each made with each of some quantities; its rows are what a step becomes, and `change(i)` gives
    kind and function of the i-th.
    """

    change: Callable[[int], Told]
    rows: Tensor
    quantities: Sequence[tuple[Quantity, ...]]

    def part(self, row: int, formula: int, site: int) -> Part:
        """What one of the rows is."""
        which, quantity = divmod(row, len(self.quantities))
        kind, change, other = self.change(which)
        return Part(Finding(kind), formula, site, self.quantities[quantity], change, other)


@dataclass(frozen=True)
class Part:
    """A step of a formula replaced: by `change` of itself, or of it and a quantity."""

    finding: Finding
    formula: int
    site: int
    quantities: tuple[Quantity, ...]
    change: Callable[..., Tensor]
    other: Callable[..., Tensor] | None  # what has to be at hand as well
