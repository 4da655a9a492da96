"""The walk back with start and goal held fast: `diffuser_plan`, its checks and right answers."""

from __future__ import annotations

import torch

from ...exercise import exercise
from ...sandbox.wire import Source
from ...student import Failure
from ..diffusion import along, clean, condition, ranks, schedule
from .shared import Coupled

# A network with a weight that could learn. From its second call on it sees whether x carries a graph with it.
TRAINABLE = Source(
    """
class Trainable:
    def __init__(self, weight):
        self.weight, self.carried = weight.clone().requires_grad_(), []

    def __call__(self, x, t):
        self.carried.append(x.requires_grad)
        return torch.tanh(self.weight.to(x.dtype) * x)

    def graphs(self):
        return self.carried
""",
    "Trainable",
)


@exercise("diffuser_plan", points=3)
def diffuser_plan(student, case):
    """Algorithm 2 with the posterior variance; masked entries are `known` at every call of the model and at the end."""
    truth, steps = diffuser_plan.oracle, case.integer(5, 8)
    alpha_bar = schedule(case, steps)

    def given(mask, *shape, levels=alpha_bar):
        return case.normal(*shape), 2 * case.normal(*shape), mask, levels, case.normal(len(levels), *shape)

    def both(*inputs):
        models = Coupled(), Coupled()
        got, true = student(models[0], *inputs), truth(models[1], *inputs)
        return got, true, models[0].asked(got), models[1].asked(true)

    ends = torch.zeros(5, 1, dtype=torch.bool)
    ends[0], ends[-1] = True, True
    plans = given(ends, 3, 5, 2)
    got, true, seen, right = both(*plans)
    (places, when), (true_places, true_when) = pair(seen), right
    case.expect(when, true_when, "the model is asked once a step, at t = T, ..., 1 for each plan", 0.5, dtype=True)
    case.expect(places, true_places, "the model always sees the known entries as they are", points=0.5)
    case.expect(got, true, "the plans at the end", points=0.25, dtype=True)
    case.expect(
        [got, exactly(got, plans)],
        [true, True],
        "start and goal are exactly those that were given",
        points=0.25,
    )
    own = torch.rand(4, 3, 2, generator=case.generator) < 0.5
    own[0], own[1], own[2, 0, 0], own[3, 0, 0] = True, False, True, False
    some, rows = torch.tensor([False, True, False]), torch.tensor([[True], [False], [False], [True]])
    forms = [both(*one) for one in (given(own, 4, 3, 2), given(some, 2, 4, 3), given(rows, 4, 3))]
    case.expect(
        [form[0] for form in forms],
        [form[1] for form in forms],
        "masks that broadcast: each plan its own, one entry of every state, whole examples",
        points=0.25,
    )
    nothing = both(*given(torch.zeros(1, 1, dtype=torch.bool), 4, 3))
    case.expect(*nothing[:2], "nothing known: lesson 06's sampler", points=0.25)
    holes = list(plans)
    holes[1] = torch.where(ends, plans[1], torch.nan)
    case.expect(
        *both(*holes)[:2],
        "what is not known may be NaN",
        points=0.25,
        hint="0 times NaN is NaN: choose between the two, do not multiply by the mask",
    )
    model = student.make(TRAINABLE)(case.uniform(low=0.5, high=1.5))
    check_graphs(case, student.carries(model, *plans), model)
    films = [(Coupled(), *given(torch.tensor([True, False][: shape[-1]]), *shape[:-1], 2)) for shape in ranks(2)]
    lone = Coupled(), *given(torch.tensor([False]), 1, 1)
    short = Coupled(), *given(ends, 2, 5, 1, levels=alpha_bar[:2])
    case.conventions(student, (Coupled(), *plans), truth, points=0.5, also=[*films, lone, short])


def pair(value):
    """The two parts of what a model was asked, or twice the Failure in which the walk ended; none where it was not."""
    if isinstance(value, Failure):
        return value, value
    return value if len(value) == 2 else ([], [])


