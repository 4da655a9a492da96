"""One step uphill with noise: `langevin_step`."""

from __future__ import annotations

import math

import torch

from ...conventions import ones
from ...exercise import exercise
from ..diffusion import OVERWRITTEN, ranks
from .shared import FRESH


@exercise("langevin_step", points=1)
def langevin_step(student, case):
    """x + step_size / 2 score + sqrt(step_size) z, step_size a float or a tensor without axes."""
    truth = langevin_step.oracle

    def inputs(*shape):
        return case.normal(*shape), case.normal(*shape), case.number(0.1, 0.8), case.normal(*shape)

    rows, large = inputs(*case.sizes(2)), inputs(*case.sizes(2))
    large = *large[:2], case.number(1.5, 6.0), large[3]
    case.expect(
        [student(*rows), student(*large)],
        [truth(*rows), truth(*large)],
        "a small and a large step",
        points=0.5,
        dtype=True,
    )
    images = inputs(*case.sizes(4, high=6))
    as_tensor = *images[:2], torch.tensor(images[2], dtype=torch.float64), images[3]
    case.expect(student(*as_tensor), truth(*images), "images, the step size a tensor", points=0.25, dtype=True)
    slight = 0 * rows[0], rows[1], 2.0**-40, rows[3]
    also = [*(inputs(*shape) for shape in ranks(3)), ones(rows), slight]
    case.conventions(student, rows, truth, points=0.25, also=also)


@langevin_step.truth
def truth(x, score, step_size, z):
    """Four quarters of the step with the score held and half of z in each: climbs and noises add up."""
    quarter, place = float(step_size) / 4, x.double()
    for _ in range(4):
        place = place + quarter * score.double() / 2 + math.sqrt(quarter) * (z.double() / 2)
    return place.to(x.dtype)


@langevin_step.alternative("torch.as_tensor")
def as_tensor(x, score, step_size, z):
    size = torch.as_tensor(step_size, dtype=x.dtype)
    return x + 0.5 * size * score + size.sqrt() * z


@langevin_step.alternative("a Gaussian's mean and deviation")
def mean_and_deviation(x, score, step_size, z):
    mean = torch.add(x, score * (step_size / 2))
    return torch.addcmul(mean, torch.full_like(x, float(step_size) ** 0.5), z)


@langevin_step.alternative("Euler-Maruyama for dx = s/2 dt + dw")
def euler_maruyama(x, score, step_size, z):
    increment = z * math.sqrt(step_size)
    return x + (score / 2) * step_size + increment


@langevin_step.misconception(
    "the noise is multiplied by its variance",
    hint="Noise of variance a is sqrt(a) z. With a z the chains end far too narrow.",
)
def noise_times_variance(x, score, step_size, z):
    return x + step_size / 2 * score + step_size * z


@langevin_step.misconception(
    "the other convention, with 2e",
    hint="x + e score + sqrt(2e) z is the same walk with e = step_size / 2. Here step_size is the noise's variance.",
)
def other_convention(x, score, step_size, z):
    return x + step_size * score + (2 * step_size) ** 0.5 * z


@langevin_step.misconception(
    "the half is missing",
    hint="Half of step_size goes with the score, all of it with the noise's variance: the chains end too narrow.",
)
def half_missing(x, score, step_size, z):
    return x + step_size * score + step_size**0.5 * z


@langevin_step.misconception(
    "two conventions mixed",
    hint="The half belongs to one way of writing it, the 2 under the root to the other. Together the variance doubles.",
)
def conventions_mixed(x, score, step_size, z):
    return x + step_size / 2 * score + (2 * step_size) ** 0.5 * z


@langevin_step.misconception(
    "downhill",
    hint="The score points uphill, to denser places: it is added. Minus the gradient belongs to an energy.",
)
def downhill(x, score, step_size, z):
    return x - step_size / 2 * score + step_size**0.5 * z


@langevin_step.misconception(
    "half of the variance",
    hint="The noise has variance step_size, not half of it; only the climb is halved.",
)
def half_of_variance(x, score, step_size, z):
    return x + step_size / 2 * score + (step_size / 2) ** 0.5 * z


@langevin_step.misconception(
    "no noise", hint="Without noise every walk ends on the nearest top. Add sqrt(step_size) z."
)
def no_noise(x, score, step_size, z):
    return x + step_size / 2 * score


@langevin_step.misconception(
    "only the change is returned",
    hint="Asked is where the walker is after the step: add the change to x.",
)
def only_change(x, score, step_size, z):
    return step_size / 2 * score + step_size**0.5 * z


@langevin_step.misconception(*FRESH)
def fresh_noise(x, score, step_size, z):
    return x + step_size / 2 * score + step_size**0.5 * torch.randn_like(x)


@langevin_step.misconception(*OVERWRITTEN)
def overwritten(x, score, step_size, z):
    return x.add_(step_size / 2 * score + step_size**0.5 * z)
