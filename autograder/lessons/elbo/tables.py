"""The ELBO and its gap where z takes finitely many values: elbo_discrete and elbo_gap_discrete."""

from __future__ import annotations

import math

import torch

from ...case import difference, failure_in
from ...exercise import exercise
from .draws import distribution, with_zeros

LESSON = "01-elbo"


@exercise("elbo_discrete", points=1, after=("kl_discrete",))
def elbo_discrete(student, case):
    """sum_z q(z) [log p(x, z) - log q(z)] for one x; q = 0 counts 0, q > 0 with p_xz = 0 gives -inf."""
    kl = case.upstream("kl_discrete")

    def truth(p_xz, q):  # minus the KL formula, with the joint in the place of a distribution
        return -kl(q, p_xz)

    size = case.integer(6, 9)
    p_xz, q = case.number(0.05, 0.4) * distribution(case, size), distribution(case, size)
    case.expect(student(p_xz, q), truth(p_xz, q), "value on a random joint", points=0.4)
    holes = p_xz.clone()
    holes[0] = 0
    case.expect(
        student(holes, with_zeros(q, 0, 1)), truth(holes, with_zeros(q, 0, 1)), "entries with q = 0", points=0.2
    )
    pairs = [(holes, q), (holes, with_zeros(q, 0))]
    case.expect([student(*p) for p in pairs], [truth(*p) for p in pairs], "a z that cannot have made x", points=0.2)
    case.conventions(student, (holes, with_zeros(q, 0)), truth, points=0.2)


@elbo_discrete.truth
def _(p_xz, q):
    total = 0.0
    for a, b in zip(p_xz.tolist(), q.tolist(), strict=True):
        if b > 0:
            total += b * (math.log(a) - math.log(b)) if a > 0 else -math.inf
    return torch.tensor(total, dtype=q.dtype)


def _under(q, values):
    return torch.where(q > 0, q * values, torch.zeros_like(q)).sum()


@elbo_discrete.misconception(
    "joint normalised first",
    hint="p_xz / p_xz.sum() is the posterior; with it you get minus the gap. The joint goes in as it is.",
)
def _(p_xz, q):
    return _under(q, (p_xz / p_xz.sum()).log() - q.log())


@elbo_discrete.misconception(
    "entropy forgotten", hint="The ELBO is the mean log joint plus the entropy of q: -log q(z) is missing."
)
def _(p_xz, q):
    return _under(q, p_xz.log())


@elbo_discrete.misconception(
    "sign turned", hint="The joint is in the numerator: log p(x, z) - log q(z). You return minus the ELBO."
)
def _(p_xz, q):
    return -_under(q, p_xz.log() - q.log())


@elbo_discrete.misconception(
    "zeros become nan", hint="0 * log 0 is nan in floating point: an entry with q = 0 counts 0."
)
def _(p_xz, q):
    return (q * (p_xz / q).log()).sum()


@elbo_discrete.misconception(
    "log p(x) itself", hint="The log of the joint's sum is log p(x), which contains no q; the ELBO lies below it."
)
def _(p_xz, q):
    return p_xz.sum().log()


@elbo_discrete.misconception("weighted by the joint", hint="The mean is taken under q, with weights q(z), not p(x, z).")
def _(p_xz, q):
    return torch.where(p_xz > 0, p_xz * (p_xz.log() - q.log()), torch.zeros_like(q)).sum()


@elbo_discrete.misconception(
    "impossible z left out", hint="Where q > 0 and p(x, z) = 0 the term is -inf: q draws a z that cannot have made x."
)
def _(p_xz, q):
    both = (q > 0) & (p_xz > 0)
    return torch.where(both, q * (p_xz.log() - q.log()), torch.zeros_like(q)).sum()


@elbo_discrete.misconception(
    "a small number inside the logarithm",
    hint="Adding 1e-8 hides the infinity and changes the values: guard q = 0 by a condition.",
)
def _(p_xz, q):
    return (q * ((p_xz + 1e-8).log() - (q + 1e-8).log())).sum()


@elbo_discrete.misconception(
    "average over z", hint="The weights q(z) do the averaging: sum over z, do not divide by Z."
)
def _(p_xz, q):
    return _under(q, p_xz.log() - q.log()) / len(q)


@elbo_discrete.alternative("xlogy")
def _(p_xz, q):
    return torch.sum(torch.xlogy(q, p_xz) - torch.xlogy(q, q))


@elbo_discrete.alternative("only the entries with q > 0")
def _(p_xz, q):
    at = torch.nonzero(q).flatten()
    return q[at] @ torch.log(p_xz[at] / q[at])


