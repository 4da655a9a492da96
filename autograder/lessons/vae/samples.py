"""What a trained VAE is used for: a tighter bound, a map of the latent plane, walks along one latent."""

from __future__ import annotations

import math
from statistics import NormalDist

import torch
from torch.distributions import Normal

from ...exercise import exercise

LESSON = "02-vae"


# ---- iwae_bound


@exercise("iwae_bound", points=2)
def iwae_bound(student, case):
    """log (1/K) sum_k p(x|z_k) p(z_k) / q(z_k|x), (K, B) three times -> (B,), stable."""
    truth = iwae_bound.oracle
    samples, batch = case.sizes(2, low=3)
    given = [case.normal(samples, batch) * scale + shift for scale, shift in ((2, -6), (1, -3), (1, -2))]
    case.expect(student(*given), truth(*given), "value", points=0.75)
    low = [given[0] - 1.2e4, given[1], given[2]]
    high = [given[0], given[1], given[2] - 2e3]
    case.expect(
        [student(*low), student(*high)],
        [truth(*low), truth(*high)],
        "weights that exp cannot hold, too small and too large",
        points=0.5,
        rtol=1e-10,
        hint="stay with logarithms: torch.logsumexp takes the largest weight out before the exponential",
    )
    single = [tensor[:1] for tensor in given]
    column = [tensor[:, :1] for tensor in given]
    case.expect(
        [student(*single), student(*column)],
        [single[0][0] + single[1][0] - single[2][0], truth(*column)],
        "one sample gives the one-sample ELBO; one example",
        points=0.25,
    )
    case.conventions(student, given, truth, points=0.5)


@iwae_bound.truth
def _(log_px_given_z, log_pz, log_qz):
    bounds = []
    for column in (log_px_given_z + log_pz - log_qz).T.tolist():
        largest = max(column)
        bounds.append(largest + math.log(math.fsum(math.exp(w - largest) for w in column) / len(column)))
    return torch.tensor(bounds, dtype=log_pz.dtype)


@iwae_bound.misconception(
    "the mean of the logarithms",
    hint="That is the ELBO. IWAE takes the logarithm last: first the mean of the weights, then the logarithm.",
)
def _(log_px_given_z, log_pz, log_qz):
    return (log_px_given_z + log_pz - log_qz).mean(0)


@iwae_bound.misconception(
    "log K is missing",
    hint="logsumexp gives the logarithm of a sum; a mean also divides by K. Without - log K the 'bound' exceeds log "
    "p(x).",
)
def _(log_px_given_z, log_pz, log_qz):
    return torch.logsumexp(log_px_given_z + log_pz - log_qz, dim=0)


@iwae_bound.misconception(
    "divided by K after the logarithm",
    hint="The mean of the weights is inside the logarithm: log (S / K) = log S - log K, not (log S) / K.",
)
def _(log_px_given_z, log_pz, log_qz):
    return torch.logsumexp(log_px_given_z + log_pz - log_qz, dim=0) / len(log_pz)


@iwae_bound.misconception(
    "the logarithm of the batch size is subtracted",
    hint="K counts the samples, along the first axis; the second axis holds the B images.",
)
def _(log_px_given_z, log_pz, log_qz):
    return torch.logsumexp(log_px_given_z + log_pz - log_qz, dim=0) - math.log(log_pz.shape[1])


@iwae_bound.misconception(
    "averaged over the batch instead of the samples",
    hint="The samples z_k stand along the first axis. Average there and return one bound per example.",
)
def _(log_px_given_z, log_pz, log_qz):
    log_w = log_px_given_z + log_pz - log_qz
    return torch.logsumexp(log_w, dim=1) - math.log(log_w.shape[1])


@iwae_bound.misconception(
    "the exponential without care",
    hint="exp(-12000) is 0 in floating point, and its logarithm -inf. torch.logsumexp does the same sum safely.",
)
def _(log_px_given_z, log_pz, log_qz):
    return torch.exp(log_px_given_z + log_pz - log_qz).mean(0).log()


@iwae_bound.misconception(
    "log q is added",
    hint="The weight is p(x|z) p(z) / q(z|x): the density that z was drawn from divides.",
)
def _(log_px_given_z, log_pz, log_qz):
    log_w = log_px_given_z + log_pz + log_qz
    return torch.logsumexp(log_w, dim=0) - math.log(len(log_w))


