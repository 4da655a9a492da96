"""What the hidden checks of 01-elbo draw."""

from __future__ import annotations

import torch

LESSON = "01-elbo"


def distribution(case, *shape):
    """Random tables that sum to 1 over the last axis, all entries positive and different."""
    return (1.2 * case.normal(*shape)).softmax(-1)


def with_zeros(table, *places):
    """The same distribution with these entries impossible."""
    table = table.clone()
    table[list(places)] = 0
    return table / table.sum()


def covariance(case, size):
    """A random covariance (size, size) with eigenvalues between 0.4 and 2.5, which float32 can invert."""
    axes, _ = torch.linalg.qr(case.normal(size, size))
    values = case.uniform(size, low=0.4, high=2.5)
    return (axes * values) @ axes.T