@elbo_discrete.alternative("energy plus entropy")
def _(p_xz, q):
    entropy = torch.special.entr(q).sum()
    return torch.xlogy(q, p_xz).sum() + entropy


@exercise("elbo_gap_discrete", points=2, after=("kl_discrete", "elbo_discrete"))
def elbo_gap_discrete(student, case):
    """log p(x) - ELBO(q) = KL(q || posterior), >= 0."""
    kl, elbo = case.upstream("kl_discrete"), case.upstream("elbo_discrete")

    def as_kl(p_xz, q):
        return kl(q, p_xz / p_xz.sum())

    def as_rest(p_xz, q):
        return p_xz.sum().log() - elbo(p_xz, q)

    size = case.integer(6, 9)
    p_xz, q = case.number(0.05, 0.4) * distribution(case, size), distribution(case, size)

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
    case.conventions(student, (p_xz, q), route([(p_xz, q)]), points=0.3)


def _agree(got, values):
    return not failure_in([got, values]) and not difference(got, values, atol=1e-9)


@elbo_gap_discrete.truth
def _(p_xz, q):
    log_px = math.log(math.fsum(p_xz.tolist()))
    return torch.tensor(log_px - elbo_discrete.oracle(p_xz.double(), q.double()).item(), dtype=q.dtype)


@elbo_gap_discrete.misconception(
    "KL in the wrong order", hint="The gap is KL(q || posterior): the mean is taken under q, which comes first."
)
def _(p_xz, q):
    r = p_xz / p_xz.sum()
    return _under(r, r.log() - q.log())


@elbo_gap_discrete.misconception(
    "joint not normalised",
    hint="KL needs the posterior, p_xz / p_xz.sum(). With the joint itself you get minus the ELBO.",
)
def _(p_xz, q):
    return _under(q, q.log() - p_xz.log())


@elbo_gap_discrete.misconception(
    "sign turned", hint="The gap is log p(x) - ELBO: the ELBO lies below log p(x), so the gap is never negative."
)
def _(p_xz, q):
    return _under(q, (p_xz / p_xz.sum()).log() - q.log())


@elbo_gap_discrete.misconception(
    "p(x) without its logarithm", hint="Both sides are logarithms: subtract the ELBO from log p(x), not from p(x)."
)
def _(p_xz, q):
    return p_xz.sum() - _under(q, p_xz.log() - q.log())


@elbo_gap_discrete.misconception("evidence from the mean", hint="p(x) is the sum of the joint over z, not its mean.")
def _(p_xz, q):
    return p_xz.mean().log() - _under(q, p_xz.log() - q.log())


@elbo_gap_discrete.misconception(
    "zeros become nan", hint="0 * log 0 is nan in floating point: an entry with q = 0 counts 0."
)
def _(p_xz, q):
    return (q * (q * p_xz.sum() / p_xz).log()).sum()


@elbo_gap_discrete.misconception(
    "impossible z left out", hint="Where q > 0 and p(x, z) = 0 the ELBO is -inf, so the gap is +inf."
)
def _(p_xz, q):
    both = (q > 0) & (p_xz > 0)
    return torch.where(both, q * (q.log() - (p_xz / p_xz.sum()).log()), torch.zeros_like(q)).sum()


@elbo_gap_discrete.misconception(
    "a small number inside the logarithm",
    hint="Adding 1e-8 turns an infinite gap into a finite one: guard q = 0 by a condition.",
)
def _(p_xz, q):
    return (q * ((q + 1e-8).log() - (p_xz / p_xz.sum() + 1e-8).log())).sum()


@elbo_gap_discrete.misconception(
    "cross-entropy instead of KL",
    hint="-sum q log posterior is the cross-entropy; subtract the entropy of q to get the KL.",
)
def _(p_xz, q):
    return -_under(q, (p_xz / p_xz.sum()).log())


@elbo_gap_discrete.alternative("log p(x) minus the ELBO")
def _(p_xz, q):
    used = q > 0
    elbo = (q[used] * (p_xz[used].log() - q[used].log())).sum()
    return p_xz.sum().log() - elbo


@elbo_gap_discrete.alternative("KL with xlogy")
def _(p_xz, q):
    posterior = p_xz / torch.sum(p_xz)
    return (torch.xlogy(q, q) - torch.xlogy(q, posterior)).sum()


@elbo_gap_discrete.alternative("a loop")
def _(p_xz, q):
    px, gap = p_xz.sum(), q.new_zeros(())
    for joint, share in zip(p_xz, q, strict=True):
        if share > 0:
            gap += share * (share.log() + px.log() - joint.log())
    return gap
