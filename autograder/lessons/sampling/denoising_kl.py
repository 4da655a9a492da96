"""One term of the bound: `denoising_kl`."""

from __future__ import annotations

import torch
from torch.distributions import Independent, Normal, kl_divergence

from ...conventions import ones
from ...exercise import exercise
from ..diffusion import (
    AXIS,
    EARLY,
    ONE_TIME,
    OVERWRITTEN,
    SHIFTED,
    along,
    clean,
    condition,
    early,
    edges,
    first_of,
    ranks,
    schedule,
    shifted,
    table,
    tables,
)
from .shared import times


@exercise("denoising_kl", points=2)
def denoising_kl(student, case):
    """KL(q(x_{t-1} given x_t, x_0) || p_theta) with sigma_t^2 = beta~_t, t >= 2, (B,), in nats."""
    truth, steps = denoising_kl.oracle, case.integer(6, 9)
    alpha_bar = schedule(case, steps)

    def inputs(*shape, t=None, levels=alpha_bar):
        t = times(case, steps, shape[0], first=2) if t is None else t
        return 2 * case.normal(*shape), 1.5 * case.normal(*shape), case.normal(*shape), t, levels

    batch, width = case.sizes(2, low=4)
    rows, square = inputs(batch, width), inputs(*[case.integer(4, 7)] * 2)
    images = inputs(*case.sizes(4, low=4, high=8))
    case.expect(student(*rows), truth(*rows), "t from 2 to T on a short, uneven schedule", points=0.75, dtype=True)
    fine = table(torch.linspace(1e-4, 0.02, 1000, dtype=torch.float64))
    ends = [inputs(2, width, t=torch.full((2,), time), levels=fine) for time in (2, 1000)]
    case.expect(
        [student(*end) for end in ends],
        [truth(*end) for end in ends],
        "t = 2 and t = 1000 on the linear schedule with T = 1000",
        points=0.25,
    )
    case.expect(student(*images), truth(*images), "images", points=0.25)
    case.expect(student(*square), truth(*square), "a batch as long as its last axis", points=0.25)

    def at(t, levels):
        return inputs(3, 4, t=t, levels=levels)

    also = [*(inputs(*shape) for shape in ranks(4)), ones(rows), *edges(case, at)]
    case.conventions(student, rows, truth, points=0.5, also=also, gradient=(2,))


@denoising_kl.truth
def truth(x0, xt, eps_hat, t, alpha_bar):
    """Both Gaussians written out, by regression, and torch's divergence of the two."""
    c0, ct, variance = (along(value, x0) for value in condition(t, alpha_bar))
    sigma = variance.sqrt().expand(x0.shape)
    means = [c0 * start.double() + ct * xt.double() for start in (x0, clean(xt, eps_hat, t, alpha_bar))]
    posterior, model = (Independent(Normal(mean, sigma), x0.ndim - 1) for mean in means)
    return kl_divergence(posterior, model).to(x0.dtype)


def _means(x0, xt, eps_hat, values):
    """Of the posterior and of the model."""
    now, before, alpha, beta = (along(value, xt) for value in values)
    back = (before.sqrt() * beta * x0 + alpha.sqrt() * (1 - before) * xt) / (1 - now)
    return back, (xt - beta / (1 - now).sqrt() * eps_hat) / alpha.sqrt()


def _squared(x0, xt, eps_hat, values):
    """The squared distance of the two means, (B,)."""
    one, other = _means(x0, xt, eps_hat, values)
    return ((one - other) ** 2).flatten(1).sum(1)


def _variance(values):
    now, before, _, beta = values
    return beta * (1 - before) / (1 - now)


def _weights(values):
    """Of the squared errors in x_0 and in eps."""
    now, before, alpha, beta = values
    return before * beta / (2 * (1 - before) * (1 - now)), beta / (2 * alpha * (1 - before))


def _error_x0(x0, xt, eps_hat, t, alpha_bar):
    now = along(alpha_bar[t], xt)
    return (((xt - (1 - now).sqrt() * eps_hat) / now.sqrt() - x0) ** 2).flatten(1).sum(1)


def _error_eps(x0, xt, eps_hat, t, alpha_bar):
    now = along(alpha_bar[t], xt)
    return (((xt - now.sqrt() * x0) / (1 - now).sqrt() - eps_hat) ** 2).flatten(1).sum(1)


@denoising_kl.alternative("distance of the means over twice the variance")
def distance_of_means_over_twice_variance(x0, xt, eps_hat, t, alpha_bar):
    values = tables(t, alpha_bar)
    return _squared(x0, xt, eps_hat, values) / (2 * _variance(values))


