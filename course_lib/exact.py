"""Models in which everything is known exactly: the truth that networks are compared with.

Noise enters as in the course: x_t = sqrt(a) x_0 + sqrt(1 - a) eps with a = alpha_bar_t. Wherever a function
takes `alpha_bar`, that is a number, or a tensor (B,) with one level per row of x_t. Parameters are float64;
an answer has the dtype and device of the points it was asked about, so that an exact model can stand wherever
a network does.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor
from torch.distributions import MultivariateNormal

Level = float | Tensor
Network = Callable[[Tensor, Tensor], Tensor]


def _float64(value: Any) -> Tensor:
    return torch.as_tensor(value, dtype=torch.float64).detach().cpu()


def _level(alpha_bar: Level, ndim: int) -> Tensor:
    """alpha_bar as float64, with trailing axes so that it meets rows of `ndim` axes."""
    level = _float64(alpha_bar)
    if level.numel() and not ((level > 0) & (level <= 1)).all():
        found = f"{level.min():.3g} to {level.max():.3g}"
        raise ValueError(f"expected alpha_bar in (0, 1], got values from {found}")
    return level if level.ndim == 0 else level.reshape(-1, *[1] * (ndim - 1))


@dataclass(frozen=True, eq=False)
class GaussianData:
    """Data from N(mean, cov).

    Attributes:
        mean: (D,). cov: (D, D), symmetric, positive semi-definite.
    """

    mean: Tensor
    cov: Tensor

    def __post_init__(self) -> None:
        mean, cov = _float64(self.mean), _float64(self.cov)
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
        x = _float64(x)
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
        a = _level(alpha_bar, 0)
        return GaussianData(
            a.sqrt() * self.mean, a * self.cov + (1 - a) * torch.eye(len(self.mean), dtype=torch.float64)
        )

    def score(self, xt: Tensor, alpha_bar: Level) -> Tensor:
        """grad log q(x_t) = -C_t^-1 (x_t - sqrt(a) mean) with C_t = a cov + (1 - a) I; like x_t."""
        a = _level(alpha_bar, xt.ndim)
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
        index, rest, value = _split(index, value, len(self.mean))
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
        a = _level(alpha_bar, xt.ndim)
        values, vectors = self._axes
        along = (xt.to(self.mean) - a.sqrt() * self.mean) @ vectors
        return (self.mean + (along * a.sqrt() * values / (a * values + 1 - a)) @ vectors.T).to(xt)

    def best_eps(self, xt: Tensor, alpha_bar: Level) -> Tensor:
        """E[eps given x_t], what a noise predictor can reach at best; like x_t.

        The regression of eps on x_t.
        """
        a = _level(alpha_bar, xt.ndim)
        values, vectors = self._axes
        along = (xt.to(self.mean) - a.sqrt() * self.mean) @ vectors
        return ((along * (1 - a).sqrt() / (a * values + 1 - a)) @ vectors.T).to(xt)

    def eps_model(self, alpha_bar: Tensor) -> Network:
        """The best noise predictor in a network's place, (x_t, t) -> eps; `alpha_bar` is a table (T + 1,)."""
        return _as_network(self, alpha_bar)

    def eps_floor(self, alpha_bar: Level) -> Tensor:
        """Least mean squared error per dimension of any prediction of eps; like alpha_bar.

        mean_i a lambda_i / (a lambda_i + 1 - a).
        """
        a = _float64(alpha_bar)[..., None]
        signal = a * self.eigenvalues
        return (signal / (signal + 1 - a)).mean(-1)

    def x0_floor(self, alpha_bar: Level) -> Tensor:
        """The same for x_0: mean_i lambda_i (1 - a) / (a lambda_i + 1 - a)."""
        a = _float64(alpha_bar)[..., None]
        return (self.eigenvalues * (1 - a) / (a * self.eigenvalues + 1 - a)).mean(-1)


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
        weights, means, covs = _float64(self.weights), _float64(self.means), _float64(self.covs)
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
        a = _level(alpha_bar, 0)
        identity = torch.eye(self.means.shape[1], dtype=torch.float64)
        return GaussianMixture(self.weights, a.sqrt() * self.means, a * self.covs + (1 - a) * identity)

    def score(self, xt: Tensor, alpha_bar: Level) -> Tensor:
        """grad log q(x_t) = -sum_k r_k C_k^-1 (x_t - sqrt(a) means_k); like x_t.

        r_k is the probability of component k given x_t, C_k = a covs_k + (1 - a) I.
        """
        x, a = xt.to(self.means), _level(alpha_bar, xt.ndim)
        return -self._average(x, a, lambda values, along, variances: along / variances).to(xt)

    def cdf(self, x: Tensor, alpha_bar: Level = 1.0) -> Tensor:
        """P(x_t <= x) on the line, (B, 1) -> (B,)."""
        if self.means.shape[1] != 1:
            raise ValueError(f"cdf: expected a mixture on the line, got one in {self.means.shape[1]}-D")
        a = _level(alpha_bar, x.ndim)
        variances = a * self.covs[:, 0, 0] + 1 - a
        standard = (x.to(self.means) - a.sqrt() * self.means[:, 0]) / variances.sqrt()
        return (self.weights * torch.special.ndtr(standard)).sum(-1).to(x)

    def given(self, index: Any, value: Any) -> "GaussianMixture":
        """The law of the other entries, in their order, given x[index] = value: each component's own, and weights by
        Bayes' rule, weights_k N(value; means_k, covs_k). Arguments and errors as for `GaussianData.given`.
        """
        parts = [GaussianData(mean, cov) for mean, cov in zip(self.means, self.covs, strict=True)]
        rests = [part.given(index, value) for part in parts]
        index, _, value = _split(index, value, self.means.shape[1])
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
        x, a = xt.to(self.means), _level(alpha_bar, xt.ndim)
        centre = self._log_joint(x, a).softmax(-1) @ self.means
        root = a.sqrt()[..., None]
        return (centre + self._average(x, a, lambda v, along, variances: root * v * along / variances)).to(xt)

    def best_eps(self, xt: Tensor, alpha_bar: Level) -> Tensor:
        """E[eps given x_t], what a noise predictor can reach at best; like x_t.

        The components' regressions of eps on x_t, averaged as in `best_x0`.
        """
        x, a = xt.to(self.means), _level(alpha_bar, xt.ndim)
        root = (1 - a).sqrt()[..., None]
        return self._average(x, a, lambda v, along, variances: root * along / variances).to(xt)

    def eps_model(self, alpha_bar: Tensor) -> Network:
        """The best noise predictor in a network's place, (x_t, t) -> eps; `alpha_bar` is a table (T + 1,)."""
        return _as_network(self, alpha_bar)

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