def exactly(got, given):
    """Whether the known entries are those given, to the last digit; a Failure where there is no answer."""
    if not isinstance(got, torch.Tensor):
        return got
    there = given[2].expand(given[1].shape)
    return got.shape == given[1].shape and bool((got[there] == given[1][there]).all())


def check_graphs(case, end, model):
    """Whether x came to the model's second and later calls without a graph, and went out so; how many calls there are
    is not asked. `end` says whether a graph stands behind the answer.
    """
    carried = end if isinstance(end, Failure) else model.graphs()
    passed, evidence = carried, None
    if not isinstance(carried, Failure):
        evidence = "too few calls" if len(carried) < 2 else "a graph" if any(carried) or end else None
        passed = evidence is None and end is False
    hint = "put the loop under torch.no_grad(): the graph of all steps would fill the memory"
    case.check(passed, "no graph grows from step to step", 0.25, hint, evidence)


@diffuser_plan.truth
@torch.no_grad()
def truth(model, x_T, known, mask, alpha_bar, noise):
    """By the regression of x_{t-1} on x_t and the guessed x_0, in float64 but for what the model is shown."""
    there = torch.broadcast_to(mask, x_T.shape)
    x = x_T.clone()
    for time in range(len(alpha_bar) - 1, 0, -1):
        x[there] = known[there]
        t = torch.full((len(x),), time)
        c0, ct, spread = (along(value, x) for value in condition(t, alpha_bar))
        mean = c0 * clean(x, model(x, t), t, alpha_bar) + ct * x.double()
        x = (mean + spread.clamp(min=0.0).sqrt() * noise[time].double() * (time > 1)).to(x_T.dtype)
    x[there] = known[there]
    return x


def back(x, eps, t, alpha_bar, z, variance=None):
    """One step of Algorithm 2, for an int t; `variance` in place of the posterior's."""
    now, before = alpha_bar[t], alpha_bar[t - 1]
    beta = 1 - now / before
    mean = (x - beta / (1 - now).sqrt() * eps) / (1 - beta).sqrt()
    variance = beta * (1 - before) / (1 - now) if variance is None else variance(beta)
    return mean + variance.sqrt() * z


def everybody(x, t):
    """The int t for every example."""
    return torch.full((len(x),), t, dtype=torch.long, device=x.device)


@diffuser_plan.alternative("where before every call and at the end")
@torch.no_grad()
def where_before_every_call(model, x_T, known, mask, alpha_bar, noise):
    x = x_T
    for t in range(len(alpha_bar) - 1, 0, -1):
        x = torch.where(mask, known, x)
        x = back(x, model(x, everybody(x, t)), t, alpha_bar, noise[t] if t > 1 else torch.zeros_like(x))
    return torch.where(mask, known, x)


@diffuser_plan.alternative("once at first, then after every step")
def after_every_step(model, x_T, known, mask, alpha_bar, noise):
    there = mask.expand_as(x_T)
    with torch.inference_mode():
        x = x_T.clone()
        x[there] = known[there]
        t = everybody(x, len(alpha_bar) - 1)
        while t[0] >= 1:
            x = back(x, model(x, t), int(t[0]), alpha_bar, noise[t[0]])
            x[there] = known[there]
            t = t - 1
    return x


@diffuser_plan.alternative("through x_0, each answer detached, masked_scatter")
def through_x0(model, x_T, known, mask, alpha_bar, noise):
    there, known = torch.broadcast_to(mask, x_T.shape), known.detach()
    x = x_T.detach().masked_scatter(there, known[there])
    for t in reversed(range(1, len(alpha_bar))):
        now, before = alpha_bar[t], alpha_bar[t - 1]
        eps = model(x, t * torch.ones(len(x), dtype=torch.int64, device=x.device)).detach()
        x0 = (x - (1 - now).sqrt() * eps) / now.sqrt()
        beta = 1 - now / before
        x = (before.sqrt() * beta * x0 + (now / before).sqrt() * (1 - before) * x) / (1 - now)
        x = x + (beta * (1 - before) / (1 - now)).sqrt() * noise[t]
        x = x.masked_scatter(there, known[there])
    return x
