"""The walk back among latents, and one decoding: `latent_sample`."""

from __future__ import annotations

from itertools import pairwise

import torch

from ...exercise import exercise
from ...sandbox.wire import Source
from ...student import Failure
from ..diffusion import Denoiser, asked, extreme_table, ranks, schedule

PLAIN_MODEL = Source("def model(x, t):\n    return 0.4 * x + 0.1 * x.sin()", "model")
# The answer hangs on a weight of this network unless the walk is cut off from it.
TRAINABLE = Source(
    """
class Decoder:
    def __init__(self):
        self.weight = torch.tensor(0.7, dtype=torch.float64, requires_grad=True)

    def __call__(self, z):
        return torch.tanh(self.weight.to(z.dtype) * z) + 0.2 * z.sum(-1, keepdim=True)

decode = Decoder()
""",
    "decode",
)


class Decoder:
    """tanh of the latents and their sum beside it, with a list of what it was handed."""

    def __init__(self):
        self.calls: list[torch.Tensor] = []

    def __call__(self, z):
        self.calls.append(z)
        return torch.cat([z.tanh(), z.sum(-1, keepdim=True)], -1)


@exercise("latent_sample", points=2)
def latent_sample(student, case):
    """DDIM without fresh noise along `times`, then decode(z_0 / scale), once."""
    truth, steps = latent_sample.oracle, case.integer(9, 12)
    alpha_bar, scale = schedule(case, steps), case.number(0.3, 0.7)
    mean, spread = case.number(0.5, 1.5), case.number(0.2, 0.6)
    gaps = torch.tensor([steps, steps - case.integer(2, 3), 4, case.integer(1, 2), 0])

    def both(z_T, times):
        models = Denoiser(alpha_bar, mean, spread), Denoiser(alpha_bar, mean, spread)
        decoders = Decoder(), Decoder()
        got = student(decoders[0], models[0], z_T, times, alpha_bar, scale)
        true = truth(decoders[1], models[1], z_T, times, alpha_bar, scale)
        answers = [got, true, *(asked(*pair) for pair in zip(models, (got, true), strict=True))]
        return *answers, *(got if isinstance(got, Failure) else decoder.calls for decoder in decoders)

    rows = case.normal(*case.sizes(2, low=3))
    got, true, (places, when), (true_places, true_when), decoded, true_decoded = both(rows, gaps)
    case.expect(when, true_when, "the model is asked once a step, with t (B,)", points=0.25, dtype=True)
    case.expect(places, true_places, "every z_t that the model is asked at", points=0.5)
    case.expect(
        decoded,
        true_decoded,
        "decode is called once, at the end, with z_0 / scale",
        points=0.25,
    )
    case.expect(got, true, "the images at the end", points=0.25, dtype=True)
    maps, one = case.normal(*case.sizes(4, low=2, high=6)), torch.tensor([steps, 0])
    every = torch.arange(steps, -1, -1)
    case.expect(
        [both(maps, gaps)[0], both(rows, one)[0], both(rows[:1], every)[0]],
        [both(maps, gaps)[1], both(rows, one)[1], both(rows[:1], every)[1]],
        "maps of latents; one step from T to 0; every step, for one latent",
        points=0.5,
    )
    given, ends = (TRAINABLE, PLAIN_MODEL), extreme_table(case)
    also = [(*given, case.normal(*shape), gaps, alpha_bar, scale) for shape in (*ranks(2), (1, 1))]
    also += [(*given, rows, torch.tensor([len(ends) - 1, 3, 1, 0]), ends, scale)]
    case.conventions(student, (*given, rows, gaps, alpha_bar, scale), truth, points=0.25, also=also, detached=())


