"""The whole walk from noise to data: `ddpm_sample`, its checks and right answers."""

from __future__ import annotations

import torch

from ...exercise import exercise
from ...sandbox.wire import Source
from ...student import Failure
from ..diffusion import Denoiser, along, asked, clean, condition, ranks, schedule

# A denoiser with a weight that could learn. From its second call on it sees whether x carries a graph with it.
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


@exercise("ddpm_sample", points=3, after=("p_step",))
def ddpm_sample(student, case):
    """Algorithm 2 from x_T to x_0: `p_step` at t = T, ..., 1 with noise[t], one call of the model a step."""
    step, steps = case.upstream("p_step"), case.integer(5, 8)
    alpha_bar = schedule(case, steps)
    mean, spread = case.number(1.1, 1.9), case.number(0.2, 0.6)  # around a place where clipping shows

    def truth(model, *rest):  # with the student's own step where that is followed through
        return walk(step, model, *rest)

    def inputs(*shape, levels=alpha_bar):
        return case.normal(*shape), levels, case.normal(len(levels), *shape)

    def both(*given):
        seen, right = Denoiser(given[1], mean, spread), Denoiser(given[1], mean, spread)
        got, true = student(seen, *given), truth(right, *given)
        return got, true, asked(seen, got), asked(right, true)

    batch, width = case.sizes(2, low=3)
    got, true, (places, when), (true_places, true_when) = both(*inputs(batch, width))
    case.expect(when, true_when, "the model is asked once a step, at t = T, ..., 1 for each example", 0.5, dtype=True)
    case.expect(places, true_places, "every x_t that the model is asked at", points=0.75)
    case.expect(got, true, "x_0 at the end of the walk", points=0.5, dtype=True)
    images, true_images, *_ = both(*inputs(*case.sizes(4)))
    case.expect(images, true_images, "images", points=0.25)
    begin, *rest = inputs(batch, width, levels=alpha_bar[:2])
    short, true_short, (_, few), (_, true_few) = both(20 * begin, *rest)
    case.expect([short, few], [true_short, true_few], "a chain of one step, T = 1", points=0.25)

    weight, given = case.uniform(low=0.5, high=1.5), inputs(batch, width)
    model = student.make(TRAINABLE)(weight)
    check_graphs(case, student.carries(model, *given), model)
    denoiser = Denoiser(alpha_bar, mean, spread)
    also = [(denoiser, *inputs(*shape, levels=alpha_bar[:3])) for shape in (*ranks(2), (1, 1))]
    usual = inputs(batch, width, levels=alpha_bar[:4])
    case.conventions(student, (denoiser, *usual), truth, points=0.5, also=also)


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


def walk(step, model, x, alpha_bar, noise):
    """x_0, by `step` at t = T, ..., 1; a Failure where a step gives no tensor."""
    with torch.no_grad():
        for time in range(len(alpha_bar) - 1, 0, -1):
            t = torch.full((len(x),), time)
            x = step(x, model(x, t), t, alpha_bar, noise[time])
            if not isinstance(x, torch.Tensor):
                return x if isinstance(x, Failure) else Failure("form", "p_step returned no tensor")
    return x


@ddpm_sample.truth
@torch.no_grad()
def truth(model, x_T, alpha_bar, noise):
    """By the regression of x_{t-1} on x_t and x_0, in float64 but for what the model is shown."""
    x = x_T
    for time in reversed(range(1, len(alpha_bar))):
        t = torch.full((len(x),), time)
        c0, ct, spread = (along(value, x) for value in condition(t, alpha_bar))
        mean = c0 * clean(x, model(x, t), t, alpha_bar) + ct * x.double()
        x = (mean + spread.clamp(min=0.0).sqrt() * noise[time].double() * (time > 1)).to(x_T.dtype)
    return x


def back(x, eps, t, alpha_bar, z):
    """One step as the lesson's solution makes it, for an int t."""
    now, before = alpha_bar[t], alpha_bar[t - 1]
    beta = 1 - now / before
    mean = (x - beta / (1 - now).sqrt() * eps) / (1 - beta).sqrt()
    return mean + (beta * (1 - before) / (1 - now)).sqrt() * z if t > 1 else mean


def everybody(x, t):
    """The int t for every example."""
    return torch.full((len(x),), t, device=x.device)


@ddpm_sample.alternative("a for loop under no_grad")
@torch.no_grad()
def for_loop_under_no_grad(model, x_T, alpha_bar, noise):
    x = x_T
    for t in range(len(alpha_bar) - 1, 0, -1):
        x = back(x, model(x, everybody(x, t)), t, alpha_bar, noise[t])
    return x


@ddpm_sample.alternative("a while loop over one tensor of times")
def while_loop_over_one_tensor_of_times(model, x_T, alpha_bar, noise):
    with torch.inference_mode():
        x, t = x_T.clone(), torch.full(x_T.shape[:1], len(alpha_bar) - 1, device=x_T.device)
        while t[0] >= 1:
            x = back(x, model(x, t), int(t[0]), alpha_bar, noise[t[0]])
            t = t - 1
    return x


@ddpm_sample.alternative("recursion, through x_0, each answer detached")
def recursion_through_x_0_each_answer_detached(model, x_T, alpha_bar, noise):
    T = alpha_bar.numel() - 1
    if T == 0:
        return x_T
    now, before = alpha_bar[T], alpha_bar[T - 1]
    eps = model(x_T, T * torch.ones(x_T.shape[0], dtype=torch.int64, device=x_T.device)).detach()
    x0 = (x_T - (1 - now).sqrt() * eps) / now.sqrt()
    beta = 1 - now / before
    mean = (before.sqrt() * beta * x0 + (now / before).sqrt() * (1 - before) * x_T) / (1 - now)
    x = mean + (beta * (1 - before) / (1 - now)).sqrt() * noise[T]
    return sample(model, x, alpha_bar[:-1], noise[:-1])


sample = ddpm_sample.alternatives["recursion, through x_0, each answer detached"]
