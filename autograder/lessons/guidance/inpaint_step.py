"""One step that keeps what is known: `inpaint_step`."""

from __future__ import annotations

import torch

from ...exercise import exercise
from ..diffusion import (
    EARLY,
    ONE_TIME,
    OVERWRITTEN,
    along,
    clean,
    condition,
    edges,
    first_of,
    ranks,
    schedule,
    tables,
    times_among,
)


@exercise("inpaint_step", points=2)
def inpaint_step(student, case):
    """p_step where mask is False, q(x_{t-1} given x_0 = known) where it is True."""
    truth, steps = inpaint_step.oracle, case.integer(6, 9)
    alpha_bar = schedule(case, steps)

    def inputs(mask, *shape):
        x, eps, known, z, z_known = (case.normal(*shape) for _ in range(5))
        return 2 * x, eps, known, mask, times_among(case, steps, shape[0], 1, 2), alpha_bar, z, z_known

    def coins(*shape):
        mask = torch.rand(shape, generator=case.generator) < 0.5
        mask.view(-1)[0], mask.view(-1)[-1] = True, False
        return mask

    batch, width = case.sizes(2, low=4, high=7)
    rows = inputs(coins(batch, width), batch, width)
    case.expect(student(*rows), truth(*rows), "points, times from 1 to T", points=0.5, dtype=True)
    height, wide = case.sizes(2, low=2, high=4)
    shape = 5, 1, height, wide
    shared = [
        inputs(coins(*mask), *shape) for mask in ((wide,), (1, 1, 1, wide), (1, 1, height, 1), (5, 1, 1, 1), shape)
    ]
    case.expect(
        [student(*one) for one in shared],
        [truth(*one) for one in shared],
        "masks that broadcast: along a row, a column, one per example",
        points=0.5,
    )
    holes = list(rows)
    holes[2] = torch.where(rows[3], rows[2], torch.nan)
    case.expect(
        student(*holes),
        truth(*holes),
        "what is not known may be NaN",
        points=0.25,
        hint="0 times NaN is NaN: choose between the two parts, do not multiply them by the mask",
    )
    last = list(rows)
    last[4] = torch.ones(batch, dtype=torch.long)
    got = student(*last)
    case.expect(
        [got, exactly(got, last)],
        [truth(*last), True],
        "at t = 1 the known part is exactly what is known",
        points=0.25,
    )

    def extreme(times, table):
        return *(value[:3] for value in rows[:4]), times, table, *(value[:3] for value in rows[6:])

    films = [inputs(coins(*shape), *shape) for shape in ranks(4)]
    one = *(value[:1] for value in rows[:5]), alpha_bar, *(value[:1] for value in rows[6:])
    case.conventions(student, rows, truth, points=0.5, also=[*films, one, *edges(case, extreme)])


def exactly(got, given):
    """Whether the known entries are those given, to the last digit; a Failure where there is no answer."""
    if not isinstance(got, torch.Tensor):
        return got
    return got.shape == given[2].shape and bool((got[given[3]] == given[2][given[3]]).all())


@inpaint_step.truth
def truth(xt, eps_hat, known, mask, t, alpha_bar, z, z_known):
    """The regression of x_{t-1} on x_t at the x_0 that eps_hat points to; then entry by entry what is known."""
    c0, ct, spread = (along(value, xt) for value in condition(t, alpha_bar))
    step = c0 * clean(xt, eps_hat, t, alpha_bar) + ct * xt.double() + spread.clamp(min=0.0).sqrt() * z.double()
    before = along(alpha_bar.double()[t - 1], xt).expand(xt.shape)
    there = mask.expand(xt.shape)
    step[there] = before[there].sqrt() * known.double()[there] + (1 - before[there]).sqrt() * z_known.double()[there]
    return step.to(xt.dtype)


def free(xt, eps_hat, t, alpha_bar, z, large=False):
    """One step of Algorithm 2, with no noise at t = 1."""
    now, before, alpha, beta = (along(value, xt) for value in tables(t, alpha_bar))
    mean = (xt - beta / (1 - now).sqrt() * eps_hat) / alpha.sqrt()
    variance = beta if large else beta * (1 - before) / (1 - now)
    return mean + variance.sqrt() * torch.where(along(t, xt) > 1, z, torch.zeros_like(z))


def noised(known, t, alpha_bar, noise):
    """`known` at time t, t = 0 included."""
    level = along(alpha_bar[t], known)
    return level.sqrt() * known + (1 - level).sqrt() * noise


@inpaint_step.alternative("where")
def by_where(xt, eps_hat, known, mask, t, alpha_bar, z, z_known):
    return torch.where(mask, noised(known, t - 1, alpha_bar, z_known), free(xt, eps_hat, t, alpha_bar, z))


@inpaint_step.alternative("masked_fill on both sides")
def by_masked_fill(xt, eps_hat, known, mask, t, alpha_bar, z, z_known):
    there = mask.expand_as(xt)
    kept = noised(known.masked_fill(~there, 0.0), t - 1, alpha_bar, z_known) * there
    return kept + free(xt, eps_hat, t, alpha_bar, z).masked_fill(there, 0)


