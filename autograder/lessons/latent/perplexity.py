"""How many codes are really used: `perplexity`."""

from __future__ import annotations

import math

import torch

from ...exercise import exercise
from .shared import OTHERS_LOGARITHM, every_code_but


@exercise("perplexity", points=1)
def perplexity(student, case):
    """exp(entropy of the usage), a float32 scalar from 1 to K; unused codes count 0."""
    truth, count = perplexity.oracle, case.integer(6, 9)
    line = every_code_but(case, count, case.integer(20, 30), 0, 3)
    grid = every_code_but(case, count, 24, case.integer(1, count - 1)).reshape(2, 3, 4)
    case.expect(student(line, count), truth(line, count), "uneven usage, some codes unused", points=0.5, dtype=True)
    case.expect(
        [student(grid, count), student(grid[0, 0, 0], count)],
        [truth(grid, count), truth(grid[0, 0, 0], count)],
        "indices of any shape, a single one too",
        points=0.25,
    )
    every = torch.arange(count).repeat(3)
    more = [(every, count), (every, count + 5), (torch.full((7,), count - 1), count), (line[:2], count)]
    case.conventions(student, (grid, count), truth, points=0.25, also=[*more, (line.reshape(-1, 1), count)])


@perplexity.truth
def truth(indices, num_codes):
    """One over the geometric mean of the shares that the positions' own codes have."""
    found = indices.flatten().tolist()
    surprises = [-math.log(found.count(k) / len(found)) for k in found]
    return torch.tensor(math.exp(math.fsum(surprises) / len(found)), dtype=torch.float32)


def _shares(indices, num_codes):
    return torch.bincount(indices.flatten(), minlength=num_codes).float() / indices.numel()


@perplexity.alternative("Categorical")
def categorical(indices, num_codes):
    shares = torch.nn.functional.one_hot(indices, num_codes).reshape(-1, num_codes).double().mean(0)
    return torch.distributions.Categorical(probs=shares).entropy().exp().float()


@perplexity.alternative("codes that occur")
def codes_that_occur(indices, num_codes):
    _, found = indices.unique(return_counts=True)
    shares = found.float() / found.sum()
    return torch.exp(-(shares * shares.log()).sum())


@perplexity.alternative("xlogy")
def by_xlogy(indices, num_codes):
    shares = _shares(indices, num_codes)
    return (-torch.special.xlogy(shares, shares).sum()).exp()


@perplexity.misconception(
    "0 log 0 is NaN",
    hint="A code that nobody uses adds nothing: 0 log 0 = 0. torch.special.entr and torch.xlogy know that.",
)
def zero_log_zero(indices, num_codes):
    shares = _shares(indices, num_codes)
    return torch.exp(-(shares * shares.log()).sum())


@perplexity.misconception("the entropy itself", hint="The exponential of the entropy is asked for: a number of codes.")
def entropy_itself(indices, num_codes):
    return torch.special.entr(_shares(indices, num_codes)).sum()


@perplexity.misconception(
    "2 to the power of nats",
    hint="2 belongs to an entropy in bits, e to one in nats. " + OTHERS_LOGARITHM,
)
def two_to_power_of_nats(indices, num_codes):
    return 2 ** torch.special.entr(_shares(indices, num_codes)).sum()


@perplexity.misconception(
    "the number of codes in use",
    hint="A code that is used once in a thousand counts for little: weigh the codes by their shares, by the entropy.",
)
def number_of_codes_in_use(indices, num_codes):
    return (_shares(indices, num_codes) > 0).sum().float()


@perplexity.misconception(
    "one over the sum of squares", hint="That is another measure. Asked is the exponential of the entropy."
)
def one_over_sum_of_squares(indices, num_codes):
    return 1 / _shares(indices, num_codes).square().sum()


@perplexity.misconception(
    "the sign of the entropy is lost",
    hint="The logarithm of a share is negative, the entropy is not: a minus stands before the sum.",
)
def sign_of_entropy_lost(indices, num_codes):
    return torch.exp(-torch.special.entr(_shares(indices, num_codes)).sum())


@perplexity.misconception(
    "unused codes count a little",
    hint="Nothing is added to the counts: a code that nobody uses has the share 0.",
)
def unused_codes_count(indices, num_codes):
    counts = torch.bincount(indices.flatten(), minlength=num_codes).float() + 1
    return torch.special.entr(counts / counts.sum()).sum().exp()
