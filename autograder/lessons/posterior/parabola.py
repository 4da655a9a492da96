"""The parabola that the exponent is: its coefficients `posterior_precision` and `posterior_linear_term`."""

from __future__ import annotations

import torch

from ...exercise import exercise
from .inputs import AXIS, EARLY, LOST, ONE_TIME, OVERWRITTEN, SHIFTED

from .inputs import along, early, fine_schedule, first_of, log_joint, schedule, shifted, tables, times  # isort: skip

LESSON = "05-posterior"


# ---- posterior_precision


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
    case.conventions(student, short, truth, points=0.5)


@posterior_precision.truth
def _(t, alpha_bar):
    now, before, alpha, _ = tables(t, alpha_bar.double())
    x = torch.zeros(len(t), dtype=torch.float64, requires_grad=True)
    zero = torch.zeros_like(now)
    with torch.enable_grad():
        (slope,) = torch.autograd.grad(log_joint(x, zero, zero, alpha, before).sum(), x, create_graph=True)
        (curvature,) = torch.autograd.grad(slope.sum(), x)
    return -curvature.to(alpha_bar.dtype)


@posterior_precision.alternative("the sum of two precisions")
def _(t, alpha_bar):
    _, before, alpha, beta = tables(t, alpha_bar)
    return alpha / beta + (1 - before).reciprocal()


@posterior_precision.alternative("over a common denominator")
def _(t, alpha_bar):
    now, before = alpha_bar[t], alpha_bar[t - 1]
    return before * (1 - now) / ((before - now) * (1 - before))


@posterior_precision.alternative("one example at a time")
def _(t, alpha_bar):
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
def _(t, alpha_bar):
    _, before, alpha, beta = tables(t, alpha_bar)
    return 1 / (alpha / beta + 1 / (1 - before))


@posterior_precision.misconception(
    "A/2 instead of A",
    hint="The exponent is written -A/2 x^2 + b x, so the factor 1/2 is already outside A.",
)
def _(t, alpha_bar):
    _, before, alpha, beta = tables(t, alpha_bar)
    return (alpha / beta + 1 / (1 - before)) / 2


@posterior_precision.misconception(
    "alpha_bar_t in the jump from x_0",
    hint="The second factor is q(x_{t-1} given x_0), a jump of t - 1 steps: its variance is 1 - alpha_bar_{t-1}. One "
    "well-known slide has this wrong.",
)
def _(t, alpha_bar):
    now, _, alpha, beta = tables(t, alpha_bar)
    return alpha / beta + 1 / (1 - now)


@posterior_precision.misconception(
    "alpha_t is missing above beta_t",
    hint="In (x_t - sqrt(alpha_t) x_{t-1})^2 / beta_t the square of x_{t-1} comes with alpha_t. Open the bracket.",
)
def _(t, alpha_bar):
    _, before, _, beta = tables(t, alpha_bar)
    return 1 / beta + 1 / (1 - before)


@posterior_precision.misconception(
    "sqrt(alpha_t) in place of alpha_t",
    hint="The root in sqrt(alpha_t) x_{t-1} is squared together with x_{t-1}.",
)
def _(t, alpha_bar):
    _, before, alpha, beta = tables(t, alpha_bar)
    return alpha.sqrt() / beta + 1 / (1 - before)


@posterior_precision.misconception(
    "alpha_bar_t in place of alpha_t",
    hint="The step from t - 1 to t keeps alpha_t = alpha_bar[t] / alpha_bar[t - 1]. alpha_bar[t] is what is left "
    "after all t steps.",
)
def _(t, alpha_bar):
    now, before, _, _ = tables(t, alpha_bar)
    return now / (1 - now) + 1 / (1 - before)


@posterior_precision.misconception(
    "beta_t as a difference of alpha_bars",
    hint="alpha_bar is a product, so one step is a ratio: alpha_t = alpha_bar[t] / alpha_bar[t - 1] and beta_t = 1 - "
    "alpha_t. The difference alpha_bar[t - 1] - alpha_bar[t] is smaller than beta_t.",
)
def _(t, alpha_bar):
    now, before, alpha, _ = tables(t, alpha_bar)
    return alpha / (before - now) + 1 / (1 - before)


@posterior_precision.misconception(EARLY[0], hint=EARLY[1])
def _(t, alpha_bar):
    _, before, alpha, beta = early(t, alpha_bar)
    return alpha / beta + 1 / (1 - before)


@posterior_precision.misconception(SHIFTED[0], hint=SHIFTED[1])
def _(t, alpha_bar):
    _, before, alpha, beta = shifted(t, alpha_bar)
    return alpha / beta + 1 / (1 - before)


@posterior_precision.misconception(ONE_TIME[0], hint=ONE_TIME[1])
def _(t, alpha_bar):
    _, before, alpha, beta = tables(first_of(t), alpha_bar)
    return alpha / beta + 1 / (1 - before)


@posterior_precision.misconception(LOST[0], hint=LOST[1])
def _(t, alpha_bar):
    _, before, alpha, beta = tables(t, alpha_bar)
    return torch.tensor((alpha / beta + 1 / (1 - before)).tolist())


# ---- posterior_linear_term


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
    case.conventions(student, rows, truth, points=0.5)


@posterior_linear_term.truth
def _(x0, xt, t, alpha_bar):
    _, before, alpha, _ = (along(value, x0) for value in tables(t, alpha_bar.double()))
    x = torch.zeros_like(x0, dtype=torch.float64, requires_grad=True)
    with torch.enable_grad():
        (slope,) = torch.autograd.grad(log_joint(x, xt.double(), x0.double(), alpha, before).sum(), x)
    return slope.to(x0.dtype)


