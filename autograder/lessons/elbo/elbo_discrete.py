"""The bound where z takes finitely many values: `elbo_discrete`."""

from __future__ import annotations

import math

import torch

from ...exercise import exercise
from .shared import distribution, under, with_zeros


@exercise("elbo_discrete", points=1, after=("kl_discrete",))
def elbo_discrete(student, case):
    """sum_z q(z) [log p(x, z) - log q(z)] for one x; q = 0 counts 0, q > 0 with p_xz = 0 gives -inf."""
    kl = case.upstream("kl_discrete")

    def truth(p_xz, q):  # minus the KL formula, with the joint in the place of a distribution
        return -kl(q, p_xz)

    size = case.integer(6, 9)
    p_xz, q = case.number(0.05, 0.4) * distribution(case, size), distribution(case, size)
    p_xz[-1] *= 1e-3  # what is added to it shows
    case.expect(student(p_xz, q), truth(p_xz, q), "value on a random joint", points=0.4)
    holes = p_xz.clone()
    holes[0] = 0
    case.expect(
        student(holes, with_zeros(q, 0, 1)), truth(holes, with_zeros(q, 0, 1)), "entries with q = 0", points=0.2
    )
    pairs = [(holes, q), (holes, with_zeros(q, 0))]
    case.expect([student(*p) for p in pairs], [truth(*p) for p in pairs], "a z that cannot have made x", points=0.2)
    rare, faint, one = p_xz.clone(), with_zeros(q, 0), torch.ones(1, dtype=q.dtype)
    rare[1], faint[0] = 1e-40, 1e-13  # a joint of 1e-40, and a q of 1e-13 where x cannot be
    case.conventions(
        student, (holes, with_zeros(q, 0)), truth, points=0.2, also=[(rare, q), (holes, faint), (p_xz[:1], one)]
    )


@elbo_discrete.truth
def truth(p_xz, q):
    total = 0.0
    for a, b in zip(p_xz.tolist(), q.tolist(), strict=True):
        if b > 0:
            total += b * (math.log(a) - math.log(b)) if a > 0 else -math.inf
    return torch.tensor(total, dtype=q.dtype)


@elbo_discrete.misconception(
    "joint normalised first",
    hint="p_xz / p_xz.sum() is the posterior; with it you get minus the gap. The joint goes in as it is.",
)
def joint_normalised_first(p_xz, q):
    return under(q, (p_xz / p_xz.sum()).log() - q.log())


@elbo_discrete.misconception(
    "entropy forgotten", hint="The ELBO is the mean log joint plus the entropy of q: -log q(z) is missing."
)
def entropy_forgotten(p_xz, q):
    return under(q, p_xz.log())


@elbo_discrete.misconception(
    "sign turned", hint="The joint is in the numerator: log p(x, z) - log q(z). You return minus the ELBO."
)
def sign_turned(p_xz, q):
    return -under(q, p_xz.log() - q.log())


@elbo_discrete.misconception(
    "zeros become nan", hint="0 * log 0 is nan in floating point: an entry with q = 0 counts 0."
)
def zeros_become_nan(p_xz, q):
    return (q * (p_xz / q).log()).sum()


@elbo_discrete.misconception(
    "log p(x) itself", hint="The log of the joint's sum is log p(x), which contains no q; the ELBO lies below it."
)
def log_p_x_itself(p_xz, q):
    return p_xz.sum().log()


@elbo_discrete.misconception("weighted by the joint", hint="The mean is taken under q, with weights q(z), not p(x, z).")
def weighted_by_joint(p_xz, q):
    return torch.where(p_xz > 0, p_xz * (p_xz.log() - q.log()), torch.zeros_like(q)).sum()


@elbo_discrete.misconception(
    "impossible z left out", hint="Where q > 0 and p(x, z) = 0 the term is -inf: q draws a z that cannot have made x."
)
def impossible_z_left_out(p_xz, q):
    both = (q > 0) & (p_xz > 0)
    return torch.where(both, q * (p_xz.log() - q.log()), torch.zeros_like(q)).sum()


@elbo_discrete.misconception(
    "a small number inside the logarithm",
    hint="Adding 1e-8 hides the infinity and changes the values: guard q = 0 by a condition.",
)
def small_number_inside_logarithm(p_xz, q):
    return (q * ((p_xz + 1e-8).log() - (q + 1e-8).log())).sum()


@elbo_discrete.misconception(
    "average over z", hint="The weights q(z) do the averaging: sum over z, do not divide by Z."
)
def average_over_z(p_xz, q):
    return under(q, p_xz.log() - q.log()) / len(q)


@elbo_discrete.alternative("xlogy")
def xlogy(p_xz, q):
    return torch.sum(torch.xlogy(q, p_xz) - torch.xlogy(q, q))


@elbo_discrete.alternative("only the entries with q > 0")
def only_entries_with_q_above_0(p_xz, q):
    at = torch.nonzero(q).flatten()
    return q[at] @ torch.log(p_xz[at] / q[at])


@elbo_discrete.alternative("energy plus entropy")
def energy_plus_entropy(p_xz, q):
    entropy = torch.special.entr(q).sum()
    return torch.xlogy(q, p_xz).sum() + entropy
