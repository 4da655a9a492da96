"""What a training run leaves behind."""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, eq=False, repr=False)
class History:
    """What a training run leaves behind.

    Attributes:
        losses: float32 (steps,) on the CPU, the loss of every batch before its update.
        seconds: wall time of this call (after a resume, of the steps it took itself).
        label: what the loss is called, with its unit, for the figure.
        resumed_at: steps that a checkpoint had already taken.
    """

    losses: Tensor
    seconds: float
    label: str = "loss"
    resumed_at: int = 0

    @property
    def steps(self) -> Tensor:
        """1..steps, LongTensor."""
        return torch.arange(1, len(self.losses) + 1)

    @property
    def final(self) -> float:
        """Mean loss over the last tenth of the run: one batch alone would be noise."""
        return self.losses[-max(1, len(self.losses) // 10) :].mean().item()

    def smoothed(self, window: int | None = None) -> Tensor:
        """Mean over the last `window` steps (default: a fiftieth of the run), fewer at the start."""
        window = window or max(1, len(self.losses) // 50)
        total = torch.cat([torch.zeros(1, dtype=torch.float64), self.losses.double().cumsum(0)])
        last = self.steps
        first = (last - window).clamp(min=0)
        return ((total[last] - total[first]) / (last - first)).float()

    def __repr__(self) -> str:
        return f"History({len(self.losses)} steps, {self.label} {self.final:.4g} at the end)"
