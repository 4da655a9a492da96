"""The divergence of two Gaussians with full covariances: `gaussian_kl_full`."""

from __future__ import annotations

import torch
from torch.distributions import MultivariateNormal, kl_divergence

from ...exercise import exercise
from .shared import covariance

f64 = torch.float64


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
    alone = args[0][:1, :1], args[1][:1, :1], args[2][:1, :1], args[3][:1, :1]
    case.conventions(student, args, truth, points=0.4, also=[alone])


@gaussian_kl_full.truth
def truth(mean_q, cov_q, mean_p, cov_p):
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
def arguments_exchanged(mean_q, cov_q, mean_p, cov_p):
    d, J = mean_q - mean_p, mean_q.shape[-1]
    return 0.5 * (_log_det(cov_q) - _log_det(cov_p) + _trace(cov_q, cov_p) + _quadratic(d, cov_q) - J)


@gaussian_kl_full.misconception("factor 1/2 missing", hint="All four terms stand under one factor 1/2.")
def factor_half_missing(mean_q, cov_q, mean_p, cov_p):
    d, J = mean_q - mean_p, mean_q.shape[-1]
    return _log_det(cov_p) - _log_det(cov_q) + _trace(cov_p, cov_q) + _quadratic(d, cov_p) - J


@gaussian_kl_full.misconception(
    "minus J missing", hint="q measured against its own covariance gives J, and it enters with a minus sign."
)
def minus_j_missing(mean_q, cov_q, mean_p, cov_p):
    d = mean_q - mean_p
    return 0.5 * (_log_det(cov_p) - _log_det(cov_q) + _trace(cov_p, cov_q) + _quadratic(d, cov_p))


@gaussian_kl_full.misconception(
    "log-determinants exchanged", hint="A narrow q costs: the term is log det cov_p minus log det cov_q."
)
def log_determinants_exchanged(mean_q, cov_q, mean_p, cov_p):
    d, J = mean_q - mean_p, mean_q.shape[-1]
    return 0.5 * (_log_det(cov_q) - _log_det(cov_p) + _trace(cov_p, cov_q) + _quadratic(d, cov_p) - J)


@gaussian_kl_full.misconception(
    "shift measured by the covariance of q",
    hint="The distance of the means is measured by p: the inverse is that of cov_p.",
)
def shift_measured_by_covariance_of_q(mean_q, cov_q, mean_p, cov_p):
    d, J = mean_q - mean_p, mean_q.shape[-1]
    return 0.5 * (_log_det(cov_p) - _log_det(cov_q) + _trace(cov_p, cov_q) + _quadratic(d, cov_q) - J)


@gaussian_kl_full.misconception(
    "multiplied by the covariance of p",
    hint="Trace and quadratic form take the inverse of cov_p: solve with cov_p instead of multiplying by it.",
)
def multiplied_by_covariance_of_p(mean_q, cov_q, mean_p, cov_p):
    d, J = mean_q - mean_p, mean_q.shape[-1]
    return 0.5 * (_log_det(cov_p) - _log_det(cov_q) + (cov_p @ cov_q).trace() + ((d @ cov_p) * d).sum(-1) - J)


@gaussian_kl_full.misconception(
    "means forgotten", hint="A q in the wrong place costs as well: add the quadratic form in mean_q - mean_p."
)
def means_forgotten(mean_q, cov_q, mean_p, cov_p):
    J = mean_q.shape[-1]
    value = 0.5 * (_log_det(cov_p) - _log_det(cov_q) + _trace(cov_p, cov_q) - J)
    return value.expand(len(mean_q)).clone()


@gaussian_kl_full.misconception(
    "only the diagonals used", hint="The covariances are full matrices: their off-diagonal entries count."
)
def only_diagonals_used(mean_q, cov_q, mean_p, cov_p):
    d, v, w = mean_q - mean_p, cov_q.diagonal(), cov_p.diagonal()
    return 0.5 * (w.log() - v.log() + v / w + d**2 / w - 1).sum(-1)


@gaussian_kl_full.misconception(
    "determinants under- or overflow",
    hint="Take torch.linalg.slogdet: the determinant of a large matrix is soon 0 or inf.",
)
def determinants_under_or_overflow(mean_q, cov_q, mean_p, cov_p):
    d, J = mean_q - mean_p, mean_q.shape[-1]
    log_ratio = (torch.linalg.det(cov_p) / torch.linalg.det(cov_q)).log()
    return 0.5 * (log_ratio + _trace(cov_p, cov_q) + _quadratic(d, cov_p) - J)


@gaussian_kl_full.misconception(
    "mean over the batch", hint="Every row of the means has its own KL: return (B,), without averaging."
)
def mean_over_batch(mean_q, cov_q, mean_p, cov_p):
    d, J = mean_q - mean_p, mean_q.shape[-1]
    return 0.5 * (_log_det(cov_p) - _log_det(cov_q) + _trace(cov_p, cov_q) + _quadratic(d, cov_p) - J).mean()


@gaussian_kl_full.alternative("torch.distributions")
def torch_distributions(mean_q, cov_q, mean_p, cov_p):
    return kl_divergence(MultivariateNormal(mean_q, cov_q), MultivariateNormal(mean_p, cov_p))


@gaussian_kl_full.alternative("Cholesky factors")
def cholesky_factors(mean_q, cov_q, mean_p, cov_p):
    Lq, Lp = torch.linalg.cholesky(cov_q), torch.linalg.cholesky(cov_p)
    M = torch.linalg.solve_triangular(Lp, Lq, upper=False)
    y = torch.linalg.solve_triangular(Lp, (mean_p - mean_q).mT, upper=False)
    logs = Lp.diagonal().log().sum() - Lq.diagonal().log().sum()
    return logs + (M.square().sum() + y.square().sum(0) - Lq.shape[0]) / 2


@gaussian_kl_full.alternative("an explicit inverse, one row after the other")
def explicit_inverse_one_row_after_other(mean_q, cov_q, mean_p, cov_p):
    P = torch.linalg.inv(cov_p)
    constant = torch.logdet(cov_p) - torch.logdet(cov_q) + torch.einsum("ij,ji->", P, cov_q) - len(P)
    return torch.stack([(constant + (a - b) @ P @ (a - b)) / 2 for a, b in zip(mean_q, mean_p, strict=True)])


@gaussian_kl_full.alternative("solve and slogdet")
def solve_and_slogdet(mean_q, cov_q, mean_p, cov_p):
    apart = mean_p - mean_q
    trace = torch.linalg.solve(cov_p, cov_q).trace()
    distance = (apart * torch.linalg.solve(cov_p, apart.mT).mT).sum(-1)
    logs = torch.linalg.slogdet(cov_p).logabsdet - torch.linalg.slogdet(cov_q).logabsdet
    return 0.5 * (trace + distance - apart.shape[-1] + logs)
