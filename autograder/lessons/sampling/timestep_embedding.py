"""Times as vectors: `timestep_embedding`."""

from __future__ import annotations

import math

import torch

from ...exercise import exercise
from .shared import times


@exercise("timestep_embedding", points=2)
def timestep_embedding(student, case):
    """(B, dim): sin(t w_i) in the first half, cos(t w_i) in the second, w_i = max_period^(-i / half)."""
    truth = timestep_embedding.oracle
    batch, half = case.sizes(2, low=4)
    usual = times(case, case.integer(8, 20), batch), 2 * half
    case.expect(student(*usual), truth(*usual), "t from 1 to a short T", points=0.75, dtype=True, atol=1e-6)
    period = case.number(20.0, 300.0)
    case.expect(student(*usual, period), truth(*usual, period), "another max_period", points=0.5, atol=1e-6)
    few = times(case, 12, batch), 4
    case.expect(student(*few), truth(*few), "dim = 4, two frequencies", points=0.25, atol=1e-6)
    far = torch.tensor([1, 2, case.integer(300, 700), 999, 1000]), 2 * case.integer(16, 32)
    case.expect(student(*far), truth(*far), "times up to 1000", points=0.25, atol=2e-3)
    case.conventions(student, usual, truth, points=0.25, also=[(usual[0][:1], 2 * half)])


@timestep_embedding.truth
def truth(t, dim, max_period=10000.0):
    """Number by number, with Python's own sine and cosine."""
    half, rows = dim // 2, []
    for time in t.tolist():
        angles = [time * float(max_period) ** (-i / half) for i in range(half)]
        rows.append([math.sin(a) for a in angles] + [math.cos(a) for a in angles])
    return torch.tensor(rows, dtype=torch.float32)


def _frequencies(t, dim, max_period):
    half = dim // 2
    return torch.exp(-math.log(max_period) * torch.arange(half, device=t.device) / half)


def _both(t, frequencies):
    angles = t[:, None].float() * frequencies
    return torch.cat([angles.sin(), angles.cos()], dim=1)


@timestep_embedding.alternative("exp of a logarithm")
def exp_of_logarithm(t, dim, max_period=10000.0):
    return _both(t, _frequencies(t, dim, max_period))


