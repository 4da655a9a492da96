"""Wrong and right `sds_gradient`s that the checks are tested with."""

from __future__ import annotations

import torch

from ..diffusion import AXIS, EARLY, ONE_TIME, along, first_of
from .sds_gradient import sds_gradient


def noised(images, t, eps, alpha_bar):
    level = along(alpha_bar[t], images)
    return level.sqrt() * images + (1 - level).sqrt() * eps


def run(
    render, model, theta, t, eps, alpha_bar, weight, *, at=noised, when=None, w=None, error=None, total=torch.sum, by=1
):
    """The right answer with one part changed: where and when the model is asked, the weights, what it missed, how the
    pixels and views are taken together.
    """
    leaf = theta.detach().clone().requires_grad_()
    images = render(leaf)
    with torch.no_grad():
        eps_hat = model(at(images, t, eps, alpha_bar), t if when is None else when)
    missed = (error or torch.sub)(eps_hat, eps)
    pull = along(weight[t] if w is None else w, images) * missed
    return torch.autograd.grad(total(by * pull * images) / len(t), leaf)[0]


@sds_gradient.alternative("grad of the images, weighed by the residual")
def by_grad_outputs(render, model, theta, t, eps, alpha_bar, weight):
    theta = theta.detach().requires_grad_()
    images = render(theta)
    shape = (-1,) + (1,) * (images.ndim - 1)
    a, w = alpha_bar[t].view(shape), weight[t].view(shape)
    with torch.no_grad():
        residual = model(a**0.5 * images + (1 - a) ** 0.5 * eps, t) - eps
    (slope,) = torch.autograd.grad(images, theta, grad_outputs=w * residual / len(t))
    return slope


@sds_gradient.alternative("backward through a made-up loss")
def by_surrogate(render, model, theta, t, eps, alpha_bar, weight):
    leaf = torch.nn.Parameter(theta.detach().clone())
    images = render(leaf)
    eps_hat = model(noised(images, t, eps, alpha_bar).detach(), t).detach()
    loss = (weight[t] * ((eps_hat - eps) * images).flatten(1).sum(1)).mean()
    loss.backward()
    return leaf.grad


@sds_gradient.alternative("a target that the images are drawn towards")
def by_target(render, model, theta, t, eps, alpha_bar, weight):
    with torch.enable_grad():
        leaf = theta.clone().detach().requires_grad_(True)
        images = render(leaf)
        with torch.no_grad():
            pull = along(weight[t], eps) * (model(noised(images, t, eps, alpha_bar), t) - eps)
            target = images - pull
        loss = 0.5 * torch.nn.functional.mse_loss(images, target, reduction="sum") / images.shape[0]
        return torch.autograd.grad(loss, leaf)[0].detach()


@sds_gradient.alternative("torch.func.vjp")
def by_vjp(render, model, theta, t, eps, alpha_bar, weight):
    images, pull_back = torch.func.vjp(render, theta.detach())[:2]
    residual = model(noised(images, t, eps, alpha_bar), t).detach() - eps
    return pull_back(along(weight[t], images) * residual / images.size(0))[0]


@sds_gradient.alternative("the whole Jacobian")
def by_jacobian(render, model, theta, t, eps, alpha_bar, weight):
    seen = []

    def looked(theta):
        seen.append(render(theta))
        return seen[-1]

    jacobian = torch.autograd.functional.jacobian(looked, theta)
    images = seen[0].detach()
    eps_hat = model(noised(images, t, eps, alpha_bar), t).detach()
    flat = jacobian.reshape(len(t), -1, theta.numel())
    rows = torch.einsum("vp,vpn->vn", (eps_hat - eps).flatten(1), flat)
    return (weight[t][:, None] * rows).mean(0).reshape(theta.shape)


@sds_gradient.misconception(
    "the gradient of the plain loss",
    hint="The gradient of w |eps_hat - eps|^2 / 2 has the model's own Jacobian in it. Score distillation leaves that "
    "factor out: eps_hat counts as a number, and only the renderer is differentiated.",
)
def plain_loss(render, model, theta, t, eps, alpha_bar, weight):
    leaf = theta.detach().clone().requires_grad_()
    error = model(noised(render(leaf), t, eps, alpha_bar), t) - eps
    return torch.autograd.grad((weight[t] * (error**2).flatten(1).sum(1)).mean() / 2, leaf)[0]


@sds_gradient.misconception(
    "the gradient of the plain loss, a 2 included",
    hint="The gradient of w |eps_hat - eps|^2 has the model's own Jacobian in it, and a 2 from the square. Score "
    "distillation has neither: eps_hat counts as a number, and only the renderer is differentiated.",
)
def plain_loss_and_2(render, model, theta, t, eps, alpha_bar, weight):
    return 2 * plain_loss(render, model, theta, t, eps, alpha_bar, weight)


