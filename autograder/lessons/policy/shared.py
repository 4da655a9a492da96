"""What the checks of 10-policy share: networks in which every entry hears its neighbour, and mistakes.

A network that answers entry by entry could not tell a plan whose known entries are noisy from one whose known entries
are clean, nor padding that is noised from padding that is not.
"""

from __future__ import annotations

import torch

from ...student import Failure
from ..diffusion import along

FRESH = (
    "new noise is drawn inside",
    "The noise is an argument: use the one you are given, and the same call always gives the same answer.",
)
NO_GRADIENT = (
    "no gradient reaches the model",
    "The value is right, but the model's answer was cut off from the graph (no_grad, detach, .item()), so there is "
    "nothing that training could follow.",
)
ROOTS = (
    "the roots are missing",
    "alpha_bar_t and 1 - alpha_bar_t are shares of variance; the factors are their roots.",
)

# A network that is its own weights, a tensor that can be called: so a loss can be differentiated with respect to it.
TRAINED = """
class Weights(torch.Tensor):
    def __call__(self, x, t, obs=None):
        a, b, c = self.as_subclass(torch.Tensor).to(x.dtype)
        flat = x.reshape(len(x), -1)
        seen = flat.new_zeros(len(x), 1) if obs is None else obs.to(x.dtype).sum(1, keepdim=True)
        made = a * flat + b * flat.roll(1, 1) ** 2 + c * (t.reshape(-1, 1).to(x.dtype) / 10 + seen)
        return made.reshape(x.shape)

model = torch.tensor({weights}, dtype=torch.float64).as_subclass(Weights)
"""


def trained(a, b, c):
    """What the network of `TRAINED` computes with these weights, here."""

    def model(x, t, obs=None):
        flat = x.reshape(len(x), -1)
        seen = 0.0 if obs is None else obs.to(x.dtype).sum(1, keepdim=True)
        made = a * flat + b * flat.roll(1, 1) ** 2 + c * (t.reshape(-1, 1).to(x.dtype) / 10 + seen)
        return made.reshape(x.shape)

    return model


class Coupled:
    """A network (x, t) -> eps, or (x, t, obs) -> eps, that remembers what it was asked.

    Whatever form t and obs have, it answers, so that somebody who asks wrongly goes on to the end; what was asked is
    compared afterwards.
    """

    def __init__(self):
        self.calls: list[tuple] = []

    def __call__(self, x, t, obs=None):
        self.calls.append((x, t) if obs is None else (x, t, obs))
        flat = x.double().reshape(len(x), -1)
        when, seen = self._number(t, len(x)), self._number(obs, len(x))
        made = 0.5 * (flat * (1 + when / 8)).sin() + 0.3 * flat.roll(1, 1) + 0.1 * when + (1.3 * seen).sin()
        return made.reshape(x.shape).to(x.dtype)

    @staticmethod
    def _number(value, count):
        """One number for each example, (count, 1)."""
        if value is None:
            return torch.zeros(count, 1, dtype=torch.float64)
        rows = torch.as_tensor(value).double()
        rows = rows.reshape(count, -1) if rows.ndim and len(rows) == count else rows.reshape(1, -1)
        return (rows * torch.arange(1, rows.shape[1] + 1)).sum(1, keepdim=True).expand(count, 1)

    def asked(self, result):
        """[[x, ...], [t, ...], ...] of all calls, or the Failure in which they ended."""
        return result if isinstance(result, Failure) else [list(part) for part in zip(*self.calls, strict=False)]


def noised(x0, t, eps, alpha_bar):
    """x_0 at each example's level."""
    level = along(alpha_bar[t], x0)
    return level.sqrt() * x0 + (1 - level).sqrt() * eps


def exactly_noised(x0, t, eps, alpha_bar):
    """The same, example by example with Python's numbers, in float64."""
    levels = [float(alpha_bar[int(time)]) for time in t]
    rows = zip(levels, x0.double(), eps.double(), strict=True)
    return torch.stack([level**0.5 * x + (1 - level) ** 0.5 * e for level, x, e in rows])


def squared_error(guess, target):
    """The mean of (guess - target)^2, as twice what the log-density under N(guess, 1) falls short of its peak."""
    around = torch.distributions.Normal(guess, torch.ones_like(guess))
    return 2 * (around.log_prob(guess) - around.log_prob(target)).sum() / target.numel()
