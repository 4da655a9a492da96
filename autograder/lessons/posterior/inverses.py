"""Both inverses of the forward sample: `predict_x0`, `predict_eps`."""

from __future__ import annotations

import torch

from ...exercise import exercise
from .inputs import AXIS, EARLY, ONE_TIME, OVERWRITTEN, along, first_of, schedule, tables, times

LESSON = "05-posterior"


def _inverse(student, case, truth):
    """The checks that both inverses of the forward sample share."""
    steps = case.integer(6, 9)
    alpha_bar = schedule(case, steps)

    def inputs(*shape):
        return case.normal(*shape), case.normal(*shape), times(case, steps, shape[0], first=1), alpha_bar

    rows, images, square = (
        inputs(*case.sizes(2, low=4)),
        inputs(*case.sizes(4, low=3)),
        inputs(*[case.integer(4, 7)] * 2),
    )
    case.expect(student(*rows), truth(*rows), "t from 1 to T on a short, uneven schedule", points=0.25, dtype=True)
    case.expect(student(*images), truth(*images), "batches of images", points=0.25)
    case.expect(student(*square), truth(*square), "a batch as long as its last axis", points=0.25)
    case.conventions(student, rows, truth, points=0.25)


# ---- predict_x0


@exercise("predict_x0", points=1)
def predict_x0(student, case):
    """x_0 = (x_t - sqrt(1 - alpha_bar_t) eps) / sqrt(alpha_bar_t), like x_t."""
    _inverse(student, case, predict_x0.oracle)


@predict_x0.truth
def _(xt, eps, t, alpha_bar):
    """Example by example, the solution of the forward sample's linear equation for x_0."""
    solved = []
    for i, level in enumerate(alpha_bar.double()[t]):
        matrix, right = level.sqrt().reshape(1, 1), xt[i].double() - (1 - level).sqrt() * eps[i].double()
        solved.append(torch.linalg.solve(matrix, right.reshape(1, -1)).reshape(xt[i].shape))
    return torch.stack(solved).to(xt.dtype)


@predict_x0.alternative("subtract, then divide")
def _(xt, eps, t, alpha_bar):
    level = along(alpha_bar[t], xt)
    return (xt - (1 - level).sqrt() * eps) / level.sqrt()


@predict_x0.alternative("by the noise-to-signal ratio")
def _(xt, eps, t, alpha_bar):
    level = along(alpha_bar.index_select(0, t), xt)
    return level.rsqrt() * xt - (1 / level - 1).sqrt() * eps


@predict_x0.alternative("axes moved instead of added")
def _(xt, eps, t, alpha_bar):
    signal, noise = alpha_bar[t] ** 0.5, (1 - alpha_bar[t]) ** 0.5
    return ((xt.movedim(0, -1) - noise * eps.movedim(0, -1)) / signal).movedim(-1, 0).contiguous()


@predict_x0.misconception(
    "the division by sqrt(alpha_bar_t) is missing",
    hint="Taking the noise away leaves sqrt(alpha_bar_t) x_0, a faded x_0. Divide to undo the fading.",
)
def _(xt, eps, t, alpha_bar):
    return xt - (1 - along(alpha_bar[t], xt)).sqrt() * eps


@predict_x0.misconception(
    "the root on 1 - alpha_bar_t is missing",
    hint="1 - alpha_bar_t is the variance of the noise in x_t. The noise itself is sqrt(1 - alpha_bar_t) eps.",
)
def _(xt, eps, t, alpha_bar):
    level = along(alpha_bar[t], xt)
    return (xt - (1 - level) * eps) / level.sqrt()


@predict_x0.misconception(
    "the root on alpha_bar_t is missing",
    hint="x_t holds sqrt(alpha_bar_t) x_0, so divide by the root.",
)
def _(xt, eps, t, alpha_bar):
    level = along(alpha_bar[t], xt)
    return (xt - (1 - level).sqrt() * eps) / level


@predict_x0.misconception(
    "alpha_t in place of alpha_bar_t",
    hint="Between x_0 and x_t lie t steps, not one: the product alpha_bar_t belongs in both places. The table you "
    "are given already holds the products.",
)
def _(xt, eps, t, alpha_bar):
    _, _, alpha, beta = (along(value, xt) for value in tables(t, alpha_bar))
    return (xt - beta.sqrt() * eps) / alpha.sqrt()


@predict_x0.misconception(
    "the noise is added",
    hint="The forward sample adds the noise; to go back, subtract it.",
)
def _(xt, eps, t, alpha_bar):
    level = along(alpha_bar[t], xt)
    return (xt + (1 - level).sqrt() * eps) / level.sqrt()


@predict_x0.misconception(
    "the division reaches the noise only",
    hint="In Python a - b / c is a - (b / c). Both x_t and the noise are divided by sqrt(alpha_bar_t): put the "
    "difference in brackets.",
)
def _(xt, eps, t, alpha_bar):
    level = along(alpha_bar[t], xt)
    return xt - (1 - level).sqrt() * eps / level.sqrt()


@predict_x0.misconception(
    "clipped to [-1, 1]",
    hint="Samplers often clip x_0 to the range of the data. Asked is the plain inverse, whatever comes out.",
)
def _(xt, eps, t, alpha_bar):
    level = along(alpha_bar[t], xt)
    return ((xt - (1 - level).sqrt() * eps) / level.sqrt()).clamp(-1, 1)


@predict_x0.misconception(
    "the forward sample again",
    hint="sqrt(alpha_bar_t) x + sqrt(1 - alpha_bar_t) eps goes from x_0 to x_t. Solve that equation for x_0.",
)
def _(xt, eps, t, alpha_bar):
    level = along(alpha_bar[t], xt)
    return level.sqrt() * xt + (1 - level).sqrt() * eps


