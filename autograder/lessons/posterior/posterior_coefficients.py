"""The mean of q(x_{t-1} given x_t, x_0) by its coefficients: `posterior_coefficients`."""

from __future__ import annotations

import torch

from ...conventions import ones
from ...exercise import exercise
from ..diffusion import (
    EARLY,
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


@exercise("posterior_coefficients", points=3)
def posterior_coefficients(student, case):
    """(c0, ct), (B,) each: mean = c0 x_0 + ct x_t; (1, 0) at t = 1."""
    truth = posterior_coefficients.oracle
    steps, batch = case.integer(6, 9), case.integer(10, 13)
    alpha_bar, t = schedule(case, steps), times(case, steps, batch)
    for got, true, name in zip(
        case.unpack(student(t, alpha_bar), "c0", "ct"), truth(t, alpha_bar), ("x_0", "x_t"), strict=True
    ):
        case.expect(
            got, true, f"the coefficient of {name}, t from 2 to T on a short, uneven schedule", points=0.5, dtype=True
        )
    start = times(case, steps, 5, first=1)
    case.expect(student(start, alpha_bar), truth(start, alpha_bar), "t = 1 among others", points=0.5, atol=1e-12)
    fine = torch.tensor([2, 300, 999, 1000]), fine_schedule()
    case.expect(student(*fine), truth(*fine), "t = 2, 300, 999 and 1000 on the linear schedule with T = 1000", points=1)
    also = [ones((t, alpha_bar)), *edges(case, lambda *given: given)]
    case.conventions(student, (times(case, steps, batch, first=1), alpha_bar), truth, points=0.5, also=also)


@posterior_coefficients.truth
def truth(t, alpha_bar):
    c0, ct, _ = condition(t, alpha_bar)
    return c0.to(alpha_bar.dtype), ct.to(alpha_bar.dtype)


@posterior_coefficients.alternative("over 1 - alpha_bar_t")
def all_over_one_minus_alpha_bar_t(t, alpha_bar):
    now, before, alpha, beta = tables(t, alpha_bar)
    return before.sqrt() * beta / (1 - now), alpha.sqrt() * (1 - before) / (1 - now)


@posterior_coefficients.alternative("each term's share of the precision")
def each_terms_share_of_precision(t, alpha_bar):
    _, before, alpha, beta = tables(t, alpha_bar)
    of_x0 = beta / (alpha * (1 - before) + beta)  # the share of x_0's factor, written so that t = 1 is no exception
    return before.sqrt() * of_x0, (1 - of_x0) / alpha.sqrt()


@posterior_coefficients.alternative("one example at a time")
def one_example_at_time(t, alpha_bar):
    table = alpha_bar.tolist()
    c0, ct = [], []
    for step in t.tolist():
        now, before = table[step], table[step - 1]
        c0.append(before**0.5 * (1 - now / before) / (1 - now))
        ct.append((now / before) ** 0.5 * (1 - before) / (1 - now))
    return tuple(torch.tensor(values, dtype=alpha_bar.dtype, device=alpha_bar.device) for values in (c0, ct))


def _coefficients(values):
    now, before, alpha, beta = values
    return before.sqrt() * beta / (1 - now), alpha.sqrt() * (1 - before) / (1 - now)


@posterior_coefficients.misconception(
    "c0 and ct are returned the other way round",
    hint="Return (c0, ct): the coefficient of x_0 first. At t = 1 the mean is x_0 itself, so c0 is the one that is 1 "
    "there.",
)
def c0_and_ct_are_returned_other_way_round(t, alpha_bar):
    return _coefficients(tables(t, alpha_bar))[::-1]


@posterior_coefficients.misconception(
    "the roots change places",
    hint="sqrt(alpha_t) comes from the step to x_t and belongs to ct; sqrt(alpha_bar_{t-1}) comes from the jump out "
    "of x_0 and belongs to c0.",
)
def roots_change_places(t, alpha_bar):
    now, before, alpha, beta = tables(t, alpha_bar)
    return alpha.sqrt() * beta / (1 - now), before.sqrt() * (1 - before) / (1 - now)


@posterior_coefficients.misconception(
    "the root on alpha_bar_{t-1} is missing",
    hint="c0 inherits sqrt(alpha_bar_{t-1}) from the mean of q(x_{t-1} given x_0), with its root.",
)
def root_on_alpha_bar_t_minus_1_is_missing(t, alpha_bar):
    now, before, alpha, beta = tables(t, alpha_bar)
    return before * beta / (1 - now), alpha.sqrt() * (1 - before) / (1 - now)


@posterior_coefficients.misconception(
    "the root on alpha_t is missing",
    hint="ct inherits sqrt(alpha_t) from the mean of q(x_t given x_{t-1}), with its root.",
)
def root_on_alpha_t_is_missing(t, alpha_bar):
    now, before, alpha, beta = tables(t, alpha_bar)
    return before.sqrt() * beta / (1 - now), alpha * (1 - before) / (1 - now)


@posterior_coefficients.misconception(
    "alpha_bar_t in place of alpha_t",
    hint="x_t is one step away from x_{t-1}: its coefficient holds sqrt(alpha_t), with alpha_t = alpha_bar[t] / "
    "alpha_bar[t - 1].",
)
def alpha_bar_t_in_place_of_alpha_t(t, alpha_bar):
    now, before, _, beta = tables(t, alpha_bar)
    return before.sqrt() * beta / (1 - now), now.sqrt() * (1 - before) / (1 - now)


@posterior_coefficients.misconception(
    "beta~_t in place of beta_t",
    hint="b/A is b times the variance, and one factor of the variance cancels against b's own denominator: in c0 "
    "beta_t is left, not beta~_t.",
)
def beta_tilde_t_in_place_of_beta_t(t, alpha_bar):
    now, before, alpha, beta = tables(t, alpha_bar)
    tilde = beta * (1 - before) / (1 - now)
    return before.sqrt() * tilde / (1 - now), alpha.sqrt() * (1 - before) / (1 - now)


@posterior_coefficients.misconception(
    "the denominator carries a square root",
    hint="Divide by 1 - alpha_bar_t, the variance of x_t given x_0, not by 1 - sqrt(alpha_bar_t). Try a path without "
    "noise, x_t = sqrt(alpha_bar_t) x_0: the mean must lie on it too.",
)
def denominator_carries_square_root(t, alpha_bar):
    now, before, alpha, beta = tables(t, alpha_bar)
    return before.sqrt() * beta / (1 - now.sqrt()), alpha.sqrt() * (1 - before) / (1 - now.sqrt())


@posterior_coefficients.misconception(
    "divided by the standard deviation of x_t",
    hint="Below the fraction bar stands 1 - alpha_bar_t as it is, without a root: the root belongs to the noise, in "
    "the eps form.",
)
def divided_by_standard_deviation_of_x_t(t, alpha_bar):
    now, before, alpha, beta = tables(t, alpha_bar)
    return before.sqrt() * beta / (1 - now).sqrt(), alpha.sqrt() * (1 - before) / (1 - now).sqrt()


@posterior_coefficients.misconception(
    "alpha_bar_t in the jump from x_0",
    hint="In the precision form x_0's term has alpha_bar_{t-1} in both places, since q(x_{t-1} given x_0) is a jump "
    "of t - 1 steps. A well-known slide has alpha_bar_t; at T = 1000 the difference is too small to see.",
)
def alpha_bar_t_in_jump_from_x_0(t, alpha_bar):
    now, _, alpha, beta = tables(t, alpha_bar)
    precision = alpha / beta + 1 / (1 - now)
    return now.sqrt() / (1 - now) / precision, alpha.sqrt() / beta / precision


@posterior_coefficients.misconception(
    "0/0 at t = 1",
    hint="The precision form divides by 1 - alpha_bar_{t-1}, which is 0 at t = 1. Multiply it out: over 1 - "
    "alpha_bar_t nothing is divided by zero and t = 1 needs no special case.",
)
def zero_over_0_at_t_1(t, alpha_bar):
    _, before, alpha, beta = tables(t, alpha_bar)
    precision = alpha / beta + 1 / (1 - before)
    return before.sqrt() / (1 - before) / precision, alpha.sqrt() / beta / precision


@posterior_coefficients.misconception(EARLY[0], hint=EARLY[1])
def tables_are_read_one_step_early(t, alpha_bar):
    return _coefficients(early(t, alpha_bar))


@posterior_coefficients.misconception(SHIFTED[0], hint=SHIFTED[1])
def alpha_bar_t_minus_1_is_shifted_twice(t, alpha_bar):
    return _coefficients(shifted(t, alpha_bar))


@posterior_coefficients.misconception(ONE_TIME[0], hint=ONE_TIME[1])
def one_t_for_whole_batch(t, alpha_bar):
    return _coefficients(tables(first_of(t), alpha_bar))
