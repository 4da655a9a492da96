"""PyTorch without its compiler: compiling takes minutes and a C compiler, and changes no value.

`torch.compile` gives back what it is given, and optimizers do not ask for the compiler, which alone takes a second to
import and half of a template's memory. Whoever imports `torch._dynamo` all the same gets PyTorch's own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import wraps
from inspect import unwrap
from typing import Any

import torch
from torch.optim.optimizer import Optimizer, _use_grad_for_differentiable

_ASKS_AT_STEP = _use_grad_for_differentiable(lambda self: None).__code__
_ASKS_AT_CALL = torch._disable_dynamo(lambda self: None).__code__


def compile_nothing() -> None:
    """From now on, in this process and those forked from it."""
    torch.compile = _unchanged
    torch.nn.Module.compile = lambda self, *_, **__: None  # type: ignore[method-assign]
    leave_compiler_alone()


def leave_compiler_alone() -> None:
    """Optimizers do not ask for it, in this process and those forked from it."""
    for kind in _kinds(Optimizer):
        for name, method in list(vars(kind).items()):
            code = getattr(method, "__code__", None)
            if code is _ASKS_AT_STEP:
                setattr(kind, name, _with_gradients_if_differentiable(method.__wrapped__))
            elif code is _ASKS_AT_CALL:
                setattr(kind, name, unwrap(method))


def _unchanged(model: Any = None, **_: Any) -> Any:
    return (lambda function: function) if model is None else model


def _kinds(first: type[Optimizer]) -> Iterator[type[Optimizer]]:
    yield first
    for kind in first.__subclasses__():
        yield from _kinds(kind)


def _with_gradients_if_differentiable(step: Callable[..., Any]) -> Callable[..., Any]:
    """What PyTorch makes of an optimizer's step, without a word to the compiler."""

    @wraps(step)
    def stepped(self: Any, *args: Any, **kwargs: Any) -> Any:
        with torch.set_grad_enabled(self.defaults["differentiable"]):
            return step(self, *args, **kwargs)

    return stepped
