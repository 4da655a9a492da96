"""One training step, written in tensors alone."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from course_lib.training.checkpoint import TrainingState
from course_lib.training.rates import blend_


class Step:
    """Call it, and the model has taken one step: batch, loss, gradient, optimiser, average, note of the loss.

    It takes nothing and returns nothing. What differs from step to step is a tensor on the device: the step's
    number (`state.clock`), the order of the data, and the learning rate and the gain of the average, looked up
    in tables by that number. So the host decides nothing and waits for nothing, and a GPU can record the step
    once and repeat it (`course_lib.training.graphs`).

    Args:
        state: all that the step changes.
        loss: gives a scalar for a batch, such as `LossOf(model, loss)`.
        tensors: the data, each (N, ...), on the device.
        rows: (batches, B), which places of `state.order` each batch of an epoch takes, as a view of it.
        lrs: the learning rate of each step, where the optimiser's is a tensor. A number is the caller's to set.
        gains: gain of the average at each step (`rates.average_gains`).
        autocast: context in which the loss is computed.
        weight: factor of the loss, other than 1 where several processes share a batch unequally.
    """

    def __init__(
        self,
        state: TrainingState,
        loss: Callable[..., Tensor],
        tensors: list[Tensor],
        rows: Tensor,
        *,
        lrs: list[float],
        gains: list[float],
        autocast: AbstractContextManager | None = None,
        weight: float = 1.0,
    ) -> None:
        device = state.losses.device
        self.state, self.loss, self.tensors, self.rows = state, loss, tensors, rows
        self.autocast = autocast or nullcontext()
        self.weight = weight
        self.weights: list[Tensor] = [p for p in state.model.parameters() if p.requires_grad]
        lr = state.optimizer.param_groups[0]["lr"]
        self.lr = lr.view(1) if isinstance(lr, Tensor) else None  # index_select writes to shape (1,)
        self.lrs = torch.tensor(lrs, device=device, dtype=lr.dtype if isinstance(lr, Tensor) else torch.float32)
        dtype = state.average[0].dtype if state.average else torch.float32
        self.gains = torch.tensor(gains, device=device, dtype=dtype)

    def batch_loss(self) -> Tensor:
        """The loss of the batch whose turn it is."""
        turn = self.state.clock % len(self.rows)
        rows = self.rows.index_select(0, turn).view(-1)
        batch = [x.index_select(0, rows) for x in self.tensors]
        with self.autocast:
            return self.loss(*batch)

    def __call__(self) -> None:
        state = self.state
        value = self.batch_loss()
        state.optimizer.zero_grad(set_to_none=True)
        if self.weight != 1:
            value = value * self.weight
        value.backward()
        if self.lr is not None:
            torch.index_select(self.lrs, 0, state.clock, out=self.lr)
        state.optimizer.step()
        if state.average:
            with torch.no_grad():
                blend_(state.average, self.weights, self.gains.index_select(0, state.clock).view(()))
        state.losses.index_copy_(0, state.clock, value.detach().to(state.losses.dtype).view(1))
        state.clock.add_(1)


class LossOf(nn.Module):
    """`loss(model, *batch)` as a module with the batch as its input, which DistributedDataParallel can wrap."""

    def __init__(self, model: nn.Module, loss: Callable[..., Tensor]) -> None:
        super().__init__()
        self.model, self.loss = model, loss

    def forward(self, *batch: Tensor) -> Tensor:
        """The batch's loss, a scalar that depends on weights."""
        return minimisable(self.loss(self.model, *batch))


def minimisable(value: Any) -> Tensor:
    """The loss, if it can be minimised. Looks at its shape alone, which the host knows without waiting.

    Raises:
        TypeError, ValueError: it is no scalar tensor that depends on weights.
    """
    if not isinstance(value, Tensor):
        kind = type(value).__name__
        raise TypeError(f"loss(model, *batch): expected a scalar tensor, got {kind}; is a return missing?")
    if value.ndim:
        shape = tuple(value.shape)
        raise ValueError(f"loss(model, *batch): expected a scalar, got shape {shape}; end it with .mean()")
    if not value.requires_grad:
        remedy = "look for .item(), .detach() or no_grad"
        raise ValueError(f"loss(model, *batch) does not depend on the model's parameters; {remedy}")
    return value
