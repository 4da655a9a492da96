"""One step back: `p_step`, its checks and right answers."""

from __future__ import annotations

import torch

from ...conventions import ones
from ...exercise import exercise
from ...student import Failure
from ..diffusion import along, clean, condition, edges, ranks, schedule, tables
from .shared import times


@exercise("p_step", points=3)
def p_step(student, case):
    """x_{t-1} = (x_t - beta_t / sqrt(1 - alpha_bar_t) eps) / sqrt(alpha_t) + sigma_t z, with no z where t = 1."""
    truth, steps = p_step.oracle, case.integer(6, 9)
    alpha_bar = schedule(case, steps)

    def inputs(*shape, first=1, place=0):
        t = times(case, steps, shape[0], first)
        earliest = int(t.argmin())
        t[[place, earliest]] = t[[earliest, place]]  # where t = 1 stands is no matter of chance
        return 2 * case.normal(*shape), case.normal(*shape), t, alpha_bar, case.normal(*shape)

    rows, square = inputs(*case.sizes(2, low=4)), inputs(*[case.integer(4, 7)] * 2)
    images, later = inputs(*case.sizes(4, low=4, high=8), place=-1), inputs(*case.sizes(2, low=4), first=2)
    case.expect(student(*rows), truth(*rows), "t from 1 to T, posterior variance", points=0.75, dtype=True)
    case.expect(student(*later, "beta"), truth(*later, "beta"), "t from 2 to T, variance beta_t", points=0.5)
    case.expect(student(*rows, "beta"), truth(*rows, "beta"), "t from 1 to T, variance beta_t", points=0.25)
    first = torch.ones(len(later[2]), dtype=torch.long)
    last = *later[:2], first, alpha_bar, 50 * later[4]
    case.expect(
        [student(*last), student(*last, variance="beta")],
        [truth(*last), truth(*last, "beta")],
        "no noise at t = 1, whatever the variance",
        points=0.25,
    )
    case.expect(
        [student(*images), student(*square)],
        [truth(*images), truth(*square)],
        "images, and a batch as long as its last axis",
        points=0.5,
    )
    both = student(*rows, variance="posterior"), student(*rows, variance="beta")
    others = "small", "Beta", "post", "betas", "b", ""  # nothing but the two words: no prefix, no part, no other case
    refused = student.several(*({"op": "call", "args": [*rows, name], "kwargs": {}} for name in others))
    case.expect(
        [*map(refusal, refused), *map(answered, both)],
        [*["ValueError"] * len(others), True, True],
        "a ValueError for any other variance",
        points=0.25,
        hint="a misspelt word must not silently mean one of the two",
    )

    def at(t, levels):
        return case.normal(3, 4), case.normal(3, 4), t, levels, case.normal(3, 4)

    also = [*(inputs(*shape) for shape in ranks(4)), ones(rows), *edges(case, at)]
    case.conventions(student, rows, truth, points=0.5, also=also)


def refusal(value):
    """The name of the exception that a call ended in, "ValueError" for whatever derives from it; its value where there
    was none, the Failure where nothing answered.
    """
    if not isinstance(value, Failure):
        return "words" if isinstance(value, str) else value
    if value.is_a("ValueError"):
        return "ValueError"
    return value.cause.partition(":")[0] if value.kind == "raised" else value


def answered(value):
    """Whether a call gave a tensor, or the Failure that it gave instead."""
    return value if isinstance(value, Failure) else isinstance(value, torch.Tensor)


@p_step.truth
def truth(xt, eps_hat, t, alpha_bar, z, variance="posterior"):
    """Through x_0: the regression of x_{t-1} on x_t, at the x_0 that eps_hat points to."""
    if variance not in ("posterior", "beta"):
        raise ValueError(f"variance is 'posterior' or 'beta', not {variance!r}")
    c0, ct, spread = (along(value, xt) for value in condition(t, alpha_bar))
    mean = c0 * clean(xt, eps_hat, t, alpha_bar) + ct * xt.double()
    if variance == "beta":
        spread = along(1 - alpha_bar.double()[t] / alpha_bar.double()[t - 1], xt)
    noisy = mean + spread.clamp(min=0.0).sqrt() * z.double()
    return torch.where(along(t, xt) == 1, mean, noisy).to(xt.dtype)


def step_mean(xt, eps_hat, values):
    now, _, alpha, beta = (along(value, xt) for value in values)
    return (xt - beta / (1 - now).sqrt() * eps_hat) / alpha.sqrt()


def step_noise(like, t, values, z, variance):
    """sigma_t z, nothing where t = 1."""
    now, before, _, beta = values
    squared = beta * (1 - before) / (1 - now) if variance == "posterior" else beta
    return along(torch.where(t > 1, squared, torch.zeros_like(squared)).sqrt(), like) * z


def require_known(variance):
    if variance not in ("posterior", "beta"):
        raise ValueError(variance)


@p_step.alternative("the eps form, noise masked")
def eps_form_noise_masked(xt, eps_hat, t, alpha_bar, z, variance="posterior"):
    require_known(variance)
    values = tables(t, alpha_bar)
    return step_mean(xt, eps_hat, values) + step_noise(xt, t, values, z, variance)


@p_step.alternative("through x_0 and the posterior's coefficients")
def through_x_0_and_posteriors_coefficients(xt, eps_hat, t, alpha_bar, z, variance="posterior"):
    now, before, alpha, beta = (along(value, xt) for value in tables(t, alpha_bar))
    variances = {"posterior": beta * (1 - before) / (1 - now), "beta": beta}
    try:
        squared = variances[variance]
    except KeyError:
        raise ValueError(f"unknown variance {variance!r}") from None
    x0 = (xt - (1 - now).sqrt() * eps_hat) / now.sqrt()
    mean = (before.sqrt() * beta * x0 + alpha.sqrt() * (1 - before) * xt) / (1 - now)
    return mean + squared.sqrt() * torch.where(along(t, xt) > 1, z, torch.zeros_like(z))


@p_step.alternative("example by example")
def example_by_example(xt, eps_hat, t, alpha_bar, z, variance="posterior"):
    if variance not in ["posterior", "beta"]:
        raise ValueError("variance must be posterior or beta")
    rows = []
    for x, e, noise, step in zip(xt, eps_hat, z, t.tolist(), strict=True):
        beta = 1 - alpha_bar[step] / alpha_bar[step - 1]
        row = (x - beta * e / (1 - alpha_bar[step]) ** 0.5) / (1 - beta) ** 0.5
        if step > 1:
            ratio = (1 - alpha_bar[step - 1]) / (1 - alpha_bar[step]) if variance == "posterior" else 1.0
            row = row + (beta * ratio) ** 0.5 * noise
        rows.append(row)
    return torch.stack(rows)
