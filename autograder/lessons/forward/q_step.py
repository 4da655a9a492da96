"""Noise on data, one step: `q_step`."""

from __future__ import annotations

import math

import torch

from ...exercise import exercise
from ..diffusion import along
from .shared import (
    AXIS,
    CLAMPED,
    EARLY,
    FRESH,
    IMAGES_ONLY,
    ONE_AXIS,
    ONE_TIME,
    OVERWRITTEN,
    SWAPPED,
    check_noising,
    uneven_beta,
)


@exercise("q_step", points=2)
def q_step(student, case):
    """x_{t-1} -> x_t = sqrt(1 - beta_t) x_{t-1} + sqrt(beta_t) eps."""
    faint = torch.tensor([0.0, 1e-10, 1 - 1e-6], dtype=torch.float64)
    check_noising(student, case, q_step.oracle, uneven_beta(case, case.integer(5, 8)), "x_{t-1}", faint)


@q_step.truth
def truth(x_prev, t, beta, eps):
    # A step is a rotation by the angle whose sine squared is beta: what leaves the picture arrives as noise.
    angles = [math.asin(math.sqrt(beta[int(time)])) for time in t]
    rows = [math.cos(a) * x + math.sin(a) * e for a, x, e in zip(angles, x_prev, eps, strict=True)]
    return torch.stack(rows)


@q_step.misconception(
    "the mean is shrunk by 1 - beta",
    hint="The formula of one well-known slide. Squared, that factor takes away twice the variance that the noise "
    "brings: the root is missing. Look at what variance_after says of it.",
)
def mean_is_shrunk_by_1_minus_beta(x_prev, t, beta, eps):
    b = along(beta[t], x_prev)
    return (1 - b) * x_prev + b.sqrt() * eps


@q_step.misconception(
    "the picture is not shrunk",
    hint="You only add noise, so the variance grows with every step. The picture is first multiplied by sqrt(1 - "
    "beta_t).",
)
def picture_is_not_shrunk(x_prev, t, beta, eps):
    return x_prev + along(beta[t], x_prev).sqrt() * eps


@q_step.misconception(
    "the noise is multiplied by its variance",
    hint="beta_t is the variance of the noise. A factor is a standard deviation: take the root.",
)
def noise_is_multiplied_by_its_variance(x_prev, t, beta, eps):
    b = along(beta[t], x_prev)
    return (1 - b).sqrt() * x_prev + b * eps


@q_step.misconception(
    "both roots are missing",
    hint="1 - beta_t and beta_t are shares of variance, and must add up to 1 as squares of the factors: take the "
    "root of each.",
)
def both_roots_are_missing(x_prev, t, beta, eps):
    b = along(beta[t], x_prev)
    return (1 - b) * x_prev + b * eps


@q_step.misconception(
    "beta is read as a standard deviation",
    hint="You gave the noise the factor beta and the picture sqrt(1 - beta^2). In this course beta is a variance "
    "already; the other convention appears in section 6.",
)
def beta_is_read_as_standard_deviation(x_prev, t, beta, eps):
    b = along(beta[t], x_prev)
    return (1 - b**2).sqrt() * x_prev + b * eps


@q_step.misconception(*SWAPPED)
def two_factors_change_places(x_prev, t, beta, eps):
    b = along(beta[t], x_prev)
    return b.sqrt() * x_prev + (1 - b).sqrt() * eps


@q_step.misconception(
    "alpha_bar in place of alpha",
    hint="You took the running product, which jumps from x_0. One step from x_{t-1} needs this step's beta alone.",
)
def alpha_bar_in_place_of_alpha(x_prev, t, beta, eps):
    ab = along(torch.cumprod(1 - beta, 0)[t], x_prev)
    return ab.sqrt() * x_prev + (1 - ab).sqrt() * eps


@q_step.misconception(*EARLY)
def table_is_read_one_step_early(x_prev, t, beta, eps):
    b = along(beta[t - 1], x_prev)
    return (1 - b).sqrt() * x_prev + b.sqrt() * eps


@q_step.misconception(*ONE_TIME)
def one_t_for_whole_batch(x_prev, t, beta, eps):
    b = beta[t[0]]
    return (1 - b).sqrt() * x_prev + b.sqrt() * eps


@q_step.misconception(*AXIS)
def coefficients_meet_wrong_axis(x_prev, t, beta, eps):
    return (1 - beta[t]).sqrt() * x_prev + beta[t].sqrt() * eps


@q_step.misconception(*IMAGES_ONLY)
def coefficients_always_get_three_trailing_axes(x_prev, t, beta, eps):
    b = beta[t].reshape(-1, 1, 1, 1)
    return (1 - b).sqrt() * x_prev + b.sqrt() * eps


@q_step.misconception(*ONE_AXIS)
def coefficients_always_get_one_trailing_axis(x_prev, t, beta, eps):
    b = beta[t].reshape(-1, 1)
    return (1 - b).sqrt() * x_prev + b.sqrt() * eps


@q_step.misconception(*FRESH)
def new_noise_is_drawn_inside(x_prev, t, beta, eps):
    b = along(beta[t], x_prev)
    return (1 - b).sqrt() * x_prev + b.sqrt() * torch.randn_like(x_prev)


@q_step.misconception(*CLAMPED)
def result_is_clamped(x_prev, t, beta, eps):
    b = along(beta[t], x_prev)
    return ((1 - b).sqrt() * x_prev + b.sqrt() * eps).clamp(-1, 1)


@q_step.misconception(*OVERWRITTEN)
def input_is_overwritten(x_prev, t, beta, eps):
    b = along(beta[t], x_prev)
    return x_prev.mul_((1 - b).sqrt()).add_(b.sqrt() * eps)


@q_step.alternative("one example at a time")
def one_example_at_time(x_prev, t, beta, eps):
    out = torch.empty_like(x_prev)
    for i, time in enumerate(t.tolist()):
        out[i] = (1 - beta[time]) ** 0.5 * x_prev[i] + beta[time] ** 0.5 * eps[i]
    return out


@q_step.alternative("with einsum")
def with_einsum(x_prev, t, beta, eps):
    keep, noise = torch.sqrt(1 - beta)[t], torch.sqrt(beta)[t]
    return torch.einsum("b,b...->b...", keep, x_prev) + torch.einsum("b,b...->b...", noise, eps)


@q_step.alternative("the batch axis moved to the end")
def batch_axis_moved_to_end(x_prev, t, beta, eps):
    b = beta.gather(0, t)
    moved = torch.sqrt(1 - b) * x_prev.movedim(0, -1) + torch.sqrt(b) * eps.movedim(0, -1)
    return moved.movedim(-1, 0)
