"""The variance along a chain with any factor before the picture: `variance_after`."""

from __future__ import annotations

import torch

from ...exercise import exercise
from .shared import uneven_beta


@exercise("variance_after", points=2)
def variance_after(student, case):
    """x_t = keep[t] x_{t-1} + sqrt(beta[t]) eps on data of variance 1 -> Var[x_t], (T + 1,), entry 0 = 1."""
    truth = variance_after.oracle
    steps = case.integer(5, 8)
    beta, keep = uneven_beta(case, steps), case.uniform(steps + 1, low=0.3, high=1.3)
    keep[0] = 1.0
    case.expect(student(keep, beta), truth(keep, beta), "any factors, a short schedule", points=0.75)
    once = (keep[:2], beta[:2])
    case.expect(student(*once), truth(*once), "a single step", points=0.25, dtype=True)
    fine = torch.cat([torch.zeros(1), torch.linspace(1e-3, case.number(0.05, 0.15), 200)]).double()
    for factor, what in ((torch.ones_like(fine), "two hundred steps, factor 1"), (1 - fine, "two hundred, 1 - beta")):
        case.expect(student(factor, fine), truth(factor, fine), what, points=0.25)
    gone = (torch.tensor([1.0, 0.0, 0.5]).double(), torch.tensor([0.0, 1e-10, 1e-12]).double())  # no floor
    case.conventions(student, (keep, beta), truth, points=0.5, also=[gone])


@variance_after.truth
def truth(keep, beta):
    # All times at once: v_t - keep_t^2 v_{t-1} = beta_t is a triangular system, with v_0 = 1.
    wide_keep, right = keep.double(), beta.double().clone()
    right[0] = 1.0
    system = torch.eye(len(right), dtype=torch.float64) - torch.diag(wide_keep[1:] ** 2, -1)
    return torch.linalg.solve_triangular(system, right[:, None], upper=False)[:, 0].to(beta.dtype)


def _walk(keep, beta, step):
    """The table 1, v_1, ..., v_T with v_t = step(v_{t-1}, keep_t, beta_t)."""
    v = [torch.ones_like(beta[0])]
    for k, b in zip(keep[1:], beta[1:], strict=True):
        v.append(step(v[-1], k, b))
    return torch.stack(v)


@variance_after.misconception(
    "keep is not squared",
    hint="A factor comes out of a variance squared: Var[c x] = c^2 Var[x].",
)
def keep_is_not_squared(keep, beta):
    return _walk(keep, beta, lambda v, k, b: k * v + b)


@variance_after.misconception(
    "the noise's standard deviation is added",
    hint="The noise is sqrt(beta) eps, and a factor comes out of a variance squared: it adds beta, not its root.",
)
def noises_standard_deviation_is_added(keep, beta):
    return _walk(keep, beta, lambda v, k, b: k**2 * v + b.sqrt())


@variance_after.misconception(
    "beta is squared",
    hint="The factor of the noise is sqrt(beta); squared it is beta. You squared beta itself.",
)
def beta_is_squared(keep, beta):
    return _walk(keep, beta, lambda v, k, b: k**2 * v + b**2)


@variance_after.misconception(
    "standard deviations are added",
    hint="Picture and noise are independent, so their VARIANCES add. Standard deviations add like the sides of a "
    "right triangle, not end to end.",
)
def standard_deviations_are_added(keep, beta):
    return _walk(keep, beta, lambda v, k, b: (k * v.sqrt() + b.sqrt()) ** 2)


@variance_after.misconception(
    "the standard deviation is returned",
    hint="Your table holds the root. Asked for is the variance.",
)
def standard_deviation_is_returned(keep, beta):
    return _walk(keep, beta, lambda v, k, b: k**2 * v + b).sqrt()


@variance_after.misconception(
    "earlier noise is not shrunk",
    hint="keep[t] multiplies all of x_{t-1}: the picture and the noise that is already in it. You shrink the picture "
    "alone and add up the betas.",
)
def earlier_noise_is_not_shrunk(keep, beta):
    return torch.cumprod(keep**2, 0) + torch.cumsum(beta, 0)


@variance_after.misconception(
    "the noise is shrunk as well",
    hint="keep[t] multiplies x_{t-1}. The noise of step t itself comes afterwards, at full strength.",
)
def noise_is_shrunk_as_well(keep, beta):
    return _walk(keep, beta, lambda v, k, b: k**2 * (v + b))


@variance_after.misconception(
    "the data's own variance is left out",
    hint="At t = 0 there is data of variance 1, not a point: entry 0 is 1, and every later entry contains what is "
    "left of it.",
)
def datas_own_variance_is_left_out(keep, beta):
    return _walk(keep, beta, lambda v, k, b: k**2 * v + b) - torch.cumprod(keep**2, 0)


@variance_after.misconception(
    "the variance is taken to stay 1",
    hint="That is true for one choice of keep only, the one with keep^2 + beta = 1. This function is there to find "
    "out about the others.",
)
def variance_is_taken_to_stay_1(keep, beta):
    return torch.ones_like(beta)


@variance_after.misconception(
    "the tables are read one step early",
    hint="Step t uses keep[t] and beta[t]. The tables have T + 1 entries, and entry 0 belongs to the clean data.",
)
def tables_are_read_one_step_early(keep, beta):
    return _walk(keep.roll(1), beta.roll(1), lambda v, k, b: k**2 * v + b)


@variance_after.misconception(
    "the entry of t = 0 is missing",
    hint="The result has T + 1 entries like beta; entry 0 is the variance of the data, 1.",
)
def entry_of_t_0_is_missing(keep, beta):
    return _walk(keep, beta, lambda v, k, b: k**2 * v + b)[1:]


@variance_after.misconception(
    "only the last variance is returned",
    hint="Asked for is the variance at EVERY time: collect each value on the way, (T + 1,) in all.",
)
def only_last_variance_is_returned(keep, beta):
    return _walk(keep, beta, lambda v, k, b: k**2 * v + b)[-1]


@variance_after.alternative("the table filled in place")
def table_filled_in_place(keep, beta):
    v = torch.ones_like(beta)
    for t in range(1, len(v)):
        v[t] = keep[t] ** 2 * v[t - 1] + beta[t]
    return v


@variance_after.alternative("Python floats")
def python_floats(keep, beta):
    values = [1.0]
    for k, b in zip(keep.tolist()[1:], beta.tolist()[1:], strict=True):
        values.append(k * k * values[-1] + b)
    return torch.tensor(values, dtype=beta.dtype, device=beta.device)


@variance_after.alternative("every noise followed to the end")
def every_noise_followed_to_end(keep, beta):
    shares = torch.ones_like(beta[:1])  # variance in x_t of the data, then of each noise
    out = [shares.sum()]
    for t in range(1, len(beta)):
        shares = torch.cat([keep[t] ** 2 * shares, beta[t : t + 1]])
        out.append(shares.sum())
    return torch.stack(out)
