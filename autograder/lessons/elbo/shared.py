"""What the checks of several exercises of 01-elbo share."""

from __future__ import annotations

import torch


def distribution(case, *shape):
    """Random tables that sum to 1 over the last axis, all entries positive and different."""
    return (1.2 * case.normal(*shape)).softmax(-1)


def with_zeros(table, *places):
    """The same distribution with these entries impossible."""
    table = table.clone()
    table[list(places)] = 0
    return table / table.sum()


def with_rare(table, place):
    """The same distribution with an entry of one in a million, where a small constant in a logarithm always shows."""
    table = table.clone()
    table[place] = 1e-6
    return table / table.sum()


def covariance(case, size):
    """A random covariance (size, size) with eigenvalues between 0.4 and 2.5, which float32 can invert."""
    axes, _ = torch.linalg.qr(case.normal(size, size))
    values = case.uniform(size, low=0.4, high=2.5)
    return (axes * values) @ axes.T


def under(q, values):
    """The sum of q times values, where q = 0 counts 0 whatever the value."""
    return torch.where(q > 0, q * values, torch.zeros_like(q)).sum()
