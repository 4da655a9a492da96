"""Algorithm 1 on latents: `latent_diffusion_loss`."""

from __future__ import annotations

import torch
from torch.distributions import Normal
from torch.distributions.transforms import AffineTransform

from ...exercise import exercise
from ...sandbox.wire import Source
from ..diffusion import (
    AXIS,
    ONE_TIME,
    Denoiser,
    along,
    asked,
    edges_apart,
    first_of,
    ranks,
    schedule,
    times_among,
)
from .shared import flows

# A network that is its own weights: a tensor that can be called. Only one of the two in a call: the other is plain.
TRAINED_MODEL = """
class Weights(torch.Tensor):
    def __call__(self, x, t):
        a, b, c = self.as_subclass(torch.Tensor).to(x.dtype)
        return a * x + b * x**2 + c * torch.as_tensor(t).reshape(-1, *[1] * (x.ndim - 1)) / 10

model = torch.tensor({weights}, dtype=torch.float64).as_subclass(Weights)
"""
TRAINED_ENCODER = """
class Weights(torch.Tensor):
    def __call__(self, x):
        a, b, c = self.as_subclass(torch.Tensor).to(x.dtype)
        mu = a * x[..., :-1] + b * x[..., 1:]
        return mu, c * mu.sin() - 1

encode = torch.tensor({weights}, dtype=torch.float64).as_subclass(Weights)
"""
PLAIN_MODEL = Source("def model(x, t):\n    return 0.4 * x + 0.1 * x**2", "model")
PLAIN_ENCODER = Source(
    "def encode(x):\n    mu = 0.8 * x[..., :-1] - 0.3 * x[..., 1:]\n    return mu, 0.5 * mu.sin() - 1", "encode"
)


def encoder(x):
    """mu and logvar of one latent less than x has entries in its last axis."""
    mu = 0.8 * x[..., :-1] - 0.3 * x[..., 1:]
    return mu, 0.5 * mu.sin() - 1


