"""Two estimators of d/dmu E f(z), z ~ N(mu, sigma^2)."""

from __future__ import annotations

import torch
from torch.distributions import Normal

from ...exercise import exercise
from ...sandbox.wire import Source

LESSON = "02-vae"


def _smooth(case) -> Source:
    """A wavy function with its own numbers, that no power of z or symmetry of the noise makes special."""
    frequency, phase, slope = case.number(1.2, 2.5), case.number(0.3, 1.2), case.number(0.4, 1.5)
    return Source(f"def f(z):\n    return torch.sin({frequency!r} * z + {phase!r}) + {slope!r} * z**2 + 1.5", "f")


STEP = Source("def f(z):\n    return torch.floor(1.7 * z) + 0.25", "f")


def _setting(case):
    """mu, sigma far from 0 and 1, and noise for an odd number of samples."""
    return case.number(0.4, 1.2), case.number(0.35, 0.8), case.normal(case.integer(5, 9))


@exercise("score_function_gradient", points=2)
def score_function_gradient(student, case):
    """f(z) (z - mu) / sigma^2 at z = mu + sigma eps, (N,): one estimate of d/dmu E f(z) per sample, no baseline."""
    truth = score_function_gradient.oracle
    f = _smooth(case)
    mu, sigma, eps = _setting(case)
    case.expect(student(f, mu, sigma, eps), truth(f.run(), mu, sigma, eps), "one estimate per sample", points=1)
    case.expect(
        student(STEP, -mu, 2.5 + sigma, eps),
        truth(STEP.run(), -mu, 2.5 + sigma, eps),
        "an f that is flat almost everywhere, large sigma",
        points=0.25,
    )

    def black_box(z):
        return torch.where(z > mu, 2.0, -0.5).to(z.dtype)

    case.expect(
        student(black_box, mu, sigma, eps[:1]),
        truth(black_box, mu, sigma, eps[:1]),
        "an f that gives values only, one sample",
        points=0.25,
        hint="this estimator needs the values of f, never its derivative",
    )
    case.conventions(student, (f, mu, sigma, eps), truth, points=0.5)


@score_function_gradient.truth
def _(f, mu, sigma, eps):
    centre = torch.full_like(eps, mu).requires_grad_()
    z = mu + sigma * eps
    (score,) = torch.autograd.grad(Normal(centre, sigma).log_prob(z).sum(), centre)
    return f(z) * score


@score_function_gradient.misconception(
    "divided by sigma instead of sigma^2",
    hint="Differentiate log N(z; mu, sigma^2) = -(z - mu)^2 / (2 sigma^2) + ... with respect to mu: the variance stays "
    "below the fraction bar.",
)
def _(f, mu, sigma, eps):
    z = mu + sigma * eps
    return f(z) * (z - mu) / sigma


@score_function_gradient.misconception(
    "eps divided by sigma^2",
    hint="z - mu is sigma eps, not eps: one of the two sigmas below the fraction bar cancels.",
)
def _(f, mu, sigma, eps):
    return f(mu + sigma * eps) * eps / sigma**2


@score_function_gradient.misconception(
    "the score with respect to z instead of mu",
    hint="The density depends on z - mu alone, so its derivatives with respect to z and mu have opposite signs. You "
    "differentiate with respect to the parameter, mu.",
)
def _(f, mu, sigma, eps):
    z = mu + sigma * eps
    return -f(z) * (z - mu) / sigma**2


@score_function_gradient.misconception(
    "a baseline is subtracted",
    hint="Subtracting the mean of f lowers the variance, but it is another estimator (with a bias, when the mean is "
    "taken over the same samples). Here the plain one is asked for.",
)
def _(f, mu, sigma, eps):
    z = mu + sigma * eps
    value = f(z)
    return (value - value.mean()) * (z - mu) / sigma**2


@score_function_gradient.misconception(
    "the noise is put into f instead of z",
    hint="The expectation runs over z = mu + sigma eps: evaluate f there, not at eps.",
)
def _(f, mu, sigma, eps):
    return f(eps) * eps / sigma


