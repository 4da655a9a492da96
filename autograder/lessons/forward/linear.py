"""The linear schedule and its running product: `linear_beta`, `alpha_bar_from_beta`."""

from __future__ import annotations

import itertools

import torch

from ...exercise import exercise
from .inputs import uneven_beta

LESSON = "04-forward"


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
def _(T, first=1e-4, last=0.02):
    line = [first * (T - t) / (T - 1) + last * (t - 1) / (T - 1) for t in range(1, T + 1)]
    return torch.tensor([0.0, *line])


@linear_beta.misconception(
    "the entry of t = 0 is missing",
    hint="The table has T + 1 entries, so that beta[t] is the noise of step t. Put a 0 for the clean data in front.",
)
def _(T, first=1e-4, last=0.02):
    return torch.linspace(first, last, T)


@linear_beta.misconception(
    "the line starts at t = 0",
    hint="You spread the line over T + 1 entries, so that beta[0] = first. No noise comes at time 0: beta[0] = 0, "
    "and first belongs to t = 1.",
)
def _(T, first=1e-4, last=0.02):
    return torch.linspace(first, last, T + 1)


@linear_beta.misconception(
    "the line has T + 1 points, the first set to zero",
    hint="You spread the line over t = 0 to T and then wrote a 0 over its first point, so beta[1] lies above first. "
    "The line has T points; the 0 comes extra.",
)
def _(T, first=1e-4, last=0.02):
    return torch.cat([torch.zeros(1), torch.linspace(first, last, T + 1)[1:]])


@linear_beta.misconception(
    "the line starts from zero",
    hint="beta[0] = 0 stands apart. The line itself runs from first at t = 1 to last at t = T, it does not pass "
    "through 0.",
)
def _(T, first=1e-4, last=0.02):
    return torch.linspace(0, last, T + 1)


@linear_beta.misconception(
    "the line stops one step short",
    hint="From t = 1 to t = T there are T points but T - 1 gaps. Divide by T - 1, and beta[T] is last.",
)
def _(T, first=1e-4, last=0.02):
    return torch.cat([torch.zeros(1), first + (last - first) * torch.arange(T) / T])


@linear_beta.misconception(
    "the line is in the roots",
    hint="You spaced the square roots equally and squared them, as some image models do. Here the betas themselves "
    "are equally spaced.",
)
def _(T, first=1e-4, last=0.02):
    return torch.cat([torch.zeros(1), torch.linspace(first**0.5, last**0.5, T) ** 2])


@linear_beta.misconception(
    "the ends are scaled by 1000 / T",
    hint="Some libraries stretch the line when there are fewer steps. Here first and last are what they are called, "
    "whatever T is.",
)
def _(T, first=1e-4, last=0.02):
    return torch.cat([torch.zeros(1), torch.linspace(first * 1000 / T, last * 1000 / T, T)])


@linear_beta.misconception(
    "the arguments first and last are not used",
    hint="Your line always has the usual ends. Put the arguments first and last in their place.",
)
def _(T, first=1e-4, last=0.02):
    return torch.cat([torch.zeros(1), torch.linspace(1e-4, 0.02, T)])


@linear_beta.misconception(
    "alpha in place of beta",
    hint="You returned 1 - beta. The table asked for holds the noise, which is small.",
)
def _(T, first=1e-4, last=0.02):
    return 1 - torch.cat([torch.zeros(1), torch.linspace(first, last, T)])


@linear_beta.alternative("a loop over t")
def _(T, first=1e-4, last=0.02):
    beta = torch.zeros(T + 1)
    for t in range(1, T + 1):
        beta[t] = first + (last - first) * (t - 1) / (T - 1)
    return beta


@linear_beta.alternative("lerp")
def _(T, first=1e-4, last=0.02):
    line = torch.lerp(torch.tensor(first), torch.tensor(last), torch.arange(T) / (T - 1))
    return torch.nn.functional.pad(line, (1, 0))


@linear_beta.alternative("in double precision, then rounded")
def _(T, first=1e-4, last=0.02):
    beta = torch.empty(T + 1, dtype=torch.float64)
    beta[0], beta[1:] = 0, torch.linspace(first, last, T, dtype=torch.float64)
    return beta.to(torch.float32)


