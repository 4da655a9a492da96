"""Variance and coefficients of q(x_{t-1} given x_t, x_0): `posterior_variance`, `posterior_coefficients`."""

from __future__ import annotations

import torch

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


# ---- posterior_variance


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
    case.conventions(student, mixed, truth, points=0.5)


@posterior_variance.truth
def _(t, alpha_bar):
    return condition(t, alpha_bar)[2].to(alpha_bar.dtype)


@posterior_variance.alternative("beta_t times a ratio")
def _(t, alpha_bar):
    now, before, _, beta = tables(t, alpha_bar)
    return beta * ((1 - before) / (1 - now))


@posterior_variance.alternative("one over the precision, 0 at t = 1")
def _(t, alpha_bar):
    _, before, alpha, beta = tables(t, alpha_bar)
    return torch.where(t > 1, 1 / (alpha / beta + 1 / (1 - before)), torch.zeros_like(beta))


@posterior_variance.alternative("a table first, then its entries")
def _(t, alpha_bar):
    beta = 1 - alpha_bar[1:] / alpha_bar[:-1]
    table = beta * (1 - alpha_bar[:-1]) / (1 - alpha_bar[1:])
    return table.gather(0, t - 1)


@posterior_variance.misconception(
    "beta_t in place of beta~_t",
    hint="beta_t is the variance of the forward step, from x_{t-1} to x_t. Going back with x_0 known there is less "
    "left to guess: multiply by (1 - alpha_bar_{t-1}) / (1 - alpha_bar_t).",
)
def _(t, alpha_bar):
    return tables(t, alpha_bar)[3]


@posterior_variance.misconception(
    "the standard deviation instead of the variance",
    hint="1/A is the variance itself; no root is asked for.",
)
def _(t, alpha_bar):
    now, before, _, beta = tables(t, alpha_bar)
    return (beta * (1 - before) / (1 - now)).sqrt()


@posterior_variance.misconception(
    "the factor beta_t is missing",
    hint="(1 - alpha_bar_{t-1}) / (1 - alpha_bar_t) alone is close to 1 for most t, although a small step leaves "
    "little doubt about x_{t-1}. It multiplies beta_t.",
)
def _(t, alpha_bar):
    now, before, _, _ = tables(t, alpha_bar)
    return (1 - before) / (1 - now)


@posterior_variance.misconception(
    "1 - alpha_bar_t in place of beta_t",
    hint="beta_t is the variance of one step, 1 - alpha_bar[t] / alpha_bar[t - 1]. 1 - alpha_bar[t] is that of all t "
    "steps together.",
)
def _(t, alpha_bar):
    return (1 - alpha_bar[t - 1]) * torch.ones_like(alpha_bar[t])


@posterior_variance.misconception(
    "the ratio is upside down",
    hint="Knowing x_0 makes the step back more certain, so beta~_t is less than beta_t: the smaller of 1 - "
    "alpha_bar_{t-1} and 1 - alpha_bar_t stands on top.",
)
def _(t, alpha_bar):
    now, before, _, beta = tables(t, alpha_bar)
    return beta * (1 - now) / (1 - before)


@posterior_variance.misconception(
    "alpha_t in place of beta_t",
    hint="After the common denominator, beta_t (1 - alpha_bar_{t-1}) is on top. alpha_t, close to 1, is what the "
    "step keeps, not what it adds.",
)
def _(t, alpha_bar):
    now, before, alpha, _ = tables(t, alpha_bar)
    return alpha * (1 - before) / (1 - now)


@posterior_variance.misconception(
    "the variance at t = 1 is replaced by that at t = 2",
    hint="That is a trick of some programs, which take the logarithm of the table. Here nothing is clipped: with x_0 "
    "known there is no doubt about x_0, so the variance at t = 1 is exactly 0.",
)
def _(t, alpha_bar):
    now, before, _, beta = tables(t.clamp(min=2), alpha_bar)
    return beta * (1 - before) / (1 - now)


