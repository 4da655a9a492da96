"""log_mean_exp and evidence_monte_carlo."""

from __future__ import annotations

import math

import torch

from ...exercise import exercise

LESSON = "01-elbo"


@exercise("log_mean_exp", points=1)
def log_mean_exp(student, case):
    """log of the mean of exp along `dim`, stable, with -inf for the number 0."""
    truth = log_mean_exp.oracle
    rows, columns, depth = case.sizes(3)
    values = 2 * case.normal(rows, columns)
    case.expect(student(values, 0), truth(values, 0), "along the first axis", points=0.25)
    case.expect(student(values, 1), truth(values, 1), "along the second axis", points=0.1)
    cube = case.normal(rows, columns, depth)
    case.expect(student(cube, -2), truth(cube, -2), "along the middle axis of three", points=0.1)

    away = case.uniform(1, columns, low=2e3, high=9e3)  # every column at its own level
    case.expect(student(values - away, 0), truth(values - away, 0), "where exp underflows", points=0.15)
    case.expect(student(values + away, 0), truth(values + away, 0), "where exp overflows", points=0.1)

    holes = values.clone()
    holes[0] = -math.inf
    case.expect(student(holes, 0), truth(holes, 0), "-inf entries count as zeros", points=0.1)
    holes[:, 0] = -math.inf
    case.expect(student(holes, 0), truth(holes, 0), "all entries -inf", points=0.1)
    case.conventions(student, (values, 0), truth, points=0.1)


@log_mean_exp.truth
def _(values, dim):
    along = values.double().movedim(dim, -1)
    flat = [_one(row) for row in along.reshape(-1, along.shape[-1]).tolist()]
    return torch.tensor(flat, dtype=values.dtype).reshape(along.shape[:-1])


def _one(row):
    top = max(row)
    if math.isinf(top):
        return top
    return top + math.log(math.fsum(math.exp(v - top) for v in row) / len(row))


@log_mean_exp.misconception(
    "log-sum-exp without the count",
    hint="A mean is a sum divided by the number of entries: subtract the log of that number.",
)
def _(values, dim):
    return values.logsumexp(dim)


@log_mean_exp.misconception(
    "mean of the logarithms",
    hint="The entries are logarithms: exponentiate, average, take the log. Their own mean is smaller.",
)
def _(values, dim):
    return values.mean(dim)


@log_mean_exp.misconception(
    "exp overflows",
    hint="exp(1000) is inf and exp(-1000) is 0 in floating point: take out the largest entry before exp.",
)
def _(values, dim):
    return values.exp().mean(dim).log()


@log_mean_exp.misconception(
    "one maximum for all rows",
    hint="Take the maximum along dim, not over the whole tensor: a row far below the others underflows otherwise.",
)
def _(values, dim):
    top = values.max()
    return top + (values - top).exp().mean(dim).log()


@log_mean_exp.misconception(
    "-inf minus -inf",
    hint="Where all entries are -inf, subtracting the maximum gives nan; the log of a mean of zeros is -inf.",
)
def _(values, dim):
    top = values.max(dim, keepdim=True).values
    return top.squeeze(dim) + (values - top).exp().mean(dim).log()


@log_mean_exp.misconception(
    "zeros left out of the count",
    hint="An entry -inf is the number 0. It adds nothing to the sum, but it counts in the mean.",
)
def _(values, dim):
    return values.logsumexp(dim) - (values > -math.inf).sum(dim).to(values.dtype).log()


@log_mean_exp.misconception(
    "always the first axis", hint="The mean runs along the axis `dim`, which is not always the first."
)
def _(values, dim):
    return values.logsumexp(0) - math.log(values.shape[0])


@log_mean_exp.misconception(
    "divided by all entries",
    hint="Divide by the length of the axis dim alone, not by the number of entries of the tensor.",
)
def _(values, dim):
    return values.logsumexp(dim) - math.log(values.numel())


@log_mean_exp.misconception("axis kept", hint="The axis `dim` disappears from the result: no keepdim.")
def _(values, dim):
    return values.logsumexp(dim, keepdim=True) - math.log(values.shape[dim])


@log_mean_exp.misconception(
    "log count added", hint="Dividing by K makes the mean smaller: log K is subtracted from the log of the sum."
)
def _(values, dim):
    return values.logsumexp(dim) + math.log(values.shape[dim])


