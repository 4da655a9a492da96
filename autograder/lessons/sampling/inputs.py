"""What the checks of 06-sampling have in common: uneven schedules, times, the posterior, exact denoisers."""

from __future__ import annotations

import torch

from ...student import Failure
from ..posterior.inputs import along


def times(case, steps, count, first=1):
    """`count` >= 4 times in random order: `first`, the one after it, a middle one and T among them."""
    drawn = [first, first + 1, (steps + 3) // 2, steps, *(case.integer(first, steps) for _ in range(count - 4))]
    return torch.tensor(drawn)[torch.randperm(count, generator=case.generator)]


def clean(xt, eps, t, alpha_bar):
    """The x_0 that eps points to, in float64."""
    level = along(alpha_bar.double()[t], xt)
    return xt.double() / level.sqrt() - (1 / level - 1).sqrt() * eps.double()


class Denoiser:
    """The best eps for data from N(mean, spread), exact, which remembers every (x_t, t) that it was asked for.

    Whatever form t has, it answers, so that a walk which asks wrongly goes on to its end; what was asked is compared
    afterwards.
    """

    def __init__(self, alpha_bar, mean, spread):
        self.alpha_bar, self.mean, self.spread = alpha_bar.double(), mean, spread
        self.calls: list[tuple] = []

    def __call__(self, x, t):
        self.calls.append((x, t))
        steps = torch.as_tensor(t).long().flatten().clamp(0, len(self.alpha_bar) - 1)
        level = along(self.alpha_bar[steps], x)
        noise = (1 - level).sqrt() * (x.double() - level.sqrt() * self.mean)
        return (noise / (level * self.spread + 1 - level)).to(x.dtype)


def asked(model, result):
    """([x_t, ...], [t, ...]) of all calls of a `Denoiser`, or twice the Failure in which the walk ended."""
    if isinstance(result, Failure):
        return result, result
    return [x for x, _ in model.calls], [t for _, t in model.calls]


CLIPPED = (
    "x_0 is clipped",
    "You clamped the predicted x_0 to [-1, 1]. Code for images often does, but it is no part of the formula: data "
    "need not live in that range, and nothing is clipped here.",
)
FRESH = (
    "new noise is drawn inside",
    "The noise is an argument: use the one you are given, and the same call always gives the same answer.",
)