@sds_gradient.misconception(
    "a gradient goes through the model",
    hint="With eps_hat still on the graph its own derivative comes in. Ask the model under torch.no_grad(), or "
    "detach() its answer.",
)
def through_model(render, model, theta, t, eps, alpha_bar, weight):
    leaf = theta.detach().clone().requires_grad_()
    images = render(leaf)
    eps_hat = model(noised(images, t, eps, alpha_bar), t)
    return torch.autograd.grad((weight[t] * ((eps_hat - eps) * images).flatten(1).sum(1)).mean(), leaf)[0]


@sds_gradient.misconception(
    "the signal's factor comes in from x_t",
    hint="The residual meets d image / d theta, not d x_t / d theta: pull it back through the images, so that the "
    "factor of the signal in x_t stays out (it is part of the weight).",
)
def signals_factor(render, model, theta, t, eps, alpha_bar, weight):
    w = weight[t] * alpha_bar[t].sqrt()
    return run(render, model, theta, t, eps, alpha_bar, weight, w=w)


@sds_gradient.misconception(
    "a ratio of noise and signal stands in front",
    hint="sqrt((1 - alpha_bar_t) / alpha_bar_t) belongs to the divergence, and cancels against the factor that its "
    "slope brings along. What is left in front of eps_hat - eps is the weight alone.",
)
def ratio_in_front(render, model, theta, t, eps, alpha_bar, weight):
    w = weight[t] * (1 / alpha_bar[t] - 1).sqrt()
    return run(render, model, theta, t, eps, alpha_bar, weight, w=w)


@sds_gradient.misconception(
    "eps is not subtracted",
    hint="In the mean it makes no difference, but in each single step it does: the residual is what the model says "
    "beyond the noise that was put in.",
)
def eps_not_subtracted(render, model, theta, t, eps, alpha_bar, weight):
    return run(render, model, theta, t, eps, alpha_bar, weight, error=lambda eps_hat, eps: eps_hat)


@sds_gradient.misconception(
    "the residual has the wrong sign",
    hint="Descending must take the model's excess noise out of the picture: eps_hat - eps, what was predicted less "
    "what was put in.",
)
def residual_turned(render, model, theta, t, eps, alpha_bar, weight):
    return run(render, model, theta, t, eps, alpha_bar, weight, by=-1)


@sds_gradient.misconception(
    "summed over the views", hint="A mean over the views is asked for: twice as many views make no longer step."
)
def summed_over_views(render, model, theta, t, eps, alpha_bar, weight):
    return run(render, model, theta, t, eps, alpha_bar, weight, by=len(t))


@sds_gradient.misconception(
    "averaged over the pixels",
    hint="The chain rule sums over the pixels of a picture. The mean runs over the views alone.",
)
def averaged_over_pixels(render, model, theta, t, eps, alpha_bar, weight):
    return run(render, model, theta, t, eps, alpha_bar, weight, by=len(t) / eps.numel())


@sds_gradient.misconception(
    "the weight is left out", hint="Each view's residual is multiplied by the weight of its own time, weight[t]."
)
def weight_left_out(render, model, theta, t, eps, alpha_bar, weight):
    return run(render, model, theta, t, eps, alpha_bar, weight, w=torch.ones_like(weight[t]))


@sds_gradient.misconception(
    "the model sees the clean pictures",
    hint="The model was trained on noised pictures: make x_t from the rendered ones, t and eps first.",
)
def clean_pictures(render, model, theta, t, eps, alpha_bar, weight):
    return run(render, model, theta, t, eps, alpha_bar, weight, at=lambda images, *rest: images)


@sds_gradient.misconception(
    "the noise has variance (1 - alpha_bar_t)^2",
    hint="1 - alpha_bar_t is the variance of the noise in x_t; what multiplies eps is its root.",
)
def noise_without_root(render, model, theta, t, eps, alpha_bar, weight):
    def at(images, t, eps, alpha_bar):
        level = along(alpha_bar[t], images)
        return level.sqrt() * images + (1 - level) * eps

    return run(render, model, theta, t, eps, alpha_bar, weight, at=at)


@sds_gradient.misconception(
    "the loss in place of its gradient",
    hint="Asked for is a step's direction, a tensor like theta: differentiate in theta, and return that.",
)
def loss_returned(render, model, theta, t, eps, alpha_bar, weight):
    images = render(theta)
    error = model(noised(images, t, eps, alpha_bar), t).detach() - eps
    return (weight[t] * (error * images).flatten(1).sum(1)).mean()


