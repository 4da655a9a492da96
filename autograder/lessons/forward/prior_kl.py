"""How far a chain's end is from the prior: `prior_kl`."""

from __future__ import annotations

import math

import torch
from torch.distributions import MultivariateNormal, kl_divergence

from ...exercise import exercise


@exercise("prior_kl", points=2)
def prior_kl(student, case):
    """KL(q(x_T given x_0) || N(0, I)), alpha_bar_T a float -> (B,), in nats."""
    truth = prior_kl.oracle
    close = {"rtol": 1e-4}  # room for an alpha_bar_T that was put into a float32 tensor on the way
    images, left = case.normal(*case.sizes(4)), case.number(0.3, 0.45)
    case.expect(student(images, left), truth(images, left), "images", points=0.75, **close)
    batch, width, height = case.sizes(3)
    shapes = [(batch, 1), (batch, width), (batch, width, height), (batch, 2, 3, 2, 3), (1, 1)]
    others = [case.normal(*shape) for shape in shapes]
    case.expect(
        [student(x, left) for x in others], [truth(x, left) for x in others], "other events", points=0.25, **close
    )
    ends = (0.01, 0.99, 1 - 2.0**-20)  # the last is the same number in float32
    case.expect(
        [student(others[1], a) for a in ends],
        [truth(others[1], a) for a in ends],
        "hardly anything left, and nearly all",
        points=0.5,
        **close,
    )
    case.conventions(student, (images, left), truth, points=0.5)


@prior_kl.truth
def truth(x0, alpha_bar_T):
    flat = x0.double().flatten(1)
    eye = torch.eye(flat.shape[1], dtype=torch.float64)
    end = MultivariateNormal(math.sqrt(alpha_bar_T) * flat, (1 - alpha_bar_T) * eye)
    return kl_divergence(end, MultivariateNormal(torch.zeros_like(flat), eye)).to(x0.dtype)


def _terms(x0, a):
    """The summands of every pixel, before the factor 1/2."""
    return a * x0**2 + (1 - a) - 1 - math.log(1 - a)


@prior_kl.misconception(
    "the factor 1/2 is missing",
    hint="Both log densities carry the factor 1/2 of the Gaussian exponent, and so does every term of the divergence.",
)
def factor_half_is_missing(x0, alpha_bar_T):
    return _terms(x0, alpha_bar_T).flatten(1).sum(1)


@prior_kl.misconception(
    "the mean over the event",
    hint="Pixels are independent given x_0, so their divergences add up: nats per example, not per pixel.",
)
def mean_over_event(x0, alpha_bar_T):
    return 0.5 * _terms(x0, alpha_bar_T).flatten(1).mean(1)


@prior_kl.misconception(
    "summed over the last axis alone",
    hint="An event may have several axes. Sum over all but the first; flatten(1) makes one axis of them.",
)
def summed_over_last_axis_alone(x0, alpha_bar_T):
    return 0.5 * _terms(x0, alpha_bar_T).sum(-1)


@prior_kl.misconception(
    "summed over the batch as well",
    hint="One number per example, shape (B,): leave the first axis alone.",
)
def summed_over_batch_as_well(x0, alpha_bar_T):
    return 0.5 * _terms(x0, alpha_bar_T).sum()


@prior_kl.misconception(
    "the mean is alpha_bar x_0",
    hint="The mean of q(x_T given x_0) is sqrt(alpha_bar_T) x_0. Squared, as the divergence wants it, one power of "
    "alpha_bar_T stands before x_0 squared, not two.",
)
def mean_is_alpha_bar_x_0(x0, alpha_bar_T):
    return 0.5 * _terms(alpha_bar_T**0.5 * x0, alpha_bar_T).flatten(1).sum(1)


@prior_kl.misconception(
    "the mean is x_0 itself",
    hint="The picture has been shrunk on its way: the mean is sqrt(alpha_bar_T) x_0.",
)
def mean_is_x_0_itself(x0, alpha_bar_T):
    return 0.5 * _terms(x0 / alpha_bar_T**0.5, alpha_bar_T).flatten(1).sum(1)


