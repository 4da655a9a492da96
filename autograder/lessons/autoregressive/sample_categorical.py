"""A level from a row of logits and a number u: `sample_categorical`."""

from __future__ import annotations

import math
from functools import wraps

import torch

from ...exercise import exercise

LARGEST = 1 - 2**-24  # the largest float32 below 1
MARGIN = 1e-4  # how far a u stays from every end of a piece, so that float32 and float64 agree


@exercise("sample_categorical", points=1)
def sample_categorical(student, case):
    """The smallest k with u < p_0 + ... + p_k, p = softmax(logits / temperature); the likeliest at temperature 0."""
    truth = sample_categorical.oracle
    rows, columns, levels = case.sizes(3, low=4, high=9)
    logits = 1.5 * case.normal(rows, columns, levels)
    u = clear_of_ends(case, logits)
    got, right = student(logits, u), truth(logits, u)
    case.expect(got, right, "random rows", points=0.25, dtype=True)
    warm, cold = case.number(1.6, 2.4), case.number(0.4, 0.7)
    given = [(logits, clear_of_ends(case, logits, t), t) for t in (warm, cold)]
    case.expect([student(*a) for a in given], [truth(*a) for a in given], "temperatures above and below 1", points=0.15)
    tied = case.normal(rows, levels)
    tied[:, 1] = tied.amax(1) + 1
    tied[::2, -2] = tied[::2, 1]
    close = tied.clone()
    close[:, -1] = close[:, 1] + 1e-9
    half = torch.full((rows,), 0.5, dtype=torch.float64)
    case.expect(
        [student(tied, half, 0.0), student(close, half, 0)],
        [truth(tied, half, 0.0), truth(close, half, 0)],
        "temperature 0, with ties and without",
        points=0.15,
    )
    walls, edges = rows_with_walls(case, levels)
    case.expect(student(walls, edges), truth(walls, edges), "an impossible level, at u = 0 and between", points=0.1)
    short, last = rows_that_end_short(case)
    case.expect(student(short, last), truth(short, last), "a sum that rounding leaves at or below u", points=0.15)
    far = torch.stack([logits[:, 0] + 900, logits[:, 1] - 900])
    beside = u[:, :2].T.contiguous()
    case.expect(student(far, beside), truth(far, beside), "logits of 900 and of -900", points=0.1)
    faint = torch.tensor([[-31.0, 0.0, 1.0]], dtype=torch.float64)  # the first level is rare, and possible
    none = torch.zeros(1, dtype=torch.float64)
    also = [(faint, none), (logits[:1, :1], u[:1, :1]), (none[:, None], none)]
    case.conventions(student, (logits, u), truth, points=0.1, also=also)


def clear_of_ends(case, logits, temperature=1.0):
    """Numbers in [0, 1), one for each row, none near the end of a piece; each level is meant about equally often."""
    p = (logits / temperature).softmax(-1)
    inside = case.uniform(*p.shape[:-1], low=0.2, high=0.8)
    wide = p > 10 * MARGIN
    order = torch.where(wide, case.uniform(*p.shape), -1.0)
    level = order.argmax(-1, keepdim=True)
    upto, own = p.cumsum(-1).gather(-1, level)[..., 0], p.gather(-1, level)[..., 0]
    return upto - own * inside


def rows_with_walls(case, levels):
    """Rows with impossible levels in front, and u = 0; and with one in the middle, and u at its two sides."""
    front = case.normal(3, levels)
    for row, count in enumerate((1, 2, 3)):
        front[row, :count] = -math.inf
    middle = torch.full((2, levels), -math.inf, dtype=torch.float64)
    middle[:, [1, 3]] = 0.0
    u = torch.tensor([0.0, 0.0, 0.0, 0.5 - 1e-3, 0.5 + 1e-3], dtype=torch.float64)
    return torch.cat([front, middle]).repeat(6, 1), u.repeat(6)  # so often that nobody is right by chance


def rows_that_end_short(case):
    """float32 rows that end in three impossible levels, whose float32 sum ends at or below `LARGEST`, and that as u."""
    found: list[torch.Tensor] = []
    while len(found) < 10:
        row = torch.cat([case.normal(5, dtype=torch.float32), torch.full((3,), -math.inf)])
        p = row.softmax(-1)
        own = p.double()[4]
        if (
            p.cumsum(-1)[-1] <= LARGEST
            and 1e-3 < own < 0.3
            and row.double().softmax(-1).cumsum(-1)[3] < LARGEST - MARGIN
        ):
            found.append(row)
    return torch.stack(found), torch.full((10,), LARGEST)