@inpaint_step.alternative("through x_0 and the posterior's coefficients, then indexed")
def through_x0(xt, eps_hat, known, mask, t, alpha_bar, z, z_known):
    now, before, alpha, beta = (along(value, xt) for value in tables(t, alpha_bar))
    x0 = (xt - (1 - now).sqrt() * eps_hat) / now.sqrt()
    out = (before.sqrt() * beta * x0 + alpha.sqrt() * (1 - before) * xt) / (1 - now)
    out = out + (beta * (1 - before) / (1 - now)).sqrt() * z
    there = torch.broadcast_to(mask, xt.shape)
    out[there] = (before.sqrt() * known + (1 - before).sqrt() * z_known)[there]
    return out


@inpaint_step.misconception(
    "the mask is turned round",
    hint="True marks what is known. Those places are given, the others are drawn.",
)
def mask_turned(xt, eps_hat, known, mask, t, alpha_bar, z, z_known):
    return by_where(xt, eps_hat, known, ~mask, t, alpha_bar, z, z_known)


@inpaint_step.misconception(
    "the known part is one level off",
    hint="The step ends at t - 1, so the known part is noised to t - 1 as well: at t = 1 nothing but `known` is left.",
)
def one_level_off(xt, eps_hat, known, mask, t, alpha_bar, z, z_known):
    return torch.where(mask, noised(known, t, alpha_bar, z_known), free(xt, eps_hat, t, alpha_bar, z))


@inpaint_step.misconception(
    "the known part is put in without noise",
    hint="At time t - 1 everything carries the noise of t - 1. A clean patch in a noisy picture is nothing that the "
    "network has ever seen.",
)
def without_noise(xt, eps_hat, known, mask, t, alpha_bar, z, z_known):
    return torch.where(mask, known, free(xt, eps_hat, t, alpha_bar, z))


@inpaint_step.misconception(
    "the known part is noised and not shrunk",
    hint="q(x_{t-1} given x_0) has the mean sqrt(alpha_bar_{t-1}) x_0: shrink it before the noise comes.",
)
def not_shrunk(xt, eps_hat, known, mask, t, alpha_bar, z, z_known):
    before = along(alpha_bar[t - 1], xt)
    return torch.where(mask, known + (1 - before).sqrt() * z_known, free(xt, eps_hat, t, alpha_bar, z))


@inpaint_step.misconception(
    "one noise for both parts",
    hint="z belongs to the step, z_known to the known part.",
)
def one_noise(xt, eps_hat, known, mask, t, alpha_bar, z, z_known):
    return by_where(xt, eps_hat, known, mask, t, alpha_bar, z, z)


@inpaint_step.misconception(
    "the noise of the known part is the predicted one",
    hint="The known part is noised afresh, with z_known; eps_hat is for the step of the rest.",
)
def predicted_noise(xt, eps_hat, known, mask, t, alpha_bar, z, z_known):
    return by_where(xt, eps_hat, known, mask, t, alpha_bar, z, eps_hat)


@inpaint_step.misconception(
    "multiplied by the mask",
    hint="0 times NaN is NaN, so what is not known gets in after all. Choose between the two with torch.where.",
)
def multiplied(xt, eps_hat, known, mask, t, alpha_bar, z, z_known):
    share = mask.to(xt)
    return share * noised(known, t - 1, alpha_bar, z_known) + (1 - share) * free(xt, eps_hat, t, alpha_bar, z)


@inpaint_step.misconception(
    "the larger variance",
    hint="Asked for is the posterior variance, the default of p_step; beta_t is the other choice.",
)
def larger_variance(xt, eps_hat, known, mask, t, alpha_bar, z, z_known):
    step = free(xt, eps_hat, t, alpha_bar, z, large=True)
    return torch.where(mask, noised(known, t - 1, alpha_bar, z_known), step)


@inpaint_step.misconception(
    "the step without fresh noise",
    hint="The unknown part takes a whole step of Algorithm 2, its noise z included.",
)
def no_fresh_noise(xt, eps_hat, known, mask, t, alpha_bar, z, z_known):
    return by_where(xt, eps_hat, known, mask, t, alpha_bar, 0 * z, z_known)


@inpaint_step.misconception(*EARLY)
def one_step_early(xt, eps_hat, known, mask, t, alpha_bar, z, z_known):
    before = along(alpha_bar[t - 2], xt)
    return torch.where(mask, before.sqrt() * known + (1 - before).sqrt() * z_known, free(xt, eps_hat, t, alpha_bar, z))


@inpaint_step.misconception(*ONE_TIME)
def one_time(xt, eps_hat, known, mask, t, alpha_bar, z, z_known):
    return by_where(xt, eps_hat, known, mask, first_of(t), alpha_bar, z, z_known)


@inpaint_step.misconception(*OVERWRITTEN)
def overwritten(xt, eps_hat, known, mask, t, alpha_bar, z, z_known):
    return xt.copy_(by_where(xt.clone(), eps_hat, known, mask, t, alpha_bar, z, z_known))
