"""What the checks of several exercises of 02-vae share."""

from __future__ import annotations

import torch

from ...sandbox.wire import Source
from ...student import Failure


def smooth(case) -> Source:
    """A wavy function with its own numbers, that no power of z or symmetry of the noise makes special."""
    frequency, phase, slope = case.number(1.2, 2.5), case.number(0.3, 1.2), case.number(0.4, 1.5)
    return Source(f"def f(z):\n    return torch.sin({frequency!r} * z + {phase!r}) + {slope!r} * z**2 + 1.5", "f")


def setting(case):
    """mu, sigma far from 0 and 1, and noise. A multiple of 1/64 is the same number in float32 and in float64."""
    return case.integer(26, 76) / 64, case.integer(23, 51) / 64, case.normal(case.integer(5, 9))


# ---- a module, asked much in one crossing


def call(method, *args, **more):
    """A request to call a method; None for the model itself."""
    return {"op": "call", "args": list(args), "kwargs": {}, **({"method": method} if method else {}), **more}


def together(model, *requests):
    """What comes of several requests in one crossing."""
    return [model] * len(requests) if isinstance(model, Failure) else model.several(*requests)


def with_weights(case, model, weights, x, z):
    """[mu, logvar, logits] with these weights, each a Failure where it does not come."""
    loaded, pair, logits = together(model, {"op": "load", "values": weights}, call("encode", x), call("decode", z))
    return [loaded] * 3 if isinstance(loaded, Failure) else [*case.unpack(pair, "mu", "logvar"), logits]


def drawn(case, weights, scale):
    """Normal weights of the same shapes."""
    return {name: scale * case.normal(*v.shape, dtype=torch.float32) for name, v in weights.items()}


def slopes_of(method, *args, weights):
    """A request for the slopes of what a method returns; None for the model itself."""
    return {"op": "slopes", "args": list(args), "weights": weights, **({"method": method} if method else {})}


def reaching(method, given, outputs):
    """A request for the slopes of all that a method returns."""
    return slopes_of(method, given, weights=[torch.ones(())] * outputs)


def reached(slopes):
    """The parameters that gradient reaches, or the Failure of asking."""
    return slopes if isinstance(slopes, Failure) else [name for name, value in slopes.items() if value is not None]
