"""The variational autoencoder of which everything is known: probabilistic PCA."""

from dataclasses import dataclass

import torch
from torch import Tensor

from .gaussian import GaussianData
from .levels import float64


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
        W, b = float64(self.W), float64(self.b)
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
        R = float64(R)
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
