"""Wrong answers that the checks of `diffuser_plan` are tested with."""

from __future__ import annotations

import torch

from ..diffusion import OVERWRITTEN
from .diffuser_plan import back, diffuser_plan, everybody, where_before_every_call
from .shared import FRESH


def keep(x, t, alpha_bar, known, mask):
    """The known entries as they are."""
    return torch.where(mask, known, x)


def leave(x, t, alpha_bar, known, mask):
    """Nothing is set."""
    return x


@torch.no_grad()
def walk(model, x, known, mask, alpha_bar, noise, before=keep, end=keep, after=leave, ask=everybody, z=None, **changes):
    """The right walk, but for what is set before a call, after a step and at the end, or for what else is changed."""
    times, variance = changes.get("times", range(len(alpha_bar) - 1, 0, -1)), changes.get("variance")
    for t in times:
        x = before(x, t, alpha_bar, known, mask)
        fresh = torch.zeros_like(x) if t == 1 else noise[t] if z is None else z(noise, t)
        x = back(x, model(x, ask(x, t)), t, alpha_bar, fresh, variance)
        x = after(x, t, alpha_bar, known, mask)
    return end(x, 0, alpha_bar, known, mask)


@diffuser_plan.misconception(
    "the known entries are set only at the end",
    hint="Then the rest of the plan never hears of them, and jumps to the start and from the goal. The model must see "
    "them at every step.",
)
def only_at_end(model, x_T, known, mask, alpha_bar, noise):
    return walk(model, x_T, known, mask, alpha_bar, noise, before=leave)


@diffuser_plan.misconception(
    "the known entries are set only at the beginning",
    hint="Every step moves all entries. Set the known ones again before the next call of the model.",
)
def only_at_beginning(model, x_T, known, mask, alpha_bar, noise):
    return walk(model, torch.where(mask, known, x_T), known, mask, alpha_bar, noise, before=leave)


@diffuser_plan.misconception(
    "the known entries are not set at the end",
    hint="The last step, at t = 1, has moved them once more. Set them a last time.",
)
def not_at_end(model, x_T, known, mask, alpha_bar, noise):
    return walk(model, x_T, known, mask, alpha_bar, noise, end=leave)


@diffuser_plan.misconception(
    "the first call sees noise in the known entries",
    hint="You set them after every step. The model is called once before that, at t = T: set them there as well.",
)
def first_call_unset(model, x_T, known, mask, alpha_bar, noise):
    return walk(model, x_T, known, mask, alpha_bar, noise, before=leave, after=keep)


@diffuser_plan.misconception(
    "the known entries are noised to the level of the others",
    hint="That is how a network is asked that was trained without a mask. This one has learned with clean entries in "
    "sight: set them as they are.",
)
def noised_to_level(model, x_T, known, mask, alpha_bar, noise):
    def before(x, t, alpha_bar, known, mask):
        return torch.where(mask, alpha_bar[t].sqrt() * known + (1 - alpha_bar[t]).sqrt() * noise[t], x)

    return walk(model, x_T, known, mask, alpha_bar, noise, before=before)


@diffuser_plan.misconception(
    "the known entries are shrunk",
    hint="Clean means as they are: no noise, and no factor sqrt(alpha_bar_t) either.",
)
def shrunk(model, x_T, known, mask, alpha_bar, noise):
    def before(x, t, alpha_bar, known, mask):
        return torch.where(mask, alpha_bar[t].sqrt() * known, x)

    return walk(model, x_T, known, mask, alpha_bar, noise, before=before)


@diffuser_plan.misconception(
    "the mask is turned round",
    hint="True marks what is known. Those entries are given, the others are drawn.",
)
def mask_turned(model, x_T, known, mask, alpha_bar, noise):
    return walk(model, x_T, known, ~mask, alpha_bar, noise)


@diffuser_plan.misconception(
    "multiplied by the mask",
    hint="0 times NaN is NaN, so what is not known gets in after all. Choose between the two with torch.where.",
)
def multiplied(model, x_T, known, mask, alpha_bar, noise):
    def blend(x, t, alpha_bar, known, mask):
        share = mask.to(x.dtype)
        return share * known + (1 - share) * x

    return walk(model, x_T, known, mask, alpha_bar, noise, before=blend, end=blend)


@diffuser_plan.misconception(
    "the known entries are put into the predicted noise",
    hint="known belongs to x, and is set before the model is called. What the model answers is noise.",
)
def into_noise(model, x_T, known, mask, alpha_bar, noise):
    def asked(x, t):
        return torch.where(mask, known, model(x, t))

    return walk(asked, x_T, known, mask, alpha_bar, noise, before=leave)


