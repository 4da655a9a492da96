"""Wrong steps back from x_t made of right ones: what the arguments of a step say together is changed. They are known by
their names in the course: `alpha_bar` the table, `t` the times, `xt` and `eps_hat`, `z` or `noise` what is drawn.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch

from .asking import Arguments, Made


def of_steps(given: Arguments) -> Iterator[Made]:
    """The changes that fit a call with these arguments."""
    if not isinstance(given.get("alpha_bar"), torch.Tensor):
        return
    place = next((name for name in ("xt", "x_t") if name in given), None)
    if place and "eps_hat" in given and "t" in given:
        yield "clipped guess", (), lambda given: {**given, "eps_hat": _clipped(given, given[place], given["eps_hat"])}
    for name, value in given.items():
        if value is None or callable(value):
            yield "clipped guess", (), _asked(name)
    for name in ("z", "noise"):
        if isinstance(given.get(name), torch.Tensor):
            yield "larger variance", (name,), _larger(name)


def _clipped(given: Arguments, xt: torch.Tensor, eps: torch.Tensor, t: Any = None) -> torch.Tensor:
    """The noise that leads to the predicted x_0 once that is clipped."""
    now = _along(given["alpha_bar"][given["t"] if t is None else t], xt)
    x0 = ((xt - (1 - now).sqrt() * eps) / now.sqrt()).clamp(-1, 1)
    return (xt - now.sqrt() * x0) / (1 - now).sqrt()


def _asked(name: str) -> Callable[[Arguments], Arguments]:
    def change(given: Arguments) -> Arguments:
        function = given[name]
        return {**given, name: lambda x, t, *more: _clipped(given, x, function(x, t, *more), t)}

    return change


def _larger(name: str) -> Callable[[Arguments], Arguments]:
    """Noise that comes out with the variance beta_t where the posterior's is meant, but for t = 1, which has none."""

    def change(given: Arguments) -> Arguments:
        table, value = given["alpha_bar"], given[name]
        t = given.get("t", torch.arange(len(value)))
        before = table[t - 1]
        ratio = torch.where(torch.as_tensor(t > 1), (1 - table[t]) / (1 - before), torch.ones_like(before))
        return {**given, name: _along(ratio.sqrt(), value) * value}

    return change


def _along(values: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    return values.reshape(-1, *[1] * (like.ndim - 1)) if values.ndim else values
