"""Noise that gradients can pass: `reparameterize`."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch.distributions.transforms import AffineTransform

from ...conventions import ones
from ...exercise import exercise


@exercise("reparameterize", points=2)
def reparameterize(student, case):
    """mu + exp(logvar / 2) eps, all (B, J); differentiable in mu and logvar."""
    truth = reparameterize.oracle
    batch, latent = case.sizes(2)
    mu, logvar, eps = (case.normal(batch, latent) for _ in range(3))
    case.expect(student(mu, logvar, eps), truth(mu, logvar, eps), "value of z", points=0.75)

    zero, tiny, huge = torch.zeros(1, latent, dtype=mu.dtype), case.normal(1, latent) - 45, case.normal(1, latent) + 45
    case.expect(
        [student(zero, width, eps[:1]) for width in (tiny, huge)],
        [truth(zero, width, eps[:1]) for width in (tiny, huge)],
        "very small and very large variances, one example",
        points=0.5,
        hint="sigma = exp(logvar / 2) needs neither a clamp nor a small constant",
    )

    weights = case.normal(batch, latent)
    spread = truth(mu, logvar, eps) - mu  # sigma eps, and d(sigma)/d(logvar) = sigma / 2
    case.expect(
        student.gradient(mu, logvar, eps, weights=[weights], wrt=[0, 1]),
        [weights, weights * spread / 2],
        "gradients with respect to mu and logvar",
        points=0.5,
        hint="z must stay connected to mu and logvar: no detach, no .data, no torch.no_grad",
    )
    cubes = [case.normal(2, 3, 4) for _ in range(3)]
    given = mu, logvar, eps
    case.conventions(student, given, truth, points=0.25, also=[ones(given), cubes])


@reparameterize.truth
def truth(mu, logvar, eps):
    return AffineTransform(mu, logvar.exp().sqrt())(eps)


@reparameterize.misconception(
    "the variance in place of the standard deviation",
    hint="exp(logvar) is sigma^2. The noise is multiplied by sigma, its square root: halve logvar before the "
    "exponential.",
)
def variance_in_place_of_standard_deviation(mu, logvar, eps):
    return mu + torch.exp(logvar) * eps


@reparameterize.misconception(
    "the log-variance in place of the standard deviation",
    hint="logvar may be negative, a standard deviation may not. Undo the logarithm first: sigma = exp(logvar / 2).",
)
def log_variance_in_place_of_standard_deviation(mu, logvar, eps):
    return mu + logvar * eps


@reparameterize.misconception(
    "a softplus where the exponential belongs",
    hint="The network's output is named logvar because it is the logarithm of sigma^2; only the exponential undoes a "
    "logarithm. A softplus also gives positive numbers, but another model.",
)
def softplus_where_exponential_belongs(mu, logvar, eps):
    return mu + F.softplus(logvar) * eps


@reparameterize.misconception(
    "the exponential is taken twice",
    hint="sigma = exp(logvar / 2) is already the standard deviation; take the exponential once and multiply eps by it.",
)
def exponential_is_taken_twice(mu, logvar, eps):
    std = torch.exp(logvar / 2)
    return mu + torch.exp(std) * eps


@reparameterize.misconception(
    "sigma is left out",
    hint="mu + eps has variance 1 whatever the encoder says. Scale the noise by sigma before you shift it by mu.",
)
def sigma_is_left_out(mu, logvar, eps):
    return mu + eps


@reparameterize.misconception(
    "mu and sigma change places",
    hint="sigma stretches the noise, mu shifts the result. With eps = 0 you should get mu.",
)
def mu_and_sigma_change_places(mu, logvar, eps):
    return torch.exp(logvar / 2) + mu * eps


@reparameterize.misconception(
    "eps is standardised instead of used",
    hint="(z - mu) / sigma turns a sample into standard noise. Here you go the other way: start from the noise eps, "
    "multiply by sigma, then add mu.",
)
def eps_is_standardised_instead_of_used(mu, logvar, eps):
    return (eps - mu) / torch.exp(logvar / 2)


@reparameterize.misconception(
    "new noise is drawn inside",
    hint="The noise is an argument: use the eps you are given. Then z is a plain function of mu and logvar, and its "
    "gradient means something.",
)
def new_noise_is_drawn_inside(mu, logvar, eps):
    return mu + torch.exp(0.5 * logvar) * torch.randn_like(mu)


@reparameterize.misconception(
    "no gradient reaches mu and logvar",
    hint="The value is right, but it was computed under no_grad (or detached, or sampled with .sample()), so the "
    "encoder could never learn. Letting gradients pass is the whole point of the trick.",
)
def no_gradient_reaches_mu_and_logvar(mu, logvar, eps):
    with torch.no_grad():
        return mu + torch.exp(logvar / 2) * eps


@reparameterize.misconception(
    "no gradient reaches logvar",
    hint="sigma was cut off from the graph (detach, .data, torch.tensor(...)), so the encoder would learn where to "
    "put a code, never how sure to be of it.",
)
def no_gradient_reaches_logvar(mu, logvar, eps):
    return mu + torch.exp(logvar / 2).detach() * eps


@reparameterize.misconception(
    "the log-variance is clamped",
    hint="The definition holds for every logvar. A clamp hides trouble elsewhere and gives zero gradient outside its "
    "range.",
)
def log_variance_is_clamped(mu, logvar, eps):
    return mu + torch.exp(logvar.clamp(-20, 20) / 2) * eps


@reparameterize.misconception(
    "a small constant is added to sigma",
    hint="exp is never zero in the range that matters, so sigma needs no safety constant; with one, small variances "
    "are wrong.",
)
def small_constant_is_added_to_sigma(mu, logvar, eps):
    return mu + (torch.exp(logvar / 2) + 1e-6) * eps


@reparameterize.misconception(
    "eps is overwritten",
    hint="mul_() and add_() write into the tensor they are called on, which the caller may want to use again. Use * "
    "and +, which make a new one.",
)
def eps_is_overwritten(mu, logvar, eps):
    return eps.mul_(torch.exp(logvar / 2)).add_(mu)


@reparameterize.alternative("square root of the variance")
def square_root_of_variance(mu, logvar, eps):
    variance = logvar.exp()
    return variance.sqrt().mul(eps).add(mu)


@reparameterize.alternative("torch.addcmul")
def torch_addcmul(mu, logvar, eps):
    return torch.addcmul(mu, torch.exp(0.5 * logvar), eps)


@reparameterize.alternative("one example at a time")
def one_example_at_time(mu, logvar, eps):
    rows = []
    for m, s, e in zip(mu, logvar, eps, strict=True):
        rows.append(m + (s / 2).exp() * e)
    return torch.stack(rows)
