"""What the checks of several exercises of 05-posterior share."""

from __future__ import annotations

import torch
from torch.distributions import Normal

from ...conventions import ones
from ...difference import difference
from ...student import Failure
from ..diffusion import edges, fine_schedule, ranks, schedule, times_among


def times(case, steps, count, first=2):
    """`count` >= 3 times in random order, `first`, `first` + 1 and T among them."""
    return times_among(case, steps, count, first, first + 1)


def log_joint(x_prev, xt, x0, alpha_t, alpha_bar_prev):
    """log q(x_t, x_{t-1} given x_0) from the two distributions."""
    forward = Normal(alpha_t.sqrt() * x_prev, (1 - alpha_t).sqrt()).log_prob(xt)
    return forward + Normal(alpha_bar_prev.sqrt() * x0, (1 - alpha_bar_prev).sqrt()).log_prob(x_prev)


def spread(value, shape):
    """A returned variance at every entry of `shape`, or a Failure where it does not broadcast to it."""
    if isinstance(value, Failure) or not isinstance(value, torch.Tensor):
        return value
    try:
        return value.expand(shape)
    except RuntimeError:
        return Failure(
            "form", f"a variance of shape {tuple(value.shape)} does not broadcast to the mean's {tuple(shape)}"
        )


def check_inverse(student, case, truth):
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

    def at(t, levels):
        return case.normal(3, 4), case.normal(3, 4), t, levels

    also = [*(inputs(*shape) for shape in ranks(4)), ones(rows), *edges(case, at, first=1)]
    case.conventions(student, rows, truth, points=0.25, also=also, gradient=(0, 1))


def check_weights(student, case, routes):
    """The checks both weights share. `routes` are ways from earlier exercises to the weight; with right ones they
    agree, and where the student's own are followed through, any of them may be the one that was taken.
    """

    def truth(*inputs):
        got, truths = student(*inputs), [route(*inputs) for route in routes]
        return next((true for true in truths if _agree(got, true)), truths[0])

    def expect(inputs, what, points):
        case.expect(student(*inputs), truth(*inputs), what, points=points, dtype=True)

    steps, batch = case.integer(6, 9), case.integer(10, 13)
    short = times(case, steps, batch), schedule(case, steps)
    expect(short, "t from 2 to T on a short, uneven schedule", 1)
    for t in (2, 1000):
        expect((torch.full((2,), t), fine_schedule()), f"t = {t} on the linear schedule with T = 1000", 0.25)

    also = [ones(short), *edges(case, lambda *given: given)]
    case.conventions(student, short, truth, points=0.5, also=also)


def _agree(got, truth):
    return isinstance(truth, torch.Tensor) and not difference(got, truth)


def weight_x0(values):
    """The right weight of an error in x_0, from `tables`."""
    now, before, _, beta = values
    return before * beta / (2 * (1 - before) * (1 - now))