@exercise("alpha_bar_from_beta", points=1)
def alpha_bar_from_beta(student, case):
    """(T + 1,) -> (T + 1,): the running product of 1 - beta, alpha_bar[0] = 1."""
    truth = alpha_bar_from_beta.oracle
    beta = uneven_beta(case, case.integer(5, 8))
    case.expect(student(beta), truth(beta), "a short, uneven schedule", points=0.5)
    fine = torch.cat([torch.zeros(1), torch.linspace(1e-4, 0.02, 1000)]).double()
    case.expect(student(fine)[-400:], truth(fine)[-400:], "the end of a long schedule", points=0.25)
    case.conventions(student, (beta,), truth, points=0.25)


@alpha_bar_from_beta.truth
def _(beta):
    factors = [1.0 - b for b in beta.tolist()]
    return torch.tensor(list(itertools.accumulate(factors, lambda a, b: a * b)), dtype=beta.dtype)


@alpha_bar_from_beta.misconception(
    "a sum in place of a product",
    hint="Each step keeps the share 1 - beta of what the step before left over, so the shares multiply. 1 minus the "
    "sum is only a first approximation.",
)
def _(beta):
    return 1 - torch.cumsum(beta, 0)


@alpha_bar_from_beta.misconception(
    "the product of the betas",
    hint="What survives a step is alpha = 1 - beta; the product runs over the alphas.",
)
def _(beta):
    return torch.cumprod(beta, 0)


@alpha_bar_from_beta.misconception(
    "alpha in place of alpha_bar",
    hint="1 - beta[t] is what one step keeps. alpha_bar[t] is what all steps up to t keep: the running product.",
)
def _(beta):
    return 1 - beta


@alpha_bar_from_beta.misconception(
    "the root is taken already",
    hint="alpha_bar is a share of variance. Its root, the factor of the picture, is taken where it is used.",
)
def _(beta):
    return torch.cumprod((1 - beta).sqrt(), 0)


@alpha_bar_from_beta.misconception(
    "every entry is one step behind",
    hint="You put a further 1 in front. beta[0] = 0 gives alpha_bar[0] = 1 already, so alpha_bar[1] should be 1 - "
    "beta[1].",
)
def _(beta):
    return torch.cat([torch.ones_like(beta[:1]), torch.cumprod(1 - beta, 0)[:-1]])


@alpha_bar_from_beta.misconception(
    "the product always runs up to T",
    hint="As on one well-known slide. alpha_bar[t] is the product up to t, another number for every t.",
)
def _(beta):
    return (1 - beta).prod().expand(len(beta)).clone()


@alpha_bar_from_beta.misconception(
    "the product runs backwards from T",
    hint="The picture is destroyed from t = 1 on: the running product starts at the front of the table.",
)
def _(beta):
    return torch.cumprod((1 - beta).flip(0), 0).flip(0)


@alpha_bar_from_beta.misconception(
    "the entry of t = 0 is missing",
    hint="The result has T + 1 entries like beta, and alpha_bar[0] = 1 stands for the clean data.",
)
def _(beta):
    return torch.cumprod(1 - beta[1:], 0)


@alpha_bar_from_beta.misconception(
    "the exponential of the sum",
    hint="exp(-sum of beta) is what becomes of the product when all betas are tiny. Short schedules have large "
    "steps: multiply the factors 1 - beta themselves.",
)
def _(beta):
    return torch.exp(-torch.cumsum(beta, 0))


@alpha_bar_from_beta.misconception(
    "beta is overwritten",
    hint="neg_ and add_ write into the table you were given. Compute 1 - beta, which is a new tensor.",
)
def _(beta):
    return beta.neg_().add_(1).cumprod(0)


@alpha_bar_from_beta.alternative("a sum of logarithms")
def _(beta):
    return torch.exp(torch.cumsum(torch.log1p(-beta), 0))


@alpha_bar_from_beta.alternative("a loop")
def _(beta):
    alpha_bar = torch.ones_like(beta)
    for t in range(1, len(beta)):
        alpha_bar[t] = alpha_bar[t - 1] * (1 - beta[t])
    return alpha_bar


@alpha_bar_from_beta.alternative("a product for every t")
def _(beta):
    return torch.stack([(1 - beta[1 : t + 1]).prod() for t in range(len(beta))])
