"""Wrong answers that the checks of `ddpm_sample` are tested with."""

from __future__ import annotations

from functools import wraps

import torch

from ..diffusion import OVERWRITTEN
from .ddpm_sample import back, ddpm_sample, everybody
from .shared import CLIPPED, FRESH


def walk(model, x, alpha_bar, noise, times=None, ask=everybody, z=lambda noise, t: noise[t]):
    """The right walk, but for the times it visits, the t it tells the model, or the noise it adds."""
    with torch.no_grad():
        for t in range(len(alpha_bar) - 1, 0, -1) if times is None else times:
            x = back(x, model(x, ask(x, t)), t, alpha_bar, z(noise, t))
    return x


@ddpm_sample.misconception(
    "the walk stops at t = 2",
    hint="range(T, 1, -1) ends at 2: the last step, t = 1, is missing, and some noise stays. Statistics of many "
    "samples hardly show it.",
)
def walk_stops_at_t_2(model, x_T, alpha_bar, noise):
    return walk(model, x_T, alpha_bar, noise, times=range(len(alpha_bar) - 1, 1, -1))


@ddpm_sample.misconception(
    "the walk begins at T - 1",
    hint="alpha_bar has T + 1 entries, so T = len(alpha_bar) - 1 is a valid index, and x_T is the x at that very time. "
    "The first step, from T to T - 1, is missing.",
)
def walk_begins_at_t_minus_1(model, x_T, alpha_bar, noise):
    return walk(model, x_T, alpha_bar, noise, times=range(len(alpha_bar) - 2, 0, -1))


@ddpm_sample.misconception(
    "the walk goes the wrong way",
    hint="x_T is pure noise and t counts down from T to 1. You count up.",
)
def walk_goes_wrong_way(model, x_T, alpha_bar, noise):
    return walk(model, x_T, alpha_bar, noise, times=range(1, len(alpha_bar)))


@ddpm_sample.misconception(
    "the walk begins beyond the table",
    hint="alpha_bar has T + 1 entries, 0 to T. T is len(alpha_bar) - 1: len(alpha_bar) itself is one too many.",
)
def walk_begins_beyond_table(model, x_T, alpha_bar, noise):
    return walk(model, x_T, alpha_bar, noise, times=range(len(alpha_bar), 0, -1))


@ddpm_sample.misconception(
    "the walk goes on to t = 0",
    hint="The last step is t = 1, from x_1 to x_0. At t = 0 there is nothing left to do, and alpha_bar[t - 1] wraps to "
    "the end of the table.",
)
@torch.no_grad()
def walk_goes_on_to_t_0(model, x_T, alpha_bar, noise):
    x = x_T
    for t in range(len(alpha_bar) - 1, -1, -1):
        eps, now, before = model(x, everybody(x, t)), alpha_bar[t], alpha_bar[t - 1]
        beta = 1 - now / before
        x = (x - beta / (1 - now).sqrt() * eps) / (1 - beta).sqrt()
        x = x + (beta * (1 - before) / (1 - now)).sqrt() * noise[t] if t > 1 else x
    return x


@ddpm_sample.misconception(
    "the model is asked at t - 1",
    hint="The model knows x_t by the very t: times run from 1 to T, for the model too.",
)
def model_is_asked_at_t_minus_1(model, x_T, alpha_bar, noise):
    return walk(model, x_T, alpha_bar, noise, ask=lambda x, t: everybody(x, t - 1))


@ddpm_sample.misconception(
    "the model is asked at t + 1",
    hint="x_t goes to the model together with t. One step more and it takes away more noise than there is.",
)
def model_is_asked_at_t_plus_1(model, x_T, alpha_bar, noise):
    return walk(model, x_T, alpha_bar, noise, ask=lambda x, t: everybody(x, t + 1))


@ddpm_sample.misconception(
    "each step is made one time early",
    hint="The model is asked at t, but the step back is made with the coefficients of t - 1. Both belong to "
    "the same t.",
)
@torch.no_grad()
def each_step_is_made_one_time_early(model, x_T, alpha_bar, noise):
    x = x_T
    for t in range(len(alpha_bar) - 1, 0, -1):
        x = back(x, model(x, everybody(x, t)), max(t - 1, 1), alpha_bar, noise[t])
    return x


@ddpm_sample.misconception(
    "the model gets a number for t",
    hint="model(x, t) wants a LongTensor of shape (B,), the same t for every example: torch.full((len(x),), t, "
    "device=x.device).",
)
def model_gets_number_for_t(model, x_T, alpha_bar, noise):
    return walk(model, x_T, alpha_bar, noise, ask=lambda x, t: t)


