"""What a guided sampler gives, exactly: `guided_gaussian`."""

from __future__ import annotations

import math

import torch

from course_lib.exact import GaussianData

from ...exercise import exercise
from ..diffusion import edges_apart, schedule


@exercise("guided_gaussian", points=3)
def guided_gaussian(student, case):
    """(mean, variance) of x_0 when N(0, I) walks down by `ddim_step` with the guided exact eps of Gaussians."""
    truth, dims = guided_gaussian.oracle, case.integer(3, 5)
    long, short = schedule(case, 7), schedule(case, 2)

    def given(w, table, *eta):
        mean_u, var_u = case.normal(dims), case.uniform(dims, low=0.8, high=1.8)
        mean_c, var_c = mean_u + case.normal(dims), var_u * case.uniform(dims, low=0.3, high=0.7)
        mean_c[-1], var_c[-1] = mean_u[-1], var_u[-1]  # where class and data agree guiding does nothing
        return mean_c, var_c, mean_u, var_u, w, table, *eta

    still, half = given(case.number(0.8, 2.0), long), given(case.number(0.8, 1.5), long, case.number(0.4, 0.7))
    mean, variance = case.unpack(student(*still), "mean", "variance")
    true_mean, true_variance = truth(*still)
    case.expect(mean, true_mean, "the mean, without fresh noise", points=0.5, dtype=True)
    case.expect(variance, true_variance, "the variance, without fresh noise", points=0.5, dtype=True)
    full = given(case.number(0.8, 2.0), long, 1.0)
    case.expect(
        [student(*full), student(*half)],
        [truth(*full), truth(*half)],
        "eta = 1, and some fresh noise",
        points=0.75,
    )
    brief, without, plain = given(1.5, short, 0.5), given(-1.0, long), given(0.0, long, 1.0)
    case.expect(
        [student(*one) for one in (brief, without, plain)],
        [truth(*one) for one in (brief, without, plain)],
        "two steps, and the unguided ends w = -1 and w = 0",
        points=0.75,
    )
    numbers = half[:4]

    def extreme(time, table):
        return *numbers, 0.5, table[: time + 1], 0.5

    single = *(value[:1] for value in numbers), 1.0, long, 1.0
    one_step = *numbers, 2.0, long[:2], 1.0
    also = [single, one_step, *edges_apart(case, extreme)[:2]]
    case.conventions(student, half, truth, points=0.5, also=also)


@guided_gaussian.truth
def truth(mean_c, var_c, mean_u, var_u, w, alpha_bar, eta=0.0):
    """x_0 is linear in the walk's T + 1 noises. The walk is taken once without any and once with each alone, by scores
    and by rotations; the squares of what each adds are the variance.
    """
    levels, dims = alpha_bar.double(), len(mean_c)
    T = len(levels) - 1
    told, free = (GaussianData(m.double(), torch.diag(v.double())) for m, v in ((mean_c, var_c), (mean_u, var_u)))
    x = torch.zeros(T + 2, dims, dtype=torch.float64)
    x[1] = 1
    for t in range(T, 0, -1):
        now, then = float(levels[t]), float(levels[t - 1])
        rows = torch.full((len(x),), now, dtype=torch.float64)
        score = (1 + w) * told.score(x, rows) - w * free.score(x, rows)
        eps = -math.sqrt(1 - now) * score
        clean = (x - math.sqrt(1 - now) * eps) / math.sqrt(now)
        tilt = math.asin(eta * math.sqrt((1 - now / then) / (1 - now)))
        fresh = torch.zeros_like(x)
        fresh[T + 2 - t] = 1
        level = math.acos(math.sqrt(then))
        x = math.cos(level) * clean + math.sin(level) * (math.cos(tilt) * eps + math.sin(tilt) * fresh)
    variance = ((x[1:] - x[0]) ** 2).sum(0)
    return x[0].to(mean_c.dtype), variance.to(mean_c.dtype)


def share(level, variance):
    """How much of x_t - sqrt(a) mean the best eps is."""
    return (1 - level).sqrt() / (level * variance + 1 - level)


def fresh_variance(now, then, eta):
    return eta**2 * (1 - then) / (1 - now) * (1 - now / then)