@sample_categorical.truth
def truth(logits, u, temperature=1.0):
    """Level by level: stop here with the odds of this level against all that are left, or go on with the rest of u."""
    wide = logits.double()
    if temperature == 0:
        return (wide == wide.amax(-1, keepdim=True)).byte().argmax(-1)
    wide, left = wide / temperature, u.double()
    count = wide.shape[-1]
    level = torch.full(u.shape, -1)
    for k in range(count):
        stop = (wide[..., k] - wide[..., k:].logsumexp(-1)).exp()
        stop = torch.where(wide[..., k] == -math.inf, 0.0, stop)
        last = (wide[..., k + 1 :] == -math.inf).all(-1)
        here = (level < 0) & (stop > 0) & ((left < stop) | last)
        level = torch.where(here, k, level)
        left = torch.where(stop < 1, (left - stop) / (1 - stop).clamp(min=1e-300), left)
    return level


def ends(logits, temperature=1.0):
    """The ends of the pieces."""
    return (logits / temperature).softmax(-1).cumsum(-1)


def possible(logits, temperature=1.0):
    """The last level that can be drawn, (*shape)."""
    return ((logits / temperature).softmax(-1) > 0).long().cumsum(-1).argmax(-1)


def count_ends(logits, u, temperature=1.0):
    """The right answer for temperatures above 0: how many pieces end at or before u, at most the last possible one."""
    return torch.minimum((ends(logits, temperature) <= u[..., None]).sum(-1), possible(logits, temperature))


@sample_categorical.alternative("counting the ends behind u")
def counting_ends_behind_u(logits, u, temperature=1.0):
    return logits.argmax(-1) if temperature == 0 else count_ends(logits, u, temperature)


@sample_categorical.alternative("searchsorted, with impossible levels kept out")
def searchsorted_with_impossible_levels_kept_out(logits, u, temperature=1.0):
    if temperature == 0:
        return torch.argmax(logits, dim=-1)
    p = torch.softmax(logits / temperature, -1)
    k = torch.searchsorted(p.cumsum(-1).contiguous(), u[..., None].contiguous(), right=True)[..., 0]
    levels = torch.arange(p.shape[-1], device=p.device)
    return torch.minimum(k, torch.where(p > 0, levels, -1).max(-1).values)


@sample_categorical.alternative("row by row, in plain Python")
def row_by_row_in_plain_python(logits, u, temperature=1.0):
    out = []
    for row, number in zip(logits.reshape(-1, logits.shape[-1]).tolist(), u.reshape(-1).tolist(), strict=True):
        if temperature == 0:
            out.append(row.index(max(row)))
            continue
        weights = [math.exp((value - max(row)) / temperature) for value in row]
        total, reached, chosen = sum(weights), 0.0, None
        for k, weight in enumerate(weights):
            if weight == 0:
                continue
            chosen, reached = k, reached + weight / total
            if number < reached:
                break
        out.append(chosen)
    return torch.tensor(out, device=u.device).reshape(u.shape)


@sample_categorical.alternative("first True, the last end set to infinity")
def first_true_last_end_set_to_infinity(logits, u, temperature=1.0):
    if not temperature:
        return logits.max(-1).indices
    p = (logits / temperature).softmax(-1)
    upto = p.cumsum(-1)
    tail = p.flip(-1).cumsum(-1).flip(-1) == p  # nothing possible comes after
    upto = torch.where(tail & (p > 0), torch.inf, upto)
    return (u[..., None] < upto).byte().argmax(-1)


def cold_as_well(draw):
    """A draw for temperatures above 0, with the likeliest level at 0."""

    @wraps(draw)
    def drawn(logits, u, temperature=1.0):
        return logits.argmax(-1) if temperature == 0 else draw(logits, u, temperature)

    return drawn


@sample_categorical.misconception(
    "the ends of pieces are counted with <",
    hint="A piece ends just before its end: u equal to an end belongs to the next piece. With < in the count, u = 0 "
    "draws a first level of probability 0.",
)
@cold_as_well
def ends_of_pieces_are_counted_with_less(logits, u, temperature):
    return torch.minimum((ends(logits, temperature) < u[..., None]).sum(-1), possible(logits, temperature))


