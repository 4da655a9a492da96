"""Schedules by their signal: `cosine_alpha_bar`, `beta_from_alpha_bar`."""

from __future__ import annotations

import math

import torch

from ...exercise import exercise
from .inputs import uneven_alpha_bar

LESSON = "04-forward"


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
        atol=1e-6,
        hint="the table itself is not clipped; that comes later, where betas are made of it",
    )


@cosine_alpha_bar.truth
def _(T, s=0.008):
    # cos^2 u = (1 + cos 2u) / 2
    double_cosines = [1 + math.cos(math.pi * (t / T + s) / (1 + s)) for t in range(T + 1)]
    return torch.tensor([c / double_cosines[0] for c in double_cosines])


def _angle(T, s):
    return (torch.arange(T + 1, dtype=torch.float64) / T + s) / (1 + s) * math.pi / 2


@cosine_alpha_bar.misconception(
    "the square is missing",
    hint="f is the cosine squared. alpha_bar is a share of variance, and the cosine is a factor of the picture.",
)
def _(T, s=0.008):
    f = _angle(T, s).cos()
    return (f / f[0]).float()


@cosine_alpha_bar.misconception(
    "the division by f(0) is missing",
    hint="Because of the offset f(0) is a little below 1. Divide by it, so that alpha_bar[0] = 1: clean data.",
)
def _(T, s=0.008):
    return (_angle(T, s).cos() ** 2).float()


@cosine_alpha_bar.misconception(
    "the offset s is not used",
    hint="s stands in two places: it is added to t/T, and the sum is divided by 1 + s.",
)
def _(T, s=0.008):
    return (_angle(T, 0.0).cos() ** 2).float()


@cosine_alpha_bar.misconception(
    "the division by 1 + s is missing",
    hint="Without it the angle runs past a right angle, and the signal rises again at the end. Divide t/T + s by 1 + "
    "s.",
)
def _(T, s=0.008):
    f = torch.cos((torch.arange(T + 1, dtype=torch.float64) / T + s) * math.pi / 2) ** 2
    return (f / f[0]).float()


@cosine_alpha_bar.misconception(
    "only s is divided by 1 + s",
    hint="Division binds more tightly than addition: put t/T + s into brackets before you divide by 1 + s.",
)
def _(T, s=0.008):
    f = torch.cos((torch.arange(T + 1, dtype=torch.float64) / T + s / (1 + s)) * math.pi / 2) ** 2
    return (f / f[0]).float()


@cosine_alpha_bar.misconception(
    "s is divided by T as well",
    hint="The offset is added to t/T, not to t: t is divided by T first, and s comes afterwards.",
)
def _(T, s=0.008):
    f = torch.cos((torch.arange(T + 1, dtype=torch.float64) + s) / T / (1 + s) * math.pi / 2) ** 2
    return (f / f[0]).float()


@cosine_alpha_bar.misconception(
    "pi in place of pi/2",
    hint="The angle ends at a right angle, pi/2, where the cosine is 0. Yours goes on to pi, where its square is 1 "
    "again.",
)
def _(T, s=0.008):
    f = torch.cos(2 * _angle(T, s)) ** 2
    return (f / f[0]).float()


@cosine_alpha_bar.misconception(
    "the noise in place of the signal",
    hint="Your table rises from 0 to 1: that is 1 - alpha_bar, the share of noise.",
)
def _(T, s=0.008):
    f = _angle(T, s).cos() ** 2
    return (1 - f / f[0]).float()


@cosine_alpha_bar.misconception(
    "the betas were clipped on the way",
    hint="You went through beta, clipped at 0.999, and back. This table is the formula itself and ends (nearly) at "
    "0; the clipping belongs to beta_from_alpha_bar.",
)
def _(T, s=0.008):
    f = _angle(T, s).cos() ** 2
    beta = (1 - f[1:] / f[:-1]).clamp(max=0.999)
    return torch.cat([torch.ones(1), torch.cumprod(1 - beta, 0).float()])


