"""What the best critic says: `optimal_discriminator`."""

from __future__ import annotations

import torch

from ...exercise import exercise
from .shared import table, with_holes


@exercise("optimal_discriminator", points=1)
def optimal_discriminator(student, case):
    """The maximiser of sum_z p log D + q log(1 - D), (Z,); 1/2 where p = q = 0."""
    truth, count = optimal_discriminator.oracle, case.integer(4, 8)
    p, q = table(case, count), table(case, count)
    case.expect(student(p, q), truth(p, q), "two tables without zeros", points=0.5, dtype=True)
    holes = with_holes(case)
    case.expect(student(*holes), truth(*holes), "tables with zeros: in p, in q, in both", points=0.25)
    faint = torch.cat([p * 1e-9, 1 - p[:1] * 0 - 1e-9]), torch.cat([q * 1e-9, 1 - q[:1] * 0 - 1e-9])
    case.conventions(
        student, (p, q), truth, points=0.25, also=[faint, (torch.ones(1).double(), torch.ones(1).double())]
    )


@optimal_discriminator.truth
def truth(p, q):
    """The sigmoid of the log ratio, which is nowhere defined where neither goes."""
    return torch.sigmoid(p.log() - q.log()).nan_to_num(0.5)


@optimal_discriminator.alternative("where")
def by_where(p, q):
    total = p + q
    return torch.where(total > 0, p / torch.where(total > 0, total, 1.0), 0.5)


@optimal_discriminator.alternative("softmax of two logarithms")
def softmax_of_two_logarithms(p, q):
    return torch.stack([p.log(), q.log()]).softmax(0)[0].nan_to_num(0.5)


@optimal_discriminator.alternative("entry by entry")
def entry_by_entry(p, q):
    best = torch.full_like(p, 0.5)
    for k in range(len(p)):
        if p[k] + q[k] > 0:
            best[k] = p[k] / (p[k] + q[k])
    return best


@optimal_discriminator.misconception(
    "the generator in the data's place", hint='D is the probability of "real": p, the data, stands above the bar.'
)
def generator_in_datas_place(p, q):
    return torch.where(p + q > 0, q / (p + q), 0.5)


@optimal_discriminator.misconception(
    "the ratio itself", hint="p / q is the ratio of the two, from 0 to infinity; D is a probability."
)
def ratio_itself(p, q):
    return torch.where(p + q > 0, p / q, 0.5)


@optimal_discriminator.misconception(
    "0 / 0 where neither goes", hint="Where p and q are both 0 no D is better than another: the answer there is 1/2."
)
def zero_over_zero(p, q):
    return p / (p + q)


@optimal_discriminator.misconception(
    "a small constant in the denominator",
    hint="With a constant below the bar D is 0, not 1/2, where neither goes, and wrong where both are faint.",
)
def small_constant_in_denominator(p, q):
    return p / (p + q + 1e-8)


@optimal_discriminator.misconception(
    "a decision in place of a probability",
    hint="The critic says how sure it is, by the share of p in p + q, not only who is likelier.",
)
def decision_in_place_of_probability(p, q):
    return torch.where(p == q, 0.5, (p > q).to(p.dtype))


@optimal_discriminator.misconception(
    "the mixture of both", hint="(p + q) / 2 is how often a place occurs, not how often it is real."
)
def mixture_of_both(p, q):
    return (p + q) / 2


@optimal_discriminator.misconception(
    "the logit in place of the probability", hint="log p - log q is the logit; the probability is its sigmoid."
)
def logit_in_place_of_probability(p, q):
    return (p.log() - q.log()).nan_to_num(0.5, posinf=torch.inf, neginf=-torch.inf)
