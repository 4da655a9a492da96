"""The exponent of q(x_{t-1} given x_t, x_0): `posterior_exponent`."""

from __future__ import annotations

import torch
from torch.distributions import Normal

from ...conventions import Manner, ones
from ...exercise import exercise
from ..diffusion import ranks
from .shared import log_joint


class Differences(Manner):
    """The student's exponent at one x_{t-1} minus at another: what is free of x_{t-1} drops out."""

    def calls(self, args):
        one, other, *rest = args
        return [[one, *rest], [other, *rest]]

    def answer(self, values, args):
        return values[0] - values[1]


@exercise("posterior_exponent", points=2)
def posterior_exponent(student, case):
    """log q(x_t given x_{t-1}) + log q(x_{t-1} given x_0), elementwise, up to terms free of x_{t-1}."""
    truth = _true_difference

    def asked(one, other, *rest):
        return student(one, *rest) - student(other, *rest)

    def inputs(*shape, low=0.2, high=0.9):
        values = [case.normal(*shape) for _ in range(4)]
        return *values, *(case.uniform(low=low, high=high) for _ in range(2))

    rows, images = inputs(*case.sizes(2)), inputs(*case.sizes(4))
    case.expect(asked(*rows), truth(*rows), "differences between two values of x_{t-1}, rows", points=0.75, dtype=True)
    case.expect(asked(*images), truth(*images), "the same for images", points=0.25)
    near_one, tiny = inputs(*case.sizes(3), low=0.97, high=0.99), inputs(*case.sizes(3), low=0.01, high=0.03)
    case.expect(asked(*near_one), truth(*near_one), "alpha_t and alpha_bar_{t-1} close to 1", points=0.25)
    case.expect(asked(*tiny), truth(*tiny), "alpha_t and alpha_bar_{t-1} close to 0", points=0.25)
    *_, film = (inputs(*shape) for shape in ranks(3))
    slight = inputs(2, 3, low=1 - 1e-6, high=1 - 1e-7)
    case.conventions(student, rows, truth, points=0.5, also=[film, slight, ones(rows)], manner=Differences())


def _true_difference(one, other, *rest):
    return log_joint(one, *rest) - log_joint(other, *rest)


@posterior_exponent.truth
def truth(x_prev, xt, x0, alpha_t, alpha_bar_prev):
    return log_joint(x_prev, xt, x0, alpha_t, alpha_bar_prev)


@posterior_exponent.alternative("two squares")
def two_squares(x_prev, xt, x0, alpha_t, alpha_bar_prev):
    forward = (xt - torch.sqrt(alpha_t) * x_prev).pow(2) / (1 - alpha_t)
    prior = (x_prev - torch.sqrt(alpha_bar_prev) * x0).pow(2) / (1 - alpha_bar_prev)
    return -(forward + prior) / 2


@posterior_exponent.alternative("collected by powers of x_{t-1}")
def collected_by_powers_of_x_t_minus_1(x_prev, xt, x0, alpha_t, alpha_bar_prev):
    precision = alpha_t / (1 - alpha_t) + 1 / (1 - alpha_bar_prev)
    linear = alpha_t**0.5 * xt / (1 - alpha_t) + alpha_bar_prev**0.5 * x0 / (1 - alpha_bar_prev)
    return x_prev * (linear - precision * x_prev / 2)


@posterior_exponent.alternative("log of two densities, x_t standardised first")
def log_of_two_densities_x_t_standardised_first(x_prev, xt, x0, alpha_t, alpha_bar_prev):
    step = (xt - alpha_t.sqrt() * x_prev) / (1 - alpha_t).sqrt()
    jump = (x_prev - alpha_bar_prev.sqrt() * x0) / (1 - alpha_bar_prev).sqrt()
    standard = Normal(torch.zeros_like(alpha_t), torch.ones_like(alpha_t))
    return standard.log_prob(step) + standard.log_prob(jump)


@posterior_exponent.alternative("each square weighed by its precision")
def weighed_by_precisions(x_prev, xt, x0, alpha_t, alpha_bar_prev):
    of_step, of_prior = 1 / (1 - alpha_t), 1 / (1 - alpha_bar_prev)
    step, jump = xt - alpha_t.sqrt() * x_prev, x_prev - alpha_bar_prev.sqrt() * x0
    return -0.5 * (of_step * step**2 + of_prior * jump**2)