@iwae_bound.misconception(
    "the prior is missing",
    hint="The weight is p(x, z) / q(z|x), and p(x, z) = p(x|z) p(z).",
)
def _(log_px_given_z, log_pz, log_qz):
    log_w = log_px_given_z - log_qz
    return torch.logsumexp(log_w, dim=0) - math.log(len(log_w))


@iwae_bound.misconception(
    "prior and posterior change places",
    hint="The weight is p(x|z) p(z) / q(z|x): the prior multiplies, q divides.",
)
def _(log_px_given_z, log_pz, log_qz):
    log_w = log_px_given_z + log_qz - log_pz
    return torch.logsumexp(log_w, dim=0) - math.log(len(log_w))


@iwae_bound.misconception(
    "only the likelihood is averaged",
    hint="You took the KL out of the logarithm. Each sample carries its own whole weight, log p(x|z_k) + log p(z_k) - "
    "log q(z_k|x), and the mean runs over those.",
)
def _(log_px_given_z, log_pz, log_qz):
    likelihood = torch.logsumexp(log_px_given_z, dim=0) - math.log(len(log_pz))
    return likelihood + (log_pz - log_qz).mean(0)


@iwae_bound.misconception(
    "averaged over the batch as well",
    hint="Return one bound per example, shape (B,): average over the samples z_k alone.",
)
def _(log_px_given_z, log_pz, log_qz):
    log_w = log_px_given_z + log_pz - log_qz
    return (torch.logsumexp(log_w, dim=0) - math.log(len(log_w))).mean()


@iwae_bound.misconception(
    "the sign is reversed",
    hint="Return the bound itself, a lower bound of log p(x), not the loss.",
)
def _(log_px_given_z, log_pz, log_qz):
    log_w = log_px_given_z + log_pz - log_qz
    return math.log(len(log_w)) - torch.logsumexp(log_w, dim=0)


@iwae_bound.alternative("logsumexp")
def _(log_px_given_z, log_pz, log_qz):
    log_w = log_px_given_z + log_pz - log_qz
    return torch.logsumexp(log_w, dim=0) - math.log(log_w.shape[0])


@iwae_bound.alternative("the largest weight taken out by hand")
def _(log_px_given_z, log_pz, log_qz):
    log_w = log_px_given_z + log_pz - log_qz
    top, _ = log_w.max(dim=0)
    return top + torch.log(torch.mean(torch.exp(log_w - top), dim=0))


@iwae_bound.alternative("logaddexp, sample by sample")
def _(log_px_given_z, log_pz, log_qz):
    total = torch.full_like(log_pz[0], -torch.inf)
    for k in range(log_pz.shape[0]):
        total = torch.logaddexp(total, log_px_given_z[k] + log_pz[k] - log_qz[k])
    return total - torch.tensor(float(log_pz.shape[0]), dtype=total.dtype).log()


# ---- latent_grid


@exercise("latent_grid", points=1)
def latent_grid(student, case):
    """(n*n, 2), entry i*n + j = (Phi^-1((j + .5)/n), Phi^-1((i + .5)/n)), float32."""
    n = case.integer(4, 8)
    case.expect(student(n), latent_grid.oracle(n), "every point of the grid", points=0.5, atol=1e-5)
    case.expect(
        [student(1), student(2)],
        [latent_grid.oracle(1), latent_grid.oracle(2)],
        "the smallest grids, float32",
        points=0.5,
        atol=1e-5,
        dtype=True,
    )


@latent_grid.truth
def _(n):
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
def _(n):
    return _grid(_ticks(n)).flip(-1)


@latent_grid.misconception(
    "evenly spaced points",
    hint="Even steps in z ignore where the prior puts its mass. Take even steps in probability and map them through "
    "Phi^-1.",
)
def _(n):
    return _grid(torch.linspace(-2, 2, n))


@latent_grid.misconception(
    "the probabilities are not mapped through Phi^-1",
    hint="(i + .5)/n are probabilities between 0 and 1; Phi^-1 turns them into quantiles of the standard normal.",
)
def _(n):
    return _grid((torch.arange(n) + 0.5) / n)


@latent_grid.misconception(
    "quantiles at the ends of the intervals",
    hint="Phi^-1(0) is -inf, Phi^-1(1) is +inf. Take the middle of each of the n intervals, (i + .5)/n.",
)
def _(n):
    return _grid(Normal(0.0, 1.0).icdf(torch.linspace(0, 1, n)))


