"""Noise on data, one step and all at once: `q_step`, `q_sample`."""

from __future__ import annotations

import math

import torch

from ...exercise import exercise
from .inputs import (
    AXIS,
    CLAMPED,
    EARLY,
    FRESH,
    IMAGES_ONLY,
    ONE_AXIS,
    ONE_TIME,
    OVERWRITTEN,
    SWAPPED,
    along,
    times,
    uneven_alpha_bar,
    uneven_beta,
)

LESSON = "04-forward"


def _check(student, case, truth, table, first):
    """Both exercises take data, times, a table and noise; `first` names the data in what the student reads."""
    steps = len(table) - 1
    batch, channels, height, width = case.sizes(4, low=4)
    x, eps, t = (*(case.normal(batch, channels, height, width) for _ in range(2)), times(case, steps, batch))
    none = torch.zeros_like(x)
    case.expect(student(x, t, table, eps), truth(x, t, table, eps), "images, each at its own time", points=0.75)
    case.expect(student(x, t, table, none), truth(x, t, table, none), f"the factor of {first} alone", points=0.25)
    case.expect(student(none, t, table, eps), truth(none, t, table, eps), "the factor of the noise alone", points=0.25)

    shapes = [(batch, 1), (batch, width), (batch, channels, width)]
    calls = [(case.normal(*s), times(case, steps, batch), table, case.normal(*s)) for s in shapes]
    case.expect([student(*c) for c in calls], [truth(*c) for c in calls], "numbers, points, sequences", points=0.25)
    square = (case.normal(5, 5), times(case, steps, 5), table, case.normal(5, 5))
    case.expect(student(*square), truth(*square), "as many examples as an event has entries", points=0.25)
    case.conventions(student, (x, t, table, eps), truth, points=0.25)


@exercise("q_step", points=2)
def q_step(student, case):
    """x_{t-1} -> x_t = sqrt(1 - beta_t) x_{t-1} + sqrt(beta_t) eps."""
    _check(student, case, q_step.oracle, uneven_beta(case, case.integer(5, 8)), "x_{t-1}")


@q_step.truth
def _(x_prev, t, beta, eps):
    # A step is a rotation by the angle whose sine squared is beta: what leaves the picture arrives as noise.
    angles = [math.asin(math.sqrt(beta[int(time)])) for time in t]
    rows = [math.cos(a) * x + math.sin(a) * e for a, x, e in zip(angles, x_prev, eps, strict=True)]
    return torch.stack(rows)


@q_step.misconception(
    "the mean is shrunk by 1 - beta",
    hint="The formula of one well-known slide. Squared, that factor takes away twice the variance that the noise "
    "brings: the root is missing. Look at what variance_after says of it.",
)
def _(x_prev, t, beta, eps):
    b = along(beta[t], x_prev)
    return (1 - b) * x_prev + b.sqrt() * eps


@q_step.misconception(
    "the picture is not shrunk",
    hint="You only add noise, so the variance grows with every step. The picture is first multiplied by sqrt(1 - "
    "beta_t).",
)
def _(x_prev, t, beta, eps):
    return x_prev + along(beta[t], x_prev).sqrt() * eps


@q_step.misconception(
    "the noise is multiplied by its variance",
    hint="beta_t is the variance of the noise. A factor is a standard deviation: take the root.",
)
def _(x_prev, t, beta, eps):
    b = along(beta[t], x_prev)
    return (1 - b).sqrt() * x_prev + b * eps


@q_step.misconception(
    "both roots are missing",
    hint="1 - beta_t and beta_t are shares of variance, and must add up to 1 as squares of the factors: take the "
    "root of each.",
)
def _(x_prev, t, beta, eps):
    b = along(beta[t], x_prev)
    return (1 - b) * x_prev + b * eps


@q_step.misconception(
    "beta is read as a standard deviation",
    hint="You gave the noise the factor beta and the picture sqrt(1 - beta^2). In this course beta is a variance "
    "already; the other convention appears in section 6.",
)
def _(x_prev, t, beta, eps):
    b = along(beta[t], x_prev)
    return (1 - b**2).sqrt() * x_prev + b * eps


@q_step.misconception(*SWAPPED)
def _(x_prev, t, beta, eps):
    b = along(beta[t], x_prev)
    return b.sqrt() * x_prev + (1 - b).sqrt() * eps


@q_step.misconception(
    "alpha_bar in place of alpha",
    hint="You took the running product, which jumps from x_0. One step from x_{t-1} needs this step's beta alone.",
)
def _(x_prev, t, beta, eps):
    ab = along(torch.cumprod(1 - beta, 0)[t], x_prev)
    return ab.sqrt() * x_prev + (1 - ab).sqrt() * eps


