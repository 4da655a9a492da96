"""The variance of q(x_{t-1} given x_t, x_0): `posterior_variance`."""

from __future__ import annotations

import torch

from ...conventions import ones
from ...exercise import exercise
from ..diffusion import (
    EARLY,
    LOST,
    ONE_TIME,
    SHIFTED,
    condition,
    early,
    edges,
    fine_schedule,
    first_of,
    schedule,
    shifted,
    tables,
)
from .shared import times


@exercise("posterior_variance", points=2, after=("posterior_precision",))
def posterior_variance(student, case):
    """beta~_t = beta_t (1 - alpha_bar_{t-1}) / (1 - alpha_bar_t), (B,); 0 at t = 1."""
    precision = case.upstream("posterior_precision")

    def truth(t, alpha_bar):  # with the student's own precision where that is followed through
        return torch.where(t == 1, 0.0, 1 / precision(t.clamp(min=2), alpha_bar))

    steps, batch = case.integer(6, 9), case.integer(10, 13)
    alpha_bar, t = schedule(case, steps), times(case, steps, batch)
    case.expect(
        student(t, alpha_bar), truth(t, alpha_bar), "t from 2 to T on a short, uneven schedule", points=0.75, dtype=True
    )
    start = times(case, steps, 5, first=1)
    case.expect(student(start, alpha_bar), truth(start, alpha_bar), "t = 1 among others", points=0.25, atol=1e-12)
    fine = torch.tensor([2, 300, 999, 1000]), fine_schedule()
    case.expect(
        student(*fine), truth(*fine), "t = 2, 300, 999 and 1000 on the linear schedule with T = 1000", points=0.5
    )
    mixed = times(case, steps, batch, first=1), alpha_bar
    also = [ones((t, alpha_bar)), *edges(case, lambda *given: given)]
    case.conventions(student, mixed, truth, points=0.5, also=also)


@posterior_variance.truth
def truth(t, alpha_bar):
    return condition(t, alpha_bar)[2].to(alpha_bar.dtype)


@posterior_variance.alternative("beta_t times a ratio")
def beta_t_times_ratio(t, alpha_bar):
    now, before, _, beta = tables(t, alpha_bar)
    return beta * ((1 - before) / (1 - now))


@posterior_variance.alternative("one over the precision, 0 at t = 1")
def one_over_precision_0_at_t_1(t, alpha_bar):
    _, before, alpha, beta = tables(t, alpha_bar)
    return torch.where(t > 1, 1 / (alpha / beta + 1 / (1 - before)), torch.zeros_like(beta))


@posterior_variance.alternative("a table first, then its entries")
def table_first_then_its_entries(t, alpha_bar):
    beta = 1 - alpha_bar[1:] / alpha_bar[:-1]
    table = beta * (1 - alpha_bar[:-1]) / (1 - alpha_bar[1:])
    return table.gather(0, t - 1)


@posterior_variance.misconception(
    "beta_t in place of beta~_t",
    hint="beta_t is the variance of the forward step, from x_{t-1} to x_t. Going back with x_0 known there is less "
    "left to guess: multiply by (1 - alpha_bar_{t-1}) / (1 - alpha_bar_t).",
)
def beta_t_in_place_of_beta_tilde_t(t, alpha_bar):
    return tables(t, alpha_bar)[3]


@posterior_variance.misconception(
    "the standard deviation instead of the variance",
    hint="1/A is the variance itself; no root is asked for.",
)
def standard_deviation_instead_of_variance(t, alpha_bar):
    now, before, _, beta = tables(t, alpha_bar)
    return (beta * (1 - before) / (1 - now)).sqrt()


@posterior_variance.misconception(
    "the factor beta_t is missing",
    hint="(1 - alpha_bar_{t-1}) / (1 - alpha_bar_t) alone is close to 1 for most t, although a small step leaves "
    "little doubt about x_{t-1}. It multiplies beta_t.",
)
def factor_beta_t_is_missing(t, alpha_bar):
    now, before, _, _ = tables(t, alpha_bar)
    return (1 - before) / (1 - now)


@posterior_variance.misconception(
    "1 - alpha_bar_t in place of beta_t",
    hint="beta_t is the variance of one step, 1 - alpha_bar[t] / alpha_bar[t - 1]. 1 - alpha_bar[t] is that of all t "
    "steps together.",
)
def one_minus_alpha_bar_t_in_place_of_beta_t(t, alpha_bar):
    return (1 - alpha_bar[t - 1]) * torch.ones_like(alpha_bar[t])


@posterior_variance.misconception(
    "the ratio is upside down",
    hint="Knowing x_0 makes the step back more certain, so beta~_t is less than beta_t: the smaller of 1 - "
    "alpha_bar_{t-1} and 1 - alpha_bar_t stands on top.",
)
def ratio_is_upside_down(t, alpha_bar):
    now, before, _, beta = tables(t, alpha_bar)
    return beta * (1 - now) / (1 - before)


@posterior_variance.misconception(
    "alpha_t in place of beta_t",
    hint="After the common denominator, beta_t (1 - alpha_bar_{t-1}) is on top. alpha_t, close to 1, is what the "
    "step keeps, not what it adds.",
)
def alpha_t_in_place_of_beta_t(t, alpha_bar):
    now, before, alpha, _ = tables(t, alpha_bar)
    return alpha * (1 - before) / (1 - now)


@posterior_variance.misconception(
    "the variance at t = 1 is replaced by that at t = 2",
    hint="That is a trick of some programs, which take the logarithm of the table. Here nothing is clipped: with x_0 "
    "known there is no doubt about x_0, so the variance at t = 1 is exactly 0.",
)
def variance_at_t_1_is_replaced_by_that_at_t_2(t, alpha_bar):
    now, before, _, beta = tables(t.clamp(min=2), alpha_bar)
    return beta * (1 - before) / (1 - now)


@posterior_variance.misconception(
    "the denominator carries a square root",
    hint="The identity alpha_t (1 - alpha_bar_{t-1}) + beta_t = 1 - alpha_bar_t has no root in it. One well-known "
    "slide has.",
)
def denominator_carries_square_root(t, alpha_bar):
    now, before, _, beta = tables(t, alpha_bar)
    return beta * (1 - before) / (1 - now.sqrt())


@posterior_variance.misconception(
    "the precision instead of the variance",
    hint="The variance is one over A. At t = 1 yours is infinite, where it should be 0.",
)
def precision_instead_of_variance(t, alpha_bar):
    now, before, _, beta = tables(t, alpha_bar)
    return (1 - now) / (beta * (1 - before))


@posterior_variance.misconception(EARLY[0], hint=EARLY[1])
def tables_are_read_one_step_early(t, alpha_bar):
    now, before, _, beta = early(t, alpha_bar)
    return beta * (1 - before) / (1 - now)


@posterior_variance.misconception(SHIFTED[0], hint=SHIFTED[1])
def alpha_bar_t_minus_1_is_shifted_twice(t, alpha_bar):
    now, before, _, beta = shifted(t, alpha_bar)
    return beta * (1 - before) / (1 - now)


@posterior_variance.misconception(ONE_TIME[0], hint=ONE_TIME[1])
def one_t_for_whole_batch(t, alpha_bar):
    now, before, _, beta = tables(first_of(t), alpha_bar)
    return beta * (1 - before) / (1 - now)


@posterior_variance.misconception(LOST[0], hint=LOST[1])
def dtype_is_lost(t, alpha_bar):
    now, before, _, beta = tables(t, alpha_bar)
    return torch.tensor((beta * (1 - before) / (1 - now)).tolist())
