"""The whole posterior: `q_posterior`."""

from __future__ import annotations

import torch

from ...conventions import Manner, ones
from ...exercise import exercise
from ...student import Failure
from ..diffusion import AXIS, EARLY, ONE_TIME, SHIFTED, along, early, edges, first_of, ranks, schedule, shifted, tables
from .shared import spread, times


class Spread(Manner):
    """The variance at every entry of the mean: (B, 1, ..., 1) and the full shape are both right."""

    def __init__(self, case):
        self.case = case

    def answer(self, values, args):
        mean, variance = self.case.unpack(values[0], "mean", "variance")
        variance = spread(variance, args[0].shape)
        return next((part for part in (mean, variance) if isinstance(part, Failure)), (mean, variance))


@exercise("q_posterior", points=2, after=("posterior_variance", "posterior_coefficients"))
def q_posterior(student, case):
    """(mean, variance) of q(x_{t-1} given x_t, x_0): the mean like x_0, the variance broadcastable to it."""
    variance_of, coefficients_of = case.upstream("posterior_variance"), case.upstream("posterior_coefficients")
    manner = Spread(case)

    def asked(*given):
        return manner.answer([student(*given)], given)

    def truth(x0, xt, t, alpha_bar):  # with the student's own coefficients where those are followed through
        c0, ct = case.unpack(coefficients_of(t, alpha_bar), "c0", "ct")
        mean = torch.einsum("b,bi->bi", c0, x0.flatten(1)) + torch.einsum("b,bi->bi", ct, xt.flatten(1))
        both = mean, variance_of(t, alpha_bar)
        failed = next((part for part in both if isinstance(part, Failure)), None)
        return failed or (mean.reshape(x0.shape), along(both[1], x0).expand(x0.shape))

    steps = case.integer(6, 9)
    alpha_bar = schedule(case, steps)

    def inputs(*shape):
        return case.normal(*shape), case.normal(*shape), times(case, steps, shape[0], first=1), alpha_bar

    rows, images, square = (
        inputs(*case.sizes(2, low=4)),
        inputs(*case.sizes(4, low=3)),
        inputs(*[case.integer(4, 7)] * 2),
    )
    got, true = asked(*rows), truth(*rows)
    case.expect(got[0], true[0], "the mean, t from 1 to T on a short, uneven schedule", points=0.5, dtype=True)
    case.expect(got[1], true[1], "the variance, t from 1 to T", points=0.5, atol=1e-12, dtype=True)
    case.expect(asked(*images), truth(*images), "batches of images", points=0.25, atol=1e-12)
    case.expect(asked(*square), truth(*square), "a batch as long as its last axis", points=0.25, atol=1e-12)

    def at(t, levels):
        return case.normal(3, 4), case.normal(3, 4), t, levels

    also = [*(inputs(*shape) for shape in ranks(4)), ones(rows), *edges(case, at)]
    case.conventions(student, rows, truth, points=0.5, also=also, manner=manner)


@q_posterior.truth
def truth(x0, xt, t, alpha_bar):
    """Two noisy measurements of x_{t-1}, weighted by their precisions; at t = 1 the first one has no noise."""
    _, before, alpha, beta = (along(value, x0) for value in tables(t, alpha_bar.double()))
    spread_before, spread_back = 1 - before, beta / alpha  # x_{t-1} = x_t / sqrt(alpha) -+ noise of this variance
    weight = spread_back / (spread_before + spread_back)
    mean = weight * before.sqrt() * x0.double() + (1 - weight) * xt.double() / alpha.sqrt()
    return mean.to(x0.dtype), (weight * spread_before).expand(x0.shape).to(x0.dtype)


def _answer(x0, xt, values):
    now, before, alpha, beta = (along(value, x0) for value in values)
    mean = (before.sqrt() * beta * x0 + alpha.sqrt() * (1 - before) * xt) / (1 - now)
    return mean, beta * (1 - before) / (1 - now)


@q_posterior.alternative("a variance of shape (B, 1, ..., 1)")
def variance_of_shape_b_1_1(x0, xt, t, alpha_bar):
    return _answer(x0, xt, tables(t, alpha_bar))


