"""How much signal there is against how much noise: `log_snr`."""

from __future__ import annotations

import math

import torch

from ...exercise import exercise
from .shared import uneven_alpha_bar


@exercise("log_snr", points=1)
def log_snr(student, case):
    """log(alpha_bar / (1 - alpha_bar)), +inf where alpha_bar = 1."""
    truth = log_snr.oracle
    table = uneven_alpha_bar(case, case.integer(5, 8))
    case.expect(student(table[1:]), truth(table[1:]), "a short, uneven schedule from t = 1 on", points=0.5)
    ends = torch.cat([table[:2], table[-1:] * torch.tensor([1e-6, 1e-30], dtype=torch.float64)])
    case.expect(
        student(ends), truth(ends), "clean data, and almost pure noise", points=0.25, hint="+inf at alpha_bar = 1"
    )
    clean = 1 - torch.tensor([1e-10, 1e-8], dtype=torch.float64)
    case.conventions(student, (table,), truth, points=0.25, also=[(clean,), (table[:1],)])


@log_snr.truth
def truth(alpha_bar):
    pairs = [(a, 1 - a) for a in alpha_bar.tolist()]
    return torch.tensor([math.log(a) - math.log(n) if n else math.inf for a, n in pairs], dtype=alpha_bar.dtype)


@log_snr.misconception(
    "a safety constant in the denominator",
    hint="With it even clean data have some noise. Let 1/0 be infinite; PyTorch's logarithm of that is +inf, as asked.",
)
def safety_constant_in_denominator(alpha_bar):
    return torch.log(alpha_bar / (1 - alpha_bar + 1e-8))


@log_snr.misconception(
    "alpha_bar is clamped",
    hint="The formula holds on the whole of (0, 1]; clean data have +inf, and almost pure noise a very negative value.",
)
def alpha_bar_is_clamped(alpha_bar):
    a = alpha_bar.clamp(1e-5, 1 - 1e-5)
    return torch.log(a / (1 - a))


@log_snr.misconception(
    "the logarithm is missing",
    hint="You returned the ratio itself. Take its natural logarithm.",
)
def logarithm_is_missing(alpha_bar):
    return alpha_bar / (1 - alpha_bar)


@log_snr.misconception(
    "the ratio is upside down",
    hint="Signal over noise: clean data have +inf. Yours falls where it should rise.",
)
def ratio_is_upside_down(alpha_bar):
    return torch.log((1 - alpha_bar) / alpha_bar)


@log_snr.misconception(
    "the ratio of standard deviations",
    hint="You took the roots first, which halves the logarithm. The signal-to-noise ratio compares variances.",
)
def ratio_of_standard_deviations(alpha_bar):
    return torch.log(alpha_bar.sqrt() / (1 - alpha_bar).sqrt())


@log_snr.misconception(
    "another base of the logarithm",
    hint="Logarithms are natural in this course: torch.log, not torch.log10.",
)
def another_base_of_logarithm(alpha_bar):
    return torch.log10(alpha_bar / (1 - alpha_bar))


@log_snr.misconception(
    "in decibels",
    hint="10 log10 is the engineers' unit. Here the natural logarithm is asked for, without a factor.",
)
def in_decibels(alpha_bar):
    return 10 * torch.log10(alpha_bar / (1 - alpha_bar))


@log_snr.misconception(
    "the noise is left out",
    hint="log(alpha_bar) is the signal alone. What counts is its ratio to the noise, 1 - alpha_bar.",
)
def noise_is_left_out(alpha_bar):
    return torch.log(alpha_bar)


@log_snr.misconception(
    "signal over everything",
    hint="log(1 + SNR) compares signal plus noise with the noise. The ratio asked for is alpha_bar over 1 - alpha_bar.",
)
def signal_over_everything(alpha_bar):
    return torch.log1p(alpha_bar / (1 - alpha_bar))


@log_snr.alternative("the logit function")
def logit_function(alpha_bar):
    return torch.logit(alpha_bar)


@log_snr.alternative("a difference of logarithms")
def difference_of_logarithms(alpha_bar):
    return alpha_bar.log() - torch.log1p(-alpha_bar)


@log_snr.alternative("minus the logarithm of the inverse ratio")
def minus_logarithm_of_inverse_ratio(alpha_bar):
    return -torch.log(1 / alpha_bar - 1)
