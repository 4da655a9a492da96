"""Who looks at whom, by derivatives: `dependencies`."""

from __future__ import annotations

import torch

from ...exercise import exercise
from ...sandbox.wire import Source

PROLOGUE = """
import torch.nn.functional as F

def mixed(x, matrix, out):
    matrix = torch.tensor(matrix, dtype=x.dtype)
    return (matrix @ x.flatten()).reshape(1, out, *x.shape[2:])
"""


@exercise("dependencies", points=1)
def dependencies(student, case):
    """BoolTensor (H W, H W): [i, j], has any output channel at pixel i a slope by any input channel at pixel j?"""
    truth = dependencies.oracle
    (height, width), channels, out = case.sizes(2, low=2, high=4), 2, 3
    x = case.normal(1, channels, height, width)

    def both(*sources):
        return [student(source, x) for source in sources], [truth(source.run(), x) for source in sources]

    def net(ending, scale=1.0):
        """A function with random dependencies, each channel of a pixel with some of its own."""
        return network(case, channels, out, height, width, ending, scale)

    case.expect(*both(net("(y / 4).tanh()")), "a random network on an image that is no square", points=0.25, dtype=True)
    case.expect(
        *both(net("y.softmax(1)"), net("torch.cat([y, -y], 1)")), "output channels whose slopes cancel", points=0.2
    )
    apart = cancelling(case, height, width)
    case.expect(*both(apart), "input channels whose slopes cancel", points=0.15)
    case.expect(*both(net("-y - y**2", 1e-4), net("1e-6 * (y / 4).exp()")), "small and negative slopes", points=0.2)
    ignoring = Source("def f(x):\n    return torch.ones(1, 2, *x.shape[2:], dtype=x.dtype)", "f")
    case.expect(*both(net("(y / 4).exp()"), ignoring), "a function that ignores its input", points=0.1)
    single = Source("def f(x):\n    return 1e-9 * x.sin()", "f"), case.uniform(1, 1, 1, 1, low=-1.0)
    case.conventions(student, (net("(y / 4).tanh()"), x), truth, points=0.1, also=[single])


def network(case, channels, out, height, width, ending, scale=1.0):
    """A `Source` of f: every output number a mixture of a few random input numbers, then `ending`."""
    outputs, inputs = out * height * width, channels * height * width
    open_ = case.uniform(outputs, inputs) < 1.5 / height / width
    matrix = scale * torch.where(open_, case.uniform(outputs, inputs, low=0.5, high=1.5), 0.0)
    text = f"{PROLOGUE}\ndef f(x):\n    y = mixed(x, {matrix.tolist()}, {out})\n    return {ending}\n"
    return Source(text, "f")


def cancelling(case, height, width):
    """A `Source` of f that takes the difference of the two input channels, all pixels moved on by one
    or two, which is not its own inverse.
    """
    order = torch.arange(height * width).roll(case.integer(1, 2)).tolist()
    text = f"""
def f(x):
    difference = (x[:, 0] - x[:, 1]).flatten(1)[:, {order}]
    return difference.reshape(1, 1, *x.shape[2:])
"""
    return Source(text, "f")


@dependencies.truth
def truth(f, x):
    """Forward: one input number is moved at a time, and its tangent is carried through f."""
    x = x.detach().double()
    pixels = x.shape[2] * x.shape[3]
    columns = []
    for place in range(x.numel()):
        direction = torch.zeros(x.numel(), dtype=x.dtype)
        direction[place] = 1
        tangent = torch.func.jvp(f, (x,), (direction.reshape(x.shape),))[1]
        columns.append((tangent != 0).any(1).reshape(-1))
    return torch.stack(columns, 1).reshape(-1, x.shape[1], pixels).any(1)


def slopes(f, x):
    """All derivatives, (K, N, C, N)."""
    pixels = x.shape[2] * x.shape[3]
    full = torch.autograd.functional.jacobian(f, x.detach())
    return full.reshape(-1, pixels, x.shape[1], pixels)


@dependencies.alternative("torch's jacobian")
def torchs_jacobian(f, x):
    return (slopes(f, x) != 0).any(2).any(0)