@posterior_variance.misconception(
    "the denominator carries a square root",
    hint="The identity alpha_t (1 - alpha_bar_{t-1}) + beta_t = 1 - alpha_bar_t has no root in it. One well-known "
    "slide has.",
)
def _(t, alpha_bar):
    now, before, _, beta = tables(t, alpha_bar)
    return beta * (1 - before) / (1 - now.sqrt())


@posterior_variance.misconception(
    "the precision instead of the variance",
    hint="The variance is one over A. At t = 1 yours is infinite, where it should be 0.",
)
def _(t, alpha_bar):
    now, before, _, beta = tables(t, alpha_bar)
    return (1 - now) / (beta * (1 - before))


@posterior_variance.misconception(EARLY[0], hint=EARLY[1])
def _(t, alpha_bar):
    now, before, _, beta = early(t, alpha_bar)
    return beta * (1 - before) / (1 - now)


@posterior_variance.misconception(SHIFTED[0], hint=SHIFTED[1])
def _(t, alpha_bar):
    now, before, _, beta = shifted(t, alpha_bar)
    return beta * (1 - before) / (1 - now)


@posterior_variance.misconception(ONE_TIME[0], hint=ONE_TIME[1])
def _(t, alpha_bar):
    now, before, _, beta = tables(first_of(t), alpha_bar)
    return beta * (1 - before) / (1 - now)


@posterior_variance.misconception(LOST[0], hint=LOST[1])
def _(t, alpha_bar):
    now, before, _, beta = tables(t, alpha_bar)
    return torch.tensor((beta * (1 - before) / (1 - now)).tolist())


# ---- posterior_coefficients


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
    case.conventions(student, (times(case, steps, batch, first=1), alpha_bar), truth, points=0.5)


@posterior_coefficients.truth
def _(t, alpha_bar):
    c0, ct, _ = condition(t, alpha_bar)
    return c0.to(alpha_bar.dtype), ct.to(alpha_bar.dtype)


@posterior_coefficients.alternative("over 1 - alpha_bar_t")
def _(t, alpha_bar):
    now, before, alpha, beta = tables(t, alpha_bar)
    return before.sqrt() * beta / (1 - now), alpha.sqrt() * (1 - before) / (1 - now)


@posterior_coefficients.alternative("each term's share of the precision")
def _(t, alpha_bar):
    _, before, alpha, beta = tables(t, alpha_bar)
    of_x0 = beta / (alpha * (1 - before) + beta)  # the share of x_0's factor, written so that t = 1 is no exception
    return before.sqrt() * of_x0, (1 - of_x0) / alpha.sqrt()


@posterior_coefficients.alternative("one example at a time")
def _(t, alpha_bar):
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
def _(t, alpha_bar):
    return _coefficients(tables(t, alpha_bar))[::-1]


@posterior_coefficients.misconception(
    "the roots change places",
    hint="sqrt(alpha_t) comes from the step to x_t and belongs to ct; sqrt(alpha_bar_{t-1}) comes from the jump out "
    "of x_0 and belongs to c0.",
)
def _(t, alpha_bar):
    now, before, alpha, beta = tables(t, alpha_bar)
    return alpha.sqrt() * beta / (1 - now), before.sqrt() * (1 - before) / (1 - now)


@posterior_coefficients.misconception(
    "the root on alpha_bar_{t-1} is missing",
    hint="c0 inherits sqrt(alpha_bar_{t-1}) from the mean of q(x_{t-1} given x_0), with its root.",
)
def _(t, alpha_bar):
    now, before, alpha, beta = tables(t, alpha_bar)
    return before * beta / (1 - now), alpha.sqrt() * (1 - before) / (1 - now)


