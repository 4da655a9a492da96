"""A stochastic differential equation in steps: `euler_maruyama`."""

from __future__ import annotations

import torch

from ...exercise import exercise
from ..diffusion import OVERWRITTEN, along, asked, ranks
from .shared import AXIS, FRESH, Noted, uneven


class Diffusion:
    """A diffusion of its own for each example, which remembers the times that it was asked at."""

    def __init__(self, batch, level):
        self.sizes = torch.linspace(0.5, 1.5, batch, dtype=torch.float64)
        self.level = level
        self.calls: list = []

    def __call__(self, tau):
        self.calls.append(tau)
        when = torch.as_tensor(tau).flatten()
        grown = self.level + when.double() ** 2 if len(when) == len(self.sizes) else self.level
        return (self.sizes * grown).to(when.dtype)


@exercise("euler_maruyama", points=2)
def euler_maruyama(student, case):
    """S steps x + h drift + diffusion sqrt(abs h) z along rising or falling times, asked at each step's start."""
    truth = euler_maruyama.oracle
    pull, level = case.number(0.5, 1.5), case.number(0.3, 0.9)

    def drift():
        return Noted(lambda x, tau: -pull * x + (2 * x).sin() + tau)

    def diffusion(batch):
        return Diffusion(batch, level)

    def inputs(first, last, steps, *shape):
        return case.normal(*shape), uneven(case, steps, first, last), case.normal(steps, *shape)

    rows = inputs(1.0, 0.1, 4, *case.sizes(2, low=5))
    batch = len(rows[0])
    seen, right, spread, right_spread = drift(), drift(), diffusion(batch), diffusion(batch)
    got, true = student(seen, spread, *rows), truth(right, right_spread, *rows)
    (places, times), (true_places, true_times) = asked(seen, got), asked(right, true)
    case.expect(
        [times, times if times is got else spread.calls],
        [true_times, right_spread.calls],
        "the times that drift and diffusion are asked at",
        points=0.25,
        dtype=True,
    )
    case.expect(places, true_places, "the places that the drift is asked at", points=0.25, dtype=True)
    case.expect(got, true, "down, in uneven steps", points=0.5, dtype=True)
    up = inputs(0.0, 1.0, 3, batch, 2)
    case.expect(
        student(drift(), diffusion(batch), *up),
        truth(drift(), diffusion(batch), *up),
        "up, in uneven steps",
        points=0.25,
    )
    images, one = inputs(1.0, 0.0, 2, *case.sizes(4, low=3, high=6)), inputs(0.2, 0.9, 1, 4, 4)
    case.expect(
        [student(drift(), diffusion(len(given[0])), *given) for given in (images, one)],
        [truth(drift(), diffusion(len(given[0])), *given) for given in (images, one)],
        "images, a single step, a batch as long as its last axis",
        points=0.25,
    )
    others = [inputs(1.0, 0.0, 2, *shape) for shape in (*ranks(3), (1, 1))]
    also = [(drift(), diffusion(len(given[0])), *given) for given in others]
    case.conventions(student, (drift(), diffusion(batch), *rows), truth, points=0.5, also=also)


@euler_maruyama.truth
def truth(drift, diffusion, x, taus, noise):
    """Each step as a draw from a Gaussian with mean x + h drift and variance diffusion^2 |h|."""
    place = x
    for k in range(len(noise)):
        now = torch.full((len(x),), float(taus[k]), dtype=x.dtype)
        h = float(taus[k + 1]) - float(taus[k])
        mean = place.double() + h * drift(place, now).double()
        variance = diffusion(now).double() ** 2 * abs(h)
        place = (mean + along(variance.sqrt(), x) * noise[k].double()).to(x.dtype)
    return place


def _steps(drift, diffusion, x, taus, noise, move=None, push=None, when=None, z=None, count=None):
    """The right walk, but for the parts that are handed in."""
    move = move or (lambda h, f: h * f)
    push = push or (lambda h, g, z: along(g, z) * h.abs().sqrt() * z)
    when = when or (lambda k, x: taus[k].expand(len(x)))
    for k in range(len(noise) if count is None else count):
        h, tau = taus[k + 1] - taus[k], when(k, x)
        x = x + move(h, drift(x, tau)) + push(h, diffusion(tau), noise[k] if z is None else z(k))
    return x


@euler_maruyama.alternative("a loop over pairs of times")
def pairs_of_times(drift, diffusion, x, taus, noise):
    for start, end, z in zip(taus[:-1], taus[1:], noise, strict=True):
        tau = start.repeat(x.shape[0])
        size = torch.sqrt((end - start).abs())
        g = diffusion(tau).reshape(-1, *[1] * (x.ndim - 1))
        x = x + drift(x, tau) * (end - start) + g * size * z
    return x


@euler_maruyama.alternative("torch.diff and einsum, without gradients")
@torch.no_grad()
def diff_and_einsum(drift, diffusion, x, taus, noise):
    place = x.clone()
    for k, h in enumerate(taus.diff()):
        tau = taus[k] * x.new_ones(len(x))
        f, g = drift(place, tau), diffusion(tau)
        place = place + f * h + torch.einsum("b,b...->b...", g * abs(h) ** 0.5, noise[k])
    return place


@euler_maruyama.alternative("by recursion")
def by_recursion(drift, diffusion, x, taus, noise):
    if len(noise) == 0:
        return x
    tau = x.new_full((len(x),), taus[0].item())
    h = (taus[1] - taus[0]).item()
    g = diffusion(tau)[(...,) + (None,) * (x.ndim - 1)]
    return by_recursion(drift, diffusion, x + h * drift(x, tau) + g * abs(h) ** 0.5 * noise[0], taus[1:], noise[1:])


