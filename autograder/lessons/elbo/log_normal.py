"""The density of a diagonal Gaussian: `log_normal`."""

from __future__ import annotations

import math

import torch
from torch.distributions import Normal

from ...conventions import ones
from ...exercise import exercise


@exercise("log_normal", points=2)
def log_normal(student, case):
    """log N(x; mean, diag exp(logvar)) summed over the last axis; all three broadcast."""
    truth = log_normal.oracle
    batch, count, dim = case.sizes(3, low=2, high=7)
    x, mean, logvar = (case.normal(batch, dim) for _ in range(3))
    case.expect(student(x, mean, logvar), truth(x, mean, logvar), "value on random rows", points=0.8)

    grid = case.normal(batch, 1, dim), case.normal(count, dim), case.normal(count, dim)
    case.expect(student(*grid), truth(*grid), "(B, 1, D) with (K, D) gives (B, K)", points=0.2)
    short = case.normal(batch, dim), case.normal(dim), case.normal(1)
    case.expect(student(*short), truth(*short), "one logvar for all coordinates", points=0.25)
    bare = case.normal(batch, 1), case.normal(dim), case.normal()
    case.expect(student(*bare), truth(*bare), "x of length 1, a logvar without axes", points=0.15)

    far = x + 1e4 * (1 + case.uniform(batch, dim)), mean, logvar
    case.expect(student(*far), truth(*far), "ten thousand units from the mean", points=0.3)
    edges = [logvar[:1] - 25, logvar[:1] + 25, logvar[:1] - 60]  # widths from 1e-13 to 1e5, x within a few of them
    also = [(mean[:1] + (width / 2).exp() * x[:1], mean[:1], width) for width in edges]
    case.conventions(
        student,
        (x, mean, logvar),
        truth,
        points=0.3,
        also=[*also, ones((x, mean, logvar))],
        gradient=(0, 1, 2),
    )


@log_normal.truth
def truth(x, mean, logvar):
    x, mean, logvar = torch.broadcast_tensors(x, mean, logvar)
    return Normal(mean, (logvar / 2).exp()).log_prob(x).sum(-1)


def _terms(x, mean, logvar):
    return math.log(2 * math.pi) + logvar + (x - mean) ** 2 / logvar.exp()


@log_normal.misconception("without the constant", hint="Every coordinate also contributes -1/2 log(2 pi).")
def without_constant(x, mean, logvar):
    return -0.5 * (_terms(x, mean, logvar) - math.log(2 * math.pi)).sum(-1)


@log_normal.misconception(
    "exp(logvar) taken for the standard deviation",
    hint="exp(logvar) is the variance; the standard deviation is exp(logvar / 2).",
)
def exp_logvar_taken_for_standard_deviation(x, mean, logvar):
    return Normal(mean, logvar.exp()).log_prob(x).sum(-1)


@log_normal.misconception(
    "log-variance not halved",
    hint="The factor 1/2 stands before log sigma^2 as well: -1/2 logvar, which is -log sigma.",
)
def log_variance_not_halved(x, mean, logvar):
    return (-0.5 * (_terms(x, mean, logvar) - logvar) - logvar).sum(-1)


@log_normal.misconception(
    "mean over the coordinates", hint="The log-density of a vector is the sum over its coordinates, not their average."
)
def mean_over_coordinates(x, mean, logvar):
    return -0.5 * _terms(x, mean, logvar).mean(-1)


@log_normal.misconception(
    "summed over the batch", hint="Sum over the last axis alone: every row has its own log-density."
)
def summed_over_batch(x, mean, logvar):
    return -0.5 * _terms(x, mean, logvar).sum()


@log_normal.misconception(
    "constant counted once", hint="log(2 pi) belongs to every coordinate: it counts D times, so keep it inside the sum."
)
def constant_counted_once(x, mean, logvar):
    return -0.5 * (math.log(2 * math.pi) + (_terms(x, mean, logvar) - math.log(2 * math.pi)).sum(-1))


@log_normal.misconception(
    "logvar summed on its own",
    hint="A logvar of length 1 holds for all D coordinates and counts D times: add the three terms first, so that "
    "they are broadcast, and sum once.",
)
def logvar_summed_on_its_own(x, mean, logvar):
    logvar = logvar.reshape(1) if logvar.ndim == 0 else logvar
    squares = (x - mean) ** 2 / logvar.exp()
    return -0.5 * (squares.shape[-1] * math.log(2 * math.pi) + logvar.sum(-1) + squares.sum(-1))


@log_normal.misconception(
    "D taken from x",
    hint="x may have length 1 where mean has length D: keep log(2 pi) inside the sum, so that it is counted once for "
    "each coordinate after broadcasting.",
)
def d_taken_from_x(x, mean, logvar):
    return -0.5 * (x.shape[-1] * math.log(2 * math.pi) + (_terms(x, mean, logvar) - math.log(2 * math.pi)).sum(-1))


@log_normal.misconception(
    "the density underflows",
    hint="Far from the mean the density is 0 in floating point, and log 0 is -inf. Take the logarithm on paper first.",
)
def density_underflows(x, mean, logvar):
    density = (-0.5 * (x - mean) ** 2 / logvar.exp()).exp() / (2 * math.pi * logvar.exp()).sqrt()
    return density.log().sum(-1)


@log_normal.misconception(
    "multiplied by the variance",
    hint="The squared distance is divided by the variance: times exp(-logvar), not exp(logvar).",
)
def multiplied_by_variance(x, mean, logvar):
    return -0.5 * (math.log(2 * math.pi) + logvar + (x - mean) ** 2 * logvar.exp()).sum(-1)


@log_normal.alternative("standardised")
def standardised(x, mean, logvar):
    z = (x - mean) * torch.exp(-0.5 * logvar)
    return torch.sum(-0.5 * z * z - 0.5 * logvar - 0.5 * math.log(2 * math.pi), dim=-1)


@log_normal.alternative("torch.distributions")
def torch_distributions(x, mean, logvar):
    return torch.distributions.Normal(mean, torch.exp(logvar / 2)).log_prob(x).sum(dim=-1)


@log_normal.alternative("broadcast first, then each sum alone")
def broadcast_first_then_each_sum_alone(x, mean, logvar):
    x, mean, logvar = torch.broadcast_tensors(x, mean, logvar)
    precision = (-logvar).exp()
    quadratic = torch.einsum("...d,...d->...", (x - mean).square(), precision)
    return -(x.shape[-1] * math.log(2 * math.pi) + logvar.sum(-1) + quadratic) / 2
