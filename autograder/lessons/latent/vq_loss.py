"""What moves the codes, and what moves the encoder: `vq_loss`."""

from __future__ import annotations

import torch

from ...exercise import exercise
from ..diffusion import ranks


@exercise("vq_loss", points=2)
def vq_loss(student, case):
    """|sg(z) - e|^2 + beta |z - sg(e)|^2, summed over the last axis, averaged over all positions."""
    truth, beta = vq_loss.oracle, case.number(0.3, 0.8)
    one = torch.ones((), dtype=torch.float64)
    z, codes = (case.normal(*shape) for shape in [case.sizes(2)] * 2)
    case.expect(student(z, codes, beta), truth(z, codes, beta), "the value, with a beta of its own", points=0.5)
    images = [case.normal(*shape) for shape in [case.sizes(4, low=2, high=6)] * 2]
    point = [case.normal(4) for _ in range(2)]
    case.expect(
        [student(*images, beta), student(*point, beta), student(z, codes)],
        [truth(*images, beta), truth(*point, beta), truth(z, codes)],
        "images of positions, one position, and the usual beta",
        points=0.25,
    )
    frozen = z.clone(), codes.clone()
    case.expect(
        student.gradient(z, codes, beta, weights=[one], wrt=[1]),
        [_slope(lambda moved: _mean(frozen[0], moved), codes)],
        "the gradient to the codes, from the first term alone",
        points=0.5,
    )
    case.expect(
        student.gradient(z, codes, beta, weights=[one], wrt=[0]),
        [_slope(lambda moved: beta * _mean(moved, frozen[1]), z)],
        "the gradient to z, from the second term alone, with beta",
        points=0.5,
    )
    films = [(*(case.normal(*shape) for _ in range(2)), beta) for shape in ranks(2)]
    close = z, z + 1e-7 * case.normal(*z.shape), beta
    case.conventions(
        student, (*images, beta), truth, points=0.25, also=[*films, close, (z[:1, :1], codes[:1, :1], 0.0)]
    )


def _mean(z, codes):
    """The mean over positions of the squared distance, position by position."""
    dim = z.shape[-1]
    pairs = zip(z.double().reshape(-1, dim), codes.double().reshape(-1, dim), strict=True)
    squares = [torch.dist(a, b) ** 2 for a, b in pairs]
    return torch.stack(squares).mean()


def _slope(function, x):
    """Its gradient by central differences: exact for a square, whatever the step."""
    found = torch.zeros_like(x)
    for place in range(x.numel()):
        nudge = torch.zeros_like(x)
        nudge.view(-1)[place] = 0.5
        found.view(-1)[place] = function(x + nudge) - function(x - nudge)
    return found


@vq_loss.truth
def truth(z, codes, beta=0.25):
    return (1 + beta) * _mean(z, codes)


def _squares(z, codes):
    return (z - codes).square().sum(-1)


@vq_loss.alternative("two means of squared norms")
def two_means_of_squared_norms(z, codes, beta=0.25):
    first = torch.linalg.vector_norm(z.detach() - codes, dim=-1).square().mean()
    return first + beta * torch.linalg.vector_norm(z - codes.detach(), dim=-1).square().mean()


@vq_loss.alternative("mse_loss times the length of a code")
def mse_loss_times_length(z, codes, beta=0.25):
    mse = torch.nn.functional.mse_loss
    return z.shape[-1] * (mse(codes, z.detach()) + beta * mse(z, codes.detach()))


@vq_loss.alternative("sums over positions, divided at the end")
def sums_divided_at_end(z, codes, beta=0.25):
    positions = z[..., 0].numel()
    moves_codes = torch.einsum("...d,...d->", codes - z.detach(), codes - z.detach())
    moves_z = ((z - codes.detach()) ** 2).sum()
    return moves_codes / positions + beta * moves_z / positions


@vq_loss.misconception(
    "beta on the wrong term",
    hint="beta weighs the commitment, the term that moves z. On the other term it slows the codes down instead. The "
    "value is the same, so only gradients show it.",
)
def beta_on_wrong_term(z, codes, beta=0.25):
    return (beta * _squares(z.detach(), codes) + _squares(z, codes.detach())).mean()


@vq_loss.misconception(
    "nothing is cut off",
    hint="Without stop-gradients both terms move both: the first one is to see sg(z), the second sg(e).",
)
def nothing_cut_off(z, codes, beta=0.25):
    return (1 + beta) * _squares(z, codes).mean()


@vq_loss.misconception(
    "the mean over the entries of a code",
    hint="Within a position the squares are summed over the last axis; the mean is taken over positions only.",
)
def mean_over_entries(z, codes, beta=0.25):
    mse = torch.nn.functional.mse_loss
    return mse(codes, z.detach()) + beta * mse(z, codes.detach())


@vq_loss.misconception(
    "the sum over positions", hint="Positions are averaged, all of them: axes in front of the last one count alike."
)
def sum_over_positions(z, codes, beta=0.25):
    return (_squares(z.detach(), codes) + beta * _squares(z, codes.detach())).sum()


@vq_loss.misconception("the codes' term is missing", hint="Two terms: without the first one the codes never move.")
def codes_term_missing(z, codes, beta=0.25):
    return beta * _squares(z, codes.detach()).mean()


@vq_loss.misconception(
    "the commitment is missing", hint="Two terms: without the second one nothing keeps z near its code."
)
def commitment_missing(z, codes, beta=0.25):
    return _squares(z.detach(), codes).mean()


@vq_loss.misconception("beta on both terms", hint="beta weighs the second term only; the first one stands alone.")
def beta_on_both_terms(z, codes, beta=0.25):
    return beta * (_squares(z.detach(), codes) + _squares(z, codes.detach())).mean()


@vq_loss.misconception("beta is left out", hint="The second term carries the factor beta.")
def beta_left_out(z, codes, beta=0.25):
    return (_squares(z.detach(), codes) + _squares(z, codes.detach())).mean()


@vq_loss.misconception(
    "beta is always a quarter", hint="beta is an argument: 0.25 is its usual value, not the only one."
)
def beta_always_quarter(z, codes, beta=0.25):
    return (_squares(z.detach(), codes) + 0.25 * _squares(z, codes.detach())).mean()


@vq_loss.misconception("distances are not squared", hint="Squared distances are asked for, without the root.")
def distances_not_squared(z, codes, beta=0.25):
    first, second = _squares(z.detach(), codes).sqrt(), _squares(z, codes.detach()).sqrt()
    return (first + beta * second).mean()


@vq_loss.misconception("one loss for each position", hint="Asked is one number: the mean over all positions.")
def one_loss_for_each_position(z, codes, beta=0.25):
    return _squares(z.detach(), codes) + beta * _squares(z, codes.detach())
