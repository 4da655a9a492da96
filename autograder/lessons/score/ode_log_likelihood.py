"""Exact log-likelihoods along a flow: `ode_log_likelihood`."""

from __future__ import annotations

import math
from itertools import pairwise

import torch
from torch.distributions import Independent, Normal

from ...exercise import exercise
from ..diffusion import OVERWRITTEN, asked
from .shared import Noted, uneven


@exercise("ode_log_likelihood", points=2)
def ode_log_likelihood(student, case):
    """Heun on (x, change), both slopes at the step's start and at its predicted end; log N(x_S; 0, I) + change."""
    truth = ode_log_likelihood.oracle
    pull, wave = case.number(0.4, 0.9), case.number(0.3, 0.6)

    def field():
        def both(x, tau):
            velocity = -pull * x + wave * (2 * x).sin() + tau
            spread = (-pull + 2 * wave * (2 * x).cos()).sum(1) + 0.3 * tau[:, 0]
            return velocity, spread

        return Noted(both)

    def inputs(steps, *shape, first=0.0):
        return 1.5 * case.normal(*shape), uneven(case, steps, first, 1.0)

    rows = inputs(4, *case.sizes(2, low=3))
    seen, right = field(), field()
    got, true = student(seen, *rows), truth(right, *rows)
    (places, times), (true_places, true_times) = asked(seen, got), asked(right, true)
    value, end = case.unpack(got, "log-density", "x")
    case.expect(times, true_times, "the times that the field is asked at", points=0.25, dtype=True)
    case.expect(places, true_places, "the places that the field is asked at", points=0.25, dtype=True)
    case.expect(end, true[1], "where the points arrive", points=0.25, dtype=True)
    case.expect(value, true[0], "the log-density", points=0.5, dtype=True)
    line, single = inputs(3, 5, 1), inputs(1, 1, 4, first=0.05)
    case.expect(
        [student(field(), *given) for given in (line, single)],
        [list(truth(field(), *given)) for given in (line, single)],
        "one dimension, a single point in a single step",
        points=0.25,
    )
    case.conventions(student, (field(), *rows), truth, points=0.5)


@ode_log_likelihood.truth
def truth(field, x0, taus):
    """The trapezoid rule on all slopes at once, with the normal law from torch.distributions."""
    x, spreads = x0, []
    for k in range(len(taus) - 1):
        now, then = (torch.full((len(x),), float(taus[i]), dtype=x.dtype) for i in (k, k + 1))
        h = float(taus[k + 1]) - float(taus[k])
        here, spread = field(x, now)
        there, spread_there = field(torch.add(x, here, alpha=h), then)
        x = (x.double() + h * torch.stack([here, there]).double().mean(0)).to(x.dtype)
        spreads.append(h * (spread.double() + spread_there.double()) / 2)
    end = Independent(Normal(torch.zeros_like(x), torch.ones_like(x)), 1).log_prob(x)
    return (end.double() + torch.stack(spreads).sum(0)).to(x0.dtype), x


def _log_normal(x):
    return -(x.square() + math.log(2 * math.pi)).sum(1) / 2


def _followed(field, x, taus, second=None, account=None, step=None):
    """x and the integral of the divergence, right but for the parts that are handed in."""
    change = x.new_zeros(len(x))
    for k in range(len(taus) - 1):
        h = (taus[k + 1] - taus[k]) if step is None else step
        v, d = field(x, taus[k].expand(len(x)))
        v2, d2 = field(x + h * v, (taus[k + 1] if second is None else second(k)).expand(len(x)))
        x = x + h / 2 * (v + v2)
        change = change + (h / 2 * (d + d2) if account is None else account(h, d, d2))
    return x, change


@ode_log_likelihood.alternative("a loop over pairs of times")
def pairs_of_times(field, x0, taus):
    x, total = x0.clone(), x0.new_zeros(len(x0))
    for a, b in pairwise(taus):
        ones = x.new_ones(len(x))
        v1, d1 = field(x, a * ones)
        v2, d2 = field(x + (b - a) * v1, b * ones)
        x = x + (b - a) * 0.5 * (v1 + v2)
        total = total + (b - a) * 0.5 * (d1 + d2)
    constant = x.shape[1] / 2 * math.log(2 * math.pi)
    return total - 0.5 * (x * x).sum(-1) - constant, x


