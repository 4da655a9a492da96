"""Denoising score matching for one batch: `dsm_loss`."""

from __future__ import annotations

import torch
from torch.distributions import Normal

from ...exercise import exercise
from ...sandbox.wire import Source
from ..diffusion import along, asked, ranks
from .shared import AXIS, FRESH, NO_GRADIENT, ONE_LEVEL, Noted, sizes_of_noise

# A model that is its own weights: a tensor that can be called. So the loss can be differentiated with respect to it.
TRAINABLE = """
class Weights(torch.Tensor):
    def __call__(self, y, sigma):
        a, b, c = self.as_subclass(torch.Tensor).to(y.dtype)
        return a * y + b * y**2 + c * torch.as_tensor(sigma).reshape(-1, *[1] * (y.ndim - 1))

model = torch.tensor({weights}, dtype=torch.float64).as_subclass(Weights)
"""


@exercise("dsm_loss", points=2)
def dsm_loss(student, case):
    """The mean over the batch of weight / 2 |score_fn(y, sigma) - grad log q(y given x_0)|^2, y = x_0 + sigma eps."""
    truth = dsm_loss.oracle
    spread = case.number(0.4, 1.2)

    def model():
        return Noted(lambda y, sigma: -(y - 0.3) / (spread + sigma**2) + 0.1 * y.sin())

    def inputs(*shape):
        batch = shape[0]
        weight = case.uniform(batch, low=0.3, high=2.0)
        return case.normal(*shape), sizes_of_noise(case, batch), case.normal(*shape), weight

    rows, square = inputs(*case.sizes(2, low=4)), inputs(*[case.integer(4, 7)] * 2)
    images = inputs(*case.sizes(4, low=3, high=7))
    seen, right = model(), model()
    got, true = student(seen, *rows), truth(right, *rows)
    case.expect(
        list(asked(seen, got)),
        list(asked(right, true)),
        "score_fn is asked once, at y, with each example's sigma",
        points=0.5,
        dtype=True,
    )
    case.expect(got, true, "the loss, a level and a weight for each example", points=0.5, dtype=True)
    case.expect(
        [student(model(), *images), student(model(), *square)],
        [truth(model(), *images), truth(model(), *square)],
        "images, and a batch as long as its last axis",
        points=0.25,
    )
    weights = [case.number(low, low + 0.5) for low in (-1.0, 0.2, 0.3)]
    trained = Source(TRAINABLE.format(weights=weights), "model")
    leaf = torch.tensor(weights, dtype=torch.float64, requires_grad=True)

    def same_model(y, sigma):
        return leaf[0] * y + leaf[1] * y**2 + leaf[2] * along(sigma, y)

    (slope,) = torch.autograd.grad(truth(same_model, *rows), leaf)
    case.expect(
        student.gradient(trained, *rows, weights=[torch.ones((), dtype=torch.float64)], wrt=[0]),
        [slope],
        "its gradient with respect to the model's weights",
        points=0.25,
        hint="the loss must stay connected to the model's answer: no detach, no no_grad, no .item()",
    )
    also = [(trained, *inputs(*shape)) for shape in (*ranks(4), (1, 1))]
    x0, sigma, eps, weight = rows
    also += [(trained, x0, 2.0**-20 * sigma, eps, 2.0**-40 * weight)]
    case.conventions(student, (trained, *rows), truth, points=0.5, also=also)


@dsm_loss.truth
def truth(score_fn, x0, sigma, eps, weight):
    """Example by example, with the target from torch.distributions by automatic differentiation."""
    y = torch.stack([x + s * e for x, s, e in zip(x0, sigma, eps, strict=True)])
    answer, total = score_fn(y, sigma), 0.0
    for b in range(len(x0)):
        place = y[b].detach().requires_grad_()
        with torch.enable_grad():
            log_density = Normal(x0[b], sigma[b]).log_prob(place).sum()
        (target,) = torch.autograd.grad(log_density, place)
        total = total + weight[b] * torch.dist(answer[b], target) ** 2
    return total / (2 * len(x0))


