"""The last term of the bound, over grey levels: `discretized_log_likelihood`."""

from __future__ import annotations

import math

import torch
from torch.special import log_ndtr

from ...exercise import exercise


@exercise("discretized_log_likelihood", points=3)
def discretized_log_likelihood(student, case):
    """Log of the mass of N(mean, sigma^2) in the bin of each x_0, end bins open, summed over the event, (B,)."""
    truth = discretized_log_likelihood.oracle

    def grey(*shape, levels=17, ends=True):
        low, high = (0, levels - 1) if ends else (1, levels - 2)
        steps = torch.randint(low, high + 1, shape, generator=case.generator)
        return 2 * steps.double() / (levels - 1) - 1

    def whole(*shape, levels=17):
        """Grey levels, the darkest and the brightest among them for everybody."""
        x = grey(*shape, levels=levels)
        x.view(-1)[:2] = torch.tensor([-1.0, 1.0])
        return x

    def near(x, spread):
        return x + spread * case.normal(*x.shape)

    batch, width = case.sizes(2, low=3)
    inner, sigma = grey(batch, width, ends=False), case.number(0.06, 0.12)
    usual = inner, near(inner, sigma), sigma
    case.expect(student(*usual), truth(*usual), "grey levels between the ends", points=0.75, dtype=True)
    ends = torch.ones(batch, 3, dtype=torch.float64) * torch.tensor([[-1.0, 1.0, 0.25]], dtype=torch.float64)
    open_ends = ends, near(ends, 0.3), 0.375
    case.expect(student(*open_ends), truth(*open_ends), "the darkest and the brightest level", points=0.5)
    asked = [
        (whole(batch, width, levels=n), n) for n in (2, 6, 33)
    ]  # by means in no tail, so that this is about the levels alone
    other = [(x, x + case.uniform(batch, width, low=-0.45, high=0.45), 0.3125, n) for x, n in asked]
    case.expect([student(*one) for one in other], [truth(*one) for one in other], "2, 6 and 33 levels", points=0.25)
    images = whole(*case.sizes(4, low=2, high=5))
    picture = images, near(images, 0.2), case.number(0.2, 0.3)
    case.expect(student(*picture), truth(*picture), "images", points=0.25)
    for sign, side in ((1, "below"), (-1, "above")):
        x, narrow = sign * (grey(batch, 2) / 2 - 0.5), case.number(0.012, 0.018)  # half the levels, with their end
        away = case.uniform(batch, 2, low=0.3, high=1.2)
        away[0, 0] = (
            1 / 16 + 6.4 * narrow
        )  # a mass of some 1e-10, which a floor at 1e-12 leaves, and a summand does not
        far = x, x + sign * away, narrow
        case.expect(
            student(*far),
            truth(*far),
            f"x_0 far {side} the mean",
            points=0.375,
            hint="the mass of a bin in the tail is too small for a float, but its logarithm is not",
        )
    wide = whole(batch, width)
    others = [grey(*shape) for shape in ((3, 2, 2), (2, 1, 2, 1, 2), (1, 1))]
    also = [(x, near(x, 0.25), 0.375) for x in others]
    case.conventions(student, (wide, near(wide, 0.25), 0.375), truth, points=0.5, also=also)


@discretized_log_likelihood.truth
def truth(x0, mean, sigma, levels=17):
    """By erfcx(v) = exp(v^2) erfc(v), in which no tail is thin; bins that hold the middle by erf itself."""
    half = 1 / (levels - 1)
    x, m = x0.double(), mean.double()
    low, high = ((x + side - m) / sigma / 2**0.5 for side in (-half, half))
    low, high = torch.where(x < -1 + half, -math.inf, low), torch.where(x > 1 - half, math.inf, high)
    far = torch.where(low + high > 0, low, -high)  # the end nearer the middle, both ends taken to the right
    beyond = torch.where(low + high > 0, high, -low)
    right = far.clamp(min=0)
    tail = torch.special.erfcx(right) - torch.where(
        beyond < math.inf, torch.special.erfcx(beyond) * torch.exp(-(beyond - right) * (beyond + right)), 0.0
    )
    around = torch.special.erf(beyond) - torch.special.erf(far)
    return (torch.where(far > 0, tail.log() - right**2, around.log()) - math.log(2)).flatten(1).sum(1).to(x0.dtype)


