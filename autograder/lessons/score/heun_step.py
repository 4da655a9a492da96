"""A second-order step of the probability flow: `heun_step`."""

from __future__ import annotations

import torch

from ...exercise import exercise
from ..diffusion import asked, edges_apart, ranks, schedule
from .shared import Noted


@exercise("heun_step", points=2)
def heun_step(student, case):
    """From t to s by Heun's rule in y = x / sqrt(alpha_bar) and sigma; at s = 0 the Euler step."""
    truth, steps = heun_step.oracle, case.integer(6, 9)
    alpha_bar = schedule(case, steps)
    slope = case.number(0.5, 0.9)

    def model():
        return Noted(lambda x, t: (slope * x).sin() + 0.3 * x + 0.1 * t)

    x, images, square = case.normal(*case.sizes(2)), case.normal(*case.sizes(4, low=2, high=6)), case.normal(4, 4)
    t, s = steps - case.integer(0, 1), case.integer(2, 3)
    seen, right = model(), model()
    got, true = student(seen, x, t, s, alpha_bar), truth(right, x, t, s, alpha_bar)
    (places, times), (true_places, true_times) = asked(seen, got), asked(right, true)
    case.expect(times, true_times, "the model is asked at t and at s, a LongTensor (B,)", points=0.25, dtype=True)
    case.expect(places, true_places, "the places that the model is asked at", points=0.25, dtype=True)
    case.expect(got, true, "a step over several times", points=0.5, dtype=True)
    ends = ((steps, 0), (1, 0))
    seen, right = model(), model()
    got = [student(seen, x, *pair, alpha_bar) for pair in ends]
    true = [truth(right, x, *pair, alpha_bar) for pair in ends]
    case.expect(
        [got, [when for _, when in seen.calls]],
        [true, [when for _, when in right.calls]],
        "down to s = 0, with one question",
        points=0.25,
    )
    case.expect(student(model(), x, 4, 1, alpha_bar), truth(model(), x, 4, 1, alpha_bar), "down to s = 1", points=0.25)
    case.expect(
        [student(model(), given, 5, 4, alpha_bar) for given in (images, square)],
        [truth(model(), given, 5, 4, alpha_bar) for given in (images, square)],
        "single steps of images and of a square batch",
        points=0.25,
    )
    also = [(model(), case.normal(*shape), t, s, alpha_bar) for shape in (*ranks(3), (1, 1))]
    also += edges_apart(case, lambda time, levels: (model(), x, time, time - 1, levels), first=1)
    case.conventions(student, (model(), x, t, s, alpha_bar), truth, points=0.25, also=also)


@heun_step.truth
def truth(model, xt, t, s, alpha_bar):
    """The trapezoid rule in y and sigma themselves, in float64 but for what the model is shown."""
    sigma = (1 / alpha_bar.double() - 1).sqrt()
    shrink = alpha_bar.double().sqrt()
    y, h = xt.double() / shrink[t], sigma[s] - sigma[t]
    slopes = [model(xt, torch.full(xt.shape[:1], t)).double()]
    if s > 0:
        there = ((y + h * slopes[0]) * shrink[s]).to(xt.dtype)
        slopes.append(model(there, torch.full(xt.shape[:1], s)).double())
    return ((y + h * torch.stack(slopes).mean(0)) * shrink[s]).to(xt.dtype)


def _ddim(x, eps, t, s, alpha_bar):
    now, then = alpha_bar[t], alpha_bar[s]
    return then.sqrt() * (x - (1 - now).sqrt() * eps) / now.sqrt() + (1 - then).sqrt() * eps


def _at(x, t):
    return torch.full((len(x),), t, device=x.device)


@heun_step.alternative("two DDIM steps from the same place")
def two_ddim_steps(model, xt, t, s, alpha_bar):
    first = model(xt, _at(xt, t))
    trial = _ddim(xt, first, t, s, alpha_bar)
    if s == 0:
        return trial
    return (trial + _ddim(xt, model(trial, _at(xt, s)), t, s, alpha_bar)) / 2


@heun_step.alternative("correcting the trial")
def correcting_the_trial(model, xt, t, s, alpha_bar):
    sigma = torch.sqrt((1 - alpha_bar) / alpha_bar)
    first = model(xt, t * torch.ones(xt.shape[0], dtype=torch.int64, device=xt.device))
    y = xt / alpha_bar[t].sqrt() + (sigma[s] - sigma[t]) * first
    if s:
        second = model(y * alpha_bar[s].sqrt(), s * torch.ones(xt.shape[0], dtype=torch.int64, device=xt.device))
        y = y + 0.5 * (sigma[s] - sigma[t]) * (second - first)
    return y * alpha_bar[s].sqrt()


@heun_step.alternative("without gradients, the scales as numbers")
@torch.no_grad()
def scales_as_numbers(model, xt, t, s, alpha_bar):
    now, then = alpha_bar[t].item(), alpha_bar[s].item()
    keep, size = (then / now) ** 0.5, then**0.5 * ((1 / then - 1) ** 0.5 - (1 / now - 1) ** 0.5)
    slope = model(xt, torch.tensor([t] * len(xt), device=xt.device))
    if s != 0:
        slope = (slope + model(keep * xt + size * slope, torch.tensor([s] * len(xt), device=xt.device))) / 2
    return keep * xt + size * slope


