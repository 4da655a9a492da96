"""Models in which everything is known exactly: the truth that networks are compared with.

Noise enters as in the course: x_t = sqrt(a) x_0 + sqrt(1 - a) eps with a = alpha_bar_t. Wherever a function
takes `alpha_bar`, that is a number, or a tensor (B,) with one level per row of x_t. Parameters are float64;
an answer has the dtype and device of the points it was asked about, so that an exact model can stand wherever
a network does.
"""

import torch

from .gaussian import GaussianData, ar1, frechet_distance
from .linear_vae import LinearVAE, active_latents, data_eigenvalues
from .mixture import GaussianMixture
from .walk import sampled_law

__all__ = [
    "CORRELATED_GAUSSIAN",
    "MIXTURE_1D",
    "GaussianData",
    "GaussianMixture",
    "LinearVAE",
    "active_latents",
    "ar1",
    "data_eigenvalues",
    "frechet_distance",
    "sampled_law",
]

# The course's companions: a correlated Gaussian in the plane, and two bumps of unequal weight on the line.
CORRELATED_GAUSSIAN = GaussianData(torch.zeros(2), torch.tensor([[1, 0.8], [0.8, 1]], dtype=torch.float64))
MIXTURE_1D = GaussianMixture(
    torch.tensor([0.3, 0.7], dtype=torch.float64),
    torch.tensor([[-2.0], [1.5]], dtype=torch.float64),
    torch.tensor([[[0.09]], [[0.36]]], dtype=torch.float64),
)
