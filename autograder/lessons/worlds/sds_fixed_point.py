"""Where guided score distillation comes to rest: `sds_fixed_point`."""

from __future__ import annotations

import torch
from torch.distributions import MultivariateNormal
from torch.func import grad, jacrev

from ...exercise import exercise


@exercise("sds_fixed_point", points=2)
def sds_fixed_point(student, case):
    """The x at which E[(1 + w) eps_c - w eps_u - eps] is zero, for Gaussians, (D,)."""
    truth, w = sds_fixed_point.oracle, case.number(0.5, 1.5)
    level, dims = case.number(0.35, 0.65), case.integer(3, 5)
    drawn = *gaussians(case, dims, wider=True), level, w
    case.expect(student(*drawn), truth(*drawn), "two correlated Gaussians", points=0.75, dtype=True)
    ends = [(*gaussians(case, dims, wider=True), level, v) for v in (0.0, 8.0)]
    mean_c, cov, mean_u, _ = gaussians(case, dims, wider=True)
    alike = mean_c, cov, mean_u, cov, level, 2 + w
    case.expect(
        [student(*one) for one in (*ends, alike)],
        [truth(*one) for one in (*ends, alike)],
        "w = 0, w = 8, and equal covariances",
        points=0.25,
    )
    saddle = *gaussians(case, 4, wider=False), level, 2 + w
    case.expect(
        student(*saddle),
        truth(*saddle),
        "a fixed point that does not attract",
        points=0.5,
        hint="wherever the matrix of the linear equation is regular there is one such x, whether or not a walk would "
        "end there: solve, do not iterate",
    )
    flat = [flattened(case, dims, a, w) for a in (1 - 2.0**-7, 2.0**-7, level)]
    case.expect(
        [student(*one) for one in flat],
        [truth(*one) for one in flat],
        "hardly any noise, hardly any signal, data on a line",
        points=0.25,
        hint="a data covariance may be singular; the covariance of what is noised is not",
    )
    one = *gaussians(case, 1, wider=True), level, w
    case.conventions(student, drawn, truth, points=0.25, also=[one, saddle])


def turned(case, dims):
    """A random rotation (D, D)."""
    return torch.linalg.qr(case.normal(dims, dims))[0]


def covariance(case, dims, low, high):
    """A covariance with eigenvalues between low and high, and axes of its own."""
    axes = turned(case, dims)
    return axes @ torch.diag(case.uniform(dims, low=low, high=high)) @ axes.T


def gaussians(case, dims, wider):
    """(mean_c, cov_c, mean_u, cov_u). With `wider` the unconditional one is wider everywhere, so that the fixed point
    attracts at every w >= 0; without, it is much narrower in two of the four directions (dims = 4).
    """
    mean_c, mean_u = case.normal(dims), case.normal(dims)
    if wider:
        cov_c = covariance(case, dims, 0.3, 1.0)
        return mean_c, cov_c, mean_u, cov_c + covariance(case, dims, 0.3, 1.5)
    cov_c, cov_u = torch.zeros(2, 4, 4, dtype=torch.float64)
    for place, (low, high), (below, above) in ((0, (0.3, 0.6), (1.0, 1.6)), (2, (1.5, 2.0), (0.05, 0.15))):
        block = slice(place, place + 2)
        cov_c[block, block] = covariance(case, 2, low, high)
        cov_u[block, block] = covariance(case, 2, below, above)
    axes = turned(case, 4)
    return mean_c, axes @ cov_c @ axes.T, mean_u, axes @ cov_u @ axes.T


def flattened(case, dims, level, w):
    """Arguments whose conditional data lie on a line."""
    mean_c, _, mean_u, cov_u = gaussians(case, dims, wider=True)
    along = 0.5 * turned(case, dims)[:, :1]
    return mean_c, along @ along.T, mean_u, cov_u + along @ along.T, level, w


