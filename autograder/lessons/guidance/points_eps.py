"""The perfect predictor of finitely many points: `points_eps`."""

from __future__ import annotations

import torch

from ...exercise import exercise
from ..diffusion import EARLY, ONE_TIME, along, first_of, schedule
from .shared import noise_size, places


@exercise("points_eps", points=2)
def points_eps(student, case):
    """E[eps given x_t] for data on weighted points, (B, D)."""
    truth, steps = points_eps.oracle, case.integer(6, 9)
    alpha_bar = schedule(case, steps)
    count, dims = case.integer(6, 8), case.integer(2, 3)
    points, logs = 1.5 * case.normal(count, dims), case.normal(count) + 3
    noise, t = places(case, steps, 5, dims)
    level = along(alpha_bar[t], noise)
    x = level.sqrt() * points[:5] + (1 - level).sqrt() * noise / 2  # where such data are
    given = x, t, points, logs, alpha_bar
    case.expect(student(*given), truth(*given), "points with weights up to a constant", points=0.75, dtype=True)
    steep = 1000 * torch.linspace(-1, 1, count, dtype=torch.float64)[torch.randperm(count, generator=case.generator)]
    gone = logs.clone()
    gone[case.integer(0, count - 1)] = -torch.inf
    hard = [(x, t, points, values, alpha_bar) for values in (steep, gone, logs - 1000)]
    case.expect(
        [student(*one) for one in hard],
        [truth(*one) for one in hard],
        "log-weights of 1000 and -1000, and a point of weight 0",
        points=0.5,
        hint="nothing may be exponentiated before the largest has been taken away",
    )
    last = torch.arange(dims) == dims - 1
    far = torch.where(last, 80.0, case.normal(3, dims))  # and about as far from each of them
    remote = far, torch.full((3,), steps // 2), torch.where(last, 0.0, points), logs, alpha_bar
    case.expect(student(*remote), truth(*remote), "far from all points", points=0.25)
    lone = x[:, :1].contiguous(), t, points[:1, :1], logs[:1], alpha_bar
    square = x, t, points[:5], logs[:5], alpha_bar
    case.conventions(student, given, truth, points=0.5, also=[lone, square, (x[:1], t[:1], points, gone, alpha_bar)])


@points_eps.truth
def truth(xt, t, points, log_weights, alpha_bar):
    """By the score: the slope of log q(x_t), a sum of narrow Gaussians around the points that have a weight."""
    kept = ~log_weights.isinf()
    points, logs = points[kept].double(), log_weights[kept].double()
    rows = []
    for x, level in zip(xt.double(), alpha_bar.double()[t], strict=True):
        with torch.enable_grad():
            place = x.detach().clone().requires_grad_()
            exponents = logs - (place - level.sqrt() * points).square().sum(1) / (2 * (1 - level))
            (slope,) = torch.autograd.grad(exponents.logsumexp(0), place)
        rows.append(-(1 - level).sqrt() * slope)
    return torch.stack(rows).to(xt.dtype)


def squares(xt, t, points, alpha_bar, shrunk=True):
    """|x_t - sqrt(a) x_i|^2 / (1 - a), (B, N)."""
    a = alpha_bar[t].reshape(-1, 1, 1)
    return ((xt[:, None] - (a.sqrt() if shrunk else 1) * points) ** 2).sum(-1) / (1 - a[..., 0])


def towards(xt, t, alpha_bar, clean):
    """The noise that belongs to a guess of x_0."""
    return (xt - alpha_bar[t][:, None].sqrt() * clean) / noise_size(t, alpha_bar, xt)


@points_eps.alternative("softmax, then the noise of the mean")
def softmax_then_mean(xt, t, points, log_weights, alpha_bar):
    shares = torch.softmax(log_weights - squares(xt, t, points, alpha_bar) / 2, 1)
    return towards(xt, t, alpha_bar, shares @ points)


@points_eps.alternative("the mean of the noises")
def mean_of_noises(xt, t, points, log_weights, alpha_bar):
    a = alpha_bar[t][:, None, None]
    noises = (xt.unsqueeze(1) - a**0.5 * points) / (1 - a) ** 0.5
    logits = log_weights - noises.pow(2).sum(2) / 2
    shares = (logits - logits.logsumexp(1, keepdim=True)).exp()
    return torch.einsum("bn,bnd->bd", shares, noises)


@points_eps.alternative("example by example, the largest taken away")
def largest_taken_away(xt, t, points, log_weights, alpha_bar):
    rows = []
    for x, time in zip(xt, t.tolist(), strict=True):
        a = alpha_bar[time]
        logits = log_weights - 0.5 * ((x - a.sqrt() * points) ** 2).sum(1) / (1 - a)
        shares = (logits - logits.max()).exp()
        clean = (shares[:, None] * points).sum(0) / shares.sum()
        rows.append((x - a.sqrt() * clean) / (1 - a).sqrt())
    return torch.stack(rows)


@points_eps.misconception(
    "the log-weights are taken for weights",
    hint="log_weights are logarithms: they are added to the other logarithms, not multiplied with probabilities.",
)
def taken_for_weights(xt, t, points, log_weights, alpha_bar):
    shares = log_weights * torch.softmax(-squares(xt, t, points, alpha_bar) / 2, 1)
    return towards(xt, t, alpha_bar, shares / shares.sum(1, keepdim=True) @ points)


@points_eps.misconception(
    "the weights are ignored",
    hint="A point of larger weight is likelier wherever x_t is: add its log-weight.",
)
def weights_ignored(xt, t, points, log_weights, alpha_bar):
    shares = torch.softmax(0 * log_weights.nan_to_num(neginf=0) - squares(xt, t, points, alpha_bar) / 2, 1)
    return towards(xt, t, alpha_bar, shares @ points)


@points_eps.misconception(
    "the weights alone decide",
    hint="Which point x_t came from depends on where x_t is: the distance belongs into the exponent.",
)
def weights_alone(xt, t, points, log_weights, alpha_bar):
    return towards(xt, t, alpha_bar, (torch.softmax(log_weights, 0) @ points).expand(len(xt), -1))


@points_eps.misconception(
    "exponentiated too early",
    hint="exp of -1000 is 0, and 0 / 0 is no number. Take the largest exponent away first, which softmax does.",
)
def exponentiated_early(xt, t, points, log_weights, alpha_bar):
    shares = log_weights.exp() * (-squares(xt, t, points, alpha_bar) / 2).exp()
    return towards(xt, t, alpha_bar, shares / shares.sum(1, keepdim=True) @ points)


@points_eps.misconception(
    "the half in the exponent is missing",
    hint="A Gaussian's exponent is -1/2 the squared distance over the variance.",
)
def half_missing(xt, t, points, log_weights, alpha_bar):
    shares = torch.softmax(log_weights - squares(xt, t, points, alpha_bar), 1)
    return towards(xt, t, alpha_bar, shares @ points)


@points_eps.misconception(
    "divided by the deviation in the exponent",
    hint="The squared distance is divided by the variance, 1 - alpha_bar_t, not by its root.",
)
def by_deviation(xt, t, points, log_weights, alpha_bar):
    distances = squares(xt, t, points, alpha_bar) * noise_size(t, alpha_bar, xt)
    return towards(xt, t, alpha_bar, torch.softmax(log_weights - distances / 2, 1) @ points)


@points_eps.misconception(
    "the points are not shrunk in the exponent",
    hint="x_t given x_i lies around sqrt(alpha_bar_t) x_i, not around x_i.",
)
def not_shrunk(xt, t, points, log_weights, alpha_bar):
    shares = torch.softmax(log_weights - squares(xt, t, points, alpha_bar, shrunk=False) / 2, 1)
    return towards(xt, t, alpha_bar, shares @ points)


@points_eps.misconception(
    "the likeliest point alone",
    hint="The expectation averages over all points, each as likely as it is: no argmax.",
)
def likeliest(xt, t, points, log_weights, alpha_bar):
    best = (log_weights - squares(xt, t, points, alpha_bar) / 2).argmax(1)
    return towards(xt, t, alpha_bar, points[best])


@points_eps.misconception(
    "x_0 in place of the noise",
    hint="You return E[x_0 given x_t]. The noise is what is left of x_t without it, in units of sqrt(1 - alpha_bar_t).",
)
def clean_returned(xt, t, points, log_weights, alpha_bar):
    return torch.softmax(log_weights - squares(xt, t, points, alpha_bar) / 2, 1) @ points


@points_eps.misconception(
    "normalised over the batch",
    hint="For each x_t the points' probabilities sum to 1: softmax along the axis of the points.",
)
def over_batch(xt, t, points, log_weights, alpha_bar):
    shares = torch.softmax(log_weights - squares(xt, t, points, alpha_bar) / 2, 0)
    return towards(xt, t, alpha_bar, shares @ points)


@points_eps.misconception(*EARLY)
def one_step_early(xt, t, points, log_weights, alpha_bar):
    return softmax_then_mean(xt, t - 1, points, log_weights, alpha_bar.clamp(max=1 - 1e-9))


@points_eps.misconception(*ONE_TIME)
def one_time(xt, t, points, log_weights, alpha_bar):
    return softmax_then_mean(xt, first_of(t), points, log_weights, alpha_bar)
