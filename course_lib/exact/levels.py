"""Levels of noise, and networks that are not networks."""

from collections.abc import Callable
from typing import Any, Protocol

import torch
from torch import Tensor

Level = float | Tensor
Network = Callable[[Tensor, Tensor], Tensor]


def float64(value: Any) -> Tensor:
    """A number or tensor of any shape and device as float64 on the CPU, without its graph."""
    return torch.as_tensor(value, dtype=torch.float64).detach().cpu()


def level_of(alpha_bar: Level, ndim: int) -> Tensor:
    """alpha_bar as float64, with trailing axes so that it meets rows of `ndim` axes.

    Raises:
        ValueError: a level outside (0, 1].
    """
    level = float64(alpha_bar)
    if level.numel() and not ((level > 0) & (level <= 1)).all():
        found = f"{level.min():.3g} to {level.max():.3g}"
        raise ValueError(f"expected alpha_bar in (0, 1], got values from {found}")
    return level if level.ndim == 0 else level.reshape(-1, *[1] * (ndim - 1))


class Exact(Protocol):
    """What knows the best noise prediction."""

    def best_eps(self, xt: Tensor, alpha_bar: Level) -> Tensor:
        """E[eps | x_t], of the shape of xt (B, ...); alpha_bar a number or (B,)."""
        ...


def as_network(model: Exact, alpha_bar: Tensor) -> Network:
    """`model.best_eps` in a network's place: (x_t, t) -> eps_hat, with t (B,) into the table alpha_bar (T + 1,)."""
    table = float64(alpha_bar)
    return lambda xt, t: model.best_eps(xt, table[t.cpu()])