@sds_fixed_point.truth
def truth(mean_c, cov_c, mean_u, cov_u, level, w):
    """Newton's method on the guided score of the noised densities, by derivatives alone: the score is linear, so one
    step is enough, and the second takes out what was rounded.
    """
    told, free = (
        MultivariateNormal(level**0.5 * m.double(), level * c.double() + (1 - level) * torch.eye(len(m)).double())
        for m, c in ((mean_c, cov_c), (mean_u, cov_u))
    )

    def guided(x):
        """The gradient of (1 + w) log p_c - w log p_u, of which the expectation is a negative multiple."""
        return grad(lambda x: (1 + w) * told.log_prob(x) - w * free.log_prob(x))(x)

    xt = torch.zeros_like(told.mean)
    for _ in range(2):
        step, *_ = torch.linalg.lstsq(jacrev(guided)(xt), guided(xt)[:, None])
        xt = xt - step[:, 0]
    return (xt / level**0.5).to(mean_c.dtype)


def noised(cov, level):
    """The covariance of x_t."""
    return level * cov + (1 - level) * torch.eye(len(cov), dtype=cov.dtype, device=cov.device)


def solved(mean_c, C_c, mean_u, C_u, told, free):
    """The zero of told C_c^-1 (x - mean_c) + free C_u^-1 (x - mean_u)."""
    P_c, P_u = told * torch.linalg.inv(C_c), free * torch.linalg.inv(C_u)
    return torch.linalg.solve(P_c + P_u, P_c @ mean_c + P_u @ mean_u)


@sds_fixed_point.alternative("both precisions, one linear equation")
def precisions(mean_c, cov_c, mean_u, cov_u, level, w):
    return solved(mean_c, noised(cov_c, level), mean_u, noised(cov_u, level), 1 + w, -w)


@sds_fixed_point.alternative("how far beyond mean_c, without an inverse")
def offset(mean_c, cov_c, mean_u, cov_u, level, w):
    C_c, C_u = noised(cov_c, level), noised(cov_u, level)
    ratio = torch.linalg.solve(C_u, C_c, left=False)  # C_c C_u^-1
    beyond = (1 + w) * torch.eye(len(mean_c)).to(mean_c) - w * ratio
    return mean_c + torch.linalg.solve(beyond, w * ratio @ (mean_c - mean_u))


@sds_fixed_point.alternative("the linear field, read off at D + 1 places")
def probed(mean_c, cov_c, mean_u, cov_u, level, w):
    C_c, C_u = noised(cov_c, level), noised(cov_u, level)

    def field(x):
        told, free = (torch.linalg.solve(C, (x - m).T).T for C, m in ((C_c, mean_c), (C_u, mean_u)))
        return (1 + w) * told - w * free

    places = torch.cat([torch.zeros_like(cov_c[:1]), torch.eye(len(mean_c)).to(cov_c)])
    seen = field(places)
    return torch.linalg.solve((seen[1:] - seen[0]).T, -seen[0])


@sds_fixed_point.misconception(
    "the means are extrapolated",
    hint="mean_c + w (mean_c - mean_u) is right where both covariances are equal. Where they differ each direction has "
    "a factor of its own: set the expectation to zero and solve.",
)
def means_extrapolated(mean_c, cov_c, mean_u, cov_u, level, w):
    return mean_c + w * (mean_c - mean_u)


@sds_fixed_point.misconception(
    "the data's covariances, without noise",
    hint="The model sees x_t. Its best answer is made with the covariance of x_t, in which the level of the noise "
    "stands.",
)
def without_noise(mean_c, cov_c, mean_u, cov_u, level, w):
    return solved(mean_c, cov_c, mean_u, cov_u, 1 + w, -w)


@sds_fixed_point.misconception(
    "level taken for the share of noise",
    hint="level is alpha_bar_t, what is left of the signal: it multiplies the data's covariance.",
)
def level_turned(mean_c, cov_c, mean_u, cov_u, level, w):
    return solved(mean_c, noised(cov_c, 1 - level), mean_u, noised(cov_u, 1 - level), 1 + w, -w)


