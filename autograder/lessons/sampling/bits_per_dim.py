"""The bound in the unit of compression: `bits_per_dim`."""

from __future__ import annotations

import math

import torch

from ...exercise import exercise


@exercise("bits_per_dim", points=1)
def bits_per_dim(student, case):
    """nats / (dims ln 2)."""
    truth, batch = bits_per_dim.oracle, case.integer(3, 8)
    nats, dims = case.uniform(batch, low=50.0, high=300.0), case.integer(10, 90)
    case.expect(student(nats, dims), truth(nats, dims), "one value for each example", points=0.5, dtype=True)
    values = case.number(5.0, 40.0), case.uniform(low=-40.0, high=-5.0)
    sizes = case.sizes(2)
    got = [plain(student(value, size)) for value, size in zip(values, sizes, strict=True)]
    true = [plain(truth(value, size)) for value, size in zip(values, sizes, strict=True)]
    case.expect(got, true, "a single number", points=0.25)
    grid = case.uniform(2, 3, low=50.0, high=300.0)
    case.conventions(student, (nats, dims), truth, points=0.25, also=[(grid, dims), (grid[:1, :1], dims)])


def plain(value):
    """A tensor without axes as a float: for one number either will do."""
    return float(value) if isinstance(value, torch.Tensor) and value.ndim == 0 else value


@bits_per_dim.truth
def truth(nats, dims):
    """By the uniform code: log2 n bits are ln n nats, for n = 1024."""
    return nats / dims * 10 / math.log(1024)


@bits_per_dim.alternative("over dims ln 2")
def nats_over_dims_ln_2(nats, dims):
    return nats / (dims * math.log(2))


@bits_per_dim.alternative("times log2 e")
def times_log2_e(nats, dims):
    return nats * math.log2(math.e) / dims


@bits_per_dim.alternative("step by step, with a tensor's logarithm")
def step_by_step_with_tensors_logarithm(nats, dims):
    bits = nats / torch.log(torch.tensor(2.0, dtype=torch.float64)).item()
    return bits / dims


@bits_per_dim.misconception(
    "nats are not turned into bits",
    hint="A bit is ln 2 = 0.693 nats: divide by it. Your numbers are nats per dimension.",
)
def nats_are_not_turned_into_bits(nats, dims):
    return nats / dims


@bits_per_dim.misconception(
    "not divided by the number of dimensions",
    hint="Your numbers are bits per example. Divide by dims, so that images of different sizes can be compared.",
)
def not_divided_by_number_of_dimensions(nats, dims):
    return nats / math.log(2)


@bits_per_dim.misconception(
    "multiplied by ln 2",
    hint="A bit is smaller than a nat, so there are more bits than nats: divide by ln 2.",
)
def multiplied_by_ln_2(nats, dims):
    return nats * math.log(2) / dims


@bits_per_dim.misconception(
    "divided by ln 10",
    hint="Base 10 gives digits. A bit is a factor of 2: divide by ln 2.",
)
def divided_by_ln_10(nats, dims):
    return nats / (dims * math.log(10))


@bits_per_dim.misconception(
    "divided by 2",
    hint="A bit is ln 2 nats: it is the logarithm of 2 that stands below.",
)
def divided_by_2(nats, dims):
    return nats / (2 * dims)


@bits_per_dim.misconception(
    "the sign is reversed",
    hint="nats come in as they are to be converted. A code length stays positive.",
)
def sign_is_reversed(nats, dims):
    return -nats / (dims * math.log(2))


@bits_per_dim.misconception(
    "the logarithm is taken once more",
    hint="nats is a logarithm already. Changing its base is a division by ln 2.",
)
def logarithm_is_taken_once_more(nats, dims):
    return torch.log2(torch.as_tensor(nats)) / dims


@bits_per_dim.misconception(
    "the number of dimensions twice",
    hint="The nats are those of a whole example, summed over its dimensions: divide by dims once.",
)
def number_of_dimensions_twice(nats, dims):
    return nats / (dims**2 * math.log(2))


@bits_per_dim.misconception(
    "the mean over the batch",
    hint="Convert each value by itself: what comes in with shape (B,) comes out with shape (B,).",
)
def mean_over_batch(nats, dims):
    return torch.as_tensor(nats).mean() / (dims * math.log(2))
