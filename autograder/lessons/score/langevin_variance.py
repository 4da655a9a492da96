"""Where Langevin dynamics settles on Gaussian data: `langevin_variance`."""

from __future__ import annotations

import math

import torch

from ...exercise import exercise

NEVER = math.inf


@exercise("langevin_variance", points=2)
def langevin_variance(student, case):
    """The fixed point of V -> (1 - a / 2v)^2 V + a, v / (1 - a / 4v), and +inf from a = 4v on."""
    truth, a = langevin_variance.oracle, case.number(0.3, 1.5)
    calm = a * case.uniform(4, low=0.55, high=6.0)
    # One of each is near a / 4, where another factor than 4 would change sides.
    overshooting = a * torch.cat([case.uniform(1, low=0.255, high=0.265), case.uniform(2, low=0.2635, high=0.45)])
    lost = a * torch.cat([case.uniform(1, low=0.235, high=0.245), case.uniform(2, low=0.05, high=0.23)])
    case.expect(student(calm, a), truth(calm, a), "steps that fall short of the mean", points=0.75, dtype=True)
    mixed = torch.cat([overshooting, calm[:1]])
    case.expect(student(mixed, a), truth(mixed, a), "steps that overshoot and still settle", points=0.5)
    edge = torch.tensor([0.25, 0.5, 1.0], dtype=torch.float64)[case.integer(0, 2)]
    at_edge = torch.stack([edge, 1.7 * edge, 0.6 * edge])
    both = torch.cat([lost, calm[1:3]])
    case.expect(
        [student(both, a), student(at_edge, 4 * edge.item())],
        [truth(both, a), truth(at_edge, 4 * edge.item())],
        "where it never settles, the case of equality among it",
        points=0.5,
    )
    every = torch.cat([calm, overshooting, lost])
    slight = 2.0**-40 * every, 2.0**-40 * a
    case.conventions(student, (every, a), truth, points=0.25, also=[slight, (calm[:1], a)])


@langevin_variance.truth
def truth(variance, step_size):
    """The recursion itself, 2^40 steps of it, by doubling: a map V -> G V + A twice is V -> G^2 V + (G + 1) A."""
    v = variance.double()
    gain, added = (1 - step_size / (2 * v)) ** 2, torch.full_like(v, step_size)
    for _ in range(40):
        gain, added = (gain * gain).clamp(max=1e9), (gain + 1) * added
    return torch.where(gain < 0.5, added, torch.full_like(v, NEVER)).to(variance.dtype)


@langevin_variance.alternative("masked assignment")
def masked_assignment(variance, step_size):
    settled = torch.full_like(variance, NEVER)
    fine = variance > step_size / 4
    settled[fine] = variance[fine] / (1 - step_size / (4 * variance[fine]))
    return settled


@langevin_variance.alternative("4 v^2 over 4 v - a, number by number")
def number_by_number(variance, step_size):
    values = [4 * v * v / (4 * v - step_size) if 4 * v > step_size else NEVER for v in variance.tolist()]
    return torch.tensor(values, dtype=variance.dtype, device=variance.device)


@langevin_variance.alternative("a / (1 - g^2)")
def from_gain(variance, step_size):
    gain = 1 - step_size / (2 * variance)
    return torch.where(gain.abs() < 1, step_size / (1 - gain.square()), NEVER).to(variance.dtype)


def _settled(variance, step_size):
    return variance / (1 - step_size / (4 * variance))


def _where(condition, values):
    return torch.where(condition, values, torch.full_like(values, NEVER))


@langevin_variance.misconception(
    "nothing is infinite",
    hint="Beyond a = 4v the formula gives a negative number: no variance. There the walk never settles, which is +inf.",
)
def nothing_infinite(variance, step_size):
    return _settled(variance, step_size)


@langevin_variance.misconception(
    "overshooting is taken for divergence",
    hint="For a > 2v the factor 1 - a / 2v is negative: the walk overshoots. It still settles as long as the factor "
    "lies above -1.",
)
def overshooting_diverges(variance, step_size):
    return _where(step_size < 2 * variance, _settled(variance, step_size))


@langevin_variance.misconception(
    "a / 2v in place of a / 4v",
    hint="(1 - a / 2v)^2 = 1 - a / v + a^2 / 4v^2: one less that is a / v (1 - a / 4v).",
)
def half_for_quarter(variance, step_size):
    return _where(step_size < 4 * variance, variance / (1 - step_size / (2 * variance)))


@langevin_variance.misconception(
    "the sign in the denominator is turned",
    hint="Larger steps end too wide, not too narrow: the denominator is less than one.",
)
def sign_turned(variance, step_size):
    return _where(step_size < 4 * variance, variance / (1 + step_size / (4 * variance)))


@langevin_variance.misconception(
    "the data's own variance",
    hint="Only in the limit of small steps do the chains end at v. Solve V = g^2 V + a for finite ones.",
)
def own_variance(variance, step_size):
    return _where(step_size < 4 * variance, variance.clone())


@langevin_variance.misconception(
    "first order in the step size",
    hint="v + a / 4 is where Taylor's series begins. The exact fixed point is asked for.",
)
def first_order(variance, step_size):
    return _where(step_size < 4 * variance, variance + step_size / 4)


@langevin_variance.misconception(
    "the standard deviation",
    hint="Asked is the variance at which the walk settles, without a root.",
)
def standard_deviation(variance, step_size):
    return _where(step_size < 4 * variance, _settled(variance, step_size).sqrt())


@langevin_variance.misconception(
    "NaN where it never settles",
    hint="Where the variance grows without end the answer is +inf, float('inf') or math.inf, not NaN.",
)
def nan_for_infinity(variance, step_size):
    return torch.where(step_size < 4 * variance, _settled(variance, step_size), torch.nan).to(variance.dtype)


@langevin_variance.misconception(
    "zero where it never settles",
    hint="Where the variance grows without end the answer is +inf, not zero.",
)
def zero_for_infinity(variance, step_size):
    return torch.where(step_size < 4 * variance, _settled(variance, step_size), 0.0).to(variance.dtype)


@langevin_variance.misconception(
    "the gain is not squared",
    hint="A variable that is multiplied by g has its variance multiplied by g^2.",
)
def gain_not_squared(variance, step_size):
    return _where(step_size < 4 * variance, 2 * variance)


@langevin_variance.misconception(
    "the step without its half",
    hint="langevin_step climbs half of the step size: the factor in front of x is 1 - a / 2v.",
)
def step_without_half(variance, step_size):
    return _where(step_size < 2 * variance, step_size / (1 - (1 - step_size / variance) ** 2))


@langevin_variance.misconception(
    "(1 - g)^2 in place of 1 - g^2",
    hint="V = g^2 V + a gives V (1 - g^2) = a. That is (1 - g)(1 + g), not the square of 1 - g.",
)
def square_of_difference(variance, step_size):
    return _where(step_size < 4 * variance, step_size / (step_size / (2 * variance)) ** 2)
