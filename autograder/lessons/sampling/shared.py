"""What the checks of several exercises of 06-sampling share."""

from __future__ import annotations

from ..diffusion import times_among


def times(case, steps, count, first=1):
    """`count` >= 4 times in random order: `first`, the one after it, a middle one and T among them."""
    return times_among(case, steps, count, first, first + 1, (steps + 3) // 2)


CLIPPED = (
    "x_0 is clipped",
    "You clamped the predicted x_0 to [-1, 1]. Code for images often does, but it is no part of the formula: data "
    "need not live in that range, and nothing is clipped here.",
)
FRESH = (
    "new noise is drawn inside",
    "The noise is an argument: use the one you are given, and the same call always gives the same answer.",
)
