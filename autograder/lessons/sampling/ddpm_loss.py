"""What a denoiser is trained on: `ddpm_loss`."""

from __future__ import annotations

import torch
from torch.distributions import Normal

from ...conventions import ones
from ...exercise import exercise
from ...sandbox.wire import Source
from ..diffusion import AXIS, ONE_TIME, Denoiser, along, asked, first_of, ranks, schedule
from .shared import FRESH, times

# A denoiser that is its own weights: a tensor that can be called. So the loss can be differentiated with respect to it.
TRAINABLE = """
class Weights(torch.Tensor):
    def __call__(self, x, t):
        a, b, c = self.as_subclass(torch.Tensor).to(x.dtype)
        return a * x + b * x**2 + c * torch.as_tensor(t).reshape(-1, *[1] * (x.ndim - 1)) / 10

model = torch.tensor({weights}, dtype=torch.float64).as_subclass(Weights)
"""


@exercise("ddpm_loss", points=3)
def ddpm_loss(student, case):
    """The mean over all entries of (eps - model(x_t, t))^2, x_t = sqrt(alpha_bar_t) x_0 + sqrt(1 - alpha_bar_t) eps."""
    truth, steps = ddpm_loss.oracle, case.integer(6, 9)
    alpha_bar = schedule(case, steps)
    mean, spread = case.number(0.5, 1.5), case.number(0.2, 0.6)

    def inputs(*shape):
        return case.normal(*shape), times(case, steps, shape[0]), case.normal(*shape), alpha_bar

    rows, square = inputs(*case.sizes(2, low=4)), inputs(*[case.integer(4, 7)] * 2)
    images = inputs(*case.sizes(4, low=4, high=8))
    seen, right = Denoiser(alpha_bar, mean, spread), Denoiser(alpha_bar, mean, spread)
    got, true = student(seen, *rows), truth(right, *rows)
    (places, when), (true_places, true_when) = asked(seen, got), asked(right, true)
    case.expect(when, true_when, "the model is asked once, at the t of each example", points=0.5, dtype=True)
    case.expect(places, true_places, "the x_t that the model is asked at", points=0.5, dtype=True)
    case.expect(got, true, "the loss of an exact denoiser", points=0.5, dtype=True)

    def nothing(x, t):
        return torch.zeros_like(x)

    case.expect(
        [student(nothing, *images), student(seen, *images), student(seen, *square)],
        [truth(nothing, *images), truth(right, *images), truth(right, *square)],
        "images, and a batch as long as its last axis",
        points=0.5,
    )
    weights = [case.number(low, low + 0.5) for low in (0.3, 0.2, 0.4)]
    trained = Source(TRAINABLE.format(weights=weights), "model")
    leaf = torch.tensor(weights, dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(
        truth(lambda x, t: leaf[0] * x + leaf[1] * x**2 + leaf[2] * along(t, x) / 10, *rows), leaf
    )
    one = torch.ones((), dtype=torch.float64)
    case.expect(
        student.gradient(trained, *rows, weights=[one], wrt=[0]),
        [slope],
        "its gradient with respect to the model's weights",
        points=0.5,
        hint="the loss must stay connected to the model's answer: no detach, no no_grad, no .item()",
    )
    also = [(seen, *inputs(*shape)) for shape in ranks(4)]
    case.conventions(student, (trained, *rows), truth, points=0.5, also=[*also, (seen, *ones(rows))])


@ddpm_loss.truth
def truth(model, x0, t, eps, alpha_bar):
    """The squared error is 2 (log p(eps) at its peak - log p(eps)) under a Gaussian around the model's answer."""
    scale = [float(alpha_bar[int(time)]) for time in t]
    pairs = zip(scale, x0.double(), eps.double(), strict=True)
    xt = torch.stack([level**0.5 * x + (1 - level) ** 0.5 * e for level, x, e in pairs]).to(x0.dtype)
    guess = model(xt, t)
    around = Normal(guess, torch.ones_like(guess))
    return 2 * (around.log_prob(guess) - around.log_prob(eps)).sum() / eps.numel()


def _noised(x0, t, eps, alpha_bar):
    level = along(alpha_bar[t], x0)
    return level.sqrt() * x0 + (1 - level).sqrt() * eps


@ddpm_loss.alternative("mse_loss")
def mse_loss(model, x0, t, eps, alpha_bar):
    return torch.nn.functional.mse_loss(model(_noised(x0, t, eps, alpha_bar), t), eps)


@ddpm_loss.alternative("example by example")
def example_by_example(model, x0, t, eps, alpha_bar):
    keep, noise = torch.sqrt(alpha_bar), torch.sqrt(1 - alpha_bar)
    xt = torch.empty_like(x0)
    for i, step in enumerate(t.tolist()):
        xt[i] = keep[step] * x0[i] + noise[step] * eps[i]
    errors = model(xt, t) - eps
    return torch.stack([error.square().mean() for error in errors]).mean()


@ddpm_loss.alternative("squared norm over the number of entries, x_t detached")
def squared_norm_over_number_of_entries_x_t_detached(model, x0, t, eps, alpha_bar):
    with torch.no_grad():
        xt = torch.einsum("b,b...->b...", alpha_bar[t] ** 0.5, x0) + torch.einsum(
            "b,b...->b...", (1 - alpha_bar[t]) ** 0.5, eps
        )
    return torch.linalg.vector_norm(eps - model(xt, t)).pow(2) / eps.numel()


def _loss(guess, target):
    return ((guess - target) ** 2).mean()


@ddpm_loss.misconception(
    "the sum in place of the mean",
    hint="Average over all entries, batch and event alike, so that the loss of doing nothing is about 1 whatever the "
    "size of an image.",
)
def sum_in_place_of_mean(model, x0, t, eps, alpha_bar):
    return ((model(_noised(x0, t, eps, alpha_bar), t) - eps) ** 2).sum()


@ddpm_loss.misconception(
    "the sum over the event",
    hint="The squared error is averaged over the entries of an example as well, not only over the batch.",
)
def sum_over_event(model, x0, t, eps, alpha_bar):
    return ((model(_noised(x0, t, eps, alpha_bar), t) - eps) ** 2).flatten(1).sum(1).mean()


@ddpm_loss.misconception(
    "one loss for each example",
    hint="Asked is one number for the whole batch: average over the first axis too.",
)
def one_loss_for_each_example(model, x0, t, eps, alpha_bar):
    return ((model(_noised(x0, t, eps, alpha_bar), t) - eps) ** 2).flatten(1).mean(1)


@ddpm_loss.misconception(
    "one loss for each entry",
    hint="The squares are there, their mean is missing: asked is one number for the whole batch.",
)
def one_loss_for_each_entry(model, x0, t, eps, alpha_bar):
    return (model(_noised(x0, t, eps, alpha_bar), t) - eps) ** 2


@ddpm_loss.misconception(
    "the errors are not squared",
    hint="Errors of both signs cancel in their mean. Square them first.",
)
def errors_are_not_squared(model, x0, t, eps, alpha_bar):
    return (eps - model(_noised(x0, t, eps, alpha_bar), t)).mean()


@ddpm_loss.misconception(
    "the model's answer is compared with x_0",
    hint="model(x, t) predicts the noise, so the target is eps.",
)
def answer_is_compared_with_x_0(model, x0, t, eps, alpha_bar):
    return _loss(model(_noised(x0, t, eps, alpha_bar), t), x0)


@ddpm_loss.misconception(
    "the model's answer is compared with x_t",
    hint="The target is eps, the noise that went into x_t, not x_t itself.",
)
def models_answer_is_compared_with_x_t(model, x0, t, eps, alpha_bar):
    xt = _noised(x0, t, eps, alpha_bar)
    return _loss(model(xt, t), xt)


@ddpm_loss.misconception(
    "the model's answer is compared with the scaled noise",
    hint="The target is eps with variance 1, not sqrt(1 - alpha_bar_t) eps, which is what was added to the data.",
)
def models_answer_is_compared_with_scaled_noise(model, x0, t, eps, alpha_bar):
    return _loss(model(_noised(x0, t, eps, alpha_bar), t), along(1 - alpha_bar[t], x0).sqrt() * eps)


@ddpm_loss.misconception(
    "the factors of data and noise change places",
    hint="sqrt(alpha_bar_t) belongs to x_0 and sqrt(1 - alpha_bar_t) to eps: at small t there is little noise.",
)
def factors_of_data_and_noise_change_places(model, x0, t, eps, alpha_bar):
    return _loss(model(_noised(eps, t, x0, alpha_bar), t), eps)


@ddpm_loss.misconception(
    "the root on 1 - alpha_bar_t is missing",
    hint="1 - alpha_bar_t is the variance of the noise in x_t; the factor of eps is its root.",
)
def root_on_1_minus_alpha_bar_t_is_missing(model, x0, t, eps, alpha_bar):
    level = along(alpha_bar[t], x0)
    return _loss(model(level.sqrt() * x0 + (1 - level) * eps, t), eps)


@ddpm_loss.misconception(
    "both roots are missing",
    hint="alpha_bar_t and 1 - alpha_bar_t are shares of variance. The factors of x_0 and eps are their roots.",
)
def both_roots_are_missing(model, x0, t, eps, alpha_bar):
    level = along(alpha_bar[t], x0)
    return _loss(model(level * x0 + (1 - level) * eps, t), eps)


@ddpm_loss.misconception(
    "alpha_t in place of alpha_bar_t",
    hint="x_t comes from x_0 by t steps, so the product of all alphas up to t stands there. alpha_t alone is the last "
    "step's, and leaves the data almost clean.",
)
def alpha_t_in_place_of_alpha_bar_t(model, x0, t, eps, alpha_bar):
    level = along(alpha_bar[t] / alpha_bar[t - 1], x0)
    return _loss(model(level.sqrt() * x0 + (1 - level).sqrt() * eps, t), eps)


@ddpm_loss.misconception(
    "the noise level is one step early",
    hint="The table begins with alpha_bar[0] = 1 for clean data, so example b is noised to level alpha_bar[t[b]]. With "
    "t - 1 the model is told another time than it is shown, and at t = 1 it is shown no noise at all.",
)
def noise_level_is_one_step_early(model, x0, t, eps, alpha_bar):
    return _loss(model(_noised(x0, t - 1, eps, alpha_bar), t), eps)


@ddpm_loss.misconception(
    "the model is asked one step early",
    hint="The model gets the very t whose alpha_bar made x_t: times run from 1 to T, and need no shift to begin at 0.",
)
def model_is_asked_one_step_early(model, x0, t, eps, alpha_bar):
    return _loss(model(_noised(x0, t, eps, alpha_bar), t - 1), eps)


@ddpm_loss.misconception(
    "the model gets t as a fraction",
    hint="model(x, t) takes the LongTensor of steps, 1 to T, as it is. Scaling t is the network's own affair.",
)
def model_gets_t_as_fraction(model, x0, t, eps, alpha_bar):
    return _loss(model(_noised(x0, t, eps, alpha_bar), t.to(x0.dtype) / (len(alpha_bar) - 1)), eps)


@ddpm_loss.misconception(
    "the model is shown the clean data",
    hint="The model has to find the noise in x_t. Hand it x_t, not x_0.",
)
def model_is_shown_clean_data(model, x0, t, eps, alpha_bar):
    return _loss(model(x0, t), eps)


@ddpm_loss.misconception(
    "absolute errors in place of squares",
    hint="The loss comes from a KL of Gaussians, so the error is squared. The mean of |error| has another optimum, the "
    "median.",
)
def absolute_errors_in_place_of_squares(model, x0, t, eps, alpha_bar):
    return (model(_noised(x0, t, eps, alpha_bar), t) - eps).abs().mean()


@ddpm_loss.misconception(
    "the root of the mean square",
    hint="The loss is the mean of the squares itself, without a root around it.",
)
def root_of_mean_square(model, x0, t, eps, alpha_bar):
    return _loss(model(_noised(x0, t, eps, alpha_bar), t), eps).sqrt()


@ddpm_loss.misconception(
    "the bound's weight is kept",
    hint="The simplified loss of Algorithm 1 drops the weight of each time, beta_t / (2 alpha_t (1 - alpha_bar_{t-1})) "
    "and the like: all times count the same.",
)
def bounds_weight_is_kept(model, x0, t, eps, alpha_bar):
    now, alpha = alpha_bar[t], alpha_bar[t] / alpha_bar[t - 1]
    weight = along((1 - alpha) / (2 * alpha * (1 - now)), x0)
    return (weight * (model(_noised(x0, t, eps, alpha_bar), t) - eps) ** 2).mean()


@ddpm_loss.misconception(
    "no gradient reaches the model",
    hint="The value is right, but the model's answer was cut off from the graph (no_grad, detach, .item()), so there "
    "is nothing that training could follow.",
)
def no_gradient_reaches_model(model, x0, t, eps, alpha_bar):
    with torch.no_grad():
        return _loss(model(_noised(x0, t, eps, alpha_bar), t), eps)


@ddpm_loss.misconception(*FRESH)
def new_noise_is_drawn_inside(model, x0, t, eps, alpha_bar):
    noise = torch.randn_like(x0)
    return _loss(model(_noised(x0, t, noise, alpha_bar), t), noise)


@ddpm_loss.misconception(*ONE_TIME)
def one_t_for_whole_batch(model, x0, t, eps, alpha_bar):
    return _loss(model(_noised(x0, first_of(t), eps, alpha_bar), t), eps)


@ddpm_loss.misconception(*AXIS)
def coefficients_meet_wrong_axis(model, x0, t, eps, alpha_bar):
    level = alpha_bar[t]
    return _loss(model(level.sqrt() * x0 + (1 - level).sqrt() * eps, t), eps)
