"""What is left of the signal in continuous time: `vp_alpha_bar`."""

from __future__ import annotations

from itertools import pairwise

import torch

from ...exercise import exercise
from ..diffusion import OVERWRITTEN


@exercise("vp_alpha_bar", points=1)
def vp_alpha_bar(student, case):
    """exp of minus the integral of beta_min + (beta_max - beta_min) u from 0 to tau, like tau."""
    truth = vp_alpha_bar.oracle
    low, high = case.number(0.2, 1.0), case.number(2.0, 8.0)
    tau = case.uniform(5, low=0.05, high=0.6)
    case.expect(student(tau), truth(tau), "the default rate", points=0.25, dtype=True)
    grid = case.uniform(3, 4)
    case.expect(
        [student(grid, low, high), student(grid, beta_min=high, beta_max=high)],
        [truth(grid, low, high), truth(grid, high, high)],
        "other rates, a constant one among them",
        points=0.25,
    )
    ends = torch.stack([torch.zeros(2), torch.tensor([0.5, 1.0])]).double()
    single = case.uniform(low=0.2, high=0.8)
    case.expect(
        [student(ends, low, 3.0), student(single, low, 3.0)],
        [truth(ends, low, 3.0), truth(single, low, 3.0)],
        "both ends, and a tensor without axes",
        points=0.25,
    )
    gone = torch.tensor([[1.0]], dtype=torch.float64), 0.25, 40.0
    case.conventions(student, (tau, low, high), truth, points=0.25, also=[gone, (grid[:1, :1], low, high), (grid,)])


@vp_alpha_bar.truth
def truth(tau, beta_min=0.1, beta_max=20.0):
    """The chain's own products with ever more steps, extrapolated to infinitely many (Richardson)."""

    def product(steps):
        middle = (torch.arange(steps, dtype=torch.float64) + 0.5) / steps
        rate = beta_min + (beta_max - beta_min) * middle * tau.double()[..., None]
        return torch.log1p(-rate * tau.double()[..., None] / steps).sum(-1)

    row = [product(steps) for steps in (400, 800, 1600, 3200, 6400)]
    for power in range(1, len(row)):
        row = [(2**power * fine - coarse) / (2**power - 1) for coarse, fine in pairwise(row)]
    return row[0].exp().to(tau.dtype)


@vp_alpha_bar.alternative("the mean of the rate at both ends")
def trapezoid(tau, beta_min=0.1, beta_max=20.0):
    rate = beta_min + tau * (beta_max - beta_min)
    return torch.exp(-tau * (beta_min + rate) / 2)


@vp_alpha_bar.alternative("powers of e")
def powers_of_e(tau, beta_min=0.1, beta_max=20.0):
    return (-beta_min * tau).exp() * (-0.5 * (beta_max - beta_min) * tau**2).exp()


@vp_alpha_bar.alternative("from the coefficient of the mean, as published code has it")
def from_mean_coefficient(tau, beta_min=0.1, beta_max=20.0):
    log_mean = -0.25 * tau.square() * (beta_max - beta_min) - 0.5 * tau * beta_min
    return torch.exp(log_mean).square()


@vp_alpha_bar.alternative("the integral of the rate")
def integral_of_rate(tau, beta_min=0.1, beta_max=20.0):
    spent = beta_min * tau + (beta_max - beta_min) * tau**2 / 2
    return torch.exp(-spent)


def _spent(tau, beta_min, beta_max):
    return beta_min * tau + (beta_max - beta_min) * tau**2 / 2


@vp_alpha_bar.misconception(
    "the square root of it",
    hint="exp(-1/2 of the integral) is what x_0 is multiplied by. alpha_bar is its square, the share of the variance.",
)
def square_root(tau, beta_min=0.1, beta_max=20.0):
    return torch.exp(-_spent(tau, beta_min, beta_max) / 2)


@vp_alpha_bar.misconception(
    "the half of tau^2 is missing",
    hint="The rate changes on the way: the integral of u from 0 to tau is tau^2 / 2, while rate(tau) tau takes the "
    "last value for all of it.",
)
def half_missing(tau, beta_min=0.1, beta_max=20.0):
    return torch.exp(-(beta_min * tau + (beta_max - beta_min) * tau**2))


@vp_alpha_bar.misconception(
    "the rate in place of its integral",
    hint="The logarithms of all factors up to tau add up: an integral of the rate stands in the exponent.",
)
def rate_for_integral(tau, beta_min=0.1, beta_max=20.0):
    return torch.exp(-(beta_min + (beta_max - beta_min) * tau))


@vp_alpha_bar.misconception(
    "beta_max without beta_min taken off",
    hint="The slope of the rate is beta_max - beta_min.",
)
def slope_without_beta_min(tau, beta_min=0.1, beta_max=20.0):
    return torch.exp(-(beta_min * tau + beta_max * tau**2 / 2))


@vp_alpha_bar.misconception(
    "the sign of the exponent",
    hint="Signal is lost on the way: alpha_bar falls from 1 towards 0.",
)
def sign_of_exponent(tau, beta_min=0.1, beta_max=20.0):
    return torch.exp(_spent(tau, beta_min, beta_max))


@vp_alpha_bar.misconception(
    "the noise in place of the signal",
    hint="You return 1 - alpha_bar, the variance of the noise. Asked is what is left of the signal.",
)
def noise_for_signal(tau, beta_min=0.1, beta_max=20.0):
    return 1 - torch.exp(-_spent(tau, beta_min, beta_max))


@vp_alpha_bar.misconception(
    "the arguments are ignored",
    hint="beta_min and beta_max are arguments; 0.1 and 20 are only what they are when nobody says.",
)
def arguments_ignored(tau, beta_min=0.1, beta_max=20.0):
    return torch.exp(-_spent(tau, 0.1, 20.0))


@vp_alpha_bar.misconception(
    "a straight line",
    hint="log(1 - u) = -u holds for the small u of one step. The product of many is an exponential.",
)
def straight_line(tau, beta_min=0.1, beta_max=20.0):
    return 1 - _spent(tau, beta_min, beta_max)


@vp_alpha_bar.misconception(
    "a table's beta in place of a rate",
    hint="beta_min and beta_max are rates, per unit of tau. Divided by a thousand they are a chain's single steps.",
)
def table_for_rate(tau, beta_min=0.1, beta_max=20.0):
    return torch.exp(-_spent(tau, beta_min, beta_max) / 1000)


@vp_alpha_bar.misconception(*OVERWRITTEN)
def overwritten(tau, beta_min=0.1, beta_max=20.0):
    return tau.mul_(-(beta_min + (beta_max - beta_min) * tau / 2)).exp_()
