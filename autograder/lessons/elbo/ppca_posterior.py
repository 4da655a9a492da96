"""The posterior of probabilistic PCA: `ppca_posterior`."""

from __future__ import annotations

import math

import torch

from ...exercise import exercise

f64 = torch.float64


@exercise("ppca_posterior", points=3)
def ppca_posterior(student, case):
    """Mean (B, J) and covariance (J, J) of p(z given x) of probabilistic PCA."""
    batch, dim, latent = 5, case.integer(6, 8), case.integer(3, 4)
    x, W, b = case.normal(batch, dim), case.normal(dim, latent), case.normal(dim)
    sigma2 = case.number(0.3, 0.7)
    truth = ppca_posterior.oracle
    mean, cov = case.unpack(student(x, W, b, sigma2), "mean", "cov")
    wanted = truth(x, W, b, sigma2)
    case.expect(mean, wanted[0], "mean", points=1)
    case.expect(cov, wanted[1], "covariance", points=1)

    W_dead = W.clone()
    W_dead[:, 0] = 0  # a latent that the decoder ignores keeps its prior
    wide = case.normal(batch, 3), case.normal(3, 5), case.normal(3), case.number(1.5, 3.0)
    for what, args in (
        ("a latent that the decoder ignores", (x, W_dead, b, sigma2)),
        ("more latents than pixels", wide),
    ):
        case.expect(student(*args), truth(*args), what, points=0.3, dtype=True)
    alone = x[:1, :1], W[:1, :1], b[:1], sigma2
    case.conventions(student, (x, W, b, sigma2), truth, points=0.4, also=[alone])


@ppca_posterior.truth
def truth(x, W, b, sigma2):
    """By conditioning the joint Gaussian of (z, x), in float64."""
    W64 = W.double()
    marginal = W64 @ W64.T + sigma2 * torch.eye(len(b), dtype=f64)
    gain = torch.linalg.solve(marginal, W64).T  # W^T (W W^T + sigma2 I)^-1
    cov = torch.eye(W.shape[1], dtype=f64) - gain @ W64
    return ((x - b).double() @ gain.T).to(x.dtype), cov.to(x.dtype)


def _precision(W, sigma2):
    return torch.eye(W.shape[1], dtype=W.dtype) + W.T @ W / sigma2


@ppca_posterior.misconception(
    "prior forgotten", hint="The prior N(0, I) adds the identity to the precision; without it you get least squares."
)
def prior_forgotten(x, W, b, sigma2):
    gram = W.T @ W
    cov = torch.linalg.pinv(gram) * sigma2
    return (x - b) @ W @ cov / sigma2, cov


@ppca_posterior.misconception(
    "prior forgotten, plain inverse",
    hint="The prior N(0, I) adds the identity to the precision; W^T W alone has no inverse where a latent is unused.",
)
def prior_forgotten_plain_inverse(x, W, b, sigma2):
    cov = torch.linalg.inv(W.T @ W / sigma2)
    return (x - b) @ W @ cov / sigma2, cov


@ppca_posterior.misconception(
    "noise variance left out",
    hint="Both A and h carry 1 / sigma^2: the noisier the pixels, the less W^T W counts against the prior.",
)
def noise_variance_left_out(x, W, b, sigma2):
    cov = torch.linalg.inv(_precision(W, 1.0))
    return (x - b) @ W @ cov, cov


@ppca_posterior.misconception(
    "b not subtracted", hint="z explains the deviation from the mean image: use x - b, not x."
)
def b_not_subtracted(x, W, b, sigma2):
    cov = torch.linalg.inv(_precision(W, sigma2))
    return x @ W @ cov / sigma2, cov


@ppca_posterior.misconception(
    "sigma2 squared again", hint="sigma2 is the variance already: divide by it, not by its square."
)
def sigma2_squared_again(x, W, b, sigma2):
    cov = torch.linalg.inv(_precision(W, sigma2**2))
    return (x - b) @ W @ cov / sigma2**2, cov


@ppca_posterior.misconception(
    "standard deviation for the variance",
    hint="Both the precision and the mean carry 1 / sigma^2, not 1 / sigma: do not take a root.",
)
def standard_deviation_for_variance(x, W, b, sigma2):
    sigma = math.sqrt(sigma2)
    cov = torch.linalg.inv(_precision(W, sigma))
    return (x - b) @ W @ cov / sigma, cov


@ppca_posterior.misconception(
    "1 / sigma^2 missing in the mean",
    hint="The linear term of the exponent is z^T W^T (x - b) / sigma^2: h carries the factor as well.",
)
def one_over_sigma_squared_missing_in_mean(x, W, b, sigma2):
    cov = torch.linalg.inv(_precision(W, sigma2))
    return (x - b) @ W @ cov, cov


@ppca_posterior.misconception(
    "precision for covariance",
    hint="A is the precision, the inverse of the covariance: invert it before you return it.",
)
def precision_for_covariance(x, W, b, sigma2):
    precision = _precision(W, sigma2)
    return torch.linalg.solve(precision, ((x - b) @ W / sigma2).T).T, precision


@ppca_posterior.misconception(
    "sigma^2 missing in the covariance",
    hint="With M = W^T W + sigma^2 I the covariance is sigma^2 M^-1: unlike the mean, it needs the factor.",
)
def sigma_squared_missing_in_covariance(x, W, b, sigma2):
    inverse = torch.linalg.inv(W.T @ W + sigma2 * torch.eye(W.shape[1], dtype=W.dtype))
    return (x - b) @ W @ inverse, inverse


@ppca_posterior.misconception(
    "covariance without its off-diagonal entries",
    hint="The latents are correlated given x: return the whole matrix, not its diagonal.",
)
def covariance_without_its_off_diagonal_entries(x, W, b, sigma2):
    cov = torch.linalg.inv(_precision(W, sigma2))
    return (x - b) @ W @ cov / sigma2, cov.diagonal().diag()


@ppca_posterior.misconception(
    "one covariance for each image",
    hint="The covariance does not depend on x: return it once, (J, J), not repeated for the batch.",
)
def one_covariance_for_each_image(x, W, b, sigma2):
    cov = torch.linalg.inv(_precision(W, sigma2))
    return (x - b) @ W @ cov / sigma2, cov.expand(len(x), *cov.shape).clone()


@ppca_posterior.alternative("M = W^T W + sigma2 I")
def m_by_m_matrix_inverted(x, W, b, sigma2):
    M = W.T @ W + sigma2 * torch.eye(W.size(1), dtype=W.dtype, device=W.device)
    M_inv = torch.linalg.inv(M)
    return (M_inv @ W.T @ (x - b).T).T, sigma2 * M_inv


@ppca_posterior.alternative("Cholesky")
def cholesky(x, W, b, sigma2):
    identity = torch.eye(W.shape[1], dtype=x.dtype, device=x.device)
    L = torch.linalg.cholesky(identity + W.mT @ W / sigma2)
    return torch.cholesky_solve(W.mT @ (x - b).mT / sigma2, L).mT, torch.cholesky_inverse(L)


@ppca_posterior.alternative("conditioning the joint Gaussian")
def conditioning_joint_gaussian(x, W, b, sigma2):
    D, J = W.shape
    gain = W.T @ torch.linalg.inv(W @ W.T + sigma2 * torch.eye(D).to(W))
    return torch.stack([gain @ (row - b) for row in x]), torch.eye(J).to(W) - gain @ W