@sds_fixed_point.misconception(
    "w taken for the scale s",
    hint="The conditional noise has the factor 1 + w and the other one -w: at w = 0 the fixed point is mean_c.",
)
def w_for_s(mean_c, cov_c, mean_u, cov_u, level, w):
    return precisions(mean_c, cov_c, mean_u, cov_u, level, w - 1)


@sds_fixed_point.misconception(
    "class and data are exchanged", hint="Guidance leads away from the unconditional mean: that one has the factor -w."
)
def exchanged(mean_c, cov_c, mean_u, cov_u, level, w):
    return precisions(mean_u, cov_u, mean_c, cov_c, level, w)


@sds_fixed_point.misconception(
    "covariances in place of their inverses",
    hint="eps* divides the distance from the mean by the covariance of x_t. Narrow directions pull harder, not less.",
)
def not_inverted(mean_c, cov_c, mean_u, cov_u, level, w):
    A_c, A_u = (1 + w) * noised(cov_c, level), -w * noised(cov_u, level)
    return torch.linalg.solve(A_c + A_u, A_c @ mean_c + A_u @ mean_u)


@sds_fixed_point.misconception(
    "inverted before the noise is added",
    hint="Noise adds to the covariance: mix level cov and (1 - level) I first, and invert the sum.",
)
def inverted_early(mean_c, cov_c, mean_u, cov_u, level, w):
    P_c, P_u = (noised(torch.linalg.inv(cov), level) for cov in (cov_c, cov_u))
    told, free = (1 + w) * P_c, w * P_u
    return torch.linalg.solve(told - free, told @ mean_c - free @ mean_u)


@sds_fixed_point.misconception(
    "roots in the covariance of x_t",
    hint="x_t is sqrt(level) x + sqrt(1 - level) eps. A covariance takes the squares of these factors.",
)
def roots(mean_c, cov_c, mean_u, cov_u, level, w):
    one = torch.eye(len(mean_c), dtype=mean_c.dtype)
    C_c, C_u = (level**0.5 * cov + (1 - level) ** 0.5 * one for cov in (cov_c, cov_u))
    return solved(mean_c, C_c, mean_u, C_u, 1 + w, -w)


@sds_fixed_point.misconception(
    "the correlations are dropped",
    hint="The diagonals alone know nothing of how the coordinates hang together: invert the whole matrices.",
)
def diagonals(mean_c, cov_c, mean_u, cov_u, level, w):
    cov_c, cov_u = (torch.diag(cov.diagonal()) for cov in (cov_c, cov_u))
    return precisions(mean_c, cov_c, mean_u, cov_u, level, w)


@sds_fixed_point.misconception(
    "the place of x_t in place of x",
    hint="The zero is asked for in x, the picture. x_t has its mean at the root of the level times x.",
)
def place_of_xt(mean_c, cov_c, mean_u, cov_u, level, w):
    return level**0.5 * precisions(mean_c, cov_c, mean_u, cov_u, level, w)


@sds_fixed_point.misconception(
    "the covariances are guided, not their inverses",
    hint="A guided eps is a difference of two linear functions, each with its own precision. Subtract the precisions: "
    "the inverse of a difference is not the difference of the inverses.",
)
def guided_covariance(mean_c, cov_c, mean_u, cov_u, level, w):
    C_c, C_u = noised(cov_c, level), noised(cov_u, level)
    P_c, P_u = (1 + w) * torch.linalg.inv(C_c), w * torch.linalg.inv(C_u)
    return ((1 + w) * C_c - w * C_u) @ (P_c @ mean_c - P_u @ mean_u)


@sds_fixed_point.misconception(
    "a walk in place of a solution",
    hint="Gradient steps end where the field attracts. With strong guidance it may not, and they run away; the zero is "
    "there all the same, and a linear equation finds it.",
)
def walked(mean_c, cov_c, mean_u, cov_u, level, w):
    P_c, P_u = (torch.linalg.inv(noised(cov, level)) for cov in (cov_c, cov_u))
    x = mean_c
    for _ in range(2000):
        x = x - 0.02 * ((1 + w) * P_c @ (x - mean_c) - w * P_u @ (x - mean_u))
    return x
