"""Distributions small enough to list: the exact truth about pixels that depend on each other.

A joint table of n variables has one axis for each, in raster order (row by row, left to right), and sums to 1. Tables
are float64 on the CPU, whatever torch's default is.
"""

import itertools
import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

KINDS = ("full", "plain", "quadrant", "row", "none")


def all_states(shape: Sequence[int]) -> Tensor:
    """Every index of a table of this shape: LongTensor (product of shape, n), the last variable running fastest.

    Example:
        `all_states([2] * 6).reshape(-1, 2, 3)` are the 64 binary images of 2x3 pixels.
    """
    if not shape or min(shape) < 1:
        raise ValueError(f"all_states: shape={tuple(shape)}; expected at least one axis, each of length 1 or more")
    return torch.cartesian_prod(*map(torch.arange, shape)).reshape(-1, len(shape))


def ising(height: int, width: int, coupling: float, field: float = 0.0) -> Tensor:
    """The Ising model on a grid as a joint table, shape (2,) * (height * width) (Ising, 1925).

        p(x) ~ exp(J sum_{neighbours} s_i s_j + b sum_i s_i),   s = 2 x - 1

    Args:
        coupling: J, above 0 where neighbours like to be equal.
        field: b, above 0 where pixels like to be 1.
    """
    spins = (2 * _binary(height, width) - 1).double()
    bonds = (spins[:, 1:] * spins[:, :-1]).sum((1, 2)) + (spins[:, :, 1:] * spins[:, :, :-1]).sum((1, 2))
    weights = torch.softmax(coupling * bonds + field * spins.sum((1, 2)), 0)
    return weights.reshape([2] * (height * width))


def copy_process(height: int, width: int, shift: int, flip: float = 0.1) -> Tensor:
    """Binary images that copy the row above, as a joint table, shape (2,) * (height * width).

    Pixel (r, c) equals pixel (r - 1, c + shift), flipped with probability `flip`; it is a fair coin where there is no
    such pixel. Of the earlier pixels only that one tells anything about it.
    """
    x = _binary(height, width)
    parents = 0 <= shift < width
    log_p = torch.full((len(x),), width * math.log(0.5), dtype=torch.float64)  # the top row
    for r, c in itertools.product(range(1, height), range(width)):
        if parents and c + shift < width:
            same = x[:, r, c] == x[:, r - 1, c + shift]
            log_p += torch.where(same, math.log1p(-flip), math.log(flip))
        else:
            log_p += math.log(0.5)
    return log_p.exp().reshape([2] * (height * width))


def seen(height: int, width: int, kind: str, reach: int = 1) -> list[list[int]]:
    """For each pixel, in raster order, the numbers of the earlier pixels that it sees.

    Args:
        kind: "full" all of them; "none"; "row" those of its own row; "quadrant" those neither below nor to the right,
            as in a recurrence from the left and from above; "plain" what any number of plainly masked convolutions
            reach: up to `reach` columns to the right for every row upwards.
    """
    rule: dict[str, Callable[[int, int], bool]] = {
        "full": lambda up, right: True,
        "plain": lambda up, right: right <= reach * up,
        "quadrant": lambda up, right: right <= 0,
        "row": lambda up, right: up == 0,
        "none": lambda up, right: False,
    }
    if kind not in rule:
        raise ValueError(f"seen: kind={kind!r}; expected one of {', '.join(KINDS)}")
    places = list(itertools.product(range(height), range(width)))
    return [[m for m, (i, j) in enumerate(places[:n]) if rule[kind](r - i, j - c)] for n, (r, c) in enumerate(places)]


def _binary(height: int, width: int) -> Tensor:
    """All binary images of this size, (2^(height width), height, width)."""
    if height * width > 20:
        raise ValueError(f"{height}x{width}: 2^{height * width} images are too many to list; take at most 20 pixels")
    return all_states([2] * (height * width)).reshape(-1, height, width)