@dependencies.alternative("a loop over outputs")
def loop_over_outputs(f, x):
    leaf = x.detach().clone().requires_grad_(True)
    y = f(leaf)
    H, W = x.shape[-2:]
    found = torch.zeros(H * W, H * W, dtype=torch.bool, device=x.device)
    if not y.requires_grad:
        return found
    for k in range(y.shape[1]):
        for i in range(H * W):
            (g,) = torch.autograd.grad(y[0, k].reshape(-1)[i], leaf, retain_graph=True, allow_unused=True)
            if g is not None:
                found[i] |= (g[0] != 0).any(0).reshape(-1)
    return found


@dependencies.alternative("all vectors at once by vmap")
def all_vectors_at_once_by_vmap(f, x):
    jacobian = torch.func.jacrev(f)(x.detach())  # (1, K, H, W, 1, C, H, W)
    n = x[0, 0].numel()
    moved = jacobian.abs().amax(dim=(0, 1, 4, 5))
    return moved.reshape(n, n) > 0


@dependencies.misconception(
    "rows and columns are exchanged",
    hint="Entry [i, j] is about output i and input j: the first index is the output's pixel.",
)
def rows_and_columns_are_exchanged(f, x):
    return (slopes(f, x) != 0).any(2).any(0).T


@dependencies.misconception(
    "output channels are added before the derivative",
    hint="Slopes of different channels may cancel; those of a softmax always do. Differentiate every output number by "
    "itself.",
)
def output_channels_are_added_before_derivative(f, x):
    return (slopes(f, x).sum(0).abs() > 1e-9).any(1)


@dependencies.misconception(
    "only the first output channel",
    hint="Any output channel at the pixel counts.",
)
def only_first_output_channel(f, x):
    return (slopes(f, x)[0] != 0).any(1)


@dependencies.misconception(
    "only the first input channel",
    hint="Any input channel at the pixel counts.",
)
def only_first_input_channel(f, x):
    return (slopes(f, x)[:, :, 0] != 0).any(0)


@dependencies.misconception(
    "input channels are added",
    hint="Slopes by different input channels may cancel in a sum. Ask != 0 for each, then any.",
)
def input_channels_are_added(f, x):
    return (slopes(f, x).sum(2) != 0).any(0)


@dependencies.misconception(
    "negative slopes are left out",
    hint="A negative derivative is a dependence too: != 0, not > 0.",
)
def negative_slopes_are_left_out(f, x):
    return (slopes(f, x) > 0).any(2).any(0)


@dependencies.misconception(
    "small slopes are left out",
    hint="A derivative of a millionth is a dependence too. Autograd gives exact zeros where there is none: no "
    "threshold.",
)
def small_slopes_are_left_out(f, x):
    return (slopes(f, x).abs() > 1e-5).any(2).any(0)


@dependencies.misconception(
    "all channels must move",
    hint="One channel that moves is enough: any, not all.",
)
def all_channels_must_move(f, x):
    return (slopes(f, x) != 0).all(2).all(0)


@dependencies.misconception(
    "only the last pixel's row is filled",
    hint="Ask for the derivatives of the outputs at every pixel, not at one.",
)
def only_last_pixels_row_is_filled(f, x):
    whole = (slopes(f, x) != 0).any(2).any(0)
    return torch.cat([torch.zeros_like(whole[:-1]), whole[-1:]])


@dependencies.misconception(
    "column by column instead of row by row",
    hint="Pixels are numbered in raster order: (r, c) is number r W + c.",
)
def column_by_column_instead_of_row_by_row(f, x):
    n = x[0, 0].numel()
    order = torch.arange(n, device=x.device).reshape(x.shape[2:]).T.reshape(-1)
    return (slopes(f, x) != 0).any(2).any(0)[order][:, order]


@dependencies.misconception(
    "the slopes themselves",
    hint="Asked is a yes or no for each pair of pixels, a BoolTensor: compare with 0.",
)
def slopes_themselves(f, x):
    return slopes(f, x).abs().amax((0, 2))
