"""What a gradient must be, by differences of the oracle: it holds for oracles that autograd cannot pass through too."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch

from .student import Failure

STEP = 1e-4  # of a central difference in float64: off by 1e-9 times the third derivative


class Slope:
    """The gradients of sum_k <weights[k], output k> at float64 arguments, for those whose numbers are `wrt`: along one
    random direction each, `truths`. `normal(*shape)` draws weights and directions.
    """

    def __init__(
        self,
        oracle: Callable[..., Any],
        args: Sequence[Any],
        value: Any,
        wrt: Sequence[int],
        normal: Callable[..., torch.Tensor],
    ) -> None:
        self.wrt = list(wrt)
        self.weights = [normal(*output.shape) for output in _outputs(value)]
        self.directions = [normal(*args[i].shape) for i in wrt]
        self.truths = []
        for place, direction in zip(wrt, self.directions, strict=True):
            ends = []
            for step in (STEP, -STEP):
                moved = [argument + step * direction if i == place else argument for i, argument in enumerate(args)]
                outputs = _outputs(oracle(*moved))
                ends.append(sum(float((w * y).sum()) for w, y in zip(self.weights, outputs, strict=False)))
            self.truths.append((ends[0] - ends[1]) / (2 * STEP))

    @property
    def request(self) -> dict[str, Any]:
        """What to ask the student's side, but for the arguments."""
        return {"op": "gradient", "weights": self.weights, "wrt": self.wrt}

    def along(self, gradients: Any) -> list[Any]:
        """<gradient, direction> of each argument, None where no gradient flows."""
        if not isinstance(gradients, list) or len(gradients) != len(self.wrt):
            return [gradients if isinstance(gradients, Failure) else None] * len(self.wrt)
        return [
            float((gradient * direction).sum())
            if isinstance(gradient, torch.Tensor) and gradient.shape == direction.shape
            else None
            for gradient, direction in zip(gradients, self.directions, strict=True)
        ]

    def problem(self, found: Sequence[Any]) -> str:
        """What is wrong with them, in words for the student; "" where nothing is."""
        size = max(map(abs, self.truths))
        for place, slope, truth in zip(self.wrt, found, self.truths, strict=True):
            if slope is None:
                return f"no gradient reaches argument {place + 1}: no detach, no torch.no_grad, no NumPy, no .item()"
            if not abs(slope - truth) <= 1e-5 * (1 + size):  # NaN is wrong too
                return f"the gradient with respect to argument {place + 1} is wrong"
        return ""


def _outputs(value: Any) -> list[torch.Tensor]:
    parts = list(value) if isinstance(value, list | tuple) else [value]
    return [part for part in parts if isinstance(part, torch.Tensor)]
