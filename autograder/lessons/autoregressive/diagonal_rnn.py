"""A recurrence from the left and from above: `diagonal_rnn`."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from ...exercise import exercise
from ...sandbox.wire import Source
from ...student import Failure

# A cell on the student's side, so that gradients flow through it.
CELL = """
def cell(inputs, left, above):
    a, b, c = (torch.tensor(weights, dtype=inputs.dtype) for weights in ({inputs}, {left}, {above}))
    return torch.tanh(inputs @ a + left @ b + above @ c + 0.1)
"""


@exercise("diagonal_rnn", points=2)
def diagonal_rnn(student, case):
    """h[r, c] = cell(inputs[r, c], h[r, c-1], h[r-1, c]), zeros outside, one call for each diagonal."""
    truth = diagonal_rnn.oracle
    batch, channels, hidden, height, width = case.sizes(5, low=2, high=7)
    cell = Cell(case, channels, hidden)
    inputs = case.normal(batch, channels, height, width)
    got = student(cell, inputs, hidden)
    calls = got if isinstance(got, Failure) else cell.calls
    case.expect(got, truth(cell, inputs, hidden), "more rows than columns, or fewer", points=0.6, dtype=True)
    case.expect(calls, height + width - 1, "one call for each diagonal", points=0.4)
    thin = [inputs[:, :, :1], inputs[:, :, :, :1], inputs[:, :, -1:, -1:]]
    case.expect(
        [student(cell, image, hidden) for image in thin],
        [truth(cell, image, hidden) for image in thin],
        "a single row, a single column, a single pixel",
        points=0.3,
    )
    source = cell.source()
    leaf, each = inputs.clone().requires_grad_(), case.normal(batch, hidden, height, width)
    (slope,) = torch.autograd.grad((each * truth(source.run(), leaf, hidden)).sum(), leaf)
    case.expect(
        student.gradient(source, inputs, hidden, weights=[each], wrt=[1]),
        [slope],
        "its gradient with respect to every input",
        points=0.4,
        hint="the states must stay connected to one another: no detach, no .data, no torch.no_grad()",
    )
    case.conventions(student, (source, inputs, hidden), truth, points=0.3)


class Cell:
    """tanh(inputs a + left b + above c + 0.1), row by row; it counts its calls."""

    def __init__(self, case, channels, hidden):
        self.inputs, self.left, self.above = (0.6 * case.normal(size, hidden) for size in (channels, hidden, hidden))
        self.calls = 0

    def __call__(self, inputs, left, above):
        self.calls += 1
        if not inputs.ndim == left.ndim == above.ndim == 2:
            raise ValueError("the cell wants inputs (M, C), left (M, D) and above (M, D)")
        return torch.tanh(inputs @ self.inputs + left @ self.left + above @ self.above + 0.1)

    def source(self):
        names = {name: getattr(self, name).tolist() for name in ("inputs", "left", "above")}
        return Source(CELL.format(**names), "cell")


@diagonal_rnn.truth
def truth(cell, inputs, hidden_dim):
    """All pixels at once, from zeros, H + W - 1 times: after k rounds the first k diagonals no longer change."""
    batch, channels, height, width = inputs.shape
    rows = inputs.movedim(1, -1).reshape(-1, channels)
    h = inputs.new_zeros(batch, hidden_dim, height, width)
    for _ in range(height + width - 1):
        left, above = F.pad(h, (1, -1)), F.pad(h, (0, 0, 1, -1))
        beside = [part.movedim(1, -1).reshape(-1, hidden_dim) for part in (left, above)]
        h = cell(rows, *beside).reshape(batch, height, width, hidden_dim).movedim(-1, 1)
    return h


def diagonals(height, width):
    """(rows, columns) of each diagonal."""
    for d in range(height + width - 1):
        r = torch.arange(max(0, d - width + 1), min(height, d + 1))
        yield r, d - r


def by_diagonals(cell, inputs, hidden, left=(0, -1), above=(-1, 0), cut=lambda h: h):
    """The right answer; `left` and `above` are where the two states come from, `cut` acts on each new state."""
    batch, channels, height, width = inputs.shape
    h: dict[tuple[int, int], torch.Tensor] = {}
    zero = inputs.new_zeros(batch, hidden)
    for rows, columns in diagonals(height, width):
        places = list(zip(rows.tolist(), columns.tolist(), strict=True))
        x = torch.stack([inputs[:, :, r, c] for r, c in places]).reshape(-1, channels)
        beside = [
            torch.stack([h.get((r + i, c + j), zero) for r, c in places]).reshape(-1, hidden) for i, j in (left, above)
        ]
        new = cut(cell(x, *beside)).reshape(len(places), batch, hidden)
        h.update(zip(places, new, strict=True))
    return gathered(h, height, width)


def gathered(h, height, width):
    rows = [torch.stack([h[r, c] for c in range(width)], -1) for r in range(height)]
    return torch.stack(rows, -2)


@diagonal_rnn.alternative("a dictionary of states")
def dictionary_of_states(cell, inputs, hidden_dim):
    return by_diagonals(cell, inputs, hidden_dim)


@diagonal_rnn.alternative("a skewed image, column by column")
def skewed_image_column_by_column(cell, inputs, hidden_dim):
    B, C, H, W = inputs.shape
    skewed = inputs.new_zeros(B, C, H, H + W - 1)
    for r in range(H):
        skewed[:, :, r, r : r + W] = inputs[:, :, r]
    state, out = inputs.new_zeros(B, H, hidden_dim), []
    for d in range(H + W - 1):
        above = torch.cat([state.new_zeros(B, 1, hidden_dim), state[:, :-1]], 1)
        x = skewed[..., d].transpose(1, 2)
        new = cell(x.reshape(B * H, C), state.reshape(B * H, -1), above.reshape(B * H, -1)).reshape(B, H, -1)
        inside = torch.tensor([0 <= d - r < W for r in range(H)], device=inputs.device)
        state = torch.where(inside[:, None], new, torch.zeros_like(new))
        out.append(state)
    stacked = torch.stack(out, -1)  # (B, H, D, H + W - 1)
    return torch.stack([stacked[:, r, :, r : r + W] for r in range(H)], 2)


@diagonal_rnn.alternative("a padded table, read and written by index")
def padded_table_read_and_written_by_index(cell, inputs, hidden_dim):
    B, C, H, W = inputs.shape
    h = inputs.new_zeros(B, H + 1, W + 1, hidden_dim)
    image = inputs.permute(0, 2, 3, 1)
    for d in range(H + W - 1):
        r = torch.tensor([i for i in range(H) if 0 <= d - i < W])
        c = d - r
        new = cell(
            image[:, r, c].reshape(-1, C),
            h[:, r + 1, c].reshape(B * len(r), -1),
            h[:, r, c + 1].reshape(B * len(r), -1),
        )
        h = h.clone()
        h[:, r + 1, c + 1] = new.reshape(B, len(r), -1)
    return h[:, 1:, 1:].permute(0, 3, 1, 2)


@diagonal_rnn.misconception(
    "left and above are exchanged",
    hint="The cell's second argument is the state to the left, (r, c - 1), the third the one above, (r - 1, c).",
)
def left_and_above_are_exchanged(cell, inputs, hidden_dim):
    return by_diagonals(cell, inputs, hidden_dim, left=(-1, 0), above=(0, -1))


@diagonal_rnn.misconception(
    "pixel by pixel",
    hint="The states are right, but it takes H W calls one after the other. All pixels with the same r + c can go into "
    "one.",
)
def pixel_by_pixel(cell, inputs, hidden_dim):
    batch, _, height, width = inputs.shape
    h: dict[tuple[int, int], torch.Tensor] = {}
    zero = inputs.new_zeros(batch, hidden_dim)
    for r in range(height):
        for c in range(width):
            h[r, c] = cell(inputs[:, :, r, c], h.get((r, c - 1), zero), h.get((r - 1, c), zero))
    return gathered(h, height, width)


@diagonal_rnn.misconception(
    "a call for each image of the batch",
    hint="The cell works row by row, so the images of the batch go into the same call: H + W - 1 calls in all.",
)
def call_for_each_image_of_batch(cell, inputs, hidden_dim):
    return torch.cat([by_diagonals(cell, image[None], hidden_dim) for image in inputs])


@diagonal_rnn.misconception(
    "above means above and to the left",
    hint="The state above (r, c) is that of (r - 1, c), in the same column. In a table with a border both indices "
    "move.",
)
def above_means_above_and_to_left(cell, inputs, hidden_dim):
    return by_diagonals(cell, inputs, hidden_dim, above=(-1, -1))


@diagonal_rnn.misconception(
    "the state above is not used",
    hint="You pass zeros (or the left state twice) in place of the state above: that is a recurrence along rows.",
)
def state_above_is_not_used(cell, inputs, hidden_dim):
    return by_diagonals(cell, inputs, hidden_dim, above=(99, 99))


@diagonal_rnn.misconception(
    "the state to the left is not used",
    hint="You pass zeros in place of the left state: that is a recurrence along columns.",
)
def state_to_left_is_not_used(cell, inputs, hidden_dim):
    return by_diagonals(cell, inputs, hidden_dim, left=(99, 99))


@diagonal_rnn.misconception(
    "the image's far side stands where the outside is",
    hint="Outside the image the state is 0. An index of -1 (or torch.roll) takes the last column or row in its place.",
)
def images_far_side_stands_where_outside_is(cell, inputs, hidden_dim):
    batch, _, height, width = inputs.shape
    h = inputs.new_ones(batch, hidden_dim, height, width) * 0.5
    for r, c in diagonals(height, width):
        parts = [inputs[:, :, r, c], h[:, :, r, c - 1].clone(), h[:, :, r - 1, c].clone()]
        new = cell(*[part.transpose(1, 2).reshape(-1, part.shape[1]) for part in parts])
        h = h.clone()
        h[:, :, r, c] = new.reshape(batch, len(r), hidden_dim).transpose(1, 2)
    return h


@diagonal_rnn.misconception(
    "batch and diagonal are mixed up",
    hint="(B, L, D) flattened has B L rows in this order; unflatten them in the same order, and only then move the "
    "axes.",
)
def batch_and_diagonal_are_mixed_up(cell, inputs, hidden_dim):
    batch, _, height, width = inputs.shape
    h = inputs.new_zeros(batch, hidden_dim, height + 1, width + 1)
    for r, c in diagonals(height, width):
        parts = [inputs[:, :, r, c], h[:, :, r + 1, c], h[:, :, r, c + 1]]
        new = cell(*[part.transpose(1, 2).reshape(-1, part.shape[1]) for part in parts])
        h = h.clone()
        h[:, :, r + 1, c + 1] = new.reshape(len(r), batch, hidden_dim).permute(1, 2, 0)
    return h[:, :, 1:, 1:]


@diagonal_rnn.misconception(
    "channels and diagonal are mixed up",
    hint="A diagonal is (B, C, L), and the cell wants rows (B L, C): move the channels to the end before you flatten, "
    "and back afterwards.",
)
def channels_and_diagonal_are_mixed_up(cell, inputs, hidden_dim):
    batch, _, height, width = inputs.shape
    h = inputs.new_zeros(batch, hidden_dim, height + 1, width + 1)
    for r, c in diagonals(height, width):
        parts = [inputs[:, :, r, c], h[:, :, r + 1, c], h[:, :, r, c + 1]]
        new = cell(*[part.reshape(-1, part.shape[1]) for part in parts])
        h = h.clone()
        h[:, :, r + 1, c + 1] = new.reshape(batch, hidden_dim, len(r))
    return h[:, :, 1:, 1:]


@diagonal_rnn.misconception(
    "no gradient between the states",
    hint="The values are right, but each state is cut off from the one before: no detach and no .data.",
)
def no_gradient_between_states(cell, inputs, hidden_dim):
    batch, _, height, width = inputs.shape
    h = inputs.new_zeros(batch, hidden_dim, height + 1, width + 1)
    out = {}
    for r, c in diagonals(height, width):
        parts = [inputs[:, :, r, c], h[:, :, r + 1, c], h[:, :, r, c + 1]]
        new = cell(*[part.transpose(1, 2).reshape(-1, part.shape[1]) for part in parts])
        new = new.reshape(batch, len(r), hidden_dim).transpose(1, 2)
        h[:, :, r + 1, c + 1] = new.detach()
        out.update({(i, j): new[:, :, n] for n, (i, j) in enumerate(zip(r.tolist(), c.tolist(), strict=True))})
    return gathered(out, height, width)


@diagonal_rnn.misconception(
    "channels last",
    hint="The states come back as (B, D, H, W), like an image.",
)
def channels_last(cell, inputs, hidden_dim):
    return by_diagonals(cell, inputs, hidden_dim).movedim(1, -1)


@diagonal_rnn.misconception(
    "the border is left on",
    hint="The extra row and column of zeros are a help inside; the answer is (B, D, H, W).",
)
def border_is_left_on(cell, inputs, hidden_dim):
    return F.pad(by_diagonals(cell, inputs, hidden_dim), (1, 0, 1, 0))


@diagonal_rnn.misconception(
    "from the lower right corner",
    hint="The recurrence runs from the upper left: a state depends on what is to its left and above.",
)
def from_lower_right_corner(cell, inputs, hidden_dim):
    return by_diagonals(cell, inputs.flip(2, 3), hidden_dim).flip(2, 3)