@ode_log_likelihood.alternative("x and change in one tensor, torch.distributions, as a list")
def one_tensor(field, x0, taus):
    state = torch.cat([x0, torch.zeros_like(x0[:, :1])], 1)

    def slope(state, tau):
        v, d = field(state[:, :-1], tau.repeat(len(state)))
        return torch.cat([v, d[:, None]], 1)

    for k in range(taus.numel() - 1):
        h = taus[k + 1] - taus[k]
        k1 = slope(state, taus[k])
        k2 = slope(state + h * k1, taus[k + 1])
        state = state + h * (k1 + k2) / 2
    x = state[:, :-1]
    return [Normal(0.0, 1.0).log_prob(x).sum(1).to(x0.dtype) + state[:, -1], x]


@ode_log_likelihood.alternative("by recursion")
def by_recursion(field, x0, taus):
    if len(taus) == 1:
        return _log_normal(x0), x0
    h = (taus[1] - taus[0]).item()
    v, d = field(x0, x0.new_full((len(x0),), taus[0].item()))
    v2, d2 = field(x0 + h * v, x0.new_full((len(x0),), taus[1].item()))
    value, end = by_recursion(field, x0 + h / 2 * (v + v2), taus[1:])
    return value + h / 2 * (d + d2), end


@ode_log_likelihood.misconception(
    "the change has the wrong sign",
    hint="Along the flow log p falls by the divergence. Read from the end to the start it is added.",
)
def change_with_wrong_sign(field, x0, taus):
    x, change = _followed(field, x0, taus)
    return _log_normal(x) - change, x


@ode_log_likelihood.misconception(
    "the change is left out", hint="The flow spreads and gathers on its way: add the integral of the divergence."
)
def change_left_out(field, x0, taus):
    x, _ = _followed(field, x0, taus)
    return _log_normal(x), x


@ode_log_likelihood.misconception(
    "the normal density's constant is missing", hint="log N(x; 0, I) has -D/2 log(2 pi) in it."
)
def constant_missing(field, x0, taus):
    x, change = _followed(field, x0, taus)
    return -x.square().sum(1) / 2 + change, x


@ode_log_likelihood.misconception(
    "2 pi once for all dimensions", hint="Each of the D dimensions brings its own log(2 pi) / 2."
)
def constant_once(field, x0, taus):
    x, change = _followed(field, x0, taus)
    return -(x.square().sum(1) + math.log(2 * math.pi)) / 2 + change, x


@ode_log_likelihood.misconception(
    "the mean over the dimensions", hint="Independent dimensions multiply their densities: the logarithms are summed."
)
def mean_over_dimensions(field, x0, taus):
    x, change = _followed(field, x0, taus)
    return -(x.square() + math.log(2 * math.pi)).mean(1) / 2 + change, x


@ode_log_likelihood.misconception(
    "the normal density at the start", hint="The law is known at the END of the flow: log N is taken at x_S, not at x0."
)
def normal_at_start(field, x0, taus):
    x, change = _followed(field, x0, taus)
    return _log_normal(x0) + change, x


@ode_log_likelihood.misconception(
    "Euler's rule for the change",
    hint="The divergence is averaged over the step's two ends, as the velocity is; one end alone is first order.",
)
def euler_for_change(field, x0, taus):
    x, change = _followed(field, x0, taus, account=lambda h, d, d2: h * d)
    return _log_normal(x) + change, x


@ode_log_likelihood.misconception(
    "only the second divergence", hint="The change takes the mean of both divergences, not the later one alone."
)
def second_divergence_only(field, x0, taus):
    x, change = _followed(field, x0, taus, account=lambda h, d, d2: h * d2)
    return _log_normal(x) + change, x


