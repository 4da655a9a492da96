"""The forward sample solved for the noise: `predict_eps`."""

from __future__ import annotations

import torch

from ...exercise import exercise
from ..diffusion import AXIS, EARLY, ONE_TIME, OVERWRITTEN, along, first_of, tables
from .shared import check_inverse


@exercise("predict_eps", points=1)
def predict_eps(student, case):
    """eps = (x_t - sqrt(alpha_bar_t) x_0) / sqrt(1 - alpha_bar_t), like x_t."""
    check_inverse(student, case, predict_eps.oracle)


@predict_eps.truth
def truth(xt, x0, t, alpha_bar):
    """x_t in standard units of q(x_t given x_0), example by example."""
    standard = []
    for i, level in enumerate(alpha_bar.double()[t]):
        forward = torch.distributions.AffineTransform(level.sqrt() * x0[i].double(), (1 - level).sqrt())
        standard.append(forward.inv(xt[i].double()))
    return torch.stack(standard).to(xt.dtype)


@predict_eps.alternative("subtract, then divide")
def subtract_then_divide(xt, x0, t, alpha_bar):
    level = along(alpha_bar[t], xt)
    return (xt - level.sqrt() * x0) / (1 - level).sqrt()


@predict_eps.alternative("by the signal-to-noise ratio")
def by_signal_to_noise_ratio(xt, x0, t, alpha_bar):
    level = along(alpha_bar.index_select(0, t), xt)
    return (1 - level).rsqrt() * xt - (level / (1 - level)).sqrt() * x0


@predict_eps.alternative("axes moved instead of added")
def axes_moved_instead_of_added(xt, x0, t, alpha_bar):
    signal, noise = alpha_bar[t] ** 0.5, (1 - alpha_bar[t]) ** 0.5
    return ((xt.movedim(0, -1) - signal * x0.movedim(0, -1)) / noise).movedim(-1, 0).contiguous()


@predict_eps.misconception(
    "the division by sqrt(1 - alpha_bar_t) is missing",
    hint="What is left after taking the signal away is sqrt(1 - alpha_bar_t) eps. Divide, so that eps has variance 1.",
)
def division_by_sqrt_1_minus_alpha_bar_t_is_missing(xt, x0, t, alpha_bar):
    return xt - along(alpha_bar[t], xt).sqrt() * x0


@predict_eps.misconception(
    "the root on 1 - alpha_bar_t is missing",
    hint="1 - alpha_bar_t is a variance; the noise is scaled by its root, the standard deviation.",
)
def root_on_1_minus_alpha_bar_t_is_missing(xt, x0, t, alpha_bar):
    level = along(alpha_bar[t], xt)
    return (xt - level.sqrt() * x0) / (1 - level)


@predict_eps.misconception(
    "the root on alpha_bar_t is missing",
    hint="The signal in x_t is sqrt(alpha_bar_t) x_0, with the root.",
)
def root_on_alpha_bar_t_is_missing(xt, x0, t, alpha_bar):
    level = along(alpha_bar[t], xt)
    return (xt - level * x0) / (1 - level).sqrt()


@predict_eps.misconception(
    "alpha_t in place of alpha_bar_t",
    hint="eps is the noise of all t steps together, which carried x_0 to x_t: alpha_bar_t belongs in both places.",
)
def alpha_t_in_place_of_alpha_bar_t(xt, x0, t, alpha_bar):
    _, _, alpha, beta = (along(value, xt) for value in tables(t, alpha_bar))
    return (xt - alpha.sqrt() * x0) / beta.sqrt()


@predict_eps.misconception(
    "x_0 and x_t change places",
    hint="The arguments come in the order xt, x0. Take the faded x_0 away from x_t, not the other way round.",
)
def x_0_and_x_t_change_places(xt, x0, t, alpha_bar):
    level = along(alpha_bar[t], xt)
    return (x0 - level.sqrt() * xt) / (1 - level).sqrt()


@predict_eps.misconception(
    "divided by sqrt(alpha_bar_t)",
    hint="That is the division that recovers x_0. The noise was scaled by sqrt(1 - alpha_bar_t).",
)
def divided_by_sqrt_alpha_bar_t(xt, x0, t, alpha_bar):
    level = along(alpha_bar[t], xt)
    return (xt - level.sqrt() * x0) / level.sqrt()


@predict_eps.misconception(EARLY[0], hint=EARLY[1])
def tables_are_read_one_step_early(xt, x0, t, alpha_bar):
    level = along(alpha_bar[t - 1], xt)
    return (xt - level.sqrt() * x0) / (1 - level).sqrt()


@predict_eps.misconception(ONE_TIME[0], hint=ONE_TIME[1])
def one_t_for_whole_batch(xt, x0, t, alpha_bar):
    level = along(alpha_bar[first_of(t)], xt)
    return (xt - level.sqrt() * x0) / (1 - level).sqrt()


@predict_eps.misconception(AXIS[0], hint=AXIS[1])
def coefficients_meet_wrong_axis(xt, x0, t, alpha_bar):
    level = alpha_bar[t]
    return (xt - level.sqrt() * x0) / (1 - level).sqrt()


@predict_eps.misconception(OVERWRITTEN[0], hint=OVERWRITTEN[1])
def input_is_overwritten(xt, x0, t, alpha_bar):
    level = along(alpha_bar[t], xt)
    return xt.sub_(level.sqrt() * x0) / (1 - level).sqrt()
