"""Wrong answers that the checks of `p_step` are tested with."""

from __future__ import annotations

import torch

from ..posterior.inputs import AXIS, EARLY, ONE_TIME, OVERWRITTEN, SHIFTED, along, early, first_of, shifted, tables
from .inputs import CLIPPED, FRESH
from .step import p_step, require_known, step_mean, step_noise

LESSON = "06-sampling"


def _wrong(name, hint):
    """Register a step made of a mean and of noise, for a variance that is one of the two."""

    def register(function):
        @p_step.misconception(name, hint=hint)
        def _(xt, eps_hat, t, alpha_bar, z, variance="posterior"):
            require_known(variance)
            return function(xt, eps_hat, t, alpha_bar, z, variance)

        return function

    return register


@_wrong(
    "noise at the last step too",
    "Where t = 1 the mean is the answer. Noise added there, with variance beta_1, stays in the picture. Some published "
    "code does it.",
)
def _(xt, eps_hat, t, alpha_bar, z, variance):
    values = tables(t, alpha_bar)
    return step_mean(xt, eps_hat, values) + step_noise(xt, t + 1, values, z, variance)


@_wrong(
    "no noise at t = 2 either",
    "z is left out where t = 1, and there alone: the times run down to 1, not to 2.",
)
def _(xt, eps_hat, t, alpha_bar, z, variance):
    values = tables(t, alpha_bar)
    return step_mean(xt, eps_hat, values) + step_noise(xt, t - 1, values, z, variance)


@_wrong(
    "the first example decides whether there is noise",
    "Entries of t may differ: each example with t = 1 goes without noise, and no other.",
)
def _(xt, eps_hat, t, alpha_bar, z, variance):
    values = tables(t, alpha_bar)
    return step_mean(xt, eps_hat, values) + step_noise(xt, first_of(t), values, z, variance)


@_wrong(
    "no noise for anybody where one t is 1",
    "Entries of t may differ: mask the noise example by example, for instance with torch.where.",
)
def _(xt, eps_hat, t, alpha_bar, z, variance):
    values = tables(t, alpha_bar)
    return step_mean(xt, eps_hat, values) + step_noise(xt, t.min().expand(len(t)), values, z, variance)


@_wrong(
    "the variance multiplies the noise",
    "beta~_t and beta_t are variances; z is multiplied by the standard deviation, the root.",
)
def _(xt, eps_hat, t, alpha_bar, z, variance):
    now, before, _, beta = values = tables(t, alpha_bar)
    squared = beta * (1 - before) / (1 - now) if variance == "posterior" else beta
    return step_mean(xt, eps_hat, values) + along(squared * (t > 1), xt) * z


@_wrong(
    "no noise at all",
    "Every step but the last adds sigma_t z. Without it the walk runs into the middle of the data, where no data are.",
)
def _(xt, eps_hat, t, alpha_bar, z, variance):
    return step_mean(xt, eps_hat, tables(t, alpha_bar))


@_wrong(
    "eps_hat in place of z",
    "The predicted noise goes into the mean. What is added afterwards is fresh noise, the z that you are given.",
)
def _(xt, eps_hat, t, alpha_bar, z, variance):
    values = tables(t, alpha_bar)
    return step_mean(xt, eps_hat, values) + step_noise(xt, t, values, eps_hat, variance)


@_wrong(
    "the root on 1 - alpha_bar_t is missing",
    "eps_hat is multiplied by beta_t / sqrt(1 - alpha_bar_t). Samples made without the root have the right mean and "
    "far too little spread.",
)
def _(xt, eps_hat, t, alpha_bar, z, variance):
    now, _, alpha, beta = (along(value, xt) for value in tables(t, alpha_bar))
    return (xt - beta / (1 - now) * eps_hat) / alpha.sqrt() + step_noise(xt, t, tables(t, alpha_bar), z, variance)


@_wrong(
    "sqrt(beta_t) in front of eps_hat",
    "sqrt(beta_t) belongs to the noise of one step; eps_hat is the noise of all t steps together, and one step takes "
    "the share beta_t / sqrt(1 - alpha_bar_t) of it.",
)
def _(xt, eps_hat, t, alpha_bar, z, variance):
    _, _, alpha, beta = (along(value, xt) for value in tables(t, alpha_bar))
    return (xt - beta.sqrt() * eps_hat) / alpha.sqrt() + step_noise(xt, t, tables(t, alpha_bar), z, variance)


@_wrong(
    "the predicted noise is added",
    "Going back takes noise away: the sign in the bracket is a minus.",
)
def _(xt, eps_hat, t, alpha_bar, z, variance):
    values = tables(t, alpha_bar)
    return step_mean(xt, -eps_hat, values) + step_noise(xt, t, values, z, variance)