def walk(given, guided=None, start=None, keep=None, noise=None, last=0):
    """The recursion mean' = k mean + c, var' = k^2 var + s; the named parts can be had otherwise."""
    mean_c, var_c, mean_u, var_u, w, alpha_bar, eta = given
    mean, variance = start or (torch.zeros_like(mean_c), torch.ones_like(var_c))
    for t in range(len(alpha_bar) - 1, last, -1):
        now, then = alpha_bar[t], alpha_bar[t - 1]
        g_c, g_u = share(now, var_c), share(now, var_u)
        slope = (1 + w) * g_c - w * g_u
        offset = -now.sqrt() * ((1 + w) * g_c * mean_c - w * g_u * mean_u)
        if guided:
            slope, offset = guided(now, g_c, g_u)
        s2 = fresh_variance(now, then, eta)
        stay = (then / now).sqrt()
        turn = (1 - then - s2).clamp(min=0).sqrt() - stay * (1 - now).sqrt()
        k = stay + turn * slope
        mean = k * mean + turn * offset
        variance = (keep or torch.square)(k) * variance + (noise(s2, t) if noise else s2)
    return mean, variance


@guided_gaussian.alternative("mean and variance step by step")
def step_by_step(mean_c, var_c, mean_u, var_u, w, alpha_bar, eta=0.0):
    return walk((mean_c, var_c, mean_u, var_u, w, alpha_bar, eta))


@guided_gaussian.alternative("slope and intercept of a step, from two probes")
def two_probes(mean_c, var_c, mean_u, var_u, w, alpha_bar, eta=0.0):
    def eps(x, a, mean, var):
        return (1 - a) ** 0.5 * (x - a**0.5 * mean) / (a * var + 1 - a)

    def step(x, a, b, sigma2):
        e = (1 + w) * eps(x, a, mean_c, var_c) - w * eps(x, a, mean_u, var_u)
        clean = (x - (1 - a) ** 0.5 * e) / a**0.5
        return b**0.5 * clean + (1 - b - sigma2).clamp(min=0.0) ** 0.5 * e

    mean, var = torch.zeros_like(mean_c), torch.ones_like(mean_c)
    for t in reversed(range(1, len(alpha_bar))):
        a, b = alpha_bar[t], alpha_bar[t - 1]
        sigma2 = fresh_variance(a, b, eta)
        at_0, at_1 = (step(torch.full_like(mean, float(i)), a, b, sigma2) for i in (0, 1))
        mean, var = at_0 + (at_1 - at_0) * mean, (at_1 - at_0) ** 2 * var + sigma2
    return [mean, var]


@guided_gaussian.alternative("all steps multiplied out")
def multiplied_out(mean_c, var_c, mean_u, var_u, w, alpha_bar, eta=0.0):
    steps = []
    for t in range(len(alpha_bar) - 1, 0, -1):
        now, then = alpha_bar[t], alpha_bar[t - 1]
        s2 = fresh_variance(now, then, eta)
        shares = [(1 + w) * share(now, var_c), -w * share(now, var_u)]
        turn = torch.sqrt((1 - then - s2).clamp(min=0)) - torch.sqrt(then * (1 - now) / now)
        k = torch.sqrt(then / now) + turn * sum(shares)
        steps.append((k, -turn * now.sqrt() * (shares[0] * mean_c + shares[1] * mean_u), s2))
    mean, var, later = torch.zeros_like(mean_c), torch.zeros_like(var_c), torch.ones_like(var_c)
    for k, c, s2 in reversed(steps):
        mean, var, later = mean + later * c, var + later**2 * s2, later * k
    return mean, var + later**2


@guided_gaussian.misconception(
    "w taken for the scale s",
    hint="The class's eps has the factor 1 + w, the data's -w: at w = 0 the class alone guides.",
)
def w_for_s(mean_c, var_c, mean_u, var_u, w, alpha_bar, eta=0.0):
    return walk((mean_c, var_c, mean_u, var_u, w - 1, alpha_bar, eta))


@guided_gaussian.misconception(
    "the variance is multiplied by k, not by its square",
    hint="A factor k multiplies a standard deviation by k and a variance by k^2.",
)
def k_not_squared(mean_c, var_c, mean_u, var_u, w, alpha_bar, eta=0.0):
    return walk((mean_c, var_c, mean_u, var_u, w, alpha_bar, eta), keep=lambda k: k)


@guided_gaussian.misconception(
    "the fresh noise is left out of the variance",
    hint="With eta > 0 each step draws new noise, independent of all before: its variance is added.",
)
def no_fresh_noise(mean_c, var_c, mean_u, var_u, w, alpha_bar, eta=0.0):
    return walk((mean_c, var_c, mean_u, var_u, w, alpha_bar, eta), noise=lambda s2, t: 0 * s2)


