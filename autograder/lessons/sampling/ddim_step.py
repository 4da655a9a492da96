"""A step of any length: `ddim_step`."""

from __future__ import annotations

import math

import torch

from ...conventions import ones
from ...difference import difference, failure_in
from ...exercise import exercise
from ..diffusion import OVERWRITTEN, edges_apart, ranks, schedule
from .shared import CLIPPED, FRESH


@exercise("ddim_step", points=3)
def ddim_step(student, case):
    """x_s = sqrt(ab_s) x_0 + sqrt(1 - ab_s - sigma^2) eps + sigma z, with the x_0 that eps_hat points to."""
    truth, steps = ddim_step.oracle, case.integer(7, 10)
    alpha_bar = schedule(case, steps)
    s, t = case.integer(1, 2), case.integer(5, steps)
    eta = case.number(0.4, 0.8)

    def data(*shape):
        return [2 * case.normal(*shape), *(case.normal(*shape) for _ in range(2))]

    (x, eps, z), (image, eps_image, z_image) = data(*case.sizes(2)), data(*case.sizes(4))
    long = x, eps, t, s, alpha_bar
    case.expect(student(*long), truth(*long), "a long step without noise", points=0.75, dtype=True)
    case.expect(
        student(*long, eta, z), truth(*long, eta, z), "a long step, eta between 0 and 1", points=0.75, dtype=True
    )
    near = x, eps, t, t - 1, alpha_bar, 1.0, z
    case.expect(
        [student(*near), holds(student, case, truth)],
        [truth(*near), True],
        "eta = 1 from t to t - 1, the step of DDPM",
        points=0.25,
        hint="in float32 a difference that is 0 may come out below 0, and has no root",
    )
    last = [(x, eps, t, 0, alpha_bar), (x, eps, 1, 0, alpha_bar), (x, eps, t, 0, alpha_bar, eta, z)]
    case.expect([student(*one) for one in last], [truth(*one) for one in last], "down to s = 0", points=0.5)
    first = image, eps_image, steps, 3, alpha_bar
    case.expect(
        [student(*first), student(*first, eta=eta, z=z_image)],
        [truth(*first), truth(*first, eta, z_image)],
        "images, from T",
        points=0.25,
    )
    given = (*long, eta, z)
    films = [data(*shape) for shape in ranks(3)]
    also = [(a, b, t, s, alpha_bar, eta, c) for a, b, c in films]
    also += edges_apart(case, lambda time, levels: (x, eps, time, time - 1, levels, eta, z))
    case.conventions(student, given, truth, points=0.5, also=[*also, ones(given)])


def holds(student, case, truth):
    """Whether the step holds in float32 on the cosine table with T = 1000, where 1 - ab_s - sigma^2 is nearly 0 and
    rounding decides its sign; as near as float32 comes under a root.
    """
    angle = (torch.arange(1001, dtype=torch.float64) / 1000 + 0.008) / 1.008 * math.pi / 2
    levels = ((angle.cos() / angle[0].cos()) ** 2).float()
    x, eps, z = (case.normal(2, 3, dtype=torch.float32) for _ in range(3))
    steps = [*((1000, s) for s in (5, 135, 395, 525, 785)), (1000, 999), *((t, t - 1) for t in (2, 998))]
    calls = [(x, eps, t, s, levels, 1.0, z) for t, s in steps]
    got = student.several(*({"op": "call", "args": list(call), "kwargs": {}} for call in calls))
    failed = failure_in(got)
    return failed or not difference(got, [truth(*call) for call in calls], rtol=1e-2)


@ddim_step.truth
def truth(xt, eps_hat, t, s, alpha_bar, eta=0.0, z=None):
    """As rotations: x_s lies at one angle between x_0 and unit noise, which lies at another between eps and z."""
    now, then = float(alpha_bar[t]), float(alpha_bar[s])
    x0 = (xt.double() - math.sqrt(1 - now) * eps_hat.double()) / math.sqrt(now)
    tilt = math.asin(eta * math.sqrt((1 - now / then) / (1 - now)))
    noise = math.cos(tilt) * eps_hat.double()
    if z is not None:
        noise = noise + math.sin(tilt) * z.double()
    level = math.acos(math.sqrt(then))
    return (math.cos(level) * x0 + math.sin(level) * noise).to(xt.dtype)


def _x0(xt, eps, t, alpha_bar):
    return (xt - (1 - alpha_bar[t]).sqrt() * eps) / alpha_bar[t].sqrt()


def _sigma(t, s, alpha_bar, eta):
    now, then = alpha_bar[t], alpha_bar[s]
    return eta * ((1 - then) / (1 - now) * (1 - now / then)).sqrt()


