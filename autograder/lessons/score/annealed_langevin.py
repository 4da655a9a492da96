"""Langevin dynamics at falling noise levels: `annealed_langevin`."""

from __future__ import annotations

import torch

from ...exercise import exercise
from ...student import Failure
from ..diffusion import OVERWRITTEN, asked, ranks
from .shared import FRESH, Noted


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
    plain = *rows, False
    case.expect(student(score(), *plain), truth(score(), *plain), "without the last denoising", points=0.5)
    one, single, square = inputs(1, 3, 5, 2), inputs(4, 1, 2, 3, 4), inputs(3, 3, 3, 3)
    case.expect(
        [student(score(), *given) for given in (one, single, square)],
        [truth(score(), *given) for given in (one, single, square)],
        "one level, one step a level, images, as many levels as steps",
        points=0.25,
    )
    also = [(score(), *inputs(2, 2, *shape)) for shape in (*ranks(3), (1, 1))]
    x, sigmas, *rest = inputs(2, 2, 2, 3)
    also += [(score(), x, 2.0**-20 * sigmas, *rest)]
    case.conventions(student, (score(), *rows), truth, points=0.5, also=also)


def walk(step, score_fn, x, sigmas, step_size, noise, denoise=True):
    """The whole walk by `step`; a Failure where a step gives no tensor."""
    sizes = [step_size * float(sigma / sigmas[-1]) ** 2 for sigma in sigmas]
    for i, k in ((i, k) for i in range(noise.shape[0]) for k in range(noise.shape[1])):
        x = step(x, score_fn(x, x.new_full(x.shape[:1], float(sigmas[i]))), sizes[i], noise[i, k])
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
    return sigma * x.new_ones(len(x))


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
        level = place.new_full((place.shape[0],), sigma)
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


def cleaned(score_fn, x, sigma, denoise):
    return x + sigma**2 * score_fn(x, everybody(x, sigma)) if denoise else x


def wrong_walk(score_fn, x, sigmas, step_size, noise, denoise=True, size=None, order=None, z=None, ask=everybody):
    """The right walk, but for a level's step size, the order of the levels, the noise, or what score_fn is told."""
    size = size or (lambda i: step_size * sigmas[i] ** 2 / sigmas[-1] ** 2)
    z = z or (lambda i, k: noise[i, k])
    for place, i in enumerate(order or range(len(sigmas))):
        for k in range(noise.shape[1]):
            x = moved(x, score_fn(x, ask(x, sigmas[i])), size(i), z(place, k))
    return cleaned(score_fn, x, sigmas[-1], denoise)


@annealed_langevin.misconception(
    "one step size for all levels",
    hint="step_size is meant for the last level. Level i gets it times sigma_i^2 / sigma_L^2.",
)
def one_step_size(score_fn, x, sigmas, step_size, noise, denoise=True):
    return wrong_walk(score_fn, x, sigmas, step_size, noise, denoise, size=lambda i: step_size)


@annealed_langevin.misconception(
    "the ratio of the levels is not squared",
    hint="Step sizes are variances: the ratio of the levels enters squared.",
)
def ratio_not_squared(score_fn, x, sigmas, step_size, noise, denoise=True):
    return wrong_walk(score_fn, x, sigmas, step_size, noise, denoise, size=lambda i: step_size * sigmas[i] / sigmas[-1])


@annealed_langevin.misconception(
    "step_size belongs to the first level",
    hint="The step is step_size at the LAST level, sigmas[-1], and larger before it.",
)
def step_size_of_first_level(score_fn, x, sigmas, step_size, noise, denoise=True):
    def size(i):
        return step_size * sigmas[i] ** 2 / sigmas[0] ** 2

    return wrong_walk(score_fn, x, sigmas, step_size, noise, denoise, size=size)


@annealed_langevin.misconception(
    "the ratio is not divided by the last level",
    hint="step_size sigma_i^2 alone is not the step: divide by sigma_L^2, so that the last level gets step_size.",
)
def not_divided(score_fn, x, sigmas, step_size, noise, denoise=True):
    return wrong_walk(score_fn, x, sigmas, step_size, noise, denoise, size=lambda i: step_size * sigmas[i] ** 2)


@annealed_langevin.misconception(
    "from small to large",
    hint="The walk begins at the largest level, sigmas[0], and takes them in the order they come in.",
)
def small_to_large(score_fn, x, sigmas, step_size, noise, denoise=True):
    return wrong_walk(score_fn, x, sigmas, step_size, noise, denoise, order=range(len(sigmas) - 1, -1, -1))


