"""What the checks of 05-posterior draw and compute in common: uneven schedules, batches of times, the chain itself."""

from __future__ import annotations

import torch
from torch.distributions import Normal

from ...student import Failure


def schedule(case, steps):
    """alpha_bar (T + 1,) of a short, uneven schedule that float32 can hold: each beta between 0.05 and 0.6."""
    return table(case.uniform(steps, low=0.05, high=0.6))


def fine_schedule():
    """alpha_bar of the linear schedule with T = 1000, beta from 1e-4 to 0.02."""
    return table(torch.linspace(1e-4, 0.02, 1000, dtype=torch.float64))


def table(beta):
    """alpha_bar (T + 1,) of beta_1, ..., beta_T, with alpha_bar[0] = 1."""
    return torch.cat([torch.ones(1, dtype=beta.dtype), torch.cumprod(1 - beta, 0)])


def times(case, steps, count, first=2):
    """`count` times in random order, `first`, `first` + 1 and T among them; the first entry is not the only one."""
    drawn = [first, first + 1, steps, *(case.integer(first, steps) for _ in range(count - 3))]
    return torch.tensor(drawn)[torch.randperm(count, generator=case.generator)]


def along(values, like):
    """Values (B,) with trailing axes, so that each meets its own example of `like`."""
    return values.reshape(-1, *[1] * (like.ndim - 1))


def tables(t, alpha_bar):
    """alpha_bar_t, alpha_bar_{t-1}, alpha_t, beta_t: what right and wrong answers alike start from."""
    now, before = alpha_bar[t], alpha_bar[t - 1]
    return now, before, now / before, 1 - now / before


def log_joint(x_prev, xt, x0, alpha_t, alpha_bar_prev):
    """log q(x_t, x_{t-1} given x_0) from the two distributions."""
    forward = Normal(alpha_t.sqrt() * x_prev, (1 - alpha_t).sqrt()).log_prob(xt)
    return forward + Normal(alpha_bar_prev.sqrt() * x0, (1 - alpha_bar_prev).sqrt()).log_prob(x_prev)


def condition(t, alpha_bar):
    """(c_0, c_t, variance) of q(x_{t-1} given x_t, x_0), in float64.

    Given x_0 the pair (x_{t-1}, x_t) is Gaussian with variances 1 - alpha_bar_{t-1}, 1 - alpha_bar_t and covariance
    sqrt(alpha_t) (1 - alpha_bar_{t-1}); conditioning on x_t is a regression, and nothing is divided by zero at t = 1.
    """
    now, before, alpha, _ = tables(t, alpha_bar.double())
    covariance = alpha.sqrt() * (1 - before)
    gain = covariance / (1 - now)
    return before.sqrt() - gain * now.sqrt(), gain, (1 - before) - gain * covariance


def spread(value, shape):
    """A returned variance at every entry of `shape`, or a Failure where it does not broadcast to it."""
    if isinstance(value, Failure) or not isinstance(value, torch.Tensor):
        return value
    try:
        return value.expand(shape)
    except RuntimeError:
        return Failure(
            "form", f"a variance of shape {tuple(value.shape)} does not broadcast to the mean's {tuple(shape)}"
        )


EARLY = (
    "the tables are read one step early",
    "The tables have T + 1 entries, and entry 0 is the clean data: alpha_bar[t] belongs to step t itself, "
    "alpha_bar[t - 1] to the step before. With t - 1 and t - 2 you are one step behind, and at t = 1 the index wraps "
    "to the end of the table.",
)
SHIFTED = (
    "alpha_bar_{t-1} is shifted twice",
    "The table already begins with alpha_bar[0] = 1. A further 1 put in front of it moves every entry on by one, so "
    "that index t - 1 finds alpha_bar_{t-2}.",
)
ONE_TIME = (
    "one t for the whole batch",
    "Every example has its own t. Index the table with the whole tensor t, which gives one coefficient per example.",
)
AXIS = (
    "coefficients meet the wrong axis",
    "A coefficient of shape (B,) is matched with the LAST axis of the data. Give it trailing axes first, (B, 1, ..., "
    "1), so that each example meets its own.",
)

LOST = (
    "the dtype is lost",
    "The result shall have the dtype of alpha_bar. torch.tensor(list) makes float32 of Python floats whatever the "
    "table was; index the table with t instead, or pass dtype=alpha_bar.dtype.",
)
OVERWRITTEN = (
    "an input is overwritten",
    "The value is right, but a function with a trailing underscore, or +=, wrote it into the tensor that you were "
    "given. The caller still needs that tensor: work on a new one.",
)


def early(t, alpha_bar):
    """`tables` for somebody whose tables start at step 1."""
    now, before = alpha_bar[t - 1], alpha_bar[t - 2]
    return now, before, now / before, 1 - now / before


def shifted(t, alpha_bar):
    """`tables` for somebody who puts a second 1 in front of alpha_bar."""
    now, before = alpha_bar[t], torch.cat([alpha_bar.new_ones(1), alpha_bar[:-1]])[t - 1]
    return now, before, now / before, 1 - now / before


def first_of(t):
    """The first time for everybody."""
    return t[:1].expand(len(t))