@prior_kl.misconception(
    "the mean is not squared",
    hint="The divergence depends on how far the mean is from 0, not on which side: the term is m squared.",
)
def mean_is_not_squared(x0, alpha_bar_T):
    a = alpha_bar_T
    return 0.5 * (a**0.5 * x0 - a - math.log(1 - a)).flatten(1).sum(1)


@prior_kl.misconception(
    "log s in place of log s^2",
    hint="Inside the bracket stands the logarithm of the variance, log(1 - alpha_bar_T), not of its root.",
)
def log_s_in_place_of_log_s_squared(x0, alpha_bar_T):
    a = alpha_bar_T
    return 0.5 * (a * x0**2 - a - 0.5 * math.log(1 - a)).flatten(1).sum(1)


@prior_kl.misconception(
    "the variance is read as a standard deviation",
    hint="1 - alpha_bar_T is s^2 already. You squared it once more.",
)
def variance_is_read_as_standard_deviation(x0, alpha_bar_T):
    a = alpha_bar_T
    return 0.5 * (a * x0**2 + (1 - a) ** 2 - 1 - 2 * math.log(1 - a)).flatten(1).sum(1)


@prior_kl.misconception(
    "s in place of s^2",
    hint="The bracket holds the variance, 1 - alpha_bar_T. You put in its root.",
)
def s_in_place_of_s_squared(x0, alpha_bar_T):
    a = alpha_bar_T
    return 0.5 * (a * x0**2 + math.sqrt(1 - a) - 1 - math.log(1 - a)).flatten(1).sum(1)


@prior_kl.misconception(
    "the -1 is missing",
    hint="When nothing of the picture is left, the two Gaussians are the same and the divergence is 0. Which "
    "constant makes it so?",
)
def minus_1_is_missing(x0, alpha_bar_T):
    return 0.5 * (_terms(x0, alpha_bar_T) + 1).flatten(1).sum(1)


@prior_kl.misconception(
    "the constants are counted once",
    hint="-alpha_bar_T - log(1 - alpha_bar_T) stands in the sum, once for EVERY pixel. You added it after the sum.",
)
def constants_are_counted_once(x0, alpha_bar_T):
    a = alpha_bar_T
    return 0.5 * ((a * x0**2).flatten(1).sum(1) - a - math.log(1 - a))


@prior_kl.misconception(
    "the divergence the other way round",
    hint="You averaged over N(0, I). In KL(q || p) the average runs over q(x_T given x_0), which comes first.",
)
def divergence_other_way_round(x0, alpha_bar_T):
    a = alpha_bar_T
    return 0.5 * ((1 + a * x0**2) / (1 - a) - 1 + math.log(1 - a)).flatten(1).sum(1)


@prior_kl.misconception(
    "the sign is reversed",
    hint="A divergence is never negative, and yours never positive.",
)
def sign_is_reversed(x0, alpha_bar_T):
    return -0.5 * _terms(x0, alpha_bar_T).flatten(1).sum(1)


@prior_kl.alternative("from mean and variance, summed over the axes after the first")
def from_mean_and_variance_summed_over_event(x0, alpha_bar_T):
    m, var = alpha_bar_T**0.5 * x0, 1 - alpha_bar_T
    return 0.5 * (m.square() + var - 1 - math.log(var)).sum(dim=tuple(range(1, x0.ndim)))


@prior_kl.alternative("the constants gathered")
def constants_gathered(x0, alpha_bar_T):
    flat = x0.reshape(len(x0), -1)
    constant = flat.shape[1] * (alpha_bar_T + math.log1p(-alpha_bar_T))
    return (alpha_bar_T * torch.einsum("bd,bd->b", flat, flat) - constant) / 2


@prior_kl.alternative("torch.distributions and a loop")
def torch_distributions_and_loop(x0, alpha_bar_T):
    rows = []
    for x in x0:
        normal = torch.distributions.Normal(alpha_bar_T**0.5 * x, (1 - alpha_bar_T) ** 0.5)
        rows.append(kl_divergence(normal, torch.distributions.Normal(torch.zeros_like(x), 1.0)).sum())
    return torch.stack(rows)
