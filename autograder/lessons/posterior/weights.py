"""How much each time weighs in the bound: `loss_weight_x0`, `loss_weight_eps`."""

from __future__ import annotations

import torch
from torch.distributions import Normal, kl_divergence

from ...case import difference
from ...exercise import exercise
from .inputs import (
    EARLY,
    LOST,
    ONE_TIME,
    SHIFTED,
    condition,
    early,
    fine_schedule,
    first_of,
    schedule,
    shifted,
    tables,
    times,
)

LESSON = "05-posterior"


def _weights(student, case, routes):
    """The checks both weights share. `routes` are ways from earlier exercises to the weight; with right ones they
    agree, and where the student's own are followed through, any of them may be the one that was taken.
    """

    def truth(*inputs):
        got, truths = student(*inputs), [route(*inputs) for route in routes]
        return next((true for true in truths if _agree(got, true)), truths[0])

    def expect(inputs, what, points):
        case.expect(student(*inputs), truth(*inputs), what, points=points, dtype=True)

    steps, batch = case.integer(6, 9), case.integer(10, 13)
    short = times(case, steps, batch), schedule(case, steps)
    expect(short, "t from 2 to T on a short, uneven schedule", 1)
    for t in (2, 1000):
        expect((torch.full((2,), t), fine_schedule()), f"t = {t} on the linear schedule with T = 1000", 0.25)

    case.conventions(student, short, truth, points=0.5)


def _agree(got, truth):
    return isinstance(truth, torch.Tensor) and not difference(got, truth)


# ---- loss_weight_x0


@exercise("loss_weight_x0", points=2, after=("posterior_variance", "posterior_coefficients"))
def loss_weight_x0(student, case):
    """L_{t-1} = weight x squared error in x_0, with sigma_t^2 = beta~_t, t >= 2, (B,)."""
    variance, coefficients = case.upstream("posterior_variance"), case.upstream("posterior_coefficients")

    def through_mean(t, alpha_bar):
        return case.unpack(coefficients(t, alpha_bar), "c0", "ct")[0] ** 2 / (2 * variance(t, alpha_bar))

    def through_variance(t, alpha_bar):
        now, before, _, beta = tables(t, alpha_bar)
        return before * beta**2 / (2 * (1 - now) ** 2 * variance(t, alpha_bar))

    _weights(student, case, (through_mean, through_variance))


@loss_weight_x0.truth
def _(t, alpha_bar):
    """The KL itself, for an error of 1 in x_0."""
    c0, _, variance = condition(t, alpha_bar)
    zero = torch.zeros_like(c0)
    return kl_divergence(Normal(zero, variance.sqrt()), Normal(c0, variance.sqrt())).to(alpha_bar.dtype)


@loss_weight_x0.alternative("half the loss of signal-to-noise ratio")
def _(t, alpha_bar):
    snr = alpha_bar[1:] / (1 - alpha_bar[1:])  # from t = 1 on
    return 0.5 * (snr[t - 2] - snr[t - 1])


@loss_weight_x0.alternative("one fraction")
def _(t, alpha_bar):
    now, before, _, beta = tables(t, alpha_bar)
    return before * beta / (2 * (1 - before) * (1 - now))


@loss_weight_x0.alternative("coefficient squared over twice the variance")
def _(t, alpha_bar):
    now, before, _, beta = tables(t, alpha_bar)
    c0, variance = before.sqrt() * beta / (1 - now), beta * (1 - before) / (1 - now)
    return c0.square() / (2 * variance)


def _weight_x0(values):
    now, before, _, beta = values
    return before * beta / (2 * (1 - before) * (1 - now))


@loss_weight_x0.misconception(
    "the factor 1/2 is missing",
    hint="The KL of two Gaussians with the same variance is the squared distance of their means over TWICE the "
    "variance.",
)
def _(t, alpha_bar):
    return 2 * _weight_x0(tables(t, alpha_bar))


@loss_weight_x0.misconception(
    "sigma_t^2 = beta_t",
    hint="This is the weight for the reverse variance beta_t. Asked is the one for sigma_t^2 = beta~_t, the "
    "posterior's own.",
)
def _(t, alpha_bar):
    now, before, _, beta = tables(t, alpha_bar)
    return before * beta / (2 * (1 - now) ** 2)


