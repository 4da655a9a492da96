"""The decoder's log-likelihood of real numbers: `gaussian_log_likelihood`."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch.distributions import MultivariateNormal, Normal

from ...conventions import ones
from ...exercise import exercise


@exercise("gaussian_log_likelihood", points=1)
def gaussian_log_likelihood(student, case):
    """log N(x; mean, sigma2 I) with every constant: (B, D) twice, sigma2 a float -> (B,), in nats."""
    truth = gaussian_log_likelihood.oracle
    batch, pixels = case.sizes(2, low=3)
    x, mean, sigma2 = case.normal(batch, pixels), case.normal(batch, pixels), case.number(0.3, 0.7)
    case.expect(student(x, mean, sigma2), truth(x, mean, sigma2), "value", points=0.5)
    case.expect(
        [student(x[:1], mean[:1] + 60, 0.02 * sigma2), student(x[:1], mean[:1], 1000 * sigma2)],
        [truth(x[:1], mean[:1] + 60, 0.02 * sigma2), truth(x[:1], mean[:1], 1000 * sigma2)],
        "far from the mean, small and large variance, one example",
        points=0.25,
        hint="stay with logarithms: the density itself underflows to 0",
    )
    narrow, wide = (mean + 1e-5 * (x - mean), mean, 1e-10), (x, mean, 1e10)
    given = x, mean, sigma2
    case.conventions(student, given, truth, points=0.25, also=[narrow, wide, ones(given)], gradient=(1,))


@gaussian_log_likelihood.truth
def truth(x, mean, sigma2):
    return Normal(mean, math.sqrt(sigma2)).log_prob(x).sum(-1)


@gaussian_log_likelihood.misconception(
    "the variance sigma2 taken for the standard deviation",
    hint="sigma2 is sigma^2, the variance. torch's Normal wants the standard deviation; the formula divides by the "
    "variance, once.",
)
def variance_sigma2_taken_for_standard_deviation(x, mean, sigma2):
    return Normal(mean, sigma2).log_prob(x).sum(-1)


@gaussian_log_likelihood.misconception(
    "the constants are dropped",
    hint="-(D/2) log(2 pi sigma2) belongs to the value in nats. It does not move the mean's optimum, but without it "
    "likelihoods cannot be compared, and sigma2 not be learned.",
)
def constants_are_dropped(x, mean, sigma2):
    return -((x - mean) ** 2).sum(-1) / (2 * sigma2)


@gaussian_log_likelihood.misconception(
    "log(2 pi) is missing",
    hint="Each dimension contributes -1/2 log(2 pi sigma2): mind the 2 pi.",
)
def log_2_pi_is_missing(x, mean, sigma2):
    return (-((x - mean) ** 2) / (2 * sigma2) - 0.5 * math.log(sigma2)).sum(-1)


@gaussian_log_likelihood.misconception(
    "the constant counts once instead of D times",
    hint="The density is a product over D dimensions, so its constant appears D times in the logarithm.",
)
def constant_counts_once_instead_of_d_times(x, mean, sigma2):
    return -((x - mean) ** 2).sum(-1) / (2 * sigma2) - 0.5 * math.log(2 * math.pi * sigma2)


@gaussian_log_likelihood.misconception(
    "the factor 1/2 before the squares is missing",
    hint="The exponent of the Gaussian is -(x - mean)^2 / (2 sigma2).",
)
def factor_half_before_squares_is_missing(x, mean, sigma2):
    return (-((x - mean) ** 2) / sigma2 - 0.5 * math.log(2 * math.pi * sigma2)).sum(-1)


@gaussian_log_likelihood.misconception(
    "the factor 1/2 before the constant is missing",
    hint="The 1/2 stands before the whole bracket: each pixel adds -1/2 log(2 pi sigma2), the logarithm of a root.",
)
def factor_half_before_constant_is_missing(x, mean, sigma2):
    return (-((x - mean) ** 2) / (2 * sigma2) - math.log(2 * math.pi * sigma2)).sum(-1)


@gaussian_log_likelihood.misconception(
    "the mean over the pixels",
    hint="The log-likelihoods of the D pixels add up; nothing is divided by D.",
)
def mean_over_pixels(x, mean, sigma2):
    return Normal(mean, math.sqrt(sigma2)).log_prob(x).mean(-1)


@gaussian_log_likelihood.misconception(
    "the logarithm of the density",
    hint="exp(-1000) is 0 in floating point, and log(0) is -inf. Take the logarithm on paper, before you compute.",
)
def logarithm_of_density(x, mean, sigma2):
    density = torch.exp(-((x - mean) ** 2) / (2 * sigma2)) / math.sqrt(2 * math.pi * sigma2)
    return density.log().sum(-1)


@gaussian_log_likelihood.misconception(
    "the sign is reversed",
    hint="You computed the negative log-likelihood: a point far from the mean must get a smaller value, not a larger "
    "one.",
)
def sign_is_reversed(x, mean, sigma2):
    return -Normal(mean, math.sqrt(sigma2)).log_prob(x).sum(-1)


@gaussian_log_likelihood.alternative("closed form")
def closed_form(x, mean, sigma2):
    return -0.5 * (((x - mean) ** 2) / sigma2 + math.log(2 * math.pi * sigma2)).sum(-1)


@gaussian_log_likelihood.alternative("multivariate normal")
def multivariate_normal(x, mean, sigma2):
    return MultivariateNormal(mean, sigma2 * torch.eye(x.shape[-1]).to(x)).log_prob(x)


@gaussian_log_likelihood.alternative("gaussian_nll_loss")
def gaussian_nll_loss(x, mean, sigma2):
    variance = torch.full_like(x, sigma2)
    return -F.gaussian_nll_loss(mean, x, variance, full=True, eps=0.0, reduction="none").sum(-1)


@gaussian_log_likelihood.alternative("one example at a time")
def one_example_at_time(x, mean, sigma2):
    rows = []
    for a, b in zip(x, mean, strict=True):
        deviation = a - b
        rows.append(-torch.dot(deviation, deviation) / (2 * sigma2) - len(a) / 2 * math.log(2 * math.pi * sigma2))
    return torch.stack(rows)
