"""Straight paths from data to noise: `flow_matching_loss`."""

from __future__ import annotations

import torch
from torch.func import jvp

from ...exercise import exercise
from ...sandbox.wire import Source
from ..diffusion import along, asked, ranks
from .shared import AXIS, FRESH, NO_GRADIENT, ONE_LEVEL, Noted

# A model that is its own weights: a tensor that can be called. So the loss can be differentiated with respect to it.
TRAINABLE = """
class Weights(torch.Tensor):
    def __call__(self, x, tau):
        a, b, c = self.as_subclass(torch.Tensor).to(x.dtype)
        return a * x + b * x**2 + c * torch.as_tensor(tau).reshape(-1, *[1] * (x.ndim - 1))

model = torch.tensor({weights}, dtype=torch.float64).as_subclass(Weights)
"""


@exercise("flow_matching_loss", points=1)
def flow_matching_loss(student, case):
    """The mean of (model - (eps - x_0))^2 at x_tau = (1 - tau) x_0 + tau eps."""
    truth = flow_matching_loss.oracle
    pull = case.number(0.4, 1.2)

    def model():
        return Noted(lambda x, tau: -pull * x + (x + tau).sin())

    def inputs(*shape):
        tau = case.uniform(shape[0], low=0.1, high=0.9)
        ends = torch.randperm(shape[0], generator=case.generator)
        tau[ends[0]], tau[ends[1]] = 0.0, 1.0
        return case.normal(*shape), tau, case.normal(*shape)

    rows, square = inputs(*case.sizes(2, low=4)), inputs(*[case.integer(4, 7)] * 2)
    images = inputs(*case.sizes(4, low=3, high=7))
    seen, right = model(), model()
    got, true = student(seen, *rows), truth(right, *rows)
    case.expect(
        list(asked(seen, got)),
        list(asked(right, true)),
        "the model is asked once, on each pair's line",
        points=0.25,
        dtype=True,
    )
    case.expect(
        [got, student(model(), *images), student(model(), *square)],
        [true, truth(model(), *images), truth(model(), *square)],
        "the loss, of rows, images and a square batch",
        points=0.25,
    )
    weights = [case.number(low, low + 0.5) for low in (-1.0, 0.2, 0.3)]
    trained = Source(TRAINABLE.format(weights=weights), "model")
    leaf = torch.tensor(weights, dtype=torch.float64, requires_grad=True)

    def same_model(x, tau):
        return leaf[0] * x + leaf[1] * x**2 + leaf[2] * along(tau, x)

    (slope,) = torch.autograd.grad(truth(same_model, *rows), leaf)
    case.expect(
        student.gradient(trained, *rows, weights=[torch.ones((), dtype=torch.float64)], wrt=[0]),
        [slope],
        "its gradient with respect to the model's weights",
        points=0.25,
        hint="the loss must stay connected to the model's answer: no detach, no no_grad, no .item()",
    )
    also = [(trained, *inputs(*shape)) for shape in ranks(4)]
    x0, tau, eps = rows
    also += [(trained, x0[:1, :1], tau[:1], eps[:1, :1])]
    also += [(trained, x0, torch.full_like(tau, end), eps) for end in (0.0, 1.0)]
    case.conventions(student, (trained, *rows), truth, points=0.25, also=also)


@flow_matching_loss.truth
def truth(model, x0, tau, eps):
    """Place and velocity of each line by differentiating it along tau."""
    moving = jvp(lambda u: torch.lerp(x0, eps, along(u, x0).expand_as(x0)), (tau,), (torch.ones_like(tau),))
    places, velocities = moving[0], moving[1]
    return torch.dist(model(places, tau), velocities) ** 2 / x0.numel()


def _line(x0, tau, eps):
    share = along(tau, x0)
    return (1 - share) * x0 + share * eps


def _loss(answer, target):
    return (answer - target).square().mean()


@flow_matching_loss.alternative("mse_loss")
def mse_loss(model, x0, tau, eps):
    share = tau.reshape(-1, *[1] * (x0.ndim - 1))
    return torch.nn.functional.mse_loss(model(x0 + share * (eps - x0), tau), eps - x0)


