"""The checks of `VAE` look at what a network does: mistakes are known in any architecture, right answers accepted."""

import pytest
import torch
from lesson_answers import mark_here, replaced
from torch import nn

from autograder.exercise import lesson_exercises
from autograder.notebook import render

VAE = lesson_exercises("02-vae")["VAE"]


@pytest.mark.parametrize("known", VAE.misconceptions, ids=lambda known: known.name)
def test_a_mistake_is_recognised_in_another_architecture(known):
    class Deeper(known.function):
        def __init__(self, data_dim, hidden_dim, latent_dim):
            super().__init__(data_dim, hidden_dim, latent_dim)
            for net in (self.encoder, self.decoder):
                net.insert(1, nn.Linear(net[0].out_features, net[0].out_features))

    for student in ("ada", "emmy"):
        result = mark_here(VAE, replaced(VAE, Deeper), student)
        assert result.diagnosis == known.name, render(result)


def network(activation, depth, *, bias=True, norm=False, wrap=lambda layer: layer, spare=False, init=None):
    """A right VAE of the given make."""

    def stack(first, last, hidden):
        layers = []
        for i in range(depth):
            layers += [wrap(nn.Linear(hidden if i else first, hidden, bias=bias))]
            layers += [*([nn.LayerNorm(hidden)] if norm else []), activation()]
        return nn.Sequential(*layers, wrap(nn.Linear(hidden if depth else first, last, bias=bias)))

    class Network(nn.Module):
        def __init__(self, data_dim, hidden_dim, latent_dim):
            super().__init__()
            self.to_code = stack(data_dim, 2 * latent_dim, hidden_dim)
            self.to_data = stack(latent_dim, data_dim, hidden_dim)
            if spare:
                self.unused = nn.Linear(3, hidden_dim)
            if init:
                self.apply(lambda part: init(part) if isinstance(part, nn.Linear) else None)

        def encode(self, x):
            return self.to_code(2 * x - 1).chunk(2, dim=-1)

        def decode(self, z):
            return self.to_data(z)

        def forward(self, x, eps):
            mu, logvar = self.encode(x)
            return self.decode(mu + (0.5 * logvar).exp() * eps), mu, logvar

    return Network


RIGHT = {
    "ReLU": network(nn.ReLU, 1),
    "ReLU, six layers, no bias": network(nn.ReLU, 6, bias=False),
    "SiLU, eight layers": network(nn.SiLU, 8),
    "sigmoid": network(nn.Sigmoid, 2),
    "saturating hardtanh": network(nn.Hardtanh, 3, bias=False),
    "softplus": network(nn.Softplus, 2),
    "PReLU": network(nn.PReLU, 2),
    "layer norm": network(nn.ReLU, 2, norm=True),
    "weight norm": network(nn.ReLU, 2, wrap=nn.utils.parametrizations.weight_norm),
    "in-place activations": network(lambda: nn.ReLU(inplace=True), 2),
    "a layer that nothing uses": network(nn.SiLU, 1, spare=True),
    "weights near zero": network(nn.ReLU, 2, init=lambda layer: nn.init.normal_(layer.weight, std=1e-3)),
    "weights of zero": network(nn.SiLU, 2, init=lambda layer: nn.init.zeros_(layer.weight)),
    "large weights": network(nn.Tanh, 2, init=lambda layer: nn.init.normal_(layer.weight, std=3.0)),
}


@pytest.mark.parametrize("right", RIGHT.values(), ids=RIGHT.keys())
def test_any_right_architecture_gets_full_marks(right):
    for student in ("ada", "emmy", "sofia"):
        result = mark_here(VAE, {"VAE": right}, student)
        assert result.passed, render(result)


def test_weights_that_hide_the_input_at_first_are_moved():
    """Zero weights and a large bias: constants at first, and a network all the same."""

    def init(layer):
        nn.init.zeros_(layer.weight)
        nn.init.ones_(layer.bias)

    result = mark_here(VAE, {"VAE": network(nn.SiLU, 1, init=init)})
    assert "whatever they are given" not in render(result)


def test_a_class_that_is_no_module_is_told_so():
    class Plain:
        def __init__(self, data_dim, hidden_dim, latent_dim):
            self.weight = torch.zeros(data_dim, hidden_dim)

        def __call__(self, x, eps):
            return x

    result = mark_here(VAE, {"VAE": Plain})
    assert result.points == 0 and "nn.Module" in result.message


def test_a_frozen_layer_is_found():
    class Frozen(RIGHT["ReLU"]):
        def __init__(self, data_dim, hidden_dim, latent_dim):
            super().__init__(data_dim, hidden_dim, latent_dim)
            self.to_data[0].weight.requires_grad_(False)

    result = mark_here(VAE, {"VAE": Frozen})
    assert not result.passed and "get no gradient" in result.message


def test_half_a_network_earns_half_the_points():
    class Half(RIGHT["ReLU"]):
        def forward(self, x, eps):
            raise NotImplementedError("VAE: write this part of the class, then run the cell again")

    result = mark_here(VAE, {"VAE": Half})
    assert 1.5 <= result.points < 3 and "not written yet" in render(result)