def _ends(x0, mean, sigma, levels):
    """The standardised ends of every bin, the outermost at infinity."""
    half = 1 / (levels - 1)
    low, high = (x0 - half - mean) / sigma, (x0 + half - mean) / sigma
    return torch.where(x0 < -1 + half, -math.inf, low), torch.where(x0 > 1 - half, math.inf, high)


def _mirrored(low, high):
    """The same bins on the left, where log_ndtr is exact."""
    flip = low + high > 0
    return torch.where(flip, -high, low), torch.where(flip, -low, high)


def _log_mass(low, high):
    low, high = _mirrored(low, high)
    top = log_ndtr(high)
    return top + torch.log1p(-torch.exp(log_ndtr(low) - top))


@discretized_log_likelihood.alternative("log_ndtr, mirrored to the left tail")
def log_ndtr_mirrored_to_left_tail(x0, mean, sigma, levels=17):
    return _log_mass(*_ends(x0, mean, sigma, levels)).flatten(1).sum(1)


@discretized_log_likelihood.alternative("three cases, log1p and expm1")
def three_cases_log1p_and_expm1(x0, mean, sigma, levels=17):
    half = 1 / (levels - 1)
    centre = (mean - x0).abs()  # the mass depends on the distance alone
    near, far = (half - centre) / sigma, (-half - centre) / sigma
    inside = log_ndtr(near) + torch.log(-torch.expm1(log_ndtr(far) - log_ndtr(near)))
    dark, bright = log_ndtr((x0 + half - mean) / sigma), log_ndtr((mean + half - x0) / sigma)
    out = torch.where(x0 < half - 1, dark, torch.where(x0 > 1 - half, bright, inside))
    return out.sum(dim=tuple(range(1, out.ndim)))


@discretized_log_likelihood.alternative("scaled complementary error functions, number by number")
def scaled_complementary_error_functions_number(x0, mean, sigma, levels=17):
    rows = []
    for xs, means in zip(x0, mean, strict=True):
        total = torch.zeros((), dtype=torch.float64)
        for x, m in zip(xs.double().flatten(), means.double().flatten(), strict=True):
            low, high = _mirrored(*_ends(x, m, sigma, levels))
            if high > -1:  # no tail: Phi itself is accurate enough
                mass = torch.special.ndtr(high) - torch.special.ndtr(low)
                total = total + mass.log()
                continue
            scaled = torch.special.erfcx(-high / 2**0.5)
            if torch.isfinite(low):
                scaled = scaled - torch.special.erfcx(-low / 2**0.5) * torch.exp((high**2 - low**2) / 2)
            total = total - high**2 / 2 + (scaled / 2).log()
        rows.append(total)
    return torch.stack(rows).to(x0.dtype)


def _total(values):
    return values.flatten(1).sum(1)


@discretized_log_likelihood.misconception(
    "the log of a difference underflows",
    hint="Far from the mean both ends of the bin have Phi = 0 (or 1), and log(0) is -inf. Work with logarithms of Phi "
    "(torch.special.log_ndtr) and subtract inside the logarithm by log1p or expm1.",
)
def log_of_difference_underflows(x0, mean, sigma, levels=17):
    low, high = _ends(x0, mean, sigma, levels)
    return _total((torch.special.ndtr(high) - torch.special.ndtr(low)).log())