@predict_x0.misconception(EARLY[0], hint=EARLY[1])
def _(xt, eps, t, alpha_bar):
    level = along(alpha_bar[t - 1], xt)
    return (xt - (1 - level).sqrt() * eps) / level.sqrt()


@predict_x0.misconception(ONE_TIME[0], hint=ONE_TIME[1])
def _(xt, eps, t, alpha_bar):
    level = along(alpha_bar[first_of(t)], xt)
    return (xt - (1 - level).sqrt() * eps) / level.sqrt()


@predict_x0.misconception(AXIS[0], hint=AXIS[1])
def _(xt, eps, t, alpha_bar):
    level = alpha_bar[t]
    return (xt - (1 - level).sqrt() * eps) / level.sqrt()


@predict_x0.misconception(OVERWRITTEN[0], hint=OVERWRITTEN[1])
def _(xt, eps, t, alpha_bar):
    level = along(alpha_bar[t], xt)
    xt -= (1 - level).sqrt() * eps
    return xt / level.sqrt()


# ---- predict_eps


@exercise("predict_eps", points=1)
def predict_eps(student, case):
    """eps = (x_t - sqrt(alpha_bar_t) x_0) / sqrt(1 - alpha_bar_t), like x_t."""
    _inverse(student, case, predict_eps.oracle)


@predict_eps.truth
def _(xt, x0, t, alpha_bar):
    """x_t in standard units of q(x_t given x_0), example by example."""
    standard = []
    for i, level in enumerate(alpha_bar.double()[t]):
        forward = torch.distributions.AffineTransform(level.sqrt() * x0[i].double(), (1 - level).sqrt())
        standard.append(forward.inv(xt[i].double()))
    return torch.stack(standard).to(xt.dtype)


@predict_eps.alternative("subtract, then divide")
def _(xt, x0, t, alpha_bar):
    level = along(alpha_bar[t], xt)
    return (xt - level.sqrt() * x0) / (1 - level).sqrt()


@predict_eps.alternative("by the signal-to-noise ratio")
def _(xt, x0, t, alpha_bar):
    level = along(alpha_bar.index_select(0, t), xt)
    return (1 - level).rsqrt() * xt - (level / (1 - level)).sqrt() * x0


@predict_eps.alternative("axes moved instead of added")
def _(xt, x0, t, alpha_bar):
    signal, noise = alpha_bar[t] ** 0.5, (1 - alpha_bar[t]) ** 0.5
    return ((xt.movedim(0, -1) - signal * x0.movedim(0, -1)) / noise).movedim(-1, 0).contiguous()


@predict_eps.misconception(
    "the division by sqrt(1 - alpha_bar_t) is missing",
    hint="What is left after taking the signal away is sqrt(1 - alpha_bar_t) eps. Divide, so that eps has variance 1.",
)
def _(xt, x0, t, alpha_bar):
    return xt - along(alpha_bar[t], xt).sqrt() * x0


@predict_eps.misconception(
    "the root on 1 - alpha_bar_t is missing",
    hint="1 - alpha_bar_t is a variance; the noise is scaled by its root, the standard deviation.",
)
def _(xt, x0, t, alpha_bar):
    level = along(alpha_bar[t], xt)
    return (xt - level.sqrt() * x0) / (1 - level)


@predict_eps.misconception(
    "the root on alpha_bar_t is missing",
    hint="The signal in x_t is sqrt(alpha_bar_t) x_0, with the root.",
)
def _(xt, x0, t, alpha_bar):
    level = along(alpha_bar[t], xt)
    return (xt - level * x0) / (1 - level).sqrt()


@predict_eps.misconception(
    "alpha_t in place of alpha_bar_t",
    hint="eps is the noise of all t steps together, which carried x_0 to x_t: alpha_bar_t belongs in both places.",
)
def _(xt, x0, t, alpha_bar):
    _, _, alpha, beta = (along(value, xt) for value in tables(t, alpha_bar))
    return (xt - alpha.sqrt() * x0) / beta.sqrt()


@predict_eps.misconception(
    "x_0 and x_t change places",
    hint="The arguments come in the order xt, x0. Take the faded x_0 away from x_t, not the other way round.",
)
def _(xt, x0, t, alpha_bar):
    level = along(alpha_bar[t], xt)
    return (x0 - level.sqrt() * xt) / (1 - level).sqrt()


@predict_eps.misconception(
    "divided by sqrt(alpha_bar_t)",
    hint="That is the division that recovers x_0. The noise was scaled by sqrt(1 - alpha_bar_t).",
)
def _(xt, x0, t, alpha_bar):
    level = along(alpha_bar[t], xt)
    return (xt - level.sqrt() * x0) / level.sqrt()


@predict_eps.misconception(EARLY[0], hint=EARLY[1])
def _(xt, x0, t, alpha_bar):
    level = along(alpha_bar[t - 1], xt)
    return (xt - level.sqrt() * x0) / (1 - level).sqrt()


@predict_eps.misconception(ONE_TIME[0], hint=ONE_TIME[1])
def _(xt, x0, t, alpha_bar):
    level = along(alpha_bar[first_of(t)], xt)
    return (xt - level.sqrt() * x0) / (1 - level).sqrt()


@predict_eps.misconception(AXIS[0], hint=AXIS[1])
def _(xt, x0, t, alpha_bar):
    level = alpha_bar[t]
    return (xt - level.sqrt() * x0) / (1 - level).sqrt()


@predict_eps.misconception(OVERWRITTEN[0], hint=OVERWRITTEN[1])
def _(xt, x0, t, alpha_bar):
    level = along(alpha_bar[t], xt)
    return xt.sub_(level.sqrt() * x0) / (1 - level).sqrt()