def _step(x0, eps, level, sigma, z):
    """From x_0, the direction and the noise to x at level alpha_bar_s."""
    out = level.sqrt() * x0 + (1 - level - sigma**2).clamp(min=0).sqrt() * eps  # float32 rounds below 0 there
    return out if z is None else out + sigma * z


@ddim_step.alternative("x_0, direction, noise")
def x_0_direction_noise(xt, eps_hat, t, s, alpha_bar, eta=0.0, z=None):
    sigma = _sigma(t, s, alpha_bar, eta)
    return _step(_x0(xt, eps_hat, t, alpha_bar), eps_hat, alpha_bar[s], sigma, z)


@ddim_step.alternative("coefficients of x_t, eps and z")
def coefficients_of_x_t_eps_and_z(xt, eps_hat, t, s, alpha_bar, eta=0.0, z=None):
    now, then = float(alpha_bar[t]), float(alpha_bar[s])
    squared = eta**2 * (1 - then) * (then - now) / (then * (1 - now))
    keep = (then / now) ** 0.5
    out = keep * xt + ((1 - then - squared) ** 0.5 - keep * (1 - now) ** 0.5) * eps_hat
    if eta > 0:
        out = out + squared**0.5 * z
    return out


@ddim_step.alternative("noise zeros unless given, torch.lerp between x_0 and x_t")
def noise_zeros_unless_given(xt, eps_hat, t, s, alpha_bar, eta=0.0, z=None):
    z = torch.zeros_like(xt) if z is None else z
    x0 = torch.div(torch.sub(xt, eps_hat * torch.sqrt(1 - alpha_bar[t])), torch.sqrt(alpha_bar[t]))
    share = eta**2 * (1 - alpha_bar[t] / alpha_bar[s]) / (1 - alpha_bar[t])  # of the noise at s that is drawn anew
    noise = (1 - share).sqrt() * eps_hat + share.sqrt() * z
    return torch.sqrt(alpha_bar[s]) * x0 + torch.sqrt(1 - alpha_bar[s]) * noise


@ddim_step.misconception(
    "the direction does not make room for the noise",
    hint="The noise sigma z takes sigma^2 of the variance 1 - alpha_bar_s, so eps_hat keeps sqrt(1 - alpha_bar_s - "
    "sigma^2). Otherwise x_s is noisier than the model expects.",
)
def direction_does_not_make_room_for_noise(xt, eps_hat, t, s, alpha_bar, eta=0.0, z=None):
    out = _step(_x0(xt, eps_hat, t, alpha_bar), eps_hat, alpha_bar[s], 0.0, None)
    return out if z is None else out + _sigma(t, s, alpha_bar, eta) * z


@ddim_step.misconception(
    "sigma is not squared in the direction",
    hint="Under the root stand variances: 1 - alpha_bar_s - sigma^2, with the square.",
)
def sigma_is_not_squared_in_direction(xt, eps_hat, t, s, alpha_bar, eta=0.0, z=None):
    sigma, level = _sigma(t, s, alpha_bar, eta), alpha_bar[s]
    out = level.sqrt() * _x0(xt, eps_hat, t, alpha_bar) + (1 - level - sigma).sqrt() * eps_hat
    return out if z is None else out + sigma * z


@ddim_step.misconception(
    "the variance multiplies the noise",
    hint="z is multiplied by sigma, the root of sigma^2.",
)
def variance_multiplies_noise(xt, eps_hat, t, s, alpha_bar, eta=0.0, z=None):
    sigma = _sigma(t, s, alpha_bar, eta)
    out = _step(_x0(xt, eps_hat, t, alpha_bar), eps_hat, alpha_bar[s], sigma, None)
    return out if z is None else out + sigma**2 * z


@ddim_step.misconception(
    "eta is not squared",
    hint="eta scales the standard deviation: sigma = eta sqrt(...), so sigma^2 carries eta^2.",
)
def eta_is_not_squared(xt, eps_hat, t, s, alpha_bar, eta=0.0, z=None):
    sigma = _sigma(t, s, alpha_bar, eta**0.5)
    return _step(_x0(xt, eps_hat, t, alpha_bar), eps_hat, alpha_bar[s], sigma, z)


@ddim_step.misconception(
    "eta is taken for sigma",
    hint="eta is a dial from 0 (no noise) to 1 (as much as DDPM). sigma follows from it by the formula.",
)
def eta_is_taken_for_sigma(xt, eps_hat, t, s, alpha_bar, eta=0.0, z=None):
    out = _step(_x0(xt, eps_hat, t, alpha_bar), eps_hat, alpha_bar[s], 0.0, None)
    return out if z is None else out + eta * z