@q_step.misconception(*EARLY)
def _(x_prev, t, beta, eps):
    b = along(beta[t - 1], x_prev)
    return (1 - b).sqrt() * x_prev + b.sqrt() * eps


@q_step.misconception(*ONE_TIME)
def _(x_prev, t, beta, eps):
    b = beta[t[0]]
    return (1 - b).sqrt() * x_prev + b.sqrt() * eps


@q_step.misconception(*AXIS)
def _(x_prev, t, beta, eps):
    return (1 - beta[t]).sqrt() * x_prev + beta[t].sqrt() * eps


@q_step.misconception(*IMAGES_ONLY)
def _(x_prev, t, beta, eps):
    b = beta[t].reshape(-1, 1, 1, 1)
    return (1 - b).sqrt() * x_prev + b.sqrt() * eps


@q_step.misconception(*ONE_AXIS)
def _(x_prev, t, beta, eps):
    b = beta[t].reshape(-1, 1)
    return (1 - b).sqrt() * x_prev + b.sqrt() * eps


@q_step.misconception(*FRESH)
def _(x_prev, t, beta, eps):
    b = along(beta[t], x_prev)
    return (1 - b).sqrt() * x_prev + b.sqrt() * torch.randn_like(x_prev)


@q_step.misconception(*CLAMPED)
def _(x_prev, t, beta, eps):
    b = along(beta[t], x_prev)
    return ((1 - b).sqrt() * x_prev + b.sqrt() * eps).clamp(-1, 1)


@q_step.misconception(*OVERWRITTEN)
def _(x_prev, t, beta, eps):
    b = along(beta[t], x_prev)
    return x_prev.mul_((1 - b).sqrt()).add_(b.sqrt() * eps)


@q_step.alternative("one example at a time")
def _(x_prev, t, beta, eps):
    out = torch.empty_like(x_prev)
    for i, time in enumerate(t.tolist()):
        out[i] = (1 - beta[time]) ** 0.5 * x_prev[i] + beta[time] ** 0.5 * eps[i]
    return out


@q_step.alternative("with einsum")
def _(x_prev, t, beta, eps):
    keep, noise = torch.sqrt(1 - beta)[t], torch.sqrt(beta)[t]
    return torch.einsum("b,b...->b...", keep, x_prev) + torch.einsum("b,b...->b...", noise, eps)


@q_step.alternative("the batch axis moved to the end")
def _(x_prev, t, beta, eps):
    b = beta.gather(0, t)
    moved = torch.sqrt(1 - b) * x_prev.movedim(0, -1) + torch.sqrt(b) * eps.movedim(0, -1)
    return moved.movedim(-1, 0)


@exercise("q_sample", points=2)
def q_sample(student, case):
    """x_0 -> x_t = sqrt(alpha_bar_t) x_0 + sqrt(1 - alpha_bar_t) eps."""
    _check(student, case, q_sample.oracle, uneven_alpha_bar(case, case.integer(5, 8)), "x_0")


@q_sample.truth
def _(x0, t, alpha_bar, eps):
    # As in a single step, picture and noise rotate into each other; the angle's cosine squared is what is left.
    angles = [math.acos(math.sqrt(alpha_bar[int(time)])) for time in t]
    rows = [math.cos(a) * x + math.sin(a) * e for a, x, e in zip(angles, x0, eps, strict=True)]
    return torch.stack(rows)


@q_sample.misconception(
    "the noise is multiplied by its variance",
    hint="1 - alpha_bar_t is the variance of the noise. A factor is a standard deviation: take the root. Without "
    "it a trained model makes samples of the right mean and the wrong spread.",
)
def _(x0, t, alpha_bar, eps):
    ab = along(alpha_bar[t], x0)
    return ab.sqrt() * x0 + (1 - ab) * eps


@q_sample.misconception(
    "the root of alpha_bar is missing",
    hint="alpha_bar_t is the share of the signal's variance that is left. The factor of the picture is its root.",
)
def _(x0, t, alpha_bar, eps):
    ab = along(alpha_bar[t], x0)
    return ab * x0 + (1 - ab).sqrt() * eps


@q_sample.misconception(
    "both roots are missing",
    hint="alpha_bar_t and 1 - alpha_bar_t are shares of variance. The factors are their roots, and the squares of "
    "the factors add up to 1.",
)
def _(x0, t, alpha_bar, eps):
    ab = along(alpha_bar[t], x0)
    return ab * x0 + (1 - ab) * eps


@q_sample.misconception(
    "alpha_bar is read as the picture's factor",
    hint="You gave the noise sqrt(1 - alpha_bar^2), which belongs to another convention (section 6). Here alpha_bar "
    "is a share of variance.",
)
def _(x0, t, alpha_bar, eps):
    ab = along(alpha_bar[t], x0)
    return ab * x0 + (1 - ab**2).sqrt() * eps


