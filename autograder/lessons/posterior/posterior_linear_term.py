"""The linear term of the parabola that the exponent is: `posterior_linear_term`."""

from __future__ import annotations

import torch

from ...conventions import ones
from ...exercise import exercise
from ..diffusion import (
    AXIS,
    EARLY,
    ONE_TIME,
    OVERWRITTEN,
    SHIFTED,
    along,
    early,
    edges,
    fine_schedule,
    first_of,
    ranks,
    schedule,
    shifted,
    tables,
)
from .shared import log_joint, times


@exercise("posterior_linear_term", points=2)
def posterior_linear_term(student, case):
    """b of the exponent -A/2 x_{t-1}^2 + b x_{t-1}, like x_0, t >= 2."""
    truth = posterior_linear_term.oracle
    steps = case.integer(6, 9)
    alpha_bar = schedule(case, steps)

    def inputs(*shape):
        return case.normal(*shape), case.normal(*shape), times(case, steps, shape[0]), alpha_bar

    rows, images = inputs(*case.sizes(2, low=4)), inputs(*case.sizes(4, low=3))
    case.expect(student(*rows), truth(*rows), "t from 2 to T on a short, uneven schedule", points=0.75, dtype=True)
    case.expect(student(*images), truth(*images), "batches of images", points=0.25)
    square = inputs(*[case.integer(4, 7)] * 2)
    case.expect(student(*square), truth(*square), "a batch as long as its last axis", points=0.25)
    fine = case.normal(4, 2), case.normal(4, 2), torch.tensor([2, 300, 999, 1000]), fine_schedule()
    case.expect(
        student(*fine), truth(*fine), "t = 2, 300, 999 and 1000 on the linear schedule with T = 1000", points=0.25
    )

    def at(t, levels):
        return case.normal(3, 4), case.normal(3, 4), t, levels

    also = [*(inputs(*shape) for shape in ranks(4)), ones(rows), *edges(case, at)]
    case.conventions(student, rows, truth, points=0.5, also=also)


@posterior_linear_term.truth
def truth(x0, xt, t, alpha_bar):
    _, before, alpha, _ = (along(value, x0) for value in tables(t, alpha_bar.double()))
    x = torch.zeros_like(x0, dtype=torch.float64, requires_grad=True)
    with torch.enable_grad():
        (slope,) = torch.autograd.grad(log_joint(x, xt.double(), x0.double(), alpha, before).sum(), x)
    return slope.to(x0.dtype)


@posterior_linear_term.alternative("two terms")
def two_terms(x0, xt, t, alpha_bar):
    _, before, alpha, beta = (along(value, x0) for value in tables(t, alpha_bar))
    return alpha.sqrt() / beta * xt + before.sqrt() / (1 - before) * x0


@posterior_linear_term.alternative("axes moved instead of added")
def axes_moved_instead_of_added(x0, xt, t, alpha_bar):
    now, before = alpha_bar[t], alpha_bar[t - 1]
    of_xt = (now * before).sqrt() / (before - now)
    of_x0 = before.rsqrt() / (before.reciprocal() - 1)
    return (xt.movedim(0, -1) * of_xt + x0.movedim(0, -1) * of_x0).movedim(-1, 0)


@posterior_linear_term.alternative("one example at a time")
def one_example_at_time(x0, xt, t, alpha_bar):
    answer = torch.empty_like(x0)
    for i, step in enumerate(t.tolist()):
        keep = alpha_bar[step] / alpha_bar[step - 1]
        answer[i] = xt[i] * keep**0.5 / (1 - keep)
        answer[i] += x0[i] * alpha_bar[step - 1] ** 0.5 / (1 - alpha_bar[step - 1])
    return answer


def _linear(x0, xt, values):
    _, before, alpha, beta = (along(value, x0) for value in values)
    return alpha.sqrt() / beta * xt + before.sqrt() / (1 - before) * x0


@posterior_linear_term.misconception(
    "the root on alpha_t is missing",
    hint="The mixed term of (x_t - sqrt(alpha_t) x_{t-1})^2 is -2 sqrt(alpha_t) x_t x_{t-1}: alpha_t keeps its root, "
    "unlike in A.",
)
def root_on_alpha_t_is_missing(x0, xt, t, alpha_bar):
    _, before, alpha, beta = (along(value, x0) for value in tables(t, alpha_bar))
    return alpha / beta * xt + before.sqrt() / (1 - before) * x0