@timestep_embedding.alternative("in double precision, cast at the end")
def in_double_precision_cast_at_end(t, dim, max_period=10000.0):
    exponents = -torch.arange(dim // 2, dtype=torch.float64, device=t.device) / (dim // 2)
    angles = torch.outer(t.double(), torch.pow(max_period, exponents))
    return torch.hstack([torch.sin(angles), torch.cos(angles)]).to(torch.float32)


@timestep_embedding.alternative("filled column by column")
def filled_column_by_column(t, dim, max_period=10000.0):
    half = dim // 2
    out = torch.zeros(len(t), dim, device=t.device)
    for i in range(half):
        out[:, i] = torch.sin(t * max_period ** (-i / half))
        out[:, half + i] = torch.cos(t * max_period ** (-i / half))
    return out


@timestep_embedding.alternative("real and imaginary part")
def real_and_imaginary_part(t, dim, max_period=10000.0):
    angles = t.float().unsqueeze(1) / _frequencies(t, dim, max_period) ** -1
    turning = torch.polar(torch.ones_like(angles), angles)
    return torch.cat((turning.imag, turning.real), -1)


@timestep_embedding.alternative("powers of max_period")
def powers_of_max_period(t, dim, max_period=10000.0):
    half = dim // 2
    steps = torch.arange(half, dtype=torch.float32, device=t.device)
    angles = t.float()[:, None] * max_period ** (-steps / half)
    return torch.cat([torch.sin(angles), torch.cos(angles)], dim=-1)


@timestep_embedding.misconception(
    "sine and cosine change places",
    hint="The sines fill the first half and the cosines the second. Much code has them the other way round, and a "
    "network can learn from either, but weights trained with one are useless with the other.",
)
def sine_and_cosine_change_places(t, dim, max_period=10000.0):
    return _both(t, _frequencies(t, dim, max_period)).roll(dim // 2, dims=1)


@timestep_embedding.misconception(
    "sine and cosine alternate",
    hint="The paper on transformers interleaves them, sin, cos, sin, cos. Here all sines come first, then all cosines.",
)
def sine_and_cosine_alternate(t, dim, max_period=10000.0):
    angles = t[:, None].float() * _frequencies(t, dim, max_period)
    return torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(1)


@timestep_embedding.misconception(
    "the exponents run to 1 inclusive",
    hint="You divide i by half - 1, so that the slowest wave has frequency exactly 1 / max_period. Both versions "
    "exist; the one asked for divides by half, and stops one step short of it.",
)
def exponents_run_to_1_inclusive(t, dim, max_period=10000.0):
    half = dim // 2
    return _both(t, max_period ** (-torch.arange(half) / (half - 1)))


@timestep_embedding.misconception(
    "i is divided by dim",
    hint="There are dim / 2 frequencies, and i / half runs through [0, 1). Divided by dim the exponent gets only "
    "half as far. (The transformer's 2i / dim is the same as i / half.)",
)
def i_is_divided_by_dim(t, dim, max_period=10000.0):
    return _both(t, max_period ** (-torch.arange(dim // 2) / dim))


@timestep_embedding.misconception(
    "the exponent has the wrong sign",
    hint="The first wave turns by one radian a step, and the others must be slower: the exponent is -i / half. Waves "
    "that turn thousands of radians a step give each t a random-looking code without any order.",
)
def exponent_has_wrong_sign(t, dim, max_period=10000.0):
    return _both(t, 1 / _frequencies(t, dim, max_period))


@timestep_embedding.misconception(
    "max_period is ignored",
    hint="10000 is only the default. Compute the frequencies from the argument.",
)
def max_period_is_ignored(t, dim, max_period=10000.0):
    return _both(t, _frequencies(t, dim, 10000.0))


@timestep_embedding.misconception(
    "the logarithm has base 10",
    hint="max_period^(-i / half) = exp(-ln(max_period) i / half): exp belongs to the natural logarithm, math.log.",
)
def logarithm_has_base_10(t, dim, max_period=10000.0):
    half = dim // 2
    return _both(t, torch.exp(-math.log10(max_period) * torch.arange(half) / half))


@timestep_embedding.misconception(
    "waves are counted in whole turns",
    hint="The angle is t times the frequency, in radians, without a factor 2 pi: at i = 0 every t would give the same "
    "sine.",
)
def waves_are_counted_in_whole_turns(t, dim, max_period=10000.0):
    return _both(t, 2 * math.pi * _frequencies(t, dim, max_period))


@timestep_embedding.misconception(
    "frequencies equally spaced",
    hint="The frequencies form a geometric sequence, each a fixed fraction of the one before, so that the waves cover "
    "every scale from one step to max_period. Yours fall in equal steps.",
)
def frequencies_equally_spaced(t, dim, max_period=10000.0):
    half = dim // 2
    return _both(t, 1 - (1 - 1 / max_period) * torch.arange(half) / half)


@timestep_embedding.misconception(
    "t counted from 0",
    hint="t runs from 1 to T and is used as it is. With t - 1 the network sees another time than you mean.",
)
def t_counted_from_0(t, dim, max_period=10000.0):
    return _both(t - 1, _frequencies(t, dim, max_period))


@timestep_embedding.misconception(
    "t is scaled to [0, 1]",
    hint="Divided by the largest t, the times of a batch are all near 0 for every wave but the first, and one "
    "example's code depends on the others. t enters as it is.",
)
def t_is_scaled_to_0_1(t, dim, max_period=10000.0):
    return _both(t / t.max(), _frequencies(t, dim, max_period))


@timestep_embedding.misconception(
    "sine and cosine alternate over the batch",
    hint="[0::2] picks every other ROW, that is every other example. Such a network even trains, but half of the batch "
    "never sees a cosine. The sines and cosines are columns.",
)
def sine_and_cosine_alternate_over_batch(t, dim, max_period=10000.0):
    out = t[:, None].float() * _frequencies(t, dim, max_period).repeat(2)
    out[0::2], out[1::2] = out[0::2].sin(), out[1::2].cos()
    return out


@timestep_embedding.misconception(
    "batch and dim change places",
    hint="One row per time: shape (B, dim).",
)
def batch_and_dim_change_places(t, dim, max_period=10000.0):
    return _both(t, _frequencies(t, dim, max_period)).T


@timestep_embedding.misconception(
    "the result is float64",
    hint="The value is right, but the embedding goes into a network of float32 weights: cast it before you return it.",
)
def result_is_float64(t, dim, max_period=10000.0):
    angles = t[:, None].double() * max_period ** (-torch.arange(dim // 2, dtype=torch.float64) / (dim // 2))
    return torch.cat([angles.sin(), angles.cos()], dim=1)


@timestep_embedding.misconception(
    "an activation behind the waves",
    hint="The embedding is the plain waves. The layers and activations behind it belong to the network.",
)
def activation_behind_waves(t, dim, max_period=10000.0):
    return torch.nn.functional.silu(_both(t, _frequencies(t, dim, max_period)))
