"""What the best critic measures: `jensen_shannon`."""

from __future__ import annotations

import math

import torch

from ...exercise import exercise
from .shared import OTHERS_LOGARITHM, table, with_holes


@exercise("jensen_shannon", points=1)
def jensen_shannon(student, case):
    """The mean of KL(p || m) and KL(q || m), m = (p + q) / 2, in nats."""
    truth, count = jensen_shannon.oracle, case.integer(4, 8)
    p, q = table(case, count), table(case, count)
    case.expect(student(p, q), truth(p, q), "two tables without zeros", points=0.5, dtype=True)
    holes = with_holes(case)
    apart = torch.eye(count, dtype=torch.float64)[[0, 1]]
    case.expect(
        [student(*holes), student(*apart)],
        [truth(*holes), truth(*apart)],
        "tables with zeros, and two that share nothing",
        points=0.25,
    )
    sure = [torch.cat([2.0**-20 * part, part.new_full((1,), 1 - 2.0**-20)]) for part in (p, q)]
    one = torch.ones(1, dtype=torch.float64)
    case.conventions(student, (p, q), truth, points=0.25, also=[sure, (one, one)])


@jensen_shannon.truth
def truth(p, q):
    """The entropy of the mixture, less the mean of the entropies."""
    entropies = [torch.special.entr(values.double()).sum() for values in ((p + q) / 2, p, q)]
    return (entropies[0] - (entropies[1] + entropies[2]) / 2).to(p.dtype)


def _kl(p, q):
    return (torch.special.xlogy(p, p) - torch.special.xlogy(p, q)).sum()


@jensen_shannon.alternative("kl_div of the mixture's logarithm")
def kl_div_of_mixture(p, q):
    m = ((p + q) / 2).log()
    kl = torch.nn.functional.kl_div
    return (
        torch.where(p > 0, kl(m, p, reduction="none"), 0.0) + torch.where(q > 0, kl(m, q, reduction="none"), 0.0)
    ).sum() / 2


@jensen_shannon.alternative("entry by entry")
def entry_by_entry(p, q):
    total = 0.0
    for a, b in zip(p.tolist(), q.tolist(), strict=True):
        total += sum(v * math.log(2 * v / (a + b)) for v in (a, b) if v > 0) / 2
    return torch.tensor(total, dtype=p.dtype)


@jensen_shannon.alternative("through the best critic")
def through_best_critic(p, q):
    share = torch.where(p + q > 0, p / (p + q), 0.5)
    value = torch.special.xlogy(p, share).sum() + torch.special.xlogy(q, 1 - share).sum()
    return (value + math.log(4)) / 2


@jensen_shannon.misconception(
    "the sum of the two", hint="The mean of the two KLs is asked for: half of their sum. Its largest value is log 2."
)
def sum_of_two(p, q):
    m = (p + q) / 2
    return _kl(p, m) + _kl(q, m)


@jensen_shannon.misconception(
    "no mixture in between",
    hint="Both KLs are to the mixture m = (p + q)/2. Between p and q themselves they are infinite where one is 0.",
)
def no_mixture_in_between(p, q):
    return (_kl(p, q) + _kl(q, p)) / 2


@jensen_shannon.misconception("only one of the two", hint="The KL of p to the mixture AND that of q, and their mean.")
def only_one_of_two(p, q):
    return _kl(p, (p + q) / 2)


@jensen_shannon.misconception(
    "the KLs point the wrong way", hint="From p and from q to the mixture, KL(p || m): the logarithm is of p / m."
)
def kls_point_wrong_way(p, q):
    m = (p + q) / 2
    return (_kl(m, p) + _kl(m, q)) / 2


@jensen_shannon.misconception(
    "0 log 0 is NaN", hint="Where p is 0 its term is 0, whatever the logarithm says: torch.xlogy knows that."
)
def zero_log_zero(p, q):
    m = (p + q) / 2
    return ((p * (p / m).log()).sum() + (q * (q / m).log()).sum()) / 2


@jensen_shannon.misconception(
    "the mixture is not halved", hint="m is an average, (p + q) / 2, and sums to one: divide by two."
)
def mixture_not_halved(p, q):
    return (_kl(p, p + q) + _kl(q, p + q)) / 2


@jensen_shannon.misconception(
    "the root of the divergence", hint="The Jensen-Shannon distance is its root. Asked is the divergence itself."
)
def root_of_divergence(p, q):
    m = (p + q) / 2
    return ((_kl(p, m) + _kl(q, m)) / 2).sqrt()


@jensen_shannon.misconception("bits", hint=OTHERS_LOGARITHM)
def in_bits(p, q):
    m = (p + q) / 2
    return (_kl(p, m) + _kl(q, m)) / 2 / math.log(2)
