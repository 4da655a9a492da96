"""A training run on disk: written whole or not at all, read back to the bit."""

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from course_lib.device import random_state, set_random_state
from course_lib.training.processes import Team


@dataclass
class TrainingState:
    """Everything that changes while a model is trained.

    Attributes:
        order: the data's order in this epoch, LongTensor (N,).
        losses: the loss of every step so far, (steps,), on the device.
        clock: steps taken, LongTensor (1,) on the device, where a step reads it.
        average: moving average of the weights, empty when there is none.
        done: steps taken, where the host reads them.
        settings: what a run that continues this one must have in common with it.
        team: the processes that train the model together.
    """

    model: nn.Module
    optimizer: Optimizer
    losses: Tensor
    order: Tensor
    clock: Tensor
    average: list[Tensor] = field(default_factory=list)
    done: int = 0
    settings: dict[str, Any] = field(default_factory=dict)
    team: Team = field(default_factory=Team)

    def save(self, path: str | Path) -> None:
        """Write the state, and that of PyTorch's random generators in every process, to `path`."""
        random = self.team.collect(random_state(self.losses.device))
        if self.team.leads:
            content = {
                "settings": self.settings,
                "done": self.done,
                "model": self.model.state_dict(),
                "optimizer": self.optimizer.state_dict()["state"],
                "average": self.average,
                "losses": self.losses[: self.done].clone(),  # a view would be written with all that it views
                "order": self.order,
                "random": random,
            }
            save_checkpoint(path, content)
        self.team.wait()

    def load(self, path: str | Path) -> None:
        """Go on from `path`: everything that `save` wrote is put back, in place.

        The optimiser's options (learning rate, fused or not) remain this run's, which may be on another device.

        Raises:
            ValueError: the file is damaged, or belongs to a run with another model or other settings.
        """
        content = load_checkpoint(path)
        then = content.get("settings", {})
        for name, now in self.settings.items():
            if then.get(name) != now:
                was = f"made with {name}={then.get(name)}, this run has {name}={now}"
                raise ValueError(f"{path} was {was}; use that value, or delete the file to start afresh")
        rates = [group["lr"] for group in self.optimizer.param_groups]
        try:
            self.model.load_state_dict(content["model"])
            options = self.optimizer.state_dict()["param_groups"]
            self.optimizer.load_state_dict({"state": content["optimizer"], "param_groups": options})
        except (RuntimeError, ValueError):
            remedy = "choose another name, or delete the file to start afresh"
            raise ValueError(f"{path} belongs to another model or optimizer; {remedy}") from None
        for group, rate in zip(self.optimizer.param_groups, rates, strict=True):
            group["lr"] = rate  # the tensor itself, which a step writes to; loading made a copy
        for weight, kept in self.optimizer.state.items():
            for name, value in kept.items():
                if isinstance(value, Tensor) and value.shape == weight.shape:
                    # In the weight's order in memory, which another device's run need not have had.
                    kept[name] = torch.empty_like(weight, dtype=value.dtype).copy_(value).detach()
        self.done = content["done"]
        self.clock.fill_(self.done)
        self.losses[: self.done] = content["losses"].to(self.losses.device)
        self.order.copy_(content["order"])
        for average, then in zip(self.average, content["average"], strict=True):
            average.copy_(then)
        set_random_state(content["random"][self.team.rank], self.losses.device)


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