@dataclass(frozen=True, eq=False)
class LinearVAE:
    """Probabilistic PCA: z ~ N(0, I), x given z ~ N(W z + b, sigma2 I) (Tipping and Bishop, 1999).

    Attributes:
        W: (D, J). b: (D,). sigma2: variance of the noise, a float.
    """

    W: Tensor
    b: Tensor
    sigma2: float

    def __post_init__(self) -> None:
        W, b = _float64(self.W), _float64(self.b)
        if W.ndim != 2 or b.shape != W.shape[:1] or not self.sigma2 > 0:
            found = f"{tuple(W.shape)}, {tuple(b.shape)} and {self.sigma2}"
            raise ValueError(f"expected W (D, J), b (D,) and sigma2 > 0, got {found}")
        object.__setattr__(self, "W", W)
        object.__setattr__(self, "b", b)
        object.__setattr__(self, "sigma2", float(self.sigma2))

    @classmethod
    def fit(cls, x: Tensor, latent_dim: int, sigma2: float | None = None, beta: float = 1.0) -> "LinearVAE":
        """The linear VAE that training would end with, in closed form, for points (N, D).

        W = U (Lambda - beta sigma2)_+^(1/2) from the `latent_dim` largest eigenvalues of the data's
        covariance. With `sigma2` left out it is the mean of the other eigenvalues, and the fit is the
        maximum-likelihood one (Tipping and Bishop, equations 7 and 8). With `sigma2` given, directions with
        eigenvalue below beta sigma2 collapse (Lucas and others, 2019).
        """
        gaussian = GaussianData.fit(x)
        values, vectors = gaussian._axes
        most = len(values) - 1 if sigma2 is None else len(values)
        if not 1 <= latent_dim <= most:
            raise ValueError(f"latent_dim={latent_dim}; expected 1 to {most} for points in {len(values)}-D")
        if sigma2 is None:
            if beta != 1:
                raise ValueError("beta needs a fixed sigma2: with sigma2 free it only rescales it")
            sigma2 = values[latent_dim:].mean().item()
        gain = (values[:latent_dim] - beta * sigma2).clamp(min=0).sqrt()
        return cls(vectors[:, :latent_dim] * gain, gaussian.mean, sigma2)

    def marginal(self) -> GaussianData:
        """p(x) = N(b, W W^T + sigma2 I) (Tipping and Bishop, 1999)."""
        noise = self.sigma2 * torch.eye(len(self.b), dtype=torch.float64)
        return GaussianData(self.b, self.W @ self.W.T + noise)

    def log_evidence(self, x: Tensor) -> Tensor:
        """log p(x) in nats, exact, (B, D) -> (B,)."""
        return self.marginal().log_prob(x)

    def rotated(self, R: Tensor) -> "LinearVAE":
        """The same p(x) with other latent axes: W R for an orthogonal R (J, J)."""
        R = _float64(R)
        if not torch.allclose(R @ R.T, torch.eye(self.W.shape[1], dtype=torch.float64), atol=1e-6):
            raise ValueError("R is not orthogonal")
        return LinearVAE(self.W @ R, self.b, self.sigma2)

    @property
    def diagonal_gap(self) -> float:
        """log p(x) minus the best ELBO with a diagonal encoder, in nats, the same for every x.

        1/2 (sum_j log P_jj - log det P) with the posterior's precision P = W^T W / sigma2 + I: zero iff P is
        diagonal.
        """
        P = self.W.T @ self.W / self.sigma2 + torch.eye(self.W.shape[1], dtype=torch.float64)
        return 0.5 * (P.diagonal().log().sum() - torch.linalg.slogdet(P).logabsdet).item()


