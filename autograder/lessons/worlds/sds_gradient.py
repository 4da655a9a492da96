"""What a picture's denoiser says to the object behind it: `sds_gradient`."""

from __future__ import annotations

import math

import torch
from torch.func import jvp

from ...exercise import exercise
from ...sandbox.wire import Source
from ...student import Failure
from ..diffusion import edges_apart, schedule, times_among

# Images that are no linear function of theta, each pixel with entries of its own, and a count of the calls.
RENDER = """
class Render:
    def __init__(self):
        self.matrix = torch.tensor({matrix}, dtype=torch.float64)
        self.calls = 0

    def __call__(self, theta):
        self.calls += 1
        flat = theta.reshape(-1)
        bent = flat + {bend} * (flat * flat.roll(1) + flat.sin())
        return (self.matrix.to(theta.dtype) @ bent).reshape({shape})

    def count(self):
        return self.calls

render = Render()
"""
# A denoiser whose answer at a pixel hangs on the neighbouring one and on t (with `look` 0, on t alone), and which
# remembers when it was asked.
MODEL = """
class Model:
    def __init__(self):
        self.weight = torch.tensor({weight}, dtype=torch.float64, requires_grad=True)
        self.asked = []

    def __call__(self, x, t):
        if not isinstance(t, torch.Tensor) or t.dtype != torch.long or t.shape != x.shape[:1]:
            raise ValueError("model takes one time per image, a LongTensor (V,)")
        self.asked.append(t.tolist())
        a, b, c = self.weight.to(x.dtype)
        flat = x.reshape(len(x), -1)
        said = {look} * (a * flat + b * (flat * flat.roll(1, 1)).sin()) + c * t[:, None].to(x.dtype) / 5
        return said.expand_as(flat).reshape(x.shape)

    def touched(self):
        return self.weight.grad is not None

    def times(self):
        return self.asked

model = Model()
"""
# A parameter in which an earlier step's gradient is still lying, and which refuses any other.
PARAMETER = """
def refuse(theta):
    raise RuntimeError("a gradient was written into theta.grad")

theta = torch.tensor({values}, dtype=torch.float64, requires_grad=True)
theta.grad = torch.ones_like(theta)
theta.register_post_accumulate_grad_hook(refuse)
"""


@exercise("sds_gradient", points=3)
def sds_gradient(student, case):
    """The mean over the views of w_t (eps_hat(x_t) - eps) . d image / d theta, like theta."""
    steps = case.integer(6, 9)
    alpha_bar, weight = schedule(case, steps), case.uniform(steps + 1, low=0.3, high=1.5)

    def truth(render, model, theta, *more):
        run = [value.run() if isinstance(value, Source) else value for value in (render, model, theta)]
        return sds_gradient.oracle(*run, *more)

    def given(theta, *images, bend=0.5, look=1):
        views, entries = images[0], math.prod(theta)
        matrix = case.normal(views, math.prod(images[1:]), entries) / entries**0.5
        speech = [case.number(low, low + 0.4) for low in (0.4, 0.9, -0.9)]
        return (
            Source(RENDER.format(matrix=matrix.tolist(), bend=bend, shape=images), "render"),
            Source(MODEL.format(weight=speech, look=look), "model"),
            case.normal(*theta),
            times_among(case, steps, views, 1, 2),
            case.normal(*images),
            alpha_bar,
            weight,
        )

    size, views, pixels = case.sizes(3, low=4, high=7)
    plain = given((size,), views, pixels, bend=0, look=0)
    case.expect(
        student(*plain),
        truth(*plain),
        "shadows that are linear in theta, and a model that hears the time alone",
        points=0.75,
        dtype=True,
        hint="here eps_hat does not depend on the picture: what is left is w_t, eps_hat - eps, the views and d image",
    )
    bent = given((size,), views, pixels)
    case.expect(
        student(*bent),
        truth(*bent),
        "any renderer, and a model that looks at the picture",
        points=0.75,
        hint="the model is asked at the noised pictures, and its answer counts as a number: only d image / d theta",
    )
    shapes = [((2, 3), 4, 1, 2, 3), ((5,), 5, 5), ((3, 1, 2), 1, 4), ((1,), 4, 2, 3)]
    others = [given(*shape) for shape in shapes]
    case.expect(
        [student(*one) for one in others],
        [truth(*one) for one in others],
        "pictures with channels, theta of any form, a single view",
        points=0.5,
    )
    render, model, *more = given((size,), views, pixels)
    seen, asked = student.make(render), student.make(model)
    value = student(seen, asked, *more)
    case.expect(
        [value, *(found if not isinstance(value, Failure) else value for found in books(seen, asked))],
        [truth(render, model, *more), 1, [more[1].tolist()], False],
        "one call of each, with every view's own time, and the model's weights keep no gradient",
        points=0.5,
        hint="render once and ask the model once, for all views together; no backward() through the model",
    )
    render, model, theta, *more = given((size,), views, pixels)
    kept = Source(PARAMETER.format(values=theta.tolist()), "theta")
    case.expect(
        student(render, model, kept, *more),
        truth(render, model, theta, *more),
        "theta is a parameter, with an old gradient in its .grad",
        points=0.25,
        hint="theta is the caller's, and theta.grad too: torch.autograd.grad returns a gradient and leaves .grad alone",
    )

    def extreme(time, table):
        render, model, theta, _, eps, *_ = given((3,), 2, 4)
        return render, model, theta, torch.full((2,), time), eps, table, weight[: len(table)]

    also = edges_apart(case, extreme, first=1)
    case.conventions(student, given((2, 3), views, pixels), truth, points=0.25, also=also, detached=())


def books(render, model):
    """What renderer and model wrote down of their calls."""
    return render.count(), model.times(), model.touched()


@sds_gradient.truth
def truth(render, model, theta, t, eps, alpha_bar, weight):
    """Forwards: theta is moved along one axis after the other, and the pictures' tangents are weighed."""
    wide = theta.detach().double()
    images, levels = render(wide), alpha_bar.double()[t]
    noised = [a.sqrt() * x + (1 - a).sqrt() * e for a, x, e in zip(levels, images, eps.double(), strict=True)]
    missed = model(torch.stack(noised), t).detach() - eps.double()
    pulls = torch.stack([w * row for w, row in zip(weight.double()[t], missed, strict=True)]) / len(t)
    slopes = []
    for axis in torch.eye(wide.numel(), dtype=torch.float64):
        tangent = jvp(render, (wide,), (axis.reshape(wide.shape),))[1]
        slopes.append((pulls * tangent).sum())
    return torch.stack(slopes).reshape(theta.shape).to(theta.dtype)