@latent_sample.truth
@torch.no_grad()
def truth(decode, model, z_T, times, alpha_bar, scale):
    """Euler's method for y = z / sqrt(alpha_bar) against sigma, in float64 but for what the networks are shown."""
    size = alpha_bar.double().sqrt()
    sigma = (1 / alpha_bar.double() - 1).sqrt()
    walk = times.tolist()
    y = z_T.double() / size[walk[0]]
    for t, s in pairwise(walk):
        shown = (y * size[t]).to(z_T.dtype)
        y = y + (sigma[s] - sigma[t]) * model(shown, torch.full(z_T.shape[:1], t)).double()
    return decode((y / scale).to(z_T.dtype))


def _step(z, eps, t, s, alpha_bar):
    z0 = (z - (1 - alpha_bar[t]).sqrt() * eps) / alpha_bar[t].sqrt()
    return alpha_bar[s].sqrt() * z0 + (1 - alpha_bar[s]).sqrt() * eps


def _at(z, t):
    return torch.full((len(z),), int(t), device=z.device)


@latent_sample.alternative("one factor for the latent, one for the noise")
@torch.no_grad()
def two_factors(decode, model, z_T, times, alpha_bar, scale):
    z = z_T
    for t, s in pairwise(times):
        keep = torch.sqrt(alpha_bar[s] / alpha_bar[t])
        z = keep * z + (torch.sqrt(1 - alpha_bar[s]) - keep * torch.sqrt(1 - alpha_bar[t])) * model(z, _at(z, t))
    return decode(z / scale)


@latent_sample.alternative("detached at the end of each step")
def detached_each_step(decode, model, z_T, times, alpha_bar, scale):
    z, walk = z_T.clone(), times.tolist()
    for i in range(len(walk) - 1):
        eps = model(z, torch.tensor([walk[i]] * len(z), device=z.device)).detach()
        z = _step(z, eps, walk[i], walk[i + 1], alpha_bar)
    return decode(z.detach() / scale).detach()


@latent_sample.alternative("walked in unscaled latents")
@torch.no_grad()
def walked_unscaled(decode, model, z_T, times, alpha_bar, scale):
    y = z_T / scale
    for t, s in times.unfold(0, 2, 1).tolist():
        y = _step(scale * y, model(scale * y, _at(y, t)), t, s, alpha_bar) / scale
    return decode(y)


def _walk(model, z, times, alpha_bar, step=_step, ask=_at):
    with torch.no_grad():
        for t, s in times.unfold(0, 2, 1).tolist():
            z = step(z, model(z, ask(z, t)), t, s, alpha_bar)
    return z


@latent_sample.misconception(
    "decoded without undoing the scale",
    hint="The diffusion lives in scaled latents, the decoder does not: divide by the scale before decode.",
)
@torch.no_grad()
def scale_not_undone(decode, model, z_T, times, alpha_bar, scale):
    return decode(_walk(model, z_T, times, alpha_bar))


@latent_sample.misconception(
    "multiplied by the scale once more",
    hint="The loss multiplied by the scale, so the way out divides by it.",
)
@torch.no_grad()
def scaled_once_more(decode, model, z_T, times, alpha_bar, scale):
    return decode(_walk(model, z_T, times, alpha_bar) * scale)


@latent_sample.misconception(
    "the starting noise is scaled",
    hint="z_T is N(0, I) whatever the latents' size was: take it as it is.",
)
@torch.no_grad()
def starting_noise_scaled(decode, model, z_T, times, alpha_bar, scale):
    return decode(_walk(model, z_T * scale, times, alpha_bar) / scale)


@latent_sample.misconception(
    "the latents are returned", hint="Images are asked for: decode the last latents, divided by the scale."
)
@torch.no_grad()
def latents_returned(decode, model, z_T, times, alpha_bar, scale):
    return _walk(model, z_T, times, alpha_bar) / scale


@latent_sample.misconception(
    "the model is asked with the time of arrival",
    hint="z_t goes to the model with its own t, the earlier one in the list; s is where the step arrives.",
)
@torch.no_grad()
def asked_with_arrival(decode, model, z_T, times, alpha_bar, scale):
    z = z_T
    for t, s in times.unfold(0, 2, 1).tolist():
        z = _step(z, model(z, _at(z, s)), t, s, alpha_bar)
    return decode(z / scale)


