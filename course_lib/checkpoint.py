"""A training run on disk: written whole or not at all, read back to the bit."""

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from course_lib.device import random_state, set_random_state


@dataclass
class TrainingState:
    """Everything that changes while a model is trained.

    Attributes:
        order: the data's order in this epoch, LongTensor (N,).
        losses: the loss of every step so far, (steps,), on the device.
        average: moving average of the weights, empty when there is none.
        done: steps taken.
        settings: what a run that continues this one must have in common with it.
    """

    model: nn.Module
    optimizer: Optimizer
    scheduler: LRScheduler
    losses: Tensor
    order: Tensor
    average: list[Tensor] = field(default_factory=list)
    done: int = 0
    settings: dict[str, Any] = field(default_factory=dict)

    def save(self, path: str | Path) -> None:
        """Write the state, and the state of PyTorch's random generators, to `path`."""
        content = {
            "settings": self.settings,
            "done": self.done,
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scheduler": self.scheduler.state_dict(),
            "average": self.average,
            "losses": self.losses[: self.done],
            "order": self.order,
            "random": random_state(self.losses.device),
        }
        save_checkpoint(path, content)

    def load(self, path: str | Path) -> None:
        """Go on from `path`: everything that `save` wrote is put back.

        Raises:
            ValueError: the file is damaged, or belongs to a run with another model or other settings.
        """
        content = load_checkpoint(path)
        then = content.get("settings", {})
        for name, now in self.settings.items():
            if then.get(name) != now:
                was = f"made with {name}={then.get(name)}, this run has {name}={now}"
                raise ValueError(f"{path} was {was}; use that value, or delete the file to start afresh")
        try:
            self.model.load_state_dict(content["model"])
            self.optimizer.load_state_dict(content["optimizer"])
        except (RuntimeError, ValueError):
            remedy = "choose another name, or delete the file to start afresh"
            raise ValueError(f"{path} belongs to another model or optimizer; {remedy}") from None
        device = self.losses.device
        self.scheduler.load_state_dict(content["scheduler"])
        self.done = content["done"]
        self.losses[: self.done] = content["losses"].to(device)
        self.order = content["order"].to(device)
        self.average = [weights.to(device) for weights in content["average"]]
        set_random_state(content["random"], device)


def save_checkpoint(path: str | Path, content: dict[str, Any]) -> None:
    """Write `content` (tensors, numbers, strings, lists and dicts of these) to `path`, atomically.

    The bytes go to a neighbouring file first, which then takes the name `path` in one step. So a run that is
    killed while writing leaves the previous checkpoint as it was.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
    try:
        with partial.open("wb") as file:
            torch.save(content, file)
            file.flush()
            os.fsync(file.fileno())  # or a power cut could leave the name on incomplete bytes
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def load_checkpoint(path: str | Path) -> dict[str, Any]:
    """Read a checkpoint into CPU memory. Only plain data is accepted, never code.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is not a checkpoint of `save_checkpoint`.
    """
    if not Path(path).exists():
        raise FileNotFoundError(f"no checkpoint at {path}; train first, or correct the path")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises a different one for every kind of damage
        kind = type(error).__name__
        raise ValueError(f"{path} is not a readable checkpoint ({kind}); delete it to start afresh") from None
    if not isinstance(content, dict):
        raise ValueError(f"{path} holds a {type(content).__name__}, no checkpoint; delete it to start afresh")
    return content