@sample_categorical.misconception(
    "the last level where the sum ends below u",
    hint="Rounding can leave the whole sum at or below u. Then the last POSSIBLE level is drawn, which need not be the "
    "last one: that may have probability 0.",
)
@cold_as_well
def last_level_where_sum_ends_below_u(logits, u, temperature):
    return (ends(logits, temperature) <= u[..., None]).sum(-1).clamp(max=logits.shape[-1] - 1)


@sample_categorical.misconception(
    "a level beyond the last one",
    hint="Rounding can leave the whole sum at or below u, and the count is K then: no level. Take the last possible "
    "one.",
)
@cold_as_well
def level_beyond_last_one(logits, u, temperature):
    return (ends(logits, temperature) <= u[..., None]).sum(-1)


@sample_categorical.misconception(
    "level 0 where no piece holds u",
    hint="Rounding can leave the whole sum at or below u. A search that finds nothing answers 0 then; it is the last "
    "possible level.",
)
@cold_as_well
def level_0_where_no_piece_holds_u(logits, u, temperature):
    return (u[..., None] < ends(logits, temperature)).byte().argmax(-1)


@sample_categorical.misconception(
    "the temperature is not used",
    hint="Divide the logits by the temperature before the softmax.",
)
@cold_as_well
def temperature_is_not_used(logits, u, temperature):
    return count_ends(logits, u)


@sample_categorical.misconception(
    "multiplied by the temperature",
    hint="A low temperature sharpens: the logits are DIVIDED by it.",
)
@cold_as_well
def multiplied_by_temperature(logits, u, temperature):
    return count_ends(logits, u, 1 / temperature)


@sample_categorical.misconception(
    "the probabilities are divided by the temperature",
    hint="softmax(logits) / T does not sum to 1. Divide the logits, before the softmax.",
)
@cold_as_well
def probabilities_are_divided_by_temperature(logits, u, temperature):
    passed = (logits.softmax(-1) / temperature).cumsum(-1) <= u[..., None]
    return torch.minimum(passed.sum(-1), possible(logits))


@sample_categorical.misconception(
    "temperature 0 is a very low one",
    hint="Dividing by a small number instead of 0 does not tell logits that differ by less, and lets u choose among "
    "equal ones. At 0 it is the likeliest level, the lowest of several.",
)
def temperature_0_is_very_low_one(logits, u, temperature=1.0):
    return count_ends(logits, u, max(temperature, 1e-6))


@sample_categorical.misconception(
    "at temperature 0 the highest of equal levels",
    hint="Among levels with the same largest logit the LOWEST is taken, as argmax does.",
)
def at_temperature_0_highest_of_equal_levels(logits, u, temperature=1.0):
    if temperature == 0:
        return logits.shape[-1] - 1 - logits.flip(-1).argmax(-1)
    return count_ends(logits, u, temperature)


@sample_categorical.misconception(
    "always the likeliest level",
    hint="You take the largest logit and never look at u. Drawing gives every level its share.",
)
def always_likeliest_level(logits, u, temperature=1.0):
    return logits.argmax(-1)


@sample_categorical.misconception(
    "drawn by chance of its own",
    hint="All chance comes in through u: the same u always gives the same level. torch.multinomial draws numbers of "
    "its own.",
)
def drawn_by_chance_of_its_own(logits, u, temperature=1.0):
    if temperature == 0:
        return logits.argmax(-1)
    p = (logits / temperature).softmax(-1)
    return torch.multinomial(p.reshape(-1, p.shape[-1]), 1).reshape(u.shape)


@sample_categorical.misconception(
    "exponentials that overflow",
    hint="exp of 900 is infinite. A softmax takes the largest logit off first.",
)
@cold_as_well
def exponentials_that_overflow(logits, u, temperature):
    weights = (logits / temperature).exp()
    upto = (weights / weights.sum(-1, keepdim=True)).cumsum(-1)
    return torch.minimum((upto <= u[..., None]).sum(-1), possible(logits, temperature))


@sample_categorical.misconception(
    "from the last level down",
    hint="The pieces lie from level 0 upwards: a larger u never gives a lower level.",
)
@cold_as_well
def from_last_level_down(logits, u, temperature):
    return logits.shape[-1] - 1 - count_ends(logits.flip(-1), u, temperature)