@ddpm_sample.misconception(
    "one t for all examples, without a batch axis",
    hint="torch.tensor(t) has no axes and torch.tensor([t]) has length 1. The model wants one t for each example, "
    "shape (B,).",
)
def one_t_for_all_examples_without_batch_axis(model, x_T, alpha_bar, noise):
    return walk(model, x_T, alpha_bar, noise, ask=lambda x, t: torch.tensor([t], device=x.device))


@ddpm_sample.misconception(
    "t is no LongTensor",
    hint="t counts steps: make it a tensor of integers (dtype=torch.long), not of floats, so that it can index "
    "a table.",
)
def t_is_no_longtensor(model, x_T, alpha_bar, noise):
    return walk(model, x_T, alpha_bar, noise, ask=lambda x, t: torch.full((len(x),), float(t), device=x.device))


@ddpm_sample.misconception(
    "the model gets t as a fraction",
    hint="model(x, t) takes the steps 1 to T themselves, as a LongTensor. Scaling t is the network's own affair.",
)
def model_gets_t_as_fraction(model, x_T, alpha_bar, noise):
    return walk(model, x_T, alpha_bar, noise, ask=lambda x, t: everybody(x, t) / (len(alpha_bar) - 1))


@ddpm_sample.misconception(
    "the noise is taken one step early",
    hint="noise has T + 1 entries, and noise[t] is z at step t.",
)
def noise_is_taken_one_step_early(model, x_T, alpha_bar, noise):
    return walk(model, x_T, alpha_bar, noise, z=lambda noise, t: noise[t - 1])


@ddpm_sample.misconception(
    "the noise is used from the front",
    hint="noise[t] is z at step t, so the walk uses noise[T] first and counts down, as t does.",
)
@torch.no_grad()
def noise_is_used_from_front(model, x_T, alpha_bar, noise):
    x = x_T
    for k, t in enumerate(range(len(alpha_bar) - 1, 0, -1)):
        x = back(x, model(x, everybody(x, t)), t, alpha_bar, noise[k])
    return x


@ddpm_sample.misconception(
    "the same noise at every step",
    hint="Each step has a z of its own, noise[t]. One z for all of them is a push in one direction.",
)
def same_noise_at_every_step(model, x_T, alpha_bar, noise):
    return walk(model, x_T, alpha_bar, noise, z=lambda noise, t: noise[-1])


@ddpm_sample.misconception(
    "no noise",
    hint="Every step but the last adds sigma_t noise[t].",
)
def no_noise(model, x_T, alpha_bar, noise):
    return walk(model, x_T, alpha_bar, noise, z=lambda noise, t: torch.zeros_like(noise[t]))


def tilde(alpha_bar, t):
    """The posterior variance beta~_t."""
    return (1 - alpha_bar[t] / alpha_bar[t - 1]) * (1 - alpha_bar[t - 1]) / (1 - alpha_bar[t])


def with_variance(squared):
    """A walk whose steps add noise of variance squared(alpha_bar, t)."""

    @wraps(squared)
    @torch.no_grad()
    def sample(model, x_T, alpha_bar, noise):
        x = x_T
        for t in range(len(alpha_bar) - 1, 0, -1):
            mean = back(x, model(x, everybody(x, t)), t, alpha_bar, torch.zeros_like(x))
            x = mean + squared(alpha_bar, t) ** 0.5 * noise[t]
        return x

    return sample


@ddpm_sample.misconception(
    "noise at the last step too",
    hint="From x_1 to x_0 the mean is the answer. You add noise of variance beta_1 there, which stays in the picture.",
)
@with_variance
def noise_at_last_step_too(alpha_bar, t):
    return tilde(alpha_bar, t) if t > 1 else 1 - alpha_bar[1]


@ddpm_sample.misconception(
    "noise at the last step too, with the variance of t = 2",
    hint="Published code replaces beta~_1 = 0 by beta~_2, so that its logarithm exists. That serves the likelihood; a "
    "sample gets no noise at t = 1.",
)
@with_variance
def noise_at_last_step_too_with_variance_of_t_2(alpha_bar, t):
    return tilde(alpha_bar, max(t, min(2, len(alpha_bar) - 1)))


@ddpm_sample.misconception(
    "noise of variance beta_t",
    hint="The walk uses the posterior variance beta~_t, which is what p_step adds unless told otherwise.",
)
@with_variance
def noise_of_variance_beta_t(alpha_bar, t):
    return (1 - alpha_bar[t] / alpha_bar[t - 1]) * (t > 1)


@ddpm_sample.misconception(
    "noise of variance beta_t, at the last step too",
    hint="The walk uses the posterior variance beta~_t, and adds nothing at t = 1.",
)
@with_variance
def noise_of_variance_beta_t_at_last_step_too(alpha_bar, t):
    return 1 - alpha_bar[t] / alpha_bar[t - 1]