@annealed_langevin.misconception(
    "the last denoising is left out",
    hint="With denoise, which is the default, x + sigma_L^2 score_fn(x, sigma_L) comes once at the end.",
)
def no_denoising(score_fn, x, sigmas, step_size, noise, denoise=True):
    return wrong_walk(score_fn, x, sigmas, step_size, noise, False)


@annealed_langevin.misconception(
    "denoised whatever is asked",
    hint="With denoise=False the walk ends with the last Langevin step, and score_fn is not asked again.",
)
def always_denoised(score_fn, x, sigmas, step_size, noise, denoise=True):
    return wrong_walk(score_fn, x, sigmas, step_size, noise, True)


@annealed_langevin.misconception(
    "the last denoising with sigma, not its square",
    hint="Tweedie's step goes as far as the variance of the noise, sigma_L^2.",
)
def denoised_with_sigma(score_fn, x, sigmas, step_size, noise, denoise=True):
    x = wrong_walk(score_fn, x, sigmas, step_size, noise, False)
    return x + sigmas[-1] * score_fn(x, everybody(x, sigmas[-1])) if denoise else x


@annealed_langevin.misconception(
    "denoised after each level",
    hint="Once, at the very end. After each level it would take away the noise that the next level still expects.",
)
def denoised_after_each_level(score_fn, x, sigmas, step_size, noise, denoise=True):
    for i in range(len(sigmas)):
        size = step_size * sigmas[i] ** 2 / sigmas[-1] ** 2
        for k in range(noise.shape[1]):
            x = moved(x, score_fn(x, everybody(x, sigmas[i])), size, noise[i, k])
        x = cleaned(score_fn, x, sigmas[i], denoise)
    return x


@annealed_langevin.misconception(
    "denoised at the largest level",
    hint="The walk ends at the last level, so sigmas[-1] is the noise that is still in x.",
)
def denoised_at_largest(score_fn, x, sigmas, step_size, noise, denoise=True):
    return cleaned(score_fn, wrong_walk(score_fn, x, sigmas, step_size, noise, False), sigmas[0], denoise)


@annealed_langevin.misconception(
    "score_fn gets a number for sigma",
    hint="score_fn wants one sigma per example, a tensor (B,): sigma.expand(len(x)).",
)
def number_for_sigma(score_fn, x, sigmas, step_size, noise, denoise=True):
    x = wrong_walk(score_fn, x, sigmas, step_size, noise, False, ask=lambda x, sigma: sigma)
    return x + sigmas[-1] ** 2 * score_fn(x, sigmas[-1]) if denoise else x


@annealed_langevin.misconception(
    "the noise of the first step for all steps of a level",
    hint="Each step has a z of its own, noise[i, k].",
)
def first_noise_of_level(score_fn, x, sigmas, step_size, noise, denoise=True):
    return wrong_walk(score_fn, x, sigmas, step_size, noise, denoise, z=lambda i, k: noise[i, 0])


@annealed_langevin.misconception(
    "the noise of the first level at every level",
    hint="noise[0] belongs to sigmas[0] alone: level i takes noise[i], fresh noise of its own.",
)
def noise_of_first_level(score_fn, x, sigmas, step_size, noise, denoise=True):
    return wrong_walk(score_fn, x, sigmas, step_size, noise, denoise, z=lambda i, k: noise[0, k])


@annealed_langevin.misconception(
    "score_fn is always asked at the last level",
    hint="At level i the data are spoiled with sigma_i, and that is the score to follow.",
)
def always_last_level(score_fn, x, sigmas, step_size, noise, denoise=True):
    def ask(x, sigma):
        return everybody(x, sigmas[-1])

    return wrong_walk(score_fn, x, sigmas, step_size, noise, denoise, ask=ask)


@annealed_langevin.misconception(
    "one step a level",
    hint="noise has shape (L, K, ...): there are K steps at each of the L levels.",
)
def one_step_per_level(score_fn, x, sigmas, step_size, noise, denoise=True):
    return wrong_walk(score_fn, x, sigmas, step_size, noise[:, :1], denoise)


@annealed_langevin.misconception(
    "the noise of the levels from the back",
    hint="noise[0] belongs to sigmas[0], the largest level.",
)
def noise_from_back(score_fn, x, sigmas, step_size, noise, denoise=True):
    return wrong_walk(score_fn, x, sigmas, step_size, noise.flip(0), denoise)


@annealed_langevin.misconception(*FRESH)
def fresh_noise(score_fn, x, sigmas, step_size, noise, denoise=True):
    return wrong_walk(score_fn, x, sigmas, step_size, torch.randn_like(noise), denoise)


@annealed_langevin.misconception(*OVERWRITTEN)
def overwritten(score_fn, x, sigmas, step_size, noise, denoise=True):
    return x.copy_(wrong_walk(score_fn, x.clone(), sigmas, step_size, noise, denoise))