@_wrong(
    "1 - alpha_bar_t in place of beta_t",
    "beta_t = 1 - alpha_bar[t] / alpha_bar[t - 1] is the variance of one step. 1 - alpha_bar_t is that of all t steps.",
)
def _(xt, eps_hat, t, alpha_bar, z, variance):
    now, before, alpha, beta = values = tables(t, alpha_bar)
    wrong = now, before, alpha, 1 - now if variance == "beta" else beta
    return step_mean(xt, eps_hat, values) + step_noise(xt, t, wrong, z, variance)


@_wrong(
    "1 / sqrt(alpha_t) is missing",
    "The forward step shrank x_{t-1} by sqrt(alpha_t); going back stretches by as much.",
)
def _(xt, eps_hat, t, alpha_bar, z, variance):
    now, _, _, beta = (along(value, xt) for value in tables(t, alpha_bar))
    return xt - beta / (1 - now).sqrt() * eps_hat + step_noise(xt, t, tables(t, alpha_bar), z, variance)


@_wrong(
    "1 / alpha_t in place of 1 / sqrt(alpha_t)",
    "One step shrank x_{t-1} by sqrt(alpha_t), not by alpha_t.",
)
def _(xt, eps_hat, t, alpha_bar, z, variance):
    now, _, alpha, beta = (along(value, xt) for value in tables(t, alpha_bar))
    return (xt - beta / (1 - now).sqrt() * eps_hat) / alpha + step_noise(xt, t, tables(t, alpha_bar), z, variance)


@_wrong(
    "alpha_bar_t in place of alpha_t",
    "Dividing by sqrt(alpha_bar_t) undoes the shrinking of all t steps. You go back one: sqrt(alpha_t).",
)
def _(xt, eps_hat, t, alpha_bar, z, variance):
    now, _, _, beta = (along(value, xt) for value in tables(t, alpha_bar))
    return (xt - beta / (1 - now).sqrt() * eps_hat) / now.sqrt() + step_noise(xt, t, tables(t, alpha_bar), z, variance)


@_wrong(
    "x_0 in place of the mean",
    "You jump all the way to the predicted x_0 and add one step's noise. One step back ends at the mean of x_{t-1}, "
    "which leans on x_t as well.",
)
def _(xt, eps_hat, t, alpha_bar, z, variance):
    now = along(alpha_bar[t], xt)
    return (xt - (1 - now).sqrt() * eps_hat) / now.sqrt() + step_noise(xt, t, tables(t, alpha_bar), z, variance)


@_wrong(
    "the noise is stretched too",
    "1 / sqrt(alpha_t) stands before the bracket of the mean alone; sigma_t z is added outside.",
)
def _(xt, eps_hat, t, alpha_bar, z, variance):
    values = tables(t, alpha_bar)
    return step_mean(xt, eps_hat, values) + step_noise(xt, t, values, z, variance) / along(values[2], xt).sqrt()


@_wrong(
    "alpha_t in place of beta_t in the posterior variance",
    "beta~_t = beta_t (1 - alpha_bar_{t-1}) / (1 - alpha_bar_t). A well-known comment in published code divides by "
    "alpha_t instead.",
)
def _(xt, eps_hat, t, alpha_bar, z, variance):
    _, before, alpha, beta = values = tables(t, alpha_bar)
    squared = (1 - before) / alpha if variance == "posterior" else beta * (t > 1)
    return step_mean(xt, eps_hat, values) + along(squared.sqrt(), xt) * z


@_wrong(
    "beta_t is missing from the posterior variance",
    "beta~_t = beta_t (1 - alpha_bar_{t-1}) / (1 - alpha_bar_t): a share of one step's variance.",
)
def _(xt, eps_hat, t, alpha_bar, z, variance):
    now, before, _, beta = values = tables(t, alpha_bar)
    squared = (1 - before) / (1 - now) if variance == "posterior" else beta * (t > 1)
    return step_mean(xt, eps_hat, values) + along(squared.sqrt(), xt) * z


@_wrong(
    "the fraction of the posterior variance upside down",
    "beta~_t is smaller than beta_t, since it knows x_0: 1 - alpha_bar_{t-1} stands above, 1 - alpha_bar_t below.",
)
def _(xt, eps_hat, t, alpha_bar, z, variance):
    now, before, _, beta = values = tables(t, alpha_bar)
    squared = beta * (1 - now) / (1 - before) if variance == "posterior" else beta
    return step_mean(xt, eps_hat, values) + along(torch.where(t > 1, squared, 0 * beta).sqrt(), xt) * z


