"""Wrong answers that the checks of `p_step` are tested with."""

from __future__ import annotations

from functools import wraps

import torch

from ..diffusion import AXIS, EARLY, ONE_TIME, OVERWRITTEN, SHIFTED, along, early, first_of, shifted, tables
from .p_step import p_step, require_known, step_mean, step_noise
from .shared import CLIPPED, FRESH


def refusing(step):
    """The step for a variance that is one of the two; for any other, the ValueError that is asked for."""

    @wraps(step)
    def checked(xt, eps_hat, t, alpha_bar, z, variance="posterior"):
        require_known(variance)
        return step(xt, eps_hat, t, alpha_bar, z, variance)

    return checked


@p_step.misconception(
    "noise at the last step too",
    hint="Where t = 1 the mean is the answer. Noise added there, with variance beta_1, stays in the picture. Some "
    "published code does it.",
)
@refusing
def noise_at_last_step_too(xt, eps_hat, t, alpha_bar, z, variance):
    values = tables(t, alpha_bar)
    return step_mean(xt, eps_hat, values) + step_noise(xt, t + 1, values, z, variance)


@p_step.misconception(
    "no noise at t = 2 either",
    hint="z is left out where t = 1, and there alone: the times run down to 1, not to 2.",
)
@refusing
def no_noise_at_t_2_either(xt, eps_hat, t, alpha_bar, z, variance):
    values = tables(t, alpha_bar)
    return step_mean(xt, eps_hat, values) + step_noise(xt, t - 1, values, z, variance)


@p_step.misconception(
    "the first example decides whether there is noise",
    hint="Entries of t may differ: each example with t = 1 goes without noise, and no other.",
)
@refusing
def first_example_decides_whether_there_is_noise(xt, eps_hat, t, alpha_bar, z, variance):
    values = tables(t, alpha_bar)
    return step_mean(xt, eps_hat, values) + step_noise(xt, first_of(t), values, z, variance)


@p_step.misconception(
    "no noise for anybody where one t is 1",
    hint="Entries of t may differ: mask the noise example by example, for instance with torch.where.",
)
@refusing
def no_noise_for_anybody_where_one_t_is_1(xt, eps_hat, t, alpha_bar, z, variance):
    values = tables(t, alpha_bar)
    return step_mean(xt, eps_hat, values) + step_noise(xt, t.min().expand(len(t)), values, z, variance)


@p_step.misconception(
    "the variance multiplies the noise",
    hint="beta~_t and beta_t are variances; z is multiplied by the standard deviation, the root.",
)
@refusing
def variance_multiplies_noise(xt, eps_hat, t, alpha_bar, z, variance):
    now, before, _, beta = values = tables(t, alpha_bar)
    squared = beta * (1 - before) / (1 - now) if variance == "posterior" else beta
    return step_mean(xt, eps_hat, values) + along(squared * (t > 1), xt) * z


@p_step.misconception(
    "no noise at all",
    hint="Every step but the last adds sigma_t z. Without it the walk runs into the middle of the data, where no "
    "data are.",
)
@refusing
def no_noise_at_all(xt, eps_hat, t, alpha_bar, z, variance):
    return step_mean(xt, eps_hat, tables(t, alpha_bar))


@p_step.misconception(
    "eps_hat in place of z",
    hint="The predicted noise goes into the mean. What is added afterwards is fresh noise, the z that you are given.",
)
@refusing
def eps_hat_in_place_of_z(xt, eps_hat, t, alpha_bar, z, variance):
    values = tables(t, alpha_bar)
    return step_mean(xt, eps_hat, values) + step_noise(xt, t, values, eps_hat, variance)


@p_step.misconception(
    "the root on 1 - alpha_bar_t is missing",
    hint="eps_hat is multiplied by beta_t / sqrt(1 - alpha_bar_t). Samples made without the root have the right "
    "mean and far too little spread.",
)
@refusing
def root_on_1_minus_alpha_bar_t_is_missing(xt, eps_hat, t, alpha_bar, z, variance):
    now, _, alpha, beta = (along(value, xt) for value in tables(t, alpha_bar))
    return (xt - beta / (1 - now) * eps_hat) / alpha.sqrt() + step_noise(xt, t, tables(t, alpha_bar), z, variance)


