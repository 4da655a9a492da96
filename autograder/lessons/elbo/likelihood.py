"""kl_discrete and log_normal."""

from __future__ import annotations

import math

import torch
from torch.distributions import Categorical, Normal, kl_divergence

from ...exercise import exercise
from .draws import distribution, with_zeros

LESSON = "01-elbo"


@exercise("kl_discrete", points=1)
def kl_discrete(student, case):
    """KL(p || q) of tables (Z,) -> scalar, in nats; p = 0 counts 0, p > 0 with q = 0 gives +inf."""
    truth = kl_discrete.oracle
    size = case.integer(6, 9)
    p, q = distribution(case, size), distribution(case, size)
    case.expect(student(p, q), truth(p, q), "value on two random tables", points=0.4)

    p_holes, q_hole = with_zeros(p, 0, 1), with_zeros(q, 0)  # zero in both tables, in p alone, in neither
    case.expect(student(p_holes, q_hole), truth(p_holes, q_hole), "entries with p = 0", points=0.2)

    tables = [(p, with_zeros(q, 2)), (with_zeros(p, 2), with_zeros(q, 2))]
    case.expect(
        [student(*pair) for pair in tables], [truth(*pair) for pair in tables], "entries with q = 0", points=0.2
    )
    tail = with_zeros(q, 2)
    tail[2] = 1e-40
    case.expect(
        student(p, tail), truth(p, tail), "a probability of 1e-40", points=0.1, hint="probabilities are not clipped"
    )
    case.conventions(student, (p_holes, q), truth, points=0.1)


@kl_discrete.truth
def _(p, q):
    total = 0.0
    for a, b in zip(p.tolist(), q.tolist(), strict=True):
        if a > 0:
            total += a * (math.log(a) - math.log(b)) if b > 0 else math.inf
    return torch.tensor(total, dtype=p.dtype)


@kl_discrete.misconception(
    "arguments exchanged",
    hint="This is KL(q || p): the mean is taken under the first argument, p, and the ratio is p over q.",
)
def _(p, q):
    return torch.where(q > 0, q * (q.log() - p.log()), torch.zeros_like(q)).sum()


@kl_discrete.misconception("bits instead of nats", hint="Use the natural logarithm; log2 measures in bits.")
def _(p, q):
    return torch.where(p > 0, p * (p.log2() - q.log2()), torch.zeros_like(p)).sum()


@kl_discrete.misconception(
    "zeros become nan", hint="0 * log 0 is nan in floating point: an entry with p = 0 must count 0."
)
def _(p, q):
    return (p * (p / q).log()).sum()


@kl_discrete.misconception(
    "average instead of sum",
    hint="The weights p(x) are the averaging already: sum the terms, do not divide by Z as well.",
)
def _(p, q):
    return torch.where(p > 0, p * (p.log() - q.log()), torch.zeros_like(p)).mean()


@kl_discrete.misconception(
    "sign turned", hint="A KL is never negative: the logarithm is that of p(x) / q(x), not of q(x) / p(x)."
)
def _(p, q):
    return torch.where(p > 0, p * (q.log() - p.log()), torch.zeros_like(p)).sum()


@kl_discrete.misconception(
    "cross-entropy instead of KL", hint="-sum p log q is the cross-entropy; the KL also contains the entropy of p."
)
def _(p, q):
    return -torch.where(p > 0, p * q.log(), torch.zeros_like(p)).sum()


@kl_discrete.misconception(
    "a small number inside the logarithm",
    hint="Adding or clamping to 1e-8 turns an infinite KL into a finite one. Treat p = 0 by a condition instead.",
)
def _(p, q):
    return (p * ((p + 1e-8).log() - (q + 1e-8).log())).sum()


@kl_discrete.misconception(
    "impossible values left out",
    hint="Only entries with p = 0 count 0. Where p > 0 and q = 0 the term is +inf, and so is the sum.",
)
def _(p, q):
    both = (p > 0) & (q > 0)
    return torch.where(both, p * (p.log() - q.log()), torch.zeros_like(p)).sum()


@kl_discrete.misconception(
    "clipped by Categorical",
    hint="torch.distributions.Categorical clips probabilities at the machine's precision before it takes logarithms: "
    "write the sum yourself.",
)
def _(p, q):
    return kl_divergence(Categorical(p), Categorical(q))


@kl_discrete.misconception(
    "nan_to_num",
    hint="nan_to_num also turns +inf into a large finite number. Treat p = 0 by a condition, and leave +inf alone.",
)
def _(p, q):
    return torch.nan_to_num(p * (p / q).log()).sum()


@kl_discrete.alternative("xlogy")
def _(p, q):
    return (torch.xlogy(p, p) - torch.xlogy(p, q)).sum()


@kl_discrete.alternative("only the entries with p > 0")
def _(p, q):
    live = p > 0
    return torch.dot(p[live], p[live].log() - q[live].log())


