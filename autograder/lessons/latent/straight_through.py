"""A gradient that jumps over argmin: `straight_through`."""

from __future__ import annotations

import torch

from ...exercise import exercise
from ..diffusion import ranks
from .shared import FLOWS_TO_CODES, flows


@exercise("straight_through", points=2)
def straight_through(student, case):
    """The value of `codes`, the gradient of the identity in z. No outcome asks for the value alone: that is given."""
    value = straight_through.oracle

    def answers(z, codes, weights):
        gradients = student.gradient(z, codes, weights=[weights], wrt=[0, 1])
        return [student(z, codes), flows(gradients, z, codes)]

    def truths(z, codes, weights):
        leaf = z.clone().requires_grad_()
        with torch.enable_grad():
            (onto,) = torch.autograd.grad(value(leaf, codes), leaf, weights)
        return [value(z, codes), [onto, torch.zeros_like(codes)]]

    def drawn(*shape):
        return [case.normal(*shape) for _ in range(3)]

    rows = drawn(*case.sizes(2))
    case.expect(answers(*rows), truths(*rows), "value, gradient to z, and none to the codes", points=1.0)
    images, point = drawn(*case.sizes(4, low=2, high=6)), drawn(case.integer(2, 5))
    case.expect(
        [answers(*images), answers(*point)],
        [truths(*images), truths(*point)],
        "the same for images of codes, and for one position",
        points=0.5,
    )
    far = case.normal(5, 3) + 1000, case.normal(5, 3), case.normal(5, 3)
    case.expect(answers(*far), truths(*far), "the same with z far from its code", points=0.25)
    shapes = [case.sizes(2), *ranks(2), (1, 1)]
    pairs = [[case.normal(*shape, dtype=torch.float32).double() for _ in range(2)] for shape in shapes]
    places = {z.shape: z for z, _ in pairs}

    def straightened(z, codes):  # of which differences in z find the identity
        return value(z, codes) + (z - places[z.shape])

    case.conventions(student, pairs[0], straightened, points=0.25, also=pairs[1:], gradient=(0,))


class _Jump(torch.autograd.Function):
    """Forwards the codes, backwards the identity to z."""

    @staticmethod
    def forward(ctx, z, codes):
        return codes.clone()

    @staticmethod
    def backward(ctx, grad):
        return grad, None


@straight_through.truth
def truth(z, codes):
    return _Jump.apply(z, codes)


@straight_through.alternative("the difference first")
def difference_first(z, codes):
    step = (codes - z).detach()
    return step + z


@straight_through.alternative("a zero that carries the gradient")
def zero_that_carries_gradient(z, codes):
    return codes.detach() + (z - z.detach())


@straight_through.alternative("an autograd.Function")
def autograd_function(z, codes):
    return _Jump.apply(z, codes)


@straight_through.misconception(
    "the codes as they are",
    hint="Returned plain, the codes let no gradient reach z, and the encoder learns nothing.",
)
def codes_as_they_are(z, codes):
    return codes


@straight_through.misconception(
    "no gradient reaches z",
    hint="The value is right and nothing reaches z: a z has to stay outside the detach, and not be taken away again.",
)
def all_cut_off(z, codes):
    return (z + (codes - z)).detach()


@straight_through.misconception(
    "the value is z", hint="Forwards the codes are asked for. Add what z lacks, and cut that off from the graph."
)
def value_is_z(z, codes):
    return codes + (z - codes).detach()


@straight_through.misconception(*FLOWS_TO_CODES)
def gradient_reaches_codes(z, codes):
    return z + codes - z.detach()


@straight_through.misconception(
    "the gradient comes with the wrong sign",
    hint="The gradient of the identity is +1: the z that stays connected stands with a plus.",
)
def gradient_with_wrong_sign(z, codes):
    return 2 * z.detach() - z + (codes - z).detach()


@straight_through.misconception(
    "codes and z are added",
    hint="z itself must not show in the value: what is added to it is the difference codes - z.",
)
def codes_and_z_added(z, codes):
    return z + codes.detach()


@straight_through.misconception(
    "codes and z are averaged", hint="The value is the code itself, not a point between it and z."
)
def codes_and_z_averaged(z, codes):
    return z + ((codes - z) / 2).detach()
