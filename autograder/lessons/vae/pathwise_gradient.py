"""An estimator of d/dmu E f(z), z ~ N(mu, sigma^2), from slopes of f: `pathwise_gradient`."""

from __future__ import annotations

import torch

from ...exercise import exercise
from ...sandbox.wire import Source
from .shared import setting, smooth


@exercise("pathwise_gradient", points=2)
def pathwise_gradient(student, case):
    """f'(z) at z = mu + sigma eps, (N,): the same derivative, by differentiating through the sample."""
    truth = pathwise_gradient.oracle
    f = smooth(case)
    mu, sigma, eps = setting(case)
    case.expect(
        student(f, mu, sigma, eps),
        truth(f.run(), mu, sigma, eps),
        "one estimate per sample",
        points=1,
        hint="each estimate is f'(z) at its own z, exact as autograd gives it; a difference quotient is only near it",
    )
    z, h = -mu + (2 + sigma) * eps, 0.01
    bends = (f.run()(z + h) - 2 * f.run()(z) + f.run()(z - h)).abs()
    sharpest = eps[bends.argmax()].reshape(1)  # where f is straight a difference quotient is exact
    case.expect(
        student(f, -mu, 2 + sigma, sharpest),
        truth(f.run(), -mu, 2 + sigma, sharpest),
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
    case.conventions(student, (f, mu, sigma, eps), truth, points=0.5, detached=())


@pathwise_gradient.truth
def truth(f, mu, sigma, eps):
    z, h = mu + sigma * eps, 1e-3  # five points: off by h^4 / 30 times the fifth derivative
    return (8 * (f(z + h) - f(z - h)) - (f(z + 2 * h) - f(z - 2 * h))) / (12 * h)


@pathwise_gradient.misconception(
    "the derivative with respect to sigma",
    hint="dz/dmu = 1 and dz/dsigma = eps. The gradient with respect to mu carries no factor eps.",
)
def derivative_with_respect_to_sigma(f, mu, sigma, eps):
    z = (mu + sigma * eps).requires_grad_()
    return torch.autograd.grad(f(z).sum(), z)[0] * eps


@pathwise_gradient.misconception(
    "the derivative with respect to eps",
    hint="dz/deps = sigma, but dz/dmu = 1: no factor sigma remains when you differentiate with respect to mu.",
)
def derivative_with_respect_to_eps(f, mu, sigma, eps):
    noise = eps.clone().requires_grad_()
    return torch.autograd.grad(f(mu + sigma * noise).sum(), noise)[0]


@pathwise_gradient.misconception(
    "the score-function estimator",
    hint="You weighted scores by the values of f. The pathwise estimator moves mu, sees each sample z move with it, "
    "and asks how f changes there: it needs the derivative of f.",
)
def score_function_estimator(f, mu, sigma, eps):
    return f(mu + sigma * eps) * eps / sigma


@pathwise_gradient.misconception(
    "the sum over samples instead of one estimate per sample",
    hint="Differentiating the sum with respect to a shared mu adds all samples up. Return the N separate derivatives, "
    "for instance by differentiating with respect to z, one entry per sample.",
)
def sum_instead_of_one_estimate_per_sample(f, mu, sigma, eps):
    m = torch.tensor(mu, dtype=eps.dtype, requires_grad=True)
    return torch.autograd.grad(f(m + sigma * eps).sum(), m)[0]


@pathwise_gradient.misconception(
    "the average instead of one estimate per sample",
    hint="Return all N estimates, shape (N,). Their spread is what the experiment measures; the caller averages.",
)
def average_instead_of_one_estimate_per_sample(f, mu, sigma, eps):
    z = (mu + sigma * eps).requires_grad_()
    return torch.autograd.grad(f(z).mean(), z)[0].sum()


@pathwise_gradient.misconception(
    "each estimate divided by the number of samples",
    hint="Differentiate the sum of f(z) over the samples, not its mean: z_i enters its own term alone, so the sum "
    "gives f'(z_i), the mean f'(z_i) / N.",
)
def each_estimate_divided_by_number_of_samples(f, mu, sigma, eps):
    z = (mu + sigma * eps).requires_grad_()
    return torch.autograd.grad(f(z).mean(), z)[0]


@pathwise_gradient.misconception(
    "the derivative at mu instead of at z",
    hint="Each sample has its own z = mu + sigma eps; f is differentiated there.",
)
def derivative_at_mu_instead_of_at_z(f, mu, sigma, eps):
    z = torch.full_like(eps, mu).requires_grad_()
    return torch.autograd.grad(f(z).sum(), z)[0]


@pathwise_gradient.misconception(
    "the value of f instead of its derivative",
    hint="Each estimate is df/dz at the sample: let autograd differentiate f(z).sum() with respect to z.",
)
def value_of_f_instead_of_its_derivative(f, mu, sigma, eps):
    return f(mu + sigma * eps)


@pathwise_gradient.misconception(
    "a coarse finite difference",
    hint="(f(z + h) - f(z)) / h is off by h f''/2, and by rounding when h is small. Autograd gives the derivative "
    "exactly.",
)
def coarse_finite_difference(f, mu, sigma, eps):
    z, h = mu + sigma * eps, 1e-4
    return (f(z + h) - f(z)) / h


@pathwise_gradient.misconception(
    "new noise is drawn inside",
    hint="The noise is an argument: z = mu + sigma eps with the eps you are given, so that two estimators can be "
    "compared on the same draws.",
)
def new_noise_is_drawn_inside(f, mu, sigma, eps):
    z = (mu + sigma * torch.randn_like(eps)).requires_grad_()
    return torch.autograd.grad(f(z).sum(), z)[0]


@pathwise_gradient.alternative("backward and .grad")
def backward_and_grad(f, mu, sigma, eps):
    m = torch.full_like(eps, mu)
    m.requires_grad = True
    f(m + sigma * eps).sum().backward()
    return m.grad


@pathwise_gradient.alternative("torch.func")
def torch_func(f, mu, sigma, eps):
    return torch.func.vmap(torch.func.grad(f))(mu + sigma * eps)


@pathwise_gradient.alternative("forward mode")
def forward_mode(f, mu, sigma, eps):
    z = mu + sigma * eps
    return torch.func.jvp(f, (z,), (torch.ones_like(z),))[1]


@pathwise_gradient.alternative("loop over samples")
def loop_over_samples(f, mu, sigma, eps):
    grads = []
    for e in eps:
        z = (mu + sigma * e).detach().requires_grad_(True)
        grads.append(torch.autograd.grad(f(z), z)[0])
    return torch.stack(grads)