@heun_step.misconception(
    "Euler's step",
    hint="That is DDIM: one slope for the whole step. Ask a second time where the step arrives, and use the mean.",
)
def eulers_step(model, xt, t, s, alpha_bar):
    return _ddim(xt, model(xt, _at(xt, t)), t, s, alpha_bar)


def _heun(model, xt, t, s, alpha_bar, second_time=None, second_place=None, combine=None, ask=_at):
    """The right step, but for the parts that are handed in."""
    first = model(xt, ask(xt, t))
    trial = _ddim(xt, first, t, s, alpha_bar)
    if s == 0:
        return trial
    second = model(trial if second_place is None else second_place, ask(xt, s if second_time is None else second_time))
    slope = (first + second) / 2 if combine is None else combine(first, second)
    return _ddim(xt, slope, t, s, alpha_bar)


@heun_step.misconception(
    "the second slope alone",
    hint="The mean of both slopes makes the step second order; either of them alone is first order.",
)
def second_slope_alone(model, xt, t, s, alpha_bar):
    return _heun(model, xt, t, s, alpha_bar, combine=lambda first, second: second)


@heun_step.misconception(
    "the slopes are added, not averaged", hint="The step goes with the mean of the slopes: divide their sum by two."
)
def slopes_added(model, xt, t, s, alpha_bar):
    return _heun(model, xt, t, s, alpha_bar, combine=lambda first, second: first + second)


@heun_step.misconception(
    "the second question is asked at time t",
    hint="The second slope is the one at the step's end: the trial point goes to the model together with s.",
)
def second_at_t(model, xt, t, s, alpha_bar):
    return _heun(model, xt, t, s, alpha_bar, second_time=t)


@heun_step.misconception(
    "the second question is asked at x_t",
    hint="The second slope is the one where the Euler step arrives, not at the start once more.",
)
def second_at_xt(model, xt, t, s, alpha_bar):
    return _heun(model, xt, t, s, alpha_bar, second_place=xt)


@heun_step.misconception(
    "the second step goes on from the trial point",
    hint="The trial is only a trial: the real step starts at x_t again, with the mean slope.",
)
def on_from_trial(model, xt, t, s, alpha_bar):
    first = model(xt, _at(xt, t))
    trial = _ddim(xt, first, t, s, alpha_bar)
    if s == 0:
        return trial
    return _ddim(trial, (first + model(trial, _at(xt, s))) / 2, t, s, alpha_bar)


@heun_step.misconception(
    "the model is asked at t = 0",
    hint="The model does not know t = 0: there is no noise to predict. At s = 0 the Euler step is the answer.",
)
def asked_at_zero(model, xt, t, s, alpha_bar):
    first = model(xt, _at(xt, t))
    second = model(_ddim(xt, first, t, s, alpha_bar), _at(xt, s))
    return _ddim(xt, (first + second) / 2, t, s, alpha_bar)


@heun_step.misconception(
    "Heun's rule in x_t itself, undivided",
    hint="The rule holds for y = x / sqrt(alpha_bar). A difference of sigma times eps has to be added to y, not to x.",
)
def undivided(model, xt, t, s, alpha_bar):
    sigma = (1 / alpha_bar - 1).sqrt()
    first = model(xt, _at(xt, t))
    trial = xt + (sigma[s] - sigma[t]) * first
    if s == 0:
        return trial
    return xt + (sigma[s] - sigma[t]) * (first + model(trial, _at(xt, s))) / 2


@heun_step.misconception(
    "the midpoint rule",
    hint="That rule asks once in the middle. Heun's asks at both ends and averages.",
)
def midpoint_rule(model, xt, t, s, alpha_bar):
    middle = (t + s) // 2
    first = model(xt, _at(xt, t))
    if s == 0:
        return _ddim(xt, first, t, s, alpha_bar)
    there = _ddim(xt, first, t, middle, alpha_bar) if middle < t else xt
    return _ddim(xt, model(there, _at(xt, middle)), t, s, alpha_bar)


@heun_step.misconception(
    "the model gets a number for the time",
    hint="model(x, t) wants a LongTensor (B,): torch.full((len(xt),), t, device=xt.device).",
)
def number_for_time(model, xt, t, s, alpha_bar):
    return _heun(model, xt, t, s, alpha_bar, ask=lambda x, t: t)


@heun_step.misconception(
    "the times are floats", hint="Times count steps: a LongTensor, which can index a table, not a tensor of floats."
)
def times_as_floats(model, xt, t, s, alpha_bar):
    return _heun(model, xt, t, s, alpha_bar, ask=lambda x, t: torch.full((len(x),), float(t), device=x.device))


@heun_step.misconception(
    "the model is asked one step early", hint="x_t goes to the model with the very t whose alpha_bar it has."
)
def one_step_early(model, xt, t, s, alpha_bar):
    return _heun(model, xt, t, s, alpha_bar, ask=lambda x, t: _at(x, t - 1))
