"""The law that a sampler gives to Gaussian data, from its coefficients: no sample is drawn.

The exact predictor of Gaussian data is linear in x, and every sampler here is linear in what the predictor says. So its
output is offset + gain x_T + sum_k share_k z_k, and a batch of probes finds the numbers: a row of zeros, a row with
x_T = 1, and for each draw of noise a row in which that draw alone is 1. Mean and deviation follow.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

FIRST, LAST, T = 1e-4, 0.02, 1000


def course_table(steps: int = T) -> Tensor:
    """alpha_bar (T + 1,) of the usual linear schedule, float64, with alpha_bar[0] = 1."""
    beta = torch.linspace(FIRST, LAST, steps, dtype=torch.float64)
    return torch.cat([torch.ones(1, dtype=torch.float64), torch.cumprod(1 - beta, 0)])


@dataclass
class Predictor:
    """What a perfect network would answer on data N(mean, variance), column by column; it counts its calls.

    Attributes:
        variance: (N,). mean: of every column.
    """

    variance: Tensor
    mean: float = 0.0
    calls: int = 0

    def eps(self, x: Tensor, alpha_bar: Tensor | float) -> Tensor:
        """E[eps given x = sqrt(alpha_bar) x_0 + sqrt(1 - alpha_bar) eps], (R, N) like x."""
        self.calls += 1
        a = torch.as_tensor(alpha_bar, dtype=torch.float64)
        spread = a * self.variance + 1 - a
        return ((1 - a).sqrt() * (x.double() - a.sqrt() * self.mean) / spread).to(x)

    def x0(self, y: Tensor, sigma: Tensor | float) -> Tensor:
        """E[x_0 given y = x_0 + sigma eps], (R, N) like y."""
        self.calls += 1
        s2 = torch.as_tensor(sigma, dtype=torch.float64) ** 2
        return (self.mean + self.variance / (self.variance + s2) * (y.double() - self.mean)).to(y)


class Impulses:
    """In the place of a generator: draw number k is 1 in row k + 2 and 0 elsewhere."""

    def __init__(self, rows: int) -> None:
        self.rows, self.draws = rows, 0

    def __call__(self, like: Tensor) -> Tensor:
        noise = torch.zeros_like(like)
        noise[self.draws + 2] = 1
        self.draws += 1
        return noise


Walk = Callable[[Predictor, Tensor, Impulses, int], Tensor]  # (predictor, x (R, N), noise, steps) -> x_0 (R, N)


@dataclass(frozen=True)
class Law:
    """Mean and standard deviation of what comes out, (N,) each, and the calls of the network that it took."""

    mean: Tensor
    deviation: Tensor
    calls: int


def law(walk: Walk, variance: Tensor, steps: int, mean: float = 0.0, draws: int = 0) -> Law:
    """The law of `walk`'s output for x_T ~ N(0, I), on data N(mean, variance).

    Args:
        variance: (N,). steps: what the walk calls a number of steps. draws: at most so many draws of noise.
    """
    rows = 2 + draws
    x = torch.zeros(rows, len(variance), dtype=torch.float64)
    x[1] = 1
    predictor, noise = Predictor(variance, mean), Impulses(rows)
    out = walk(predictor, x, noise, steps).double()
    return Law(out[0], (out[1:] - out[0]).square().sum(0).sqrt(), predictor.calls)


def w2(found: Law, variance: Tensor, mean: float = 0.0) -> float:
    """The 2-Wasserstein distance from the data, all columns together."""
    squares = (found.deviation - variance.sqrt()).square() + (found.mean - mean).square()
    return squares.sum().sqrt().item()
