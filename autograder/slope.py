"""What a gradient must be, by differences of the oracle: it holds for oracles that autograd cannot pass through too."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch

from .student import Failure

STEP = 1e-4  # of a central difference in float64: off by 1e-9 times the third derivative


class Slope:
    """The gradients of sum_k <weights[k], output k> at float64 arguments, for those whose numbers are `wrt`, along one
    random direction for all of them together, `truths`. `normal(*shape)` draws weights and directions.
    """

    def __init__(
        self,
        oracle: Callable[..., Any],
        args: Sequence[Any],
        value: Any,
        wrt: Sequence[int],
        normal: Callable[..., torch.Tensor],
    ) -> None:
        self.wrt, self._oracle, self._args = list(wrt), oracle, args
        self.weights = [normal(*output.shape) for output in _outputs(value)]
        self._directions = {i: normal(*args[i].shape) for i in wrt}
        self.truths = [self._rise(self.wrt)]

    def _rise(self, places: Sequence[int]) -> float:
        """The slope of the weighed sum where these arguments move along their directions."""
        ends = []
        for step in (STEP, -STEP):
            moved = [a + step * self._directions[i] if i in places else a for i, a in enumerate(self._args)]
            outputs = _outputs(self._oracle(*moved))
            ends.append(sum(float((w * y).sum()) for w, y in zip(self.weights, outputs, strict=False)))
        return (ends[0] - ends[1]) / (2 * STEP)

    @property
    def request(self) -> dict[str, Any]:
        """What to ask the student's side, but for the arguments."""
        return {"op": "gradient", "weights": self.weights, "wrt": self.wrt}

    def along(self, gradients: Any) -> list[Any]:
        """<gradient, direction> of each argument, None where no gradient flows."""
        if not isinstance(gradients, list) or len(gradients) != len(self.wrt):
            return [gradients if isinstance(gradients, Failure) else None] * len(self.wrt)
        return [
            float((gradient * self._directions[place]).sum())
            if isinstance(gradient, torch.Tensor) and gradient.shape == self._directions[place].shape
            else None
            for place, gradient in zip(self.wrt, gradients, strict=True)
        ]

    def problem(self, found: Sequence[Any]) -> str:
        """What is wrong with them, in words for the student; "" where nothing is."""
        for place, slope in zip(self.wrt, found, strict=True):
            if slope is None:
                return f"no gradient reaches argument {place + 1}: no detach, no torch.no_grad, no NumPy, no .item()"
        if _close(sum(found), self.truths[0]):
            return ""
        wrong = [place for place, slope in zip(self.wrt, found, strict=True) if not _close(slope, self._rise([place]))]
        return f"the gradient with respect to argument {(wrong or self.wrt)[0] + 1} is wrong"


def _close(slope: float, truth: float) -> bool:
    return abs(slope - truth) <= 1e-5 * (1 + abs(truth))  # NaN is not


def _outputs(value: Any) -> list[torch.Tensor]:
    parts = list(value) if isinstance(value, list | tuple) else [value]
    return [part for part in parts if isinstance(part, torch.Tensor)]