@p_step.misconception(
    "sqrt(beta_t) in front of eps_hat",
    hint="sqrt(beta_t) belongs to the noise of one step; eps_hat is the noise of all t steps together, and one "
    "step takes the share beta_t / sqrt(1 - alpha_bar_t) of it.",
)
@refusing
def sqrt_beta_t_in_front_of_eps_hat(xt, eps_hat, t, alpha_bar, z, variance):
    _, _, alpha, beta = (along(value, xt) for value in tables(t, alpha_bar))
    return (xt - beta.sqrt() * eps_hat) / alpha.sqrt() + step_noise(xt, t, tables(t, alpha_bar), z, variance)


@p_step.misconception(
    "the predicted noise is added",
    hint="Going back takes noise away: the sign in the bracket is a minus.",
)
@refusing
def predicted_noise_is_added(xt, eps_hat, t, alpha_bar, z, variance):
    values = tables(t, alpha_bar)
    return step_mean(xt, -eps_hat, values) + step_noise(xt, t, values, z, variance)


@p_step.misconception(
    "1 - alpha_bar_t in place of beta_t",
    hint="beta_t = 1 - alpha_bar[t] / alpha_bar[t - 1] is the variance of one step. 1 - alpha_bar_t is that of all "
    "t steps.",
)
@refusing
def one_minus_alpha_bar_t_in_place_of_beta_t(xt, eps_hat, t, alpha_bar, z, variance):
    now, before, alpha, beta = values = tables(t, alpha_bar)
    wrong = now, before, alpha, 1 - now if variance == "beta" else beta
    return step_mean(xt, eps_hat, values) + step_noise(xt, t, wrong, z, variance)


@p_step.misconception(
    "1 / sqrt(alpha_t) is missing",
    hint="The forward step shrank x_{t-1} by sqrt(alpha_t); going back stretches by as much.",
)
@refusing
def one_over_sqrt_alpha_t_is_missing(xt, eps_hat, t, alpha_bar, z, variance):
    now, _, _, beta = (along(value, xt) for value in tables(t, alpha_bar))
    return xt - beta / (1 - now).sqrt() * eps_hat + step_noise(xt, t, tables(t, alpha_bar), z, variance)


@p_step.misconception(
    "1 / alpha_t in place of 1 / sqrt(alpha_t)",
    hint="One step shrank x_{t-1} by sqrt(alpha_t), not by alpha_t.",
)
@refusing
def one_over_alpha_t_in_place_of_its_root(xt, eps_hat, t, alpha_bar, z, variance):
    now, _, alpha, beta = (along(value, xt) for value in tables(t, alpha_bar))
    return (xt - beta / (1 - now).sqrt() * eps_hat) / alpha + step_noise(xt, t, tables(t, alpha_bar), z, variance)


@p_step.misconception(
    "alpha_bar_t in place of alpha_t",
    hint="Dividing by sqrt(alpha_bar_t) undoes the shrinking of all t steps. You go back one: sqrt(alpha_t).",
)
@refusing
def alpha_bar_t_in_place_of_alpha_t(xt, eps_hat, t, alpha_bar, z, variance):
    now, _, _, beta = (along(value, xt) for value in tables(t, alpha_bar))
    return (xt - beta / (1 - now).sqrt() * eps_hat) / now.sqrt() + step_noise(xt, t, tables(t, alpha_bar), z, variance)


@p_step.misconception(
    "x_0 in place of the mean",
    hint="You jump all the way to the predicted x_0 and add one step's noise. One step back ends at the mean of "
    "x_{t-1}, which leans on x_t as well.",
)
@refusing
def x_0_in_place_of_mean(xt, eps_hat, t, alpha_bar, z, variance):
    now = along(alpha_bar[t], xt)
    return (xt - (1 - now).sqrt() * eps_hat) / now.sqrt() + step_noise(xt, t, tables(t, alpha_bar), z, variance)


