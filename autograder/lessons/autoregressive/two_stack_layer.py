"""A layer without a blind spot: `two_stack_layer`."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from ...exercise import exercise


@exercise("two_stack_layer", points=2)
def two_stack_layer(student, case):
    """(v', h'): v' from the rows up to r - s, h' from the columns up to c - s and from v' at its own place."""
    truth = two_stack_layer.oracle
    sizes = case.sizes(7, low=2, high=8)
    rows, taps = case.sizes(2, low=2, high=4)
    given = layer(case, sizes, rows, 3, taps)
    for kind, what in (("A", "kind A: moved by one"), ("B", "kind B")):
        got = case.unpack(student(*given, kind), "v'", "h'")
        case.expect(got, list(truth(*given, kind)), what, points=0.6)
    single = layer(case, sizes, 1, 1, 1), layer(case, sizes, taps, 5, rows)
    got = [case.unpack(student(*one, kind), "v'", "h'") for one in single for kind in "AB"]
    right = [list(truth(*one, kind)) for one in single for kind in "AB"]
    case.expect(got, right, "kernels of a single tap, and wider ones", points=0.4)
    alone = *layer(case, [1] * 7, 1, 1, 1), "B"
    case.conventions(student, (*given, "A"), truth, points=0.4, also=[alone])


def layer(case, sizes, rows, columns, taps):
    """(v, h, w_v, w_h, w_vh), all sizes different."""
    batch, height, width, inner, beside, stack, out = sizes
    shapes = (
        (batch, inner, height, width),
        (batch, beside, height, width),
        (stack, inner, rows, columns),
        (out, beside, 1, taps),
        (out, stack, 1, 1),
    )
    return tuple(case.normal(*shape) for shape in shapes)


def moved(x, down, right):
    """The image moved down and to the right (or back, below 0), zeros coming in."""
    height, width = x.shape[2:]
    out = torch.zeros_like(x)
    if abs(down) < height and abs(right) < width:
        to = [slice(max(0, step), size + min(0, step)) for step, size in ((down, height), (right, width))]
        at = [slice(max(0, -step), size + min(0, -step)) for step, size in ((down, height), (right, width))]
        out[:, :, to[0], to[1]] = x[:, :, at[0], at[1]]
    return out


