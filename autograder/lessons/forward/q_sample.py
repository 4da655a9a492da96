"""Noise on data, all steps at once: `q_sample`."""

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
    uneven_alpha_bar,
)


@exercise("q_sample", points=2)
def q_sample(student, case):
    """x_0 -> x_t = sqrt(alpha_bar_t) x_0 + sqrt(1 - alpha_bar_t) eps."""
    faint = torch.tensor([1.0, 1 - 1e-6, 1e-10], dtype=torch.float64)
    check_noising(student, case, q_sample.oracle, uneven_alpha_bar(case, case.integer(5, 8)), "x_0", faint)


@q_sample.truth
def truth(x0, t, alpha_bar, eps):
    # As in a single step, picture and noise rotate into each other; the angle's cosine squared is what is left.
    angles = [math.acos(math.sqrt(alpha_bar[int(time)])) for time in t]
    rows = [math.cos(a) * x + math.sin(a) * e for a, x, e in zip(angles, x0, eps, strict=True)]
    return torch.stack(rows)


@q_sample.misconception(
    "the noise is multiplied by its variance",
    hint="1 - alpha_bar_t is the variance of the noise. A factor is a standard deviation: take the root. Without "
    "it a trained model makes samples of the right mean and the wrong spread.",
)
def noise_is_multiplied_by_its_variance(x0, t, alpha_bar, eps):
    ab = along(alpha_bar[t], x0)
    return ab.sqrt() * x0 + (1 - ab) * eps


@q_sample.misconception(
    "the root of alpha_bar is missing",
    hint="alpha_bar_t is the share of the signal's variance that is left. The factor of the picture is its root.",
)
def root_of_alpha_bar_is_missing(x0, t, alpha_bar, eps):
    ab = along(alpha_bar[t], x0)
    return ab * x0 + (1 - ab).sqrt() * eps


@q_sample.misconception(
    "both roots are missing",
    hint="alpha_bar_t and 1 - alpha_bar_t are shares of variance. The factors are their roots, and the squares of "
    "the factors add up to 1.",
)
def both_roots_are_missing(x0, t, alpha_bar, eps):
    ab = along(alpha_bar[t], x0)
    return ab * x0 + (1 - ab) * eps


@q_sample.misconception(
    "alpha_bar is read as the picture's factor",
    hint="You gave the noise sqrt(1 - alpha_bar^2), which belongs to another convention (section 6). Here alpha_bar "
    "is a share of variance.",
)
def alpha_bar_is_read_as_pictures_factor(x0, t, alpha_bar, eps):
    ab = along(alpha_bar[t], x0)
    return ab * x0 + (1 - ab**2).sqrt() * eps


@q_sample.misconception(*SWAPPED)
def two_factors_change_places(x0, t, alpha_bar, eps):
    ab = along(alpha_bar[t], x0)
    return (1 - ab).sqrt() * x0 + ab.sqrt() * eps


@q_sample.misconception(
    "alpha in place of alpha_bar",
    hint="You used one step's alpha_t, so that even x_T is hardly noisy. The jump from x_0 needs the product of all "
    "steps, which is what the table holds.",
)
def alpha_in_place_of_alpha_bar(x0, t, alpha_bar, eps):
    alpha = along(alpha_bar[t] / alpha_bar[t - 1], x0)
    return alpha.sqrt() * x0 + (1 - alpha).sqrt() * eps


@q_sample.misconception(
    "the running product is taken twice",
    hint="alpha_bar is the running product already; use its entries as they are.",
)
def running_product_is_taken_twice(x0, t, alpha_bar, eps):
    ab = along(torch.cumprod(alpha_bar, 0)[t], x0)
    return ab.sqrt() * x0 + (1 - ab).sqrt() * eps


