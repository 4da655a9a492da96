"""A schedule by its signal: `cosine_alpha_bar`."""

from __future__ import annotations

import math

import torch

from ...exercise import exercise


@exercise("cosine_alpha_bar", points=2)
def cosine_alpha_bar(student, case):
    """(T + 1,) float32: f(t)/f(0), f(t) = cos^2((t/T + s)/(1 + s) pi/2), not clipped."""
    truth, close = cosine_alpha_bar.oracle, {"rtol": 1e-5}  # a formula in float32 is right to 1e-6
    steps, offset = case.integer(6, 9), case.number(0.1, 0.3)
    case.expect(student(steps), truth(steps), "a short schedule, in float32", points=0.75, dtype=True, **close)
    case.expect(student(steps, offset), truth(steps, offset), "another offset s", points=0.5, **close)
    lengths = (1, 50)
    case.expect([student(T) for T in lengths], [truth(T) for T in lengths], "one step, and fifty", points=0.25, **close)
    case.expect(
        [student(T)[t] for T in (3, 5) for t in (0, -1)],
        [torch.ones(()), torch.zeros(())] * 2,
        "all is left at t = 0, and nothing at t = T",
        points=0.5,
        atol=1e-10,
        hint="the table itself is not clipped; that comes later, where betas are made of it",
    )


@cosine_alpha_bar.truth
def truth(T, s=0.008):
    # cos^2 u = (1 + cos 2u) / 2
    double_cosines = [1 + math.cos(math.pi * (t / T + s) / (1 + s)) for t in range(T + 1)]
    return torch.tensor([c / double_cosines[0] for c in double_cosines])


def _angle(T, s):
    return (torch.arange(T + 1, dtype=torch.float64) / T + s) / (1 + s) * math.pi / 2


@cosine_alpha_bar.misconception(
    "the square is missing",
    hint="f is the cosine squared. alpha_bar is a share of variance, and the cosine is a factor of the picture.",
)
def square_is_missing(T, s=0.008):
    f = _angle(T, s).cos()
    return (f / f[0]).float()


@cosine_alpha_bar.misconception(
    "the division by f(0) is missing",
    hint="Because of the offset f(0) is a little below 1. Divide by it, so that alpha_bar[0] = 1: clean data.",
)
def division_by_f_0_is_missing(T, s=0.008):
    return (_angle(T, s).cos() ** 2).float()


@cosine_alpha_bar.misconception(
    "the offset s is not used",
    hint="s stands in two places: it is added to t/T, and the sum is divided by 1 + s.",
)
def offset_s_is_not_used(T, s=0.008):
    return (_angle(T, 0.0).cos() ** 2).float()


@cosine_alpha_bar.misconception(
    "the division by 1 + s is missing",
    hint="Without it the angle runs past a right angle, and the signal rises again at the end. Divide t/T + s by 1 + "
    "s.",
)
def division_by_1_plus_s_is_missing(T, s=0.008):
    f = torch.cos((torch.arange(T + 1, dtype=torch.float64) / T + s) * math.pi / 2) ** 2
    return (f / f[0]).float()


@cosine_alpha_bar.misconception(
    "only s is divided by 1 + s",
    hint="Division binds more tightly than addition: put t/T + s into brackets before you divide by 1 + s.",
)
def only_s_is_divided_by_1_plus_s(T, s=0.008):
    f = torch.cos((torch.arange(T + 1, dtype=torch.float64) / T + s / (1 + s)) * math.pi / 2) ** 2
    return (f / f[0]).float()


@cosine_alpha_bar.misconception(
    "s is divided by T as well",
    hint="The offset is added to t/T, not to t: t is divided by T first, and s comes afterwards.",
)
def s_is_divided_by_t_as_well(T, s=0.008):
    f = torch.cos((torch.arange(T + 1, dtype=torch.float64) + s) / T / (1 + s) * math.pi / 2) ** 2
    return (f / f[0]).float()


@cosine_alpha_bar.misconception(
    "pi in place of pi/2",
    hint="The angle ends at a right angle, pi/2, where the cosine is 0. Yours goes on to pi, where its square is 1 "
    "again.",
)
def pi_in_place_of_pi_over_2(T, s=0.008):
    f = torch.cos(2 * _angle(T, s)) ** 2
    return (f / f[0]).float()


@cosine_alpha_bar.misconception(
    "the noise in place of the signal",
    hint="Your table rises from 0 to 1: that is 1 - alpha_bar, the share of noise.",
)
def noise_in_place_of_signal(T, s=0.008):
    f = _angle(T, s).cos() ** 2
    return (1 - f / f[0]).float()


@cosine_alpha_bar.misconception(
    "the betas were clipped on the way",
    hint="You went through beta, clipped at 0.999, and back. This table is the formula itself and ends (nearly) at "
    "0; the clipping belongs to beta_from_alpha_bar.",
)
def betas_were_clipped_on_way(T, s=0.008):
    f = _angle(T, s).cos() ** 2
    beta = (1 - f[1:] / f[:-1]).clamp(max=0.999)
    return torch.cat([torch.ones(1), torch.cumprod(1 - beta, 0).float()])


@cosine_alpha_bar.misconception(
    "the table itself is clipped",
    hint="Nothing is clipped here: clean data have alpha_bar = 1, and the end is (nearly) 0.",
)
def table_itself_is_clipped(T, s=0.008):
    f = _angle(T, s).cos() ** 2
    return (f / f[0]).clamp(1e-4, 0.9999).float()


@cosine_alpha_bar.misconception(
    "the table has T entries",
    hint="Times run from 0 to T, both included: T + 1 entries.",
)
def table_has_t_entries(T, s=0.008):
    f = _angle(T, s)[:T].cos() ** 2
    return (f / f[0]).float()


@cosine_alpha_bar.misconception(
    "the table is in double precision",
    hint="A function without tensors among its arguments returns float32: end with .float().",
)
def table_is_in_double_precision(T, s=0.008):
    f = _angle(T, s).cos() ** 2
    return f / f[0]


@cosine_alpha_bar.alternative("in float32 throughout")
def in_float32_throughout(T, s=0.008):
    t = torch.linspace(0, T, T + 1)
    f = torch.cos(((t / T) + s) / (1 + s) * torch.pi * 0.5).pow(2)
    return f / f[0]


@cosine_alpha_bar.alternative("the sine of the complement, in a loop")
def sine_of_complement_in_loop(T, s=0.008):
    f = [math.sin((1 - t / T) / (1 + s) * math.pi / 2) ** 2 for t in range(T + 1)]
    return torch.tensor(f) / f[0]


@cosine_alpha_bar.alternative("a nested function, as in the paper")
def nested_function_as_in_paper(T, s=0.008):
    def f(t):
        return math.cos((t / T + s) / (1 + s) * math.pi / 2) ** 2

    return torch.tensor([f(t) / f(0) for t in range(T + 1)], dtype=torch.float32)


@cosine_alpha_bar.alternative("all times at once in double precision")
def all_times_in_double_precision(T, s=0.008):
    t = torch.arange(T + 1, dtype=torch.float64)
    f = torch.cos((t / T + s) / (1 + s) * math.pi / 2) ** 2
    return (f / f[0]).float()
