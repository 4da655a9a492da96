"""What the checks of 07-score share: functions that remember what they were asked, levels, and mistakes."""

from __future__ import annotations

import torch

FRESH = (
    "new noise is drawn inside",
    "The noise is an argument: use the one you are given, and the same call always gives the same answer.",
)
ONE_LEVEL = (
    "one level for the whole batch",
    "Every example has its own level. Use the whole tensor (B,), not its first entry.",
)
AXIS = (
    "a coefficient meets the wrong axis",
    "A coefficient of shape (B,) is matched with the LAST axis of the data. Give it trailing axes first, (B, 1, ..., "
    "1), so that each example meets its own.",
)
NO_GRADIENT = (
    "no gradient reaches the model",
    "The value is right, but the model's answer was cut off from the graph (no_grad, detach, .item()), so there is "
    "nothing that training could follow.",
)


class Noted:
    """A function of a place and a level or time, which remembers every pair that it was asked about.

    Whatever form the second has, it answers, so that a walk which asks wrongly goes on to its end; what was asked is
    compared afterwards.
    """

    def __init__(self, function):
        self.function = function
        self.calls: list[tuple] = []

    def __call__(self, x, when):
        self.calls.append((x, when))
        level = torch.as_tensor(when).double().flatten()
        if len(level) != len(x):
            level = level[:1].expand(len(x))
        made = self.function(x.double(), level.reshape(-1, *[1] * (x.ndim - 1)))
        return tuple(part.to(x.dtype) for part in made) if isinstance(made, tuple) else made.to(x.dtype)


def sizes_of_noise(case, count):
    """sigma (count,), each between 0.3 and 2.5."""
    return case.uniform(count, low=0.3, high=2.5)


def uneven(case, steps, first=0.0, last=1.0):
    """steps + 1 times from `first` to `last`, no two steps alike."""
    ends = case.uniform(steps, low=0.4, high=1.6).cumsum(0)
    return torch.cat([torch.tensor([first], dtype=torch.float64), first + (last - first) * ends / ends[-1]])