def _spoiled(x0, sigma, eps):
    return x0 + along(sigma, x0) * eps


def _per_example(error):
    return error.square().flatten(1).sum(1)


@dsm_loss.alternative("mean of weighted squared norms")
def mean_of_weighted_norms(score_fn, x0, sigma, eps, weight):
    s = along(sigma, x0)
    error = (score_fn(x0 + s * eps, sigma) + eps / s).reshape(len(x0), -1)
    return 0.5 * torch.mean(weight * torch.linalg.vector_norm(error, dim=1) ** 2)


@dsm_loss.alternative("the target from y and x_0")
def target_from_y_and_x0(score_fn, x0, sigma, eps, weight):
    shape = [-1] + [1] * (x0.dim() - 1)
    y = x0 + sigma.view(shape) * eps
    target = -(y - x0) / sigma.view(shape) ** 2
    loss = (weight.view(shape) * (score_fn(y, sigma) - target) ** 2).sum() / 2
    return loss / x0.shape[0]


@dsm_loss.alternative("einsum, error times sigma")
def error_times_sigma(score_fn, x0, sigma, eps, weight):
    y = x0 + torch.einsum("b,b...->b...", sigma, eps)
    scaled = torch.einsum("b,b...->b...", sigma, score_fn(y, sigma)) + eps
    return (scaled.pow(2).flatten(1).sum(-1) * weight / sigma**2).sum() / (2 * len(y))


@dsm_loss.misconception(
    "the target has the wrong sign",
    hint="The score of N(x_0, sigma^2) points from y back to x_0, against the noise that was added.",
)
def target_with_wrong_sign(score_fn, x0, sigma, eps, weight):
    error = score_fn(_spoiled(x0, sigma, eps), sigma) - eps / along(sigma, x0)
    return (weight * _per_example(error)).mean() / 2


@dsm_loss.misconception(
    "the target is the noise itself",
    hint="The slope is the noise over its size sigma, not the noise itself: a narrow Gaussian is steep.",
)
def target_is_noise(score_fn, x0, sigma, eps, weight):
    return (weight * _per_example(score_fn(_spoiled(x0, sigma, eps), sigma) + eps)).mean() / 2


@dsm_loss.misconception(
    "the noise over sigma squared",
    hint="(y - x_0) / sigma^2 has sigma^2 below the bar, but y - x_0 = sigma eps brings one sigma above it.",
)
def noise_over_sigma_squared(score_fn, x0, sigma, eps, weight):
    error = score_fn(_spoiled(x0, sigma, eps), sigma) + eps / along(sigma, x0) ** 2
    return (weight * _per_example(error)).mean() / 2


@dsm_loss.misconception("the half is missing", hint="Half of the squared distance: the loss carries a factor 1/2.")
def half_missing(score_fn, x0, sigma, eps, weight):
    error = score_fn(_spoiled(x0, sigma, eps), sigma) + eps / along(sigma, x0)
    return (weight * _per_example(error)).mean()


@dsm_loss.misconception(
    "the mean over the event",
    hint="Within an example the squares are summed; the mean is taken over the batch alone.",
)
def mean_over_event(score_fn, x0, sigma, eps, weight):
    error = score_fn(_spoiled(x0, sigma, eps), sigma) + eps / along(sigma, x0)
    return (weight * error.square().flatten(1).mean(1)).mean() / 2


@dsm_loss.misconception(
    "the sum over the batch", hint="The losses of the examples are averaged: twice the batch, the same loss."
)
def sum_over_batch(score_fn, x0, sigma, eps, weight):
    error = score_fn(_spoiled(x0, sigma, eps), sigma) + eps / along(sigma, x0)
    return (weight * _per_example(error)).sum() / 2


@dsm_loss.misconception("one loss for each example", hint="Asked is one number for the batch: take the mean over it.")
def one_loss_per_example(score_fn, x0, sigma, eps, weight):
    error = score_fn(_spoiled(x0, sigma, eps), sigma) + eps / along(sigma, x0)
    return weight * _per_example(error) / 2


