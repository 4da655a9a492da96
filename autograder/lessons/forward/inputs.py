"""What the checks of 04-forward draw in common: short, uneven schedules and batches of times."""

from __future__ import annotations

import torch


def uneven_beta(case, steps, low=0.05, high=0.6):
    """beta (T + 1,), float64, beta[0] = 0, neither rising nor falling, large enough for float32."""
    return torch.cat([torch.zeros(1, dtype=torch.float64), case.uniform(steps, low=low, high=high)])


def uneven_alpha_bar(case, steps):
    """The running product of such a schedule, alpha_bar[0] = 1."""
    return torch.exp(torch.log1p(-uneven_beta(case, steps)).cumsum(0))


def times(case, steps, count):
    """`count` >= 4 times in random order, 1, 2, a middle one and T among them."""
    drawn = [1, 2, (steps + 2) // 2, steps, *(case.integer(1, steps) for _ in range(count - 4))]
    return torch.tensor(drawn)[torch.randperm(count, generator=case.generator)]


def along(values, like):
    """Values (B,) with trailing axes, so that each meets its own example of `like`."""
    return values.reshape(-1, *[1] * (like.ndim - 1))


EARLY = (
    "the table is read one step early",
    "The table has T + 1 entries, and entry 0 is the clean data: index it with t itself. With t - 1 every example is "
    "one step behind, and t = T is never reached.",
)
ONE_TIME = (
    "one t for the whole batch",
    "Every example has its own t. Index the table with the whole tensor t; that gives one coefficient per example.",
)
AXIS = (
    "the coefficients meet the wrong axis",
    "table[t] has shape (B,), and PyTorch lines shapes up from the right, so it meets the LAST axis of the data. "
    "Give it trailing axes of length 1, (B, 1, ..., 1), as many as an event has.",
)
IMAGES_ONLY = (
    "the coefficients always get three trailing axes",
    "That fits images, and nothing else: points (B, D) become (B, 1, B, D). Give as many axes of length 1 as "
    "an event has, x.ndim - 1.",
)
ONE_AXIS = (
    "the coefficients always get one trailing axis",
    "(B, 1) fits points and nothing else. Give as many axes of length 1 as an event has, x.ndim - 1.",
)
FRESH = (
    "new noise is drawn inside",
    "The noise is an argument: use the eps you are given. The training target of lesson 06 is that very eps.",
)
CLAMPED = (
    "the result is clamped",
    "Noisy data leave the range of clean data, and must: a clamped x_t is no longer Gaussian. Return it as it is.",
)
SWAPPED = (
    "the two factors change places",
    "The root of what is kept goes with the picture, the root of the noise's variance with eps. With a tiny noise "
    "level you should get back nearly the picture.",
)
OVERWRITTEN = (
    "the input is overwritten",
    "mul_ and add_ write into the tensor you were given, which the caller still needs clean. Use * and + and make a "
    "new one.",
)