@loss_weight_x0.misconception(
    "the coefficient of x_0 is not squared",
    hint="The error in the mean is c0 times the error in x_0; its square brings c0^2.",
)
def _(t, alpha_bar):
    before = alpha_bar[t - 1]
    return before.sqrt() / (2 * (1 - before))


@loss_weight_x0.misconception(
    "divided by the standard deviation",
    hint="Below the squared error stands 2 sigma_t^2, twice the variance.",
)
def _(t, alpha_bar):
    now, before, _, beta = tables(t, alpha_bar)
    variance = beta * (1 - before) / (1 - now)
    return before * (beta / (1 - now)) ** 2 / (2 * variance.sqrt())


@loss_weight_x0.misconception(
    "the weight of eps",
    hint="An error in x_0 and an error in eps differ by the factor sqrt(1 - alpha_bar_t) / sqrt(alpha_bar_t). This "
    "is the weight that multiplies the squared error in eps.",
)
def _(t, alpha_bar):
    _, before, alpha, beta = tables(t, alpha_bar)
    return beta / (2 * alpha * (1 - before))


@loss_weight_x0.misconception(
    "the signal-to-noise ratio itself",
    hint="The weight is half the ratio LOST between t - 1 and t, a difference of two ratios.",
)
def _(t, alpha_bar):
    return 0.5 * alpha_bar[t] / (1 - alpha_bar[t])


@loss_weight_x0.misconception(
    "alpha_bar_t above the fraction bar",
    hint="The numerator of line (36) holds alpha_bar_{t-1}, from the square of c0, and beta_t of one step.",
)
def _(t, alpha_bar):
    now, before, _, beta = tables(t, alpha_bar)
    return now * beta / (2 * (1 - before) * (1 - now))


@loss_weight_x0.misconception(
    "the difference has the wrong sign",
    hint="The signal-to-noise ratio falls with t: take the one at t - 1 minus the one at t, or the loss would reward "
    "errors.",
)
def _(t, alpha_bar):
    return -_weight_x0(tables(t, alpha_bar))


@loss_weight_x0.misconception(EARLY[0], hint=EARLY[1])
def _(t, alpha_bar):
    return _weight_x0(early(t, alpha_bar))


@loss_weight_x0.misconception(SHIFTED[0], hint=SHIFTED[1])
def _(t, alpha_bar):
    return _weight_x0(shifted(t, alpha_bar))


@loss_weight_x0.misconception(ONE_TIME[0], hint=ONE_TIME[1])
def _(t, alpha_bar):
    return _weight_x0(tables(first_of(t), alpha_bar))


@loss_weight_x0.misconception(LOST[0], hint=LOST[1])
def _(t, alpha_bar):
    return torch.tensor(_weight_x0(tables(t, alpha_bar)).tolist())


# ---- loss_weight_eps


@exercise("loss_weight_eps", points=2, after=("posterior_variance", "loss_weight_x0"))
def loss_weight_eps(student, case):
    """L_{t-1} = weight x squared error in eps, with sigma_t^2 = beta~_t, t >= 2, (B,)."""
    variance, weight_x0 = case.upstream("posterior_variance"), case.upstream("loss_weight_x0")

    def through_x0(t, alpha_bar):
        return weight_x0(t, alpha_bar) * (1 / alpha_bar[t] - 1)

    def through_variance(t, alpha_bar):
        now, _, alpha, beta = tables(t, alpha_bar)
        return beta**2 / (2 * variance(t, alpha_bar) * alpha * (1 - now))

    _weights(student, case, (through_x0, through_variance))


@loss_weight_eps.truth
def _(t, alpha_bar):
    """The KL itself, for an error of 1 in eps."""
    c0, _, variance = condition(t, alpha_bar)
    shift = c0 * (1 / alpha_bar.double()[t] - 1).sqrt()
    return kl_divergence(Normal(shift, variance.sqrt()), Normal(0 * shift, variance.sqrt())).to(alpha_bar.dtype)


