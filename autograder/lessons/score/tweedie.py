"""The clean data that a score tells: `tweedie`."""

from __future__ import annotations

import torch

from ...conventions import ones
from ...exercise import exercise
from ..diffusion import AXIS, EARLY, ONE_TIME, along, clean, edges, first_of, ranks, schedule, times_among


@exercise("tweedie", points=1)
def tweedie(student, case):
    """E[x_0 given x_t] = (x_t + (1 - alpha_bar_t) score) / sqrt(alpha_bar_t), like x_t."""
    truth, steps = tweedie.oracle, case.integer(6, 9)
    alpha_bar = schedule(case, steps)

    def inputs(*shape):
        return 2 * case.normal(*shape), case.normal(*shape), times_among(case, steps, shape[0], 1, 2), alpha_bar

    rows, square = inputs(*case.sizes(2, low=4)), inputs(*[case.integer(4, 7)] * 2)
    images = inputs(*case.sizes(4, low=4, high=8))
    case.expect(student(*rows), truth(*rows), "t from 1 to T on a short, uneven schedule", points=0.5, dtype=True)
    case.expect(
        [student(*images), student(*square)],
        [truth(*images), truth(*square)],
        "images, and a batch as long as its last axis",
        points=0.25,
    )

    def at(t, levels):
        return case.normal(3, 4), case.normal(3, 4), t, levels

    also = [*(inputs(*shape) for shape in ranks(4)), ones(rows), *edges(case, at, first=1)]
    case.conventions(student, rows, truth, points=0.25, also=also)


@tweedie.truth
def truth(xt, score, t, alpha_bar):
    """The x_0 that belongs to the expected noise, -sqrt(1 - alpha_bar_t) score."""
    noise = -along((1 - alpha_bar.double()[t]).sqrt(), xt) * score.double()
    return clean(xt, noise, t, alpha_bar).to(xt.dtype)


@tweedie.alternative("one line")
def one_line(xt, score, t, alpha_bar):
    level = along(alpha_bar[t], xt)
    return (xt + (1 - level) * score) / level.sqrt()


@tweedie.alternative("example by example")
def example_by_example(xt, score, t, alpha_bar):
    guesses = []
    for x, s, step in zip(xt, score, t.tolist(), strict=True):
        a = alpha_bar[step]
        guesses.append(x / a**0.5 + (1 - a) / a**0.5 * s)
    return torch.stack(guesses)


@tweedie.alternative("through the noise")
def through_noise(xt, score, t, alpha_bar):
    shape = (len(xt),) + (1,) * (xt.ndim - 1)
    keep, noise = alpha_bar[t].sqrt().view(shape), (1 - alpha_bar[t]).sqrt().view(shape)
    eps = -noise * score
    return (xt - noise * eps) / keep


def _guess(xt, score, level, power=1.0):
    return (xt + (1 - level) ** power * score) / level.sqrt()


@tweedie.misconception(
    "the score has the wrong sign",
    hint="The score points to where data are denser, so the guess lies uphill from x_t.",
)
def wrong_sign(xt, score, t, alpha_bar):
    return _guess(xt, -score, along(alpha_bar[t], xt))


@tweedie.misconception(
    "the root of 1 - alpha_bar_t",
    hint="The expected noise is -sqrt(1 - alpha_bar_t) times the score, and in x_t it has that factor once more: "
    "together the variance.",
)
def root_of_variance(xt, score, t, alpha_bar):
    return _guess(xt, score, along(alpha_bar[t], xt), 0.5)


@tweedie.misconception(
    "the noise's size is left out",
    hint="How far uphill? As far as the variance of the noise in x_t says, 1 - alpha_bar_t.",
)
def size_left_out(xt, score, t, alpha_bar):
    return _guess(xt, score, along(alpha_bar[t], xt), 0.0)


@tweedie.misconception(
    "not scaled up again",
    hint="x_t holds sqrt(alpha_bar_t) x_0. What you return is the mean of that; divide the shrinking out.",
)
def not_scaled_up(xt, score, t, alpha_bar):
    level = along(alpha_bar[t], xt)
    return xt + (1 - level) * score


@tweedie.misconception(
    "divided by alpha_bar_t without the root",
    hint="x_0 was shrunk by sqrt(alpha_bar_t), so divide by the root.",
)
def divided_without_root(xt, score, t, alpha_bar):
    level = along(alpha_bar[t], xt)
    return (xt + (1 - level) * score) / level


@tweedie.misconception(
    "only the score's part is scaled up",
    hint="x_t itself is to be divided by sqrt(alpha_bar_t) as well: mind the brackets.",
)
def only_score_scaled(xt, score, t, alpha_bar):
    level = along(alpha_bar[t], xt)
    return xt + (1 - level) * score / level.sqrt()


@tweedie.misconception(
    "alpha_t in place of alpha_bar_t",
    hint="x_t comes from x_0 by t steps: the product of all alphas up to t belongs there, not the last one.",
)
def alpha_of_one_step(xt, score, t, alpha_bar):
    return _guess(xt, score, along(alpha_bar[t] / alpha_bar[t - 1], xt))


@tweedie.misconception(*EARLY)
def one_step_early(xt, score, t, alpha_bar):
    return _guess(xt, score, along(alpha_bar[t - 1], xt))


@tweedie.misconception(
    "x_0 is clipped",
    hint="You clamped the guess to [-1, 1]. Code for images often does, but it is no part of the formula.",
)
def clipped(xt, score, t, alpha_bar):
    return _guess(xt, score, along(alpha_bar[t], xt)).clamp(-1, 1)


@tweedie.misconception(*ONE_TIME)
def one_time(xt, score, t, alpha_bar):
    return _guess(xt, score, along(alpha_bar[first_of(t)], xt))


@tweedie.misconception(*AXIS)
def wrong_axis(xt, score, t, alpha_bar):
    return _guess(xt, score, alpha_bar[t])
