"""The bound by sampling and the KL of two Gaussians: elbo_monte_carlo and gaussian_kl_full."""

from __future__ import annotations

import math

import torch
from torch.distributions import MultivariateNormal, kl_divergence

from ...exercise import exercise
from .draws import covariance

LESSON = "01-elbo"
f64 = torch.float64


@exercise("elbo_monte_carlo", points=2)
def elbo_monte_carlo(student, case):
    """(1/K) sum_k [log p(x given z_k) + log p(z_k) - log q(z_k)], (K, B) each -> (B,)."""
    truth = elbo_monte_carlo.oracle
    count, batch = case.sizes(2, low=3)
    terms = case.normal(count, batch) - 9, 2 * case.normal(count, batch) - 4, case.normal(count, batch) - 2
    case.expect(student(*terms), truth(*terms), "value on random log-densities", points=1.0)
    single = tuple(term[:1] for term in terms)
    case.expect(student(*single), truth(*single), "one sample", points=0.25)
    impossible = terms[0].clone()
    impossible[1, 0] = -math.inf
    case.expect(
        student(impossible, *terms[1:]), truth(impossible, *terms[1:]), "a sample that cannot have made x", points=0.35
    )
    case.conventions(student, terms, truth, points=0.4)


@elbo_monte_carlo.truth
def _(log_px_given_z, log_pz, log_qz):
    columns = zip(log_px_given_z.T.tolist(), log_pz.T.tolist(), log_qz.T.tolist(), strict=True)
    means = [sum(a + b - c for a, b, c in zip(*column, strict=True)) / len(column[0]) for column in columns]
    return torch.tensor(means, dtype=log_px_given_z.dtype)


@elbo_monte_carlo.misconception(
    "sign of log q turned", hint="The entropy of q is -E log q: the term log q(z) is subtracted, not added."
)
def _(log_px_given_z, log_pz, log_qz):
    return (log_px_given_z + log_pz + log_qz).mean(0)


@elbo_monte_carlo.misconception(
    "log p(z) forgotten", hint="The ELBO needs the joint: log p(x, z) = log p(x given z) + log p(z)."
)
def _(log_px_given_z, log_pz, log_qz):
    return (log_px_given_z - log_qz).mean(0)


@elbo_monte_carlo.misconception(
    "log q(z) forgotten", hint="Without -log q(z) this is the mean log joint alone; the entropy of q is missing."
)
def _(log_px_given_z, log_pz, log_qz):
    return (log_px_given_z + log_pz).mean(0)


@elbo_monte_carlo.misconception(
    "log of the mean ratio",
    hint="The ELBO is the mean of the logarithms. The log of the mean ratio is another, tighter bound (lesson 2).",
)
def _(log_px_given_z, log_pz, log_qz):
    ratio = log_px_given_z + log_pz - log_qz
    return ratio.logsumexp(0) - math.log(len(ratio))


@elbo_monte_carlo.misconception("sum over the samples", hint="An expectation is a mean over the K samples, not a sum.")
def _(log_px_given_z, log_pz, log_qz):
    return (log_px_given_z + log_pz - log_qz).sum(0)


@elbo_monte_carlo.misconception(
    "averaged over the examples", hint="Average over the samples, axis 0; every example has an ELBO of its own."
)
def _(log_px_given_z, log_pz, log_qz):
    return (log_px_given_z + log_pz - log_qz).mean(1)


@elbo_monte_carlo.misconception(
    "one number for the whole batch", hint="The result has one entry for each example, (B,): average over axis 0 alone."
)
def _(log_px_given_z, log_pz, log_qz):
    return (log_px_given_z + log_pz - log_qz).mean()


@elbo_monte_carlo.misconception(
    "KL with its sign turned", hint="The KL from q to the prior is E[log q - log p(z)], and it is subtracted."
)
def _(log_px_given_z, log_pz, log_qz):
    return (log_px_given_z - log_pz + log_qz).mean(0)


@elbo_monte_carlo.misconception(
    "weighted by q once more", hint="The samples were drawn from q already: average them plainly, without weights q(z)."
)
def _(log_px_given_z, log_pz, log_qz):
    return (log_qz.exp() * (log_px_given_z + log_pz - log_qz)).mean(0)