@p_step.misconception(
    "the noise is stretched too",
    hint="1 / sqrt(alpha_t) stands before the bracket of the mean alone; sigma_t z is added outside.",
)
@refusing
def noise_is_stretched_too(xt, eps_hat, t, alpha_bar, z, variance):
    values = tables(t, alpha_bar)
    return step_mean(xt, eps_hat, values) + step_noise(xt, t, values, z, variance) / along(values[2], xt).sqrt()


@p_step.misconception(
    "alpha_t in place of beta_t in the posterior variance",
    hint="beta~_t = beta_t (1 - alpha_bar_{t-1}) / (1 - alpha_bar_t). A well-known comment in published code "
    "divides by alpha_t instead.",
)
@refusing
def alpha_t_in_place_of_beta_t_in_posterior_variance(xt, eps_hat, t, alpha_bar, z, variance):
    _, before, alpha, beta = values = tables(t, alpha_bar)
    squared = (1 - before) / alpha if variance == "posterior" else beta * (t > 1)
    return step_mean(xt, eps_hat, values) + along(squared.sqrt(), xt) * z


@p_step.misconception(
    "beta_t is missing from the posterior variance",
    hint="beta~_t = beta_t (1 - alpha_bar_{t-1}) / (1 - alpha_bar_t): a share of one step's variance.",
)
@refusing
def beta_t_is_missing_from_posterior_variance(xt, eps_hat, t, alpha_bar, z, variance):
    now, before, _, beta = values = tables(t, alpha_bar)
    squared = (1 - before) / (1 - now) if variance == "posterior" else beta * (t > 1)
    return step_mean(xt, eps_hat, values) + along(squared.sqrt(), xt) * z


@p_step.misconception(
    "the fraction of the posterior variance upside down",
    hint="beta~_t is smaller than beta_t, since it knows x_0: 1 - alpha_bar_{t-1} stands above, 1 - alpha_bar_t below.",
)
@refusing
def fraction_of_posterior_variance_upside_down(xt, eps_hat, t, alpha_bar, z, variance):
    now, before, _, beta = values = tables(t, alpha_bar)
    squared = beta * (1 - now) / (1 - before) if variance == "posterior" else beta
    return step_mean(xt, eps_hat, values) + along(torch.where(t > 1, squared, 0 * beta).sqrt(), xt) * z


@p_step.misconception(
    "the two variances change places",
    hint='"posterior" is beta~_t, the variance of q(x_{t-1} given x_t, x_0); "beta" is beta_t.',
)
@refusing
def two_variances_change_places(xt, eps_hat, t, alpha_bar, z, variance):
    values, other = tables(t, alpha_bar), "beta" if variance == "posterior" else "posterior"
    return step_mean(xt, eps_hat, values) + step_noise(xt, t, values, z, other)


@p_step.misconception(
    "always the posterior variance",
    hint='With variance="beta" the noise has variance beta_t: the argument is not used.',
)
@refusing
def always_posterior_variance(xt, eps_hat, t, alpha_bar, z, variance):
    values = tables(t, alpha_bar)
    return step_mean(xt, eps_hat, values) + step_noise(xt, t, values, z, "posterior")


@p_step.misconception(
    "always beta_t",
    hint="Unless told otherwise the noise has the posterior variance beta~_t: the argument is not used.",
)
@refusing
def always_beta_t(xt, eps_hat, t, alpha_bar, z, variance):
    values = tables(t, alpha_bar)
    return step_mean(xt, eps_hat, values) + step_noise(xt, t, values, z, "beta")


