"""The curvature of the parabola that the exponent is: `posterior_precision`."""

from __future__ import annotations

import torch

from ...conventions import ones
from ...exercise import exercise
from ..diffusion import (
    EARLY,
    LOST,
    ONE_TIME,
    SHIFTED,
    early,
    edges,
    fine_schedule,
    first_of,
    schedule,
    shifted,
    tables,
)
from .shared import log_joint, times


@exercise("posterior_precision", points=2)
def posterior_precision(student, case):
    """A = 1 / variance of the exponent -A/2 x_{t-1}^2 + b x_{t-1}, t >= 2, (B,)."""
    truth = posterior_precision.oracle
    steps, batch = case.integer(6, 9), case.integer(10, 13)
    short = times(case, steps, batch), schedule(case, steps)
    case.expect(student(*short), truth(*short), "t from 2 to T on a short, uneven schedule", points=1, dtype=True)
    fine = torch.tensor([2, 300, 999, 1000]), fine_schedule()
    case.expect(
        student(*fine), truth(*fine), "t = 2, 300, 999 and 1000 on the linear schedule with T = 1000", points=0.5
    )
    case.conventions(student, short, truth, points=0.5, also=[ones(short), *edges(case, lambda *given: given)])


@posterior_precision.truth
def truth(t, alpha_bar):
    now, before, alpha, _ = tables(t, alpha_bar.double())
    x = torch.zeros(len(t), dtype=torch.float64, requires_grad=True)
    zero = torch.zeros_like(now)
    with torch.enable_grad():
        (slope,) = torch.autograd.grad(log_joint(x, zero, zero, alpha, before).sum(), x, create_graph=True)
        (curvature,) = torch.autograd.grad(slope.sum(), x)
    return -curvature.to(alpha_bar.dtype)


@posterior_precision.alternative("the sum of two precisions")
def sum_of_two_precisions(t, alpha_bar):
    _, before, alpha, beta = tables(t, alpha_bar)
    return alpha / beta + (1 - before).reciprocal()


@posterior_precision.alternative("over a common denominator")
def over_common_denominator(t, alpha_bar):
    now, before = alpha_bar[t], alpha_bar[t - 1]
    return before * (1 - now) / ((before - now) * (1 - before))


@posterior_precision.alternative("one example at a time")
def one_example_at_time(t, alpha_bar):
    answers = []
    for step in t.tolist():
        keep = (alpha_bar[step] / alpha_bar[step - 1]).item()
        answers.append(keep / (1 - keep) + 1 / (1 - alpha_bar[step - 1].item()))
    return torch.tensor(answers, dtype=alpha_bar.dtype, device=alpha_bar.device)


@posterior_precision.misconception(
    "the variance instead of the precision",
    hint="A is the coefficient that multiplies x_{t-1}^2 (up to -1/2), which is one over the variance: the narrower "
    "the posterior, the larger A.",
)
def variance_instead_of_precision(t, alpha_bar):
    _, before, alpha, beta = tables(t, alpha_bar)
    return 1 / (alpha / beta + 1 / (1 - before))


@posterior_precision.misconception(
    "A/2 instead of A",
    hint="The exponent is written -A/2 x^2 + b x, so the factor 1/2 is already outside A.",
)
def half_of_a_instead_of_a(t, alpha_bar):
    _, before, alpha, beta = tables(t, alpha_bar)
    return (alpha / beta + 1 / (1 - before)) / 2


@posterior_precision.misconception(
    "alpha_bar_t in the jump from x_0",
    hint="The second factor is q(x_{t-1} given x_0), a jump of t - 1 steps: its variance is 1 - alpha_bar_{t-1}. One "
    "well-known slide has this wrong.",
)
def alpha_bar_t_in_jump_from_x_0(t, alpha_bar):
    now, _, alpha, beta = tables(t, alpha_bar)
    return alpha / beta + 1 / (1 - now)


@posterior_precision.misconception(
    "alpha_t is missing above beta_t",
    hint="In (x_t - sqrt(alpha_t) x_{t-1})^2 / beta_t the square of x_{t-1} comes with alpha_t. Open the bracket.",
)
def alpha_t_is_missing_above_beta_t(t, alpha_bar):
    _, before, _, beta = tables(t, alpha_bar)
    return 1 / beta + 1 / (1 - before)


@posterior_precision.misconception(
    "sqrt(alpha_t) in place of alpha_t",
    hint="The root in sqrt(alpha_t) x_{t-1} is squared together with x_{t-1}.",
)
def sqrt_alpha_t_in_place_of_alpha_t(t, alpha_bar):
    _, before, alpha, beta = tables(t, alpha_bar)
    return alpha.sqrt() / beta + 1 / (1 - before)


@posterior_precision.misconception(
    "alpha_bar_t in place of alpha_t",
    hint="The step from t - 1 to t keeps alpha_t = alpha_bar[t] / alpha_bar[t - 1]. alpha_bar[t] is what is left "
    "after all t steps.",
)
def alpha_bar_t_in_place_of_alpha_t(t, alpha_bar):
    now, before, _, _ = tables(t, alpha_bar)
    return now / (1 - now) + 1 / (1 - before)


@posterior_precision.misconception(
    "beta_t as a difference of alpha_bars",
    hint="alpha_bar is a product, so one step is a ratio: alpha_t = alpha_bar[t] / alpha_bar[t - 1] and beta_t = 1 - "
    "alpha_t. The difference alpha_bar[t - 1] - alpha_bar[t] is smaller than beta_t.",
)
def beta_t_as_difference_of_alpha_bars(t, alpha_bar):
    now, before, alpha, _ = tables(t, alpha_bar)
    return alpha / (before - now) + 1 / (1 - before)


@posterior_precision.misconception(EARLY[0], hint=EARLY[1])
def tables_are_read_one_step_early(t, alpha_bar):
    _, before, alpha, beta = early(t, alpha_bar)
    return alpha / beta + 1 / (1 - before)


@posterior_precision.misconception(SHIFTED[0], hint=SHIFTED[1])
def alpha_bar_t_minus_1_is_shifted_twice(t, alpha_bar):
    _, before, alpha, beta = shifted(t, alpha_bar)
    return alpha / beta + 1 / (1 - before)


@posterior_precision.misconception(ONE_TIME[0], hint=ONE_TIME[1])
def one_t_for_whole_batch(t, alpha_bar):
    _, before, alpha, beta = tables(first_of(t), alpha_bar)
    return alpha / beta + 1 / (1 - before)


@posterior_precision.misconception(LOST[0], hint=LOST[1])
def dtype_is_lost(t, alpha_bar):
    _, before, alpha, beta = tables(t, alpha_bar)
    return torch.tensor((alpha / beta + 1 / (1 - before)).tolist())
