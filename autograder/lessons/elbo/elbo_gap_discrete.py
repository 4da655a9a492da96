"""What is missing from the bound to the evidence: `elbo_gap_discrete`."""

from __future__ import annotations

import math

import torch

from ...difference import difference, failure_in
from ...exercise import exercise
from .elbo_discrete import elbo_discrete
from .shared import distribution, under, with_rare, with_zeros


@exercise("elbo_gap_discrete", points=2, after=("kl_discrete", "elbo_discrete"))
def elbo_gap_discrete(student, case):
    """log p(x) - ELBO(q) = KL(q || posterior), >= 0."""
    kl, elbo = case.upstream("kl_discrete"), case.upstream("elbo_discrete")

    def as_kl(p_xz, q):
        return kl(q, p_xz / p_xz.sum())

    def as_rest(p_xz, q):
        return p_xz.sum().log() - elbo(p_xz, q)

    size = case.integer(6, 9)
    p_xz, q = case.number(0.05, 0.4) * with_rare(distribution(case, size), 2), distribution(case, size)

    def route(pairs):
        """The KL, or what is left of log p(x): they differ where one leads through a mistake of the student's own."""
        got = [student(*pair) for pair in pairs]
        kls, rests = [as_kl(*pair) for pair in pairs], [as_rest(*pair) for pair in pairs]
        return as_rest if not _agree(got, kls) and _agree(got, rests) else as_kl

    def expect(pairs, what, points):
        truth = route(pairs)
        case.expect([student(*pair) for pair in pairs], [truth(*pair) for pair in pairs], what, points, atol=1e-9)

    expect([(p_xz, q)], "value on a random joint", 0.8)
    posterior = p_xz / p_xz.sum()
    expect([(p_xz, posterior), (p_xz, posterior.flip(0))], "q at the posterior, and at its mirror image", 0.3)
    holes = p_xz.clone()
    holes[0] = 0
    expect([(holes, with_zeros(q, 0, 1))], "entries with q = 0", 0.3)
    expect([(holes, q), (holes, with_zeros(q, 0))], "a z that cannot have made x", 0.3)
    faint = with_zeros(q, 0)
    faint[0] = 1e-13
    also = [(1e-30 * p_xz, q), (holes, faint), (p_xz[:1], torch.ones(1, dtype=torch.float64))]
    case.conventions(student, (p_xz, q), route([(p_xz, q)]), points=0.3, also=also)


def _agree(got, values):
    return not failure_in([got, values]) and not difference(got, values, atol=1e-9)


@elbo_gap_discrete.truth
def truth(p_xz, q):
    log_px = math.log(math.fsum(p_xz.tolist()))
    return torch.tensor(log_px - elbo_discrete.oracle(p_xz.double(), q.double()).item(), dtype=q.dtype)


@elbo_gap_discrete.misconception(
    "KL in the wrong order", hint="The gap is KL(q || posterior): the mean is taken under q, which comes first."
)
def kl_in_wrong_order(p_xz, q):
    r = p_xz / p_xz.sum()
    return under(r, r.log() - q.log())


@elbo_gap_discrete.misconception(
    "joint not normalised",
    hint="KL needs the posterior, p_xz / p_xz.sum(). With the joint itself you get minus the ELBO.",
)
def joint_not_normalised(p_xz, q):
    return under(q, q.log() - p_xz.log())


@elbo_gap_discrete.misconception(
    "sign turned", hint="The gap is log p(x) - ELBO: the ELBO lies below log p(x), so the gap is never negative."
)
def sign_turned(p_xz, q):
    return under(q, (p_xz / p_xz.sum()).log() - q.log())


@elbo_gap_discrete.misconception(
    "p(x) without its logarithm", hint="Both sides are logarithms: subtract the ELBO from log p(x), not from p(x)."
)
def p_x_without_its_logarithm(p_xz, q):
    return p_xz.sum() - under(q, p_xz.log() - q.log())


@elbo_gap_discrete.misconception("evidence from the mean", hint="p(x) is the sum of the joint over z, not its mean.")
def evidence_from_mean(p_xz, q):
    return p_xz.mean().log() - under(q, p_xz.log() - q.log())


@elbo_gap_discrete.misconception(
    "zeros become nan", hint="0 * log 0 is nan in floating point: an entry with q = 0 counts 0."
)
def zeros_become_nan(p_xz, q):
    return (q * (q * p_xz.sum() / p_xz).log()).sum()


@elbo_gap_discrete.misconception(
    "impossible z left out", hint="Where q > 0 and p(x, z) = 0 the ELBO is -inf, so the gap is +inf."
)
def impossible_z_left_out(p_xz, q):
    both = (q > 0) & (p_xz > 0)
    return torch.where(both, q * (q.log() - (p_xz / p_xz.sum()).log()), torch.zeros_like(q)).sum()


@elbo_gap_discrete.misconception(
    "a small number inside the logarithm",
    hint="Adding 1e-8 turns an infinite gap into a finite one: guard q = 0 by a condition.",
)
def small_number_inside_logarithm(p_xz, q):
    return (q * ((q + 1e-8).log() - (p_xz / p_xz.sum() + 1e-8).log())).sum()


@elbo_gap_discrete.misconception(
    "cross-entropy instead of KL",
    hint="-sum q log posterior is the cross-entropy; subtract the entropy of q to get the KL.",
)
def cross_entropy_instead_of_kl(p_xz, q):
    return -under(q, (p_xz / p_xz.sum()).log())


@elbo_gap_discrete.alternative("log p(x) minus the ELBO")
def log_p_x_minus_elbo(p_xz, q):
    used = q > 0
    elbo = (q[used] * (p_xz[used].log() - q[used].log())).sum()
    return p_xz.sum().log() - elbo


@elbo_gap_discrete.alternative("KL with xlogy")
def kl_with_xlogy(p_xz, q):
    posterior = p_xz / torch.sum(p_xz)
    return (torch.xlogy(q, q) - torch.xlogy(q, posterior)).sum()


@elbo_gap_discrete.alternative("a loop")
def in_a_loop(p_xz, q):
    px, gap = p_xz.sum(), q.new_zeros(())
    for joint, share in zip(p_xz, q, strict=True):
        if share > 0:
            gap += share * (share.log() + px.log() - joint.log())
    return gap


@elbo_gap_discrete.alternative("the KL by a ratio, where q > 0")
def kl_by_ratio(p_xz, q):
    posterior, used = p_xz / p_xz.sum(), q > 0
    return (q[used] * (q[used] / posterior[used]).log()).sum()
