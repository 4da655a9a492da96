"""What is left of the picture after t steps: `alpha_bar_from_beta`."""

from __future__ import annotations

import itertools

import torch

from ...exercise import exercise
from .shared import uneven_beta


@exercise("alpha_bar_from_beta", points=1)
def alpha_bar_from_beta(student, case):
    """(T + 1,) -> (T + 1,): the running product of 1 - beta, alpha_bar[0] = 1."""
    truth = alpha_bar_from_beta.oracle
    beta = uneven_beta(case, case.integer(5, 8))
    case.expect(student(beta), truth(beta), "a short, uneven schedule", points=0.5)
    fine = torch.cat([torch.zeros(1), torch.linspace(1e-4, 0.02, 1000)]).double()
    gone = torch.tensor([0.0, 1 - 1e-7, 1 - 1e-7], dtype=torch.float64)  # 1e-14 is left: no floor
    case.expect(
        [student(fine)[-400:], student(gone)[-1]],
        [truth(fine)[-400:], truth(gone)[-1]],
        "the end of a long schedule",
        points=0.25,
    )
    case.conventions(student, (beta,), truth, points=0.25, also=[(beta[:2],)])


@alpha_bar_from_beta.truth
def truth(beta):
    factors = [1.0 - b for b in beta.tolist()]
    return torch.tensor(list(itertools.accumulate(factors, lambda a, b: a * b)), dtype=beta.dtype)


@alpha_bar_from_beta.misconception(
    "a sum in place of a product",
    hint="Each step keeps the share 1 - beta of what the step before left over, so the shares multiply. 1 minus the "
    "sum is only a first approximation.",
)
def sum_in_place_of_product(beta):
    return 1 - torch.cumsum(beta, 0)


@alpha_bar_from_beta.misconception(
    "the product of the betas",
    hint="What survives a step is alpha = 1 - beta; the product runs over the alphas.",
)
def product_of_betas(beta):
    return torch.cumprod(beta, 0)


@alpha_bar_from_beta.misconception(
    "alpha in place of alpha_bar",
    hint="1 - beta[t] is what one step keeps. alpha_bar[t] is what all steps up to t keep: the running product.",
)
def alpha_in_place_of_alpha_bar(beta):
    return 1 - beta


@alpha_bar_from_beta.misconception(
    "the root is taken already",
    hint="alpha_bar is a share of variance. Its root, the factor of the picture, is taken where it is used.",
)
def root_is_taken_already(beta):
    return torch.cumprod((1 - beta).sqrt(), 0)


@alpha_bar_from_beta.misconception(
    "every entry is one step behind",
    hint="You put a further 1 in front. beta[0] = 0 gives alpha_bar[0] = 1 already, so alpha_bar[1] should be 1 - "
    "beta[1].",
)
def every_entry_is_one_step_behind(beta):
    return torch.cat([torch.ones_like(beta[:1]), torch.cumprod(1 - beta, 0)[:-1]])


@alpha_bar_from_beta.misconception(
    "the product always runs up to T",
    hint="As on one well-known slide. alpha_bar[t] is the product up to t, another number for every t.",
)
def product_always_runs_up_to_t(beta):
    return (1 - beta).prod().expand(len(beta)).clone()


@alpha_bar_from_beta.misconception(
    "the product runs backwards from T",
    hint="The picture is destroyed from t = 1 on: the running product starts at the front of the table.",
)
def product_runs_backwards_from_t(beta):
    return torch.cumprod((1 - beta).flip(0), 0).flip(0)


@alpha_bar_from_beta.misconception(
    "the entry of t = 0 is missing",
    hint="The result has T + 1 entries like beta, and alpha_bar[0] = 1 stands for the clean data.",
)
def entry_of_t_0_is_missing(beta):
    return torch.cumprod(1 - beta[1:], 0)


@alpha_bar_from_beta.misconception(
    "the exponential of the sum",
    hint="exp(-sum of beta) is what becomes of the product when all betas are tiny. Short schedules have large "
    "steps: multiply the factors 1 - beta themselves.",
)
def exponential_of_sum(beta):
    return torch.exp(-torch.cumsum(beta, 0))


@alpha_bar_from_beta.misconception(
    "beta is overwritten",
    hint="neg_ and add_ write into the table you were given. Compute 1 - beta, which is a new tensor.",
)
def beta_is_overwritten(beta):
    return beta.neg_().add_(1).cumprod(0)


@alpha_bar_from_beta.alternative("a sum of logarithms")
def sum_of_logarithms(beta):
    return torch.exp(torch.cumsum(torch.log1p(-beta), 0))


@alpha_bar_from_beta.alternative("a loop")
def in_a_loop(beta):
    alpha_bar = torch.ones_like(beta)
    for t in range(1, len(beta)):
        alpha_bar[t] = alpha_bar[t - 1] * (1 - beta[t])
    return alpha_bar


@alpha_bar_from_beta.alternative("a product for every t")
def product_for_every_t(beta):
    return torch.stack([(1 - beta[1 : t + 1]).prod() for t in range(len(beta))])
