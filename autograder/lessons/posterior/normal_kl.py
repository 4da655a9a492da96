"""The divergence of two diagonal Gaussians: `normal_kl`."""

from __future__ import annotations

import torch
from torch.distributions import Independent, Normal, kl_divergence

from ...conventions import ones
from ...exercise import exercise


@exercise("normal_kl", points=2)
def normal_kl(student, case):
    """KL(N(mean1, exp logvar1) || N(mean2, exp logvar2)) of tensors that broadcast, summed over all but the first axis,
    (B,).
    """
    truth = normal_kl.oracle
    batch, channels, height, width = case.sizes(4)

    def image():
        return case.normal(batch, channels, height, width)

    full = image(), image() - 0.3, image(), image() + 0.4
    case.expect(student(*full), truth(*full), "four tensors of one shape, images", points=0.5, dtype=True)
    rows = case.normal(batch, width), case.normal(batch, width), case.normal(batch, width), case.normal(batch, width)
    few = rows[0][0], *rows[1:]  # the shape that counts is the one all four broadcast to, not that of mean1
    case.expect(student(*few), truth(*few), "batches of rows, with one mean1 for all examples", points=0.25)
    shared = image(), case.normal() - 1.2, case.normal(batch, 1, 1, 1), case.normal() + 0.8
    case.expect(student(*shared), truth(*shared), "0-dim logvars and one mean per example", points=0.25)
    lone = case.normal(batch, 1), case.normal(batch, 1), case.normal(), case.normal(1)
    case.expect(student(*lone), truth(*lone), "one number per example", points=0.25)
    wild = 40 * rows[0], rows[1] - 30, rows[2], rows[3] + 20
    tight = rows[0], rows[1] - 25, rows[0] + 1e-5 * rows[2], rows[1] - 25 + 0.5 * rows[3]
    case.expect(
        student(*wild) + 1e-6 * student(*tight),
        truth(*wild) + 1e-6 * truth(*tight),
        "far means, very small and very large variances",
        points=0.25,
        hint="the closed form holds everywhere: no clamp, no small constant",
    )
    film = [case.normal(3, 2, 1, 2, 2) for _ in range(4)]
    cube = [case.normal(3, 2, 4) for _ in range(4)]
    also = [film, cube, ones(full), [value.reshape(-1)[:1] for value in lone]]
    case.conventions(student, shared, truth, points=0.5, also=also, gradient=(0, 1, 2, 3))


@normal_kl.truth
def truth(mean1, logvar1, mean2, logvar2):
    mean1, logvar1, mean2, logvar2 = torch.broadcast_tensors(mean1, logvar1, mean2, logvar2)
    axes = mean1.ndim - 1
    first, second = Normal(mean1, (logvar1 / 2).exp()), Normal(mean2, (logvar2 / 2).exp())
    return kl_divergence(Independent(first, axes), Independent(second, axes))


def _terms(mean1, logvar1, mean2, logvar2):
    """Entrywise, in the shape that the four broadcast to."""
    return 0.5 * (logvar2 - logvar1 - 1 + (logvar1 - logvar2).exp() + (mean1 - mean2) ** 2 * (-logvar2).exp())


def _summed(terms):
    return terms.reshape(len(terms), -1).sum(1)


@normal_kl.alternative("the closed form, flattened")
def closed_form_flattened(mean1, logvar1, mean2, logvar2):
    return _summed(_terms(mean1, logvar1, mean2, logvar2))


@normal_kl.alternative("with variances, broadcast first")
def with_variances_broadcast_first(mean1, logvar1, mean2, logvar2):
    m1, l1, m2, l2 = torch.broadcast_tensors(mean1, logvar1, mean2, logvar2)
    v1, v2 = torch.exp(l1), torch.exp(l2)
    total = (l2 - l1 + (v1 + (m1 - m2).pow(2)) / v2 - 1) / 2
    return total.sum(dim=tuple(range(1, total.ndim))) if total.ndim > 1 else total


@normal_kl.alternative("cross entropy minus entropy")
def cross_entropy_minus_entropy(mean1, logvar1, mean2, logvar2):
    cross = (logvar2 + (logvar1 - logvar2).exp() + ((mean1 - mean2) * (-logvar2 / 2).exp()) ** 2) / 2
    entropy = (logvar1 + 1) / 2
    return torch.stack([example.sum() for example in cross - entropy])


@normal_kl.misconception(
    "the factor 1/2 is missing",
    hint="Every term carries the 1/2 of the Gaussian's exponent.",
)
def factor_half_is_missing(mean1, logvar1, mean2, logvar2):
    return 2 * _summed(_terms(mean1, logvar1, mean2, logvar2))


@normal_kl.misconception(
    "the two Gaussians change places",
    hint="KL(p1 || p2) averages over the first Gaussian and is not symmetric: the second one's variance stands below "
    "the fraction bar.",
)
def two_gaussians_change_places(mean1, logvar1, mean2, logvar2):
    return _summed(_terms(mean2, logvar2, mean1, logvar1))