@p_step.misconception(
    "an unknown variance passes for beta_t",
    hint='Your else branch takes whatever is not "posterior" for "beta". A misspelt word should end in a ValueError '
    "that says what is allowed.",
)
def unknown_variance_passes_for_beta_t(xt, eps_hat, t, alpha_bar, z, variance="posterior"):
    values = tables(t, alpha_bar)
    return step_mean(xt, eps_hat, values) + step_noise(xt, t, values, z, variance)


@p_step.misconception(
    "an unknown variance passes for the posterior one",
    hint='Whatever is not "beta" gets the posterior variance. A misspelt word should end in a ValueError that says '
    "what is allowed.",
)
def unknown_variance_passes_for_posterior_one(xt, eps_hat, t, alpha_bar, z, variance="posterior"):
    values = tables(t, alpha_bar)
    return step_mean(xt, eps_hat, values) + step_noise(xt, t, values, z, "beta" if variance == "beta" else "posterior")


@p_step.misconception(
    "an unknown variance ends in another exception",
    hint="The error is of the wrong kind (a KeyError from a dict, an AssertionError, an UnboundLocalError). Test the "
    "word and raise ValueError with a message.",
)
def unknown_variance_ends_in_another_exception(xt, eps_hat, t, alpha_bar, z, variance="posterior"):
    values = tables(t, alpha_bar)
    name = {"posterior": "posterior", "beta": "beta"}[variance]
    return step_mean(xt, eps_hat, values) + step_noise(xt, t, values, z, name)


@p_step.misconception(*CLIPPED)
@refusing
def x_0_is_clipped(xt, eps_hat, t, alpha_bar, z, variance):
    now, before, alpha, beta = (along(value, xt) for value in tables(t, alpha_bar))
    x0 = ((xt - (1 - now).sqrt() * eps_hat) / now.sqrt()).clamp(-1, 1)
    mean = (before.sqrt() * beta * x0 + alpha.sqrt() * (1 - before) * xt) / (1 - now)
    return mean + step_noise(xt, t, tables(t, alpha_bar), z, variance)


@p_step.misconception(*EARLY)
@refusing
def tables_are_read_one_step_early(xt, eps_hat, t, alpha_bar, z, variance):
    values = early(t, alpha_bar)
    return step_mean(xt, eps_hat, values) + step_noise(xt, t, values, z, variance)


@p_step.misconception(*SHIFTED)
@refusing
def alpha_bar_t_minus_1_is_shifted_twice(xt, eps_hat, t, alpha_bar, z, variance):
    values = shifted(t, alpha_bar)
    return step_mean(xt, eps_hat, values) + step_noise(xt, t, values, z, variance)


@p_step.misconception(*ONE_TIME)
@refusing
def one_t_for_whole_batch(xt, eps_hat, t, alpha_bar, z, variance):
    values = tables(first_of(t), alpha_bar)
    return step_mean(xt, eps_hat, values) + step_noise(xt, t, values, z, variance)


@p_step.misconception(*AXIS)
@refusing
def coefficients_meet_wrong_axis(xt, eps_hat, t, alpha_bar, z, variance):
    now, before, alpha, beta = tables(t, alpha_bar)
    squared = beta * (1 - before) / (1 - now) if variance == "posterior" else beta
    return (xt - beta / (1 - now).sqrt() * eps_hat) / alpha.sqrt() + (squared * (t > 1)).sqrt() * z


@p_step.misconception(*FRESH)
@refusing
def new_noise_is_drawn_inside(xt, eps_hat, t, alpha_bar, z, variance):
    values = tables(t, alpha_bar)
    return step_mean(xt, eps_hat, values) + step_noise(xt, t, values, torch.randn_like(xt), variance)


@p_step.misconception(*OVERWRITTEN)
@refusing
def input_is_overwritten(xt, eps_hat, t, alpha_bar, z, variance):
    values = tables(t, alpha_bar)
    now, _, alpha, beta = (along(value, xt) for value in values)
    xt.sub_(beta / (1 - now).sqrt() * eps_hat).div_(alpha.sqrt())
    return xt.add_(step_noise(xt, t, values, z, variance))