@latent_sample.misconception(
    "gaps are walked as single steps",
    hint="A step goes from one entry of times to the next, not from t to t - 1: the target's alpha_bar is that of s.",
)
@torch.no_grad()
def gaps_as_single_steps(decode, model, z_T, times, alpha_bar, scale):
    def step(z, eps, t, s, alpha_bar):
        return _step(z, eps, t, t - 1, alpha_bar)

    return decode(_walk(model, z_T, times, alpha_bar, step) / scale)


@latent_sample.misconception(
    "the last step is left out",
    hint="times has S + 1 entries, and the last step arrives at 0: pairs (times[i], times[i + 1]) for all S of them.",
)
@torch.no_grad()
def last_step_left_out(decode, model, z_T, times, alpha_bar, scale):
    return decode(_walk(model, z_T, times[:-1], alpha_bar) / scale) if len(times) > 2 else decode(z_T / scale)


@latent_sample.misconception(
    "the roots are missing", hint="alpha_bar and 1 - alpha_bar are shares of variance; the factors are their roots."
)
@torch.no_grad()
def roots_missing(decode, model, z_T, times, alpha_bar, scale):
    def step(z, eps, t, s, alpha_bar):
        return alpha_bar[s] * (z - (1 - alpha_bar[t]) * eps) / alpha_bar[t] + (1 - alpha_bar[s]) * eps

    return decode(_walk(model, z_T, times, alpha_bar, step) / scale)


@latent_sample.misconception(
    "the noise is not put back",
    hint="At s there is still noise: sqrt(alpha_bar_s) z_0 alone is too clean for the model's next question.",
)
@torch.no_grad()
def noise_not_put_back(decode, model, z_T, times, alpha_bar, scale):
    def step(z, eps, t, s, alpha_bar):
        return alpha_bar[s].sqrt() * (z - (1 - alpha_bar[t]).sqrt() * eps) / alpha_bar[t].sqrt()

    return decode(_walk(model, z_T, times, alpha_bar, step) / scale)


@latent_sample.misconception(
    "fresh noise comes in",
    hint="eta = 0: no fresh noise. The same z_T always gives the same images.",
)
@torch.no_grad()
def fresh_noise(decode, model, z_T, times, alpha_bar, scale):
    def step(z, eps, t, s, alpha_bar):
        return _step(z, torch.randn_like(z) if s else eps, t, s, alpha_bar)

    return decode(_walk(model, z_T, times, alpha_bar, step) / scale)


@latent_sample.misconception(
    "every step is decoded",
    hint="The walk happens among latents. decode is called once, when it is over; that is what makes it cheap.",
)
@torch.no_grad()
def every_step_decoded(decode, model, z_T, times, alpha_bar, scale):
    z, images = z_T, None
    for t, s in times.unfold(0, 2, 1).tolist():
        z = _step(z, model(z, _at(z, t)), t, s, alpha_bar)
        images = decode(z / scale)
    return images


@latent_sample.misconception(
    "the model gets a number for the time", hint="model(z, t) wants a LongTensor (B,): torch.full((len(z),), t)."
)
@torch.no_grad()
def number_for_time(decode, model, z_T, times, alpha_bar, scale):
    return decode(_walk(model, z_T, times, alpha_bar, ask=lambda z, t: t) / scale)


@latent_sample.misconception(
    "a graph stands behind the images",
    hint="Nothing is trained while sampling: work under torch.no_grad(), or the graph of all steps fills the memory.",
)
def graph_behind_images(decode, model, z_T, times, alpha_bar, scale):
    z = z_T
    for t, s in times.unfold(0, 2, 1).tolist():
        z = _step(z, model(z, _at(z, t)), t, s, alpha_bar)
    return decode(z / scale)