@ddim_step.misconception(
    "sigma lacks 1 - alpha_bar_t / alpha_bar_s",
    hint="sigma^2 = eta^2 (1 - ab_s)/(1 - ab_t) (1 - ab_t/ab_s): the last factor is the beta of the whole step from s "
    "to t.",
)
def sigma_lacks_1_minus_alpha_bar_t_over_alpha_bar_s(xt, eps_hat, t, s, alpha_bar, eta=0.0, z=None):
    now, then = alpha_bar[t], alpha_bar[s]
    out = _step(_x0(xt, eps_hat, t, alpha_bar), eps_hat, then, eta * ((1 - then) / (1 - now)).sqrt(), z)
    return out


@ddim_step.misconception(
    "sigma of a single step",
    hint="The step goes from t to s at once: its beta is 1 - alpha_bar_t / alpha_bar_s, not 1 - alpha_bar_t / "
    "alpha_bar_{t-1}.",
)
def sigma_of_single_step(xt, eps_hat, t, s, alpha_bar, eta=0.0, z=None):
    now, then = alpha_bar[t], alpha_bar[s]
    sigma = eta * ((1 - then) / (1 - now) * (1 - now / alpha_bar[t - 1])).sqrt()
    return _step(_x0(xt, eps_hat, t, alpha_bar), eps_hat, then, sigma, z)


@ddim_step.misconception(
    "sigma from beta_t alone",
    hint="eta = 1 means the posterior's standard deviation. The factor (1 - alpha_bar_s) / (1 - alpha_bar_t) is "
    "missing, without which noise is added even on the way to s = 0.",
)
def sigma_from_beta_t_alone(xt, eps_hat, t, s, alpha_bar, eta=0.0, z=None):
    sigma = eta * (1 - alpha_bar[t] / alpha_bar[s]).sqrt()
    direction = (1 - alpha_bar[s] - sigma**2).clamp(min=0).sqrt()
    out = alpha_bar[s].sqrt() * _x0(xt, eps_hat, t, alpha_bar) + direction * eps_hat
    return out if z is None else out + sigma * z


@ddim_step.misconception(
    "s and t change places in sigma",
    hint="In the first fraction s, the later stage of the walk and the cleaner one, stands above: (1 - ab_s) / (1 - "
    "ab_t).",
)
def s_and_t_change_places_in_sigma(xt, eps_hat, t, s, alpha_bar, eta=0.0, z=None):
    now, then = alpha_bar[t], alpha_bar[s]
    squared = eta**2 * (1 - now) / (1 - then) * (1 - now / then)
    out = then.sqrt() * _x0(xt, eps_hat, t, alpha_bar) + (1 - then - squared).clamp(min=0).sqrt() * eps_hat
    return out if z is None else out + squared.sqrt() * z


@ddim_step.misconception(
    "s and t change places",
    hint="You start at t, the noisier one, and go to s: x_0 is found with alpha_bar_t, and the new x is built with "
    "alpha_bar_s.",
)
def s_and_t_change_places(xt, eps_hat, t, s, alpha_bar, eta=0.0, z=None):
    return _step(_x0(xt, eps_hat, s, alpha_bar), eps_hat, alpha_bar[t], _sigma(t, s, alpha_bar, eta), z)


@ddim_step.misconception(
    "the noise is left out",
    hint="With eta > 0 the step ends with + sigma z.",
)
def noise_is_left_out(xt, eps_hat, t, s, alpha_bar, eta=0.0, z=None):
    return _step(_x0(xt, eps_hat, t, alpha_bar), eps_hat, alpha_bar[s], _sigma(t, s, alpha_bar, eta), None)


@ddim_step.misconception(
    "eta and z are ignored",
    hint="This is the step for eta = 0. With eta > 0 part of the noise is drawn anew: sigma z, and less of eps_hat.",
)
def eta_and_z_are_ignored(xt, eps_hat, t, s, alpha_bar, eta=0.0, z=None):
    return _step(_x0(xt, eps_hat, t, alpha_bar), eps_hat, alpha_bar[s], 0.0, None)


@ddim_step.misconception(
    "the direction is missing",
    hint="Between x_0 and pure noise lies x_s: sqrt(alpha_bar_s) x_0 needs sqrt(1 - alpha_bar_s - sigma^2) eps_hat "
    "beside it, or the model will be shown data without noise.",
)
def direction_is_missing(xt, eps_hat, t, s, alpha_bar, eta=0.0, z=None):
    out = alpha_bar[s].sqrt() * _x0(xt, eps_hat, t, alpha_bar)
    return out if z is None else out + _sigma(t, s, alpha_bar, eta) * z