@_wrong(
    "the two variances change places",
    '"posterior" is beta~_t, the variance of q(x_{t-1} given x_t, x_0); "beta" is beta_t.',
)
def _(xt, eps_hat, t, alpha_bar, z, variance):
    values, other = tables(t, alpha_bar), "beta" if variance == "posterior" else "posterior"
    return step_mean(xt, eps_hat, values) + step_noise(xt, t, values, z, other)


@_wrong(
    "always the posterior variance",
    'With variance="beta" the noise has variance beta_t: the argument is not used.',
)
def _(xt, eps_hat, t, alpha_bar, z, variance):
    values = tables(t, alpha_bar)
    return step_mean(xt, eps_hat, values) + step_noise(xt, t, values, z, "posterior")


@_wrong(
    "always beta_t",
    "Unless told otherwise the noise has the posterior variance beta~_t: the argument is not used.",
)
def _(xt, eps_hat, t, alpha_bar, z, variance):
    values = tables(t, alpha_bar)
    return step_mean(xt, eps_hat, values) + step_noise(xt, t, values, z, "beta")


@p_step.misconception(
    "an unknown variance passes for beta_t",
    hint='Your else branch takes whatever is not "posterior" for "beta". A misspelt word should end in a ValueError '
    "that says what is allowed.",
)
def _(xt, eps_hat, t, alpha_bar, z, variance="posterior"):
    values = tables(t, alpha_bar)
    return step_mean(xt, eps_hat, values) + step_noise(xt, t, values, z, variance)


@p_step.misconception(
    "an unknown variance passes for the posterior one",
    hint='Whatever is not "beta" gets the posterior variance. A misspelt word should end in a ValueError that says '
    "what is allowed.",
)
def _(xt, eps_hat, t, alpha_bar, z, variance="posterior"):
    values = tables(t, alpha_bar)
    return step_mean(xt, eps_hat, values) + step_noise(xt, t, values, z, "beta" if variance == "beta" else "posterior")


@p_step.misconception(
    "an unknown variance ends in another exception",
    hint="The error is of the wrong kind (a KeyError from a dict, an AssertionError, an UnboundLocalError). Test the "
    "word and raise ValueError with a message.",
)
def _(xt, eps_hat, t, alpha_bar, z, variance="posterior"):
    values = tables(t, alpha_bar)
    name = {"posterior": "posterior", "beta": "beta"}[variance]
    return step_mean(xt, eps_hat, values) + step_noise(xt, t, values, z, name)


@_wrong(*CLIPPED)
def _(xt, eps_hat, t, alpha_bar, z, variance):
    now, before, alpha, beta = (along(value, xt) for value in tables(t, alpha_bar))
    x0 = ((xt - (1 - now).sqrt() * eps_hat) / now.sqrt()).clamp(-1, 1)
    mean = (before.sqrt() * beta * x0 + alpha.sqrt() * (1 - before) * xt) / (1 - now)
    return mean + step_noise(xt, t, tables(t, alpha_bar), z, variance)


@_wrong(*EARLY)
def _(xt, eps_hat, t, alpha_bar, z, variance):
    values = early(t, alpha_bar)
    return step_mean(xt, eps_hat, values) + step_noise(xt, t, values, z, variance)


@_wrong(*SHIFTED)
def _(xt, eps_hat, t, alpha_bar, z, variance):
    values = shifted(t, alpha_bar)
    return step_mean(xt, eps_hat, values) + step_noise(xt, t, values, z, variance)


@_wrong(*ONE_TIME)
def _(xt, eps_hat, t, alpha_bar, z, variance):
    values = tables(first_of(t), alpha_bar)
    return step_mean(xt, eps_hat, values) + step_noise(xt, t, values, z, variance)


@_wrong(*AXIS)
def _(xt, eps_hat, t, alpha_bar, z, variance):
    now, before, alpha, beta = tables(t, alpha_bar)
    squared = beta * (1 - before) / (1 - now) if variance == "posterior" else beta
    return (xt - beta / (1 - now).sqrt() * eps_hat) / alpha.sqrt() + (squared * (t > 1)).sqrt() * z


@_wrong(*FRESH)
def _(xt, eps_hat, t, alpha_bar, z, variance):
    values = tables(t, alpha_bar)
    return step_mean(xt, eps_hat, values) + step_noise(xt, t, values, torch.randn_like(xt), variance)


@_wrong(*OVERWRITTEN)
def _(xt, eps_hat, t, alpha_bar, z, variance):
    values = tables(t, alpha_bar)
    now, _, alpha, beta = (along(value, xt) for value in values)
    xt.sub_(beta / (1 - now).sqrt() * eps_hat).div_(alpha.sqrt())
    return xt.add_(step_noise(xt, t, values, z, variance))
