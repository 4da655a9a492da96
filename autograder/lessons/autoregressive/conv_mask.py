"""The mask of a causal convolution: `conv_mask`."""

from __future__ import annotations

import torch

from ...exercise import exercise
from ...student import Failure


@exercise("conv_mask", points=3)
def conv_mask(student, case):
    """Open above and to the left; at the centre by colour, strictly before (A) or not after (B)."""
    truth = conv_mask.oracle

    def both(*given):
        return [student(*one) for one in given], [truth(*one) for one in given]

    out, inner, kh, kw = case.sizes(4, low=2, high=5)
    kernel = (2 * kh + 1, 2 * kw + 1)
    for kind in "AB":
        grey = (kind, out, inner, kernel), (kind, inner, out, kernel)
        case.expect(*both(*grey, (kind, 1, 1, (3, 3))), f"kind {kind}, grey", points=0.5, dtype=True)
    each = case.sizes(2, low=2, high=4)
    for kind in "AB":
        case.expect(
            *both((kind, 3 * each[0], 3 * each[1], kernel, 3), (kind, 2 * each[1], 2 * each[0], (3, 5), 2)),
            f"kind {kind}, three colours and two",
            points=0.75,
        )
    case.expect(
        *both(
            *((kind, 3 * each[0], 3 * each[1], (1, 1), 3) for kind in "AB"), ("A", 2, 3, (1, 5)), ("B", 3, 2, (5, 1))
        ),
        "kernels of a single row, column or tap",
        points=0.25,
    )
    wrong = [refusal(student(kind, out, inner, kernel)) for kind in ("a", "C", "AB")]
    whole = student("A", out, inner, kernel)
    case.expect(
        [*wrong, whole if isinstance(whole, Failure) else isinstance(whole, torch.Tensor)],
        [*["ValueError"] * 3, True],
        "a ValueError for any other kind",
        points=0.25,
        hint="a misspelt kind must not silently mean one of the two",
    )


def refusal(value):
    """The name of the exception that a call ended in; its value where there was none, the Failure where nothing
    answered.
    """
    if not isinstance(value, Failure):
        return "words" if isinstance(value, str) else value
    return value.cause.partition(":")[0] if value.kind == "raised" else value