@euler_maruyama.alternative("index by index, the size of a step by itself")
def index_by_index(drift, diffusion, x, taus, noise):
    for k in range(len(taus) - 1):
        h = taus[k + 1] - taus[k]
        tau = taus[k].expand(len(x))
        g = diffusion(tau).view(-1, *[1] * (x.ndim - 1))
        x = x + h * drift(x, tau) + g * h.abs().sqrt() * noise[k]
    return x


@euler_maruyama.misconception(
    "the drift loses the sign of the step",
    hint="On a falling grid h is negative and the drift acts the other way round. Only the noise takes |h|.",
)
def drift_loses_sign(drift, diffusion, x, taus, noise):
    return _steps(drift, diffusion, x, taus, noise, move=lambda h, f: h.abs() * f)


@euler_maruyama.misconception(
    "the root of a negative step",
    hint="On a falling grid h is negative, and its root is NaN. The noise's variance is diffusion^2 |h|.",
)
def root_of_negative_step(drift, diffusion, x, taus, noise):
    return _steps(drift, diffusion, x, taus, noise, push=lambda h, g, z: along(g, z) * h.sqrt() * z)


@euler_maruyama.misconception(
    "the noise is multiplied by the step",
    hint="Over a time |h| the noise has variance |h|, so it is multiplied by the root. With h itself it fades as steps "
    "get smaller.",
)
def noise_times_step(drift, diffusion, x, taus, noise):
    return _steps(drift, diffusion, x, taus, noise, push=lambda h, g, z: along(g, z) * h.abs() * z)


@euler_maruyama.misconception(
    "the noise's step is missing",
    hint="The noise of a step of length h has variance diffusion^2 |h|: a factor sqrt(|h|) is missing.",
)
def step_missing_in_noise(drift, diffusion, x, taus, noise):
    return _steps(drift, diffusion, x, taus, noise, push=lambda h, g, z: along(g, z) * z)


@euler_maruyama.misconception(
    "the diffusion is squared",
    hint="diffusion is a standard deviation per root of time: it multiplies z as it is.",
)
def diffusion_squared(drift, diffusion, x, taus, noise):
    return _steps(drift, diffusion, x, taus, noise, push=lambda h, g, z: along(g**2, z) * h.abs().sqrt() * z)


@euler_maruyama.misconception(
    "the root of the diffusion",
    hint="diffusion is what multiplies dw already: no root around it.",
)
def root_of_diffusion(drift, diffusion, x, taus, noise):
    return _steps(drift, diffusion, x, taus, noise, push=lambda h, g, z: (along(g, z) * h.abs()).sqrt() * z)


@euler_maruyama.misconception(
    "asked at the end of the step",
    hint="Euler's step uses what it knows at the start: taus[k], not taus[k + 1].",
)
def asked_at_end(drift, diffusion, x, taus, noise):
    return _steps(drift, diffusion, x, taus, noise, when=lambda k, x: taus[k + 1].expand(len(x)))


@euler_maruyama.misconception(
    "all steps have the first one's length",
    hint="The grid is uneven: step k has the length taus[k + 1] - taus[k].",
)
def first_length(drift, diffusion, x, taus, noise):
    even = taus[0] + (taus[1] - taus[0]) * torch.arange(len(taus), dtype=taus.dtype)
    return _steps(drift, diffusion, x, even, noise, when=lambda k, x: taus[k].expand(len(x)))


@euler_maruyama.misconception(
    "all steps are equally long",
    hint="The grid is uneven: step k has the length taus[k + 1] - taus[k], not the whole time over S.",
)
def equal_steps(drift, diffusion, x, taus, noise):
    even = torch.linspace(taus[0].item(), taus[-1].item(), len(taus), dtype=taus.dtype)
    return _steps(drift, diffusion, x, even, noise, when=lambda k, x: taus[k].expand(len(x)))


@euler_maruyama.misconception(
    "the time is a single number",
    hint="drift and diffusion want a tensor (B,): taus[k].expand(len(x)).",
)
def single_number(drift, diffusion, x, taus, noise):
    return _steps(drift, diffusion, x, taus, noise, when=lambda k, x: taus[k])


@euler_maruyama.misconception(
    "the same noise at every step",
    hint="Step k has a z of its own, noise[k]. One z for all is a push in one direction.",
)
def same_noise(drift, diffusion, x, taus, noise):
    return _steps(drift, diffusion, x, taus, noise, z=lambda k: noise[0])


@euler_maruyama.misconception("no noise", hint="Each step adds diffusion sqrt(|h|) noise[k] as well.")
def no_noise(drift, diffusion, x, taus, noise):
    return _steps(drift, diffusion, x, taus, noise, z=lambda k: 0 * noise[k])


@euler_maruyama.misconception(
    "the last step is missing", hint="taus has S + 1 entries: there are S steps, and the last one ends at taus[-1]."
)
def last_step_missing(drift, diffusion, x, taus, noise):
    return _steps(drift, diffusion, x, taus, noise, count=len(noise) - 1)


@euler_maruyama.misconception(*FRESH)
def fresh_noise(drift, diffusion, x, taus, noise):
    return _steps(drift, diffusion, x, taus, noise, z=lambda k: torch.randn_like(noise[k]))


@euler_maruyama.misconception(*AXIS)
def wrong_axis(drift, diffusion, x, taus, noise):
    return _steps(drift, diffusion, x, taus, noise, push=lambda h, g, z: g * h.abs().sqrt() * z)


@euler_maruyama.misconception(*OVERWRITTEN)
def overwritten(drift, diffusion, x, taus, noise):
    return x.copy_(_steps(drift, diffusion, x.clone(), taus, noise))