def data_eigenvalues(x: Tensor) -> Tensor:
    """Eigenvalues of the covariance (with 1/N) of points (N, D), descending, float64 (D,)."""
    return GaussianData.fit(x).eigenvalues


def active_latents(x: Tensor, latent_dim: int, sigma2: float, beta: float = 1.0) -> int:
    """How many latents a linear VAE with fixed sigma2 uses at its optimum: lambda_i > beta sigma2 (Lucas and others,
    2019).
    """
    return int((data_eigenvalues(x)[:latent_dim] > beta * sigma2).sum())


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


def sampled_law(
    eps_affine: Callable[[int], tuple[Tensor, Tensor]],
    alpha_bar: Tensor,
    dim: int,
    after: Callable[[int], tuple[Tensor, Tensor, Tensor]] | None = None,
) -> GaussianData:
    """The law of what ancestral sampling makes of N(0, I) when the noise prediction is affine in x_t: a Gaussian.

    x_{t-1} = (x_t - beta_t / sqrt(1 - abar_t) eps_hat) / sqrt(alpha_t) + sqrt(beta~_t) z (Ho and others, 2020,
    algorithm 2, with the posterior variance).

    Args:
        eps_affine: t -> (E, e), (D, D) and (D,): eps_hat(x) = E x + e.
        alpha_bar: (T + 1,), alpha_bar[0] = 1.
        dim: D.
        after: t -> (K, k, V): x <- K x + k + N(0, V), done to x_t at every t = T, ..., 0, before the model's call.
    """
    table, identity = _float64(alpha_bar), torch.eye(dim, dtype=torch.float64)
    mean, cov = torch.zeros(dim, dtype=torch.float64), identity
    for t in range(len(table) - 1, -1, -1):
        if after is not None:
            K, k, V = after(t)
            mean, cov = K @ mean + k, K @ cov @ K.T + V
        if t:
            E, e = eps_affine(t)
            alpha = table[t] / table[t - 1]
            pull = (1 - alpha) / (1 - table[t]).sqrt()
            M = (identity - pull * E) / alpha.sqrt()
            fresh = (1 - alpha) * (1 - table[t - 1]) / (1 - table[t])
            mean, cov = M @ mean - pull / alpha.sqrt() * e, M @ cov @ M.T + fresh * identity
    return GaussianData(mean, (cov + cov.T) / 2)


def _split(index: Any, value: Any, dim: int) -> tuple[Tensor, Tensor, Tensor]:
    """Given entries, the other ones, and the values."""
    index, value = torch.as_tensor(index, dtype=torch.long), _float64(value)
    mask = torch.zeros(dim, dtype=torch.bool)
    if index.ndim != 1 or index.shape != value.shape or not ((index >= 0) & (index < dim)).all():
        expected = f"index (m,) from 0 to {dim - 1} and value (m,)"
        raise ValueError(f"given: expected {expected}, got {index.tolist()} and shape {tuple(value.shape)}")
    mask[index] = True
    if mask.sum() < len(index):
        raise ValueError(f"given: an entry twice in {index.tolist()}")
    return index, (~mask).nonzero()[:, 0], value


def _as_network(model: "GaussianData | GaussianMixture", alpha_bar: Tensor) -> Network:
    table = _float64(alpha_bar)
    return lambda xt, t: model.best_eps(xt, table[t.cpu()])


# The course's companions: a correlated Gaussian in the plane, and two bumps of unequal weight on the line.
CORRELATED_GAUSSIAN = GaussianData(torch.zeros(2), torch.tensor([[1, 0.8], [0.8, 1]], dtype=torch.float64))
MIXTURE_1D = GaussianMixture(
    torch.tensor([0.3, 0.7], dtype=torch.float64),
    torch.tensor([[-2.0], [1.5]], dtype=torch.float64),
    torch.tensor([[[0.09]], [[0.36]]], dtype=torch.float64),
)
