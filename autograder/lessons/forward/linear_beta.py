"""The linear schedule: `linear_beta`."""

from __future__ import annotations

import torch

from ...exercise import exercise


@exercise("linear_beta", points=1)
def linear_beta(student, case):
    """(T + 1,) float32: beta[0] = 0, beta[1] = first, beta[T] = last, equally spaced between."""
    truth = linear_beta.oracle
    steps, first, last = case.integer(5, 8), case.number(0.2, 0.3), case.number(0.5, 0.6)
    case.expect(student(steps, first, last), truth(steps, first, last), "a short line with given ends", points=0.5)
    falling = (2, last, first)  # the shortest line, and a falling one
    case.expect(student(*falling), truth(*falling), "two steps, falling", points=0.25)
    case.expect(
        student(1000), truth(1000), "the usual 1000 steps with the usual ends, in float32", points=0.25, dtype=True
    )


@linear_beta.truth
def truth(T, first=1e-4, last=0.02):
    line = [first * (T - t) / (T - 1) + last * (t - 1) / (T - 1) for t in range(1, T + 1)]
    return torch.tensor([0.0, *line])


@linear_beta.misconception(
    "the entry of t = 0 is missing",
    hint="The table has T + 1 entries, so that beta[t] is the noise of step t. Put a 0 for the clean data in front.",
)
def entry_of_t_0_is_missing(T, first=1e-4, last=0.02):
    return torch.linspace(first, last, T)


@linear_beta.misconception(
    "the line starts at t = 0",
    hint="You spread the line over T + 1 entries, so that beta[0] = first. No noise comes at time 0: beta[0] = 0, "
    "and first belongs to t = 1.",
)
def line_starts_at_t_0(T, first=1e-4, last=0.02):
    return torch.linspace(first, last, T + 1)


@linear_beta.misconception(
    "the line has T + 1 points, the first set to zero",
    hint="You spread the line over t = 0 to T and then wrote a 0 over its first point, so beta[1] lies above first. "
    "The line has T points; the 0 comes extra.",
)
def line_has_t_plus_1_points_first_set_to_zero(T, first=1e-4, last=0.02):
    return torch.cat([torch.zeros(1), torch.linspace(first, last, T + 1)[1:]])


@linear_beta.misconception(
    "the line starts from zero",
    hint="beta[0] = 0 stands apart. The line itself runs from first at t = 1 to last at t = T, it does not pass "
    "through 0.",
)
def line_starts_from_zero(T, first=1e-4, last=0.02):
    return torch.linspace(0, last, T + 1)


@linear_beta.misconception(
    "the line stops one step short",
    hint="From t = 1 to t = T there are T points but T - 1 gaps. Divide by T - 1, and beta[T] is last.",
)
def line_stops_one_step_short(T, first=1e-4, last=0.02):
    return torch.cat([torch.zeros(1), first + (last - first) * torch.arange(T) / T])


@linear_beta.misconception(
    "the line is in the roots",
    hint="You spaced the square roots equally and squared them, as some image models do. Here the betas themselves "
    "are equally spaced.",
)
def line_is_in_roots(T, first=1e-4, last=0.02):
    return torch.cat([torch.zeros(1), torch.linspace(first**0.5, last**0.5, T) ** 2])


@linear_beta.misconception(
    "the ends are scaled by 1000 / T",
    hint="Some libraries stretch the line when there are fewer steps. Here first and last are what they are called, "
    "whatever T is.",
)
def ends_are_scaled_by_1000_over_t(T, first=1e-4, last=0.02):
    return torch.cat([torch.zeros(1), torch.linspace(first * 1000 / T, last * 1000 / T, T)])


@linear_beta.misconception(
    "the arguments first and last are not used",
    hint="Your line always has the usual ends. Put the arguments first and last in their place.",
)
def arguments_first_and_last_are_not_used(T, first=1e-4, last=0.02):
    return torch.cat([torch.zeros(1), torch.linspace(1e-4, 0.02, T)])


@linear_beta.misconception(
    "alpha in place of beta",
    hint="You returned 1 - beta. The table asked for holds the noise, which is small.",
)
def alpha_in_place_of_beta(T, first=1e-4, last=0.02):
    return 1 - torch.cat([torch.zeros(1), torch.linspace(first, last, T)])


@linear_beta.alternative("a loop over t")
def loop_over_t(T, first=1e-4, last=0.02):
    beta = torch.zeros(T + 1)
    for t in range(1, T + 1):
        beta[t] = first + (last - first) * (t - 1) / (T - 1)
    return beta


@linear_beta.alternative("lerp")
def lerp(T, first=1e-4, last=0.02):
    line = torch.lerp(torch.tensor(first), torch.tensor(last), torch.arange(T) / (T - 1))
    return torch.nn.functional.pad(line, (1, 0))


@linear_beta.alternative("in double precision, then rounded")
def in_double_precision_then_rounded(T, first=1e-4, last=0.02):
    beta = torch.empty(T + 1, dtype=torch.float64)
    beta[0], beta[1:] = 0, torch.linspace(first, last, T, dtype=torch.float64)
    return beta.to(torch.float32)