@ddim_step.misconception(
    "the root on the direction is missing",
    hint="1 - alpha_bar_s - sigma^2 is a variance; eps_hat is multiplied by its root.",
)
def root_on_direction_is_missing(xt, eps_hat, t, s, alpha_bar, eta=0.0, z=None):
    sigma, level = _sigma(t, s, alpha_bar, eta), alpha_bar[s]
    out = level.sqrt() * _x0(xt, eps_hat, t, alpha_bar) + (1 - level - sigma**2) * eps_hat
    return out if z is None else out + sigma * z


@ddim_step.misconception(
    "the root on 1 - alpha_bar_t is missing in x_0",
    hint="x_t holds sqrt(1 - alpha_bar_t) eps: take that much away, not 1 - alpha_bar_t of it.",
)
def root_on_1_minus_alpha_bar_t_is_missing_in_x_0(xt, eps_hat, t, s, alpha_bar, eta=0.0, z=None):
    x0 = (xt - (1 - alpha_bar[t]) * eps_hat) / alpha_bar[t].sqrt()
    return _step(x0, eps_hat, alpha_bar[s], _sigma(t, s, alpha_bar, eta), z)


@ddim_step.misconception(
    "x_t in place of x_0",
    hint="sqrt(alpha_bar_s) multiplies the predicted x_0. First undo the noise and the shrinking of x_t.",
)
def x_t_in_place_of_x_0(xt, eps_hat, t, s, alpha_bar, eta=0.0, z=None):
    return _step(xt, eps_hat, alpha_bar[s], _sigma(t, s, alpha_bar, eta), z)


@ddim_step.misconception(
    "sqrt(alpha_bar_s) is missing",
    hint="At level s the data are shrunk: sqrt(alpha_bar_s) x_0. Only at s = 0 that factor is 1.",
)
def sqrt_alpha_bar_s_is_missing(xt, eps_hat, t, s, alpha_bar, eta=0.0, z=None):
    sigma = _sigma(t, s, alpha_bar, eta)
    out = _x0(xt, eps_hat, t, alpha_bar) + (1 - alpha_bar[s] - sigma**2).sqrt() * eps_hat
    return out if z is None else out + sigma * z


@ddim_step.misconception(
    "the step ends at t - 1 whatever s is",
    hint="s is any earlier time. Read alpha_bar at s.",
)
def step_ends_at_t_minus_1_whatever_s_is(xt, eps_hat, t, s, alpha_bar, eta=0.0, z=None):
    return _step(_x0(xt, eps_hat, t, alpha_bar), eps_hat, alpha_bar[t - 1], _sigma(t, t - 1, alpha_bar, eta), z)


@ddim_step.misconception(
    "s = 0 is taken for s = 1",
    hint="s = 0 is clean data, and alpha_bar[0] = 1 stands in the table: the last step needs no special case.",
)
def s_0_is_taken_for_s_1(xt, eps_hat, t, s, alpha_bar, eta=0.0, z=None):
    s = max(s, 1)
    squared = eta**2 * (1 - alpha_bar[s]) / (1 - alpha_bar[t]) * (1 - alpha_bar[t] / alpha_bar[s])
    return _step(_x0(xt, eps_hat, t, alpha_bar), eps_hat, alpha_bar[s], squared.sqrt(), z)


@ddim_step.misconception(
    "alpha_bar is read one step early",
    hint="alpha_bar[t] belongs to t itself: the table begins with alpha_bar[0] = 1 for clean data. At s = 0 your index "
    "wraps to the end of the table.",
)
def alpha_bar_is_read_one_step_early(xt, eps_hat, t, s, alpha_bar, eta=0.0, z=None):
    return _step(_x0(xt, eps_hat, t - 1, alpha_bar), eps_hat, alpha_bar[s - 1], _sigma(t - 1, s - 1, alpha_bar, eta), z)


@ddim_step.misconception(*CLIPPED)
def x_0_is_clipped(xt, eps_hat, t, s, alpha_bar, eta=0.0, z=None):
    x0 = _x0(xt, eps_hat, t, alpha_bar).clamp(-1, 1)
    return _step(x0, eps_hat, alpha_bar[s], _sigma(t, s, alpha_bar, eta), z)


@ddim_step.misconception(*FRESH)
def new_noise_is_drawn_inside(xt, eps_hat, t, s, alpha_bar, eta=0.0, z=None):
    x0, sigma = _x0(xt, eps_hat, t, alpha_bar), _sigma(t, s, alpha_bar, eta)
    return _step(x0, eps_hat, alpha_bar[s], sigma, torch.randn_like(xt))


@ddim_step.misconception(*OVERWRITTEN)
def input_is_overwritten(xt, eps_hat, t, s, alpha_bar, eta=0.0, z=None):
    xt.sub_((1 - alpha_bar[t]).sqrt() * eps_hat).div_(alpha_bar[t].sqrt())
    return _step(xt, eps_hat, alpha_bar[s], _sigma(t, s, alpha_bar, eta), z)