@discretized_log_likelihood.misconception(
    "the mass is clamped",
    hint="A smallest mass of 1e-12 or so, as published code has it, makes every far value equally likely. Logarithms "
    "of Phi (torch.special.log_ndtr) need no clamp.",
)
def mass_is_clamped(x0, mean, sigma, levels=17):
    low, high = _ends(x0, mean, sigma, levels)
    return _total((torch.special.ndtr(high) - torch.special.ndtr(low)).clamp(min=1e-12).log())


@discretized_log_likelihood.misconception(
    "a small constant is added to the mass",
    hint="log(mass + 1e-12) is about -27.6 for everything in the tails. Logarithms of Phi (torch.special.log_ndtr) "
    "need no such constant.",
)
def small_constant_is_added_to_mass(x0, mean, sigma, levels=17):
    low, high = _ends(x0, mean, sigma, levels)
    return _total((torch.special.ndtr(high) - torch.special.ndtr(low) + 1e-12).log())


@discretized_log_likelihood.misconception(
    "one of the two tails is lost",
    hint="log_ndtr is exact on the left, where Phi is small. On the right it is 0 to all digits, and the difference of "
    "two zeros tells nothing: use that the bell is symmetric, and mirror such bins.",
)
def one_of_two_tails_is_lost(x0, mean, sigma, levels=17):
    low, high = _ends(x0, mean, sigma, levels)
    return _total(log_ndtr(high) + torch.log1p(-torch.exp(log_ndtr(low) - log_ndtr(high))))


@discretized_log_likelihood.misconception(
    "the end bins are closed",
    hint="The darkest and the brightest level stand for everything beyond them too: their outer ends are at infinity, "
    "so that the masses of all levels add up to 1.",
)
def end_bins_are_closed(x0, mean, sigma, levels=17):
    half = 1 / (levels - 1)
    return _total(_log_mass((x0 - half - mean) / sigma, (x0 + half - mean) / sigma))


@discretized_log_likelihood.misconception(
    "only the brightest bin is open",
    hint="Both end bins are open: the darkest level takes everything below it.",
)
def only_brightest_bin_is_open(x0, mean, sigma, levels=17):
    _, high = _ends(x0, mean, sigma, levels)
    return _total(_log_mass((x0 - 1 / (levels - 1) - mean) / sigma, high))


@discretized_log_likelihood.misconception(
    "only the darkest bin is open",
    hint="Both end bins are open: the brightest level takes everything above it.",
)
def only_darkest_bin_is_open(x0, mean, sigma, levels=17):
    low, _ = _ends(x0, mean, sigma, levels)
    return _total(_log_mass(low, (x0 + 1 / (levels - 1) - mean) / sigma))


def _with_half(half, x0, mean, sigma):
    """Bins that reach `half` to either side."""
    low, high = (x0 - half - mean) / sigma, (x0 + half - mean) / sigma
    low, high = torch.where(x0 <= -1, -math.inf, low), torch.where(x0 >= 1, math.inf, high)
    return _total(_log_mass(low, high))


@discretized_log_likelihood.misconception(
    "a whole spacing to either side",
    hint="Neighbouring bins meet half way: a bin reaches half a spacing to either side. Yours overlap.",
)
def whole_spacing_to_either_side(x0, mean, sigma, levels=17):
    return _with_half(2 / (levels - 1), x0, mean, sigma)


@discretized_log_likelihood.misconception(
    "a quarter of a spacing to either side",
    hint="[-1, 1] has length 2, so the spacing is 2 / (levels - 1) and half of it 1 / (levels - 1). Your bins "
    "leave gaps.",
)
def quarter_of_spacing_to_either_side(x0, mean, sigma, levels=17):
    return _with_half(0.5 / (levels - 1), x0, mean, sigma)


@discretized_log_likelihood.misconception(
    "the spacing is 2 / levels",
    hint="With a level at either end there are levels - 1 gaps between -1 and 1.",
)
def spacing_is_2_over_levels(x0, mean, sigma, levels=17):
    return _with_half(1 / levels, x0, mean, sigma)