@sds_gradient.misconception(
    "theta.grad is written into",
    hint="backward() adds to what already lies in theta.grad. Ask torch.autograd.grad, or work on a leaf of your own: "
    "theta.detach().clone().requires_grad_().",
)
def grad_written_into(render, model, theta, t, eps, alpha_bar, weight):
    theta = theta if theta.requires_grad else theta.clone().requires_grad_()
    images = render(theta)
    eps_hat = model(noised(images, t, eps, alpha_bar).detach(), t).detach()
    (weight[t] * ((eps_hat - eps) * images).flatten(1).sum(1)).mean().backward()
    return theta.grad


@sds_gradient.misconception(
    "a graph is kept",
    hint="The value is right, but the answer hangs on a graph, which every step would drag along. create_graph is for "
    "those who differentiate a gradient; nobody does here.",
)
def graph_kept(render, model, theta, t, eps, alpha_bar, weight):
    leaf = theta.detach().clone().requires_grad_()
    images = render(leaf)
    eps_hat = model(noised(images, t, eps, alpha_bar), t).detach()
    total = (weight[t] * ((eps_hat - eps) * images).flatten(1).sum(1)).mean()
    return torch.autograd.grad(total, leaf, create_graph=True)[0]


@sds_gradient.misconception(
    "the renderer is called again to be differentiated",
    hint="A renderer is the dear part. Render once, keep the images on the graph, and use them for both: for x_t and "
    "for the gradient.",
)
def rendered_twice(render, model, theta, t, eps, alpha_bar, weight):
    with torch.no_grad():
        eps_hat = model(noised(render(theta), t, eps, alpha_bar), t)
    leaf = theta.detach().clone().requires_grad_()
    images = render(leaf)
    return torch.autograd.grad((weight[t] * ((eps_hat - eps) * images).flatten(1).sum(1)).mean(), leaf)[0]


@sds_gradient.misconception(
    "the model is called view by view",
    hint="The views are a batch: the model is asked once, with all pictures and all times.",
)
def view_by_view(render, model, theta, t, eps, alpha_bar, weight):
    leaf = theta.detach().clone().requires_grad_()
    images = render(leaf)
    xt = noised(images, t, eps, alpha_bar).detach()
    eps_hat = torch.cat([model(xt[v : v + 1], t[v : v + 1]).detach() for v in range(len(t))])
    return torch.autograd.grad((weight[t] * ((eps_hat - eps) * images).flatten(1).sum(1)).mean(), leaf)[0]


@sds_gradient.misconception(
    "each view is rendered by itself",
    hint="A loop over the views renders the scene V times and asks the model V times. Both take all views at once: "
    "give the tables' entries trailing axes, and let the batch do the work.",
)
def rendered_view_by_view(render, model, theta, t, eps, alpha_bar, weight):
    total = torch.zeros_like(theta)
    for v in range(len(t)):
        leaf, time = theta.detach().clone().requires_grad_(), t[v : v + 1]
        images = render(leaf)[v : v + 1]
        xt = noised(images, time, eps[v : v + 1], alpha_bar).detach()
        pull = along(weight[time], images) * (model(xt, time).detach() - eps[v : v + 1])
        total = total + torch.autograd.grad(images, leaf, pull)[0] / len(t)
    return total


@sds_gradient.misconception(
    "tables for pictures of one axis",
    hint="alpha_bar[t][:, None] fits pictures (V, P) alone. Give a coefficient as many trailing axes as the pictures "
    "have, .reshape(-1, 1, ..., 1), whatever their form.",
)
def one_axis(render, model, theta, t, eps, alpha_bar, weight):
    def at(images, t, eps, alpha_bar):
        level = alpha_bar[t][:, None]
        return level.sqrt() * images + (1 - level).sqrt() * eps

    return run(render, model, theta, t, eps, alpha_bar, weight, at=at)


@sds_gradient.misconception(*ONE_TIME)
def one_time(render, model, theta, t, eps, alpha_bar, weight):
    return run(render, model, theta, first_of(t), eps, alpha_bar, weight)


@sds_gradient.misconception(*EARLY)
def one_step_early(render, model, theta, t, eps, alpha_bar, weight):
    def at(images, t, eps, alpha_bar):
        return noised(images, t - 1, eps, alpha_bar)

    return run(render, model, theta, t, eps, alpha_bar, weight, at=at, w=weight[t - 1])


@sds_gradient.misconception(*AXIS)
def wrong_axis(render, model, theta, t, eps, alpha_bar, weight):
    leaf = theta.detach().clone().requires_grad_()
    images, level = render(leaf), alpha_bar[t]
    with torch.no_grad():
        eps_hat = model(level.sqrt() * images + (1 - level).sqrt() * eps, t)
    return torch.autograd.grad((weight[t] * (eps_hat - eps) * images).sum() / len(t), leaf)[0]
