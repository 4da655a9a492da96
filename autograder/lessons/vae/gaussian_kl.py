"""The KL divergence of the encoder's Gaussian from the prior: `gaussian_kl`."""

from __future__ import annotations

import torch
from torch.distributions import Independent, Normal, kl_divergence

from ...conventions import ones
from ...exercise import exercise


@exercise("gaussian_kl", points=2)
def gaussian_kl(student, case):
    """KL(N(mu, exp logvar) || N(0, I)), (B, J) -> (B,), in nats."""
    truth = gaussian_kl.oracle
    batch, latent = case.sizes(2)
    mu, logvar = case.normal(batch, latent), case.normal(batch, latent) - 0.4
    case.expect(student(mu, logvar), truth(mu, logvar), "value on random Gaussians", points=1)

    far, narrow, wide = 30 * case.normal(1, latent), case.normal(1, latent) - 45, case.normal(1, latent) + 25
    case.expect(
        [student(far, narrow), student(0 * far, narrow), student(far, wide)],
        [truth(far, narrow), truth(0 * far, narrow), truth(far, wide)],
        "far means, very small and very large variances, one example",
        points=0.5,
        hint="the closed form holds everywhere: no clamp, no small constant inside a logarithm",
    )
    case.conventions(student, (mu, logvar), truth, points=0.5, also=[ones((mu, logvar))], gradient=(0, 1))


@gaussian_kl.truth
def truth(mu, logvar):
    return kl_divergence(Normal(mu, (logvar / 2).exp()), Normal(0.0, 1.0)).sum(-1)


@gaussian_kl.misconception(
    "the factor 1/2 is missing",
    hint="Every term of the closed form carries the factor 1/2 that stands in the exponent of the Gaussian density.",
)
def factor_half_is_missing(mu, logvar):
    return (mu**2 + logvar.exp() - 1 - logvar).sum(-1)


@gaussian_kl.misconception(
    "the sign is reversed",
    hint="A KL divergence is never negative, and yours never positive. You computed -KL, the term as it stands in the "
    "ELBO.",
)
def sign_is_reversed(mu, logvar):
    return 0.5 * (1 + logvar - mu**2 - logvar.exp()).sum(-1)


@gaussian_kl.misconception(
    "the -1 is missing",
    hint="At mu = 0 and sigma = 1 the two Gaussians are the same, so the KL must be 0. Which constant makes it so?",
)
def minus_1_is_missing(mu, logvar):
    return 0.5 * (mu**2 + logvar.exp() - logvar).sum(-1)


@gaussian_kl.misconception(
    "the logarithm has the wrong sign",
    hint="The term is -log sigma^2: a posterior that shrinks to a point says infinitely much about x, so its KL grows.",
)
def logarithm_has_wrong_sign(mu, logvar):
    return 0.5 * (mu**2 + logvar.exp() - 1 + logvar).sum(-1)


@gaussian_kl.misconception(
    "log sigma in place of log sigma^2",
    hint="Inside the bracket stands log sigma^2, which is logvar itself, not half of it.",
)
def log_sigma_in_place_of_log_sigma_squared(mu, logvar):
    return 0.5 * (mu**2 + logvar.exp() - 1 - logvar / 2).sum(-1)


@gaussian_kl.misconception(
    "the formula of the slide",
    hint="Two things got lost there: the factor 1/2 before the bracket, and a square, for it writes log sigma where "
    "log sigma^2 belongs. It falls below zero, and a KL divergence cannot.",
)
def formula_of_slide(mu, logvar):
    return (mu**2 + logvar.exp() - 1 - logvar / 2).sum(-1)


@gaussian_kl.misconception(
    "the log-variance read as log sigma",
    hint="logvar is already the logarithm of the variance: exp(logvar) is sigma^2, so nothing needs squaring.",
)
def log_variance_read_as_log_sigma(mu, logvar):
    return 0.5 * (mu**2 + (2 * logvar).exp() - 1 - 2 * logvar).sum(-1)


@gaussian_kl.misconception(
    "sigma in place of sigma^2",
    hint="The bracket holds the variance, exp(logvar). exp(logvar / 2) is the standard deviation.",
)
def sigma_in_place_of_sigma_squared(mu, logvar):
    return 0.5 * (mu**2 + (logvar / 2).exp() - 1 - logvar).sum(-1)


@gaussian_kl.misconception(
    "the mean mu is not squared",
    hint="The KL depends on how far mu is from 0, not on which side: the term is mu^2.",
)
def mean_mu_is_not_squared(mu, logvar):
    return 0.5 * (mu + logvar.exp() - 1 - logvar).sum(-1)


@gaussian_kl.misconception(
    "the mean over the latent dimensions",
    hint="The dimensions are independent, so their KLs add up. With the mean the prior weighs J times too little.",
)
def mean_over_latent_dimensions(mu, logvar):
    return 0.5 * (mu**2 + logvar.exp() - 1 - logvar).mean(-1)


@gaussian_kl.misconception(
    "summed over the batch as well",
    hint="One KL per example, shape (B,): sum over the last axis alone.",
)
def summed_over_batch_as_well(mu, logvar):
    return 0.5 * (mu**2 + logvar.exp() - 1 - logvar).sum()


@gaussian_kl.misconception(
    "the KL the other way round",
    hint="You computed KL(prior || posterior). In KL(q || p) the average runs over q, the encoder's Gaussian, which "
    "comes first.",
)
def kl_other_way_round(mu, logvar):
    return 0.5 * ((1 + mu**2) * torch.exp(-logvar) - 1 + logvar).sum(-1)


@gaussian_kl.misconception(
    "the log-variance is clamped",
    hint="The closed form holds for every logvar; a clamp changes the value and stops the gradient outside its range.",
)
def log_variance_is_clamped(mu, logvar):
    logvar = logvar.clamp(-10, 10)
    return 0.5 * (mu**2 + logvar.exp() - 1 - logvar).sum(-1)


@gaussian_kl.alternative("closed form, expm1")
def closed_form_expm1(mu, logvar):
    return 0.5 * torch.sum(mu.pow(2) + torch.expm1(logvar) - logvar, dim=1)


@gaussian_kl.alternative("minus one half of the negated bracket")
def minus_one_half_of_negated_bracket(mu, logvar):
    return -0.5 * (1 + logvar - mu**2 - torch.exp(logvar)).sum(dim=-1)


@gaussian_kl.alternative("from the standard deviation")
def from_standard_deviation(mu, logvar):
    std = torch.exp(0.5 * logvar)
    return (0.5 * (mu * mu + std * std - 1.0) - 0.5 * logvar).sum(axis=1)


@gaussian_kl.alternative("torch.distributions over the event")
def torch_distributions_over_event(mu, logvar):
    q = Independent(Normal(mu, logvar.exp().sqrt()), 1)
    p = Independent(Normal(torch.zeros_like(mu), torch.ones_like(mu)), 1)
    return kl_divergence(q, p)


@gaussian_kl.alternative("loop over examples and dimensions")
def loop_over_examples_and_dimensions(mu, logvar):
    out = mu.new_zeros(mu.shape[0])
    for b in range(mu.shape[0]):
        for j in range(mu.shape[1]):
            out[b] += 0.5 * (mu[b, j] ** 2 + logvar[b, j].exp() - 1 - logvar[b, j])
    return out
