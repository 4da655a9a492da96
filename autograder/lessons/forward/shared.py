"""What the checks of several exercises of 04-forward share."""

from __future__ import annotations

import torch

from ...conventions import ones
from ..diffusion import times_among


def times(case, steps, count):
    """`count` >= 4 times in random order, 1, 2, a middle one and T among them."""
    return times_among(case, steps, count, 1, 2, (steps + 2) // 2)


def uneven_beta(case, steps, low=0.05, high=0.6):
    """beta (T + 1,), float64, beta[0] = 0, neither rising nor falling, large enough for float32."""
    return torch.cat([torch.zeros(1, dtype=torch.float64), case.uniform(steps, low=low, high=high)])


def uneven_alpha_bar(case, steps):
    """The running product of such a schedule, alpha_bar[0] = 1."""
    return torch.exp(torch.log1p(-uneven_beta(case, steps)).cumsum(0))


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


def check_noising(student, case, truth, table, first, faint):
    """Both exercises take data, times, a table and noise; `first` names the data in what the student reads; `faint`
    is a table that adds hardly any noise at t = 1 and leaves hardly any picture at t = 2.
    """
    steps = len(table) - 1
    batch, channels, height, width = case.sizes(4, low=4)
    x, eps, t = (*(case.normal(batch, channels, height, width) for _ in range(2)), times(case, steps, batch))
    none = torch.zeros_like(x)
    case.expect(student(x, t, table, eps), truth(x, t, table, eps), "images, each at its own time", points=0.75)
    case.expect(student(x, t, table, none), truth(x, t, table, none), f"the factor of {first} alone", points=0.25)
    case.expect(student(none, t, table, eps), truth(none, t, table, eps), "the factor of the noise alone", points=0.25)

    shapes = [(batch, 1), (batch, width), (batch, channels, width), (batch, 2, 3, 2, 3)]
    calls = [(case.normal(*s), times(case, steps, batch), table, case.normal(*s)) for s in shapes]
    case.expect(
        [student(*c) for c in calls], [truth(*c) for c in calls], "numbers, points, sequences, films", points=0.25
    )
    square = (case.normal(5, 5), times(case, steps, 5), table, case.normal(5, 5))
    case.expect(student(*square), truth(*square), "as many examples as an event has entries", points=0.25)
    given, rows = (x, t, table, eps), case.normal(2, width)
    edges = [(0 * rows, torch.ones(2, dtype=torch.long), faint, rows), (rows, torch.full((2,), 2), faint, 0 * rows)]
    case.conventions(student, given, truth, points=0.25, also=[ones(given), *edges], gradient=(0, 3))