@score_function_gradient.misconception(
    "the average instead of one estimate per sample",
    hint="Return all N estimates, shape (N,). Their spread is what the experiment measures; the caller averages.",
)
def _(f, mu, sigma, eps):
    return (f(mu + sigma * eps) * eps / sigma).mean()


@score_function_gradient.misconception(
    "the pathwise gradient",
    hint="You differentiated f. The score-function estimator leaves f alone and differentiates the log-density "
    "instead: that is why it also works for an f that jumps.",
)
def _(f, mu, sigma, eps):
    z = (mu + sigma * eps).detach().requires_grad_()
    return torch.autograd.grad(f(z).sum(), z)[0]


@score_function_gradient.misconception(
    "sigma read as a variance",
    hint="sigma is the standard deviation: z = mu + sigma eps, with no square root.",
)
def _(f, mu, sigma, eps):
    z = mu + sigma**0.5 * eps
    return f(z) * (z - mu) / sigma


@score_function_gradient.misconception(
    "the factor f(z) is missing",
    hint="The score alone has mean zero. Each sample's score is weighted by the value of f there.",
)
def _(f, mu, sigma, eps):
    return eps / sigma


@score_function_gradient.misconception(
    "new noise is drawn inside",
    hint="The noise is an argument: z = mu + sigma eps with the eps you are given, so that two estimators can be "
    "compared on the same draws.",
)
def _(f, mu, sigma, eps):
    z = mu + sigma * torch.randn_like(eps)
    return f(z) * (z - mu) / sigma**2


@score_function_gradient.alternative("eps over sigma")
def _(f, mu, sigma, eps):
    return f(mu + sigma * eps) * eps / sigma


@score_function_gradient.alternative("autograd of the log-density")
def _(f, mu, sigma, eps):
    m = torch.tensor(mu, dtype=eps.dtype, requires_grad=True)
    z = (m + sigma * eps).detach()
    values = f(z)
    rows = [torch.autograd.grad(Normal(m, sigma).log_prob(point), m)[0] for point in z]
    return values * torch.stack(rows)


@score_function_gradient.alternative("loop over samples")
def _(f, mu, sigma, eps):
    out = torch.empty_like(eps)
    for i in range(eps.numel()):
        z = mu + sigma * eps[i]
        out[i] = f(z) * (z - mu) / sigma**2
    return out


@exercise("pathwise_gradient", points=2)
def pathwise_gradient(student, case):
    """f'(z) at z = mu + sigma eps, (N,): the same derivative, by differentiating through the sample."""
    truth = pathwise_gradient.oracle
    f = _smooth(case)
    mu, sigma, eps = _setting(case)
    case.expect(
        student(f, mu, sigma, eps),
        truth(f.run(), mu, sigma, eps),
        "one estimate per sample",
        points=1,
        hint="each estimate is f'(z) at its own z, exact as autograd gives it; a difference quotient is only near it",
    )
    case.expect(
        student(f, -mu, 2 + sigma, eps[:1]),
        truth(f.run(), -mu, 2 + sigma, eps[:1]),
        "large sigma, one sample",
        points=0.25,
    )
    slope = case.number(0.4, 1.5)
    stairs = Source(f"def f(z):\n    return torch.floor(1.7 * z) + {slope!r} * z", "f")
    case.expect(
        student(stairs, mu, sigma, eps),
        torch.full_like(eps, slope),
        "an f with jumps",
        points=0.25,
        hint="the derivative at a sample knows nothing of a jump elsewhere, wrong as that makes the estimate",
    )
    case.conventions(student, (f, mu, sigma, eps), truth, points=0.5)


@pathwise_gradient.truth
def _(f, mu, sigma, eps):
    z, h = mu + sigma * eps, 1e-3  # five points: off by h^4 / 30 times the fifth derivative
    return (8 * (f(z + h) - f(z - h)) - (f(z + 2 * h) - f(z - 2 * h))) / (12 * h)


@pathwise_gradient.misconception(
    "the derivative with respect to sigma",
    hint="dz/dmu = 1 and dz/dsigma = eps. The gradient with respect to mu carries no factor eps.",
)
def _(f, mu, sigma, eps):
    z = (mu + sigma * eps).requires_grad_()
    return torch.autograd.grad(f(z).sum(), z)[0] * eps


