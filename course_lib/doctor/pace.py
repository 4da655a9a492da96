"""How fast this machine trains, and so how long each lesson takes on it.

What a lesson costs is recorded in `pace.json`, in steps of the training run below, timed on one thread of the machine
that recorded it. So each lesson's entry stands for itself, whichever machine it comes from. Here

    seconds = other * (seconds per step, CPU, one thread) + training * (seconds per step, the lessons' device)

where `training` is what `fit` takes of a lesson, and `other` the rest: imports, exact computations, figures. On a GPU
this is an upper bound, since larger networks than this one gain more from it.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import nn

from course_lib.device import get_device, private_randomness

RECORD = Path(__file__).with_name("pace.json")
CPU = torch.device("cpu")


@dataclass(frozen=True)
class Cost:
    """What a lesson takes from top to bottom.

    Attributes:
        other: everything outside `fit`, in calibration steps.
        training: what is spent in `fit`, in calibration steps.
        memory: the most its process ever held, in MiB.
    """

    other: int
    training: int
    memory: int


@dataclass(frozen=True)
class Pace:
    """Seconds per calibration step: on one thread of the CPU, and on the device that lessons train on."""

    single: float
    device: float

    def seconds(self, cost: Cost) -> float:
        """About how long a lesson of that cost takes here."""
        return cost.other * self.single + cost.training * self.device


def read_costs(path: Path = RECORD) -> dict[str, Cost]:
    """What was recorded, by lesson. Raises OSError or ValueError where the record cannot be read."""
    try:
        return {lesson: Cost(**cost) for lesson, cost in json.loads(path.read_text(encoding="utf-8")).items()}
    except (AttributeError, TypeError) as error:
        raise ValueError(f"{path} is no record of lessons' costs: {error}") from None


def write_costs(costs: dict[str, Cost], path: Path = RECORD) -> None:
    """Record the costs, one lesson a line."""
    lines = [f"  {json.dumps(lesson)}: {json.dumps(asdict(costs[lesson]))}" for lesson in sorted(costs)]
    path.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")


def measure() -> Pace:
    """Time this machine, in two to three seconds at most."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        single = seconds_per_step(CPU)
    finally:
        torch.set_num_threads(threads)
    device = get_device()
    return Pace(single, single if device == CPU and threads == 1 else seconds_per_step(device))


def seconds_per_step(
    device: torch.device,
    *,
    blocks: int = 30,
    block: int = 10,
    limit: float = 1.0,
    clock: Callable[[], float] = time.perf_counter,
) -> float:
    """The seconds that one Adam step of a 64-256-256-64 network on 128 examples takes.

    The fastest of `blocks` blocks of `block` steps counts, since whatever else the machine does can only slow a
    block down; after `limit` seconds no new block is begun.
    """
    with private_randomness(0, device):
        model = nn.Sequential(nn.Linear(64, 256), nn.SiLU(), nn.Linear(256, 256), nn.SiLU(), nn.Linear(256, 64))
        model.to(device)
        optimizer = torch.optim.Adam(model.parameters())
        x = torch.rand(128, 64, device=device)

        def run() -> float:
            started = clock()
            for _ in range(block):
                optimizer.zero_grad()
                loss = (model(x) - x).square().mean()
                loss.backward()
                optimizer.step()
            loss.item()  # waits for the device: queueing alone takes no time
            return clock() - started

        run()  # imports, first allocations, kernels compiled
        end = time.perf_counter() + limit
        fastest = run()
        for _ in range(blocks - 1):
            if time.perf_counter() > end:
                break
            fastest = min(fastest, run())
    return fastest / block
