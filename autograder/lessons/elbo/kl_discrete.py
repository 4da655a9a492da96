"""The divergence of two tables: `kl_discrete`."""

from __future__ import annotations

import math

import torch
from torch.distributions import Categorical, kl_divergence

from ...exercise import exercise
from .shared import distribution, with_rare, with_zeros


@exercise("kl_discrete", points=1)
def kl_discrete(student, case):
    """KL(p || q) of tables (Z,) -> scalar, in nats; p = 0 counts 0, p > 0 with q = 0 gives +inf."""
    truth = kl_discrete.oracle
    size = case.integer(6, 9)
    p, q = distribution(case, size), with_rare(distribution(case, size), 3)
    case.expect(student(p, q), truth(p, q), "value on two random tables", points=0.4)

    p_holes, q_hole = with_zeros(p, 0, 1), with_zeros(q, 0)  # zero in both tables, in p alone, in neither
    case.expect(student(p_holes, q_hole), truth(p_holes, q_hole), "entries with p = 0", points=0.2)

    tables = [(p, with_zeros(q, 2)), (with_zeros(p, 2), with_zeros(q, 2))]
    case.expect(
        [student(*pair) for pair in tables], [truth(*pair) for pair in tables], "entries with q = 0", points=0.2
    )
    tail = with_zeros(q, 2)
    tail[2] = 1e-40
    case.expect(
        student(p, tail), truth(p, tail), "a probability of 1e-40", points=0.1, hint="probabilities are not clipped"
    )
    faint = with_zeros(p, 2)
    faint[2] = 1e-13  # and q = 0 there: +inf, however little it is
    one = torch.ones(1, dtype=p.dtype)
    case.conventions(student, (p_holes, q), truth, points=0.1, also=[(faint, with_zeros(q, 2)), (one, one)])


@kl_discrete.truth
def truth(p, q):
    total = 0.0
    for a, b in zip(p.tolist(), q.tolist(), strict=True):
        if a > 0:
            total += a * (math.log(a) - math.log(b)) if b > 0 else math.inf
    return torch.tensor(total, dtype=p.dtype)


@kl_discrete.misconception(
    "arguments exchanged",
    hint="This is KL(q || p): the mean is taken under the first argument, p, and the ratio is p over q.",
)
def arguments_exchanged(p, q):
    return torch.where(q > 0, q * (q.log() - p.log()), torch.zeros_like(q)).sum()


@kl_discrete.misconception("bits instead of nats", hint="Use the natural logarithm; log2 measures in bits.")
def bits_instead_of_nats(p, q):
    return torch.where(p > 0, p * (p.log2() - q.log2()), torch.zeros_like(p)).sum()


@kl_discrete.misconception(
    "zeros become nan", hint="0 * log 0 is nan in floating point: an entry with p = 0 must count 0."
)
def zeros_become_nan(p, q):
    return (p * (p / q).log()).sum()


@kl_discrete.misconception(
    "average instead of sum",
    hint="The weights p(x) are the averaging already: sum the terms, do not divide by Z as well.",
)
def average_instead_of_sum(p, q):
    return torch.where(p > 0, p * (p.log() - q.log()), torch.zeros_like(p)).mean()


@kl_discrete.misconception(
    "sign turned", hint="A KL is never negative: the logarithm is that of p(x) / q(x), not of q(x) / p(x)."
)
def sign_turned(p, q):
    return torch.where(p > 0, p * (q.log() - p.log()), torch.zeros_like(p)).sum()


@kl_discrete.misconception(
    "cross-entropy instead of KL", hint="-sum p log q is the cross-entropy; the KL also contains the entropy of p."
)
def cross_entropy_instead_of_kl(p, q):
    return -torch.where(p > 0, p * q.log(), torch.zeros_like(p)).sum()


@kl_discrete.misconception(
    "a small number inside the logarithm",
    hint="Adding or clamping to 1e-8 turns an infinite KL into a finite one. Treat p = 0 by a condition instead.",
)
def small_number_inside_logarithm(p, q):
    return (p * ((p + 1e-8).log() - (q + 1e-8).log())).sum()


@kl_discrete.misconception(
    "impossible values left out",
    hint="Only entries with p = 0 count 0. Where p > 0 and q = 0 the term is +inf, and so is the sum.",
)
def impossible_values_left_out(p, q):
    both = (p > 0) & (q > 0)
    return torch.where(both, p * (p.log() - q.log()), torch.zeros_like(p)).sum()


@kl_discrete.misconception(
    "clipped by Categorical",
    hint="torch.distributions.Categorical clips probabilities at the machine's precision before it takes logarithms: "
    "write the sum yourself.",
)
def clipped_by_categorical(p, q):
    return kl_divergence(Categorical(p), Categorical(q))


@kl_discrete.misconception(
    "nan_to_num",
    hint="nan_to_num also turns +inf into a large finite number. Treat p = 0 by a condition, and leave +inf alone.",
)
def nan_to_num(p, q):
    return torch.nan_to_num(p * (p / q).log()).sum()


@kl_discrete.alternative("xlogy")
def xlogy(p, q):
    return (torch.xlogy(p, p) - torch.xlogy(p, q)).sum()


@kl_discrete.alternative("only the entries with p > 0")
def only_entries_with_p_above_0(p, q):
    live = p > 0
    return torch.dot(p[live], p[live].log() - q[live].log())


@kl_discrete.alternative("a loop")
def in_a_loop(p, q):
    total = p.new_zeros(())
    for a, b in zip(p, q, strict=True):
        if a != 0:
            total = total + a * torch.log(a) - a * torch.log(b)
    return total
