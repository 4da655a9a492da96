"""Where a chain ends, and under which name: `prior_kl`, `to_course_convention`."""

from __future__ import annotations

import math

import torch
from torch.distributions import MultivariateNormal, kl_divergence

from ...exercise import exercise

LESSON = "04-forward"


@exercise("prior_kl", points=2)
def prior_kl(student, case):
    """KL(q(x_T given x_0) || N(0, I)), alpha_bar_T a float -> (B,), in nats."""
    truth = prior_kl.oracle
    close = {"rtol": 1e-4}  # room for an alpha_bar_T that was put into a float32 tensor on the way
    images, left = case.normal(*case.sizes(4)), case.number(0.3, 0.45)
    case.expect(student(images, left), truth(images, left), "images", points=0.75, **close)
    batch, width, height = case.sizes(3)
    others = [case.normal(batch, 1), case.normal(batch, width), case.normal(batch, width, height)]
    case.expect(
        [student(x, left) for x in others], [truth(x, left) for x in others], "other events", points=0.25, **close
    )
    ends = (0.01, 0.99)
    case.expect(
        [student(others[1], a) for a in ends],
        [truth(others[1], a) for a in ends],
        "hardly anything left, and nearly all",
        points=0.5,
        **close,
    )
    case.conventions(student, (images, left), truth, points=0.5)


@prior_kl.truth
def _(x0, alpha_bar_T):
    flat = x0.double().flatten(1)
    eye = torch.eye(flat.shape[1], dtype=torch.float64)
    end = MultivariateNormal(math.sqrt(alpha_bar_T) * flat, (1 - alpha_bar_T) * eye)
    return kl_divergence(end, MultivariateNormal(torch.zeros_like(flat), eye)).to(x0.dtype)


def _terms(x0, a):
    """The summands of every pixel, before the factor 1/2."""
    return a * x0**2 + (1 - a) - 1 - math.log(1 - a)


@prior_kl.misconception(
    "the factor 1/2 is missing",
    hint="Both log densities carry the factor 1/2 of the Gaussian exponent, and so does every term of the divergence.",
)
def _(x0, alpha_bar_T):
    return _terms(x0, alpha_bar_T).flatten(1).sum(1)


@prior_kl.misconception(
    "the mean over the event",
    hint="Pixels are independent given x_0, so their divergences add up: nats per example, not per pixel.",
)
def _(x0, alpha_bar_T):
    return 0.5 * _terms(x0, alpha_bar_T).flatten(1).mean(1)


@prior_kl.misconception(
    "summed over the last axis alone",
    hint="An event may have several axes. Sum over all but the first; flatten(1) makes one axis of them.",
)
def _(x0, alpha_bar_T):
    return 0.5 * _terms(x0, alpha_bar_T).sum(-1)


@prior_kl.misconception(
    "summed over the batch as well",
    hint="One number per example, shape (B,): leave the first axis alone.",
)
def _(x0, alpha_bar_T):
    return 0.5 * _terms(x0, alpha_bar_T).sum()


@prior_kl.misconception(
    "the mean is alpha_bar x_0",
    hint="The mean of q(x_T given x_0) is sqrt(alpha_bar_T) x_0. Squared, as the divergence wants it, one power of "
    "alpha_bar_T stands before x_0 squared, not two.",
)
def _(x0, alpha_bar_T):
    return 0.5 * _terms(alpha_bar_T**0.5 * x0, alpha_bar_T).flatten(1).sum(1)


@prior_kl.misconception(
    "the mean is x_0 itself",
    hint="The picture has been shrunk on its way: the mean is sqrt(alpha_bar_T) x_0.",
)
def _(x0, alpha_bar_T):
    return 0.5 * _terms(x0 / alpha_bar_T**0.5, alpha_bar_T).flatten(1).sum(1)


@prior_kl.misconception(
    "the mean is not squared",
    hint="The divergence depends on how far the mean is from 0, not on which side: the term is m squared.",
)
def _(x0, alpha_bar_T):
    a = alpha_bar_T
    return 0.5 * (a**0.5 * x0 - a - math.log(1 - a)).flatten(1).sum(1)


@prior_kl.misconception(
    "log s in place of log s^2",
    hint="Inside the bracket stands the logarithm of the variance, log(1 - alpha_bar_T), not of its root.",
)
def _(x0, alpha_bar_T):
    a = alpha_bar_T
    return 0.5 * (a * x0**2 - a - 0.5 * math.log(1 - a)).flatten(1).sum(1)


@prior_kl.misconception(
    "the variance is read as a standard deviation",
    hint="1 - alpha_bar_T is s^2 already. You squared it once more.",
)
def _(x0, alpha_bar_T):
    a = alpha_bar_T
    return 0.5 * (a * x0**2 + (1 - a) ** 2 - 1 - 2 * math.log(1 - a)).flatten(1).sum(1)


@prior_kl.misconception(
    "s in place of s^2",
    hint="The bracket holds the variance, 1 - alpha_bar_T. You put in its root.",
)
def _(x0, alpha_bar_T):
    a = alpha_bar_T
    return 0.5 * (a * x0**2 + math.sqrt(1 - a) - 1 - math.log(1 - a)).flatten(1).sum(1)


@prior_kl.misconception(
    "the -1 is missing",
    hint="When nothing of the picture is left, the two Gaussians are the same and the divergence is 0. Which "
    "constant makes it so?",
)
def _(x0, alpha_bar_T):
    return 0.5 * (_terms(x0, alpha_bar_T) + 1).flatten(1).sum(1)