@latent_grid.misconception(
    "quantiles at (i + 1)/(n + 1)",
    hint="Those points are symmetric too, but the specification takes the middles (i + .5)/n of n equal intervals.",
)
def _(n):
    return _grid(Normal(0.0, 1.0).icdf((torch.arange(n) + 1) / (n + 1)))


@latent_grid.misconception(
    "the rows run downwards",
    hint="Row i = 0 has the smallest second coordinate. Turning the picture upside down is the plot's business.",
)
def _(n):
    first, second = _grid(_ticks(n)).unbind(-1)
    return torch.stack([first, -second], dim=-1)


@latent_grid.misconception(
    "a grid of shape (n, n, 2)",
    hint="The decoder takes a batch of codes: flatten the grid to (n*n, 2), row after row.",
)
def _(n):
    return _grid(_ticks(n)).reshape(n, n, 2)


@latent_grid.alternative("cartesian product")
def _(n):
    return torch.cartesian_prod(_ticks(n), _ticks(n)).flip(1)


@latent_grid.alternative("the inverse error function")
def _(n):
    p = torch.arange(0.5, n) / n
    return _grid(math.sqrt(2) * torch.erfinv(2 * p - 1))


@latent_grid.alternative("two loops in double precision")
def _(n):
    grid = torch.empty(n * n, 2)
    for i in range(n):
        for j in range(n):
            p = torch.tensor([j + 0.5, i + 0.5], dtype=torch.float64) / n
            grid[i * n + j] = torch.special.ndtri(p)
    return grid


# ---- traverse


@exercise("traverse", points=1)
def traverse(student, case):
    """z (J,), values (V,) -> (V, J): row v is z with entry `dim` set to values[v]."""
    latent, steps = case.sizes(2, low=3)
    z, values = case.normal(latent), 2 * case.normal(steps)
    middle = case.integer(1, latent - 2)
    case.expect(student(z, middle, values), traverse.oracle(z, middle, values), "a walk along one latent", points=0.5)
    case.expect(
        [student(z, dim, values[:1]) for dim in (0, latent - 1)],
        [traverse.oracle(z, dim, values[:1]) for dim in (0, latent - 1)],
        "the first and the last latent, a single value",
        points=0.25,
    )
    case.conventions(student, (z, middle, values), traverse.oracle, points=0.25)


@traverse.truth
def _(z, dim, values):
    axis = torch.eye(len(z), dtype=z.dtype)[dim]
    return torch.outer(torch.ones_like(values), z * (1 - axis)) + torch.outer(values, axis)


@traverse.misconception(
    "every row is the same tensor",
    hint="All rows are views of one z, which holds the last value in the end. Copy z (clone, repeat) before you write.",
)
def _(z, dim, values):
    z, rows = z.clone(), []
    for value in values:
        z[dim] = value
        rows.append(z)
    return torch.stack(rows)


@traverse.misconception(
    "the given code z is overwritten",
    hint="Writing z[dim] = value changes the caller's code. Work on a copy.",
)
def _(z, dim, values):
    rows = []
    for value in values:
        z[dim] = value
        rows.append(z.clone())
    return torch.stack(rows)


@traverse.misconception(
    "the value is added",
    hint="Entry `dim` is set to each value, whatever it was before.",
)
def _(z, dim, values):
    rows = z.repeat(len(values), 1)
    rows[:, dim] += values
    return rows


@traverse.misconception(
    "rows and columns change places",
    hint="One code per row: shape (V, J), ready for the decoder.",
)
def _(z, dim, values):
    rows = z.repeat(len(values), 1)
    rows[:, dim] = values
    return rows.T


@traverse.misconception(
    "the other latents are set to 0",
    hint="Only entry `dim` changes; all others keep what z has there. You walk from z, not from the origin.",
)
def _(z, dim, values):
    rows = torch.zeros(len(values), len(z), dtype=z.dtype)
    rows[:, dim] = values
    return rows


@traverse.alternative("repeat and assign")
def _(z, dim, values):
    rows = z.repeat(len(values), 1)
    rows[:, dim] = values
    return rows


@traverse.alternative("cat around the entry")
def _(z, dim, values):
    before, after = z[:dim].expand(len(values), -1), z[dim + 1 :].expand(len(values), -1)
    return torch.cat([before, values[:, None], after], dim=1)


@traverse.alternative("torch.where, row by row")
def _(z, dim, values):
    here = torch.arange(z.numel()) == dim
    return torch.stack([torch.where(here, value, z) for value in values])