@discretized_log_likelihood.misconception(
    "levels is ignored",
    hint="17 is only the default. Compute the spacing from the argument.",
)
def levels_is_ignored(x0, mean, sigma, levels=17):
    return _with_half(1 / 16, x0, mean, sigma)


@discretized_log_likelihood.misconception(
    "the spacing of 256 levels",
    hint="1/255 is half a spacing for images of 8 bits. Here the number of levels is an argument.",
)
def spacing_of_256_levels(x0, mean, sigma, levels=17):
    return _with_half(1 / 255, x0, mean, sigma)


@discretized_log_likelihood.misconception(
    "the density in place of the mass",
    hint="A density is no probability: it can exceed 1. Asked is the mass of the whole bin.",
)
def density_in_place_of_mass(x0, mean, sigma, levels=17):
    return _total(torch.distributions.Normal(mean, sigma).log_prob(x0))


@discretized_log_likelihood.misconception(
    "density times width in place of the mass",
    hint="That is nearly right for bins much narrower than sigma, and wrong for the open ones at the ends. Take the "
    "difference of the distribution function at the two ends.",
)
def density_times_width_in_place_of_mass(x0, mean, sigma, levels=17):
    return _total(torch.distributions.Normal(mean, sigma).log_prob(x0) + math.log(2 / (levels - 1)))


@discretized_log_likelihood.misconception(
    "sigma read as a variance",
    hint="sigma is the standard deviation: divide by it as it is.",
)
def sigma_read_as_variance(x0, mean, sigma, levels=17):
    return _total(_log_mass(*_ends(x0, mean, sigma**0.5, levels)))


@discretized_log_likelihood.misconception(
    "divided by the variance",
    hint="Standardised is (x - mean) / sigma, not over sigma^2.",
)
def divided_by_variance(x0, mean, sigma, levels=17):
    return _total(_log_mass(*_ends(x0, mean, sigma**2, levels)))


@discretized_log_likelihood.misconception(
    "sigma is left out",
    hint="Phi is the distribution function of N(0, 1): standardise the ends of the bin, which means dividing by sigma.",
)
def sigma_is_left_out(x0, mean, sigma, levels=17):
    return _total(_log_mass(*_ends(x0, mean, 1.0, levels)))


@discretized_log_likelihood.misconception(
    "the mean over the event",
    hint="Independent entries: their log-probabilities add up. Sum over the event.",
)
def mean_over_event(x0, mean, sigma, levels=17):
    return _log_mass(*_ends(x0, mean, sigma, levels)).flatten(1).mean(1)


@discretized_log_likelihood.misconception(
    "one number for the batch",
    hint="One log-likelihood for each example, shape (B,).",
)
def one_number_for_batch(x0, mean, sigma, levels=17):
    return _log_mass(*_ends(x0, mean, sigma, levels)).sum()


@discretized_log_likelihood.misconception(
    "summed over the last axis alone",
    hint="An image has three event axes. Sum over all axes but the first.",
)
def summed_over_last_axis_alone(x0, mean, sigma, levels=17):
    return _log_mass(*_ends(x0, mean, sigma, levels)).sum(-1)


@discretized_log_likelihood.misconception(
    "the sign is reversed",
    hint="Asked is the log-likelihood, the log of a probability and so never positive. Its negative is the loss L_0.",
)
def sign_is_reversed(x0, mean, sigma, levels=17):
    return -_total(_log_mass(*_ends(x0, mean, sigma, levels)))


@discretized_log_likelihood.misconception(
    "bits in place of nats",
    hint="Likelihoods are in nats here, with the natural logarithm. bits_per_dim converts them at the end.",
)
def bits_in_place_of_nats(x0, mean, sigma, levels=17):
    return _total(_log_mass(*_ends(x0, mean, sigma, levels))) / math.log(2)
