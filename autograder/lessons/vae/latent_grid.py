"""A map of the latent plane: `latent_grid`."""

from __future__ import annotations

import math
from statistics import NormalDist

import torch
from torch.distributions import Normal

from ...exercise import exercise


@exercise("latent_grid", points=1)
def latent_grid(student, case):
    """(n*n, 2), entry i*n + j = (Phi^-1((j + .5)/n), Phi^-1((i + .5)/n)), float32."""
    n = case.integer(4, 8)
    case.expect(student(n), latent_grid.oracle(n), "every point of the grid", points=0.5, atol=1e-5)
    case.expect(
        [student(1), student(2), student(60)],  # no floor under the outermost quantile
        [latent_grid.oracle(1), latent_grid.oracle(2), latent_grid.oracle(60)],
        "the smallest grids, float32",
        points=0.5,
        atol=1e-5,
        dtype=True,
    )


@latent_grid.truth
def truth(n):
    ticks = [NormalDist().inv_cdf((i + 0.5) / n) for i in range(n)]
    return torch.tensor([[ticks[j], ticks[i]] for i in range(n) for j in range(n)], dtype=torch.float32)


def _grid(ticks, indexing="ij"):
    second, first = torch.meshgrid(ticks, ticks, indexing=indexing)
    return torch.stack([first, second], dim=-1).reshape(-1, 2).float()


def _ticks(n):
    return Normal(0.0, 1.0).icdf((torch.arange(n) + 0.5) / n)


@latent_grid.misconception(
    "the two coordinates change places",
    hint="The first coordinate varies fastest: it belongs to j, the column of the picture; the second belongs to the "
    "row i.",
)
def two_coordinates_change_places(n):
    return _grid(_ticks(n)).flip(-1)


@latent_grid.misconception(
    "evenly spaced points",
    hint="Even steps in z ignore where the prior puts its mass. Take even steps in probability and map them through "
    "Phi^-1.",
)
def evenly_spaced_points(n):
    return _grid(torch.linspace(-2, 2, n))


@latent_grid.misconception(
    "the probabilities are not mapped through Phi^-1",
    hint="(i + .5)/n are probabilities between 0 and 1; Phi^-1 turns them into quantiles of the standard normal.",
)
def probabilities_are_not_mapped_through_phi(n):
    return _grid((torch.arange(n) + 0.5) / n)


@latent_grid.misconception(
    "quantiles at the ends of the intervals",
    hint="Phi^-1(0) is -inf, Phi^-1(1) is +inf. Take the middle of each of the n intervals, (i + .5)/n.",
)
def quantiles_at_ends_of_intervals(n):
    return _grid(Normal(0.0, 1.0).icdf(torch.linspace(0, 1, n)))


@latent_grid.misconception(
    "quantiles at (i + 1)/(n + 1)",
    hint="Those points are symmetric too, but the specification takes the middles (i + .5)/n of n equal intervals.",
)
def quantiles_at_i_plus_1_over_n_plus_1(n):
    return _grid(Normal(0.0, 1.0).icdf((torch.arange(n) + 1) / (n + 1)))


@latent_grid.misconception(
    "the rows run downwards",
    hint="Row i = 0 has the smallest second coordinate. Turning the picture upside down is the plot's business.",
)
def rows_run_downwards(n):
    first, second = _grid(_ticks(n)).unbind(-1)
    return torch.stack([first, -second], dim=-1)


@latent_grid.misconception(
    "a grid of shape (n, n, 2)",
    hint="The decoder takes a batch of codes: flatten the grid to (n*n, 2), row after row.",
)
def grid_of_shape_n_n_2(n):
    return _grid(_ticks(n)).reshape(n, n, 2)


@latent_grid.alternative("cartesian product")
def cartesian_product(n):
    return torch.cartesian_prod(_ticks(n), _ticks(n)).flip(1)


@latent_grid.alternative("the inverse error function")
def inverse_error_function(n):
    p = torch.arange(0.5, n) / n
    return _grid(math.sqrt(2) * torch.erfinv(2 * p - 1))


@latent_grid.alternative("two loops in double precision")
def two_loops_in_double_precision(n):
    grid = torch.empty(n * n, 2)
    for i in range(n):
        for j in range(n):
            p = torch.tensor([j + 0.5, i + 0.5], dtype=torch.float64) / n
            grid[i * n + j] = torch.special.ndtri(p)
    return grid