@ddpm_sample.misconception(
    "the variance multiplies the noise",
    hint="noise[t] is multiplied by the standard deviation, the root of beta~_t.",
)
@with_variance
def variance_multiplies_noise(alpha_bar, t):
    return tilde(alpha_bar, t) ** 2


@ddpm_sample.misconception(
    "the noisy x_t is drawn anew from x_0 at each step",
    hint="You predict x_0 and noise it again to t - 1 with fresh noise. Algorithm 2 walks on from x_t itself, by "
    "p_step.",
)
@torch.no_grad()
def noisy_x_t_is_drawn_anew_from_x_0_at_each_step(model, x_T, alpha_bar, noise):
    x = x_T
    for t in range(len(alpha_bar) - 1, 0, -1):
        now, before = alpha_bar[t], alpha_bar[t - 1]
        x0 = (x - (1 - now).sqrt() * model(x, everybody(x, t))) / now.sqrt()
        x = before.sqrt() * x0 + (1 - before).sqrt() * noise[t]
    return x


@ddpm_sample.misconception(
    "a step without noise, in the manner of DDIM",
    hint="You put the predicted noise back in at the next level, which is DDIM with eta = 0. DDPM draws part of it "
    "anew: use p_step and noise[t].",
)
@torch.no_grad()
def step_without_noise_in_manner_of_ddim(model, x_T, alpha_bar, noise):
    x = x_T
    for t in range(len(alpha_bar) - 1, 0, -1):
        now, before, eps = alpha_bar[t], alpha_bar[t - 1], model(x, everybody(x, t))
        x = before.sqrt() * (x - (1 - now).sqrt() * eps) / now.sqrt() + (1 - before).sqrt() * eps
    return x


@ddpm_sample.misconception(
    "the model is asked twice a step",
    hint="One step needs one answer: keep it in a variable. A large network makes the second call cost as much again.",
)
@torch.no_grad()
def model_is_asked_twice_in_a_step(model, x_T, alpha_bar, noise):
    x = x_T
    for t in range(len(alpha_bar) - 1, 0, -1):
        model(x, everybody(x, t))
        x = back(x, model(x, everybody(x, t)), t, alpha_bar, noise[t])
    return x


@ddpm_sample.misconception(
    "the model sees x_T at every step",
    hint="Each step starts from what the one before left: hand the model the current x.",
)
@torch.no_grad()
def model_sees_x_t_at_every_step(model, x_T, alpha_bar, noise):
    x = x_T
    for t in range(len(alpha_bar) - 1, 0, -1):
        x = back(x, model(x_T, everybody(x, t)), t, alpha_bar, noise[t])
    return x


@ddpm_sample.misconception(
    "gradients are recorded",
    hint="The value is right, but every step keeps the graph of the one before, and memory fills up. Put the loop "
    "under torch.no_grad().",
)
def gradients_are_recorded(model, x_T, alpha_bar, noise):
    x = x_T
    for t in range(len(alpha_bar) - 1, 0, -1):
        x = back(x, model(x, everybody(x, t)), t, alpha_bar, noise[t])
    return x


@ddpm_sample.misconception(
    "all of the walk is returned",
    hint="Asked is x_0 alone, with the shape of x_T.",
)
@torch.no_grad()
def whole_walk_is_returned(model, x_T, alpha_bar, noise):
    walk = [x_T]
    for t in range(len(alpha_bar) - 1, 0, -1):
        walk.append(back(walk[-1], model(walk[-1], everybody(x_T, t)), t, alpha_bar, noise[t]))
    return torch.stack(walk)


@ddpm_sample.misconception(*CLIPPED)
@torch.no_grad()
def x_0_is_clipped(model, x_T, alpha_bar, noise):
    x = x_T
    for t in range(len(alpha_bar) - 1, 0, -1):
        now, eps = alpha_bar[t], model(x, everybody(x, t))
        x0 = ((x - (1 - now).sqrt() * eps) / now.sqrt()).clamp(-1, 1)
        x = back(x, (x - now.sqrt() * x0) / (1 - now).sqrt(), t, alpha_bar, noise[t])
    return x


@ddpm_sample.misconception(*FRESH)
@torch.no_grad()
def new_noise_is_drawn_inside(model, x_T, alpha_bar, noise):
    x = x_T
    for t in range(len(alpha_bar) - 1, 0, -1):
        x = back(x, model(x, everybody(x, t)), t, alpha_bar, torch.randn_like(x))
    return x


@ddpm_sample.misconception(*OVERWRITTEN)
@torch.no_grad()
def input_is_overwritten(model, x_T, alpha_bar, noise):
    for t in range(len(alpha_bar) - 1, 0, -1):
        x_T.copy_(back(x_T, model(x_T, everybody(x_T, t)), t, alpha_bar, noise[t]))
    return x_T
