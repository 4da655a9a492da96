"""Forward again from any time to any later one: `renoise`."""

from __future__ import annotations

import torch

from ...exercise import exercise
from ..diffusion import AXIS, OVERWRITTEN, along, edges, ranks, schedule
from .shared import FRESH


@exercise("renoise", points=1)
def renoise(student, case):
    """x_t given x_s, sqrt(ratio) x_s + sqrt(1 - ratio) eps with ratio = alpha_bar_t / alpha_bar_s."""
    truth, steps = renoise.oracle, case.integer(6, 9)
    alpha_bar = schedule(case, steps)
    middle = case.integer(2, 3)
    s = torch.tensor([0, middle, 1, steps - 1, middle, 0])
    t = torch.tensor([steps, middle, steps - 1, steps, middle + 1, 2])
    order = torch.randperm(6, generator=case.generator)
    s, t = s[order], t[order]

    def inputs(*event):
        return 2 * case.normal(6, *event), s, t, alpha_bar, case.normal(6, *event)

    rows, images, square = inputs(case.integer(2, 4)), inputs(*case.sizes(3, low=2, high=4)), inputs(6)
    case.expect(
        student(*rows), truth(*rows), "jumps, single steps, s = 0 and s = t in one batch", points=0.5, dtype=True
    )
    case.expect(
        [student(*images), student(*square)],
        [truth(*images), truth(*square)],
        "images, and a batch as long as its last axis",
        points=0.25,
    )
    films = [(case.normal(*shape), s[:4], t[:4], alpha_bar, case.normal(*shape)) for shape in ranks(4)]
    one = rows[0][:1], s[:1], t[:1], alpha_bar, rows[4][:1]

    def extreme(times, table):
        return case.normal(3, 4), times - 1, times, table, case.normal(3, 4)

    also = [*films, one, *edges(case, extreme, first=1)]
    case.conventions(student, rows, truth, points=0.25, also=also)


@renoise.truth
def truth(xs, s, t, alpha_bar, eps):
    """Step by step: each step multiplies the factor by sqrt(alpha) and the variance by alpha, and adds beta."""
    rows = []
    for x, noise, first, last in zip(xs.double(), eps.double(), s.tolist(), t.tolist(), strict=True):
        factor, variance = 1.0, 0.0
        for time in range(first + 1, last + 1):
            alpha = float(alpha_bar[time].double() / alpha_bar[time - 1].double())
            factor, variance = factor * alpha**0.5, alpha * variance + 1 - alpha
        rows.append(factor * x + variance**0.5 * noise)
    return torch.stack(rows).to(xs.dtype)


def mixed(xs, eps, ratio):
    ratio = along(ratio, xs)
    return ratio.sqrt() * xs + (1 - ratio).sqrt() * eps


@renoise.alternative("the ratio of the levels")
def ratio_of_levels(xs, s, t, alpha_bar, eps):
    return mixed(xs, eps, alpha_bar[t] / alpha_bar[s])


@renoise.alternative("example by example")
def example_by_example(xs, s, t, alpha_bar, eps):
    rows = []
    for b in range(len(xs)):
        kept = alpha_bar[t[b]] / alpha_bar[s[b]]
        rows.append(kept**0.5 * xs[b] + (1 - kept) ** 0.5 * eps[b])
    return torch.stack(rows)


@renoise.alternative("differences of logarithms")
def of_logarithms(xs, s, t, alpha_bar, eps):
    logs = alpha_bar.double().log()
    gain = (logs[t] - logs[s]).view(-1, *[1] * (xs.dim() - 1))
    return ((gain / 2).exp() * xs + torch.sqrt(-torch.expm1(gain)) * eps).to(xs.dtype)


@renoise.misconception(
    "noised from x_0",
    hint="x_s is no clean picture: it has the noise of time s already. How much is still to come?",
)
def from_x0(xs, s, t, alpha_bar, eps):
    return mixed(xs, eps, alpha_bar[t])


@renoise.misconception(
    "standard deviations are subtracted",
    hint="The noise that is there and the noise that comes are independent: their variances add up, not their "
    "standard deviations.",
)
def deviations_subtracted(xs, s, t, alpha_bar, eps):
    ratio = along(alpha_bar[t] / alpha_bar[s], xs)
    kept = (ratio * (1 - along(alpha_bar[s], xs))).sqrt()
    return ratio.sqrt() * xs + ((1 - along(alpha_bar[t], xs)).sqrt() - kept) * eps


@renoise.misconception(
    "the old noise is not shrunk",
    hint="What is in x_s shrinks with x_s on the way to t, its noise too. So more than the difference of the two "
    "variances has to come in.",
)
def old_noise_not_shrunk(xs, s, t, alpha_bar, eps):
    now, then = along(alpha_bar[t], xs), along(alpha_bar[s], xs)
    return (now / then).sqrt() * xs + (then - now).sqrt() * eps


@renoise.misconception(
    "one step, wherever t is",
    hint="From s to t there may be many steps: the last step's alpha is not enough.",
)
def one_step(xs, s, t, alpha_bar, eps):
    alpha = torch.where(t > s, alpha_bar[t] / alpha_bar[(t - 1).clamp(min=0)], torch.ones_like(alpha_bar[t]))
    return mixed(xs, eps, alpha)


@renoise.misconception(
    "both roots are missing",
    hint="The ratio is a share of variance. The factors are its root, and the root of what it lacks to 1.",
)
def roots_missing(xs, s, t, alpha_bar, eps):
    ratio = along(alpha_bar[t] / alpha_bar[s], xs)
    return ratio * xs + (1 - ratio) * eps


@renoise.misconception(
    "x_s is not shrunk",
    hint="Every step multiplies by sqrt(1 - beta) before it adds noise; otherwise the variance grows.",
)
def not_shrunk(xs, s, t, alpha_bar, eps):
    return xs + (1 - along(alpha_bar[t] / alpha_bar[s], xs)).sqrt() * eps


@renoise.misconception(
    "one pair of times for the whole batch",
    hint="Every example has its own s and t: index the table with the whole tensors.",
)
def one_pair(xs, s, t, alpha_bar, eps):
    return mixed(xs, eps, (alpha_bar[t] / alpha_bar[s])[:1].expand(len(xs)))


@renoise.misconception(*FRESH)
def fresh_noise(xs, s, t, alpha_bar, eps):
    return mixed(xs, torch.randn_like(eps), alpha_bar[t] / alpha_bar[s])


@renoise.misconception(*AXIS)
def wrong_axis(xs, s, t, alpha_bar, eps):
    ratio = alpha_bar[t] / alpha_bar[s]
    return ratio.sqrt() * xs + (1 - ratio).sqrt() * eps


@renoise.misconception(*OVERWRITTEN)
def overwritten(xs, s, t, alpha_bar, eps):
    return xs.copy_(mixed(xs, eps, alpha_bar[t] / alpha_bar[s]))