@ode_log_likelihood.misconception(
    "the divergences are added, not averaged", hint="h / 2 times the sum of both, or h times their mean."
)
def divergences_added(field, x0, taus):
    x, change = _followed(field, x0, taus, account=lambda h, d, d2: h * (d + d2))
    return _log_normal(x) + change, x


@ode_log_likelihood.misconception(
    "the change is not multiplied by the step", hint="An integral: each step's mean divergence counts times its length."
)
def change_without_step(field, x0, taus):
    x, change = _followed(field, x0, taus, account=lambda h, d, d2: (d + d2) / 2)
    return _log_normal(x) + change, x


@ode_log_likelihood.misconception(
    "Euler's rule for everything",
    hint="Heun's rule asks a second time, at the predicted point and the next time, and uses the means.",
)
def euler_for_everything(field, x0, taus):
    x, change = x0, x0.new_zeros(len(x0))
    for k in range(len(taus) - 1):
        h = taus[k + 1] - taus[k]
        v, d = field(x, taus[k].expand(len(x)))
        x, change = x + h * v, change + h * d
    return _log_normal(x) + change, x


@ode_log_likelihood.misconception(
    "the second divergence at the corrected point",
    hint="Both second slopes are asked at the predicted point, in one call; no third question after the correction.",
)
def at_corrected_point(field, x0, taus):
    x, change = x0, x0.new_zeros(len(x0))
    for k in range(len(taus) - 1):
        h, start, end = taus[k + 1] - taus[k], taus[k].expand(len(x)), taus[k + 1].expand(len(x))
        v, d = field(x, start)
        v2, _ = field(x + h * v, end)
        x = x + h / 2 * (v + v2)
        _, d2 = field(x, end)
        change = change + h / 2 * (d + d2)
    return _log_normal(x) + change, x


@ode_log_likelihood.misconception(
    "the second question at the step's start",
    hint="The predicted point belongs to the time taus[k + 1]: it goes to field together with that.",
)
def second_at_start(field, x0, taus):
    x, change = _followed(field, x0, taus, second=lambda k: taus[k])
    return _log_normal(x) + change, x


@ode_log_likelihood.misconception(
    "all steps have the same length", hint="The grid is uneven: step k has the length taus[k + 1] - taus[k]."
)
def same_length(field, x0, taus):
    x, change = _followed(field, x0, taus, step=(taus[-1] - taus[0]) / (len(taus) - 1))
    return _log_normal(x) + change, x


@ode_log_likelihood.misconception(
    "from noise to data", hint="taus rise, from the data to the noise: take them in the order they come in."
)
def from_noise_to_data(field, x0, taus):
    x, change = _followed(field, x0, taus.flip(0))
    return _log_normal(x) + change, x


@ode_log_likelihood.misconception("in bits", hint="Asked are nats: the natural logarithm, without a division by log 2.")
def in_bits(field, x0, taus):
    x, change = _followed(field, x0, taus)
    return (_log_normal(x) + change) / math.log(2), x


@ode_log_likelihood.misconception(*OVERWRITTEN)
def overwritten(field, x0, taus):
    x, change = _followed(field, x0.clone(), taus)
    x0.copy_(x)
    return _log_normal(x) + change, x


@ode_log_likelihood.misconception(
    "the time is a single number", hint="field wants a tensor (B,): taus[k].expand(len(x))."
)
def number_for_time(field, x0, taus):
    x, change = _followed(lambda x, tau: field(x, tau[0]), x0, taus)
    return _log_normal(x) + change, x


@ode_log_likelihood.misconception(
    "one log-density for each dimension",
    hint="A point has one density: sum the logarithms over the D dimensions, so that the answer is (B,).",
)
def one_for_each_dimension(field, x0, taus):
    x, change = _followed(field, x0, taus)
    return -(x.square() + math.log(2 * math.pi)) / 2 + change[:, None], x


@ode_log_likelihood.misconception(
    "the two answers are exchanged", hint="The log-density (B,) comes first, then the points at the end."
)
def exchanged(field, x0, taus):
    x, change = _followed(field, x0, taus)
    return x, _log_normal(x) + change
