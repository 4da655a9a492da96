"""How much each time weighs in the bound, for an error in x_0: `loss_weight_x0`."""

from __future__ import annotations

import torch
from torch.distributions import Normal, kl_divergence

from ...exercise import exercise
from ..diffusion import EARLY, LOST, ONE_TIME, SHIFTED, condition, early, first_of, shifted, tables
from .shared import check_weights, weight_x0


@exercise("loss_weight_x0", points=2, after=("posterior_variance", "posterior_coefficients"))
def loss_weight_x0(student, case):
    """L_{t-1} = weight x squared error in x_0, with sigma_t^2 = beta~_t, t >= 2, (B,)."""
    variance, coefficients = case.upstream("posterior_variance"), case.upstream("posterior_coefficients")

    def through_mean(t, alpha_bar):
        return case.unpack(coefficients(t, alpha_bar), "c0", "ct")[0] ** 2 / (2 * variance(t, alpha_bar))

    def through_variance(t, alpha_bar):
        now, before, _, beta = tables(t, alpha_bar)
        return before * beta**2 / (2 * (1 - now) ** 2 * variance(t, alpha_bar))

    check_weights(student, case, (through_mean, through_variance))


@loss_weight_x0.truth
def truth(t, alpha_bar):
    """The KL itself, for an error of 1 in x_0."""
    c0, _, variance = condition(t, alpha_bar)
    zero = torch.zeros_like(c0)
    return kl_divergence(Normal(zero, variance.sqrt()), Normal(c0, variance.sqrt())).to(alpha_bar.dtype)


@loss_weight_x0.alternative("half the loss of signal-to-noise ratio")
def half_loss_of_signal_to_noise_ratio(t, alpha_bar):
    snr = alpha_bar[1:] / (1 - alpha_bar[1:])  # from t = 1 on
    return 0.5 * (snr[t - 2] - snr[t - 1])


@loss_weight_x0.alternative("one fraction")
def one_fraction(t, alpha_bar):
    now, before, _, beta = tables(t, alpha_bar)
    return before * beta / (2 * (1 - before) * (1 - now))


@loss_weight_x0.alternative("coefficient squared over twice the variance")
def coefficient_squared_over_twice_variance(t, alpha_bar):
    now, before, _, beta = tables(t, alpha_bar)
    c0, variance = before.sqrt() * beta / (1 - now), beta * (1 - before) / (1 - now)
    return c0.square() / (2 * variance)


@loss_weight_x0.misconception(
    "the factor 1/2 is missing",
    hint="The KL of two Gaussians with the same variance is the squared distance of their means over TWICE the "
    "variance.",
)
def factor_half_is_missing(t, alpha_bar):
    return 2 * weight_x0(tables(t, alpha_bar))


@loss_weight_x0.misconception(
    "sigma_t^2 = beta_t",
    hint="This is the weight for the reverse variance beta_t. Asked is the one for sigma_t^2 = beta~_t, the "
    "posterior's own.",
)
def sigma_t_squared_beta_t(t, alpha_bar):
    now, before, _, beta = tables(t, alpha_bar)
    return before * beta / (2 * (1 - now) ** 2)


@loss_weight_x0.misconception(
    "the coefficient of x_0 is not squared",
    hint="The error in the mean is c0 times the error in x_0; its square brings c0^2.",
)
def coefficient_of_x_0_is_not_squared(t, alpha_bar):
    before = alpha_bar[t - 1]
    return before.sqrt() / (2 * (1 - before))


@loss_weight_x0.misconception(
    "divided by the standard deviation",
    hint="Below the squared error stands 2 sigma_t^2, twice the variance.",
)
def divided_by_standard_deviation(t, alpha_bar):
    now, before, _, beta = tables(t, alpha_bar)
    variance = beta * (1 - before) / (1 - now)
    return before * (beta / (1 - now)) ** 2 / (2 * variance.sqrt())


@loss_weight_x0.misconception(
    "the weight of eps",
    hint="An error in x_0 and an error in eps differ by the factor sqrt(1 - alpha_bar_t) / sqrt(alpha_bar_t). This "
    "is the weight that multiplies the squared error in eps.",
)
def weight_of_eps(t, alpha_bar):
    _, before, alpha, beta = tables(t, alpha_bar)
    return beta / (2 * alpha * (1 - before))


@loss_weight_x0.misconception(
    "the signal-to-noise ratio itself",
    hint="The weight is half the ratio LOST between t - 1 and t, a difference of two ratios.",
)
def signal_to_noise_ratio_itself(t, alpha_bar):
    return 0.5 * alpha_bar[t] / (1 - alpha_bar[t])


@loss_weight_x0.misconception(
    "alpha_bar_t above the fraction bar",
    hint="The numerator of line (36) holds alpha_bar_{t-1}, from the square of c0, and beta_t of one step.",
)
def alpha_bar_t_above_fraction_bar(t, alpha_bar):
    now, before, _, beta = tables(t, alpha_bar)
    return now * beta / (2 * (1 - before) * (1 - now))


@loss_weight_x0.misconception(
    "the difference has the wrong sign",
    hint="The signal-to-noise ratio falls with t: take the one at t - 1 minus the one at t, or the loss would reward "
    "errors.",
)
def difference_has_wrong_sign(t, alpha_bar):
    return -weight_x0(tables(t, alpha_bar))


@loss_weight_x0.misconception(EARLY[0], hint=EARLY[1])
def tables_are_read_one_step_early(t, alpha_bar):
    return weight_x0(early(t, alpha_bar))


@loss_weight_x0.misconception(SHIFTED[0], hint=SHIFTED[1])
def alpha_bar_t_minus_1_is_shifted_twice(t, alpha_bar):
    return weight_x0(shifted(t, alpha_bar))


@loss_weight_x0.misconception(ONE_TIME[0], hint=ONE_TIME[1])
def one_t_for_whole_batch(t, alpha_bar):
    return weight_x0(tables(first_of(t), alpha_bar))


@loss_weight_x0.misconception(LOST[0], hint=LOST[1])
def dtype_is_lost(t, alpha_bar):
    return torch.tensor(weight_x0(tables(t, alpha_bar)).tolist())