@loss_weight_eps.alternative("one fraction")
def _(t, alpha_bar):
    _, before, alpha, beta = tables(t, alpha_bar)
    return beta / (2 * alpha * (1 - before))


@loss_weight_eps.alternative("beta_t^2 over 2 sigma_t^2 alpha_t (1 - alpha_bar_t)")
def _(t, alpha_bar):
    now, before, alpha, beta = tables(t, alpha_bar)
    sigma = (beta * (1 - before) / (1 - now)).sqrt()
    return beta**2 / (2 * sigma**2 * alpha * (1 - now))


@loss_weight_eps.alternative("by the ratio of two signal-to-noise ratios")
def _(t, alpha_bar):
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
def _(t, alpha_bar):
    return 2 * _weight_eps(tables(t, alpha_bar))


@loss_weight_eps.misconception(
    "sigma_t^2 = beta_t",
    hint="This is the weight for the reverse variance beta_t. Asked is the one for sigma_t^2 = beta~_t, the "
    "posterior's own.",
)
def _(t, alpha_bar):
    now, _, alpha, beta = tables(t, alpha_bar)
    return beta / (2 * alpha * (1 - now))


@loss_weight_eps.misconception(
    "the weight of x_0",
    hint="An error in eps becomes an error in x_0 times sqrt(1 - alpha_bar_t) / sqrt(alpha_bar_t). Insert that into "
    "the weight you have.",
)
def _(t, alpha_bar):
    return _weight_x0(tables(t, alpha_bar))


@loss_weight_eps.misconception(
    "the conversion upside down",
    hint="x_0 = (x_t - sqrt(1 - alpha_bar_t) eps) / sqrt(alpha_bar_t): an error in eps is multiplied by sqrt(1 - "
    "alpha_bar_t) and divided by sqrt(alpha_bar_t) on its way to x_0, not the reverse.",
)
def _(t, alpha_bar):
    now = alpha_bar[t]
    return _weight_x0(tables(t, alpha_bar)) * now / (1 - now)


@loss_weight_eps.misconception(
    "the conversion is not squared",
    hint="The error is multiplied by sqrt((1 - alpha_bar_t) / alpha_bar_t), the squared error by its square.",
)
def _(t, alpha_bar):
    return _weight_x0(tables(t, alpha_bar)) * (1 / alpha_bar[t] - 1).sqrt()


@loss_weight_eps.misconception(
    "alpha_t is missing below",
    hint="The eps form of the mean carries 1 / sqrt(alpha_t) in front of its bracket, and the square of that stays "
    "in the weight.",
)
def _(t, alpha_bar):
    _, before, _, beta = tables(t, alpha_bar)
    return beta / (2 * (1 - before))


@loss_weight_eps.misconception(
    "alpha_bar_t in place of alpha_t",
    hint="One step back stretches by 1 / sqrt(alpha_t), so its square 1 / alpha_t stands in the weight: no product "
    "over all steps.",
)
def _(t, alpha_bar):
    now, before, _, beta = tables(t, alpha_bar)
    return beta / (2 * now * (1 - before))


@loss_weight_eps.misconception(
    "sigma_t^2 is left out",
    hint="In beta_t^2 / (2 sigma_t^2 alpha_t (1 - alpha_bar_t)) the variance sigma_t^2 is beta~_t, not 1.",
)
def _(t, alpha_bar):
    now, _, alpha, beta = tables(t, alpha_bar)
    return beta**2 / (2 * alpha * (1 - now))


@loss_weight_eps.misconception(
    "the simplified loss's weight",
    hint="The simplified loss sets every weight to 1. Asked is what the bound itself gives each time.",
)
def _(t, alpha_bar):
    return torch.ones_like(alpha_bar[t])


@loss_weight_eps.misconception(EARLY[0], hint=EARLY[1])
def _(t, alpha_bar):
    return _weight_eps(early(t, alpha_bar))


@loss_weight_eps.misconception(SHIFTED[0], hint=SHIFTED[1])
def _(t, alpha_bar):
    return _weight_eps(shifted(t, alpha_bar))


@loss_weight_eps.misconception(ONE_TIME[0], hint=ONE_TIME[1])
def _(t, alpha_bar):
    return _weight_eps(tables(first_of(t), alpha_bar))