@cosine_alpha_bar.misconception(
    "the table itself is clipped",
    hint="Nothing is clipped here: clean data have alpha_bar = 1, and the end is (nearly) 0.",
)
def _(T, s=0.008):
    f = _angle(T, s).cos() ** 2
    return (f / f[0]).clamp(1e-4, 0.9999).float()


@cosine_alpha_bar.misconception(
    "the table has T entries",
    hint="Times run from 0 to T, both included: T + 1 entries.",
)
def _(T, s=0.008):
    f = _angle(T, s)[:T].cos() ** 2
    return (f / f[0]).float()


@cosine_alpha_bar.misconception(
    "the table is in double precision",
    hint="A function without tensors among its arguments returns float32: end with .float().",
)
def _(T, s=0.008):
    f = _angle(T, s).cos() ** 2
    return f / f[0]


@cosine_alpha_bar.alternative("in float32 throughout")
def _(T, s=0.008):
    t = torch.linspace(0, T, T + 1)
    f = torch.cos(((t / T) + s) / (1 + s) * torch.pi * 0.5).pow(2)
    return f / f[0]


@cosine_alpha_bar.alternative("the sine of the complement, in a loop")
def _(T, s=0.008):
    f = [math.sin((1 - t / T) / (1 + s) * math.pi / 2) ** 2 for t in range(T + 1)]
    return torch.tensor(f) / f[0]


@cosine_alpha_bar.alternative("a nested function, as in the paper")
def _(T, s=0.008):
    def f(t):
        return math.cos((t / T + s) / (1 + s) * math.pi / 2) ** 2

    return torch.tensor([f(t) / f(0) for t in range(T + 1)], dtype=torch.float32)


@exercise("beta_from_alpha_bar", points=1)
def beta_from_alpha_bar(student, case):
    """(T + 1,) -> (T + 1,): 1 - alpha_bar[t] / alpha_bar[t-1], beta[0] = 0, clipped above."""
    truth = beta_from_alpha_bar.oracle
    table = uneven_alpha_bar(case, case.integer(4, 7))
    last = table[-1:] * case.uniform(1, low=1e-4, high=5e-4)  # a step that has to be clipped
    table = torch.cat([table, last])
    slow = torch.cat([table[:1], table * (1 - 3e-5)])  # beta[1] = 3e-5, below every lower clip in use
    case.expect(student(slow), truth(slow), "steps from tiny to clipped", points=0.5)
    bound = case.number(0.25, 0.35)
    case.expect(student(table, bound), truth(table, bound), "another upper bound", points=0.25)
    case.conventions(student, (table,), truth, points=0.25)


@beta_from_alpha_bar.truth
def _(alpha_bar, max_beta=0.999):
    # In the logarithm a step is a difference.
    steps = [0.0, *(-torch.expm1(alpha_bar.log().diff())).tolist()]
    return torch.tensor([min(b, max_beta) for b in steps], dtype=alpha_bar.dtype)


def _with_zero(steps):
    return torch.cat([torch.zeros_like(steps[:1]), steps])


@beta_from_alpha_bar.misconception(
    "1 - alpha_bar in place of one step",
    hint="That is the noise of all steps together. One step is the ratio of neighbours: alpha_t = alpha_bar[t] / "
    "alpha_bar[t-1].",
)
def _(alpha_bar, max_beta=0.999):
    return (1 - alpha_bar).clamp(max=max_beta)


@beta_from_alpha_bar.misconception(
    "alpha_bar[t-1] wraps around at t = 0",
    hint="At t = 0 the index -1 (or torch.roll) reaches the END of the table. There is no step 0: put beta[0] = 0 in "
    "front of the others.",
)
def _(alpha_bar, max_beta=0.999):
    return (1 - alpha_bar / alpha_bar.roll(1)).clamp(max=max_beta)