@log_mean_exp.alternative("by hand, with a guarded maximum")
def _(values, dim):
    top = values.amax(dim, keepdim=True)
    top = torch.where(torch.isinf(top), torch.zeros_like(top), top)
    return ((values - top).exp().mean(dim, keepdim=True).log() + top).squeeze(dim)


@log_mean_exp.alternative("divide each number first")
def _(values, dim):
    return torch.logsumexp(values - math.log(values.size(dim)), dim=dim)


@log_mean_exp.alternative("logaddexp in a loop")
def _(values, dim):
    parts = values.unbind(dim)
    total = parts[0]
    for part in parts[1:]:
        total = torch.logaddexp(total, part)
    return total - math.log(len(parts))


@exercise("evidence_monte_carlo", points=1, after=("log_mean_exp",))
def evidence_monte_carlo(student, case):
    """log (1/K) sum_k p(x given z_k) from (K, B) -> (B,)."""
    mean = case.upstream("log_mean_exp")

    def truth(values):
        return mean(values, 0)

    count, batch = case.sizes(2, low=3)
    values = 2 * case.normal(count, batch)
    case.expect(student(values), truth(values), "value on random log-likelihoods", points=0.5)
    low = values - case.uniform(1, batch, low=2e3, high=9e3)
    case.expect(student(low), truth(low), "where exp underflows", points=0.3)
    case.conventions(student, (values,), truth, points=0.2)


@evidence_monte_carlo.truth
def _(log_px_given_z):
    return log_mean_exp.oracle(log_px_given_z, 0)


@evidence_monte_carlo.misconception(
    "mean of the logarithms",
    hint="The estimate averages the densities and takes the log afterwards; the mean of the logs is far smaller.",
)
def _(log_px_given_z):
    return log_px_given_z.mean(0)


@evidence_monte_carlo.misconception(
    "sum over the samples", hint="The expectation is a mean over the K samples: log K is missing."
)
def _(log_px_given_z):
    return log_px_given_z.logsumexp(0)


@evidence_monte_carlo.misconception(
    "averaged over the images", hint="Average over the samples of z, axis 0. Every image has an evidence of its own."
)
def _(log_px_given_z):
    return log_px_given_z.logsumexp(1) - math.log(log_px_given_z.shape[1])


@evidence_monte_carlo.misconception(
    "exp underflows", hint="exp(-1000) is 0: use log_mean_exp, which never leaves the logarithm."
)
def _(log_px_given_z):
    return log_px_given_z.exp().mean(0).log()


@evidence_monte_carlo.misconception(
    "divided by the batch size", hint="Divide by the number of samples K, the length of axis 0, not by the batch size."
)
def _(log_px_given_z):
    return log_px_given_z.logsumexp(0) - math.log(log_px_given_z.shape[1])


@evidence_monte_carlo.misconception(
    "the best sample alone", hint="All samples count, not only the one that explains x best: average over them."
)
def _(log_px_given_z):
    return log_px_given_z.max(0).values


@evidence_monte_carlo.misconception(
    "one number for the whole batch",
    hint="The result has one entry for each image, (B,): do not average over the batch.",
)
def _(log_px_given_z):
    return (log_px_given_z.logsumexp(0) - math.log(log_px_given_z.shape[0])).mean()


@evidence_monte_carlo.misconception(
    "logarithm forgotten", hint="This is the estimate of p(x) itself, 0 for an image in the tail: return its logarithm."
)
def _(log_px_given_z):
    return log_px_given_z.exp().mean(0)


@evidence_monte_carlo.alternative("logsumexp")
def _(log_px_given_z):
    return torch.logsumexp(log_px_given_z, dim=0) - math.log(len(log_px_given_z))


@evidence_monte_carlo.alternative("relative to the best sample")
def _(log_px_given_z):
    best = log_px_given_z.max(dim=0).values
    return best + torch.log(torch.mean(torch.exp(log_px_given_z - best), dim=0))


@evidence_monte_carlo.alternative("one image after the other")
def _(log_px_given_z):
    K = log_px_given_z.shape[0]
    return torch.stack([column.logsumexp(0) - math.log(K) for column in log_px_given_z.T])
