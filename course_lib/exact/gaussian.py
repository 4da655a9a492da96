"""Gaussian data, how far two are apart, and those of a film."""

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor
from torch.distributions import MultivariateNormal

from .levels import Level, Network, as_network, float64, level_of


@dataclass(frozen=True, eq=False)
class GaussianData:
    """Data from N(mean, cov).

    Attributes:
        mean: (D,). cov: (D, D), symmetric, positive semi-definite.
    """

    mean: Tensor
    cov: Tensor

    def __post_init__(self) -> None:
        mean, cov = float64(self.mean), float64(self.cov)
        if mean.ndim != 1 or cov.shape != (len(mean), len(mean)):
            shapes = f"{tuple(mean.shape)} and {tuple(cov.shape)}"
            raise ValueError(f"expected mean (D,) and cov (D, D), got {shapes}")
        if not torch.allclose(cov, cov.T):
            raise ValueError("cov is not symmetric")
        object.__setattr__(self, "mean", mean)
        object.__setattr__(self, "cov", cov)

    @classmethod
    def fit(cls, x: Tensor) -> "GaussianData":
        """The maximum-likelihood Gaussian of points (N, D): their mean and their covariance with 1/N."""
        x = float64(x)
        return cls(x.mean(0), torch.cov(x.T, correction=0).reshape(x.shape[1], x.shape[1]))

    @cached_property
    def _axes(self) -> tuple[Tensor, Tensor]:
        values, vectors = torch.linalg.eigh(self.cov)
        return values.flip(0).clamp(min=0), vectors.flip(1)

    @property
    def eigenvalues(self) -> Tensor:
        """Of the covariance, descending, (D,)."""
        return self._axes[0]

    @property
    def entropy(self) -> float:
        """-E log p(x) in nats, H = 1/2 sum_i log(2 pi e lambda_i)."""
        return 0.5 * (2 * math.pi * math.e * self.eigenvalues).log().sum().item()

    def distortion(self, nats: float) -> float:
        """The least mean squared error, summed over the dimensions, of any description of x that spends `nats` on it.

        Reverse water-filling (Shannon, 1959; Cover and Thomas, theorem 10.3.3): sum_i min(theta, lambda_i) at the level
        theta where sum_i 1/2 log+(lambda_i / theta) = nats.
        """
        values = self.eigenvalues[self.eigenvalues > 0].log()
        if nats < 0 or not math.isfinite(nats):
            raise ValueError(f"distortion: nats={nats}; expected a finite number >= 0")
        # With the k largest above the level, log theta is their mean less 2 nats / k: the first k that fits its place.
        for k in range(1, len(values) + 1):
            level = values[:k].mean() - 2 * nats / k
            if k == len(values) or values[k] <= level:
                return torch.minimum(self.eigenvalues, level.exp()).sum().item()
        return 0.0

    def log_prob(self, x: Tensor) -> Tensor:
        """log p(x) in nats, (B, D) -> (B,)."""
        return MultivariateNormal(self.mean, self.cov).log_prob(x.to(self.mean)).to(x)

    def sample(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """float64 (n, D). `generator` lives on the CPU."""
        values, vectors = self._axes
        eps = torch.randn(n, len(values), dtype=torch.float64, generator=generator)
        return self.mean + (eps * values.sqrt()) @ vectors.T

    def noised(self, alpha_bar: float) -> "GaussianData":
        """The marginal q(x_t) = N(sqrt(a) mean, a cov + (1 - a) I) (Ho and others, 2020, equation 4)."""
        a = level_of(alpha_bar, 0)
        return GaussianData(
            a.sqrt() * self.mean, a * self.cov + (1 - a) * torch.eye(len(self.mean), dtype=torch.float64)
        )

    def score(self, xt: Tensor, alpha_bar: Level) -> Tensor:
        """grad log q(x_t) = -C_t^-1 (x_t - sqrt(a) mean) with C_t = a cov + (1 - a) I; like x_t."""
        a = level_of(alpha_bar, xt.ndim)
        values, vectors = self._axes
        along = (xt.to(self.mean) - a.sqrt() * self.mean) @ vectors
        return (-(along / (a * values + 1 - a)) @ vectors.T).to(xt)

    def given(self, index: Any, value: Any) -> "GaussianData":
        """The law of the other entries, in their order, given x[index] = value (Petersen and Pedersen, 2012, 8.1.3).

            mean_r + C_ri C_ii^-1 (value - mean_i),   C_rr - C_ri C_ii^-1 C_ir

        Args:
            index: integers (m,), in any order, each once. value: (m,).

        Raises:
            ValueError: an index out of range or twice, or a covariance C_ii that is not definite.
        """
        index, rest, value = parted(index, value, len(self.mean))
        root, failed = torch.linalg.cholesky_ex(self.cov[index][:, index])
        if failed:
            raise ValueError("given: the covariance of the given entries is not definite")
        across = self.cov[index][:, rest]
        gain = torch.cholesky_solve(across, root)  # (m, rest)
        cov = self.cov[rest][:, rest] - across.T @ gain
        return GaussianData(self.mean[rest] + (value - self.mean[index]) @ gain, (cov + cov.T) / 2)

    def blurred(self, sigma: float) -> "GaussianData":
        """The law of x_0 + sigma eps: N(mean, cov + sigma^2 I)."""
        return GaussianData(self.mean, self.cov + sigma**2 * torch.eye(len(self.mean), dtype=torch.float64))

    def best_x0(self, xt: Tensor, alpha_bar: Level) -> Tensor:
        """E[x_0 given x_t], the estimate of x_0 with the least squared error (Wiener, 1949); like x_t.

        The regression of x_0 on x_t: mean + sqrt(a) cov C_t^-1 (x_t - sqrt(a) mean).
        """
        a = level_of(alpha_bar, xt.ndim)
        values, vectors = self._axes
        along = (xt.to(self.mean) - a.sqrt() * self.mean) @ vectors
        return (self.mean + (along * a.sqrt() * values / (a * values + 1 - a)) @ vectors.T).to(xt)

    def best_eps(self, xt: Tensor, alpha_bar: Level) -> Tensor:
        """E[eps given x_t], what a noise predictor can reach at best; like x_t.

        The regression of eps on x_t.
        """
        a = level_of(alpha_bar, xt.ndim)
        values, vectors = self._axes
        along = (xt.to(self.mean) - a.sqrt() * self.mean) @ vectors
        return ((along * (1 - a).sqrt() / (a * values + 1 - a)) @ vectors.T).to(xt)

    def eps_model(self, alpha_bar: Tensor) -> Network:
        """The best noise predictor in a network's place, (x_t, t) -> eps; `alpha_bar` is a table (T + 1,)."""
        return as_network(self, alpha_bar)

    def eps_floor(self, alpha_bar: Level) -> Tensor:
        """Least mean squared error per dimension of any prediction of eps; like alpha_bar.

        mean_i a lambda_i / (a lambda_i + 1 - a).
        """
        a = float64(alpha_bar)[..., None]
        signal = a * self.eigenvalues
        return (signal / (signal + 1 - a)).mean(-1)

    def x0_floor(self, alpha_bar: Level) -> Tensor:
        """The same for x_0: mean_i lambda_i (1 - a) / (a lambda_i + 1 - a)."""
        a = float64(alpha_bar)[..., None]
        return (self.eigenvalues * (1 - a) / (a * self.eigenvalues + 1 - a)).mean(-1)


def frechet_distance(p: GaussianData, q: GaussianData) -> float:
    """Squared 2-Wasserstein distance of two Gaussians (Dowson and Landau, 1982).

    |mean_p - mean_q|^2 + tr(cov_p + cov_q - 2 (cov_p^1/2 cov_q cov_p^1/2)^1/2).
    """
    values, vectors = p._axes
    root = (vectors * values.sqrt()) @ vectors.T
    cross = torch.linalg.eigvalsh(root @ q.cov @ root).clamp(min=0).sqrt().sum()
    distance = (p.mean - q.mean).square().sum() + p.cov.trace() + q.cov.trace() - 2 * cross
    return max(distance.item(), 0.0)


def ar1(frames: int, rho: float) -> GaussianData:
    """A pixel of a film, autoregressive of order one (Yule, 1927): N(0, R) with R_ij = rho^|i - j|, (frames,).

    Frame f + 1 is rho times frame f plus N(0, 1 - rho^2); each frame has variance 1. |rho| <= 1.
    """
    place = torch.arange(frames, dtype=torch.float64)
    return GaussianData(torch.zeros(frames), rho ** (place[:, None] - place).abs())


def parted(index: Any, value: Any, dim: int) -> tuple[Tensor, Tensor, Tensor]:
    """Given entries, the other ones, and the values."""
    index, value = torch.as_tensor(index, dtype=torch.long), float64(value)
    mask = torch.zeros(dim, dtype=torch.bool)
    if index.ndim != 1 or index.shape != value.shape or not ((index >= 0) & (index < dim)).all():
        expected = f"index (m,) from 0 to {dim - 1} and value (m,)"
        raise ValueError(f"given: expected {expected}, got {index.tolist()} and shape {tuple(value.shape)}")
    mask[index] = True
    if mask.sum() < len(index):
        raise ValueError(f"given: an entry twice in {index.tolist()}")
    return index, (~mask).nonzero()[:, 0], value
