"""Every sampler at every number of steps: errors, orders, winners."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from .gaussian import Law, law, w2
from .lineup import SAMPLERS, Sampler

VARIANCES = (0.04, 0.25, 1.0, 4.0)
STEPS = (5, 6, 8, 9, 10, 11, 13, 15, 18, 20, 21, 25, 26, 30, 40, 41, 50, 80, 100, 140, 200, 400, 800)
BUDGETS = (10, 20, 50)
GRID = tuple(torch.logspace(-2, math.log10(4), 27, dtype=torch.float64).tolist())
_ONE = torch.ones(1, dtype=torch.float64)


@dataclass(frozen=True)
class Run:
    """One sampler at one number of steps.

    Attributes:
        errors: relative errors of the deviation on N(0, variance), one for each of VARIANCES.
        mean: of the output on N(1, 1); NaN beyond the largest of BUDGETS.
        digits: W2 from the digits' Gaussian, 64 variances at once, over the root of their sum: a relative error.
        grid: relative errors of the deviation on N(0, variance) for each of GRID.
    """

    steps: int
    calls: int
    errors: tuple[float, ...]
    mean: float
    digits: float
    grid: tuple[float, ...]


def digit_variances() -> Tensor:
    """Eigenvalues of the covariance of the 1,437 training digits in [-1, 1], dequantised: + 1 / (3 * 16^2)."""
    from course_lib import data

    pixels = data.digits("train", range=(-1, 1)).cpu().double()
    return torch.linalg.eigvalsh(torch.cov(pixels.T)).clamp(min=0) + 1 / 768


def runs_of(sampler: Sampler, digits: Tensor, steps: Iterable[int] = STEPS) -> list[Run]:
    """The sampler at each number of steps that it accepts, up to its own limit."""
    few = torch.tensor(VARIANCES, dtype=torch.float64)
    grid, found = torch.tensor(GRID, dtype=torch.float64), []
    every = torch.cat([few, grid, digits])
    for n in (n for n in steps if n <= sampler.most):
        draws = (n + 1) * sampler.draws
        try:
            all_at_once = law(sampler.walk, every, n, draws=draws)
            mean = law(sampler.walk, _ONE, n, mean=1.0, draws=draws).mean.item() if n <= max(BUDGETS) else math.nan
        except (ValueError, IndexError):  # PNDM below 4 steps, and the like
            continue
        relative = (all_at_once.deviation / every.sqrt() - 1).tolist()
        apart = w2(Law(all_at_once.mean[-len(digits) :], all_at_once.deviation[-len(digits) :], 0), digits)
        errors, rest = tuple(relative[: len(few)]), tuple(relative[len(few) : -len(digits)])
        found.append(Run(n, all_at_once.calls, errors, mean, apart / digits.sum().sqrt().item(), rest))
    return found


def everything() -> dict[tuple[str, str], list[Run]]:
    """All samplers, by library and name."""
    digits = digit_variances()
    return {(sampler.library, sampler.name): runs_of(sampler, digits) for sampler in SAMPLERS}


def within(runs: list[Run], budget: int) -> Run | None:
    """The run with the most calls that the budget allows; more than three fifths of it must be used."""
    fitting = [run for run in runs if 0.6 * budget < run.calls <= budget]
    return max(fitting, key=lambda run: run.calls, default=None)


def order(runs: list[Run], column: int, low: int = 80, high: int = 500) -> float:
    """The slope of log error against log calls between `low` and `high` calls, with its sign turned."""
    points = [(math.log(r.calls), math.log(abs(r.errors[column]) + 1e-300)) for r in runs if low <= r.calls <= high]
    xs = [x for x, _ in points]
    middle = sum(xs) / len(xs)
    return -sum((x - middle) * y for x, y in points) / sum((x - middle) ** 2 for x in xs)


def end(runs: list[Run], column: int) -> float:
    """The error at the most calls tried."""
    return max(runs, key=lambda run: run.calls).errors[column]


def ranking(results: dict[tuple[str, str], list[Run]], budget: int, value: Any) -> list[tuple[float, tuple[str, str]]]:
    """Samplers from the best on, by the size of `value(run)` within the budget."""
    found = [(abs(value(run)), key) for key, runs in results.items() if (run := within(runs, budget))]
    return sorted(found)