@kl_discrete.alternative("a loop")
def _(p, q):
    total = p.new_zeros(())
    for a, b in zip(p, q, strict=True):
        if a != 0:
            total = total + a * torch.log(a) - a * torch.log(b)
    return total


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
    case.conventions(student, (x, mean, logvar), truth, points=0.3)


@log_normal.truth
def _(x, mean, logvar):
    x, mean, logvar = torch.broadcast_tensors(x, mean, logvar)
    return Normal(mean, (logvar / 2).exp()).log_prob(x).sum(-1)


def _terms(x, mean, logvar):
    return math.log(2 * math.pi) + logvar + (x - mean) ** 2 / logvar.exp()


@log_normal.misconception("without the constant", hint="Every coordinate also contributes -1/2 log(2 pi).")
def _(x, mean, logvar):
    return -0.5 * (_terms(x, mean, logvar) - math.log(2 * math.pi)).sum(-1)


@log_normal.misconception(
    "exp(logvar) taken for the standard deviation",
    hint="exp(logvar) is the variance; the standard deviation is exp(logvar / 2).",
)
def _(x, mean, logvar):
    return Normal(mean, logvar.exp()).log_prob(x).sum(-1)


@log_normal.misconception(
    "log-variance not halved",
    hint="The factor 1/2 stands before log sigma^2 as well: -1/2 logvar, which is -log sigma.",
)
def _(x, mean, logvar):
    return (-0.5 * (_terms(x, mean, logvar) - logvar) - logvar).sum(-1)


@log_normal.misconception(
    "mean over the coordinates", hint="The log-density of a vector is the sum over its coordinates, not their average."
)
def _(x, mean, logvar):
    return -0.5 * _terms(x, mean, logvar).mean(-1)


@log_normal.misconception(
    "summed over the batch", hint="Sum over the last axis alone: every row has its own log-density."
)
def _(x, mean, logvar):
    return -0.5 * _terms(x, mean, logvar).sum()


@log_normal.misconception(
    "constant counted once", hint="log(2 pi) belongs to every coordinate: it counts D times, so keep it inside the sum."
)
def _(x, mean, logvar):
    return -0.5 * (math.log(2 * math.pi) + (_terms(x, mean, logvar) - math.log(2 * math.pi)).sum(-1))


@log_normal.misconception(
    "logvar summed on its own",
    hint="A logvar of length 1 holds for all D coordinates and counts D times: add the three terms first, so that "
    "they are broadcast, and sum once.",
)
def _(x, mean, logvar):
    logvar = logvar.reshape(1) if logvar.ndim == 0 else logvar
    squares = (x - mean) ** 2 / logvar.exp()
    return -0.5 * (squares.shape[-1] * math.log(2 * math.pi) + logvar.sum(-1) + squares.sum(-1))


@log_normal.misconception(
    "D taken from x",
    hint="x may have length 1 where mean has length D: keep log(2 pi) inside the sum, so that it is counted once for "
    "each coordinate after broadcasting.",
)
def _(x, mean, logvar):
    return -0.5 * (x.shape[-1] * math.log(2 * math.pi) + (_terms(x, mean, logvar) - math.log(2 * math.pi)).sum(-1))


@log_normal.misconception(
    "the density underflows",
    hint="Far from the mean the density is 0 in floating point, and log 0 is -inf. Take the logarithm on paper first.",
)
def _(x, mean, logvar):
    density = (-0.5 * (x - mean) ** 2 / logvar.exp()).exp() / (2 * math.pi * logvar.exp()).sqrt()
    return density.log().sum(-1)


@log_normal.misconception(
    "multiplied by the variance",
    hint="The squared distance is divided by the variance: times exp(-logvar), not exp(logvar).",
)
def _(x, mean, logvar):
    return -0.5 * (math.log(2 * math.pi) + logvar + (x - mean) ** 2 * logvar.exp()).sum(-1)


@log_normal.alternative("standardised")
def _(x, mean, logvar):
    z = (x - mean) * torch.exp(-0.5 * logvar)
    return torch.sum(-0.5 * z * z - 0.5 * logvar - 0.5 * math.log(2 * math.pi), dim=-1)


@log_normal.alternative("torch.distributions")
def _(x, mean, logvar):
    return torch.distributions.Normal(mean, torch.exp(logvar / 2)).log_prob(x).sum(dim=-1)


@log_normal.alternative("broadcast first, then each sum alone")
def _(x, mean, logvar):
    x, mean, logvar = torch.broadcast_tensors(x, mean, logvar)
    precision = (-logvar).exp()
    quadratic = torch.einsum("...d,...d->...", (x - mean).square(), precision)
    return -(x.shape[-1] * math.log(2 * math.pi) + logvar.sum(-1) + quadratic) / 2
