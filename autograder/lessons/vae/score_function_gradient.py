"""An estimator of d/dmu E f(z), z ~ N(mu, sigma^2), from values of f: `score_function_gradient`."""

from __future__ import annotations

import torch
from torch.distributions import Normal

from ...exercise import exercise
from ...sandbox.wire import Source
from .shared import setting, smooth

STEP = Source("def f(z):\n    return torch.floor(1.7 * z) + 0.25", "f")


@exercise("score_function_gradient", points=2)
def score_function_gradient(student, case):
    """f(z) (z - mu) / sigma^2 at z = mu + sigma eps, (N,): one estimate of d/dmu E f(z) per sample, no baseline."""
    truth = score_function_gradient.oracle
    f = smooth(case)
    mu, sigma, eps = setting(case)
    case.expect(student(f, mu, sigma, eps), truth(f.run(), mu, sigma, eps), "one estimate per sample", points=1)
    case.expect(
        student(STEP, -mu, 2.5 + sigma, eps),
        truth(STEP.run(), -mu, 2.5 + sigma, eps),
        "an f that is flat almost everywhere, large sigma",
        points=0.25,
    )

    below = -eps[:1].abs()  # and z lies between it and mu; the jump is halfway, so that f differs at the two
    jump = float(mu + (sigma + 1) * below) / 2
    black_box = Source(f"def f(z):\n    return torch.where(z > {jump!r}, 2.0, -0.5).to(z.dtype)", "f")
    case.expect(
        student(black_box, mu, sigma, below),
        truth(black_box.run(), mu, sigma, below),
        "an f that gives values only, one sample",
        points=0.25,
        hint="this estimator needs the values of f, never its derivative",
    )
    case.conventions(student, (f, mu, sigma, eps), truth, points=0.5)


@score_function_gradient.truth
def truth(f, mu, sigma, eps):
    centre = torch.full_like(eps, mu).requires_grad_()
    z = mu + sigma * eps
    (score,) = torch.autograd.grad(Normal(centre, sigma).log_prob(z).sum(), centre)
    return f(z) * score


@score_function_gradient.misconception(
    "divided by sigma instead of sigma^2",
    hint="Differentiate log N(z; mu, sigma^2) = -(z - mu)^2 / (2 sigma^2) + ... with respect to mu: the variance stays "
    "below the fraction bar.",
)
def divided_by_sigma_instead_of_sigma_squared(f, mu, sigma, eps):
    z = mu + sigma * eps
    return f(z) * (z - mu) / sigma


@score_function_gradient.misconception(
    "eps divided by sigma^2",
    hint="z - mu is sigma eps, not eps: one of the two sigmas below the fraction bar cancels.",
)
def eps_divided_by_sigma_squared(f, mu, sigma, eps):
    return f(mu + sigma * eps) * eps / sigma**2


@score_function_gradient.misconception(
    "the score with respect to z instead of mu",
    hint="The density depends on z - mu alone, so its derivatives with respect to z and mu have opposite signs. You "
    "differentiate with respect to the parameter, mu.",
)
def score_with_respect_to_z_instead_of_mu(f, mu, sigma, eps):
    z = mu + sigma * eps
    return -f(z) * (z - mu) / sigma**2


@score_function_gradient.misconception(
    "a baseline is subtracted",
    hint="Subtracting the mean of f lowers the variance, but it is another estimator (with a bias, when the mean is "
    "taken over the same samples). Here the plain one is asked for.",
)
def baseline_is_subtracted(f, mu, sigma, eps):
    z = mu + sigma * eps
    value = f(z)
    return (value - value.mean()) * (z - mu) / sigma**2


@score_function_gradient.misconception(
    "the noise is put into f instead of z",
    hint="The expectation runs over z = mu + sigma eps: evaluate f there, not at eps.",
)
def noise_is_put_into_f_instead_of_z(f, mu, sigma, eps):
    return f(eps) * eps / sigma


@score_function_gradient.misconception(
    "the average instead of one estimate per sample",
    hint="Return all N estimates, shape (N,). Their spread is what the experiment measures; the caller averages.",
)
def average_instead_of_one_estimate_per_sample(f, mu, sigma, eps):
    return (f(mu + sigma * eps) * eps / sigma).mean()


@score_function_gradient.misconception(
    "the pathwise gradient",
    hint="You differentiated f. The score-function estimator leaves f alone and differentiates the log-density "
    "instead: that is why it also works for an f that jumps.",
)
def pathwise_gradient(f, mu, sigma, eps):
    z = (mu + sigma * eps).detach().requires_grad_()
    return torch.autograd.grad(f(z).sum(), z)[0]


@score_function_gradient.misconception(
    "sigma read as a variance",
    hint="sigma is the standard deviation: z = mu + sigma eps, with no square root.",
)
def sigma_read_as_variance(f, mu, sigma, eps):
    z = mu + sigma**0.5 * eps
    return f(z) * (z - mu) / sigma


@score_function_gradient.misconception(
    "the factor f(z) is missing",
    hint="The score alone has mean zero. Each sample's score is weighted by the value of f there.",
)
def factor_f_z_is_missing(f, mu, sigma, eps):
    return eps / sigma


@score_function_gradient.misconception(
    "new noise is drawn inside",
    hint="The noise is an argument: z = mu + sigma eps with the eps you are given, so that two estimators can be "
    "compared on the same draws.",
)
def new_noise_is_drawn_inside(f, mu, sigma, eps):
    z = mu + sigma * torch.randn_like(eps)
    return f(z) * (z - mu) / sigma**2


@score_function_gradient.alternative("eps over sigma")
def eps_over_sigma(f, mu, sigma, eps):
    return f(mu + sigma * eps) * eps / sigma


@score_function_gradient.alternative("autograd of the log-density")
def autograd_of_log_density(f, mu, sigma, eps):
    m = torch.tensor(mu, dtype=eps.dtype, device=eps.device, requires_grad=True)
    z = (m + sigma * eps).detach()
    values = f(z)
    rows = [torch.autograd.grad(Normal(m, sigma).log_prob(point), m)[0] for point in z]
    return values * torch.stack(rows)


@score_function_gradient.alternative("loop over samples")
def loop_over_samples(f, mu, sigma, eps):
    out = torch.empty_like(eps)
    for i in range(eps.numel()):
        z = mu + sigma * eps[i]
        out[i] = f(z) * (z - mu) / sigma**2
    return out