@guided_gaussian.misconception(
    "the fresh noise's deviation in place of its variance",
    hint="What a step adds to the variance is sigma^2, not sigma.",
)
def deviation_added(mean_c, var_c, mean_u, var_u, w, alpha_bar, eta=0.0):
    return walk((mean_c, var_c, mean_u, var_u, w, alpha_bar, eta), noise=lambda s2, t: s2.sqrt())


@guided_gaussian.misconception(
    "eta is ignored",
    hint="sigma^2 grows with eta^2, and what it takes is missing from the direction of eps_hat.",
)
def eta_ignored(mean_c, var_c, mean_u, var_u, w, alpha_bar, eta=0.0):
    return walk((mean_c, var_c, mean_u, var_u, w, alpha_bar, 0.0))


@guided_gaussian.misconception(
    "eta is not squared",
    hint="sigma is proportional to eta, so its square, the variance, to eta^2. At 0 and 1 nothing shows.",
)
def eta_not_squared(mean_c, var_c, mean_u, var_u, w, alpha_bar, eta=0.0):
    return walk((mean_c, var_c, mean_u, var_u, w, alpha_bar, eta**0.5))


@guided_gaussian.misconception(
    "the walk starts at q(x_T) of the class",
    hint="It starts where a sampler starts, at N(0, I): mean 0 and variance 1.",
)
def matched_start(mean_c, var_c, mean_u, var_u, w, alpha_bar, eta=0.0):
    a = alpha_bar[-1]
    return walk((mean_c, var_c, mean_u, var_u, w, alpha_bar, eta), start=(a.sqrt() * mean_c, a * var_c + 1 - a))


@guided_gaussian.misconception(
    "the walk starts at variance 0",
    hint="x_T is drawn from N(0, I): at the start the variance is 1, and only the mean is 0.",
)
def start_at_0(mean_c, var_c, mean_u, var_u, w, alpha_bar, eta=0.0):
    start = torch.zeros_like(mean_c), torch.zeros_like(var_c)
    return walk((mean_c, var_c, mean_u, var_u, w, alpha_bar, eta), start=start)


@guided_gaussian.misconception(
    "the walk stops at x_1",
    hint="T steps lead from x_T to x_0: the last one goes from t = 1 to 0.",
)
def stops_at_1(mean_c, var_c, mean_u, var_u, w, alpha_bar, eta=0.0):
    return walk((mean_c, var_c, mean_u, var_u, w, alpha_bar, eta), last=1)


@guided_gaussian.misconception(
    "the tilted density's law",
    hint="You return the Gaussian that p(x given y)^(1+w) p(x)^(-w) is. The sampler does not end there; follow its "
    "steps.",
)
def tilted(mean_c, var_c, mean_u, var_u, w, alpha_bar, eta=0.0):
    precision = (1 + w) / var_c - w / var_u
    return ((1 + w) * mean_c / var_c - w * mean_u / var_u) / precision, 1 / precision


@guided_gaussian.misconception(
    "the class's own law",
    hint="Even at w = 0 a walk of T steps does not end exactly in the class: follow its mean and variance.",
)
def class_law(mean_c, var_c, mean_u, var_u, w, alpha_bar, eta=0.0):
    return mean_c + 0 * mean_u, var_c + 0 * var_u


@guided_gaussian.misconception(
    "the means are not shrunk",
    hint="The best eps is proportional to x_t - sqrt(alpha_bar_t) times the mean.",
)
def means_not_shrunk(mean_c, var_c, mean_u, var_u, w, alpha_bar, eta=0.0):
    def guided(now, g_c, g_u):
        return (1 + w) * g_c - w * g_u, -((1 + w) * g_c * mean_c - w * g_u * mean_u)

    return walk((mean_c, var_c, mean_u, var_u, w, alpha_bar, eta), guided=guided)


@guided_gaussian.misconception(
    "the data's variance is not in the predictor",
    hint="The best eps divides by the variance of x_t, alpha_bar_t v + 1 - alpha_bar_t; noise alone would be the "
    "predictor of a point.",
)
def points_for_classes(mean_c, var_c, mean_u, var_u, w, alpha_bar, eta=0.0):
    return walk((mean_c, 0 * var_c, mean_u, 0 * var_u, w, alpha_bar, eta))
