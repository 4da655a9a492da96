"""How much each time weighs in the bound, for an error in the noise: `loss_weight_eps`."""

from __future__ import annotations

import torch
from torch.distributions import Normal, kl_divergence

from ...exercise import exercise
from ..diffusion import EARLY, ONE_TIME, SHIFTED, condition, early, first_of, shifted, tables
from .shared import check_weights, weight_x0


@exercise("loss_weight_eps", points=2, after=("posterior_variance", "loss_weight_x0"))
def loss_weight_eps(student, case):
    """L_{t-1} = weight x squared error in eps, with sigma_t^2 = beta~_t, t >= 2, (B,)."""
    variance, weight_x0 = case.upstream("posterior_variance"), case.upstream("loss_weight_x0")

    def through_x0(t, alpha_bar):
        return weight_x0(t, alpha_bar) * (1 / alpha_bar[t] - 1)

    def through_variance(t, alpha_bar):
        now, _, alpha, beta = tables(t, alpha_bar)
        return beta**2 / (2 * variance(t, alpha_bar) * alpha * (1 - now))

    check_weights(student, case, (through_x0, through_variance))


@loss_weight_eps.truth
def truth(t, alpha_bar):
    """The KL itself, for an error of 1 in eps."""
    c0, _, variance = condition(t, alpha_bar)
    shift = c0 * (1 / alpha_bar.double()[t] - 1).sqrt()
    return kl_divergence(Normal(shift, variance.sqrt()), Normal(0 * shift, variance.sqrt())).to(alpha_bar.dtype)


@loss_weight_eps.alternative("one fraction")
def one_fraction(t, alpha_bar):
    _, before, alpha, beta = tables(t, alpha_bar)
    return beta / (2 * alpha * (1 - before))


@loss_weight_eps.alternative("beta_t^2 over 2 sigma_t^2 alpha_t (1 - alpha_bar_t)")
def beta_t_squared_over_2_sigma_t_squared_alpha_t_1(t, alpha_bar):
    now, before, alpha, beta = tables(t, alpha_bar)
    sigma = (beta * (1 - before) / (1 - now)).sqrt()
    return beta**2 / (2 * sigma**2 * alpha * (1 - now))


@loss_weight_eps.alternative("by the ratio of two signal-to-noise ratios")
def by_ratio_of_two_signal_to_noise_ratios(t, alpha_bar):
    now, before = alpha_bar[t], alpha_bar[t - 1]
    return (before * (1 - now) / (now * (1 - before)) - 1) / 2


def _weight_eps(values):
    _, before, alpha, beta = values
    return beta / (2 * alpha * (1 - before))


@loss_weight_eps.misconception(
    "the factor 1/2 is missing",
    hint="The KL of two Gaussians with the same variance is the squared distance of their means over TWICE the "
    "variance.",
)
def factor_half_is_missing(t, alpha_bar):
    return 2 * _weight_eps(tables(t, alpha_bar))


@loss_weight_eps.misconception(
    "sigma_t^2 = beta_t",
    hint="This is the weight for the reverse variance beta_t. Asked is the one for sigma_t^2 = beta~_t, the "
    "posterior's own.",
)
def sigma_t_squared_beta_t(t, alpha_bar):
    now, _, alpha, beta = tables(t, alpha_bar)
    return beta / (2 * alpha * (1 - now))


@loss_weight_eps.misconception(
    "the weight of x_0",
    hint="An error in eps becomes an error in x_0 times sqrt(1 - alpha_bar_t) / sqrt(alpha_bar_t). Insert that into "
    "the weight you have.",
)
def weight_of_x_0(t, alpha_bar):
    return weight_x0(tables(t, alpha_bar))


@loss_weight_eps.misconception(
    "the conversion upside down",
    hint="x_0 = (x_t - sqrt(1 - alpha_bar_t) eps) / sqrt(alpha_bar_t): an error in eps is multiplied by sqrt(1 - "
    "alpha_bar_t) and divided by sqrt(alpha_bar_t) on its way to x_0, not the reverse.",
)
def conversion_upside_down(t, alpha_bar):
    now = alpha_bar[t]
    return weight_x0(tables(t, alpha_bar)) * now / (1 - now)


@loss_weight_eps.misconception(
    "the conversion is not squared",
    hint="The error is multiplied by sqrt((1 - alpha_bar_t) / alpha_bar_t), the squared error by its square.",
)
def conversion_is_not_squared(t, alpha_bar):
    return weight_x0(tables(t, alpha_bar)) * (1 / alpha_bar[t] - 1).sqrt()


@loss_weight_eps.misconception(
    "alpha_t is missing below",
    hint="The eps form of the mean carries 1 / sqrt(alpha_t) in front of its bracket, and the square of that stays "
    "in the weight.",
)
def alpha_t_is_missing_below(t, alpha_bar):
    _, before, _, beta = tables(t, alpha_bar)
    return beta / (2 * (1 - before))


@loss_weight_eps.misconception(
    "alpha_bar_t in place of alpha_t",
    hint="One step back stretches by 1 / sqrt(alpha_t), so its square 1 / alpha_t stands in the weight: no product "
    "over all steps.",
)
def alpha_bar_t_in_place_of_alpha_t(t, alpha_bar):
    now, before, _, beta = tables(t, alpha_bar)
    return beta / (2 * now * (1 - before))


@loss_weight_eps.misconception(
    "sigma_t^2 is left out",
    hint="In beta_t^2 / (2 sigma_t^2 alpha_t (1 - alpha_bar_t)) the variance sigma_t^2 is beta~_t, not 1.",
)
def sigma_t_squared_is_left_out(t, alpha_bar):
    now, _, alpha, beta = tables(t, alpha_bar)
    return beta**2 / (2 * alpha * (1 - now))


@loss_weight_eps.misconception(
    "the simplified loss's weight",
    hint="The simplified loss sets every weight to 1. Asked is what the bound itself gives each time.",
)
def simplified_weight(t, alpha_bar):
    return torch.ones_like(alpha_bar[t])


@loss_weight_eps.misconception(EARLY[0], hint=EARLY[1])
def tables_are_read_one_step_early(t, alpha_bar):
    return _weight_eps(early(t, alpha_bar))


@loss_weight_eps.misconception(SHIFTED[0], hint=SHIFTED[1])
def alpha_bar_t_minus_1_is_shifted_twice(t, alpha_bar):
    return _weight_eps(shifted(t, alpha_bar))


@loss_weight_eps.misconception(ONE_TIME[0], hint=ONE_TIME[1])
def one_t_for_whole_batch(t, alpha_bar):
    return _weight_eps(tables(first_of(t), alpha_bar))