@pathwise_gradient.misconception(
    "the derivative with respect to eps",
    hint="dz/deps = sigma, but dz/dmu = 1: no factor sigma remains when you differentiate with respect to mu.",
)
def _(f, mu, sigma, eps):
    noise = eps.clone().requires_grad_()
    return torch.autograd.grad(f(mu + sigma * noise).sum(), noise)[0]


@pathwise_gradient.misconception(
    "the score-function estimator",
    hint="You weighted scores by the values of f. The pathwise estimator moves mu, sees each sample z move with it, "
    "and asks how f changes there: it needs the derivative of f.",
)
def _(f, mu, sigma, eps):
    return f(mu + sigma * eps) * eps / sigma


@pathwise_gradient.misconception(
    "the sum over samples instead of one estimate per sample",
    hint="Differentiating the sum with respect to a shared mu adds all samples up. Return the N separate derivatives, "
    "for instance by differentiating with respect to z, one entry per sample.",
)
def _(f, mu, sigma, eps):
    m = torch.tensor(mu, dtype=eps.dtype, requires_grad=True)
    return torch.autograd.grad(f(m + sigma * eps).sum(), m)[0]


@pathwise_gradient.misconception(
    "the average instead of one estimate per sample",
    hint="Return all N estimates, shape (N,). Their spread is what the experiment measures; the caller averages.",
)
def _(f, mu, sigma, eps):
    z = (mu + sigma * eps).requires_grad_()
    return torch.autograd.grad(f(z).mean(), z)[0].sum()


@pathwise_gradient.misconception(
    "each estimate divided by the number of samples",
    hint="Differentiate the sum of f(z) over the samples, not its mean: z_i enters its own term alone, so the sum "
    "gives f'(z_i), the mean f'(z_i) / N.",
)
def _(f, mu, sigma, eps):
    z = (mu + sigma * eps).requires_grad_()
    return torch.autograd.grad(f(z).mean(), z)[0]


@pathwise_gradient.misconception(
    "the derivative at mu instead of at z",
    hint="Each sample has its own z = mu + sigma eps; f is differentiated there.",
)
def _(f, mu, sigma, eps):
    z = torch.full_like(eps, mu).requires_grad_()
    return torch.autograd.grad(f(z).sum(), z)[0]


@pathwise_gradient.misconception(
    "the value of f instead of its derivative",
    hint="Each estimate is df/dz at the sample: let autograd differentiate f(z).sum() with respect to z.",
)
def _(f, mu, sigma, eps):
    return f(mu + sigma * eps)


@pathwise_gradient.misconception(
    "a coarse finite difference",
    hint="(f(z + h) - f(z)) / h is off by h f''/2, and by rounding when h is small. Autograd gives the derivative "
    "exactly.",
)
def _(f, mu, sigma, eps):
    z, h = mu + sigma * eps, 1e-4
    return (f(z + h) - f(z)) / h


@pathwise_gradient.misconception(
    "new noise is drawn inside",
    hint="The noise is an argument: z = mu + sigma eps with the eps you are given, so that two estimators can be "
    "compared on the same draws.",
)
def _(f, mu, sigma, eps):
    z = (mu + sigma * torch.randn_like(eps)).requires_grad_()
    return torch.autograd.grad(f(z).sum(), z)[0]


@pathwise_gradient.alternative("backward and .grad")
def _(f, mu, sigma, eps):
    m = torch.full_like(eps, mu)
    m.requires_grad = True
    f(m + sigma * eps).sum().backward()
    return m.grad


@pathwise_gradient.alternative("torch.func")
def _(f, mu, sigma, eps):
    return torch.func.vmap(torch.func.grad(f))(mu + sigma * eps)


@pathwise_gradient.alternative("forward mode")
def _(f, mu, sigma, eps):
    z = mu + sigma * eps
    return torch.func.jvp(f, (z,), (torch.ones_like(z),))[1]


@pathwise_gradient.alternative("loop over samples")
def _(f, mu, sigma, eps):
    grads = []
    for e in eps:
        z = (mu + sigma * e).detach().requires_grad_(True)
        grads.append(torch.autograd.grad(f(z), z, create_graph=True)[0])
    return torch.stack(grads)
