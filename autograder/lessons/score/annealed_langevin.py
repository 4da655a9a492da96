"""Langevin dynamics at falling noise levels: `annealed_langevin`, its checks and right answers."""

from __future__ import annotations

import torch

from ...exercise import exercise
from ...student import Failure
from ..diffusion import asked
from .shared import Noted


@exercise("annealed_langevin", points=2, after=("langevin_step",))
def annealed_langevin(student, case):
    """K steps of size step_size sigma_i^2 / sigma_L^2 at each level, then once x + sigma_L^2 score (NCSN)."""
    step = case.upstream("langevin_step")
    mean, spread = case.number(0.4, 1.2), case.number(0.4, 1.2)

    def truth(score_fn, x, sigmas, step_size, noise, denoise=True):
        return walk(step, score_fn, x, sigmas, step_size, noise, denoise)

    def score():
        return Noted(lambda x, sigma: -(x - mean) / (spread + sigma**2) + 0.2 * (x + sigma).sin())

    def inputs(levels, steps, *shape):
        sigmas = case.uniform(levels, low=0.25, high=0.5).cumsum(0).flip(0)
        return case.normal(*shape), sigmas, case.number(0.02, 0.06), case.normal(levels, steps, *shape)

    rows = inputs(3, 2, *case.sizes(2, low=4))
    seen, right = score(), score()
    got, true = student(seen, *rows), truth(right, *rows)
    (places, levels), (true_places, true_levels) = asked(seen, got), asked(right, true)
    case.expect(levels, true_levels, "the levels that score_fn is asked at, one sigma per example", 0.25, dtype=True)
    case.expect(places, true_places, "the places that score_fn is asked at", points=0.25, dtype=True)
    case.expect(got, true, "where the walk ends", points=0.25, dtype=True)
    case.expect(student(score(), *rows, False), truth(score(), *rows, False), "without the last denoising", points=0.5)
    one, single, square = inputs(1, 3, 5, 2), inputs(4, 1, 2, 3, 4), inputs(3, 3, 3, 3)
    case.expect(
        [student(score(), *given) for given in (one, single, square)],
        [truth(score(), *given) for given in (one, single, square)],
        "one level, one step a level, images, as many levels as steps",
        points=0.25,
    )
    case.conventions(student, (score(), *rows), truth, points=0.5)


def walk(step, score_fn, x, sigmas, step_size, noise, denoise=True):
    """The whole walk by `step`; a Failure where a step gives no tensor."""
    sizes = [step_size * float(sigma / sigmas[-1]) ** 2 for sigma in sigmas]
    for i, k in ((i, k) for i in range(noise.shape[0]) for k in range(noise.shape[1])):
        x = step(x, score_fn(x, torch.full(x.shape[:1], float(sigmas[i]), dtype=x.dtype)), sizes[i], noise[i, k])
        if not isinstance(x, torch.Tensor):
            return x if isinstance(x, Failure) else Failure("form", "langevin_step returned no tensor")
    if denoise:
        last = float(sigmas[-1])
        expected_noise = -last * score_fn(x, torch.full(x.shape[:1], last, dtype=x.dtype))
        x = x - last * expected_noise
    return x


@annealed_langevin.truth
def truth(score_fn, x, sigmas, step_size, noise, denoise=True):
    """In one loop over all steps, the last denoising as the place less its expected noise."""

    def step(x, score, size, z):
        return torch.lerp(x, x + size * score, 0.5) + torch.tensor(size, dtype=x.dtype).sqrt() * z

    return walk(step, score_fn, x, sigmas, step_size, noise, denoise)


def moved(x, score, size, z):
    """One Langevin step."""
    return x + size / 2 * score + size**0.5 * z


def everybody(x, sigma):
    """The level for every example."""
    return sigma * torch.ones(len(x), dtype=x.dtype)


@annealed_langevin.alternative("two loops over indices")
def two_loops(score_fn, x, sigmas, step_size, noise, denoise=True):
    L, K = noise.shape[:2]
    for i in range(L):
        size = step_size * sigmas[i] ** 2 / sigmas[L - 1] ** 2
        for k in range(K):
            x = moved(x, score_fn(x, everybody(x, sigmas[i])), size, noise[i][k])
    return x + sigmas[-1] ** 2 * score_fn(x, everybody(x, sigmas[-1])) if denoise else x


@annealed_langevin.alternative("in place, on a copy")
def in_place_on_copy(score_fn, x, sigmas, step_size, noise, denoise=True):
    place = x.clone()
    ratios = (sigmas / sigmas[-1]).square() * step_size
    for sigma, size, pushes in zip(sigmas.tolist(), ratios.tolist(), noise, strict=True):
        level = torch.full((place.shape[0],), sigma, dtype=place.dtype)
        for push in pushes:
            slope = score_fn(place, level)
            place += 0.5 * size * slope
            place += size**0.5 * push
    if not denoise:
        return place
    place += sigma**2 * score_fn(place, level)
    return place


@annealed_langevin.alternative("one flat list of steps, without gradients")
@torch.no_grad()
def flat_list(score_fn, x, sigmas, step_size, noise, denoise=True):
    steps = noise.shape[1]
    for number, z in enumerate(noise.flatten(0, 1)):
        sigma = sigmas[number // steps]
        size = step_size * (sigma / sigmas[-1]) ** 2
        x = moved(x, score_fn(x, sigma.expand(len(x))), size, z)
    if denoise:
        x = x + sigmas[-1].pow(2) * score_fn(x, sigmas[-1].repeat(len(x)))
    return x