@beta_from_alpha_bar.misconception(
    "nothing is clipped",
    hint="A step that wipes out (nearly) everything must not exceed max_beta: clamp from above.",
)
def _(alpha_bar, max_beta=0.999):
    return _with_zero(1 - alpha_bar[1:] / alpha_bar[:-1])


@beta_from_alpha_bar.misconception(
    "clipped from below as well",
    hint="Small steps are legal and stay as they are; only max_beta bounds them, from above.",
)
def _(alpha_bar, max_beta=0.999):
    return _with_zero((1 - alpha_bar[1:] / alpha_bar[:-1]).clamp(1e-4, max_beta))


@beta_from_alpha_bar.misconception(
    "the argument max_beta is not used",
    hint="You clip at 0.999 whatever the caller asks for. Put max_beta in its place.",
)
def _(alpha_bar, max_beta=0.999):
    return _with_zero((1 - alpha_bar[1:] / alpha_bar[:-1]).clamp(max=0.999))


@beta_from_alpha_bar.misconception(
    "the entry of t = 0 is missing",
    hint="The result has T + 1 entries like alpha_bar: beta[0] = 0 in front of beta_1 to beta_T.",
)
def _(alpha_bar, max_beta=0.999):
    return (1 - alpha_bar[1:] / alpha_bar[:-1]).clamp(max=max_beta)


@beta_from_alpha_bar.misconception(
    "the zero stands at the end",
    hint="beta[0] = 0 belongs to the clean data, at the front. At the end it moves every step one place early.",
)
def _(alpha_bar, max_beta=0.999):
    return _with_zero((1 - alpha_bar[1:] / alpha_bar[:-1]).clamp(max=max_beta)).roll(-1)


@beta_from_alpha_bar.misconception(
    "the ratio is upside down",
    hint="alpha_t = alpha_bar[t] / alpha_bar[t-1], later over earlier, which is below 1. Yours gives negative betas.",
)
def _(alpha_bar, max_beta=0.999):
    return _with_zero((1 - alpha_bar[:-1] / alpha_bar[1:]).clamp(max=max_beta))


@beta_from_alpha_bar.misconception(
    "a difference in place of a ratio",
    hint="alpha_bar[t-1] - alpha_bar[t] is what a step takes of the ORIGINAL signal. beta_t is its share of what was "
    "left: divide by alpha_bar[t-1].",
)
def _(alpha_bar, max_beta=0.999):
    return _with_zero((alpha_bar[:-1] - alpha_bar[1:]).clamp(max=max_beta))


@beta_from_alpha_bar.misconception(
    "a root too many",
    hint="alpha_bar is a product of alphas, not of their roots: the ratio of neighbours is alpha_t itself.",
)
def _(alpha_bar, max_beta=0.999):
    return _with_zero((1 - (alpha_bar[1:] / alpha_bar[:-1]).sqrt()).clamp(max=max_beta))


@beta_from_alpha_bar.misconception(
    "alpha in place of beta",
    hint="You returned what each step keeps. beta is what it takes: 1 minus that.",
)
def _(alpha_bar, max_beta=0.999):
    return _with_zero((alpha_bar[1:] / alpha_bar[:-1]).clamp(max=max_beta))


@beta_from_alpha_bar.alternative("a table of predecessors")
def _(alpha_bar, max_beta=0.999):
    before = torch.cat([alpha_bar.new_ones(1), alpha_bar[:-1]])
    return torch.minimum(1 - alpha_bar / before, alpha_bar.new_tensor(max_beta))


@beta_from_alpha_bar.alternative("a loop")
def _(alpha_bar, max_beta=0.999):
    beta = torch.zeros_like(alpha_bar)
    for t in range(1, len(alpha_bar)):
        beta[t] = min(1 - alpha_bar[t].item() / alpha_bar[t - 1].item(), max_beta)
    return beta


@beta_from_alpha_bar.alternative("differences over what was left")
def _(alpha_bar, max_beta=0.999):
    lost = -alpha_bar.diff() / alpha_bar[:-1]
    return torch.nn.functional.pad(lost.clip(max=max_beta), (1, 0))
