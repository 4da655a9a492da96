"""Several processes that train one model together, as `torchrun` starts them: usually one for each GPU."""

import atexit
import os
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn


@dataclass(frozen=True)
class Team:
    """The processes of a run, seen from one of them; a process that works alone is a team of one.

    Attributes:
        rank: which one this is, 0..size-1. Rank 0 draws the order of the data, shows the bar and writes to disk.
        size: how many there are.
    """

    rank: int = 0
    size: int = 1

    @property
    def leads(self) -> bool:
        """Whether this process speaks for all."""
        return self.rank == 0

    def share(self, batch_size: int) -> slice:
        """Which examples of the joined batch are this process's: equal parts, the first ones larger by one if need be.

        Raises:
            ValueError: a process would have none.
        """
        if batch_size < self.size:
            batch = f"a batch of {batch_size}"
            raise ValueError(f"fit: {self.size} processes cannot share {batch}; use fewer, or a larger batch_size")
        part, rest = divmod(batch_size, self.size)
        start = self.rank * part + min(self.rank, rest)
        return slice(start, start + part + (self.rank < rest))

    def weight(self, batch_size: int) -> float:
        """Factor of this process's mean loss, so that the mean over the processes is the joined batch's mean.

        (1/B) sum over all b = (1/R) sum over ranks r of (R B_r / B) (mean over the B_r examples of r); the factor is
        R B_r / B, which is 1 where the shares are equal.
        """
        mine = self.share(batch_size)
        return self.size * (mine.stop - mine.start) / batch_size

    def joined(self, module: nn.Module, device: torch.device) -> nn.Module:
        """The module whose gradients are averaged over the processes, all starting from rank 0's weights.

        A weight the loss does not use keeps no gradient, as in one process (`find_unused_parameters`).
        """
        if self.size == 1:
            return module
        places = [device] if device.type == "cuda" else None
        return nn.parallel.DistributedDataParallel(module, device_ids=places, find_unused_parameters=True)

    def from_leader_(self, tensor: Tensor) -> None:
        """Replace `tensor` by rank 0's."""
        if self.size > 1:
            dist.broadcast(tensor, 0)

    def mean_(self, tensor: Tensor) -> None:
        """Replace `tensor` by its mean over the processes; nan in one is nan in all."""
        if self.size > 1 and tensor.numel():
            dist.all_reduce(tensor)  # the sum: gloo knows no mean
            tensor /= self.size

    def collect(self, value: Any) -> list[Any]:
        """Everybody's `value` (tensors, numbers, lists and dicts of these), in order of rank."""
        if self.size == 1:
            return [value]
        values: list[Any] = [None] * self.size
        dist.all_gather_object(values, value)
        return values

    def wait(self) -> None:
        """Go on when all have come here."""
        if self.size > 1:
            dist.barrier()


def join_team(device: torch.device) -> Team:
    """The team that `torchrun` made (it sets WORLD_SIZE, RANK, MASTER_ADDR, ...), over gloo on CPU and nccl on CUDA.

    Raises:
        ValueError: a device on which PyTorch's processes cannot talk to each other.
    """
    if not dist.is_available() or int(os.environ.get("WORLD_SIZE", "1")) == 1:
        return Team()
    if not dist.is_initialized():
        backends = {"cpu": "gloo", "cuda": "nccl"}
        if device.type not in backends:
            raise ValueError(f"fit: several processes work on cpu or cuda, not on {device}; set COURSE_DEVICE=cpu")
        if device.type == "cuda":
            torch.cuda.set_device(device)
        dist.init_process_group(backends[device.type])
        atexit.register(_leave)
    return Team(dist.get_rank(), dist.get_world_size())


def _leave() -> None:
    if dist.is_initialized():
        dist.destroy_process_group()
