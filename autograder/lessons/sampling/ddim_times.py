"""Where DDIM stops on its way: `ddim_times`."""

from __future__ import annotations

from fractions import Fraction

import torch

from ...exercise import exercise


@exercise("ddim_times", points=1)
def ddim_times(student, case):
    """LongTensor (steps + 1,) from T down to 0, equally spaced and rounded, ties to even."""
    truth = ddim_times.oracle
    # An odd prime number of steps has no ties, and eighths of a step are exact in every floating-point formula.
    uneven = [(case.integer(60, 999), (7, 11, 13, 19)[case.integer(0, 3)]) for _ in range(2)]
    ties = [(4 * case.integer(2, 40) + 2, 4), (8 * case.integer(2, 20) + 4, 8), (2 * case.integer(3, 30) + 1, 2)]
    every, one = case.integer(5, 60), case.integer(20, 300)
    for what, settings, points in (
        ("fewer steps than times", uneven, 0.25),
        ("halves go to the even neighbour", ties, 0.25),
        ("steps = T, every time", [(every, every)], 0.25),
        ("steps = 1, from T straight to 0", [(one, 1), (1, 1)], 0.25),
    ):
        got, true = [student(*pair) for pair in settings], [truth(*pair) for pair in settings]
        case.expect(got, true, what, points=points, dtype=True)


@ddim_times.truth
def truth(T, steps):
    """In exact fractions, which Python rounds to even."""
    return torch.tensor([round(Fraction(T * (steps - i), steps)) for i in range(steps + 1)])


@ddim_times.alternative("linspace, rounded")
def linspace_rounded(T, steps):
    return torch.linspace(T, 0, steps + 1, dtype=torch.float64).round().long()


@ddim_times.alternative("numpy")
def numpy(T, steps):
    import numpy as np

    return torch.from_numpy(np.rint(np.linspace(T, 0, steps + 1)).astype(np.int64))


@ddim_times.alternative("a list of rounded fractions of T")
def list_of_rounded_fractions_of_t(T, steps):
    return torch.tensor([round(T * i / steps) for i in range(steps, -1, -1)], dtype=torch.long)


def _spaced(T, steps):
    return torch.linspace(T, 0, steps + 1, dtype=torch.float64)


@ddim_times.misconception(
    "cut off instead of rounded",
    hint=".long() drops everything behind the point, and 6.9999999 becomes 6. Round first.",
)
def cut_off_instead_of_rounded(T, steps):
    return _spaced(T, steps).long()


@ddim_times.misconception(
    "halves are rounded up",
    hint="floor(x + 1/2) sends 2.5 to 3. round, in Python, NumPy and PyTorch alike, sends a half to the even "
    "neighbour.",
)
def halves_are_rounded_up(T, steps):
    return (_spaced(T, steps) + 0.5).floor().long()


@ddim_times.misconception(
    "rounded up",
    hint="Every time goes to the nearest integer, not to the next above it.",
)
def rounded_up(T, steps):
    return _spaced(T, steps).ceil().long()


@ddim_times.misconception(
    "the times ascend",
    hint="Sampling begins with noise: the first time is T, the last is 0.",
)
def times_ascend(T, steps):
    return _spaced(T, steps).round().long().flip(0)


@ddim_times.misconception(
    "steps times instead of steps + 1",
    hint="n steps have n + 1 ends. Both T and 0 are among them.",
)
def steps_times_instead_of_steps_plus_1(T, steps):
    return torch.linspace(T, 0, steps, dtype=torch.float64).round().long()


@ddim_times.misconception(
    "the last time is 1",
    hint="The walk ends with clean data, t = 0. At t = 1 noise is left.",
)
def last_time_is_1(T, steps):
    return torch.linspace(T, 1, steps + 1, dtype=torch.float64).round().long()


@ddim_times.misconception(
    "0 is left out",
    hint="These are the times that the steps start from. The last step also needs its end, 0: steps + 1 entries.",
)
def zero_is_left_out(T, steps):
    return _spaced(T, steps).round().long()[:-1]


@ddim_times.misconception(
    "the first time is T - 1",
    hint="Times run from 1 to T, and x_T is where sampling begins. T - 1 is the last index where tables begin at "
    "step 1.",
)
def first_time_is_t_minus_1(T, steps):
    return torch.linspace(T - 1, 0, steps + 1, dtype=torch.float64).round().long()


@ddim_times.misconception(
    "a fixed stride of T // steps",
    hint="T // steps is too short a stride where steps does not divide T, and the times then miss one of the ends. "
    "Space them equally between T and 0 and round.",
)
def fixed_stride_of_t_steps(T, steps):
    return T - torch.arange(steps + 1) * (T // steps)


@ddim_times.misconception(
    "rounded, but still floats",
    hint="round gives whole numbers of a floating dtype, which cannot index a table: convert them to integers.",
)
def rounded_but_still_floats(T, steps):
    return _spaced(T, steps).round()
