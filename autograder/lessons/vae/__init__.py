"""Hidden checks of 02-vae, one module per theme; importing them in this order registers the catalogue's order."""

from . import draws, estimators, kl, likelihoods, negative_elbo, network, network_answers, optimisation, samples

LESSON = "02-vae"

__all__ = [
    "LESSON",
    "draws",
    "estimators",
    "kl",
    "likelihoods",
    "negative_elbo",
    "network",
    "network_answers",
    "optimisation",
    "samples",
]