@posterior_linear_term.misconception(
    "the root on alpha_bar_{t-1} is missing",
    hint="q(x_{t-1} given x_0) is centred on sqrt(alpha_bar_{t-1}) x_0, and its mixed term keeps the root.",
)
def root_on_alpha_bar_t_minus_1_is_missing(x0, xt, t, alpha_bar):
    _, before, alpha, beta = (along(value, x0) for value in tables(t, alpha_bar))
    return alpha.sqrt() / beta * xt + before / (1 - before) * x0


@posterior_linear_term.misconception(
    "x_0 and x_t change places",
    hint="The first factor, with alpha_t and beta_t, is about x_t; the one with alpha_bar_{t-1} is about x_0.",
)
def x_0_and_x_t_change_places(x0, xt, t, alpha_bar):
    return _linear(xt, x0, tables(t, alpha_bar))


@posterior_linear_term.misconception(
    "alpha_bar_t in x_0's term",
    hint="x_0's term comes from q(x_{t-1} given x_0), so it holds alpha_bar_{t-1} in both places. One well-known "
    "slide has alpha_bar_t there.",
)
def alpha_bar_t_in_x_0s_term(x0, xt, t, alpha_bar):
    now, _, alpha, beta = tables(t, alpha_bar)
    return _linear(x0, xt, (now, now, alpha, beta))


@posterior_linear_term.misconception(
    "alpha_bar_t in place of alpha_t",
    hint="x_t's term comes from the single step q(x_t given x_{t-1}): it holds alpha_t = alpha_bar[t] / alpha_bar[t "
    "- 1] and beta_t = 1 - alpha_t, no product over all steps.",
)
def alpha_bar_t_in_place_of_alpha_t(x0, xt, t, alpha_bar):
    now, before, _, _ = tables(t, alpha_bar)
    return _linear(x0, xt, (now, before, now, 1 - now))


@posterior_linear_term.misconception(
    "twice b",
    hint="The mixed terms carry a 2, which the 1/2 in front of the squares cancels.",
)
def twice_b(x0, xt, t, alpha_bar):
    return 2 * _linear(x0, xt, tables(t, alpha_bar))


@posterior_linear_term.misconception(
    "the sign is reversed",
    hint="The mixed term of a square is -2 times a product, and the -1/2 in front turns it positive: b carries no "
    "minus sign.",
)
def sign_is_reversed(x0, xt, t, alpha_bar):
    return -_linear(x0, xt, tables(t, alpha_bar))


@posterior_linear_term.misconception(
    "the mean instead of b",
    hint="b is the coefficient of x_{t-1} as it stands in the exponent. Dividing it by A, which gives the mean, "
    "comes later.",
)
def mean_instead_of_b(x0, xt, t, alpha_bar):
    values = tables(t, alpha_bar)
    _, before, alpha, beta = (along(value, x0) for value in values)
    return _linear(x0, xt, values) / (alpha / beta + 1 / (1 - before))


@posterior_linear_term.misconception(
    "divided by standard deviations",
    hint="Each term is divided by its factor's variance: beta_t and 1 - alpha_bar_{t-1}, without roots.",
)
def divided_by_standard_deviations(x0, xt, t, alpha_bar):
    _, before, alpha, beta = (along(value, x0) for value in tables(t, alpha_bar))
    return (alpha / beta).sqrt() * xt + (before / (1 - before)).sqrt() * x0


@posterior_linear_term.misconception(EARLY[0], hint=EARLY[1])
def tables_are_read_one_step_early(x0, xt, t, alpha_bar):
    return _linear(x0, xt, early(t, alpha_bar))


@posterior_linear_term.misconception(SHIFTED[0], hint=SHIFTED[1])
def alpha_bar_t_minus_1_is_shifted_twice(x0, xt, t, alpha_bar):
    return _linear(x0, xt, shifted(t, alpha_bar))


@posterior_linear_term.misconception(ONE_TIME[0], hint=ONE_TIME[1])
def one_t_for_whole_batch(x0, xt, t, alpha_bar):
    return _linear(x0, xt, tables(first_of(t), alpha_bar))


@posterior_linear_term.misconception(AXIS[0], hint=AXIS[1])
def coefficients_meet_wrong_axis(x0, xt, t, alpha_bar):
    _, before, alpha, beta = tables(t, alpha_bar)
    return alpha.sqrt() / beta * xt + before.sqrt() / (1 - before) * x0


@posterior_linear_term.misconception(OVERWRITTEN[0], hint=OVERWRITTEN[1])
def input_is_overwritten(x0, xt, t, alpha_bar):
    _, before, alpha, beta = (along(value, x0) for value in tables(t, alpha_bar))
    return xt.mul_(alpha.sqrt() / beta).add_(before.sqrt() / (1 - before) * x0)