@denoising_kl.alternative("weighted error in x_0")
def weighted_error_in_x_0(x0, xt, eps_hat, t, alpha_bar):
    snr = alpha_bar[1:] / (1 - alpha_bar[1:])
    return (snr[t - 2] - snr[t - 1]) / 2 * _error_x0(x0, xt, eps_hat, t, alpha_bar)


@denoising_kl.alternative("weighted error in eps, example by example")
def weighted_error_in_eps_example_by_example(x0, xt, eps_hat, t, alpha_bar):
    out = []
    for clean_one, noisy, guess, step in zip(x0, xt, eps_hat, t.tolist(), strict=True):
        now, before = alpha_bar[step], alpha_bar[step - 1]
        eps = (noisy - now.sqrt() * clean_one) / (1 - now).sqrt()
        weight = (before * (1 - now) / (now * (1 - before)) - 1) / 2
        out.append(weight * (eps - guess).pow(2).sum())
    return torch.stack(out)


@denoising_kl.alternative("the paper's weight of the error in eps")
def papers_weight(x0, xt, eps_hat, t, alpha_bar):
    now, before, alpha, beta = tables(t, alpha_bar)
    variance = beta * (1 - before) / (1 - now)
    level = along(now, xt)
    eps = (xt - level.sqrt() * x0) / (1 - level).sqrt()
    return beta**2 / (2 * variance * alpha * (1 - now)) * (eps - eps_hat).square().flatten(1).sum(1)


@denoising_kl.misconception(
    "the factor 1/2 is missing",
    hint="The KL of two Gaussians of equal variance is the squared distance of their means over TWICE the variance.",
)
def factor_half_is_missing(x0, xt, eps_hat, t, alpha_bar):
    values = tables(t, alpha_bar)
    return _squared(x0, xt, eps_hat, values) / _variance(values)


@denoising_kl.misconception(
    "the mean over the event",
    hint="The entries are independent, so their KLs add up: sum over the event, do not average.",
)
def mean_over_event(x0, xt, eps_hat, t, alpha_bar):
    values = tables(t, alpha_bar)
    return _squared(x0, xt, eps_hat, values) / (2 * _variance(values)) / x0[0].numel()


@denoising_kl.misconception(
    "one number for the batch",
    hint="One KL for each example, shape (B,): the first axis stays.",
)
def one_number_for_batch(x0, xt, eps_hat, t, alpha_bar):
    values = tables(t, alpha_bar)
    return (_squared(x0, xt, eps_hat, values) / (2 * _variance(values))).mean()


@denoising_kl.misconception(
    "summed over the last axis alone",
    hint="An image has three event axes. Sum over all axes but the first.",
)
def summed_over_last_axis_alone(x0, xt, eps_hat, t, alpha_bar):
    values = tables(t, alpha_bar)
    one, other = _means(x0, xt, eps_hat, values)
    return ((one - other) ** 2 / (2 * along(_variance(values), xt))).sum(-1)


@denoising_kl.misconception(
    "sigma_t^2 = beta_t",
    hint="You divide by 2 beta_t. Asked is sigma_t^2 = beta~_t, the posterior's own variance.",
)
def sigma_t_squared_beta_t(x0, xt, eps_hat, t, alpha_bar):
    values = tables(t, alpha_bar)
    return _squared(x0, xt, eps_hat, values) / (2 * values[3])


@denoising_kl.misconception(
    "divided by the standard deviation",
    hint="Below the squared distance stands twice the variance, beta~_t without a root.",
)
def divided_by_standard_deviation(x0, xt, eps_hat, t, alpha_bar):
    values = tables(t, alpha_bar)
    return _squared(x0, xt, eps_hat, values) / (2 * _variance(values).sqrt())


@denoising_kl.misconception(
    "the distance is not divided by the variance",
    hint="The same distance of two means counts for more where the Gaussians are narrow: divide by 2 beta~_t.",
)
def distance_is_not_divided_by_variance(x0, xt, eps_hat, t, alpha_bar):
    return _squared(x0, xt, eps_hat, tables(t, alpha_bar)) / 2


@denoising_kl.misconception(
    "the variance passed as its logarithm",
    hint="normal_kl takes log-variances. Hand it beta~_t.log(), not beta~_t.",
)
def variance_passed_as_its_logarithm(x0, xt, eps_hat, t, alpha_bar):
    values = tables(t, alpha_bar)
    return _squared(x0, xt, eps_hat, values) / (2 * _variance(values).exp())


@denoising_kl.misconception(
    "the root of the squared distance",
    hint="The KL holds the squared distance of the means, not the distance.",
)
def root_of_squared_distance(x0, xt, eps_hat, t, alpha_bar):
    values = tables(t, alpha_bar)
    return _squared(x0, xt, eps_hat, values).sqrt() / (2 * _variance(values))