@flow_matching_loss.alternative("example by example")
def example_by_example(model, x0, tau, eps):
    xt = torch.stack([(1 - u) * x + u * e for x, u, e in zip(x0, tau, eps, strict=True)])
    velocity = eps - x0
    return torch.stack([((a - v) ** 2).mean() for a, v in zip(model(xt, tau), velocity, strict=True)]).mean()


@flow_matching_loss.alternative("the norm over the number of entries")
def norm_over_entries(model, x0, tau, eps):
    with torch.no_grad():
        xt = torch.einsum("b,b...->b...", 1 - tau, x0) + torch.einsum("b,b...->b...", tau, eps)
    return (model(xt, tau) - eps + x0).norm() ** 2 / eps.numel()


@flow_matching_loss.misconception(
    "the velocity points from noise to data",
    hint="tau grows from data to noise, so the derivative in tau is end less beginning, eps - x_0.",
)
def from_noise_to_data(model, x0, tau, eps):
    return _loss(model(_line(x0, tau, eps), tau), x0 - eps)


@flow_matching_loss.misconception(
    "the noise is the target",
    hint="A velocity is learned, not the noise: the derivative of the line has a part from each end.",
)
def noise_as_target(model, x0, tau, eps):
    return _loss(model(_line(x0, tau, eps), tau), eps)


@flow_matching_loss.misconception(
    "the data are the target", hint="A velocity is learned, not x_0: differentiate the line in tau."
)
def data_as_target(model, x0, tau, eps):
    return _loss(model(_line(x0, tau, eps), tau), x0)


@flow_matching_loss.misconception(
    "the line runs the other way",
    hint="At tau = 0 the line is at the data, at tau = 1 at the noise. Other papers turn the time round.",
)
def line_the_other_way(model, x0, tau, eps):
    return _loss(model(_line(eps, tau, x0), tau), eps - x0)


@flow_matching_loss.misconception(
    "a variance-preserving path",
    hint="The path is a straight line: (1 - tau) and tau themselves, without roots.",
)
def variance_preserving_path(model, x0, tau, eps):
    share = along(tau, x0)
    return _loss(model((1 - share).sqrt() * x0 + share.sqrt() * eps, tau), eps - x0)


@flow_matching_loss.misconception(
    "the sum in place of the mean", hint="Average over all entries, batch and event alike."
)
def sum_for_mean(model, x0, tau, eps):
    return (model(_line(x0, tau, eps), tau) - (eps - x0)).square().sum()


@flow_matching_loss.misconception(
    "the sum over the event",
    hint="The squares are averaged over the entries of an example as well, not only the batch.",
)
def sum_over_event(model, x0, tau, eps):
    return (model(_line(x0, tau, eps), tau) - (eps - x0)).square().flatten(1).sum(1).mean()


@flow_matching_loss.misconception("the model gets tau with extra axes", hint="The model wants tau (B,) as it came.")
def tau_with_axes(model, x0, tau, eps):
    return _loss(model(_line(x0, tau, eps), along(tau, x0)), eps - x0)


@flow_matching_loss.misconception(*NO_GRADIENT)
def no_gradient(model, x0, tau, eps):
    with torch.no_grad():
        return _loss(model(_line(x0, tau, eps), tau), eps - x0)


@flow_matching_loss.misconception(*FRESH)
def fresh_noise(model, x0, tau, eps):
    noise = torch.randn_like(x0)
    return _loss(model(_line(x0, tau, noise), tau), noise - x0)


@flow_matching_loss.misconception(*ONE_LEVEL)
def one_level(model, x0, tau, eps):
    return _loss(model(_line(x0, tau[:1].expand(len(x0)), eps), tau), eps - x0)


@flow_matching_loss.misconception(*AXIS)
def wrong_axis(model, x0, tau, eps):
    return _loss(model((1 - tau) * x0 + tau * eps, tau), eps - x0)
