"""What changes along a training run by plan: learning rates, decays of the average, and the optimiser they act on."""

import functools
import math
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.optim import Adam, AdamW, Optimizer


def rate_factors(schedule: str, steps: int) -> list[float]:
    """Factor on the learning rate at each of `steps` steps; step i = 0, 1, ... has done the share u = i / steps.

    "onecycle": from 1/25 up to 1 in the first 30%, then down to 0, both along a cosine (Smith and Topin, 2018).
    "cosine": (1 + cos(pi u)) / 2 (Loshchilov and Hutter, 2017). "constant": 1.

    Raises:
        ValueError: an unknown schedule, or no step at all.
    """
    if steps < 1:
        raise ValueError(f"fit: steps={steps}; expected at least 1")
    if schedule not in _FACTOR:
        raise ValueError(f"fit: schedule={schedule!r}; expected one of {', '.join(map(repr, _FACTOR))}")
    factor = _FACTOR[schedule]
    return [factor(step / steps) for step in range(steps)]


def average_gains(ema: float | None, steps: int) -> list[float]:
    """Gain g_i of the moving average of the weights at step i: average <- average + g_i (weights - average).

    1 - g_i = min(ema, (1 + i) / (10 + i)) grows from 0.1 to `ema`, so that the untrained start is forgotten.
    Averages of iterates: Polyak and Juditsky (1992); the slow beginning is that of TensorFlow's
    `ExponentialMovingAverage`.

    Raises:
        ValueError: a decay outside [0, 1).
    """
    if ema is None:
        return [1.0] * steps
    if not 0 <= ema < 1:
        raise ValueError(f"fit: ema={ema}; expected a decay in [0, 1), such as 0.995")
    return [1 - min(ema, (1 + step) / (10 + step)) for step in range(steps)]


def make_optimizer(
    wish: Callable[..., Optimizer] | Optimizer | None, weights: list[nn.Parameter], lr: float, recordable: bool
) -> Optimizer:
    """The optimiser that is wanted: Adam if none is, one that is ready as it is, a class called with `lr`.

    Adam and AdamW update all weights in one call on CPU and CUDA (`fused`), about a tenth of a small network's
    step. A `recordable` one can be part of a CUDA graph: its learning rate is a tensor, for a number would be
    frozen in it.
    """
    if isinstance(wish, Optimizer):
        return wish
    make: Callable[..., Optimizer] = Adam if wish is None else wish
    if not is_adam(wish) or not all(w.device.type in ("cpu", "cuda") for w in weights):
        return make(weights, lr=lr)
    if recordable:
        rate = torch.full((), lr, dtype=torch.float32, device=weights[0].device)
        return make(weights, lr=rate, fused=True, capturable=True)
    return make(weights, lr=lr, fused=True)


def is_adam(wish: Callable[..., Optimizer] | Optimizer | None) -> bool:
    """Whether `fit` may choose how this optimiser computes: Adam or AdamW, and not told otherwise."""
    if isinstance(wish, functools.partial):
        return wish.func in (Adam, AdamW) and not {"foreach", "fused", "capturable"} & set(wish.keywords)
    return wish in (None, Adam, AdamW)


def blend_(average: list[Tensor], weights: list[Tensor], gain: Tensor) -> None:
    """average <- average + gain (weights - average) in place; `gain` is a 0-dimensional tensor."""
    if gain.is_cuda:
        # Three launches for all weights. With a tensor in place of a number, lerp would need one for each weight.
        change = torch._foreach_sub(weights, average)
        torch._foreach_mul_(change, gain)
        torch._foreach_add_(average, change)
    else:
        torch._foreach_lerp_(average, weights, [gain.to(a.dtype) for a in average])


def _onecycle(u: float) -> float:
    if u < 0.3:
        return 0.04 + 0.96 * (1 - math.cos(math.pi * u / 0.3)) / 2
    return (1 + math.cos(math.pi * (u - 0.3) / 0.7)) / 2


_FACTOR: dict[str, Callable[[float], float]] = {
    "onecycle": _onecycle,
    "cosine": lambda u: (1 + math.cos(math.pi * u)) / 2,
    "constant": lambda u: 1.0,
}