@posterior_exponent.alternative("a quadratic and a linear term")
def quadratic_and_linear(x_prev, xt, x0, alpha_t, alpha_bar_prev):
    precision = alpha_t / (1 - alpha_t) + 1 / (1 - alpha_bar_prev)
    linear = alpha_t.sqrt() * xt / (1 - alpha_t) + alpha_bar_prev.sqrt() * x0 / (1 - alpha_bar_prev)
    return linear * x_prev - 0.5 * precision * x_prev**2


def _squares(x_prev, xt, x0, alpha_t, alpha_bar_prev):
    """The two squares without their factors, from which most wrong answers are made."""
    step = (xt - alpha_t.sqrt() * x_prev) ** 2
    return step, (x_prev - alpha_bar_prev.sqrt() * x0) ** 2


@posterior_exponent.misconception(
    "the factor 1/2 is missing",
    hint="The logarithm of a Gaussian density is -(x - mean)^2 / (2 variance): the 2 below the fraction bar belongs "
    "to both terms.",
)
def factor_half_is_missing(x_prev, xt, x0, alpha_t, alpha_bar_prev):
    step, jump = _squares(x_prev, xt, x0, alpha_t, alpha_bar_prev)
    return -step / (1 - alpha_t) - jump / (1 - alpha_bar_prev)


@posterior_exponent.misconception(
    "the 1/2 reaches one of the two terms only",
    hint="The 1/2 stands outside the bracket of line (17): both squares are divided by TWICE their variance.",
)
def half_reaches_one_of_two_terms_only(x_prev, xt, x0, alpha_t, alpha_bar_prev):
    step, jump = _squares(x_prev, xt, x0, alpha_t, alpha_bar_prev)
    return -step / (2 * (1 - alpha_t)) - jump / (1 - alpha_bar_prev)


@posterior_exponent.misconception(
    "multiplied by the variance instead of divided",
    hint="In Python a / 2 * b is (a / 2) * b. Put the whole denominator in brackets: a / (2 * b).",
)
def multiplied_by_variance_instead_of_divided(x_prev, xt, x0, alpha_t, alpha_bar_prev):
    step, jump = _squares(x_prev, xt, x0, alpha_t, alpha_bar_prev)
    return -step / 2 * (1 - alpha_t) - jump / 2 * (1 - alpha_bar_prev)


@posterior_exponent.misconception(
    "one of the two terms has the wrong sign",
    hint="Both squares count against x_{t-1}, so both carry the minus sign of line (17). Look at the brackets behind "
    "your first minus.",
)
def one_of_two_terms_has_wrong_sign(x_prev, xt, x0, alpha_t, alpha_bar_prev):
    step, jump = _squares(x_prev, xt, x0, alpha_t, alpha_bar_prev)
    return -step / (2 * (1 - alpha_t)) + jump / (2 * (1 - alpha_bar_prev))


@posterior_exponent.misconception(
    "the density instead of its logarithm",
    hint="Asked is the exponent, that is the logarithm: the sum of the two log-densities, with no exp around it.",
)
def density_instead_of_its_logarithm(x_prev, xt, x0, alpha_t, alpha_bar_prev):
    step, jump = _squares(x_prev, xt, x0, alpha_t, alpha_bar_prev)
    return (-step / (2 * (1 - alpha_t)) - jump / (2 * (1 - alpha_bar_prev))).exp()


@posterior_exponent.misconception(
    "alpha in place of the variance",
    hint="alpha_t and alpha_bar_{t-1} say what is kept. The variances, below the squares, are 1 minus them.",
)
def alpha_in_place_of_variance(x_prev, xt, x0, alpha_t, alpha_bar_prev):
    step, jump = _squares(x_prev, xt, x0, alpha_t, alpha_bar_prev)
    return -step / (2 * alpha_t) - jump / (2 * alpha_bar_prev)


@posterior_exponent.misconception(
    "the sign is reversed",
    hint="A log-density is largest at the mean and falls off on both sides, so its squares carry a minus sign.",
)
def sign_is_reversed(x_prev, xt, x0, alpha_t, alpha_bar_prev):
    step, jump = _squares(x_prev, xt, x0, alpha_t, alpha_bar_prev)
    return step / (2 * (1 - alpha_t)) + jump / (2 * (1 - alpha_bar_prev))