@normal_kl.misconception(
    "the sign is reversed",
    hint="A KL divergence is never negative, and yours never positive.",
)
def sign_is_reversed(mean1, logvar1, mean2, logvar2):
    return -_summed(_terms(mean1, logvar1, mean2, logvar2))


@normal_kl.misconception(
    "logvar read as log sigma",
    hint="logvar is the logarithm of the variance: exp(logvar) is sigma^2 already, so nothing needs squaring.",
)
def logvar_read_as_log_sigma(mean1, logvar1, mean2, logvar2):
    return _summed(_terms(mean1, 2 * logvar1, mean2, 2 * logvar2))


@normal_kl.misconception(
    "standard deviations in place of variances",
    hint="In the fractions stand variances, exp(logvar). exp(logvar / 2) is the standard deviation.",
)
def standard_deviations_in_place_of_variances(mean1, logvar1, mean2, logvar2):
    ratio, scale = ((logvar1 - logvar2) / 2).exp(), (-logvar2 / 2).exp()
    return _summed(0.5 * (logvar2 - logvar1 - 1 + ratio + (mean1 - mean2) ** 2 * scale))


@normal_kl.misconception(
    "log sigma in place of log sigma^2",
    hint="The first term is log(sigma2^2 / sigma1^2) with the 1/2 outside, that is the difference of the logvars, "
    "not half of it.",
)
def log_sigma_in_place_of_log_sigma_squared(mean1, logvar1, mean2, logvar2):
    squares = (logvar1 - logvar2).exp() + (mean1 - mean2) ** 2 * (-logvar2).exp()
    return _summed(0.5 * ((logvar2 - logvar1) / 2 - 1 + squares))


@normal_kl.misconception(
    "the -1 is missing",
    hint="Two equal Gaussians have KL 0. Which constant makes it so?",
)
def minus_1_is_missing(mean1, logvar1, mean2, logvar2):
    return _summed(_terms(mean1, logvar1, mean2, logvar2) + 0.5)


@normal_kl.misconception(
    "the squared distance over the first variance",
    hint="E (x - mean2)^2 stands over the second variance, the one of the Gaussian whose log-density is averaged.",
)
def squared_distance_over_first_variance(mean1, logvar1, mean2, logvar2):
    return _summed(0.5 * (logvar2 - logvar1 - 1 + (logvar1 - logvar2).exp() + (mean1 - mean2) ** 2 * (-logvar1).exp()))


@normal_kl.misconception(
    "the distance of the means is not squared",
    hint="E (x - mean2)^2 = sigma1^2 + (mean1 - mean2)^2: the square stays.",
)
def distance_of_means_is_not_squared(mean1, logvar1, mean2, logvar2):
    distance = (mean1 - mean2) * (-logvar2).exp()
    return _summed(0.5 * (logvar2 - logvar1 - 1 + (logvar1 - logvar2).exp() + distance))


@normal_kl.misconception(
    "the mean over the event",
    hint="The entries are independent, so their KLs add up: sum over the event, do not average.",
)
def mean_over_event(mean1, logvar1, mean2, logvar2):
    terms = _terms(mean1, logvar1, mean2, logvar2)
    return terms.reshape(len(terms), -1).mean(1)


@normal_kl.misconception(
    "summed over the batch as well",
    hint="One KL per example, shape (B,): the first axis stays.",
)
def summed_over_batch_as_well(mean1, logvar1, mean2, logvar2):
    return _terms(mean1, logvar1, mean2, logvar2).sum()


@normal_kl.misconception(
    "the shape of mean1 taken for the shape of all",
    hint="Any of the four may have fewer axes than the others, mean1 too. What is summed, and how many examples there "
    "are, is read off the shape they broadcast to.",
)
def shape_of_mean1_taken_for_shape_of_all(mean1, logvar1, mean2, logvar2):
    terms = _terms(mean1, logvar1, mean2, logvar2)
    return terms.sum(tuple(range(1, mean1.ndim))) if mean1.ndim > 1 else terms


@normal_kl.misconception(
    "summed over the last axis alone",
    hint="An image has three event axes. Sum over all axes but the first, however many there are.",
)
def summed_over_last_axis_alone(mean1, logvar1, mean2, logvar2):
    return _terms(mean1, logvar1, mean2, logvar2).sum(-1)


@normal_kl.misconception(
    "summed before broadcasting",
    hint="A 0-dim logvar stands for one at every entry. Add the terms entry by entry first, in the shape they "
    "broadcast to, and sum at the end; otherwise its logarithm counts once instead of once per entry.",
)
def summed_before_broadcasting(mean1, logvar1, mean2, logvar2):
    squares = (logvar1 - logvar2).exp() + (mean1 - mean2) ** 2 * (-logvar2).exp() - 1
    logs = logvar2 - logvar1
    return 0.5 * (_summed(squares) + (_summed(logs) if logs.ndim else logs))