@posterior_coefficients.misconception(
    "the root on alpha_t is missing",
    hint="ct inherits sqrt(alpha_t) from the mean of q(x_t given x_{t-1}), with its root.",
)
def _(t, alpha_bar):
    now, before, alpha, beta = tables(t, alpha_bar)
    return before.sqrt() * beta / (1 - now), alpha * (1 - before) / (1 - now)


@posterior_coefficients.misconception(
    "alpha_bar_t in place of alpha_t",
    hint="x_t is one step away from x_{t-1}: its coefficient holds sqrt(alpha_t), with alpha_t = alpha_bar[t] / "
    "alpha_bar[t - 1].",
)
def _(t, alpha_bar):
    now, before, _, beta = tables(t, alpha_bar)
    return before.sqrt() * beta / (1 - now), now.sqrt() * (1 - before) / (1 - now)


@posterior_coefficients.misconception(
    "beta~_t in place of beta_t",
    hint="b/A is b times the variance, and one factor of the variance cancels against b's own denominator: in c0 "
    "beta_t is left, not beta~_t.",
)
def _(t, alpha_bar):
    now, before, alpha, beta = tables(t, alpha_bar)
    tilde = beta * (1 - before) / (1 - now)
    return before.sqrt() * tilde / (1 - now), alpha.sqrt() * (1 - before) / (1 - now)


@posterior_coefficients.misconception(
    "the denominator carries a square root",
    hint="Divide by 1 - alpha_bar_t, the variance of x_t given x_0, not by 1 - sqrt(alpha_bar_t). Try a path without "
    "noise, x_t = sqrt(alpha_bar_t) x_0: the mean must lie on it too.",
)
def _(t, alpha_bar):
    now, before, alpha, beta = tables(t, alpha_bar)
    return before.sqrt() * beta / (1 - now.sqrt()), alpha.sqrt() * (1 - before) / (1 - now.sqrt())


@posterior_coefficients.misconception(
    "divided by the standard deviation of x_t",
    hint="Below the fraction bar stands 1 - alpha_bar_t as it is, without a root: the root belongs to the noise, in "
    "the eps form.",
)
def _(t, alpha_bar):
    now, before, alpha, beta = tables(t, alpha_bar)
    return before.sqrt() * beta / (1 - now).sqrt(), alpha.sqrt() * (1 - before) / (1 - now).sqrt()


@posterior_coefficients.misconception(
    "alpha_bar_t in the jump from x_0",
    hint="In the precision form x_0's term has alpha_bar_{t-1} in both places, since q(x_{t-1} given x_0) is a jump "
    "of t - 1 steps. A well-known slide has alpha_bar_t; at T = 1000 the difference is too small to see.",
)
def _(t, alpha_bar):
    now, _, alpha, beta = tables(t, alpha_bar)
    precision = alpha / beta + 1 / (1 - now)
    return now.sqrt() / (1 - now) / precision, alpha.sqrt() / beta / precision


@posterior_coefficients.misconception(
    "0/0 at t = 1",
    hint="The precision form divides by 1 - alpha_bar_{t-1}, which is 0 at t = 1. Multiply it out: over 1 - "
    "alpha_bar_t nothing is divided by zero and t = 1 needs no special case.",
)
def _(t, alpha_bar):
    _, before, alpha, beta = tables(t, alpha_bar)
    precision = alpha / beta + 1 / (1 - before)
    return before.sqrt() / (1 - before) / precision, alpha.sqrt() / beta / precision


@posterior_coefficients.misconception(EARLY[0], hint=EARLY[1])
def _(t, alpha_bar):
    return _coefficients(early(t, alpha_bar))


@posterior_coefficients.misconception(SHIFTED[0], hint=SHIFTED[1])
def _(t, alpha_bar):
    return _coefficients(shifted(t, alpha_bar))


@posterior_coefficients.misconception(ONE_TIME[0], hint=ONE_TIME[1])
def _(t, alpha_bar):
    return _coefficients(tables(first_of(t), alpha_bar))