@posterior_exponent.misconception(
    "the square roots on the means are missing",
    hint="alpha_t scales the variance of the signal, its root scales the signal: the means are sqrt(alpha_t) x_{t-1} "
    "and sqrt(alpha_bar_{t-1}) x_0.",
)
def square_roots_on_means_are_missing(x_prev, xt, x0, alpha_t, alpha_bar_prev):
    step, jump = (xt - alpha_t * x_prev) ** 2, (x_prev - alpha_bar_prev * x0) ** 2
    return -step / (2 * (1 - alpha_t)) - jump / (2 * (1 - alpha_bar_prev))


@posterior_exponent.misconception(
    "the root on alpha_t is missing",
    hint="One step keeps sqrt(alpha_t) of x_{t-1}, not alpha_t of it. Your other mean has its root.",
)
def root_on_alpha_t_is_missing(x_prev, xt, x0, alpha_t, alpha_bar_prev):
    _, jump = _squares(x_prev, xt, x0, alpha_t, alpha_bar_prev)
    return -((xt - alpha_t * x_prev) ** 2) / (2 * (1 - alpha_t)) - jump / (2 * (1 - alpha_bar_prev))


@posterior_exponent.misconception(
    "variance as standard deviation",
    hint="1 - alpha_t and 1 - alpha_bar_{t-1} are variances. torch's Normal wants a standard deviation, so take "
    "roots; in the formula a variance stands below the fraction bar as it is, without a square.",
)
def variance_as_standard_deviation(x_prev, xt, x0, alpha_t, alpha_bar_prev):
    step, jump = _squares(x_prev, xt, x0, alpha_t, alpha_bar_prev)
    return -step / (2 * (1 - alpha_t) ** 2) - jump / (2 * (1 - alpha_bar_prev) ** 2)


@posterior_exponent.misconception(
    "alpha_bar_t in place of alpha_t",
    hint="q(x_t given x_{t-1}) is a single step, from t - 1 to t: only alpha_t appears in it. The product alpha_bar "
    "belongs to the jump from x_0.",
)
def alpha_bar_t_in_place_of_alpha_t(x_prev, xt, x0, alpha_t, alpha_bar_prev):
    together = alpha_t * alpha_bar_prev
    step, jump = _squares(x_prev, xt, x0, together, alpha_bar_prev)
    return -step / (2 * (1 - together)) - jump / (2 * (1 - alpha_bar_prev))


@posterior_exponent.misconception(
    "x_t and x_{t-1} change places in the forward step",
    hint="q(x_t given x_{t-1}) is a density of x_t around sqrt(alpha_t) x_{t-1}. You centred x_{t-1} on "
    "sqrt(alpha_t) x_t, as if time ran backwards.",
)
def x_t_and_x_t_minus_1_change_places_in_forward(x_prev, xt, x0, alpha_t, alpha_bar_prev):
    _, jump = _squares(x_prev, xt, x0, alpha_t, alpha_bar_prev)
    return -((x_prev - alpha_t.sqrt() * xt) ** 2) / (2 * (1 - alpha_t)) - jump / (2 * (1 - alpha_bar_prev))


@posterior_exponent.misconception(
    "x_0's factor is left out",
    hint="Bayes multiplies two densities: how likely x_t is after x_{t-1}, and where x_{t-1} lies when it comes from "
    "x_0. The second is missing.",
)
def x_0s_factor_is_left_out(x_prev, xt, x0, alpha_t, alpha_bar_prev):
    step, _ = _squares(x_prev, xt, x0, alpha_t, alpha_bar_prev)
    return -step / (2 * (1 - alpha_t))


@posterior_exponent.misconception(
    "summed over the event",
    hint="The exponent is asked for elementwise, with the shape of x_prev: every coordinate has its own parabola.",
)
def summed_over_event(x_prev, xt, x0, alpha_t, alpha_bar_prev):
    step, jump = _squares(x_prev, xt, x0, alpha_t, alpha_bar_prev)
    return (-step / (2 * (1 - alpha_t)) - jump / (2 * (1 - alpha_bar_prev))).flatten(1).sum(1)