@q_sample.misconception(
    "the picture is not shrunk",
    hint="x_0 plus noise whose size grows is the convention that is called variance exploding. Here picture and "
    "noise share a variance of 1: multiply the picture by sqrt(alpha_bar_t).",
)
def picture_is_not_shrunk(x0, t, alpha_bar, eps):
    ab = along(alpha_bar[t], x0)
    return x0 + ((1 - ab) / ab).sqrt() * eps


@q_sample.misconception(*EARLY)
def table_is_read_one_step_early(x0, t, alpha_bar, eps):
    ab = along(alpha_bar[t - 1], x0)
    return ab.sqrt() * x0 + (1 - ab).sqrt() * eps


@q_sample.misconception(*ONE_TIME)
def one_t_for_whole_batch(x0, t, alpha_bar, eps):
    ab = alpha_bar[t[0]]
    return ab.sqrt() * x0 + (1 - ab).sqrt() * eps


@q_sample.misconception(*AXIS)
def coefficients_meet_wrong_axis(x0, t, alpha_bar, eps):
    ab = alpha_bar[t]
    return ab.sqrt() * x0 + (1 - ab).sqrt() * eps


@q_sample.misconception(*IMAGES_ONLY)
def coefficients_always_get_three_trailing_axes(x0, t, alpha_bar, eps):
    ab = alpha_bar[t].reshape(-1, 1, 1, 1)
    return ab.sqrt() * x0 + (1 - ab).sqrt() * eps


@q_sample.misconception(*ONE_AXIS)
def coefficients_always_get_one_trailing_axis(x0, t, alpha_bar, eps):
    ab = alpha_bar[t].reshape(-1, 1)
    return ab.sqrt() * x0 + (1 - ab).sqrt() * eps


@q_sample.misconception(
    "1 minus the root in place of the root of 1 minus",
    hint="The factor of the noise is sqrt(1 - alpha_bar_t): first 1 minus, then the root, not 1 - sqrt(alpha_bar_t).",
)
def one_minus_root_in_place_of_root_of_1_minus(x0, t, alpha_bar, eps):
    ab = along(alpha_bar[t], x0)
    return ab.sqrt() * x0 + (1 - ab.sqrt()) * eps


@q_sample.misconception(*FRESH)
def new_noise_is_drawn_inside(x0, t, alpha_bar, eps):
    ab = along(alpha_bar[t], x0)
    return ab.sqrt() * x0 + (1 - ab).sqrt() * torch.randn_like(x0)


@q_sample.misconception(*CLAMPED)
def result_is_clamped(x0, t, alpha_bar, eps):
    ab = along(alpha_bar[t], x0)
    return (ab.sqrt() * x0 + (1 - ab).sqrt() * eps).clamp(-1, 1)


@q_sample.misconception(*OVERWRITTEN)
def input_is_overwritten(x0, t, alpha_bar, eps):
    ab = along(alpha_bar[t], x0)
    return x0.mul_(ab.sqrt()).add_((1 - ab).sqrt() * eps)


@q_sample.alternative("one example at a time")
def one_example_at_time(x0, t, alpha_bar, eps):
    rows = [alpha_bar[s] ** 0.5 * x + (1 - alpha_bar[s]) ** 0.5 * e for x, s, e in zip(x0, t, eps, strict=True)]
    return torch.stack(rows)


@q_sample.alternative("flattened events")
def flattened_events(x0, t, alpha_bar, eps):
    keep = alpha_bar.index_select(0, t).unsqueeze(1)
    return torch.addcmul(keep.sqrt() * x0.flatten(1), torch.sqrt(1 - keep), eps.flatten(1)).view_as(x0)


def _factors(alpha_bar):
    """The two tables of factors, made once for all times."""
    return torch.sqrt(alpha_bar), torch.sqrt(1 - alpha_bar)


@q_sample.alternative("tables of factors, and a helper")
def tables_of_factors_and_helper(x0, t, alpha_bar, eps):
    signal, noise = (table[t][(...,) + (None,) * (x0.dim() - 1)] for table in _factors(alpha_bar))
    return signal * x0 + noise * eps
