"""Two losses, one length of gradient: `adaptive_weight`."""

from __future__ import annotations

import math

import torch

from ...exercise import exercise


@exercise("adaptive_weight", points=1)
def adaptive_weight(student, case):
    """|rec_grad| / (|gan_grad| + delta), Euclidean over all entries, a 0-dim tensor."""
    truth, delta = adaptive_weight.oracle, case.number(0.3, 0.9)

    def pair(*shape):
        return case.normal(*shape), case.number(2.0, 4.0) * case.normal(*shape)

    matrix, kernel, bias = pair(*case.sizes(2)), pair(*case.sizes(4, low=2, high=6)), pair(case.integer(3, 7))
    case.expect(student(*matrix, delta), truth(*matrix, delta), "matrices, and a visible delta", points=0.5, dtype=True)
    dead = matrix[0], torch.zeros_like(matrix[0])
    case.expect(
        [student(*dead), student(*kernel), student(*bias), student(*dead[::-1])],
        [truth(*dead), truth(*kernel), truth(*bias), truth(*dead[::-1])],
        "no gradient from the critic, and the usual delta; tensors of any rank",
        points=0.25,
    )
    also = [(*kernel, delta), (*(1e-9 * part for part in kernel), 1e-12), (*(part[:1, :1] for part in matrix), delta)]
    case.conventions(student, (*matrix, delta), truth, points=0.25, also=also)


@adaptive_weight.truth
def truth(rec_grad, gan_grad, delta=1e-6):
    lengths = [math.hypot(*gradient.flatten().tolist()) for gradient in (rec_grad, gan_grad)]
    return torch.tensor(lengths[0] / (lengths[1] + delta), dtype=rec_grad.dtype)


@adaptive_weight.alternative("roots of sums of squares")
def roots_of_sums_of_squares(rec_grad, gan_grad, delta=1e-6):
    return rec_grad.square().sum().sqrt() / (gan_grad.square().sum().sqrt() + delta)


@adaptive_weight.alternative("torch.linalg.vector_norm")
def by_vector_norm(rec_grad, gan_grad, delta=1e-6):
    return torch.linalg.vector_norm(rec_grad) / torch.linalg.vector_norm(gan_grad).add(delta)


@adaptive_weight.alternative("flattened dot products")
def flattened_dot_products(rec_grad, gan_grad, delta=1e-6):
    a, b = rec_grad.reshape(-1), gan_grad.reshape(-1)
    return (a @ a) ** 0.5 / ((b @ b) ** 0.5 + delta)


@adaptive_weight.misconception(
    "the fraction is upside down",
    hint="lambda stretches the critic's gradient, so that one's length stands below: multiply and see that it cancels.",
)
def fraction_upside_down(rec_grad, gan_grad, delta=1e-6):
    return gan_grad.norm() / (rec_grad.norm() + delta)


@adaptive_weight.misconception(
    "delta is left out", hint="A critic without a gradient occurs: delta is added to the length in the denominator."
)
def delta_left_out(rec_grad, gan_grad, delta=1e-6):
    return rec_grad.norm() / gan_grad.norm()


@adaptive_weight.misconception(
    "squared lengths", hint="The Euclidean length is the root of the sum of squares; the root is missing."
)
def squared_lengths(rec_grad, gan_grad, delta=1e-6):
    return rec_grad.square().sum() / (gan_grad.square().sum() + delta)


@adaptive_weight.misconception(
    "delta under the root", hint="delta is added to the length, after the root, not to the sum of squares."
)
def delta_under_root(rec_grad, gan_grad, delta=1e-6):
    return rec_grad.norm() / (gan_grad.square().sum() + delta).sqrt()


@adaptive_weight.misconception(
    "sums of absolute values", hint="The Euclidean length is asked for, not the sum of absolute values."
)
def sums_of_absolute_values(rec_grad, gan_grad, delta=1e-6):
    return rec_grad.abs().sum() / (gan_grad.abs().sum() + delta)


@adaptive_weight.misconception(
    "one weight for each row",
    hint="All entries count together, whatever the shape: one number, without axes.",
)
def one_weight_for_each_row(rec_grad, gan_grad, delta=1e-6):
    return rec_grad.norm(dim=-1) / (gan_grad.norm(dim=-1) + delta)


@adaptive_weight.misconception(
    "delta is always a millionth", hint="delta is an argument: a millionth is its usual value, not the only one."
)
def delta_always_millionth(rec_grad, gan_grad, delta=1e-6):
    return rec_grad.norm() / (gan_grad.norm() + 1e-6)
