"""A mean of numbers too small or too large to be written down: `log_mean_exp`."""

from __future__ import annotations

import math

import torch

from ...conventions import ones
from ...exercise import exercise


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

    levels = 2e3 * (1 + torch.randperm(columns, generator=case.generator))  # every column at its own
    away = levels + case.uniform(1, columns, high=5e2)
    case.expect(student(values - away, 0), truth(values - away, 0), "where exp underflows", points=0.15)
    case.expect(student(values + away, 0), truth(values + away, 0), "where exp overflows", points=0.1)

    holes = values.clone()
    holes[0] = -math.inf
    case.expect(student(holes, 0), truth(holes, 0), "-inf entries count as zeros", points=0.1)
    holes[:, 0] = -math.inf
    case.expect(student(holes, 0), truth(holes, 0), "all entries -inf", points=0.1)
    case.conventions(
        student, (values, 0), truth, points=0.1, also=[(values[:1], 0), (values[:, :1], 0), ones((cube, 1))]
    )


@log_mean_exp.truth
def truth(values, dim):
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
def log_sum_exp_without_count(values, dim):
    return values.logsumexp(dim)


@log_mean_exp.misconception(
    "mean of the logarithms",
    hint="The entries are logarithms: exponentiate, average, take the log. Their own mean is smaller.",
)
def mean_of_logarithms(values, dim):
    return values.mean(dim)


@log_mean_exp.misconception(
    "exp overflows",
    hint="exp(1000) is inf and exp(-1000) is 0 in floating point: take out the largest entry before exp.",
)
def exp_overflows(values, dim):
    return values.exp().mean(dim).log()


@log_mean_exp.misconception(
    "one maximum for all rows",
    hint="Take the maximum along dim, not over the whole tensor: a row far below the others underflows otherwise.",
)
def one_maximum_for_all_rows(values, dim):
    top = values.max()
    return top + (values - top).exp().mean(dim).log()


@log_mean_exp.misconception(
    "-inf minus -inf",
    hint="Where all entries are -inf, subtracting the maximum gives nan; the log of a mean of zeros is -inf.",
)
def inf_minus_inf(values, dim):
    top = values.max(dim, keepdim=True).values
    return top.squeeze(dim) + (values - top).exp().mean(dim).log()


@log_mean_exp.misconception(
    "zeros left out of the count",
    hint="An entry -inf is the number 0. It adds nothing to the sum, but it counts in the mean.",
)
def zeros_left_out_of_count(values, dim):
    return values.logsumexp(dim) - (values > -math.inf).sum(dim).to(values.dtype).log()


@log_mean_exp.misconception(
    "always the first axis", hint="The mean runs along the axis `dim`, which is not always the first."
)
def always_first_axis(values, dim):
    return values.logsumexp(0) - math.log(values.shape[0])


@log_mean_exp.misconception(
    "divided by all entries",
    hint="Divide by the length of the axis dim alone, not by the number of entries of the tensor.",
)
def divided_by_all_entries(values, dim):
    return values.logsumexp(dim) - math.log(values.numel())


@log_mean_exp.misconception("axis kept", hint="The axis `dim` disappears from the result: no keepdim.")
def axis_kept(values, dim):
    return values.logsumexp(dim, keepdim=True) - math.log(values.shape[dim])


@log_mean_exp.misconception(
    "log count added", hint="Dividing by K makes the mean smaller: log K is subtracted from the log of the sum."
)
def log_count_added(values, dim):
    return values.logsumexp(dim) + math.log(values.shape[dim])


@log_mean_exp.alternative("by hand, with a guarded maximum")
def by_hand_with_guarded_maximum(values, dim):
    top = values.amax(dim, keepdim=True)
    top = torch.where(torch.isinf(top), torch.zeros_like(top), top)
    return ((values - top).exp().mean(dim, keepdim=True).log() + top).squeeze(dim)


@log_mean_exp.alternative("divide each number first")
def divide_each_number_first(values, dim):
    return torch.logsumexp(values - math.log(values.size(dim)), dim=dim)


@log_mean_exp.alternative("logaddexp in a loop")
def logaddexp_in_loop(values, dim):
    parts = values.unbind(dim)
    total = parts[0]
    for part in parts[1:]:
        total = torch.logaddexp(total, part)
    return total - math.log(len(parts))