@exercise("latent_diffusion_loss", points=2)
def latent_diffusion_loss(student, case):
    """The mean of (eps - model(z_t, t))^2 at z_0 = scale (mu + exp(logvar / 2) noise)."""
    truth, steps = latent_diffusion_loss.oracle, case.integer(6, 9)
    alpha_bar, scale = schedule(case, steps), case.number(0.3, 0.7)
    mean, spread = case.number(0.5, 1.5), case.number(0.2, 0.6)

    def inputs(*shape):
        latent = (*shape[:-1], shape[-1] - 1)
        t = times_among(case, steps, shape[0], 1, 2, (steps + 3) // 2)
        return case.normal(*shape), t, case.normal(*latent), case.normal(*latent), alpha_bar, scale

    rows, images = inputs(*case.sizes(2, low=4)), inputs(*case.sizes(4, low=4, high=8))
    square = inputs(5, 6)
    seen, right = Denoiser(alpha_bar, mean, spread), Denoiser(alpha_bar, mean, spread)
    got, true = student(encoder, seen, *rows), truth(encoder, right, *rows)
    (places, when), (true_places, true_when) = asked(seen, got), asked(right, true)
    case.expect(
        [when, places],
        [true_when, true_places],
        "the model is asked once, at the noised and scaled latents, with t",
        points=0.5,
        dtype=True,
    )
    case.expect(
        [got, student(encoder, seen, *images), student(encoder, seen, *square)],
        [true, truth(encoder, right, *images), truth(encoder, right, *square)],
        "the loss, of rows, images and as many latents as examples",
        points=0.5,
    )
    weights = [case.number(low, low + 0.5) for low in (0.3, 0.2, 0.4)]
    one = torch.ones((), dtype=torch.float64)
    leaf = torch.tensor(weights, dtype=torch.float64, requires_grad=True)
    slope = torch.autograd.grad(
        truth(encoder, lambda x, t: leaf[0] * x + leaf[1] * x**2 + leaf[2] * along(t, x) / 10, *rows), leaf
    )
    model = Source(TRAINED_MODEL.format(weights=weights), "model")
    case.expect(
        student.gradient(PLAIN_ENCODER, model, *rows, weights=[one], wrt=[1]),
        [*slope],
        "its gradient reaches the model's weights",
        points=0.5,
        hint="the loss must stay connected to the model's answer: only the autoencoder is cut off",
    )
    own = Source(TRAINED_ENCODER.format(weights=weights), "encode")
    gradient = flows(student.gradient(own, PLAIN_MODEL, *rows, weights=[one], wrt=[0]), leaf.detach())
    case.expect(
        [student(own, PLAIN_MODEL, *rows), gradient],
        [truth(own.run(), PLAIN_MODEL.run(), *rows).detach(), [torch.zeros(3, dtype=torch.float64)]],
        "no gradient reaches the autoencoder",
        points=0.25,
        hint="the encoder is finished when the diffusion begins: call it under torch.no_grad()",
    )

    def extreme(time, table):
        x, _, noise, eps, _, _ = inputs(5, 4)
        return PLAIN_ENCODER, PLAIN_MODEL, x, torch.full((5,), time), noise, eps, table, scale

    films = [(PLAIN_ENCODER, PLAIN_MODEL, *inputs(*shape)) for shape in ranks(5)]
    x, t, noise, eps, *rest = rows
    lone = PLAIN_ENCODER, PLAIN_MODEL, x[:1, :2], t[:1], noise[:1, :1], eps[:1, :1], *rest
    also = [*films, lone, *edges_apart(case, extreme, first=1)]
    case.conventions(student, (PLAIN_ENCODER, PLAIN_MODEL, *rows), truth, points=0.25, also=also)


@latent_diffusion_loss.truth
def truth(encode, model, x, t, noise, eps, alpha_bar, scale):
    """The latents by two affine maps; the squared error as a difference of log-densities."""
    mu, logvar = (part.detach() for part in encode(x))
    level = [float(alpha_bar[int(time)]) for time in t]
    z0 = AffineTransform(0.0, scale)(AffineTransform(mu, logvar.exp().sqrt())(noise)).double()
    zt = torch.stack([a**0.5 * z + (1 - a) ** 0.5 * e for a, z, e in zip(level, z0, eps.double(), strict=True)])
    guess = model(zt.to(eps.dtype), t)
    around = Normal(guess, torch.ones_like(guess))
    return 2 * (around.log_prob(guess) - around.log_prob(eps)).sum() / eps.numel()


def _latents(encode, x, noise, scale):
    with torch.no_grad():
        mu, logvar = encode(x)
        return scale * (mu + torch.exp(logvar / 2) * noise)


def _noised(z0, t, eps, alpha_bar):
    level = along(alpha_bar[t], z0)
    return level.sqrt() * z0 + (1 - level).sqrt() * eps


@latent_diffusion_loss.alternative("mse_loss, latents detached")
def mse_loss_latents_detached(encode, model, x, t, noise, eps, alpha_bar, scale):
    mu, logvar = encode(x)
    z0 = (scale * mu + scale * logvar.exp().sqrt() * noise).detach()
    return torch.nn.functional.mse_loss(model(_noised(z0, t, eps, alpha_bar), t), eps)


@latent_diffusion_loss.alternative("example by example")
def example_by_example(encode, model, x, t, noise, eps, alpha_bar, scale):
    z0 = _latents(encode, x, noise, scale)
    zt = [alpha_bar[k].sqrt() * z + (1 - alpha_bar[k]).sqrt() * e for z, e, k in zip(z0, eps, t, strict=True)]
    error = model(torch.stack(zt), t) - eps
    return error.flatten(1).square().mean(1).mean()


@latent_diffusion_loss.alternative("squared norm, einsum")
def squared_norm_einsum(encode, model, x, t, noise, eps, alpha_bar, scale):
    with torch.no_grad():
        mu, logvar = encode(x)
        z0 = torch.addcmul(mu, (0.5 * logvar).exp(), noise).mul(scale)
        keep, add = alpha_bar[t] ** 0.5, (1 - alpha_bar[t]) ** 0.5
        zt = torch.einsum("b,b...->b...", keep, z0) + torch.einsum("b,b...->b...", add, eps)
    return torch.linalg.vector_norm(eps - model(zt, t)) ** 2 / eps.numel()


def _loss(model, z0, t, eps, alpha_bar):
    return ((eps - model(_noised(z0, t, eps, alpha_bar), t)) ** 2).mean()


@latent_diffusion_loss.misconception(
    "the autoencoder is trained along",
    hint="The value is right, but a gradient reaches the encoder, which would learn latents that are easy to predict. "
    "Cut the latents off from it.",
)
def autoencoder_trained_along(encode, model, x, t, noise, eps, alpha_bar, scale):
    mu, logvar = encode(x)
    return _loss(model, scale * (mu + torch.exp(logvar / 2) * noise), t, eps, alpha_bar)


@latent_diffusion_loss.misconception(
    "no gradient reaches the model",
    hint="Only the encoder works under no_grad; the model's answer stays connected, or nothing is learned.",
)
def no_gradient_reaches_model(encode, model, x, t, noise, eps, alpha_bar, scale):
    with torch.no_grad():
        return _loss(model, _latents(encode, x, noise, scale), t, eps, alpha_bar)


@latent_diffusion_loss.misconception(
    "the latents' noise is left out",
    hint="The encoder gives a Gaussian: z is a sample, mu + exp(logvar / 2) noise, not its mean alone.",
)
def noise_left_out(encode, model, x, t, noise, eps, alpha_bar, scale):
    return _loss(model, _latents(encode, x, 0 * noise, scale), t, eps, alpha_bar)


@latent_diffusion_loss.misconception(
    "the variance in place of the standard deviation",
    hint="exp(logvar) is the variance; the noise is multiplied by exp(logvar / 2).",
)
def variance_for_deviation(encode, model, x, t, noise, eps, alpha_bar, scale):
    def squared(x):
        mu, logvar = encode(x)
        return mu, 2 * logvar

    return _loss(model, _latents(squared, x, noise, scale), t, eps, alpha_bar)


@latent_diffusion_loss.misconception(
    "the scale is left out", hint="The diffusion sees scale times the latent, so that its size is about 1."
)
def scale_left_out(encode, model, x, t, noise, eps, alpha_bar, scale):
    return _loss(model, _latents(encode, x, noise, 1.0), t, eps, alpha_bar)


@latent_diffusion_loss.misconception(
    "divided by the scale",
    hint="On the way in latents are multiplied by the scale; the division belongs to the way out, before decode.",
)
def divided_by_scale(encode, model, x, t, noise, eps, alpha_bar, scale):
    return _loss(model, _latents(encode, x, noise, 1 / scale), t, eps, alpha_bar)


@latent_diffusion_loss.misconception(
    "only the mean is scaled", hint="The whole latent is scaled, its noise too: scale (mu + exp(logvar / 2) noise)."
)
def only_mean_scaled(encode, model, x, t, noise, eps, alpha_bar, scale):
    return _loss(model, _latents(encode, x, noise / scale, scale), t, eps, alpha_bar)


@latent_diffusion_loss.misconception(
    "the scale comes after the noising",
    hint="z_0 is scaled, then noised. Scaling z_t would shrink the noise that the model has to find.",
)
def scale_after_noising(encode, model, x, t, noise, eps, alpha_bar, scale):
    zt = scale * _noised(_latents(encode, x, noise, 1.0), t, eps, alpha_bar)
    return ((eps - model(zt, t)) ** 2).mean()


@latent_diffusion_loss.misconception(
    "noise and eps are exchanged",
    hint="noise makes the latent from mu and logvar; eps is the diffusion's, and the target.",
)
def noise_and_eps_exchanged(encode, model, x, t, noise, eps, alpha_bar, scale):
    return _loss(model, _latents(encode, x, eps, scale), t, noise, alpha_bar)


@latent_diffusion_loss.misconception(
    "the sum in place of the mean", hint="The mean over all entries of all latents, as in lesson 06."
)
def sum_in_place_of_mean(encode, model, x, t, noise, eps, alpha_bar, scale):
    return _loss(model, _latents(encode, x, noise, scale), t, eps, alpha_bar) * eps.numel()


@latent_diffusion_loss.misconception(
    "the target is the clean latent", hint="model(z_t, t) predicts the noise: the target is eps."
)
def target_is_clean_latent(encode, model, x, t, noise, eps, alpha_bar, scale):
    z0 = _latents(encode, x, noise, scale)
    return ((z0 - model(_noised(z0, t, eps, alpha_bar), t)) ** 2).mean()


@latent_diffusion_loss.misconception(
    "the noise level is one step early",
    hint="The table begins with alpha_bar[0] = 1 for clean latents: example b is noised to alpha_bar[t[b]].",
)
def level_one_step_early(encode, model, x, t, noise, eps, alpha_bar, scale):
    zt = _noised(_latents(encode, x, noise, scale), t - 1, eps, alpha_bar)
    return ((eps - model(zt, t)) ** 2).mean()


@latent_diffusion_loss.misconception(
    "the roots are missing", hint="alpha_bar and 1 - alpha_bar are shares of variance; the factors are their roots."
)
def roots_missing(encode, model, x, t, noise, eps, alpha_bar, scale):
    z0 = _latents(encode, x, noise, scale)
    level = along(alpha_bar[t], z0)
    return ((eps - model(level * z0 + (1 - level) * eps, t)) ** 2).mean()


@latent_diffusion_loss.misconception(*ONE_TIME)
def one_time_for_batch(encode, model, x, t, noise, eps, alpha_bar, scale):
    zt = _noised(_latents(encode, x, noise, scale), first_of(t), eps, alpha_bar)
    return ((eps - model(zt, t)) ** 2).mean()


@latent_diffusion_loss.misconception(*AXIS)
def wrong_axis(encode, model, x, t, noise, eps, alpha_bar, scale):
    z0, level = _latents(encode, x, noise, scale), alpha_bar[t]
    return ((eps - model(level.sqrt() * z0 + (1 - level).sqrt() * eps, t)) ** 2).mean()