@dsm_loss.misconception("the weight is left out", hint="Each example's loss is multiplied by its own weight.")
def weight_left_out(score_fn, x0, sigma, eps, weight):
    error = score_fn(_spoiled(x0, sigma, eps), sigma) + eps / along(sigma, x0)
    return _per_example(error).mean() / 2


@dsm_loss.misconception(
    "the weight is squared",
    hint="The weight multiplies the squared distance. Multiplying the error by it before squaring counts it twice.",
)
def weight_squared(score_fn, x0, sigma, eps, weight):
    error = score_fn(_spoiled(x0, sigma, eps), sigma) + eps / along(sigma, x0)
    return _per_example(along(weight, x0) * error).mean() / 2


@dsm_loss.misconception(
    "sigma^2 in the weight's place",
    hint="sigma^2 is the usual choice, but the weight is an argument: use the one that is given.",
)
def sigma_squared_as_weight(score_fn, x0, sigma, eps, weight):
    error = score_fn(_spoiled(x0, sigma, eps), sigma) + eps / along(sigma, x0)
    return (sigma**2 * _per_example(error)).mean() / 2


@dsm_loss.misconception(
    "divided by the sum of the weights", hint="The mean over the batch divides by B, whatever the weights add up to."
)
def divided_by_weights(score_fn, x0, sigma, eps, weight):
    error = score_fn(_spoiled(x0, sigma, eps), sigma) + eps / along(sigma, x0)
    return (weight * _per_example(error)).sum() / weight.sum() / 2


@dsm_loss.misconception(
    "the noise is multiplied by the variance",
    hint="sigma is a standard deviation: y = x_0 + sigma eps. sigma^2 eps is noise of another size.",
)
def noise_times_variance(score_fn, x0, sigma, eps, weight):
    error = score_fn(_spoiled(x0, sigma**2, eps), sigma) + eps / along(sigma, x0)
    return (weight * _per_example(error)).mean() / 2


@dsm_loss.misconception(
    "the noise is added without sigma", hint="eps has variance 1. Example b is spoiled with noise of size sigma_b."
)
def noise_without_sigma(score_fn, x0, sigma, eps, weight):
    error = score_fn(x0 + eps, sigma) + eps / along(sigma, x0)
    return (weight * _per_example(error)).mean() / 2


@dsm_loss.misconception(
    "score_fn is shown the clean data", hint="The score of the spoiled data is learned: score_fn gets y, not x_0."
)
def shown_clean_data(score_fn, x0, sigma, eps, weight):
    return (weight * _per_example(score_fn(x0, sigma) + eps / along(sigma, x0))).mean() / 2


@dsm_loss.misconception(
    "score_fn gets sigma with extra axes",
    hint="score_fn wants sigma (B,) as it came. The axes that meet the data are for your own arithmetic.",
)
def sigma_with_axes(score_fn, x0, sigma, eps, weight):
    error = score_fn(_spoiled(x0, sigma, eps), along(sigma, x0)) + eps / along(sigma, x0)
    return (weight * _per_example(error)).mean() / 2


@dsm_loss.misconception(*NO_GRADIENT)
def no_gradient(score_fn, x0, sigma, eps, weight):
    with torch.no_grad():
        error = score_fn(_spoiled(x0, sigma, eps), sigma) + eps / along(sigma, x0)
        return (weight * _per_example(error)).mean() / 2


@dsm_loss.misconception(*FRESH)
def fresh_noise(score_fn, x0, sigma, eps, weight):
    noise = torch.randn_like(x0)
    error = score_fn(_spoiled(x0, sigma, noise), sigma) + noise / along(sigma, x0)
    return (weight * _per_example(error)).mean() / 2


@dsm_loss.misconception(*ONE_LEVEL)
def one_level(score_fn, x0, sigma, eps, weight):
    error = score_fn(x0 + sigma[0] * eps, sigma) + eps / sigma[0]
    return (weight * _per_example(error)).mean() / 2


@dsm_loss.misconception(*AXIS)
def wrong_axis(score_fn, x0, sigma, eps, weight):
    return (weight * _per_example(score_fn(x0 + sigma * eps, sigma) + eps / sigma)).mean() / 2
