"""The drift of the way back: `reverse_drift`."""

from __future__ import annotations

import torch

from ...exercise import exercise
from ..diffusion import OVERWRITTEN, along, ranks
from .shared import AXIS, ONE_LEVEL


@exercise("reverse_drift", points=2)
def reverse_drift(student, case):
    """-rate x / 2 - (1 + eta^2) / 2 rate score, the drift of the family with the VP marginals, like x."""
    truth = reverse_drift.oracle

    def inputs(*shape):
        return case.normal(*shape), case.normal(*shape), case.uniform(shape[0], low=0.2, high=8.0)

    rows, square = inputs(*case.sizes(2, low=4)), inputs(*[case.integer(4, 7)] * 2)
    images = inputs(*case.sizes(4, low=3, high=7))
    case.expect(student(*rows), truth(*rows), "eta left out: Anderson's reverse SDE", points=0.5, dtype=True)
    case.expect(student(*rows, 0.0), truth(*rows, 0.0), "eta = 0: the probability flow", points=0.25)
    between = case.number(0.3, 0.7), case.number(1.5, 2.5)
    case.expect(
        [student(*rows, eta) for eta in between],
        [truth(*rows, eta) for eta in between],
        "less and more noise than the way there",
        points=0.5,
    )
    case.expect(
        [student(*images, eta=0.5), student(*square, 1.0)],
        [truth(*images, 0.5), truth(*square, 1.0)],
        "images, and a batch as long as its last axis",
        points=0.25,
    )
    also = [(*inputs(*shape), between[1]) for shape in (*ranks(4), (1, 1))]
    also += [(*rows[:2], 2.0**-40 * rows[2], 2.0**-20)]
    case.conventions(student, (*rows, between[0]), truth, points=0.5, also=also)


@reverse_drift.truth
def truth(x, score, rate, eta=1.0):
    """From the variance alone: where the score is -x / v, a drift c x must give 2 c v - eta^2 rate = rate (1 - v)."""
    x, score, b = x.double(), score.double(), along(rate.double(), x)
    v = -x / score
    return ((b * (1 - v) + eta**2 * b) / (2 * v) * x).to(rate.dtype)


def _drift(x, score, b, share):
    """The VP drift less `share` of b times the score."""
    return -b / 2 * x - share * b * score


@reverse_drift.alternative("the flow and a Langevin part")
def flow_and_langevin(x, score, rate, eta=1.0):
    b = rate.view(-1, *[1] * (x.dim() - 1))
    return -0.5 * b * (x + score) - 0.5 * eta**2 * b * score


@reverse_drift.alternative("f minus g squared")
def f_minus_g_squared(x, score, rate, eta=1.0):
    g = torch.sqrt(rate)
    drift = torch.einsum("b,b...->b...", rate, x) * -0.5
    return drift - torch.einsum("b,b...->b...", 0.5 * (1 + eta**2) * g**2, score)


@reverse_drift.alternative("example by example")
def example_by_example(x, score, rate, eta=1.0):
    rows = [-(b / 2) * (p + s + eta * eta * s) for p, s, b in zip(x, score, rate, strict=True)]
    return torch.stack(rows)


@reverse_drift.alternative("the forward drift and the score, each with its factor")
def each_with_its_factor(x, score, rate, eta=1.0):
    b = along(rate, x)
    return -0.5 * b * x - 0.5 * (1 + eta**2) * b * score


@reverse_drift.misconception(
    "eta is not squared",
    hint="The noise eta g has variance eta^2 g^2, and variances are traded: (1 + eta^2) / 2. At eta = 0 and 1 nothing "
    "shows.",
)
def eta_not_squared(x, score, rate, eta=1.0):
    return _drift(x, score, along(rate, x), (1 + eta) / 2)


@reverse_drift.misconception(
    "eta is ignored",
    hint="Anderson's drift holds for eta = 1 alone; the less noise, the less score: (1 + eta^2) / 2.",
)
def eta_ignored(x, score, rate, eta=1.0):
    return _drift(x, score, along(rate, x), 1.0)


@reverse_drift.misconception(
    "the flow has the score of the SDE",
    hint="Without noise only half of g^2 score is left: the SDE's other half pays for its fresh noise.",
)
def whole_score(x, score, rate, eta=1.0):
    return _drift(x, score, along(rate, x), 1 + eta**2)


@reverse_drift.misconception(
    "without noise no score",
    hint="At eta = 0 half of g^2 score stays: it stands for the forward noise; without it the flow only stretches.",
)
def no_score_without_noise(x, score, rate, eta=1.0):
    return _drift(x, score, along(rate, x), eta**2)


@reverse_drift.misconception(
    "always the flow",
    hint="The half of g^2 score belongs to eta = 0. With noise on the way back, eta^2 / 2 more is needed.",
)
def always_the_flow(x, score, rate, eta=1.0):
    return _drift(x, score, along(rate, x), 0.5)


@reverse_drift.misconception(
    "the score has the wrong sign",
    hint="The drift is f minus a multiple of g^2 score. Time runs down, so that what is subtracted moves x uphill.",
)
def score_with_wrong_sign(x, score, rate, eta=1.0):
    return _drift(x, -score, along(rate, x), (1 + eta**2) / 2)


@reverse_drift.misconception(
    "all signs are turned",
    hint="The drift is the coefficient of dtau, and dtau is negative on the way back: the sampler turns the signs, not "
    "you.",
)
def all_signs_turned(x, score, rate, eta=1.0):
    return -_drift(x, score, along(rate, x), (1 + eta**2) / 2)


@reverse_drift.misconception(
    "the forward drift has the wrong sign",
    hint="f = -rate x / 2 stays as it is; only the part with the score is new.",
)
def forward_drift_turned(x, score, rate, eta=1.0):
    return _drift(-x, score, along(rate, x), (1 + eta**2) / 2)


@reverse_drift.misconception(
    "the half of the forward drift is missing",
    hint="sqrt(1 - beta_t) is 1 - beta_t / 2: the VP drift is half of the rate times x.",
)
def half_of_f_missing(x, score, rate, eta=1.0):
    b = along(rate, x)
    return -b * x - (1 + eta**2) / 2 * b * score


@reverse_drift.misconception(
    "g in place of g^2",
    hint="g^2 = rate multiplies the score, not its root.",
)
def root_of_rate(x, score, rate, eta=1.0):
    b = along(rate, x)
    return -b / 2 * x - (1 + eta**2) / 2 * b.sqrt() * score


@reverse_drift.misconception(
    "the forward drift is left out",
    hint="The bracket is f minus the part with the score. f = -rate x / 2 belongs to it.",
)
def forward_drift_left_out(x, score, rate, eta=1.0):
    return _drift(0 * x, score, along(rate, x), (1 + eta**2) / 2)


@reverse_drift.misconception(*ONE_LEVEL)
def one_rate(x, score, rate, eta=1.0):
    return _drift(x, score, rate[0], (1 + eta**2) / 2)


@reverse_drift.misconception(*AXIS)
def wrong_axis(x, score, rate, eta=1.0):
    return _drift(x, score, rate, (1 + eta**2) / 2)


@reverse_drift.misconception(*OVERWRITTEN)
def overwritten(x, score, rate, eta=1.0):
    b = along(rate, x)
    return x.mul_(-b / 2).sub_((1 + eta**2) / 2 * b * score)