@prior_kl.misconception(
    "the constants are counted once",
    hint="-alpha_bar_T - log(1 - alpha_bar_T) stands in the sum, once for EVERY pixel. You added it after the sum.",
)
def _(x0, alpha_bar_T):
    a = alpha_bar_T
    return 0.5 * ((a * x0**2).flatten(1).sum(1) - a - math.log(1 - a))


@prior_kl.misconception(
    "the divergence the other way round",
    hint="You averaged over N(0, I). In KL(q || p) the average runs over q(x_T given x_0), which comes first.",
)
def _(x0, alpha_bar_T):
    a = alpha_bar_T
    return 0.5 * ((1 + a * x0**2) / (1 - a) - 1 + math.log(1 - a)).flatten(1).sum(1)


@prior_kl.misconception(
    "the sign is reversed",
    hint="A divergence is never negative, and yours never positive.",
)
def _(x0, alpha_bar_T):
    return -0.5 * _terms(x0, alpha_bar_T).flatten(1).sum(1)


@prior_kl.alternative("from mean and variance, summed over the axes after the first")
def _(x0, alpha_bar_T):
    m, var = alpha_bar_T**0.5 * x0, 1 - alpha_bar_T
    return 0.5 * (m.square() + var - 1 - math.log(var)).sum(dim=tuple(range(1, x0.ndim)))


@prior_kl.alternative("the constants gathered")
def _(x0, alpha_bar_T):
    flat = x0.reshape(len(x0), -1)
    constant = flat.shape[1] * (alpha_bar_T + math.log1p(-alpha_bar_T))
    return (alpha_bar_T * torch.einsum("bd,bd->b", flat, flat) - constant) / 2


@prior_kl.alternative("torch.distributions and a loop")
def _(x0, alpha_bar_T):
    rows = []
    for x in x0:
        normal = torch.distributions.Normal(alpha_bar_T**0.5 * x, (1 - alpha_bar_T) ** 0.5)
        rows.append(kl_divergence(normal, torch.distributions.Normal(torch.zeros_like(x), 1.0)).sum())
    return torch.stack(rows)


@exercise("to_course_convention", points=1)
def to_course_convention(student, case):
    """Tables with a^2 + b^2 = 1 (x_t = a x_{t-1} + b eps) -> (alpha, beta) of ours."""
    truth = to_course_convention.oracle
    a, b = _circle(case, case.integer(5, 8))
    alpha, beta = case.unpack(student(a, b), "alpha", "beta")
    true_alpha, true_beta = truth(a, b)
    case.expect(alpha, true_alpha, "alpha", points=0.4)
    case.expect(beta, true_beta, "beta", points=0.4)
    case.conventions(student, (a, b), truth, points=0.2)


def _circle(case, steps):
    """a, b (T + 1,) on the unit circle, a[0] = 1; the last step wipes out everything."""
    angle = torch.cat([torch.zeros(1, dtype=torch.float64), case.uniform(steps, low=0.3, high=1.2)])
    a, b = angle.cos(), angle.sin()
    a[-1], b[-1] = 0.0, 1.0
    return a, b


@to_course_convention.truth
def _(a, b):
    double_angle = 2 * torch.atan2(b, a)
    return (1 + double_angle.cos()) / 2, (1 - double_angle.cos()) / 2


@to_course_convention.misconception(
    "a and b are left as they are",
    hint="Theirs are factors of the picture and of the noise, ours are shares of variance. Compare the two steps "
    "factor by factor.",
)
def _(a, b):
    return a.clone(), b.clone()


@to_course_convention.misconception(
    "the roots in place of the squares",
    hint="sqrt(alpha_t) is their a_t, so alpha_t is its square. You went the other way.",
)
def _(a, b):
    return a.sqrt(), b.sqrt()


@to_course_convention.misconception(
    "alpha_bar in place of alpha",
    hint="You multiplied up all steps. Asked for are alpha_t and beta_t of one step, entry by entry.",
)
def _(a, b):
    alpha_bar = torch.cumprod(a**2, 0)
    return alpha_bar, 1 - alpha_bar


@to_course_convention.misconception(
    "alpha and beta change places",
    hint="alpha belongs to the picture and comes first; beta belongs to the noise. At t = 0 they are 1 and 0.",
)
def _(a, b):
    return b**2, a**2


@to_course_convention.misconception(
    "only a is squared",
    hint="b is a factor like a: it multiplies the noise. Our beta is the noise's variance, so b is squared as well.",
)
def _(a, b):
    return a**2, b.clone()


@to_course_convention.misconception(
    "a is read as alpha",
    hint="Their a multiplies the picture where we have sqrt(alpha): square it. Then beta = 1 - alpha comes out right "
    "too.",
)
def _(a, b):
    return a.clone(), 1 - a


@to_course_convention.misconception(
    "b is read as beta",
    hint="Their b multiplies the noise where we have sqrt(beta): square it. Then alpha = 1 - beta comes out right too.",
)
def _(a, b):
    return 1 - b, b.clone()


@to_course_convention.misconception(
    "an input is overwritten",
    hint="pow_ and mul_ write into the tables you were given. Use ** 2, which makes new ones.",
)
def _(a, b):
    return a.pow_(2), b.pow_(2)


@to_course_convention.alternative("beta from alpha")
def _(a, b):
    alpha = a * a
    return alpha, 1 - alpha


@to_course_convention.alternative("alpha from beta, in a list")
def _(a, b):
    beta = b.square()
    return [1 - beta, beta]


@to_course_convention.alternative("both at once")
def _(a, b):
    alpha, beta = torch.stack([a, b]).pow(2)
    return alpha, beta
