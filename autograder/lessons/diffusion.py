"""What the checks of several lessons on diffusion share: uneven schedules, batches of times, the chain's own tables and
posterior, an exact denoiser, and the mistakes that are made with all of these.

alpha_bar is a table (T + 1,) with alpha_bar[0] = 1; t is a LongTensor (B,).
"""

from __future__ import annotations

import torch

from ..conventions import Rows
from ..student import Failure


def schedule(case, steps):
    """alpha_bar (T + 1,) of a short, uneven schedule that float32 can hold: each beta between 0.05 and 0.6."""
    return table(case.uniform(steps, low=0.05, high=0.6))


def fine_schedule():
    """alpha_bar of the linear schedule with T = 1000, beta from 1e-4 to 0.02."""
    return table(torch.linspace(1e-4, 0.02, 1000, dtype=torch.float64))


def table(beta):
    """alpha_bar (T + 1,) of beta_1, ..., beta_T, with alpha_bar[0] = 1."""
    return torch.cat([torch.ones(1, dtype=beta.dtype), torch.cumprod(1 - beta, 0)])


def edges(case, inputs, first=2):
    """Arguments of one call at legal extremes, held against the truth time by time: betas of 1e-7 at first, a last step
    that leaves 1e-8 of the signal. `inputs(t, table)` makes them, for a batch of three.
    """
    ends = extreme_table(case)
    return [Rows(inputs(torch.tensor([first, first + 1, len(ends) - 1]), ends))]


def edges_apart(case, inputs, first=2):
    """The same for answers that are no batches: `inputs(t, table)` makes the arguments of each call, t a number."""
    ends = extreme_table(case)
    return [inputs(t, ends) for t in (first, first + 1, len(ends) - 1)]


def extreme_table(case):
    slight = case.uniform(3, low=0.5e-7, high=1.5e-7)
    return table(torch.cat([slight, torch.tensor([0.5, 1 - 1e-8], dtype=torch.float64)]))


def ranks(batch):
    """Shapes of sequences and of films: events of two and of four axes."""
    return (batch, 3, 2), (batch, 2, 3, 2, 3)


def times_among(case, steps, count, *named):
    """`count` times in random order: those named, T, and others between the first named and T."""
    drawn = [*named, steps, *(case.integer(named[0], steps) for _ in range(count - len(named) - 1))]
    return torch.tensor(drawn)[torch.randperm(count, generator=case.generator)]


def along(values, like):
    """Values (B,) with trailing axes, so that each meets its own example of `like`."""
    return values.reshape(-1, *[1] * (like.ndim - 1))


def tables(t, alpha_bar):
    """alpha_bar_t, alpha_bar_{t-1}, alpha_t, beta_t: what right and wrong answers alike start from."""
    now, before = alpha_bar[t], alpha_bar[t - 1]
    return now, before, now / before, 1 - now / before


def condition(t, alpha_bar):
    """(c_0, c_t, variance) of q(x_{t-1} given x_t, x_0), in float64.

    Given x_0 the pair (x_{t-1}, x_t) is Gaussian with variances 1 - alpha_bar_{t-1}, 1 - alpha_bar_t and covariance
    sqrt(alpha_t) (1 - alpha_bar_{t-1}); conditioning on x_t is a regression, and nothing is divided by zero at t = 1.
    """
    now, before, alpha, _ = tables(t, alpha_bar.double())
    covariance = alpha.sqrt() * (1 - before)
    gain = covariance / (1 - now)
    return before.sqrt() - gain * now.sqrt(), gain, (1 - before) - gain * covariance


def clean(xt, eps, t, alpha_bar):
    """The x_0 that eps points to, in float64."""
    level = along(alpha_bar.double()[t], xt)
    return xt.double() / level.sqrt() - (1 / level - 1).sqrt() * eps.double()


class Denoiser:
    """The best eps for data from N(mean, spread), exact, which remembers every (x_t, t) that it was asked for.

    Whatever form t has, it answers, so that a walk which asks wrongly goes on to its end; what was asked is compared
    afterwards.
    """

    def __init__(self, alpha_bar, mean, spread):
        self.alpha_bar, self.mean, self.spread = alpha_bar.double(), mean, spread
        self.calls: list[tuple] = []

    def __call__(self, x, t):
        self.calls.append((x, t))
        steps = torch.as_tensor(t).long().flatten().clamp(0, len(self.alpha_bar) - 1)
        level = along(self.alpha_bar[steps], x)
        noise = (1 - level).sqrt() * (x.double() - level.sqrt() * self.mean)
        return (noise / (level * self.spread + 1 - level)).to(x.dtype)


def asked(model, result):
    """([x_t, ...], [t, ...]) of all calls of a `Denoiser`, or twice the Failure in which the walk ended."""
    if isinstance(result, Failure):
        return result, result
    return [x for x, _ in model.calls], [t for _, t in model.calls]


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