@q_sample.misconception(*SWAPPED)
def _(x0, t, alpha_bar, eps):
    ab = along(alpha_bar[t], x0)
    return (1 - ab).sqrt() * x0 + ab.sqrt() * eps


@q_sample.misconception(
    "alpha in place of alpha_bar",
    hint="You used one step's alpha_t, so that even x_T is hardly noisy. The jump from x_0 needs the product of all "
    "steps, which is what the table holds.",
)
def _(x0, t, alpha_bar, eps):
    alpha = along(alpha_bar[t] / alpha_bar[t - 1], x0)
    return alpha.sqrt() * x0 + (1 - alpha).sqrt() * eps


@q_sample.misconception(
    "the running product is taken twice",
    hint="alpha_bar is the running product already; use its entries as they are.",
)
def _(x0, t, alpha_bar, eps):
    ab = along(torch.cumprod(alpha_bar, 0)[t], x0)
    return ab.sqrt() * x0 + (1 - ab).sqrt() * eps


@q_sample.misconception(
    "the picture is not shrunk",
    hint="x_0 plus noise whose size grows is the convention that is called variance exploding. Here picture and "
    "noise share a variance of 1: multiply the picture by sqrt(alpha_bar_t).",
)
def _(x0, t, alpha_bar, eps):
    ab = along(alpha_bar[t], x0)
    return x0 + ((1 - ab) / ab).sqrt() * eps


@q_sample.misconception(*EARLY)
def _(x0, t, alpha_bar, eps):
    ab = along(alpha_bar[t - 1], x0)
    return ab.sqrt() * x0 + (1 - ab).sqrt() * eps


@q_sample.misconception(*ONE_TIME)
def _(x0, t, alpha_bar, eps):
    ab = alpha_bar[t[0]]
    return ab.sqrt() * x0 + (1 - ab).sqrt() * eps


@q_sample.misconception(*AXIS)
def _(x0, t, alpha_bar, eps):
    ab = alpha_bar[t]
    return ab.sqrt() * x0 + (1 - ab).sqrt() * eps


@q_sample.misconception(*IMAGES_ONLY)
def _(x0, t, alpha_bar, eps):
    ab = alpha_bar[t].reshape(-1, 1, 1, 1)
    return ab.sqrt() * x0 + (1 - ab).sqrt() * eps


@q_sample.misconception(*ONE_AXIS)
def _(x0, t, alpha_bar, eps):
    ab = alpha_bar[t].reshape(-1, 1)
    return ab.sqrt() * x0 + (1 - ab).sqrt() * eps


@q_sample.misconception(
    "1 minus the root in place of the root of 1 minus",
    hint="The factor of the noise is sqrt(1 - alpha_bar_t): first 1 minus, then the root, not 1 - sqrt(alpha_bar_t).",
)
def _(x0, t, alpha_bar, eps):
    ab = along(alpha_bar[t], x0)
    return ab.sqrt() * x0 + (1 - ab.sqrt()) * eps


@q_sample.misconception(*FRESH)
def _(x0, t, alpha_bar, eps):
    ab = along(alpha_bar[t], x0)
    return ab.sqrt() * x0 + (1 - ab).sqrt() * torch.randn_like(x0)


@q_sample.misconception(*CLAMPED)
def _(x0, t, alpha_bar, eps):
    ab = along(alpha_bar[t], x0)
    return (ab.sqrt() * x0 + (1 - ab).sqrt() * eps).clamp(-1, 1)


@q_sample.misconception(*OVERWRITTEN)
def _(x0, t, alpha_bar, eps):
    ab = along(alpha_bar[t], x0)
    return x0.mul_(ab.sqrt()).add_((1 - ab).sqrt() * eps)


@q_sample.alternative("one example at a time")
def _(x0, t, alpha_bar, eps):
    rows = [alpha_bar[s] ** 0.5 * x + (1 - alpha_bar[s]) ** 0.5 * e for x, s, e in zip(x0, t, eps, strict=True)]
    return torch.stack(rows)


@q_sample.alternative("flattened events")
def _(x0, t, alpha_bar, eps):
    keep = alpha_bar.index_select(0, t).unsqueeze(1)
    return torch.addcmul(keep.sqrt() * x0.flatten(1), torch.sqrt(1 - keep), eps.flatten(1)).view_as(x0)


def _factors(alpha_bar):
    """The two tables of factors, made once for all times."""
    return torch.sqrt(alpha_bar), torch.sqrt(1 - alpha_bar)


@q_sample.alternative("tables of factors, and a helper")
def _(x0, t, alpha_bar, eps):
    signal, noise = (table[t][(...,) + (None,) * (x0.dim() - 1)] for table in _factors(alpha_bar))
    return signal * x0 + noise * eps