@diffuser_plan.misconception(
    "the walk stops at t = 2",
    hint="range(T, 1, -1) ends at 2: the last step, t = 1, is missing, and some noise stays.",
)
def stops_at_2(model, x_T, known, mask, alpha_bar, noise):
    return walk(model, x_T, known, mask, alpha_bar, noise, times=range(len(alpha_bar) - 1, 1, -1))


@diffuser_plan.misconception(
    "the walk begins at T - 1",
    hint="alpha_bar has T + 1 entries, so T = len(alpha_bar) - 1 is a valid index, and x_T is the x at that very time.",
)
def begins_at_t_minus_1(model, x_T, known, mask, alpha_bar, noise):
    return walk(model, x_T, known, mask, alpha_bar, noise, times=range(len(alpha_bar) - 2, 0, -1))


@diffuser_plan.misconception(
    "the walk goes from T - 1 to 0",
    hint="Times run from T = len(alpha_bar) - 1 down to 1. At t = 0 there is nothing left to do, and alpha_bar[t - 1] "
    "wraps to the end of the table.",
)
def one_time_early(model, x_T, known, mask, alpha_bar, noise):
    return walk(model, x_T, known, mask, alpha_bar, noise, times=range(len(alpha_bar) - 2, -1, -1))


@diffuser_plan.misconception(
    "the model is asked at t - 1",
    hint="The model knows x_t by the very t: times run from 1 to T, for the model too.",
)
def asked_early(model, x_T, known, mask, alpha_bar, noise):
    return walk(model, x_T, known, mask, alpha_bar, noise, ask=lambda x, t: everybody(x, t - 1))


@diffuser_plan.misconception(
    "the model gets a number for t",
    hint="model(x, t) wants a LongTensor of shape (B,), the same t for every plan: torch.full((len(x),), t).",
)
def number_for_t(model, x_T, known, mask, alpha_bar, noise):
    return walk(model, x_T, known, mask, alpha_bar, noise, ask=lambda x, t: t)


@diffuser_plan.misconception(
    "no fresh noise",
    hint="Algorithm 2 adds noise[t] at every step but the last. Without it all plans end too near their mean.",
)
def no_fresh_noise(model, x_T, known, mask, alpha_bar, noise):
    return walk(model, x_T, known, mask, alpha_bar, noise, z=lambda noise, t: 0 * noise[t])


@diffuser_plan.misconception(
    "the noise of the step before",
    hint="noise[t] belongs to the step from t to t - 1; entries 0 and 1 are not used.",
)
def noise_early(model, x_T, known, mask, alpha_bar, noise):
    return walk(model, x_T, known, mask, alpha_bar, noise, z=lambda noise, t: noise[t - 1])


@diffuser_plan.misconception(
    "the larger variance",
    hint="Asked for is the posterior variance, the default of p_step; beta_t is the other choice.",
)
def larger_variance(model, x_T, known, mask, alpha_bar, noise):
    return walk(model, x_T, known, mask, alpha_bar, noise, variance=lambda beta: beta)


@diffuser_plan.misconception(
    "the noise is multiplied by its variance",
    hint="A noise of variance v is sqrt(v) z.",
)
def times_variance(model, x_T, known, mask, alpha_bar, noise):
    x = x_T
    with torch.no_grad():
        for t in range(len(alpha_bar) - 1, 0, -1):
            x = torch.where(mask, known, x)
            beta = 1 - alpha_bar[t] / alpha_bar[t - 1]
            squared = (beta * (1 - alpha_bar[t - 1]) / (1 - alpha_bar[t])) ** 2
            x = back(x, model(x, everybody(x, t)), t, alpha_bar, noise[t], lambda beta, v=squared: v)
    return torch.where(mask, known, x)


@diffuser_plan.misconception(
    "a graph grows from step to step",
    hint="The value is right, but the graph of the whole walk is kept. Nothing is trained here: work under "
    "torch.no_grad().",
)
def graph_grows(model, x_T, known, mask, alpha_bar, noise):
    x = x_T
    for t in range(len(alpha_bar) - 1, 0, -1):
        x = torch.where(mask, known, x)
        x = back(x, model(x, everybody(x, t)), t, alpha_bar, noise[t] if t > 1 else torch.zeros_like(x))
    return torch.where(mask, known, x)


@diffuser_plan.misconception(*FRESH)
def fresh_noise(model, x_T, known, mask, alpha_bar, noise):
    return walk(model, x_T, known, mask, alpha_bar, noise, z=lambda noise, t: torch.randn_like(noise[t]))


@diffuser_plan.misconception(*OVERWRITTEN)
def overwritten(model, x_T, known, mask, alpha_bar, noise):
    there = mask.expand_as(x_T)
    x_T[there] = known[there]
    return where_before_every_call(model, x_T, known, mask, alpha_bar, noise)