@denoising_kl.misconception(
    "the sign is reversed",
    hint="A KL divergence is never negative, and yours never positive.",
)
def sign_is_reversed(x0, xt, eps_hat, t, alpha_bar):
    values = tables(t, alpha_bar)
    return -_squared(x0, xt, eps_hat, values) / (2 * _variance(values))


@denoising_kl.misconception(
    "the simplified loss",
    hint="The squared error in eps without a weight is what the network is trained on. In the bound each time has its "
    "weight.",
)
def simplified_loss(x0, xt, eps_hat, t, alpha_bar):
    return _error_eps(x0, xt, eps_hat, t, alpha_bar)


@denoising_kl.misconception(
    "the weight of x_0 on the error in eps",
    hint="An error in eps becomes an error in x_0 times sqrt((1 - alpha_bar_t) / alpha_bar_t), so the two squared "
    "errors have different weights.",
)
def weight_of_x_0_on_error_in_eps(x0, xt, eps_hat, t, alpha_bar):
    return _weights(tables(t, alpha_bar))[0] * _error_eps(x0, xt, eps_hat, t, alpha_bar)


@denoising_kl.misconception(
    "the weight of eps on the error in x_0",
    hint="This weight belongs to the squared error in eps. In x_0 it is half the signal-to-noise ratio lost from t - 1 "
    "to t.",
)
def weight_of_eps_on_error_in_x_0(x0, xt, eps_hat, t, alpha_bar):
    return _weights(tables(t, alpha_bar))[1] * _error_x0(x0, xt, eps_hat, t, alpha_bar)


@denoising_kl.misconception(
    "the posterior's mean against x_0",
    hint="p_theta's mean is not the predicted x_0, but the mean of x_{t-1} that follows from it (or from eps_hat).",
)
def posteriors_mean_against_x_0(x0, xt, eps_hat, t, alpha_bar):
    values, now = tables(t, alpha_bar), along(alpha_bar[t], xt)
    mean, _ = _means(x0, xt, eps_hat, values)
    guess = (xt - (1 - now).sqrt() * eps_hat) / now.sqrt()
    return ((mean - guess) ** 2).flatten(1).sum(1) / (2 * _variance(values))


@denoising_kl.misconception(
    "the predicted x_0 is clipped",
    hint="You clamped the predicted x_0 to [-1, 1], which makes every error smaller. Nothing is clipped here.",
)
def predicted_x_0_is_clipped(x0, xt, eps_hat, t, alpha_bar):
    values, now = tables(t, alpha_bar), along(alpha_bar[t], xt)
    guess = ((xt - (1 - now).sqrt() * eps_hat) / now.sqrt()).clamp(-1, 1)
    return _weights(values)[0] * ((guess - x0) ** 2).flatten(1).sum(1)


@denoising_kl.misconception(*EARLY)
def tables_are_read_one_step_early(x0, xt, eps_hat, t, alpha_bar):
    values = early(t, alpha_bar)
    return _squared(x0, xt, eps_hat, values) / (2 * _variance(values))


@denoising_kl.misconception(*SHIFTED)
def alpha_bar_t_minus_1_is_shifted_twice(x0, xt, eps_hat, t, alpha_bar):
    values = shifted(t, alpha_bar)
    return _squared(x0, xt, eps_hat, values) / (2 * _variance(values))


@denoising_kl.misconception(*ONE_TIME)
def one_t_for_whole_batch(x0, xt, eps_hat, t, alpha_bar):
    values = tables(first_of(t), alpha_bar)
    return _squared(x0, xt, eps_hat, values) / (2 * _variance(values))


@denoising_kl.misconception(*AXIS)
def coefficients_meet_wrong_axis(x0, xt, eps_hat, t, alpha_bar):
    now, before, alpha, beta = values = tables(t, alpha_bar)
    one = (before.sqrt() * beta * x0 + alpha.sqrt() * (1 - before) * xt) / (1 - now)
    other = (xt - beta / (1 - now).sqrt() * eps_hat) / alpha.sqrt()
    return ((one - other) ** 2 / (2 * _variance(values))).flatten(1).sum(1)


@denoising_kl.misconception(*OVERWRITTEN)
def input_is_overwritten(x0, xt, eps_hat, t, alpha_bar):
    now = along(alpha_bar[t], xt)
    xt.sub_((1 - now).sqrt() * eps_hat).div_(now.sqrt())
    return _weights(tables(t, alpha_bar))[0] * ((xt - x0) ** 2).flatten(1).sum(1)