@elbo_monte_carlo.alternative("reconstruction minus KL")
def _(log_px_given_z, log_pz, log_qz):
    reconstruction = log_px_given_z.mean(dim=0)
    kl = torch.mean(log_qz - log_pz, dim=0)
    return reconstruction - kl


@elbo_monte_carlo.alternative("sum and count")
def _(log_px_given_z, log_pz, log_qz):
    return torch.stack([log_px_given_z, log_pz, -log_qz]).sum(dim=(0, 1)) / log_qz.size(0)


@elbo_monte_carlo.alternative("a loop over the samples")
def _(log_px_given_z, log_pz, log_qz):
    total = torch.zeros_like(log_px_given_z[0])
    for a, b, c in zip(log_px_given_z, log_pz, log_qz, strict=True):
        total = total + (a + b - c) / len(log_qz)
    return total


@exercise("gaussian_kl_full", points=2)
def gaussian_kl_full(student, case):
    """KL(N(mean_q, cov_q) || N(mean_p, cov_p)) for every row of the means -> (B,)."""
    truth = gaussian_kl_full.oracle
    batch, latent = case.sizes(2, high=6)
    args = case.normal(batch, latent), covariance(case, latent), case.normal(batch, latent), covariance(case, latent)
    case.expect(student(*args), truth(*args), "value on random Gaussians", points=1.0)
    same_cov = args[0], args[1], args[2], args[1]
    case.expect(student(*same_cov), truth(*same_cov), "equal covariances", points=0.25)
    scales = case.uniform(60, low=0.5, high=2.0)
    near = 1e-6 * case.normal(1, 60), 1e-12 * torch.diag(scales), torch.zeros(1, 60, dtype=f64), 1e-12 * torch.eye(60)
    tiny = *near[:3], near[3].double()
    case.expect(student(*tiny), truth(*tiny), "determinants that underflow", points=0.35)
    case.conventions(student, args, truth, points=0.4)


@gaussian_kl_full.truth
def _(mean_q, cov_q, mean_p, cov_p):
    q, p = MultivariateNormal(mean_q.double(), cov_q.double()), MultivariateNormal(mean_p.double(), cov_p.double())
    return kl_divergence(q, p).to(mean_q.dtype)


def _log_det(cov):
    return torch.linalg.slogdet(cov).logabsdet


def _quadratic(d, cov):
    return (d * torch.linalg.solve(cov, d.T).T).sum(-1)


def _trace(cov_p, cov_q):
    return torch.linalg.solve(cov_p, cov_q).trace()


@gaussian_kl_full.misconception(
    "arguments exchanged", hint="This is KL(p || q). In KL(q || p) the inverse is that of the second covariance, cov_p."
)
def _(mean_q, cov_q, mean_p, cov_p):
    d, J = mean_q - mean_p, mean_q.shape[-1]
    return 0.5 * (_log_det(cov_q) - _log_det(cov_p) + _trace(cov_q, cov_p) + _quadratic(d, cov_q) - J)


@gaussian_kl_full.misconception("factor 1/2 missing", hint="All four terms stand under one factor 1/2.")
def _(mean_q, cov_q, mean_p, cov_p):
    d, J = mean_q - mean_p, mean_q.shape[-1]
    return _log_det(cov_p) - _log_det(cov_q) + _trace(cov_p, cov_q) + _quadratic(d, cov_p) - J


@gaussian_kl_full.misconception(
    "minus J missing", hint="q measured against its own covariance gives J, and it enters with a minus sign."
)
def _(mean_q, cov_q, mean_p, cov_p):
    d = mean_q - mean_p
    return 0.5 * (_log_det(cov_p) - _log_det(cov_q) + _trace(cov_p, cov_q) + _quadratic(d, cov_p))


@gaussian_kl_full.misconception(
    "log-determinants exchanged", hint="A narrow q costs: the term is log det cov_p minus log det cov_q."
)
def _(mean_q, cov_q, mean_p, cov_p):
    d, J = mean_q - mean_p, mean_q.shape[-1]
    return 0.5 * (_log_det(cov_q) - _log_det(cov_p) + _trace(cov_p, cov_q) + _quadratic(d, cov_p) - J)


