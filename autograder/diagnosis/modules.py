"""Wrong modules made of right ones: what their methods take and give, and what their layers do, changed after the
module was made.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from itertools import combinations
from typing import Any

import torch
from torch import nn

from .makers import Arguments, Unfit
from .results import ResultMaker

Change = Callable[[torch.Tensor], torch.Tensor]
BENDS: tuple[Change, ...] = (
    torch.relu,
    torch.sigmoid,
    torch.tanh,
    nn.functional.silu,
    nn.functional.softplus,
)
ARGUMENTS: tuple[tuple[str, Change], ...] = (
    ("fresh", torch.randn_like),
    ("unused", torch.zeros_like),
    ("detached", torch.detach),
)
RESULTS: tuple[tuple[str, Change], ...] = (
    ("bent after", torch.relu),
    ("bent after", nn.functional.softplus),
    ("clip of the result", lambda v: v.clamp(-10, 10)),
    ("exp of the result", torch.exp),
    ("exp of the result", lambda v: (v / 2).exp()),
    ("twice the result", lambda v: 2 * v),
    ("average over the event", lambda v: v.mean(-1, keepdim=True).expand(v.shape)),
    ("detached", torch.detach),
)
PARTS = 3  # of what a method gives
FEW = 4  # layers whose places are exchanged with each other


def of_module(made: nn.Module, methods: Sequence[str]) -> list[ResultMaker]:
    """The makers that fit a module of this form, and the methods that it was asked for, the likeliest first."""
    layers = [name for name, layer in made.named_modules() if next(layer.parameters(False), None) is not None]
    found = [*_layers(layers), *_methods({name: _takes(made, name) for name in methods})]
    return [ResultMaker(kind, _patching(patch), about=about) for kind, about, patch in found]


Patch = Callable[[nn.Module], None]
Made = tuple[str, tuple[str, ...], Patch]  # kind, what it is about, and what is done to the module


def _layers(names: Sequence[str]) -> Iterator[Made]:
    said = {
        name: name.partition(".")[0] or "the layer" for name in names
    }  # in the words of the text: `decoder`, not which of it
    for name in names:
        yield "no bias", (said[name],), _to_layer(name, _without_bias)
        yield "start", (said[name],), _to_layer(name, _reset)
        yield "start", (said[name],), _to_layer(name, _zeroed)
        yield "start", (said[name],), _to_layer(name, _bias_at_random)
        yield "residual", (said[name],), _to_layer(name, _with_input("forward"))
        yield "unpadded", (said[name],), _to_layer(name, _unpadded)
        yield "repeated", (said[name],), _to_layer(name, _repeated)
        yield "detached", (f"what {said[name]} takes",), _to_layer(name, _before(torch.detach))
    for one, other in combinations(names[:FEW], 2):
        yield "exchanged", (said[one], said[other]), _exchange(one, other)
    for name in names:
        for bend in BENDS:
            yield "bent after", (said[name],), _to_layer(name, _after(bend))
            yield "bent", (f"what {said[name]} takes",), _to_layer(name, _before(bend))


def _methods(takes: dict[str, int]) -> Iterator[Made]:
    """`takes`: how many arguments each method has."""
    for name, count in takes.items():
        yield "parts exchanged", (), _parts(name, lambda parts: (parts[1], parts[0], *parts[2:]))
        yield "parts exchanged", (), _parts(name, lambda parts: (*parts[1:], parts[0]))
        yield "parts exchanged", (), _parts(name, lambda parts: (parts[-1], *parts[:-1]))
        yield "residual", (name,), _with_input(name)
        for place in range(count):
            which = f"argument {place + 1} of {name}" if count > 1 else f"what {name} takes"
            for kind, change in ARGUMENTS:
                yield kind, (which,), _argument(name, change, place)
    for name in takes:
        for bend in BENDS:
            yield "bent after", (name,), _result(name, bend, None)
    for part in range(PARTS):
        for name in takes:
            for kind, change in RESULTS:
                yield kind, (name,), _result(name, change, part)


def _patching(patch: Patch) -> Callable[[Any, Arguments], Any]:
    def change(made: Any, given: Arguments) -> Any:
        if not isinstance(made, nn.Module):
            raise Unfit
        patch(made)
        return made

    return change


def _to_layer(name: str, patch: Patch) -> Patch:
    return lambda made: patch(made.get_submodule(name))


def _without_bias(layer: nn.Module) -> None:
    if getattr(layer, "bias", None) is None:
        raise Unfit
    layer.register_parameter("bias", None)


def _unpadded(layer: Any) -> None:
    if not any(layer.padding):
        raise Unfit
    layer.padding = (0,) * len(layer.padding)


def _repeated(layer: Any) -> None:
    layer.padding_mode = "replicate"


def _takes(made: nn.Module, method: str) -> int:
    return len(inspect.signature(getattr(made, method)).parameters)


def _reset(layer: Any) -> None:
    layer.reset_parameters()


def _zeroed(layer: nn.Module) -> None:
    with torch.no_grad():
        for parameter in layer.parameters(False):
            parameter.zero_()


def _bias_at_random(layer: Any) -> None:
    with torch.no_grad():
        weight = layer.weight.clone()
        layer.reset_parameters()
        layer.weight.copy_(weight)


def _after(bend: Change) -> Patch:
    return lambda layer: _wrap(layer, "forward", lambda x, y: bend(y))


def _before(bend: Change) -> Patch:
    def patch(layer: nn.Module) -> None:
        own = layer.forward
        layer.forward = lambda x: own(bend(x))

    return patch


def _wrap(made: nn.Module, method: str, change: Callable[[Any, Any], Any]) -> None:
    """From here on the method gives what `change` makes of its first argument and of what it gave."""
    own = getattr(made, method)
    setattr(made, method, lambda x, *more: change(x, own(x, *more)))


def _with_input(method: str) -> Patch:
    return lambda made: _wrap(made, method, lambda x, y: y + x)


def _result(method: str, change: Change, part: int | None) -> Patch:
    def changed(_: Any, value: Any) -> Any:
        if part is None or not isinstance(value, tuple):
            return tuple(map(change, value)) if isinstance(value, tuple) else change(value)
        return tuple(change(item) if i == part else item for i, item in enumerate(value))

    return lambda made: _wrap(made, method, changed)


def _parts(method: str, change: Callable[[tuple[Any, ...]], tuple[Any, ...]]) -> Patch:
    def changed(_: Any, value: Any) -> Any:
        return change(value) if isinstance(value, tuple) and len(value) > 1 else value

    return lambda made: _wrap(made, method, changed)


def _argument(method: str, change: Change, place: int) -> Patch:
    def patch(made: nn.Module) -> None:
        own = getattr(made, method)

        def changed(*args: Any) -> Any:
            return own(*(change(value) if i == place else value for i, value in enumerate(args)))

        setattr(made, method, changed)

    return patch


def _exchange(one: str, other: str) -> Patch:
    def patch(made: nn.Module) -> None:
        first, second = made.get_submodule(one), made.get_submodule(other)
        for name, layer in ((one, second), (other, first)):
            parent, _, last = name.rpartition(".")
            setattr(made.get_submodule(parent), last, layer)

    return patch


def parameters_of(made: nn.Module) -> list[torch.Tensor]:
    """Its parameters in the order in which they are compared, whatever they are called."""
    return sorted((value.detach() for value in made.parameters()), key=lambda value: tuple(value.shape))


def form_of(right: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> nn.Module | None:
    """A module made as the student's was; None for what is no module."""
    if isinstance(right, type) and issubclass(right, nn.Module):
        with suppress(Exception):
            return right(*args, **kwargs)
    return None
