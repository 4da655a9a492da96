"""Mixtures of Gaussians."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from .gaussian import GaussianData, parted
from .levels import Level, Network, as_network, float64, level_of


@dataclass(frozen=True, eq=False)
class GaussianMixture:
    """Data from sum_k weights_k N(means_k, covs_k).

    Attributes:
        weights: (K,), not negative, summing to 1. means: (K, D). covs: (K, D, D).
    """

    weights: Tensor
    means: Tensor
    covs: Tensor

    def __post_init__(self) -> None:
        weights, means, covs = float64(self.weights), float64(self.means), float64(self.covs)
        if (
            weights.ndim != 1
            or means.ndim != 2
            or covs.shape != (*means.shape, means.shape[1])
            or len(weights) != len(means)
        ):
            shapes = ", ".join(str(tuple(x.shape)) for x in (weights, means, covs))
            raise ValueError(f"expected weights (K,), means (K, D), covs (K, D, D), got {shapes}")
        if not ((weights >= 0).all() and torch.isclose(weights.sum(), torch.ones_like(weights[0]))):
            raise ValueError(f"weights must not be negative and sum to 1, got {weights.tolist()}")
        for name, value in (("weights", weights), ("means", means), ("covs", covs)):
            object.__setattr__(self, name, value)

    def log_prob(self, x: Tensor) -> Tensor:
        """log p(x) in nats, (B, D) -> (B,)."""
        return self._log_joint(x.to(self.means), torch.ones((), dtype=torch.float64)).logsumexp(-1).to(x)

    def sample(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """float64 (n, D). `generator` lives on the CPU."""
        component = torch.multinomial(self.weights, n, replacement=True, generator=generator)
        values, vectors = self._axes
        eps = torch.randn(n, self.means.shape[1], dtype=torch.float64, generator=generator)
        stretched = eps * values.sqrt()[component]
        return self.means[component] + torch.einsum("nij,nj->ni", vectors[component], stretched)

    def noised(self, alpha_bar: float) -> "GaussianMixture":
        """The marginal q(x_t): the same weights, components N(sqrt(a) means_k, a covs_k + (1 - a) I) (Ho and others,
        2020, equation 4).
        """
        a = level_of(alpha_bar, 0)
        identity = torch.eye(self.means.shape[1], dtype=torch.float64)
        return GaussianMixture(self.weights, a.sqrt() * self.means, a * self.covs + (1 - a) * identity)

    def score(self, xt: Tensor, alpha_bar: Level) -> Tensor:
        """grad log q(x_t) = -sum_k r_k C_k^-1 (x_t - sqrt(a) means_k); like x_t.

        r_k is the probability of component k given x_t, C_k = a covs_k + (1 - a) I.
        """
        x, a = xt.to(self.means), level_of(alpha_bar, xt.ndim)
        return -self._average(x, a, lambda values, along, variances: along / variances).to(xt)

    def cdf(self, x: Tensor, alpha_bar: Level = 1.0) -> Tensor:
        """P(x_t <= x) on the line, (B, 1) -> (B,)."""
        if self.means.shape[1] != 1:
            raise ValueError(f"cdf: expected a mixture on the line, got one in {self.means.shape[1]}-D")
        a = level_of(alpha_bar, x.ndim)
        variances = a * self.covs[:, 0, 0] + 1 - a
        standard = (x.to(self.means) - a.sqrt() * self.means[:, 0]) / variances.sqrt()
        return (self.weights * torch.special.ndtr(standard)).sum(-1).to(x)

    def given(self, index: Any, value: Any) -> "GaussianMixture":
        """The law of the other entries, in their order, given x[index] = value: each component's own, and weights by
        Bayes' rule, weights_k N(value; means_k, covs_k). Arguments and errors as for `GaussianData.given`.
        """
        parts = [GaussianData(mean, cov) for mean, cov in zip(self.means, self.covs, strict=True)]
        rests = [part.given(index, value) for part in parts]
        index, _, value = parted(index, value, self.means.shape[1])
        seen = [GaussianData(part.mean[index], part.cov[index][:, index]).log_prob(value[None]) for part in parts]
        weights = (self.weights.log() + torch.cat(seen)).softmax(0)
        return GaussianMixture(weights, torch.stack([r.mean for r in rests]), torch.stack([r.cov for r in rests]))

    def blurred(self, sigma: float) -> "GaussianMixture":
        """The law of x_0 + sigma eps: the same means, covariances covs_k + sigma^2 I."""
        identity = torch.eye(self.means.shape[1], dtype=torch.float64)
        return GaussianMixture(self.weights, self.means, self.covs + sigma**2 * identity)

    def best_x0(self, xt: Tensor, alpha_bar: Level) -> Tensor:
        """E[x_0 given x_t], the estimate of x_0 with the least squared error; like x_t.

        The components' regressions of x_0 on x_t, mean_k + sqrt(a) cov_k C_k^-1 (x_t - sqrt(a) mean_k), averaged with
        the probabilities of the components given x_t.
        """
        x, a = xt.to(self.means), level_of(alpha_bar, xt.ndim)
        centre = self._log_joint(x, a).softmax(-1) @ self.means
        root = a.sqrt()[..., None]
        return (centre + self._average(x, a, lambda v, along, variances: root * v * along / variances)).to(xt)

    def best_eps(self, xt: Tensor, alpha_bar: Level) -> Tensor:
        """E[eps given x_t], what a noise predictor can reach at best; like x_t.

        The components' regressions of eps on x_t, averaged as in `best_x0`.
        """
        x, a = xt.to(self.means), level_of(alpha_bar, xt.ndim)
        root = (1 - a).sqrt()[..., None]
        return self._average(x, a, lambda v, along, variances: root * along / variances).to(xt)

    def eps_model(self, alpha_bar: Tensor) -> Network:
        """The best noise predictor in a network's place, (x_t, t) -> eps; `alpha_bar` is a table (T + 1,)."""
        return as_network(self, alpha_bar)

    @cached_property
    def _axes(self) -> tuple[Tensor, Tensor]:
        values, vectors = torch.linalg.eigh(self.covs)
        return values.clamp(min=0), vectors

    def _average(self, x: Tensor, a: Tensor, gain: Callable[[Tensor, Tensor, Tensor], Tensor]) -> Tensor:
        """A linear function of x - sqrt(a) mean_k, averaged over the components given x, (B, D).

        `gain` makes it along each component's axes, (B, K, D), from the component's variances (K, D), the difference
        along the axes, and the variances of x_t.
        """
        probability = self._log_joint(x, a).softmax(-1)  # (B, K)
        values, vectors = self._axes
        along = torch.einsum("bki,kij->bkj", x[:, None] - a.sqrt()[..., None] * self.means, vectors)
        each = torch.einsum("bkj,kij->bki", gain(values, along, a[..., None] * values + 1 - a[..., None]), vectors)
        return (probability[..., None] * each).sum(1)

    def _log_joint(self, x: Tensor, a: Tensor) -> Tensor:
        """log weights_k + log N(x; sqrt(a) means_k, a covs_k + (1 - a) I), (B, K)."""
        values, vectors = self._axes
        variances = a[..., None] * values + 1 - a[..., None]  # (K, D) or (B, K, D)
        along = torch.einsum("bki,kij->bkj", x[:, None] - a.sqrt()[..., None] * self.means, vectors)
        terms = (2 * math.pi * variances).log() + along**2 / variances
        return self.weights.log() - terms.sum(-1) / 2