@conv_mask.truth
def truth(kind, out_channels, in_channels, kernel_size, colours=1):
    """As Kronecker products: all channels times the taps before the centre, plus a triangle of colours times the
    centre.
    """
    if kind not in ("A", "B"):
        raise ValueError(f"no kind {kind!r}")
    taps = kernel_size[0] * kernel_size[1]
    before, centre = torch.zeros(2, 1, taps)
    before[:, : taps // 2], centre[:, taps // 2] = 1, 1
    triangle = torch.ones(colours, colours).tril(-1 if kind == "A" else 0)
    allowed = torch.kron(triangle, torch.ones(out_channels // colours, in_channels // colours))
    everywhere = torch.kron(torch.ones(out_channels, in_channels), before)
    return (everywhere + torch.kron(allowed, centre)).reshape(out_channels, in_channels, *kernel_size)


def groups(channels, colours):
    """The colour of each channel."""
    return torch.arange(channels) // (channels // colours)


def opened(kernel_size):
    """The taps before the centre, (kh, kw)."""
    kh, kw = kernel_size
    mask = torch.zeros(kh, kw)
    mask[: kh // 2], mask[kh // 2, : kw // 2] = 1, 1
    return mask


def masked(kind, out, inner, kernel_size, before, centre):
    """A mask from the open taps (kh, kw) and what is open at the centre, (out, in); other kinds are refused."""
    if kind not in ("A", "B"):
        raise ValueError(kind)
    mask = before.expand(out, inner, -1, -1).clone()
    mask[:, :, kernel_size[0] // 2, kernel_size[1] // 2] = centre.float().expand(out, inner)
    return mask


def compared(kind, out, inner, colours):
    """What is open at the centre, (out, in)."""
    own, tap = groups(out, colours)[:, None], groups(inner, colours)[None]
    return tap < own if kind == "A" else tap <= own


@conv_mask.alternative("slices, and a comparison of colours")
def slices_and_comparison_of_colours(kind, out_channels, in_channels, kernel_size, colours=1):
    centre = compared(kind, out_channels, in_channels, colours)
    return masked(kind, out_channels, in_channels, kernel_size, opened(kernel_size), centre)


@conv_mask.alternative("tap by tap")
def tap_by_tap(kind, out_channels, in_channels, kernel_size, colours=1):
    if kind != "A" and kind != "B":
        raise ValueError('kind must be "A" or "B"')
    kh, kw = kernel_size
    mask = torch.zeros(out_channels, in_channels, kh, kw)
    for o in range(out_channels):
        for i in range(in_channels):
            own, tap = o * colours // out_channels, i * colours // in_channels
            for r in range(kh):
                for c in range(kw):
                    earlier = r < kh // 2 or (r == kh // 2 and c < kw // 2)
                    at_centre = (r, c) == (kh // 2, kw // 2)
                    if earlier or (at_centre and (tap < own or (kind == "B" and tap == own))):
                        mask[o, i, r, c] = 1.0
    return mask


@conv_mask.alternative("ones, closed colour by colour")
def ones_closed_colour_by_colour(kind, out_channels, in_channels, kernel_size, colours=1):
    if kind not in {"A", "B"}:
        raise ValueError
    kh, kw = kernel_size
    mask = torch.ones(out_channels, in_channels, kh * kw)
    mask[:, :, kh * kw // 2 :] = 0
    out, inner = out_channels // colours, in_channels // colours
    for colour in range(colours):
        upto = (colour + (kind == "B")) * inner
        mask[colour * out : (colour + 1) * out, :upto, kh * kw // 2] = 1
    return mask.reshape(out_channels, in_channels, kh, kw)


@conv_mask.misconception(
    "kinds A and B are exchanged",
    hint="A is for the first layer, which must not see the pixel itself: closed at the centre (for the same colour). "
    "B is open there.",
)
def kinds_a_and_b_are_exchanged(kind, out_channels, in_channels, kernel_size, colours=1):
    centre = compared({"A": "B"}.get(kind, "A"), out_channels, in_channels, colours)
    return masked(kind, out_channels, in_channels, kernel_size, opened(kernel_size), centre)


@conv_mask.misconception(
    "the centre is open for every kind",
    hint="With A an output must not see its own input at the centre: that is the value it is to predict.",
)
def centre_is_open_for_every_kind(kind, out_channels, in_channels, kernel_size, colours=1):
    centre = compared("B", out_channels, in_channels, colours)
    return masked(kind, out_channels, in_channels, kernel_size, opened(kernel_size), centre)


@conv_mask.misconception(
    "the centre is closed for every kind",
    hint="With B an output may see inputs of its own colour at the centre: in later layers these know the past alone.",
)
def centre_is_closed_for_every_kind(kind, out_channels, in_channels, kernel_size, colours=1):
    centre = compared("A", out_channels, in_channels, colours)
    return masked(kind, out_channels, in_channels, kernel_size, opened(kernel_size), centre)


@conv_mask.misconception(
    "the colours are not used",
    hint="Your centre is all open or all closed. In colour, green may see red of the same pixel, even with A.",
)
def colours_are_not_used(kind, out_channels, in_channels, kernel_size, colours=1):
    centre = compared(kind, out_channels, in_channels, 1)
    return masked(kind, out_channels, in_channels, kernel_size, opened(kernel_size), centre)


@conv_mask.misconception(
    "the colours take turns",
    hint="The groups are consecutive, r r r g g g b b b: divide the channel's number by the size of a group. You take"
    " the remainder, r g b r g b.",
)
def colours_take_turns(kind, out_channels, in_channels, kernel_size, colours=1):
    own, tap = torch.arange(out_channels)[:, None] % colours, torch.arange(in_channels)[None] % colours
    centre = tap < own if kind == "A" else tap <= own
    return masked(kind, out_channels, in_channels, kernel_size, opened(kernel_size), centre)


@conv_mask.misconception(
    "the colours in the opposite order",
    hint="An output sees the colours BEFORE its own: green sees red, and red does not see green.",
)
def colours_in_opposite_order(kind, out_channels, in_channels, kernel_size, colours=1):
    own, tap = groups(out_channels, colours)[:, None], groups(in_channels, colours)[None]
    centre = tap > own if kind == "A" else tap >= own
    return masked(kind, out_channels, in_channels, kernel_size, opened(kernel_size), centre)


@conv_mask.misconception(
    "the colours close earlier pixels too",
    hint="The colours matter at the centre alone. Of earlier pixels every colour is known.",
)
def colours_close_earlier_pixels_too(kind, out_channels, in_channels, kernel_size, colours=1):
    centre = compared(kind, out_channels, in_channels, colours)
    mask = masked(kind, out_channels, in_channels, kernel_size, opened(kernel_size), centre)
    return mask * compared("B", out_channels, in_channels, colours).float()[:, :, None, None]


@conv_mask.misconception(
    "inputs stand before outputs",
    hint="The mask multiplies a convolution's weight, and that has the outputs first: (out, in, kh, kw).",
)
def inputs_stand_before_outputs(kind, out_channels, in_channels, kernel_size, colours=1):
    return slices_and_comparison_of_colours(kind, out_channels, in_channels, kernel_size, colours).transpose(0, 1)


@conv_mask.misconception(
    "the groups of the inputs for the outputs too",
    hint="Outputs and inputs may be of different number: a group of outputs has out / colours channels, one of inputs"
    " in / colours.",
)
def groups_of_inputs_for_outputs_too(kind, out_channels, in_channels, kernel_size, colours=1):
    size = in_channels // colours
    own, tap = torch.arange(out_channels)[:, None] // size, torch.arange(in_channels)[None] // size
    centre = tap < own if kind == "A" else tap <= own
    return masked(kind, out_channels, in_channels, kernel_size, opened(kernel_size), centre)


@conv_mask.misconception(
    "the taps to the right are open",
    hint="In the centre's row only the taps to the LEFT are of earlier pixels.",
)
def taps_to_right_are_open(kind, out_channels, in_channels, kernel_size, colours=1):
    before = opened(kernel_size)
    before[kernel_size[0] // 2] = 1
    centre = compared(kind, out_channels, in_channels, colours)
    return masked(kind, out_channels, in_channels, kernel_size, before, centre)


@conv_mask.misconception(
    "above and to the right is closed",
    hint="Rows above the centre are earlier over their whole width, to the right of the centre too.",
)
def above_and_to_right_is_closed(kind, out_channels, in_channels, kernel_size, colours=1):
    before = opened(kernel_size)
    before[:, kernel_size[1] // 2 + 1 :] = 0
    centre = compared(kind, out_channels, in_channels, colours)
    return masked(kind, out_channels, in_channels, kernel_size, before, centre)


@conv_mask.misconception(
    "the centre's row is closed to the left",
    hint="The pixels to the left in the same row come earlier as well.",
)
def centres_row_is_closed_to_left(kind, out_channels, in_channels, kernel_size, colours=1):
    before = opened(kernel_size)
    before[kernel_size[0] // 2] = 0
    centre = compared(kind, out_channels, in_channels, colours)
    return masked(kind, out_channels, in_channels, kernel_size, before, centre)


@conv_mask.misconception(
    "the rows above are closed",
    hint="Raster order goes row by row: all that lies above comes earlier, in every column of the kernel.",
)
def rows_above_are_closed(kind, out_channels, in_channels, kernel_size, colours=1):
    before = opened(kernel_size)
    before[: kernel_size[0] // 2] = 0
    centre = compared(kind, out_channels, in_channels, colours)
    return masked(kind, out_channels, in_channels, kernel_size, before, centre)


@conv_mask.misconception(
    "the rows below instead of those above",
    hint="The first row of a kernel meets the pixels above. Earlier pixels lie above: open the rows before the centre.",
)
def rows_below_instead_of_those_above(kind, out_channels, in_channels, kernel_size, colours=1):
    centre = compared(kind, out_channels, in_channels, colours)
    return masked(kind, out_channels, in_channels, kernel_size, opened(kernel_size).flip(0, 1), centre)


@conv_mask.misconception(
    "any other kind passes",
    hint='Only "A" and "B" exist. A misspelt kind that is taken for one of them is a leak nobody notices: raise '
    "ValueError.",
)
def any_other_kind_passes(kind, out_channels, in_channels, kernel_size, colours=1):
    centre = compared("A" if kind == "A" else "B", out_channels, in_channels, colours)
    return masked("A", out_channels, in_channels, kernel_size, opened(kernel_size), centre)


@conv_mask.misconception(
    "small letters pass",
    hint='The kinds are "A" and "B". "a" is another kind, and a ValueError.',
)
def small_letters_pass(kind, out_channels, in_channels, kernel_size, colours=1):
    return slices_and_comparison_of_colours(kind.upper(), out_channels, in_channels, kernel_size, colours)


@conv_mask.misconception(
    "the mask is boolean",
    hint="The right entries, but it is to multiply a weight: float32 zeros and ones.",
)
def mask_is_boolean(kind, out_channels, in_channels, kernel_size, colours=1):
    return slices_and_comparison_of_colours(kind, out_channels, in_channels, kernel_size, colours).bool()