@posterior_linear_term.alternative("two terms")
def _(x0, xt, t, alpha_bar):
    _, before, alpha, beta = (along(value, x0) for value in tables(t, alpha_bar))
    return alpha.sqrt() / beta * xt + before.sqrt() / (1 - before) * x0


@posterior_linear_term.alternative("axes moved instead of added")
def _(x0, xt, t, alpha_bar):
    now, before = alpha_bar[t], alpha_bar[t - 1]
    of_xt = (now * before).sqrt() / (before - now)
    of_x0 = before.rsqrt() / (before.reciprocal() - 1)
    return (xt.movedim(0, -1) * of_xt + x0.movedim(0, -1) * of_x0).movedim(-1, 0)


@posterior_linear_term.alternative("one example at a time")
def _(x0, xt, t, alpha_bar):
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
def _(x0, xt, t, alpha_bar):
    _, before, alpha, beta = (along(value, x0) for value in tables(t, alpha_bar))
    return alpha / beta * xt + before.sqrt() / (1 - before) * x0


@posterior_linear_term.misconception(
    "the root on alpha_bar_{t-1} is missing",
    hint="q(x_{t-1} given x_0) is centred on sqrt(alpha_bar_{t-1}) x_0, and its mixed term keeps the root.",
)
def _(x0, xt, t, alpha_bar):
    _, before, alpha, beta = (along(value, x0) for value in tables(t, alpha_bar))
    return alpha.sqrt() / beta * xt + before / (1 - before) * x0


@posterior_linear_term.misconception(
    "x_0 and x_t change places",
    hint="The first factor, with alpha_t and beta_t, is about x_t; the one with alpha_bar_{t-1} is about x_0.",
)
def _(x0, xt, t, alpha_bar):
    return _linear(xt, x0, tables(t, alpha_bar))


@posterior_linear_term.misconception(
    "alpha_bar_t in x_0's term",
    hint="x_0's term comes from q(x_{t-1} given x_0), so it holds alpha_bar_{t-1} in both places. One well-known "
    "slide has alpha_bar_t there.",
)
def _(x0, xt, t, alpha_bar):
    now, _, alpha, beta = tables(t, alpha_bar)
    return _linear(x0, xt, (now, now, alpha, beta))


@posterior_linear_term.misconception(
    "alpha_bar_t in place of alpha_t",
    hint="x_t's term comes from the single step q(x_t given x_{t-1}): it holds alpha_t = alpha_bar[t] / alpha_bar[t "
    "- 1] and beta_t = 1 - alpha_t, no product over all steps.",
)
def _(x0, xt, t, alpha_bar):
    now, before, _, _ = tables(t, alpha_bar)
    return _linear(x0, xt, (now, before, now, 1 - now))


@posterior_linear_term.misconception(
    "twice b",
    hint="The mixed terms carry a 2, which the 1/2 in front of the squares cancels.",
)
def _(x0, xt, t, alpha_bar):
    return 2 * _linear(x0, xt, tables(t, alpha_bar))


@posterior_linear_term.misconception(
    "the sign is reversed",
    hint="The mixed term of a square is -2 times a product, and the -1/2 in front turns it positive: b carries no "
    "minus sign.",
)
def _(x0, xt, t, alpha_bar):
    return -_linear(x0, xt, tables(t, alpha_bar))


@posterior_linear_term.misconception(
    "the mean instead of b",
    hint="b is the coefficient of x_{t-1} as it stands in the exponent. Dividing it by A, which gives the mean, "
    "comes later.",
)
def _(x0, xt, t, alpha_bar):
    values = tables(t, alpha_bar)
    _, before, alpha, beta = (along(value, x0) for value in values)
    return _linear(x0, xt, values) / (alpha / beta + 1 / (1 - before))


@posterior_linear_term.misconception(
    "divided by standard deviations",
    hint="Each term is divided by its factor's variance: beta_t and 1 - alpha_bar_{t-1}, without roots.",
)
def _(x0, xt, t, alpha_bar):
    _, before, alpha, beta = (along(value, x0) for value in tables(t, alpha_bar))
    return (alpha / beta).sqrt() * xt + (before / (1 - before)).sqrt() * x0


@posterior_linear_term.misconception(EARLY[0], hint=EARLY[1])
def _(x0, xt, t, alpha_bar):
    return _linear(x0, xt, early(t, alpha_bar))


@posterior_linear_term.misconception(SHIFTED[0], hint=SHIFTED[1])
def _(x0, xt, t, alpha_bar):
    return _linear(x0, xt, shifted(t, alpha_bar))


@posterior_linear_term.misconception(ONE_TIME[0], hint=ONE_TIME[1])
def _(x0, xt, t, alpha_bar):
    return _linear(x0, xt, tables(first_of(t), alpha_bar))


@posterior_linear_term.misconception(AXIS[0], hint=AXIS[1])
def _(x0, xt, t, alpha_bar):
    _, before, alpha, beta = tables(t, alpha_bar)
    return alpha.sqrt() / beta * xt + before.sqrt() / (1 - before) * x0


@posterior_linear_term.misconception(OVERWRITTEN[0], hint=OVERWRITTEN[1])
def _(x0, xt, t, alpha_bar):
    _, before, alpha, beta = (along(value, x0) for value in tables(t, alpha_bar))
    return xt.mul_(alpha.sqrt() / beta).add_(before.sqrt() / (1 - before) * x0)