@gaussian_kl_full.misconception(
    "shift measured by the covariance of q",
    hint="The distance of the means is measured by p: the inverse is that of cov_p.",
)
def _(mean_q, cov_q, mean_p, cov_p):
    d, J = mean_q - mean_p, mean_q.shape[-1]
    return 0.5 * (_log_det(cov_p) - _log_det(cov_q) + _trace(cov_p, cov_q) + _quadratic(d, cov_q) - J)


@gaussian_kl_full.misconception(
    "multiplied by the covariance of p",
    hint="Trace and quadratic form take the inverse of cov_p: solve with cov_p instead of multiplying by it.",
)
def _(mean_q, cov_q, mean_p, cov_p):
    d, J = mean_q - mean_p, mean_q.shape[-1]
    return 0.5 * (_log_det(cov_p) - _log_det(cov_q) + (cov_p @ cov_q).trace() + ((d @ cov_p) * d).sum(-1) - J)


@gaussian_kl_full.misconception(
    "means forgotten", hint="A q in the wrong place costs as well: add the quadratic form in mean_q - mean_p."
)
def _(mean_q, cov_q, mean_p, cov_p):
    J = mean_q.shape[-1]
    value = 0.5 * (_log_det(cov_p) - _log_det(cov_q) + _trace(cov_p, cov_q) - J)
    return value.expand(len(mean_q)).clone()


@gaussian_kl_full.misconception(
    "only the diagonals used", hint="The covariances are full matrices: their off-diagonal entries count."
)
def _(mean_q, cov_q, mean_p, cov_p):
    d, v, w = mean_q - mean_p, cov_q.diagonal(), cov_p.diagonal()
    return 0.5 * (w.log() - v.log() + v / w + d**2 / w - 1).sum(-1)


@gaussian_kl_full.misconception(
    "determinants under- or overflow",
    hint="Take torch.linalg.slogdet: the determinant of a large matrix is soon 0 or inf.",
)
def _(mean_q, cov_q, mean_p, cov_p):
    d, J = mean_q - mean_p, mean_q.shape[-1]
    log_ratio = (torch.linalg.det(cov_p) / torch.linalg.det(cov_q)).log()
    return 0.5 * (log_ratio + _trace(cov_p, cov_q) + _quadratic(d, cov_p) - J)


@gaussian_kl_full.misconception(
    "mean over the batch", hint="Every row of the means has its own KL: return (B,), without averaging."
)
def _(mean_q, cov_q, mean_p, cov_p):
    d, J = mean_q - mean_p, mean_q.shape[-1]
    return 0.5 * (_log_det(cov_p) - _log_det(cov_q) + _trace(cov_p, cov_q) + _quadratic(d, cov_p) - J).mean()


@gaussian_kl_full.alternative("torch.distributions")
def _(mean_q, cov_q, mean_p, cov_p):
    return kl_divergence(MultivariateNormal(mean_q, cov_q), MultivariateNormal(mean_p, cov_p))


@gaussian_kl_full.alternative("Cholesky factors")
def _(mean_q, cov_q, mean_p, cov_p):
    Lq, Lp = torch.linalg.cholesky(cov_q), torch.linalg.cholesky(cov_p)
    M = torch.linalg.solve_triangular(Lp, Lq, upper=False)
    y = torch.linalg.solve_triangular(Lp, (mean_p - mean_q).mT, upper=False)
    logs = Lp.diagonal().log().sum() - Lq.diagonal().log().sum()
    return logs + (M.square().sum() + y.square().sum(0) - Lq.shape[0]) / 2


@gaussian_kl_full.alternative("an explicit inverse, one row after the other")
def _(mean_q, cov_q, mean_p, cov_p):
    P = torch.linalg.inv(cov_p)
    constant = torch.logdet(cov_p) - torch.logdet(cov_q) + torch.einsum("ij,ji->", P, cov_q) - len(P)
    return torch.stack([(constant + (a - b) @ P @ (a - b)) / 2 for a, b in zip(mean_q, mean_p, strict=True)])