@two_stack_layer.truth
def truth(v, h, w_v, w_h, w_vh, kind):
    """Tap by tap: the whole image moved to where the tap finds it, times the tap's matrix over the channels."""
    s, (rows, columns), taps = int(kind == "A"), w_v.shape[2:], w_h.shape[3]
    new_v, new_h = (x.new_zeros(len(x), len(w), *x.shape[2:]) for x, w in ((v, w_v), (h, w_h)))
    for i in range(rows):
        for j in range(columns):
            new_v = new_v + torch.einsum("bchw,oc->bohw", moved(v, s + rows - 1 - i, columns // 2 - j), w_v[:, :, i, j])
    for j in range(taps):
        new_h = new_h + torch.einsum("bchw,oc->bohw", moved(h, 0, s + taps - 1 - j), w_h[:, :, 0, j])
    return new_v, new_h + torch.einsum("bchw,oc->bohw", new_v, w_vh[:, :, 0, 0])


def both(v, h, w_v, w_h, w_vh, v_move, h_move, columns=None):
    """The right answer with the shift of each stack given, and where the columns of w_v are centred."""
    (rows, wide), taps = w_v.shape[2:], w_h.shape[3]
    left = wide // 2 if columns is None else columns
    new_v = F.conv2d(F.pad(v, (left, wide - 1 - left, rows - 1 + v_move, -v_move)), w_v)
    along = F.conv2d(F.pad(h, (taps - 1 + h_move, -h_move)), w_h)
    return new_v, along + F.conv2d(new_v, w_vh)


@two_stack_layer.alternative("padding in front, cutting behind")
def padding_in_front_cutting_behind(v, h, w_v, w_h, w_vh, kind):
    s = {"A": 1, "B": 0}[kind]
    return both(v, h, w_v, w_h, w_vh, s, s)


@two_stack_layer.alternative("larger kernels, their later taps zero")
def larger_kernels_their_later_taps_zero(v, h, w_v, w_h, w_vh, kind):
    s = 1 if kind == "A" else 0
    below, right = w_v.shape[2] - 1 + 2 * s, w_h.shape[3] - 1 + 2 * s
    tall = F.pad(w_v, (0, 0, 0, below))
    new_v = F.conv2d(v, tall, padding=((tall.shape[2] - 1) // 2, w_v.shape[3] // 2))
    long = F.pad(w_h, (0, right))
    new_h = F.conv2d(h, long, padding=(0, (long.shape[3] - 1) // 2))
    return new_v, new_h + torch.einsum("bvhw,dv->bdhw", new_v, w_vh[..., 0, 0])


@two_stack_layer.alternative("pixel by pixel")
def pixel_by_pixel(v, h, w_v, w_h, w_vh, kind):
    s = 0 if kind == "B" else 1
    (batch, _, height, width), (rows, columns), taps = v.shape, w_v.shape[2:], w_h.shape[3]
    tall = F.pad(v, (columns // 2, columns // 2, rows - 1 + s, 0))
    long = F.pad(h, (taps - 1 + s, 0))
    new_v = v.new_zeros(batch, len(w_v), height, width)
    new_h = h.new_zeros(batch, len(w_h), height, width)
    for r in range(height):
        for c in range(width):
            new_v[:, :, r, c] = torch.einsum("bcij,ocij->bo", tall[:, :, r : r + rows, c : c + columns], w_v)
            new_h[:, :, r, c] = torch.einsum("bcj,ocj->bo", long[:, :, r, c : c + taps], w_h[:, :, 0])
            new_h[:, :, r, c] += new_v[:, :, r, c] @ w_vh[:, :, 0, 0].T
    return new_v, new_h


@two_stack_layer.misconception(
    "kind A is not moved",
    hint="With A everything moves by one: v' at row r sees rows up to r - 1, h' at column c sees columns up to c - 1.",
)
def kind_a_is_not_moved(v, h, w_v, w_h, w_vh, kind):
    return both(v, h, w_v, w_h, w_vh, 0, 0)


@two_stack_layer.misconception(
    "kinds A and B are exchanged",
    hint="s = 1 belongs to A, the first layer, which must not see the pixel itself.",
)
def kinds_a_and_b_are_exchanged(v, h, w_v, w_h, w_vh, kind):
    s = int(kind == "B")
    return both(v, h, w_v, w_h, w_vh, s, s)


@two_stack_layer.misconception(
    "kind A moves the vertical stack alone",
    hint="s stands in both lines: the horizontal stack moves by one column as well.",
)
def kind_a_moves_vertical_stack_alone(v, h, w_v, w_h, w_vh, kind):
    return both(v, h, w_v, w_h, w_vh, int(kind == "A"), 0)


@two_stack_layer.misconception(
    "kind A moves the horizontal stack alone",
    hint="s stands in both lines: the vertical stack moves by one row as well.",
)
def kind_a_moves_horizontal_stack_alone(v, h, w_v, w_h, w_vh, kind):
    return both(v, h, w_v, w_h, w_vh, 0, int(kind == "A"))


@two_stack_layer.misconception(
    "both kinds are moved",
    hint="In later layers (B) s = 0: what stands at the place itself was made from earlier pixels and may be used.",
)
def both_kinds_are_moved(v, h, w_v, w_h, w_vh, kind):
    return both(v, h, w_v, w_h, w_vh, 1, 1)


@two_stack_layer.misconception(
    "the vertical stack does not reach the horizontal one",
    hint="h' needs w_vh v' at its own place; without it the horizontal stack knows its row alone.",
)
def vertical_stack_does_not_reach_horizontal_one(v, h, w_v, w_h, w_vh, kind):
    new_v, new_h = padding_in_front_cutting_behind(v, h, w_v, w_h, w_vh, kind)
    return new_v, new_h - F.conv2d(new_v, w_vh)


@two_stack_layer.misconception(
    "rows centred, as in an ordinary convolution",
    hint="Zeros on both sides centre the kernel, and it looks below its own row. All rows of zeros go above: the LAST"
    " row of w_v meets row r - s.",
)
def rows_centred(v, h, w_v, w_h, w_vh, kind):
    s, rows = int(kind == "A"), w_v.shape[2]
    wide = w_v.shape[3] // 2
    above = (rows - 1) // 2
    new_v = F.conv2d(F.pad(v, (wide, wide, above + s, rows - 1 - above - s)), w_v)
    _, old = both(v, h, w_v, w_h, w_vh, s, s)
    right_v, _ = both(v, h, w_v, w_h, w_vh, s, s)
    return new_v, old - F.conv2d(right_v, w_vh) + F.conv2d(new_v, w_vh)


@two_stack_layer.misconception(
    "the row is centred, as in an ordinary convolution",
    hint="The horizontal stack looks to the left only: all zeros go in front, and the LAST tap meets column c - s.",
)
def row_is_centred(v, h, w_v, w_h, w_vh, kind):
    s, taps = int(kind == "A"), w_h.shape[3]
    new_v, _ = both(v, h, w_v, w_h, w_vh, s, s)
    before = (taps - 1) // 2
    along = F.conv2d(F.pad(h, (before + s, taps - 1 - before - s)), w_h)
    return new_v, along + F.conv2d(new_v, w_vh)


@two_stack_layer.misconception(
    "the vertical stack looks to the left only",
    hint="Rows above are earlier over their whole width: the columns of w_v are centred. That is what cures the blind"
    " spot.",
)
def vertical_stack_looks_to_left_only(v, h, w_v, w_h, w_vh, kind):
    s = int(kind == "A")
    return both(v, h, w_v, w_h, w_vh, s, s, columns=w_v.shape[3] - 1)


@two_stack_layer.misconception(
    "the kernels are turned over",
    hint="The first row of w_v meets the row farthest above, as conv2d has it: nothing is flipped.",
)
def kernels_are_turned_over(v, h, w_v, w_h, w_vh, kind):
    s = int(kind == "A")
    return both(v, h, w_v.flip(2, 3), w_h.flip(3), w_vh, s, s)


@two_stack_layer.misconception(
    "the far side comes in at the border",
    hint="Outside the image there are zeros. torch.roll brings in the opposite side, and with it pixels that come "
    "later.",
)
def far_side_comes_in_at_border(v, h, w_v, w_h, w_vh, kind):
    s = int(kind == "A")
    return both(v.roll(s, 2), h.roll(s, 3), w_v, w_h, w_vh, 0, 0)


@two_stack_layer.misconception(
    "h' stands before v'",
    hint="The answer is (v', h'), in this order.",
)
def h_stands_before_v(v, h, w_v, w_h, w_vh, kind):
    return padding_in_front_cutting_behind(v, h, w_v, w_h, w_vh, kind)[::-1]
