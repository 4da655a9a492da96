"""The posterior mean with the noise in x_0's place: `posterior_mean_from_eps`."""

from __future__ import annotations

import torch

from ...conventions import ones
from ...exercise import exercise
from ..diffusion import (
    AXIS,
    EARLY,
    ONE_TIME,
    OVERWRITTEN,
    along,
    condition,
    early,
    edges,
    first_of,
    ranks,
    schedule,
    tables,
)
from .shared import times


@exercise("posterior_mean_from_eps", points=2, after=("predict_x0", "q_posterior"))
def posterior_mean_from_eps(student, case):
    """The posterior mean (x_t - beta_t / sqrt(1 - alpha_bar_t) eps) / sqrt(alpha_t), like x_t."""
    back, posterior = case.upstream("predict_x0"), case.upstream("q_posterior")

    def truth(xt, eps, t, alpha_bar):  # with the student's own functions where those are followed through
        x0, left = back(xt, eps, t, alpha_bar), back.inputs_after(xt, eps, t, alpha_bar)  # which may have been changed
        return case.unpack(posterior(x0, left[0], t, alpha_bar), "mean", "variance")[0]

    steps = case.integer(6, 9)
    alpha_bar = schedule(case, steps)

    def inputs(*shape, first=2):
        return case.normal(*shape), case.normal(*shape), times(case, steps, shape[0], first), alpha_bar

    rows, images, square = (
        inputs(*case.sizes(2, low=4)),
        inputs(*case.sizes(4, low=3)),
        inputs(*[case.integer(4, 7)] * 2),
    )
    case.expect(student(*rows), truth(*rows), "t from 2 to T on a short, uneven schedule", points=0.75, dtype=True)
    start = case.normal(3, 4), case.normal(3, 4), torch.ones(3, dtype=torch.long), alpha_bar
    case.expect(student(*start), truth(*start), "t = 1", points=0.25)
    case.expect(student(*images), truth(*images), "batches of images", points=0.25)
    case.expect(student(*square), truth(*square), "a batch as long as its last axis", points=0.25)

    def at(t, levels):
        return case.normal(3, 4), case.normal(3, 4), t, levels

    given = inputs(*case.sizes(2, low=4), first=1)
    also = [*(inputs(*shape) for shape in ranks(4)), ones(given), *edges(case, at)]
    case.conventions(student, given, truth, points=0.5, also=also, gradient=(0, 1))


@posterior_mean_from_eps.truth
def truth(xt, eps, t, alpha_bar):
    c0, ct, _ = (along(value, xt) for value in condition(t, alpha_bar))
    level = along(alpha_bar.double()[t], xt)
    x0 = xt.double() / level.sqrt() - (1 / level - 1).sqrt() * eps.double()
    return (c0 * x0 + ct * xt.double()).to(xt.dtype)


@posterior_mean_from_eps.alternative("the eps form")
def eps_form(xt, eps, t, alpha_bar):
    now, _, alpha, beta = (along(value, xt) for value in tables(t, alpha_bar))
    return (xt - beta / (1 - now).sqrt() * eps) / alpha.sqrt()


@posterior_mean_from_eps.alternative("through x_0")
def through_x_0(xt, eps, t, alpha_bar):
    now, before, alpha, beta = (along(value, xt) for value in tables(t, alpha_bar))
    x0 = (xt - (1 - now).sqrt() * eps) / now.sqrt()
    return (before.sqrt() * beta * x0 + alpha.sqrt() * (1 - before) * xt) / (1 - now)


@posterior_mean_from_eps.alternative("as a step of length s along the noise")
def as_step_along_the_noise(xt, eps, t, alpha_bar):
    now, before = along(alpha_bar[t], xt), along(alpha_bar[t - 1], xt)
    stretch = (before / now).sqrt()
    step = stretch * (1 - now / before) * (1 - now).rsqrt()
    return torch.addcmul(stretch * xt, step, eps, value=-1)


def _from_eps(xt, eps, values):
    now, _, alpha, beta = (along(value, xt) for value in values)
    return (xt - beta / (1 - now).sqrt() * eps) / alpha.sqrt()


@posterior_mean_from_eps.misconception(
    "the root on 1 - alpha_bar_t is missing",
    hint="eps comes in with sqrt(1 - alpha_bar_t), which cancels half of the 1 - alpha_bar_t below: the root stays.",
)
def root_on_1_minus_alpha_bar_t_is_missing(xt, eps, t, alpha_bar):
    now, _, alpha, beta = (along(value, xt) for value in tables(t, alpha_bar))
    return (xt - beta / (1 - now) * eps) / alpha.sqrt()