@q_posterior.alternative("a variance of the mean's full shape")
def variance_of_means_full_shape(x0, xt, t, alpha_bar):
    mean, variance = _answer(x0, xt, tables(t, alpha_bar))
    return mean, variance * torch.ones_like(mean)


@q_posterior.alternative("one example at a time")
def one_example_at_time(x0, xt, t, alpha_bar):
    means, variances = [], []
    for i, step in enumerate(t.tolist()):
        now, before = alpha_bar[step], alpha_bar[step - 1]
        beta = 1 - now / before
        gain = (1 - beta).sqrt() * (1 - before) / (1 - now)
        means.append(before.sqrt() * x0[i] + gain * (xt[i] - now.sqrt() * x0[i]))
        variances.append((beta * (1 - before) / (1 - now)).expand(x0[i].shape))
    return torch.stack(means), torch.stack(variances)


@q_posterior.misconception(
    "the standard deviation instead of the variance",
    hint="The second result is the variance, beta~_t. Whoever samples takes the root.",
)
def standard_deviation_instead_of_variance(x0, xt, t, alpha_bar):
    mean, variance = _answer(x0, xt, tables(t, alpha_bar))
    return mean, variance.sqrt()


@q_posterior.misconception(
    "the log-variance instead of the variance",
    hint="The second result is the variance itself. Its logarithm would be minus infinity at t = 1.",
)
def log_variance_instead_of_variance(x0, xt, t, alpha_bar):
    mean, variance = _answer(x0, xt, tables(t, alpha_bar))
    return mean, variance.log()


@q_posterior.misconception(
    "beta_t in place of beta~_t",
    hint="beta_t is the variance of the forward step. With x_0 known the step back has the smaller variance beta~_t, "
    "your posterior_variance.",
)
def beta_t_in_place_of_beta_tilde_t(x0, xt, t, alpha_bar):
    return _answer(x0, xt, tables(t, alpha_bar))[0], along(tables(t, alpha_bar)[3], x0)


@q_posterior.misconception(
    "x_0 and x_t change places",
    hint="c0 multiplies x_0 and ct multiplies x_t; the arguments come in the order x0, xt. At t = 1 the mean must be "
    "x_0.",
)
def x_0_and_x_t_change_places(x0, xt, t, alpha_bar):
    return _answer(xt, x0, tables(t, alpha_bar))


@q_posterior.misconception(
    "the variance at t = 1 is replaced by that at t = 2",
    hint="Nothing is clipped here: at t = 1 the posterior is the point x_0, with variance exactly 0.",
)
def variance_at_t_1_is_replaced_by_that_at_t_2(x0, xt, t, alpha_bar):
    mean, _ = _answer(x0, xt, tables(t, alpha_bar))
    return mean, _answer(x0, xt, tables(t.clamp(min=2), alpha_bar))[1]


@q_posterior.misconception(
    "the mean of q(x_{t-1} given x_0)",
    hint="Your mean does not look at x_t at all. The posterior weighs two sources, x_0 and x_t: c0 x_0 + ct x_t.",
)
def mean_of_q_x_t_minus_1_given_x_0(x0, xt, t, alpha_bar):
    before = along(alpha_bar[t - 1], x0)
    return before.sqrt() * x0, _answer(x0, xt, tables(t, alpha_bar))[1]


@q_posterior.misconception(EARLY[0], hint=EARLY[1])
def tables_are_read_one_step_early(x0, xt, t, alpha_bar):
    return _answer(x0, xt, early(t, alpha_bar))


@q_posterior.misconception(SHIFTED[0], hint=SHIFTED[1])
def alpha_bar_t_minus_1_is_shifted_twice(x0, xt, t, alpha_bar):
    return _answer(x0, xt, shifted(t, alpha_bar))


@q_posterior.misconception(ONE_TIME[0], hint=ONE_TIME[1])
def one_t_for_whole_batch(x0, xt, t, alpha_bar):
    return _answer(x0, xt, tables(first_of(t), alpha_bar))


@q_posterior.misconception(AXIS[0], hint=AXIS[1])
def coefficients_meet_wrong_axis(x0, xt, t, alpha_bar):
    now, before, alpha, beta = tables(t, alpha_bar)
    mean = (before.sqrt() * beta * x0 + alpha.sqrt() * (1 - before) * xt) / (1 - now)
    return mean, beta * (1 - before) / (1 - now)
