"""The forward sample solved for the data: `predict_x0`."""

from __future__ import annotations

import torch

from ...exercise import exercise
from ..diffusion import AXIS, EARLY, ONE_TIME, OVERWRITTEN, along, first_of, tables
from .shared import check_inverse


@exercise("predict_x0", points=1)
def predict_x0(student, case):
    """x_0 = (x_t - sqrt(1 - alpha_bar_t) eps) / sqrt(alpha_bar_t), like x_t."""
    check_inverse(student, case, predict_x0.oracle)


@predict_x0.truth
def truth(xt, eps, t, alpha_bar):
    """Example by example, the solution of the forward sample's linear equation for x_0."""
    solved = []
    for i, level in enumerate(alpha_bar.double()[t]):
        matrix, right = level.sqrt().reshape(1, 1), xt[i].double() - (1 - level).sqrt() * eps[i].double()
        solved.append(torch.linalg.solve(matrix, right.reshape(1, -1)).reshape(xt[i].shape))
    return torch.stack(solved).to(xt.dtype)


@predict_x0.alternative("subtract, then divide")
def subtract_then_divide(xt, eps, t, alpha_bar):
    level = along(alpha_bar[t], xt)
    return (xt - (1 - level).sqrt() * eps) / level.sqrt()


@predict_x0.alternative("by the noise-to-signal ratio")
def by_noise_to_signal_ratio(xt, eps, t, alpha_bar):
    level = along(alpha_bar.index_select(0, t), xt)
    return level.rsqrt() * xt - (1 / level - 1).sqrt() * eps


@predict_x0.alternative("axes moved instead of added")
def axes_moved_instead_of_added(xt, eps, t, alpha_bar):
    signal, noise = alpha_bar[t] ** 0.5, (1 - alpha_bar[t]) ** 0.5
    return ((xt.movedim(0, -1) - noise * eps.movedim(0, -1)) / signal).movedim(-1, 0).contiguous()


@predict_x0.misconception(
    "the division by sqrt(alpha_bar_t) is missing",
    hint="Taking the noise away leaves sqrt(alpha_bar_t) x_0, a faded x_0. Divide to undo the fading.",
)
def division_by_sqrt_alpha_bar_t_is_missing(xt, eps, t, alpha_bar):
    return xt - (1 - along(alpha_bar[t], xt)).sqrt() * eps


@predict_x0.misconception(
    "the root on 1 - alpha_bar_t is missing",
    hint="1 - alpha_bar_t is the variance of the noise in x_t. The noise itself is sqrt(1 - alpha_bar_t) eps.",
)
def root_on_1_minus_alpha_bar_t_is_missing(xt, eps, t, alpha_bar):
    level = along(alpha_bar[t], xt)
    return (xt - (1 - level) * eps) / level.sqrt()


@predict_x0.misconception(
    "the root on alpha_bar_t is missing",
    hint="x_t holds sqrt(alpha_bar_t) x_0, so divide by the root.",
)
def root_on_alpha_bar_t_is_missing(xt, eps, t, alpha_bar):
    level = along(alpha_bar[t], xt)
    return (xt - (1 - level).sqrt() * eps) / level


@predict_x0.misconception(
    "alpha_t in place of alpha_bar_t",
    hint="Between x_0 and x_t lie t steps, not one: the product alpha_bar_t belongs in both places. The table you "
    "are given already holds the products.",
)
def alpha_t_in_place_of_alpha_bar_t(xt, eps, t, alpha_bar):
    _, _, alpha, beta = (along(value, xt) for value in tables(t, alpha_bar))
    return (xt - beta.sqrt() * eps) / alpha.sqrt()


@predict_x0.misconception(
    "the noise is added",
    hint="The forward sample adds the noise; to go back, subtract it.",
)
def noise_is_added(xt, eps, t, alpha_bar):
    level = along(alpha_bar[t], xt)
    return (xt + (1 - level).sqrt() * eps) / level.sqrt()


@predict_x0.misconception(
    "the division reaches the noise only",
    hint="In Python a - b / c is a - (b / c). Both x_t and the noise are divided by sqrt(alpha_bar_t): put the "
    "difference in brackets.",
)
def division_reaches_noise_only(xt, eps, t, alpha_bar):
    level = along(alpha_bar[t], xt)
    return xt - (1 - level).sqrt() * eps / level.sqrt()


@predict_x0.misconception(
    "clipped to [-1, 1]",
    hint="Samplers often clip x_0 to the range of the data. Asked is the plain inverse, whatever comes out.",
)
def clipped_to_minus_1_1(xt, eps, t, alpha_bar):
    level = along(alpha_bar[t], xt)
    return ((xt - (1 - level).sqrt() * eps) / level.sqrt()).clamp(-1, 1)


@predict_x0.misconception(
    "the forward sample again",
    hint="sqrt(alpha_bar_t) x + sqrt(1 - alpha_bar_t) eps goes from x_0 to x_t. Solve that equation for x_0.",
)
def forward_sample_again(xt, eps, t, alpha_bar):
    level = along(alpha_bar[t], xt)
    return level.sqrt() * xt + (1 - level).sqrt() * eps


@predict_x0.misconception(EARLY[0], hint=EARLY[1])
def tables_are_read_one_step_early(xt, eps, t, alpha_bar):
    level = along(alpha_bar[t - 1], xt)
    return (xt - (1 - level).sqrt() * eps) / level.sqrt()


@predict_x0.misconception(ONE_TIME[0], hint=ONE_TIME[1])
def one_t_for_whole_batch(xt, eps, t, alpha_bar):
    level = along(alpha_bar[first_of(t)], xt)
    return (xt - (1 - level).sqrt() * eps) / level.sqrt()


@predict_x0.misconception(AXIS[0], hint=AXIS[1])
def coefficients_meet_wrong_axis(xt, eps, t, alpha_bar):
    level = alpha_bar[t]
    return (xt - (1 - level).sqrt() * eps) / level.sqrt()


@predict_x0.misconception(OVERWRITTEN[0], hint=OVERWRITTEN[1])
def input_is_overwritten(xt, eps, t, alpha_bar):
    level = along(alpha_bar[t], xt)
    xt -= (1 - level).sqrt() * eps
    return xt / level.sqrt()
