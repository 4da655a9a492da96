"""A network so small that a training run takes a moment, and its weights in one row."""

import torch

from course_lib import data, fit, networks


def noisy_error(model, x):
    """A loss that draws noise, as most of the course's do."""
    return ((model(x + 0.3 * torch.randn_like(x)) - x) ** 2).mean()


def small_net(seed=0, size=2):
    torch.manual_seed(seed)
    return networks.mlp([size, 8, size])


def weights(model):
    return torch.cat([p.detach().flatten() for p in model.parameters()])


def fitted(loss=noisy_error, points=None, seed=0, **options):
    model = small_net()
    points = data.two_moons(200) if points is None else points
    options = {"steps": 60, "batch_size": 32, "progress": False, **options}
    run = fit(model, loss, points, seed=seed, **options)
    return model, run
