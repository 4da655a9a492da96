"""Predictions brought back into range: `dynamic_threshold`."""

from __future__ import annotations

import numpy
import torch

from ...exercise import exercise
from ..diffusion import ranks


@exercise("dynamic_threshold", points=1)
def dynamic_threshold(student, case):
    """Clip each example to the q-quantile of its absolute values, but at least 1, and divide by it."""
    truth, q = dynamic_threshold.oracle, case.number(0.6, 0.9)

    def inputs(*shape):
        skewed = case.normal(*shape) - 0.6
        scale = torch.tensor([0.2, 2.0, 3.5, 0.6, 1.2], dtype=torch.float64)[torch.arange(shape[0]) % 5]
        return skewed * scale.reshape(-1, *[1] * (len(shape) - 1))

    rows, images = inputs(5, case.integer(11, 14)), inputs(5, 2, 3, 4)
    case.expect(
        student(rows, q),
        truth(rows, q),
        "examples within the range and beyond it in one batch",
        points=0.25,
        dtype=True,
    )
    case.expect(
        [student(rows, 1.0), student(rows, 0.25)],
        [truth(rows, 1.0), truth(rows, 0.25)],
        "q = 1, and a q so small that c is 1 for most",
        points=0.25,
    )
    case.expect(student(images, q), truth(images, q), "images: over channels and pixels together", points=0.25)
    films = [(inputs(*shape), q) for shape in ranks(4)]
    case.conventions(student, (rows, q), truth, points=0.25, also=[*films, (inputs(2, 1), q), (images[1:2], q)])


@dynamic_threshold.truth
def truth(x0_hat, q):
    """By NumPy's quantile, example by example."""
    rows = []
    for x in x0_hat.double():
        c = max(1.0, float(numpy.quantile(x.abs().numpy().ravel(), q)))
        rows.append(torch.minimum(torch.maximum(x / c, -torch.ones_like(x)), torch.ones_like(x)))
    return torch.stack(rows).to(x0_hat.dtype)


def bounds(x0_hat, q):
    """c of each example, with the axes of the data."""
    c = torch.quantile(x0_hat.abs().flatten(1), q, dim=1).clamp(min=1)
    return c.reshape(-1, *[1] * (x0_hat.ndim - 1))


@dynamic_threshold.alternative("clamp by a tensor")
def clamp_by_tensor(x0_hat, q):
    c = bounds(x0_hat, q)
    return x0_hat.clamp(-c, c) / c


@dynamic_threshold.alternative("divide first")
def divide_first(x0_hat, q):
    flat = x0_hat.reshape(len(x0_hat), -1)
    c = torch.maximum(flat.abs().quantile(q, dim=1, keepdim=True), torch.ones_like(flat[:, :1]))
    return (flat / c).clamp(-1, 1).reshape(x0_hat.shape)


@dynamic_threshold.alternative("sorted by hand")
def sorted_by_hand(x0_hat, q):
    sizes = x0_hat.abs().reshape(len(x0_hat), -1).sort(1).values
    place = q * (sizes.shape[1] - 1)
    low = int(place)
    high = min(low + 1, sizes.shape[1] - 1)
    c = (sizes[:, low] + (place - low) * (sizes[:, high] - sizes[:, low])).clamp(min=1.0)
    c = c.view(-1, *[1] * (x0_hat.dim() - 1))
    return torch.max(torch.min(x0_hat, c), -c) / c


@dynamic_threshold.misconception(
    "c may be below 1",
    hint="An example within the range stays as it is: c is at least 1. Dividing by less would blow it up.",
)
def below_1(x0_hat, q):
    c = torch.quantile(x0_hat.abs().flatten(1), q, dim=1).reshape(-1, *[1] * (x0_hat.ndim - 1))
    return x0_hat.clamp(-c, c) / c


@dynamic_threshold.misconception(
    "one threshold for the whole batch",
    hint="Each example has a quantile of its own: flatten the event axes, not the batch.",
)
def one_threshold(x0_hat, q):
    c = torch.quantile(x0_hat.abs().flatten(), q).clamp(min=1)
    return x0_hat.clamp(-c, c) / c


@dynamic_threshold.misconception(
    "not divided by c",
    hint="After clipping to [-c, c] the values are still beyond the range: divide by c.",
)
def not_divided(x0_hat, q):
    c = bounds(x0_hat, q)
    return x0_hat.clamp(-c, c)


@dynamic_threshold.misconception(
    "plain clipping",
    hint="Clipping to [-1, 1] turns whatever is beyond it into black or white. The threshold is to follow the example.",
)
def plain_clipping(x0_hat, q):
    return x0_hat.clamp(-1, 1)


@dynamic_threshold.misconception(
    "divided and not clipped",
    hint="The share 1 - q of values beyond c is still outside after dividing: clip as well.",
)
def not_clipped(x0_hat, q):
    return x0_hat / bounds(x0_hat, q)


@dynamic_threshold.misconception(
    "the quantile of the values, not of their sizes",
    hint="Values far below -1 are out of range as well: take the quantile of absolute values.",
)
def signed(x0_hat, q):
    c = torch.quantile(x0_hat.flatten(1), q, dim=1).clamp(min=1).reshape(-1, *[1] * (x0_hat.ndim - 1))
    return x0_hat.clamp(-c, c) / c


@dynamic_threshold.misconception(
    "the largest value in place of a quantile",
    hint="One outlying pixel would dim the whole picture. That is why a quantile is taken: use q.",
)
def largest(x0_hat, q):
    c = bounds(x0_hat, 1.0)
    return x0_hat.clamp(-c, c) / c


@dynamic_threshold.misconception(
    "the quantile of the last axis alone",
    hint="The quantile is over all event axes together, channels, rows and columns: flatten from axis 1 on.",
)
def last_axis(x0_hat, q):
    if x0_hat.ndim == 2:
        return clamp_by_tensor(x0_hat, q)
    c = torch.quantile(x0_hat.abs(), q, dim=-1, keepdim=True).clamp(min=1)
    return x0_hat.clamp(-c, c) / c