@posterior_mean_from_eps.misconception(
    "the noise of the last step",
    hint="eps is the noise of all t steps together, which carried x_0 to x_t. sqrt(beta_t) would belong to the noise "
    "of the last step alone, which nobody could predict: one well-known slide mixes them up.",
)
def noise_of_last_step(xt, eps, t, alpha_bar):
    _, _, alpha, beta = (along(value, xt) for value in tables(t, alpha_bar))
    return (xt - beta.sqrt() * eps) / alpha.sqrt()


@posterior_mean_from_eps.misconception(
    "all of the noise is taken away",
    hint="With sqrt(1 - alpha_bar_t) eps you remove the noise of all t steps. One step back removes only its share, "
    "beta_t / sqrt(1 - alpha_bar_t).",
)
def all_of_noise_is_taken_away(xt, eps, t, alpha_bar):
    now, _, alpha, _ = (along(value, xt) for value in tables(t, alpha_bar))
    return (xt - (1 - now).sqrt() * eps) / alpha.sqrt()


@posterior_mean_from_eps.misconception(
    "the factor 1 / sqrt(alpha_t) is missing",
    hint="The forward step shrank x_{t-1} by sqrt(alpha_t); going back must stretch by as much.",
)
def factor_1_over_sqrt_alpha_t_is_missing(xt, eps, t, alpha_bar):
    now, _, _, beta = (along(value, xt) for value in tables(t, alpha_bar))
    return xt - beta / (1 - now).sqrt() * eps


@posterior_mean_from_eps.misconception(
    "1 / sqrt(alpha_t) reaches one term only",
    hint="1 / sqrt(alpha_t) stands outside the bracket of line (30): it stretches x_t and the noise alike.",
)
def one_over_sqrt_alpha_t_reaches_one_term_only(xt, eps, t, alpha_bar):
    now, _, alpha, beta = (along(value, xt) for value in tables(t, alpha_bar))
    return xt / alpha.sqrt() - beta / (1 - now).sqrt() * eps


@posterior_mean_from_eps.misconception(
    "the root on alpha_t is missing",
    hint="One step shrinks x_{t-1} by sqrt(alpha_t), so stretch by 1 / sqrt(alpha_t), not by 1 / alpha_t.",
)
def root_on_alpha_t_is_missing(xt, eps, t, alpha_bar):
    now, _, alpha, beta = (along(value, xt) for value in tables(t, alpha_bar))
    return (xt - beta / (1 - now).sqrt() * eps) / alpha


@posterior_mean_from_eps.misconception(
    "alpha_bar_t in place of alpha_t",
    hint="Dividing by sqrt(alpha_bar_t) undoes the shrinking of all t steps at once. You go back one step: "
    "sqrt(alpha_t).",
)
def alpha_bar_t_in_place_of_alpha_t(xt, eps, t, alpha_bar):
    now, _, _, beta = (along(value, xt) for value in tables(t, alpha_bar))
    return (xt - beta / (1 - now).sqrt() * eps) / now.sqrt()


@posterior_mean_from_eps.misconception(
    "x_0 instead of the mean of x_{t-1}",
    hint="You went all the way back to x_0. The mean of x_{t-1} leans on x_t as well; at t = 1 alone it is x_0.",
)
def x_0_instead_of_mean_of_x_t_minus_1(xt, eps, t, alpha_bar):
    now = along(alpha_bar[t], xt)
    return (xt - (1 - now).sqrt() * eps) / now.sqrt()


@posterior_mean_from_eps.misconception(
    "the noise is added",
    hint="Going back takes noise away: the sign in the bracket is a minus.",
)
def noise_is_added(xt, eps, t, alpha_bar):
    return _from_eps(xt, -eps, tables(t, alpha_bar))


@posterior_mean_from_eps.misconception(EARLY[0], hint=EARLY[1])
def tables_are_read_one_step_early(xt, eps, t, alpha_bar):
    return _from_eps(xt, eps, early(t, alpha_bar))


@posterior_mean_from_eps.misconception(ONE_TIME[0], hint=ONE_TIME[1])
def one_t_for_whole_batch(xt, eps, t, alpha_bar):
    return _from_eps(xt, eps, tables(first_of(t), alpha_bar))


@posterior_mean_from_eps.misconception(AXIS[0], hint=AXIS[1])
def coefficients_meet_wrong_axis(xt, eps, t, alpha_bar):
    now, _, alpha, beta = tables(t, alpha_bar)
    return (xt - beta / (1 - now).sqrt() * eps) / alpha.sqrt()


@posterior_mean_from_eps.misconception(OVERWRITTEN[0], hint=OVERWRITTEN[1])
def input_is_overwritten(xt, eps, t, alpha_bar):
    now, _, alpha, beta = (along(value, xt) for value in tables(t, alpha_bar))
    return xt.sub_(beta / (1 - now).sqrt() * eps).div_(alpha.sqrt())
