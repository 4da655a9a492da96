"""The exact law of what a sampler makes."""

from collections.abc import Callable

import torch
from torch import Tensor

from .gaussian import GaussianData
from .levels import float64


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
    table, identity = float64(alpha_bar), torch.eye(dim, dtype=torch.float64)
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
